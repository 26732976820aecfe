//! The operating system's account of this process: the default user name and home folder.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What is known of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: Option<String>,
    pub(super) home: Option<PathBuf>,
    /// The folder in which systemd hands secrets to a service (`LoadCredential=`).
    pub(super) credentials: Option<PathBuf>,
}

impl Account {
    /// Looks the account up as libpq does, by effective user id in the password database, and
    /// falls back on `USER` or `LOGNAME` (accounts of a directory service are not in the file).
    /// The home folder is `HOME`, else the one of the password database.
    pub(super) fn look_up(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let listed = effective_uid()
            .zip(fs::read_to_string("/etc/passwd").ok())
            .and_then(|(uid, passwd)| find(&passwd, uid))
            .unwrap_or_default();
        let variable = |name: &str| env(name).filter(|value| !value.is_empty());
        Self {
            name: listed.name.or_else(|| variable("USER")).or_else(|| variable("LOGNAME")),
            home: variable("HOME").map(PathBuf::from).or(listed.home),
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }
}

/// The owner of `/proc/self` is the effective user; reading it needs no foreign call.
fn effective_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

/// Finds the account with that id in the text of a password file
/// (`name:password:uid:gid:comment:home:shell`).
fn find(passwd: &str, uid: u32) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, id, home) = (fields.first()?, fields.get(2)?, fields.get(5)?);
        (id.parse() == Ok(uid)).then(|| Account {
            name: Some((*name).to_owned()),
            home: (!home.is_empty()).then(|| PathBuf::from(home)),
            credentials: None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, find};
    use std::path::PathBuf;

    #[test]
    fn accounts_are_found_by_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nshort\napp:x:1000:1000::/home/app:/bin/sh\n";
        let app = Account {
            name: Some("app".into()),
            home: Some(PathBuf::from("/home/app")),
            credentials: None,
        };
        assert_eq!(find(passwd, 1000), Some(app));
        assert_eq!(find(passwd, 5), None);
    }

    #[test]
    fn home_comes_from_the_environment_first() {
        let env = |name: &str| (name == "HOME").then(|| "/elsewhere".to_owned());
        assert_eq!(Account::look_up(&env).home, Some(PathBuf::from("/elsewhere")));
    }
}
