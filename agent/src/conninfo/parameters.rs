//! The connection parameters of libpq: their names, their environment variables, and how far
//! we honour each.
//!
//! Source: PostgreSQL 18 documentation, "Database Connection Control Functions" (parameter key
//! words) and "Environment Variables".

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::redacted::Redacted;

/// How far we honour a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Honoured.
    Used,
    /// Changes nothing for us; accepted so that a string which works with psql works here.
    Ignored,
    /// Refused unless the value (compared without case) asks for what we do anyway: ignoring
    /// any other value would weaken what the user asked for.
    Only(&'static [&'static str]),
}

/// One connection parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) env: Option<&'static str>,
    pub(super) standing: Standing,
}

const fn used(name: &'static str, env: &'static str) -> Parameter {
    Parameter { name, env: Some(env), standing: Standing::Used }
}

const fn used_without_env(name: &'static str) -> Parameter {
    Parameter { name, env: None, standing: Standing::Used }
}

const fn ignored(name: &'static str, env: Option<&'static str>) -> Parameter {
    Parameter { name, env, standing: Standing::Ignored }
}

const fn only(
    name: &'static str,
    env: Option<&'static str>,
    values: &'static [&'static str],
) -> Parameter {
    Parameter { name, env, standing: Standing::Only(values) }
}

/// Every parameter that libpq knows.
pub(super) static PARAMETERS: &[Parameter] = &[
    used("host", "PGHOST"),
    used("hostaddr", "PGHOSTADDR"),
    used("port", "PGPORT"),
    used("dbname", "PGDATABASE"),
    used("user", "PGUSER"),
    used("password", "PGPASSWORD"),
    used("passfile", "PGPASSFILE"),
    used("service", "PGSERVICE"),
    used("servicefile", "PGSERVICEFILE"),
    used("sslmode", "PGSSLMODE"),
    used("requiressl", "PGREQUIRESSL"),
    used("sslnegotiation", "PGSSLNEGOTIATION"),
    used("sslrootcert", "PGSSLROOTCERT"),
    used("sslcert", "PGSSLCERT"),
    used("sslkey", "PGSSLKEY"),
    used("sslsni", "PGSSLSNI"),
    used("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    used("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    used("channel_binding", "PGCHANNELBINDING"),
    used("connect_timeout", "PGCONNECT_TIMEOUT"),
    used("application_name", "PGAPPNAME"),
    used("options", "PGOPTIONS"),
    used("target_session_attrs", "PGTARGETSESSIONATTRS"),
    used("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    used_without_env("keepalives"),
    used_without_env("keepalives_idle"),
    used_without_env("keepalives_interval"),
    used_without_env("keepalives_count"),
    used_without_env("tcp_user_timeout"),
    ignored("fallback_application_name", None),
    ignored("client_encoding", Some("PGCLIENTENCODING")),
    ignored("sslcompression", Some("PGSSLCOMPRESSION")),
    ignored("krbsrvname", Some("PGKRBSRVNAME")),
    ignored("gsslib", Some("PGGSSLIB")),
    ignored("min_protocol_version", Some("PGMINPROTOCOLVERSION")),
    ignored("max_protocol_version", Some("PGMAXPROTOCOLVERSION")),
    only("gssencmode", Some("PGGSSENCMODE"), &["disable", "prefer"]),
    only("gssdelegation", Some("PGGSSDELEGATION"), &["0"]),
    only("replication", None, &["false", "off", "no", "0"]),
    only("sslcertmode", Some("PGSSLCERTMODE"), &["allow"]),
    only("sslcrl", Some("PGSSLCRL"), &[]),
    only("sslcrldir", Some("PGSSLCRLDIR"), &[]),
    only("sslpassword", None, &[]),
    only("sslkeylogfile", None, &[]),
    only("requirepeer", Some("PGREQUIREPEER"), &[]),
    only("require_auth", Some("PGREQUIREAUTH"), &[]),
    only("scram_client_key", None, &[]),
    only("scram_server_key", None, &[]),
    only("oauth_issuer", None, &[]),
    only("oauth_client_id", None, &[]),
    only("oauth_client_secret", None, &[]),
    only("oauth_scope", None, &[]),
];

/// Returns the parameter of that name.
pub(super) fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

/// Returns the known parameter that `name` is most likely a slip of, at most two edits away.
pub(super) fn similar(name: &str) -> Option<&'static str> {
    if name.len() < 3 || name.len() > 40 {
        return None;
    }
    let near = PARAMETERS.iter().map(|p| (edits(name, p.name), p.name)).min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Levenshtein distance in bytes.
fn edits(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// Where a setting came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The connection string or database name that the user gave.
    Given,
    /// A service file.
    Service {
        /// The service's name.
        name: String,
        /// The file that defines it.
        file: PathBuf,
    },
    /// An environment variable.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("the connection string"),
            Self::Service { name, file } => {
                write!(f, "service `{name}` of `{}`", file.display())
            }
            Self::Environment(variable) => write!(f, "the environment variable {variable}"),
        }
    }
}

/// A value and where it came from. Values are kept redacted: one of them is the password.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    value: Redacted<String>,
    origin: Origin,
}

/// Parameters that have been set so far, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    /// Sets a parameter, replacing what was there.
    pub(super) fn set(&mut self, parameter: &'static Parameter, value: String, origin: &Origin) {
        let setting = Setting { value: Redacted::new(value), origin: origin.clone() };
        self.0.insert(parameter.name, setting);
    }

    /// Sets a parameter unless it is set already, be it to the empty string: a source of lower
    /// rank never replaces one of higher rank.
    pub(super) fn set_missing(
        &mut self,
        parameter: &'static Parameter,
        value: String,
        origin: &Origin,
    ) {
        if !self.0.contains_key(parameter.name) {
            self.set(parameter, value, origin);
        }
    }

    /// Returns the value of a parameter; an empty one counts as not set.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(find(name).is_some(), "{name} is not a parameter");
        self.0.get(name).map(|setting| setting.value.reveal().as_str()).filter(|v| !v.is_empty())
    }

    /// Returns where the value of a parameter came from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.0.get(name).map_or(Origin::Given, |setting| setting.origin.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{PARAMETERS, edits, find, similar};

    #[test]
    fn names_and_variables_are_unique() {
        for (i, one) in PARAMETERS.iter().enumerate() {
            for other in &PARAMETERS[i + 1..] {
                assert_ne!(one.name, other.name);
                assert!(one.env.is_none() || one.env != other.env, "{:?}", one.env);
            }
        }
        assert!(find("sslmode").is_some() && find("SSLMODE").is_none());
    }

    #[test]
    fn slips_of_the_pen_are_recognised() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(similar("sslmod"), Some("sslmode"));
        assert_eq!(similar("pasword"), Some("password"));
        assert_eq!(similar("banana"), None);
    }
}
