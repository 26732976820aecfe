//! What kind of value a text is, which decides how it is replaced.

use std::collections::BTreeSet;

use super::{Facts, ValueType};
use crate::snapshot::{Column, Snapshot};

/// How values are replaced. Values of one class are replaced alike wherever they stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Not at all: what it can be is written in the schema (booleans, enums).
    Kept,
    /// Numbers of every type, on one line.
    Number,
    /// Dates and times, on one line.
    Time,
    /// Texts that sort by one collation.
    Text(Sorting),
    /// The same, blanks at the end counting for nothing (`bpchar`).
    Padded(Sorting),
    /// `uuid`.
    Uuid,
    /// `bytea`.
    Bytes,
    /// `inet`, `cidr`.
    Network,
    /// `json`, `jsonb`.
    Json,
    /// A scalar of a document, as `->>` prints it, or a literal of unknown type: known by its looks.
    Looks,
    /// `tsvector`, and what is asked of one.
    Lexemes,
    /// An array.
    Array(Box<Class>),
    /// A range or multirange.
    Range(Box<Class>),
}

/// How texts sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sorting {
    /// The collation as SQL writes it; `None` for the database's own.
    pub(super) collation: Option<String>,
    /// Whether case counts for nothing (`citext`).
    pub(super) case_blind: bool,
    /// Characters at most, where the type allows few: codes are replaced among themselves.
    pub(super) limit: Option<usize>,
}

/// From this many characters on a type leaves room enough for any replacement.
const LIMIT_MAX: i32 = 16;

/// What `atttypmod` of a text counts beside its characters (`VARHDRSZ`).
const HEADER: i32 = 4;

/// Ranges by the class of their bounds.
const RANGES: [(&str, Class); 6] = [
    ("int4", Class::Number),
    ("int8", Class::Number),
    ("num", Class::Number),
    ("date", Class::Time),
    ("ts", Class::Time),
    ("tstz", Class::Time),
];

impl Class {
    /// Texts under the database's own collation.
    pub(super) fn text() -> Self {
        Self::Text(Sorting::default())
    }

    /// The class of a type; `None` when its values cannot be replaced.
    pub(super) fn of(of: &ValueType, enums: &BTreeSet<String>) -> Option<Self> {
        let collation = of.collation.clone().filter(|name| name != "default");
        let characters = of.modifier.saturating_sub(HEADER);
        let few = (1..LIMIT_MAX).contains(&characters);
        let limit = usize::try_from(characters).ok().filter(|_| few);
        let sorting =
            |case_blind, limit| Sorting { collation: collation.clone(), case_blind, limit };
        match of.name.as_str() {
            "bool" => Some(Self::Kept),
            "int2" | "int4" | "int8" | "oid" | "numeric" | "float4" | "float8" => {
                Some(Self::Number)
            }
            "date" | "timestamp" | "timestamptz" => Some(Self::Time),
            "text" | "name" => Some(Self::Text(sorting(false, None))),
            "varchar" => Some(Self::Text(sorting(false, limit))),
            "bpchar" => Some(Self::Padded(sorting(false, limit))),
            "citext" => Some(Self::Text(sorting(true, None))),
            "uuid" => Some(Self::Uuid),
            "bytea" => Some(Self::Bytes),
            "inet" | "cidr" => Some(Self::Network),
            "json" | "jsonb" => Some(Self::Json),
            "tsvector" | "tsquery" => Some(Self::Lexemes),
            name if of.kind == 'e' || enums.contains(name) => Some(Self::Kept),
            name if name.starts_with('_') => {
                let element = ValueType {
                    name: name.trim_start_matches('_').to_owned(),
                    kind: 'b',
                    collation: of.collation.clone(),
                    modifier: of.modifier,
                };
                Some(Self::Array(Box::new(Self::of(&element, enums)?)))
            }
            name => {
                let stem =
                    name.strip_suffix("multirange").or_else(|| name.strip_suffix("range"))?;
                let found = RANGES.into_iter().find(|(subtype, _)| *subtype == stem)?;
                Some(Self::Range(Box::new(found.1)))
            }
        }
    }

    /// The class of a column.
    pub(super) fn of_column(column: &Column, facts: &Facts) -> Option<Self> {
        let of = ValueType {
            name: column.base_type.clone(),
            kind: column.type_kind,
            collation: column.collation.clone(),
            modifier: column.type_modifier,
        };
        Self::of(&of, &facts.enums)
    }

    /// The class of elements, for an array or a document of words; else its own.
    pub(super) fn element(&self) -> &Self {
        match self {
            Self::Array(element) => element,
            other => other,
        }
    }
}

/// The column's class, by its name.
pub(super) fn of_named(
    snapshot: &Snapshot,
    facts: &Facts,
    (schema, table, column): &super::ColumnKey,
) -> Option<Class> {
    match facts.columns.get(&(schema.clone(), table.clone(), column.clone())) {
        Some(of) => Class::of(of, &facts.enums),
        None => Class::of_column(snapshot.table_named(schema, table)?.column(column)?, facts),
    }
}
