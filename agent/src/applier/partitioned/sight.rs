//! What the catalog shows of an index on a partitioned table.

use std::collections::BTreeMap;

use rules::change_plan::TableRef;
use rules::index::IndexDefinition;
use rules::partitions::{Branch, Part, Sight, Stands};
use rules::statement::index_shape::IndexShape;

use super::super::catalog;
use super::super::create_index::{changed, renamed};
use crate::postgres::{PgError, Row, Session};

/// The index that is looked for.
pub(super) struct Wanted<'a> {
    pub(super) table: &'a TableRef,
    pub(super) name: &'a str,
    pub(super) definition: &'a IndexDefinition,
    /// As the server printed it once it was made.
    pub(super) recorded: Option<&'a str>,
    /// Its oid, once it was made.
    pub(super) oid: Option<u32>,
    /// Columns that people have renamed since: today's name -> the one that was planned with.
    pub(super) renamed: &'a BTreeMap<String, String>,
    pub(super) parts: &'a [Part],
}

/// The partitions below a table, parents before their children. One that is being detached is none any more.
pub(super) async fn branches(session: &Session, table: u32) -> Result<Vec<Branch>, PgError> {
    let sql = "WITH RECURSIVE tree (oid, above, level) AS ( \
            SELECT h.inhrelid, h.inhparent, 1 FROM pg_catalog.pg_inherits h WHERE h.inhparent = $1 AND NOT h.inhdetachpending \
            UNION ALL SELECT h.inhrelid, h.inhparent, t.level + 1 FROM tree t \
            JOIN pg_catalog.pg_inherits h ON h.inhparent = t.oid WHERE NOT h.inhdetachpending) \
        SELECT c.oid, n.nspname::text, c.relname::text, t.above, c.relkind = 'p' \
        FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        ORDER BY t.level, 2, 3";
    let read = |row: &Row| -> Result<Branch, PgError> {
        let table =
            TableRef { oid: row.try_get(0)?, schema: row.try_get(1)?, name: row.try_get(2)? };
        Ok(Branch { table, above: row.try_get(3)?, partitioned: row.try_get(4)? })
    };
    session.query(sql, &[&table]).await?.iter().map(read).collect()
}

/// An index on one of the tables.
struct Seen {
    table: TableRef,
    index: Option<SeenIndex>,
}

struct SeenIndex {
    oid: u32,
    name: String,
    usable: bool,
    definition: String,
    /// The index that it is attached to.
    above: Option<u32>,
    /// What it serves besides being an index.
    serves: Option<String>,
    /// Whether it has a comment, which would be a person's.
    comment: bool,
    bytes: i64,
}

/// Looks at everything; with it, how many bytes there are of it.
pub(super) async fn look(
    session: &Session,
    wanted: &Wanted<'_>,
    back: bool,
) -> Result<(Sight, i64), PgError> {
    let branches = branches(session, wanted.table.oid).await?;
    let seen = indexes(session, wanted).await?;
    let index = |place: usize| seen[place].as_ref()?.index.as_ref();
    let ours: Vec<u32> =
        (0..seen.len()).filter_map(index).map(|index: &SeenIndex| index.oid).collect();
    let parts = wanted.parts.iter().zip(&seen[1..]).map(|(part, seen)| {
        let Some(seen) = seen else { return (part.clone(), Stands::Absent) };
        let part = Part { table: seen.table.clone(), ..part.clone() };
        let stands = stands(wanted, &part.full(), seen, &ours, None);
        (part, stands)
    });
    let parts = parts.collect();
    let (table, whole) = match &seen[0] {
        None => (None, Stands::Absent),
        Some(seen) => {
            let full = rules::quote::qualified(&seen.table.schema, wanted.name);
            let recorded = wanted.recorded.filter(|_| back);
            let stands = match &seen.index {
                Some(index) if index.name != wanted.name => {
                    let schema = &seen.table.schema;
                    Stands::Other(renamed("INDEX", &full, schema, &index.name, wanted.name))
                }
                _ => stands(wanted, &full, seen, &ours, recorded),
            };
            (Some(seen.table.clone()), stands)
        }
    };
    let serves = (0..seen.len()).find_map(|place| {
        let index = index(place)?;
        let has_comment = (back && index.comment).then(|| "has a comment".to_owned());
        let what = index.serves.as_ref().map(|what| format!("serves {what}")).or(has_comment)?;
        let table = seen[place].as_ref()?.table.qualified();
        Some(format!("its index on {table} meanwhile {what}; take that away first"))
    });
    let busy = match serves {
        None if back => stranger(session, &ours).await?,
        serves => serves,
    };
    let bytes = (0..seen.len()).filter_map(index).map(|index| index.bytes).sum();
    Ok((Sight { table, whole, branches, parts, busy }, bytes))
}

fn stands(
    wanted: &Wanted<'_>,
    full: &str,
    seen: &Seen,
    ours: &[u32],
    recorded: Option<&str>,
) -> Stands {
    let Some(index) = &seen.index else { return Stands::Absent };
    // The whole is printed with ONLY, which makes no other index of it.
    let shape = |printed: &str| IndexShape::of(&printed.replacen(" ON ONLY ", " ON ", 1));
    let as_recorded = recorded.is_none_or(|recorded| {
        shape(recorded)
            .and_then(|recorded| {
                let now = shape(&index.definition)?.with_columns(wanted.renamed);
                Ok(recorded.is_same_elsewhere(&now))
            })
            .unwrap_or(false)
    });
    if !as_recorded || !wanted.definition.is_printed_under(&index.definition, wanted.renamed) {
        return Stands::Other(changed(full, &index.definition));
    }
    match index.above {
        Some(above) if !ours.contains(&above) => Stands::Other(format!(
            "{full} is attached to an index by now that is not pgwright's, and goes with that"
        )),
        _ if index.usable => Stands::Usable,
        _ => Stands::Unusable,
    }
}

/// The index of the whole and those of the parts, in this order; `None` where the table is gone.
async fn indexes(session: &Session, wanted: &Wanted<'_>) -> Result<Vec<Option<Seen>>, PgError> {
    let sql = "SELECT w.n, t.oid, s.nspname::text, t.relname::text, i.oid, i.usable, i.definition, i.above, i.serves, i.bytes, i.name, i.comment \
        FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.oid[])) \
             WITH ORDINALITY AS w (tab, idx, oid, n) \
        JOIN pg_catalog.pg_class t ON t.oid = w.tab JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace \
        LEFT JOIN LATERAL ( \
            SELECT c.oid, c.relname::text AS name, x.indisvalid AND x.indisready AND x.indislive AS usable, \
                pg_catalog.pg_get_indexdef(c.oid) AS definition, \
                (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid) AS above, \
                CASE WHEN x.indisunique THEN 'uniqueness' WHEN x.indisreplident THEN 'replica identity' \
                     WHEN x.indisclustered THEN 'CLUSTER' \
                     WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid) THEN 'a constraint' \
                     WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype IN ('e', 'x') AND d.objid = c.oid \
                         AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass) THEN 'an extension' \
                     WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype NOT IN ('P', 'S') AND d.refobjid = c.oid \
                         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) THEN 'another object' END AS serves, \
                pg_catalog.obj_description(c.oid, 'pg_class') IS NOT NULL AS comment, \
                coalesce(pg_catalog.pg_relation_size(c.oid), 0) AS bytes \
            FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid \
            WHERE x.indrelid = t.oid AND (c.relname::text = w.idx OR c.oid = w.oid) \
            ORDER BY c.oid = w.oid DESC LIMIT 1) i ON true";
    let parts = wanted.parts.iter();
    let tables: Vec<u32> =
        [wanted.table.oid].into_iter().chain(parts.clone().map(|part| part.table.oid)).collect();
    let names: Vec<&str> =
        [wanted.name].into_iter().chain(parts.map(|part| part.name.as_str())).collect();
    let mut oids = vec![0; tables.len()];
    oids[0] = wanted.oid.unwrap_or(0);
    let mut found: Vec<Option<Seen>> = tables.iter().map(|_| None).collect();
    for row in catalog::look(session, sql, &[&tables, &names, &oids]).await? {
        let place: i64 = row.try_get(0)?;
        let table =
            TableRef { oid: row.try_get(1)?, schema: row.try_get(2)?, name: row.try_get(3)? };
        let oid: Option<u32> = row.try_get(4)?;
        let index = match oid {
            None => None,
            Some(oid) => Some(SeenIndex {
                oid,
                usable: row.try_get(5)?,
                definition: row.try_get(6)?,
                above: row.try_get(7)?,
                serves: row.try_get(8)?,
                bytes: row.try_get(9)?,
                name: row.try_get(10)?,
                comment: row.try_get(11)?,
            }),
        };
        let place = usize::try_from(place - 1).ok().and_then(|place| found.get_mut(place));
        if let Some(place) = place {
            *place = Some(Seen { table, index });
        }
    }
    Ok(found)
}

/// Why what is attached must not be dropped: an index is attached that is not ours, and that the server did not make
/// for a partition which came later. What it makes has the usual name and was never apart: its columns were written
/// by the very command that attached it (`index_create` in `catalog/index.c`).
async fn stranger(session: &Session, ours: &[u32]) -> Result<Option<String>, PgError> {
    let sql = "WITH RECURSIVE below (oid) AS ( \
            SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = ANY ($1) \
            UNION SELECT h.inhrelid FROM below b JOIN pg_catalog.pg_inherits h ON h.inhparent = b.oid) \
        SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM below b JOIN pg_catalog.pg_class c ON c.oid = b.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid \
        WHERE c.oid <> ALL ($1) AND (c.relname::text !~ '_idx[0-9]*$' OR c.reloptions IS NOT NULL \
            OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_attribute a ON a.attrelid = h.inhrelid \
                WHERE h.inhrelid = c.oid AND a.attnum = 1 AND a.xmin = h.xmin AND a.cmin = h.cmin) \
            OR x.indisreplident OR x.indisclustered OR pg_catalog.obj_description(c.oid, 'pg_class') IS NOT NULL \
            OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid)) \
        ORDER BY 1 LIMIT 1";
    let Some(row) = session.query_opt(sql, &[&ours]).await? else { return Ok(None) };
    let stranger: String = row.try_get(0)?;
    Ok(Some(format!(
        "{stranger} is attached to it, is not pgwright's and would be dropped with it; detach its partition first"
    )))
}
