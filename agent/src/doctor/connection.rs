//! Whether somebody could stand between us and the server.

use super::{Check, ok, warn};
use crate::conninfo::{ConnInfo, Host, SslMode};

/// Looks at how the server is reached. Only a certificate that is checked tells it from whoever stands between: that
/// one could make counters up, and so indexes, or read what goes by.
pub fn connection(info: &ConnInfo) -> Check {
    const ASPECT: &str = "connection";
    let afar = |host: &Host| match host {
        Host::Unix(_) => false,
        Host::Tcp(name) => {
            let address: Result<std::net::IpAddr, _> = name.parse();
            name != "localhost" && !address.is_ok_and(|address| address.is_loopback())
        }
    };
    let remote = info.hosts().iter().find(|entry| afar(&entry.host));
    match remote {
        None => ok(ASPECT, "it does not leave this machine"),
        Some(_) if info.tls().mode == SslMode::VerifyFull => {
            ok(ASPECT, "encrypted, and the server proves by its certificate who it is")
        }
        Some(entry) => warn(
            ASPECT,
            format!("{entry} does not have to prove who it is: somebody between could answer in its place"),
            vec!["connect with sslmode=verify-full, and sslrootcert=system or your own authority's file".to_owned()],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::connection;
    use crate::conninfo::ConnInfo;
    use crate::doctor::State;

    #[test]
    fn only_a_checked_certificate_will_do_for_another_machine() {
        let state =
            |given: &str| connection(&ConnInfo::resolve(Some(given), &|_| None).unwrap()).state;
        for near in [
            "host=/tmp user=u",
            "host=localhost user=u",
            "host=127.0.0.1 user=u",
            "host=::1 user=u",
        ] {
            assert_eq!(state(near), State::Ok, "{near}");
        }
        assert_eq!(
            state("host=db.example.com user=u sslmode=verify-full sslrootcert=system"),
            State::Ok
        );
        for far in ["host=db.example.com user=u", "host=10.0.0.1 user=u sslmode=require"] {
            assert_eq!(state(far), State::Warn, "{far}");
        }
    }
}
