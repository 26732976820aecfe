//! Values in the text form of their type.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// What Describe told of a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterType {
    /// `pg_type.typname`, e.g. `int4`, `timestamptz`, `_int4`.
    pub name: String,
    /// `pg_type.typtype`: `b` base, `e` enum, `d` domain, `c` composite, `r` range, `m` multirange, `p` pseudo.
    pub kind: char,
    /// `pg_type.typcategory`, e.g. `N` number, `S` string, `A` array.
    pub category: char,
    /// Name of the element type, for an array.
    pub element: Option<String>,
    /// Labels in order, for an enum.
    pub labels: Vec<String>,
}

impl ParameterType {
    /// Whether it is an array.
    pub(super) fn is_array(&self) -> bool {
        self.category == 'A'
    }

    /// The type of an element, for an array.
    pub(super) fn element_type(&self) -> Self {
        let name =
            self.element.clone().unwrap_or_else(|| self.name.trim_start_matches('_').to_owned());
        let category = match name.as_str() {
            "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "oid" => 'N',
            "text" | "varchar" | "bpchar" | "name" | "citext" => 'S',
            _ if self.labels.is_empty() => 'U',
            _ => 'E',
        };
        Self {
            name,
            kind: if category == 'E' { 'e' } else { 'b' },
            category,
            element: None,
            labels: self.labels.clone(),
        }
    }

    /// A value of the type for want of any better; `None` where none is known.
    pub(super) fn plain(&self, now: DateTime<Utc>) -> Option<String> {
        let text = match self.name.as_str() {
            "bool" => "true".to_owned(),
            "date" => now.format("%Y-%m-%d").to_string(),
            "timestamp" | "timestamptz" => now.format("%Y-%m-%d %H:%M:%S+00").to_string(),
            "time" | "timetz" => "12:00:00".to_owned(),
            "interval" => "1 day".to_owned(),
            "uuid" => "00000000-0000-4000-8000-000000000000".to_owned(),
            "json" | "jsonb" => "{}".to_owned(),
            "jsonpath" => "$".to_owned(),
            "bytea" => "\\x00".to_owned(),
            "inet" => "10.0.0.1".to_owned(),
            "cidr" => "10.0.0.0/8".to_owned(),
            "macaddr" => "08:00:2b:01:02:03".to_owned(),
            "macaddr8" => "08:00:2b:01:02:03:04:05".to_owned(),
            "bit" | "varbit" => "1".to_owned(),
            "xml" => "<a/>".to_owned(),
            "regconfig" | "regdictionary" => "simple".to_owned(),
            "regclass" => "pg_class".to_owned(),
            "regtype" => "integer".to_owned(),
            "point" => "(0,0)".to_owned(),
            "box" => "(1,1),(0,0)".to_owned(),
            "tsvector" | "tsquery" | "char" | "ltree" | "lquery" => "a".to_owned(),
            _ => match (self.kind, self.category) {
                // An empty list would be equal to nothing, and the plan would look for nothing.
                (_, 'A') => self
                    .element_type()
                    .plain(now)
                    .map_or_else(|| "{}".to_owned(), |element| array([element.as_str()])),
                ('m', _) => "{}".to_owned(),
                ('e', _) => self.labels.first()?.clone(),
                ('r', _) => "empty".to_owned(),
                (_, 'N') => "1".to_owned(),
                (_, 'S') => "a".to_owned(),
                (_, 'B') => "true".to_owned(),
                (_, 'D') => now.format("%Y-%m-%d").to_string(),
                (_, 'T') => "1 day".to_owned(),
                (_, 'I') => "10.0.0.1".to_owned(),
                _ => return None,
            },
        };
        Some(text)
    }

    /// A value of another type as one of this; `None` when it would not be accepted.
    pub(super) fn adapt(&self, from: &str, value: &str) -> Option<String> {
        if self.name == from || self.category == 'S' && self.name != "char" {
            return (!value.contains('\0')).then(|| value.to_owned());
        }
        let changed = match self.name.as_str() {
            "int2" | "int4" | "int8" if value.contains('.') => {
                format!("{:.0}", value.parse::<f64>().ok()?)
            }
            "date" if value.len() > 10 => value.get(..10)?.to_owned(),
            _ => value.to_owned(),
        };
        self.takes(&changed).then_some(changed)
    }

    /// Whether the server takes the text for a value of this type, as far as we can tell.
    pub(super) fn takes(&self, value: &str) -> bool {
        if value.contains('\0') {
            return false;
        }
        match self.name.as_str() {
            "int2" => value.parse::<i16>().is_ok(),
            "int4" => value.parse::<i32>().is_ok(),
            "int8" => value.parse::<i64>().is_ok(),
            "oid" => value.parse::<u32>().is_ok(),
            "numeric" | "float4" | "float8" | "money" => value.parse::<f64>().is_ok(),
            "bool" => matches!(
                value.to_ascii_lowercase().as_str(),
                "t" | "f" | "true" | "false" | "yes" | "no" | "on" | "off" | "1" | "0"
            ),
            "date" | "timestamp" | "timestamptz" => micros(value).is_some(),
            "interval" => {
                value.len() > 1
                    && value.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == 'P')
                    && micros(value).is_none()
            }
            "uuid" => {
                value.chars().filter(char::is_ascii_hexdigit).count() == 32 && value.len() <= 38
            }
            "json" | "jsonb" => serde_json::from_str::<serde_json::Value>(value).is_ok(),
            "inet" | "cidr" => {
                value.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':')
                    && value.contains(['.', ':'])
            }
            "bytea" => value.starts_with("\\x"),
            _ => match (self.kind, self.category) {
                (_, 'A') => value.starts_with('{') && value.ends_with('}'),
                ('e', _) => self.labels.iter().any(|label| label == value),
                (_, 'S') => true,
                (_, 'N') => value.parse::<f64>().is_ok(),
                _ => false,
            },
        }
    }
}

/// Microseconds since 1970 of a date or timestamp as PostgreSQL prints it.
pub(super) fn micros(value: &str) -> Option<i64> {
    if let Ok(date) = NaiveDate::parse_from_str(value, "%Y-%m-%d") {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S%.f") {
        return Some(time.and_utc().timestamp_micros());
    }
    DateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S%.f%#z")
        .ok()
        .map(|time| time.timestamp_micros())
}

/// Where a value of an ordered type stands on a line of numbers; times in microseconds.
pub(super) fn position(base_type: &str, value: &str) -> Option<f64> {
    match base_type {
        "int2" | "int4" | "int8" | "oid" | "numeric" | "float4" | "float8" => {
            value.parse().ok().filter(|n: &f64| n.is_finite())
        }
        "date" | "timestamp" | "timestamptz" => micros(value).map(|micros| micros as f64),
        _ => None,
    }
}

/// The value that stands at a position.
pub(super) fn at_position(base_type: &str, position: f64) -> Option<String> {
    let time = || DateTime::from_timestamp_micros(position as i64);
    Some(match base_type {
        "int2" | "int4" | "int8" | "oid" => format!("{position:.0}"),
        "numeric" | "float4" | "float8" => {
            format!("{position:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        "date" => time()?.format("%Y-%m-%d").to_string(),
        "timestamp" => time()?.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        "timestamptz" => time()?.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
        _ => return None,
    })
}

/// A span of time as an interval, in the largest unit that does not lose much.
pub(super) fn interval(micros: f64) -> String {
    const MINUTE: f64 = 60e6;
    let minutes = (micros.abs() / MINUTE).max(1.0);
    if minutes >= 2880.0 {
        format!("{:.0} days", minutes / 1440.0)
    } else if minutes >= 120.0 {
        format!("{:.0} hours", minutes / 60.0)
    } else {
        format!("{minutes:.0} minutes")
    }
}

/// An array literal of these elements.
pub(super) fn array<'v>(elements: impl IntoIterator<Item = &'v str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '+');
    let quoted = |element: &str| {
        if !element.is_empty()
            && element.chars().all(plain)
            && !element.eq_ignore_ascii_case("null")
        {
            element.to_owned()
        } else {
            format!("\"{}\"", element.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    format!("{{{}}}", elements.into_iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::{ParameterType, array, at_position, interval, position};

    fn of(name: &str, kind: char, category: char) -> ParameterType {
        ParameterType { name: name.to_owned(), kind, category, ..ParameterType::default() }
    }

    #[test]
    fn arrays_are_quoted_where_needed() {
        assert_eq!(array(["1", "2"]), "{1,2}");
        assert_eq!(
            array(["a b", "c\"d", "e\\f", "", "NULL", "x,y"]),
            "{\"a b\",\"c\\\"d\",\"e\\\\f\",\"\",\"NULL\",\"x,y\"}"
        );
    }

    #[test]
    fn positions_come_back_as_values() {
        for (base, value) in [
            ("int8", "42"),
            ("numeric", "2.5"),
            ("date", "2024-05-01"),
            ("timestamp", "2024-05-01 12:34:56.789000"),
            ("timestamptz", "2024-05-01 12:34:56.789000+00"),
        ] {
            assert_eq!(at_position(base, position(base, value).unwrap()).as_deref(), Some(value));
        }
        assert_eq!(
            position("timestamptz", "2024-05-01 12:00:00+02"),
            position("timestamptz", "2024-05-01 10:00:00+00")
        );
        assert_eq!(position("timestamptz", "infinity"), None);
        assert_eq!(position("text", "a"), None);
    }

    #[test]
    fn values_fit_or_are_adapted() {
        assert_eq!(of("int4", 'b', 'N').adapt("numeric", "12.6").as_deref(), Some("13"));
        assert_eq!(
            of("date", 'b', 'D').adapt("timestamptz", "2024-05-01 12:34:56+00").as_deref(),
            Some("2024-05-01")
        );
        assert_eq!(of("text", 'b', 'S').adapt("int4", "5").as_deref(), Some("5"));
        assert_eq!(of("int4", 'b', 'N').adapt("text", "abc"), None);
        assert_eq!(of("uuid", 'b', 'U').adapt("uuid", "x").as_deref(), Some("x"));
        assert!(!of("int2", 'b', 'N').takes("70000"));
        let mood = ParameterType { labels: vec!["sad".to_owned()], ..of("mood", 'e', 'E') };
        assert!(mood.takes("sad") && !mood.takes("glad"));
    }

    #[test]
    fn every_common_type_has_a_plain_value_that_it_takes() {
        let now = chrono::DateTime::UNIX_EPOCH;
        for (name, category) in [
            ("int2", 'N'),
            ("int8", 'N'),
            ("numeric", 'N'),
            ("bool", 'B'),
            ("date", 'D'),
            ("timestamptz", 'D'),
            ("timestamp", 'D'),
            ("interval", 'T'),
            ("uuid", 'U'),
            ("jsonb", 'U'),
            ("text", 'S'),
            ("varchar", 'S'),
            ("inet", 'I'),
            ("bytea", 'U'),
            ("_int4", 'A'),
        ] {
            let of = of(name, 'b', category);
            let plain = of.plain(now).unwrap_or_else(|| panic!("{name}"));
            assert!(of.takes(&plain), "{name} {plain}");
        }
        assert_eq!(of("thing", 'c', 'C').plain(now), None);
    }

    #[test]
    fn spans_are_rounded_to_their_unit() {
        assert_eq!(interval(30.0 * 86_400e6), "30 days");
        assert_eq!(interval(5.0 * 3_600e6), "5 hours");
        assert_eq!(interval(90e6), "2 minutes");
        assert_eq!(interval(0.0), "1 minutes");
    }
}
