//! Values in forms that the driver does not have: any type as text, and JSON unparsed.

use std::error::Error;

use bytes::BytesMut;
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

#[cfg(test)]
mod tests {
    use super::{FromSql, RawJson, Type};

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
