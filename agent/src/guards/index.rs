//! What guards look at of an index that is to be made.

use std::collections::BTreeMap;
use std::time::Duration;

use rules::btree::lets_values_grow;
use rules::change_plan::Action;
use rules::evidence::Fact;
use rules::guards::{KeyFacts, PlannedIndex, TableFacts};
use rules::index::{IndexDefinition, Key, Term};

use super::{if_told, unsigned};
use crate::postgres::{PgError, Session};

/// Bytes of a table that a build gets through in a second on slow disks, its sort included; a tenth of that is its time
/// limit.
const BUILD_BYTES_PER_SECOND: u64 = 10 << 20;

/// What the plan expects of a new index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expected {
    /// Bytes on disk.
    bytes: Option<u64>,
    /// Share of the table's updates that it ends to be HOT.
    ends_hot: Option<f64>,
}

impl Expected {
    /// Of the index on one partition, which has this share of the rows: so many bytes of so many.
    pub(super) fn share(&self, bytes: u64, of: u64) -> Self {
        let part = bytes as f64 / of.max(1) as f64;
        Self { bytes: self.bytes.map(|whole| (whole as f64 * part) as u64), ..self.clone() }
    }

    /// As an action says.
    pub(crate) fn of(action: &Action) -> Self {
        let ends_hot = action.confidence.terms.iter().find_map(|term| match term.fact {
            Fact::EndsHot { share } => Some(share),
            _ => None,
        });
        Self { bytes: action.impact.bytes.and_then(|bytes| u64::try_from(bytes).ok()), ends_hot }
    }
}

/// What the catalog and the statistics say of one column.
struct Column {
    unbounded: bool,
    longest: Option<u64>,
    width: Option<f64>,
    null_fraction: Option<f64>,
    leakproof: Option<bool>,
}

/// Reads what guards look at of an index.
pub(crate) async fn planned(
    session: &Session,
    table: &TableFacts,
    definition: &IndexDefinition,
    expected: &Expected,
) -> Result<PlannedIndex, PgError> {
    let mut columns = BTreeMap::new();
    for key in &definition.keys {
        if let Term::Column(name) = &key.term {
            columns.insert(name.as_str(), column(session, table, definition, key, name).await?);
        }
    }
    let facts = |key: &Key| match &key.term {
        // Rules make no index on an expression that can fail or grow.
        Term::Expression(sql) => KeyFacts { name: sql.clone(), ..KeyFacts::default() },
        Term::Column(name) => {
            let Some(Some(column)) = columns.get(name.as_str()) else {
                return KeyFacts { name: name.clone(), ..KeyFacts::default() };
            };
            KeyFacts {
                name: name.clone(),
                unbounded: column.unbounded,
                longest: column.longest,
                width: column.width,
                null_fraction: column.null_fraction,
                leakproof: column.leakproof,
            }
        }
    };
    Ok(PlannedIndex {
        method: definition.method.clone(),
        bytes: expected.bytes,
        time: Duration::from_secs(1 + table.bytes / BUILD_BYTES_PER_SECOND),
        ends_hot: expected.ends_hot,
        keys: definition.keys.iter().map(facts).collect(),
    })
}

/// Type, statistics and operators of a column; `None` where it is not there or its statistics cannot be read.
async fn column(
    session: &Session,
    table: &TableFacts,
    definition: &IndexDefinition,
    key: &Key,
    name: &str,
) -> Result<Option<Column>, PgError> {
    // Equality stands for a B-tree; of the other methods all operators count. A varchar column has text's operators.
    let sql = "SELECT a.attlen <= 0, t.typcategory::text, a.atttypmod, s.avg_width, s.null_frac::double precision, \
            (SELECT max(pg_catalog.octet_length(v)) FROM pg_catalog.unnest(\
                coalesce(s.most_common_vals::text::text[], '{}') || coalesce(s.histogram_bounds::text::text[], '{}')) v)::bigint, \
            (SELECT pg_catalog.bool_and(p.proleakproof) FROM pg_catalog.pg_opclass o \
             JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod JOIN pg_catalog.pg_amop f ON f.amopfamily = o.opcfamily \
             JOIN pg_catalog.pg_operator x ON x.oid = f.amopopr JOIN pg_catalog.pg_proc p ON p.oid = x.oprcode \
             WHERE m.amname = $4 AND (o.opcname = $5 OR $5 IS NULL AND o.opcdefault) \
             AND o.opcintype = CASE WHEN t.oid = 'pg_catalog.varchar'::pg_catalog.regtype \
                                    THEN 'pg_catalog.text'::pg_catalog.regtype ELSE t.oid END \
             AND f.amoplefttype = o.opcintype AND (m.amname <> 'btree' OR f.amoprighttype = o.opcintype AND f.amopstrategy = 3)) \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname::text = $3 AND NOT a.attisdropped \
        JOIN pg_catalog.pg_type d ON d.oid = a.atttypid \
        JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END \
        LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname \
        WHERE n.nspname::text = $1 AND c.relname::text = $2 ORDER BY s.inherited LIMIT 1";
    let class = key.opclass.as_deref().map(plain);
    let asked = session
        .query_opt(sql, &[&table.schema, &table.name, &name, &definition.method, &class])
        .await;
    let Some(row) = if_told(asked)?.flatten() else { return Ok(None) };
    let (variable, category): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
    let (modifier, width): (i32, Option<i32>) = (row.try_get(2)?, row.try_get(3)?);
    let longest: Option<i64> = row.try_get(5)?;
    let category = category.chars().next().unwrap_or('X');
    Ok(Some(Column {
        unbounded: variable && lets_values_grow(category, modifier),
        longest: longest.map(unsigned),
        width: width.map(f64::from),
        null_fraction: row.try_get(4)?,
        leakproof: row.try_get(6)?,
    }))
}

/// The name of an operator class without its schema and quotes.
fn plain(class: &str) -> String {
    class.rsplit('.').next().unwrap_or(class).trim_matches('"').to_owned()
}
