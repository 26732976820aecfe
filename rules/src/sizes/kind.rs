//! Types of expressions, as far as the size of an index depends on them.

use crate::snapshot::Table;
use crate::statement::{Call, Expr, ExprLiteral as Literal};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A truth.
    Boolean,
    /// An integer of this many bytes.
    Integer(u8),
    /// A float of this many bytes.
    Float(u8),
    /// Of any precision.
    Numeric,
    /// A day.
    Date,
    /// A moment, with or without time zone.
    Timestamp,
    /// A span of time.
    Interval,
    /// Text of any kind.
    Text,
    /// jsonb.
    Document,
    /// An array, by the size of its elements; 0 for those of varying length.
    Array(u8),
    /// A `tsvector`.
    Lexemes,
    /// Any other type of fixed length (0 for varying), which is not computed with.
    Other(u8),
}

impl Kind {
    /// The kind of a type by its name in `pg_type` or as written in a cast.
    pub(super) fn of_type(name: &str) -> Option<Self> {
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        let name = name.split_once('(').map_or(name, |(base, _)| base.trim());
        Some(match name {
            "bool" | "boolean" => Self::Boolean,
            "int2" | "smallint" => Self::Integer(2),
            "int4" | "int" | "integer" => Self::Integer(4),
            "int8" | "bigint" => Self::Integer(8),
            "float4" | "real" => Self::Float(4),
            "float8" | "double precision" => Self::Float(8),
            "numeric" | "decimal" => Self::Numeric,
            "date" => Self::Date,
            "timestamp"
            | "timestamptz"
            | "timestamp without time zone"
            | "timestamp with time zone" => Self::Timestamp,
            "text" | "varchar" | "bpchar" | "character varying" | "citext" | "name" => Self::Text,
            "jsonb" | "json" => Self::Document,
            "tsvector" => Self::Lexemes,
            "uuid" => Self::Other(16),
            "interval" => Self::Interval,
            _ => {
                let element = Self::of_type(name.strip_prefix('_')?)?;
                Self::Array(element.fixed_bytes())
            }
        })
    }

    /// Bytes of a value of fixed length, else 0.
    pub(super) fn fixed_bytes(self) -> u8 {
        match self {
            Self::Boolean => 1,
            Self::Integer(bytes) | Self::Float(bytes) | Self::Other(bytes) => bytes,
            Self::Date => 4,
            Self::Timestamp => 8,
            Self::Interval => 16,
            Self::Numeric | Self::Text | Self::Document | Self::Array(_) | Self::Lexemes => 0,
        }
    }

    /// Alignment in bytes.
    pub(super) fn align(self) -> u8 {
        match self {
            Self::Other(16) => 1,
            _ => self.fixed_bytes().clamp(1, 8).max(if self.fixed_bytes() == 0 { 4 } else { 1 }),
        }
    }

    /// Whether equal values are equal bytes for a B-tree.
    pub(super) fn deduplicates(self) -> bool {
        !matches!(
            self,
            Self::Numeric
                | Self::Float(_)
                | Self::Interval
                | Self::Document
                | Self::Array(_)
                | Self::Lexemes
        )
    }

    /// Bytes of a printed value in a row, with its header.
    pub(super) fn bytes(self, text: &str) -> f64 {
        let varying = match self {
            Self::Numeric => numeric_bytes(text),
            _ => text.len() as f64,
        };
        match self.fixed_bytes() {
            0 if varying <= 126.0 => varying + 1.0,
            0 => varying + 4.0,
            fixed => f64::from(fixed),
        }
    }
}

/// Bytes of a number without its length: a header of two and two for each four digits (`numeric.c`).
fn numeric_bytes(text: &str) -> f64 {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    2.0 + 2.0 * (whole.len().div_ceil(4) + fraction.len().div_ceil(4)) as f64
}

/// The kind of an expression over a table's columns; `None` where it cannot be told. `version` is the server's.
pub(super) fn kind_of(expr: &Expr, table: &Table, version: u32) -> Option<Kind> {
    match expr {
        Expr::Column(_, name) => {
            let column = table.column(name)?;
            let fixed = u8::try_from(column.length).unwrap_or(0);
            Some(Kind::of_type(&column.base_type).unwrap_or(Kind::Other(fixed)))
        }
        Expr::Constant(text, Literal::Number) if text.contains('.') => Some(Kind::Numeric),
        Expr::Constant(_, Literal::Number) => Some(Kind::Integer(4)),
        Expr::Constant(..) => Some(Kind::Text),
        Expr::Cast(_, to) => Kind::of_type(to),
        Expr::Collate(value, _) => kind_of(value, table, version),
        Expr::Keyword(_, list) => list.iter().find_map(|part| kind_of(part, table, version)),
        Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::Test(..)
        | Expr::In(..)
        | Expr::Any { .. } => Some(Kind::Boolean),
        Expr::Operator(left, operator, right) => {
            let left = left.as_deref().unwrap_or(right);
            of_operator(operator, kind_of(left, table, version)?, kind_of(right, table, version)?)
        }
        Expr::Call(call) => of_call(call, table, version),
        _ => None,
    }
}

fn of_operator(operator: &str, left: Kind, right: Kind) -> Option<Kind> {
    Some(match operator {
        "->>" | "#>>" => Kind::Text,
        "->" | "#>" => Kind::Document,
        "||" if matches!(left, Kind::Document | Kind::Lexemes | Kind::Array(_)) => left,
        "||" => Kind::Text,
        "+" | "-" | "*" | "/" | "%" => match (left, right) {
            (Kind::Integer(left), Kind::Integer(right)) => Kind::Integer(left.max(right)),
            (Kind::Float(_), _) | (_, Kind::Float(_)) => Kind::Float(8),
            (Kind::Numeric, _) | (_, Kind::Numeric) => Kind::Numeric,
            (Kind::Date, Kind::Integer(_)) => Kind::Date,
            (Kind::Date, Kind::Date) => Kind::Integer(4),
            (Kind::Timestamp | Kind::Date, Kind::Timestamp | Kind::Date) => Kind::Interval,
            (Kind::Timestamp | Kind::Date, _) => Kind::Timestamp,
            (Kind::Interval, _) => Kind::Interval,
            _ => return None,
        },
        _ => Kind::Boolean,
    })
}

fn of_call(call: &Call, table: &Table, version: u32) -> Option<Kind> {
    let first = || call.arguments.first();
    Some(match call.name.as_str() {
        "lower" | "upper" => match first()?.uncast() {
            Expr::Column(_, name) => match table.column(name)?.base_type.as_str() {
                "int4range" => Kind::Integer(4),
                "int8range" => Kind::Integer(8),
                "numrange" => Kind::Numeric,
                "daterange" => Kind::Date,
                "tsrange" | "tstzrange" => Kind::Timestamp,
                _ => Kind::Text,
            },
            _ => Kind::Text,
        },
        "initcap"
        | "reverse"
        | "trim"
        | "btrim"
        | "ltrim"
        | "rtrim"
        | "md5"
        | "left"
        | "right"
        | "substr"
        | "substring"
        | "split_part"
        | "replace"
        | "concat"
        | "concat_ws"
        | "host"
        | "jsonb_extract_path_text"
        | "json_extract_path_text" => Kind::Text,
        "length" | "char_length" | "character_length" | "octet_length" | "cardinality"
        | "array_length" => Kind::Integer(4),
        "date" => Kind::Date,
        "timezone" | "date_trunc" => Kind::Timestamp,
        "extract" if version >= 140_000 => Kind::Numeric,
        "extract" | "date_part" => Kind::Float(8),
        "abs" => kind_of(first()?, table, version)?,
        "round" | "floor" | "ceil" | "ceiling" => match kind_of(first()?, table, version)? {
            Kind::Numeric => Kind::Numeric,
            _ => Kind::Float(8),
        },
        "jsonb_extract_path" => Kind::Document,
        "to_tsvector" | "setweight" => Kind::Lexemes,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn numbers_take_two_bytes_for_four_digits() {
        assert!((Kind::Numeric.bytes("1234.5") - 7.0).abs() < 1e-9);
        assert!((Kind::Numeric.bytes("0") - 3.0).abs() < 1e-9);
        assert!((Kind::Integer(4).bytes("1234") - 4.0).abs() < 1e-9);
        assert!((Kind::Text.bytes("1234") - 5.0).abs() < 1e-9);
    }

    #[test]
    fn types_are_known_by_either_name() {
        assert_eq!(Kind::of_type("numeric(10,2)"), Kind::of_type("pg_catalog.numeric"));
        assert_eq!(Kind::of_type("_int8"), Some(Kind::Array(8)));
        assert_eq!(Kind::of_type("_text"), Some(Kind::Array(0)));
        assert_eq!((Kind::of_type("point"), Kind::Other(16).align()), (None, 1));
    }
}
