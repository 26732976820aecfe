//! Asks the server what a snapshot must know to be redacted: types, and how texts sort.
//!
//! The replacing itself is pure ([`rules::redact`]). Texts go back to the server that they came from, as bound
//! values, and nowhere else.

use rules::redact::{Facts, Order, Redaction, ValueType};
use rules::snapshot::Snapshot;
use serde::Deserialize;

use crate::postgres::Session;
use crate::sampler::{Query, Reader, SampleError};

const ENUMS: Query = Query { about: "the enum types", sql: include_str!("redact/enums.sql") };
const COLLATIONS: Query =
    Query { about: "the collations", sql: include_str!("redact/collations.sql") };
const EXPRESSIONS: Query = Query {
    about: "the types of indexed expressions",
    sql: include_str!("redact/expressions.sql"),
};
const EXTENDED: Query =
    Query { about: "the types of extended statistics", sql: include_str!("redact/extended.sql") };

/// What reading the order of the texts is called in messages.
const SORTING: &str = "the order of the values";

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Collation {
    name: String,
    sql: String,
}

#[derive(Deserialize)]
struct Typed {
    type_name: String,
    type_kind: char,
    collation: Option<String>,
    modifier: i32,
}

impl From<Typed> for ValueType {
    fn from(of: Typed) -> Self {
        Self {
            name: of.type_name,
            kind: of.type_kind,
            collation: of.collation,
            modifier: of.modifier,
        }
    }
}

#[derive(Deserialize)]
struct Expression {
    schema: String,
    relation: String,
    column: String,
    #[serde(flatten)]
    of: Typed,
}

#[derive(Deserialize)]
struct Extended {
    schema: String,
    name: String,
    table: String,
    columns: Vec<Typed>,
    expressions: Vec<String>,
}

/// Replaces the values of a snapshot of the session's database; see [`rules::redact`].
///
/// # Errors
/// When the server refuses a query or is lost. The snapshot is then as it was, or redacted but not proved.
#[tracing::instrument(level = "debug", skip_all)]
pub async fn redact(session: &Session, snapshot: &mut Snapshot) -> Result<(), SampleError> {
    let reader = Reader { session };
    let facts = facts(&reader).await?;
    let collations: Vec<Collation> = reader.all(&COLLATIONS).await?;
    let redaction = Redaction::new(snapshot, facts);
    let mut places = Vec::new();
    for order in redaction.orders() {
        places.push(sorted(session, &order, &collations).await?);
    }
    for order in redaction.apply(snapshot, &places) {
        let found = sorted(session, &order, &collations).await?;
        let wrong = found.windows(2).filter(|pair| pair[0] > pair[1]).count();
        if wrong > 0 {
            snapshot.intake.notes.push(format!(
                "--redact: {wrong} of {} made-up texts (collation {}) do not sort as the originals do, beside constants \
                 of the schema: ranges over them can be off",
                found.len(),
                order.collation.as_deref().unwrap_or("of the database")
            ));
        }
    }
    Ok(())
}

async fn facts(reader: &Reader<'_>) -> Result<Facts, SampleError> {
    let enums: Vec<Named> = reader.all(&ENUMS).await?;
    let expressions: Vec<Expression> = reader.all(&EXPRESSIONS).await?;
    let mut facts = Facts {
        enums: enums.into_iter().map(|of| of.name).collect(),
        columns: expressions
            .into_iter()
            .map(|known| ((known.schema, known.relation, known.column), known.of.into()))
            .collect(),
        ..Facts::default()
    };
    for object in reader.all::<Extended>(&EXTENDED).await? {
        let mut types: Vec<ValueType> = object.columns.into_iter().map(ValueType::from).collect();
        types.extend(described(reader.session, &object.expressions, &object.table).await);
        facts.extended.insert((object.schema, object.name), types);
    }
    Ok(facts)
}

/// Types of expressions over a table. Nothing is run; where the server refuses they stay unknown, and the
/// statistics are left out.
async fn described(session: &Session, expressions: &[String], table: &str) -> Vec<ValueType> {
    if expressions.is_empty() {
        return Vec::new();
    }
    let sql = format!("SELECT ({}) FROM {table}", expressions.join("), ("));
    let Ok(prepared) = session.prepare(&sql, &[]).await else { return Vec::new() };
    let plain =
        |name: &str| ValueType { name: name.to_owned(), kind: 'b', collation: None, modifier: -1 };
    prepared.columns().map(|(_, of)| plain(of.name())).collect()
}

/// The place of each text in the server's order, equal for equal texts.
async fn sorted(
    session: &Session,
    order: &Order,
    collations: &[Collation],
) -> Result<Vec<u32>, SampleError> {
    let known = |name: &String| collations.iter().find(|collation| collation.name == *name);
    let collate = match order.collation.as_ref().and_then(known) {
        Some(collation) => format!(" COLLATE {}", collation.sql),
        None => String::new(),
    };
    let key = if order.case_blind { "pg_catalog.lower(u.text)" } else { "u.text" };
    let sql = format!(
        "SELECT pg_catalog.array_agg(place::pg_catalog.int4 ORDER BY number) FROM (SELECT u.number, \
         pg_catalog.dense_rank() OVER (ORDER BY {key}{collate}) AS place \
         FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS u (text, number)) AS q"
    );
    let failed = |source| SampleError::Read { about: SORTING, source };
    // The server knows no text with a zero byte, a document of type json can hold one.
    let texts: Vec<String> = order.texts.iter().map(|text| text.replace('\0', "\u{1}")).collect();
    let row = session.query_one(&sql, &[&texts]).await.map_err(failed)?;
    let places: Option<Vec<i32>> = row.try_get(0).map_err(|source| failed(source.into()))?;
    let places = places.unwrap_or_default();
    Ok(places.into_iter().map(|place| u32::try_from(place).unwrap_or(0)).collect())
}
