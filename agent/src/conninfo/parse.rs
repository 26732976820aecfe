//! Connection strings: URI, key=value, or a bare database name.
//!
//! The forms are those of the PostgreSQL documentation, "Connection Strings". Error messages
//! quote a piece of the input only where it cannot be part of a password.

use percent_encoding::percent_decode_str;

use super::error::ConnInfoError;
use super::parameters::{Origin, Settings, find, similar};

/// Reads a connection string in whichever form it has.
pub(super) fn parse(given: &str) -> Result<Settings, ConnInfoError> {
    if let Some(rest) = strip_scheme(given.trim())? {
        return parse_uri(rest);
    }
    if given.contains('=') {
        return parse_key_value(given);
    }
    if given.contains('@') {
        let problem = "it looks like a URI, but does not begin with postgresql://";
        return Err(ConnInfoError::Uri(problem.to_owned()));
    }
    let mut settings = Settings::default();
    if !given.is_empty() {
        store(&mut settings, "dbname", given.to_owned())?;
    }
    Ok(settings)
}

/// Returns what follows `postgres://` or `postgresql://`, nothing where the text is no URI at
/// all, and an error where it is one of another kind.
fn strip_scheme(text: &str) -> Result<Option<&str>, ConnInfoError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
    match scheme {
        "postgres" | "postgresql" => Ok(Some(rest)),
        _ if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            Err(ConnInfoError::Uri(format!("its scheme is `{scheme}`, not `postgresql`")))
        }
        _ => Ok(None),
    }
}

fn parse_key_value(text: &str) -> Result<Settings, ConnInfoError> {
    let mut settings = Settings::default();
    let mut rest = text.trim_start();
    let mut after_password = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        let Some(tail) = tail.trim_start().strip_prefix('=') else {
            let problem = match (after_password, find(name)) {
                (true, _) => "there is no `=` in the word after the password; a password with \
                     spaces stands in single quotes"
                    .to_owned(),
                (false, Some(parameter)) => format!("there is no `=` after `{}`", parameter.name),
                (false, None) => {
                    let before = text[..text.len() - rest.len() + end].chars().count();
                    format!("there is no `=` after character {before}")
                }
            };
            return Err(ConnInfoError::KeyValue(problem));
        };
        if find(name).is_none() {
            return Err(unknown(name, after_password));
        }
        let (value, tail) = key_value_value(tail.trim_start())?;
        store(&mut settings, name, value)?;
        after_password = name == "password";
        rest = tail.trim_start();
    }
    Ok(settings)
}

/// Reads one value, quoted or not, and returns what follows it.
fn key_value_value(text: &str) -> Result<(String, &str), ConnInfoError> {
    let (quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            c if !quoted && c.is_whitespace() => return Ok((value, &body[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        let problem = "a value begins with a single quote that is never closed";
        return Err(ConnInfoError::KeyValue(problem.to_owned()));
    }
    Ok((value, ""))
}

/// Reads what follows `postgresql://`.
fn parse_uri(rest: &str) -> Result<Settings, ConnInfoError> {
    let mut settings = Settings::default();
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let rest = match rest[..authority_end].split_once('@') {
        Some((credentials, _)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            store_decoded(&mut settings, "user", user)?;
            store_decoded(&mut settings, "password", password)?;
            &rest[credentials.len() + 1..]
        }
        None => rest,
    };
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    if before_query.contains('@') {
        let problem = "`@`, `/`, `:` and `%` in a user name, password or database name are \
             written %40, %2F, %3A and %25";
        return Err(ConnInfoError::Uri(problem.to_owned()));
    }
    let (hosts, database) = before_query.split_once('/').unwrap_or((before_query, ""));
    uri_hosts(&mut settings, hosts)?;
    store_decoded(&mut settings, "dbname", database)?;
    uri_query(&mut settings, query)?;
    Ok(settings)
}

/// Reads `host:port,[::1]:port,…` into the comma-separated lists that the parameters are.
fn uri_hosts(settings: &mut Settings, text: &str) -> Result<(), ConnInfoError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in text.split(',') {
        let (host, port) = if let Some(bracketed) = one.strip_prefix('[') {
            let Some((host, port)) = bracketed.split_once(']') else {
                return Err(ConnInfoError::Uri("an IPv6 address lacks its `]`".to_owned()));
            };
            match (host, port.strip_prefix(':')) {
                (host, Some(port)) if !host.is_empty() => (host, port),
                (host, None) if !host.is_empty() && port.is_empty() => (host, ""),
                _ => {
                    let problem = "an IPv6 address is written [address] or [address]:port";
                    return Err(ConnInfoError::Uri(problem.to_owned()));
                }
            }
        } else {
            one.split_once(':').unwrap_or((one, ""))
        };
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            let problem = "what follows `:` is no port number; a password is followed by @host";
            return Err(ConnInfoError::Uri(problem.to_owned()));
        }
        hosts.push(host);
        ports.push(port);
    }
    if hosts.iter().any(|host| !host.is_empty()) || hosts.len() > 1 {
        store_decoded(settings, "host", &hosts.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        store_decoded(settings, "port", &ports.join(","))?;
    }
    Ok(())
}

fn uri_query(settings: &mut Settings, query: &str) -> Result<(), ConnInfoError> {
    // Where an `@` comes this late, what we take for the query may be the end of a password.
    let doubtful = query.contains('@');
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            let problem = "a parameter after `?` lacks its `=`";
            return Err(ConnInfoError::Uri(problem.to_owned()));
        };
        let (name, value) = (decode(name)?, decode(value)?);
        // The spelling of JDBC, which libpq accepts too.
        let (name, value) = match (name.as_str(), value.as_str()) {
            ("ssl", "true") => ("sslmode", "require".to_owned()),
            _ => (name.as_str(), value),
        };
        if find(name).is_none() {
            return Err(unknown(name, doubtful));
        }
        store(settings, name, value)?;
    }
    Ok(())
}

fn store_decoded(settings: &mut Settings, name: &str, value: &str) -> Result<(), ConnInfoError> {
    if value.is_empty() {
        return Ok(());
    }
    store(settings, name, decode(value)?)
}

fn store(settings: &mut Settings, name: &str, value: String) -> Result<(), ConnInfoError> {
    let Some(parameter) = find(name) else { return Err(unknown(name, false)) };
    if value.contains('\0') {
        let problem = format!("the value of `{name}` contains a zero byte");
        return Err(ConnInfoError::KeyValue(problem));
    }
    settings.set(parameter, value, &Origin::Given);
    Ok(())
}

/// Decodes `%xx`; other than the `percent_encoding` crate, refuses a `%` that stands alone.
fn decode(text: &str) -> Result<String, ConnInfoError> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%'
            && !bytes.get(at + 1..at + 3).is_some_and(|x| x.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        let problem = "a `%` is not followed by two hexadecimal digits (a plain `%` is %25)";
        return Err(ConnInfoError::Uri(problem.to_owned()));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        Ok(_) => Err(ConnInfoError::Uri("it contains %00".to_owned())),
        Err(_) => Err(ConnInfoError::Uri("a %xx sequence is not UTF-8".to_owned())),
    }
}

/// Names an unknown parameter, unless it may be part of a password.
fn unknown(name: &str, doubtful: bool) -> ConnInfoError {
    let is_word = !name.is_empty()
        && name.len() <= 40
        && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let similar = similar(name);
    let name = if is_word && !doubtful {
        format!("`{name}`")
    } else {
        "(not shown: it may be part of a password)".to_owned()
    };
    ConnInfoError::UnknownParameter { name, origin: Origin::Given, similar }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::{PARAMETERS, Settings};
    use super::parse;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    /// What a connection string means, one `name=value` a line, in the order of the names.
    fn show(settings: &Settings) -> String {
        let mut names: Vec<_> = PARAMETERS.iter().map(|p| p.name).collect();
        names.sort_unstable();
        names
            .iter()
            .filter_map(|name| settings.get(name).map(|value| format!("{name}={value}")))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn check(given: &str, expected: &str) {
        match parse(given) {
            Ok(settings) => assert_eq!(show(&settings), expected, "{given}"),
            Err(error) => panic!("{given}: {error}"),
        }
    }

    #[track_caller]
    fn refuse(given: &str, part_of_message: &str) {
        let message = parse(given).expect_err(given).to_string();
        assert!(message.contains(part_of_message), "{given}: {message}");
        assert!(!message.contains('\n') && !message.contains("s3cret"), "{message}");
    }

    #[test]
    fn every_form_of_uri_is_read() {
        check("postgresql://", "");
        check("postgres://shop", "host=shop");
        check("postgresql://app@shop:6432/db", "dbname=db host=shop port=6432 user=app");
        check("postgresql://app:p%40ss@h/d", "dbname=d host=h password=p@ss user=app");
        check("postgresql://app:a:b@h", "host=h password=a:b user=app");
        check("postgresql://app:a?b=c@h/d", "dbname=d host=h password=a?b=c user=app");
        check("postgresql:///db?host=/tmp&port=5433", "dbname=db host=/tmp port=5433");
        check("postgresql://%2Fvar%2Frun%2Fpg/db", "dbname=db host=/var/run/pg");
        check("postgresql://a:1,b,[::1]:3/db", "dbname=db host=a,b,::1 port=1,,3");
        check("postgresql://a?user=x%20y&user=z", "host=a user=z");
        check("postgresql://a/d?ssl=true", "dbname=d host=a sslmode=require");
        check("postgres://h/d?options=-c%20geqo%3Doff", "dbname=d host=h options=-c geqo=off");
        check("  postgres://h/d\n", "dbname=d host=h");
    }

    #[test]
    fn every_form_of_key_value_is_read() {
        check("shop", "dbname=shop");
        check("", "");
        check("host=h  port = 5433\tuser='a b'", "host=h port=5433 user=a b");
        check(r"password='it\'s \\' user=a\ b", r"password=it's \ user=a b");
        check("dbname=a dbname=b", "dbname=b");
        check("host='' dbname=d", "dbname=d");
        check("user='a'dbname=d", "dbname=d user=a");
    }

    #[test]
    fn mistakes_are_named() {
        refuse("host=h sslmod=require", "`sslmod` in the connection string; did you mean");
        refuse("postgresql://h/d?banana=1", "unknown connection parameter `banana`");
        refuse("host=h port", "no `=` after `port`");
        refuse("host=h nonsense", "no `=` after character 15");
        refuse("user='open", "never closed");
        refuse("mysql://h/d", "scheme is `mysql`");
        refuse("postgresql://[::1/d", "lacks its `]`");
        refuse("postgresql://[::1]5432/d", "[address]:port");
        refuse("postgresql://h/d?port", "lacks its `=`");
        refuse("postgresql://a%zz@h", "two hexadecimal digits");
        refuse("postgresql://a%ff@h", "not UTF-8");
        refuse("postgresql://a%00@h", "%00");
        refuse("dbname=a\0b", "zero byte");
    }

    #[test]
    fn no_mistake_shows_a_password() {
        refuse("postgresql://app:s3cret/db", "no port number");
        refuse("postgresql://app:x@s3cret@h/d", "%40");
        refuse("postgresql://app:x/s3cret@h/d", "%40");
        refuse("postgresql://app:1/s3cret@h/d", "%40");
        refuse("postgresql://app:1/x?s3cret@h/d", "lacks its `=`");
        refuse("postgresql://app:1/x?s3cret=y@h/d", "not shown");
        refuse("postgresql://app:%s3cret@h/d", "hexadecimal");
        refuse("postgres:/app:s3cret@h/d", "postgresql://");
        refuse("postgres:/app:s3cret=@h/d", "not shown");
        refuse("app:s3cret@h", "postgresql://");
        refuse("password=x s3cret host=h", "single quotes");
        refuse("password=x s3cret=y host=h", "not shown");
        refuse("password='s3cret", "never closed");
    }

    /// Values of parameters, chosen to meet every special character of both forms.
    fn values() -> impl Strategy<Value = Vec<(usize, String)>> {
        let value = prop_oneof!["[ a-z'\\\\=%@/:?&,#\\[\\]éß\\n]{0,12}", "[^\0]{0,12}"];
        proptest::collection::vec((0..PARAMETERS.len(), value), 1..6)
    }

    fn expected(pairs: &[(usize, String)]) -> Settings {
        let mut settings = Settings::default();
        for (index, value) in pairs {
            settings.set(&PARAMETERS[*index], value.clone(), &super::Origin::Given);
        }
        settings
    }

    proptest! {
        #[test]
        fn rendered_key_values_read_back(pairs in values()) {
            let words: Vec<String> = pairs
                .iter()
                .map(|(index, value)| {
                    let escaped = value.replace('\\', r"\\").replace('\'', r"\'");
                    format!("{}='{escaped}'", PARAMETERS[*index].name)
                })
                .collect();
            let text = words.join(" ");
            prop_assert_eq!(parse(&text).unwrap(), expected(&pairs));
        }

        #[test]
        fn rendered_uris_read_back(pairs in values(), password in "[^\0]{1,12}") {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let query: Vec<String> = pairs
                .iter()
                .map(|(index, value)| format!("{}={}", PARAMETERS[*index].name, encode(value)))
                .collect();
            let text = format!("postgresql://:{}@/?{}", encode(&password), query.join("&"));
            let mut all = vec![(PARAMETERS.iter().position(|p| p.name == "password").unwrap(), password)];
            all.extend(pairs);
            prop_assert_eq!(parse(&text).unwrap(), expected(&all));
        }

        #[test]
        fn nothing_panics(
            text in prop_oneof![
                ".*",
                "(postgres(ql)?:/?/?)?([a-z]{0,3}[ :@/?&=,%'\\\\\\[\\]0é\0]{0,3}){0,8}",
            ]
        ) {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
