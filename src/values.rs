//! The values that options and configuration file share, each read in one way.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use uuid::Uuid;

/// A value that could not be read; the text says what is expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(String);

impl Unreadable {
    /// A path that cannot be looked at, where a size or a path was expected.
    pub(crate) fn path(path: &Path, error: &std::io::Error) -> Self {
        let path = path.display();
        Self(format!(
            "cannot look at `{path}` on this machine ({error}); a size such as 500GB will do as well"
        ))
    }

    /// The same where something else would do as well.
    pub(crate) fn or(self, what: &str) -> Self {
        Self(format!("{}, or {what}", self.0))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Splits `1.5 GiB` into number and unit.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse::<f64>().ok()?;
    Some((number, text[end..].trim()))
}

/// A number of bytes, written as PostgreSQL writes sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

impl FromStr for ByteSize {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            Unreadable(
                "expected a size such as 500MB, 2GB or 1.5 GiB, or a plain number of bytes (1 kB is 1024 bytes)"
                    .to_owned(),
            )
        };
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        // As PostgreSQL counts: kB, MB, GB and TB are powers of 1024 (documentation, section 20.1.1).
        let power = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 1,
            "m" | "mb" | "mib" => 2,
            "g" | "gb" | "gib" => 3,
            "t" | "tb" | "tib" => 4,
            _ => return Err(wrong()),
        };
        let bytes = number * 1024_f64.powi(power);
        if bytes > i64::MAX as f64 {
            return Err(Unreadable("expected a size under 8192 PB".to_owned()));
        }
        Ok(Self(bytes.round() as u64))
    }
}

/// The gate of `--apply`: 0.5 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gate(pub(crate) f64);

impl Gate {
    /// Nine in ten.
    pub(crate) const DEFAULT: Self = Self(0.90);

    fn new(value: f64) -> Result<Self, Unreadable> {
        if (0.5..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Unreadable("expected a probability from 0.5 to 1.0, such as 0.90".to_owned()))
        }
    }
}

impl FromStr for Gate {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.trim().parse().unwrap_or(f64::NAN))
    }
}

/// A whole number, at least `LEAST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<const LEAST: u32>(pub(crate) u32);

impl<const LEAST: u32> Whole<LEAST> {
    fn new(value: f64) -> Result<Self, Unreadable> {
        if value.fract() == 0.0 && (f64::from(LEAST)..=f64::from(u32::MAX)).contains(&value) {
            Ok(Self(value as u32))
        } else {
            Err(Unreadable(format!("expected a whole number, at least {LEAST}")))
        }
    }
}

impl<const LEAST: u32> FromStr for Whole<LEAST> {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim().parse::<u32>().map_or(f64::NAN, f64::from);
        Self::new(digits)
    }
}

/// A number of milliseconds, not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Milliseconds(pub(crate) f64);

impl Milliseconds {
    fn new(value: f64) -> Result<Self, Unreadable> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(Unreadable("expected a number of milliseconds, such as 0.5 or 20".to_owned()))
        }
    }
}

impl FromStr for Milliseconds {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.trim().parse().unwrap_or(f64::NAN))
    }
}

/// How long to wait, zero included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl FromStr for Wait {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        span(text).and_then(|span| span.to_std().ok()).map(Self).ok_or_else(|| {
            Unreadable(
                "expected a duration such as 30s, 10min or 1h, of 100 years at most".to_owned(),
            )
        })
    }
}

/// How long a statement may wait for a lock: not for ever, as PostgreSQL takes 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockTimeout(pub(crate) Duration);

impl LockTimeout {
    /// The server counts milliseconds in 32 bits.
    const MOST: Duration = Duration::from_hours(24 * 24);
}

impl FromStr for LockTimeout {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Wait(wait) = text.parse()?;
        if (Duration::from_millis(1)..=Self::MOST).contains(&wait) {
            return Ok(Self(wait));
        }
        Err(Unreadable("expected a duration of at least 1ms, and 24 days at most".to_owned()))
    }
}

/// Reads the number of a run.
pub(crate) fn run(text: &str) -> Result<Uuid, Unreadable> {
    text.trim().parse().map_err(|_| {
        Unreadable(
            "expected the number of a run as `pgwright log` prints it, such as 67e55044-10b1-426f-9247-bb680e5fe0c8"
                .to_owned(),
        )
    })
}

/// An instant, given as such or as a time ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// An instant.
    At(DateTime<Utc>),
    /// So long before now.
    Ago(TimeDelta),
}

impl Since {
    /// The instant, given what time it is.
    pub(crate) fn instant(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(instant) => instant,
            Self::Ago(span) => now - span,
        }
    }
}

impl FromStr for Since {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = DateTime::parse_from_rfc3339(text.trim()) {
            return Ok(Self::At(instant.to_utc()));
        }
        span(text).map(Self::Ago).ok_or_else(|| {
            Unreadable(
                "expected an instant with its zone such as 2026-03-01T08:00:00Z, or a time ago such as 90min, 2h or `3 days`, of \
                 100 years at most"
                    .to_owned(),
            )
        })
    }
}

/// Reads `2h`, `3 days`, `1d 12h`.
fn span(text: &str) -> Option<TimeDelta> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, tail) = number_and_unit(rest)?;
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let unit = match tail[..end].to_ascii_lowercase().as_str() {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = tail[end..].trim_start();
    }
    // A century is beyond any journal and keeps the subtraction within the calendar.
    (seconds <= 36_525.0 * 86_400.0)
        .then(|| TimeDelta::milliseconds((seconds * 1000.0).round() as i64))
}

/// Reads a value that a file may give as a number or as a text.
struct NumberOrText<T>(fn(f64) -> Result<T, Unreadable>, &'static str);

impl<T: FromStr<Err = Unreadable>> Visitor<'_> for NumberOrText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        (self.0)(value as f64).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        (self.0)(value).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = |value: f64| value.to_string().parse();
        deserializer.deserialize_any(NumberOrText(bytes, "a size such as \"2GB\""))
    }
}

impl<'de> Deserialize<'de> for Gate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText(Self::new, "a probability such as 0.90"))
    }
}

impl<'de, const LEAST: u32> Deserialize<'de> for Whole<LEAST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText(Self::new, "a whole number"))
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for LockTimeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText(Self::new, "a number of milliseconds"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{ByteSize, Gate, LockTimeout, Milliseconds, Since, Wait, Whole};

    #[test]
    fn sizes_are_read_as_postgresql_writes_them() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(|size| size.0).ok();
        assert_eq!(bytes("500MB"), Some(500 << 20));
        assert_eq!(bytes("2GB"), Some(2 << 30));
        assert_eq!(bytes(" 1.5 GiB "), Some(3 << 29));
        assert_eq!(bytes("64kB"), Some(64 << 10));
        assert_eq!(bytes("1tb"), Some(1 << 40));
        assert_eq!(bytes("8192"), Some(8192));
        assert_eq!(bytes("0"), Some(0));
        for wrong in
            ["banana", "", "GB", "-1GB", "2 bananas", "1.2.3GB", "1e9", "99999999TB", "2GB2", "NaN"]
        {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        let message = "banana".parse::<ByteSize>().unwrap_err().to_string();
        assert!(message.contains("500MB") && message.contains("1024"), "{message}");
    }

    #[test]
    fn the_gate_is_a_probability_from_a_half_on() {
        assert_eq!("0.95".parse(), Ok(Gate(0.95)));
        assert_eq!("1".parse(), Ok(Gate(1.0)));
        for wrong in ["0.49", "1.01", "90", "90%", "", "nan", "inf"] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_are_whole_and_bounded() {
        assert_eq!("7".parse(), Ok(Whole::<1>(7)));
        assert_eq!("0".parse(), Ok(Whole::<0>(0)));
        for wrong in ["0", "-1", "1.5", "1e3", "99999999999", "many", ""] {
            assert!(wrong.parse::<Whole<1>>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn milliseconds_are_not_negative() {
        assert_eq!("0.5".parse(), Ok(Milliseconds(0.5)));
        for wrong in ["-1", "inf", "nan", "2s", ""] {
            assert!(wrong.parse::<Milliseconds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wait_has_a_unit() {
        let seconds = |text: &str| text.parse::<Wait>().map(|wait| wait.0.as_secs()).ok();
        assert_eq!((seconds("0s"), seconds("10min")), (Some(0), Some(600)));
        for wrong in ["10", "-1s", "soon", "", "40000d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        let millis = |text: &str| text.parse::<LockTimeout>().map(|wait| wait.0.as_millis()).ok();
        assert_eq!((millis("1ms"), millis("3s")), (Some(1), Some(3000)));
        for wrong in ["0s", "0ms", "25d", "3"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
        let told = "40000d".parse::<Wait>().unwrap_err().to_string();
        assert!(told.contains("100 years at most"), "{told}");
    }

    #[test]
    fn since_takes_an_instant_or_a_time_ago() {
        let now = DateTime::parse_from_rfc3339("2026-03-10T12:00:00Z").unwrap().to_utc();
        let at =
            |text: &str| text.parse::<Since>().map(|since| since.instant(now).to_rfc3339()).ok();
        assert_eq!(at("2026-03-01T08:00:00+02:00").as_deref(), Some("2026-03-01T06:00:00+00:00"));
        assert_eq!(at("2h").as_deref(), Some("2026-03-10T10:00:00+00:00"));
        assert_eq!(at("3 days").as_deref(), Some("2026-03-07T12:00:00+00:00"));
        assert_eq!(at("1d 12h").as_deref(), Some("2026-03-09T00:00:00+00:00"));
        assert_eq!(at("90 min").as_deref(), Some("2026-03-10T10:30:00+00:00"));
        assert_eq!("1.5h".parse(), Ok(Since::Ago(TimeDelta::minutes(90))));
        for wrong in [
            "",
            "yesterday",
            "2026-03-01",
            "2",
            "h",
            "2 fortnights",
            "-2h",
            "9999999 weeks",
            "2h ago",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
