//! Values in forms that the driver does not have: any type as text, JSON unparsed, and times without an end.

use std::error::Error;

use bytes::BytesMut;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A value in the text form of whatever type the parameter has; the server reads it with that
/// type's input function. `None` is NULL.
#[derive(Debug)]
pub(super) struct AsText<'a>(pub(super) Option<&'a str>);

impl ToSql for AsText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A `json` or `jsonb` value as its text, for those who parse it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(pub String);

impl<'a> FromSql<'a> for RawJson {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // The binary form of jsonb is a version byte and the text.
        let text = match (ty, raw.split_first()) {
            (&Type::JSONB, Some((1, text))) => text,
            (&Type::JSONB, _) => return Err("unknown version of jsonb".into()),
            _ => raw,
        };
        Ok(Self(String::from_utf8(text.to_vec())?))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::JSON | Type::JSONB)
    }
}

/// The last instant of the year 9999: what `infinity` and everything after it is read as.
pub const FOR_EVER: DateTime<Utc> =
    DateTime::from_timestamp(253_402_300_799, 0).expect("a year of four digits");

/// The first instant of the year 1: what `-infinity` and everything before it is read as.
const LONG_PAST: DateTime<Utc> =
    DateTime::from_timestamp(-62_135_596_800, 0).expect("a year of our era");

/// A `timestamptz` that a person may have set to `infinity`, or to a year that no calendar of ours holds: brought
/// within the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(pub DateTime<Utc>);

impl<'a> FromSql<'a> for Instant {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // Microseconds since the year 2000; the least and the greatest number are the infinities.
        let since_2000 = i64::from_be_bytes(raw.try_into()?);
        let epoch = DateTime::from_timestamp(946_684_800, 0).unwrap_or_default();
        let at = epoch.checked_add_signed(TimeDelta::microseconds(since_2000));
        let beyond = if since_2000 < 0 { LONG_PAST } else { FOR_EVER };
        Ok(Self(at.unwrap_or(beyond).clamp(LONG_PAST, FOR_EVER)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

#[cfg(test)]
mod tests {
    use super::{FOR_EVER, FromSql, Instant, LONG_PAST, RawJson, Type};

    #[test]
    fn times_without_an_end_are_far_away() {
        let read =
            |micros: i64| Instant::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes()).unwrap().0;
        assert_eq!(read(1_500_000).to_rfc3339(), "2000-01-01T00:00:01.500+00:00");
        assert_eq!((read(i64::MAX), read(i64::MIN)), (FOR_EVER, LONG_PAST));
        // The server's last year, 294276.
        assert_eq!(read(9_223_371_331_199_999_999), FOR_EVER);
        assert_eq!(FOR_EVER.to_rfc3339(), "9999-12-31T23:59:59+00:00");
        assert_eq!(LONG_PAST.to_rfc3339(), "0001-01-01T00:00:00+00:00");
        assert!(Instant::from_sql(&Type::TIMESTAMPTZ, b"short").is_err());
    }

    #[test]
    fn json_keeps_its_spelling() {
        let json = |ty: &Type, raw: &[u8]| RawJson::from_sql(ty, raw).map(|json| json.0).ok();
        assert_eq!(json(&Type::JSON, b"{\"a\": 1.50}").as_deref(), Some("{\"a\": 1.50}"));
        assert_eq!(json(&Type::JSONB, b"\x01[1]").as_deref(), Some("[1]"));
        assert_eq!(json(&Type::JSONB, b"\x02[1]"), None);
        assert_eq!(json(&Type::JSON, b"\xff"), None);
        assert!(!RawJson::accepts(&Type::TEXT));
    }
}
