//! The password file, `~/.pgpass`.
//!
//! Source: PostgreSQL documentation, "The Password File": lines
//! `hostname:port:database:username:password`, `*` matches anything, `\` escapes `:` and `\`.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::redacted::Redacted;

/// The entries of a password file, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct PassFile(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    host: Field,
    port: Field,
    database: Field,
    user: Field,
    password: Redacted<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Field {
    Any,
    Exactly(String),
}

/// A line with a field too few would show its password as the user: fields are not shown.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Field {
    fn new(raw: &str) -> Self {
        if raw == "*" { Self::Any } else { Self::Exactly(unescape(raw)) }
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == value,
        }
    }
}

impl PassFile {
    /// Reads a password file. Like libpq, a file that others may read is not used; the reason
    /// comes back as a warning. A file that does not exist is worth a warning only if it was
    /// asked for by name. In the folder of a service's credentials a file of root's may be readable for
    /// its group: to a service under another user systemd opens it by an access list, whose mask shows there.
    pub(super) fn read(
        path: &Path,
        asked_for: bool,
        credentials: Option<&Path>,
    ) -> (Self, Option<String>) {
        let ignored = |why: &str| {
            let warning = format!("password file `{}` is ignored: {why}", path.display());
            (Self::default(), Some(warning))
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !asked_for => {
                return (Self::default(), None);
            }
            Err(error) => return ignored(&error.to_string()),
        };
        if !metadata.is_file() {
            return ignored("it is not a plain file");
        }
        let handed = credentials.is_some() && path.parent() == credentials && metadata.uid() == 0;
        let forbidden = if handed { 0o037 } else { 0o077 };
        if metadata.permissions().mode() & forbidden != 0 {
            return ignored("group or others may access it; run chmod 0600 on it");
        }
        match fs::read(path) {
            Ok(bytes) => (Self::parse(&String::from_utf8_lossy(&bytes)), None),
            Err(error) => ignored(&error.to_string()),
        }
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Entry::parse).collect())
    }

    /// Returns the password of the first line that matches all four.
    pub(super) fn password(
        &self,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
    ) -> Option<&Redacted<String>> {
        let port = port.to_string();
        self.0
            .iter()
            .find(|entry| {
                entry.host.matches(host)
                    && entry.port.matches(&port)
                    && entry.database.matches(database)
                    && entry.user.matches(user)
            })
            .map(|entry| &entry.password)
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let mut rest = line;
        let mut next = || -> Option<Field> {
            let end = field_end(rest)?;
            let field = Field::new(&rest[..end]);
            rest = &rest[end + 1..];
            Some(field)
        };
        let (host, port, database, user) = (next()?, next()?, next()?, next()?);
        // What stands after a further, unescaped colon is no part of the password.
        let password = &rest[..field_end(rest).unwrap_or(rest.len())];
        Some(Self { host, port, database, user, password: Redacted::new(unescape(password)) })
    }
}

/// Finds the first colon that no backslash stands before.
fn field_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let here = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        here
    })
}

fn unescape(raw: &str) -> String {
    let mut chars = raw.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::PassFile;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn check(file: &str, who: (&str, u16, &str, &str), expected: Option<&str>) {
        let file = PassFile::parse(file);
        let found = file.password(who.0, who.1, who.2, who.3);
        assert_eq!(found.map(|p| p.reveal().as_str()), expected, "{who:?}");
    }

    #[test]
    fn the_first_matching_line_wins() {
        let file = "# comment:1:d:u:no\n\
                    h:5432:shop:app:one\r\n\
                    h:*:shop:app:two\n\
                    *:*:*:*:rest\n";
        check(file, ("h", 5432, "shop", "app"), Some("one"));
        check(file, ("h", 5433, "shop", "app"), Some("two"));
        check(file, ("other", 1, "d", "u"), Some("rest"));
        check("h:5432:shop:app:one", ("h", 5432, "shop", "other"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        check(r"\:\:1:*:*:a\\b:p\:w\\", ("::1", 1, "d", r"a\b"), Some(r"p:w\"));
        check(r"h:*:*:\*:pw", ("h", 1, "d", "anyone"), None);
        check("h:*:*:u:pw:comment", ("h", 1, "d", "u"), Some("pw"));
        check("h:*:*:pw", ("h", 1, "d", "u"), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_ignored_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:canary").unwrap();
        let mut outcome = Vec::new();
        for mode in [0o600, 0o400, 0o640, 0o604] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let (file, warning) = PassFile::read(&path, false, None);
            assert!(!format!("{file:?} {warning:?}").contains("canary"));
            outcome.push((file.password("h", 1, "d", "u").is_some(), warning.is_some()));
        }
        assert_eq!(outcome, [(true, false), (true, false), (false, true), (false, true)]);
        let missing = folder.path().join("missing");
        assert_eq!(PassFile::read(&missing, false, None).1, None);
        assert!(PassFile::read(&missing, true, None).1.unwrap().contains("missing"));
    }

    #[test]
    fn what_systemd_hands_over_may_be_readable_for_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:canary").unwrap();
        let of_root = fs::metadata(&path).unwrap().uid() == 0;
        let used = |mode: u32, credentials| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            PassFile::read(&path, true, Some(credentials)).1.is_none()
        };
        assert_eq!(used(0o440, folder.path()), of_root);
        assert!(!used(0o460, folder.path()) && !used(0o444, folder.path()));
        assert!(used(0o400, folder.path()) && !used(0o440, "/run/credentials".as_ref()));
    }

    proptest! {
        #[test]
        fn any_password_can_be_written(password in "[^\0\r\n]{0,12}", noise in "[^\0]{0,30}") {
            let escaped = password.replace('\\', r"\\").replace(':', r"\:");
            let file = PassFile::parse(&format!("h:1:d:u:{escaped}\n{noise}"));
            prop_assert_eq!(file.password("h", 1, "d", "u").unwrap().reveal(), &password);
        }
    }
}
