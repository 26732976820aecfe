//! The operating-system user that a server runs as, because PostgreSQL refuses to run as root.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::ClusterError;

/// Another user whom we, being root, start programs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Returns the user for the server when we are root: `PGWRIGHT_PG_USER`, else `postgres`.
    pub(super) fn for_server(our_uid: u32) -> Result<Option<Self>, ClusterError> {
        if our_uid != 0 {
            return Ok(None);
        }
        let user = env::var("PGWRIGHT_PG_USER").unwrap_or_else(|_| "postgres".to_owned());
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        match look_up(&passwd, &user) {
            Some(account) if account.uid != 0 => Ok(Some(account)),
            _ => Err(ClusterError::Account { user }),
        }
    }

    /// Makes a program run as this user; the standard library drops root's other groups as well.
    pub(super) fn apply(account: Option<Self>, command: &mut Command) {
        if let Some(Self { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
    }
}

fn look_up(passwd: &str, user: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != user {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, look_up};

    #[test]
    fn the_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\
                      postgres2:x:7:8::/:/bin/sh\n\
                      postgres:x:101:104:PostgreSQL administrator,,,:/var/lib:/bin/bash\n";
        assert_eq!(look_up(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(look_up(passwd, "post"), None);
        assert_eq!(look_up("postgres:x:none:1::", "postgres"), None);
    }
}
