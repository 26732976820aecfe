//! Which PostgreSQL a server is, and whether we support it.

use std::fmt;

/// The oldest major version that is supported.
pub const OLDEST_MAJOR: u32 = 14;

/// The newest major version that has been tried.
pub const NEWEST_MAJOR: u32 = 18;

/// A server's version, as in its setting `server_version_num`: `150004` is 15.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion(pub u32);

/// A server older than we support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server is PostgreSQL {0}; pgwright supports {OLDEST_MAJOR} to {NEWEST_MAJOR}, so please upgrade the server first"
)]
pub struct UnsupportedVersion(pub ServerVersion);

impl ServerVersion {
    /// Reads the setting `server_version_num`.
    pub fn parse(server_version_num: &str) -> Option<Self> {
        server_version_num.trim().parse().ok().filter(|number| *number >= 10_000).map(Self)
    }

    /// Returns the major version, such as 15; for 9.6 and older, 9.
    pub fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// Returns an error where the server is too old.
    pub fn supported(self) -> Result<(), UnsupportedVersion> {
        if self.major() < OLDEST_MAJOR { Err(UnsupportedVersion(self)) } else { Ok(()) }
    }

    /// Returns a note where the server is newer than any that has been tried.
    pub fn note(self) -> Option<String> {
        (self.major() > NEWEST_MAJOR).then(|| {
            format!("PostgreSQL {self} is newer than {NEWEST_MAJOR}, the newest that pgwright was tried with")
        })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.major() < 10 {
            write!(f, "{}.{}.{}", self.major(), self.0 / 100 % 100, self.0 % 100)
        } else {
            write!(f, "{}.{}", self.major(), self.0 % 10_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerVersion;

    #[test]
    fn old_servers_are_refused_and_new_ones_noted() {
        let old = ServerVersion::parse("130011").unwrap();
        let message = old.supported().unwrap_err().to_string();
        assert!(message.starts_with("the server is PostgreSQL 13.11; pgwright supports 14 to 18"));
        for (number, shown) in [("140000", "14.0"), ("150004", "15.4"), ("180001", "18.1")] {
            let version = ServerVersion::parse(number).unwrap();
            assert!(version.supported().is_ok() && version.note().is_none());
            assert_eq!(version.to_string(), shown);
        }
        let new = ServerVersion::parse("190002").unwrap();
        assert!(new.supported().is_ok() && new.note().unwrap().contains("19.2 is newer"));
        assert_eq!(ServerVersion::parse("90624").unwrap().to_string(), "9.6.24");
        assert_eq!(ServerVersion::parse("15.4"), None);
    }
}
