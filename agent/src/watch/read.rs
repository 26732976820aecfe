//! Reads the server's counters as they stand.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rules::quote::ident;
use rules::statement::{Class, Mention, Touched, classify, fingerprint, touched};
use rules::watch::{Counts, Reading, TableCounts};

use crate::postgres::{Param, PgError, Session};

/// Statements that are looked at, those with the most time first: as many as `optimize` looks at.
const STATEMENTS: i64 = 500;
/// Tables whose counters are kept whether or not something on them is watched.
const TABLES: i64 = 50;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The database's name.
    pub(super) database: String,
    /// The counters.
    pub(super) reading: Reading,
    /// The text of each statement as the server keeps it.
    pub(super) texts: BTreeMap<String, String>,
    /// The columns that each of the indexes rests on: of its key, of INCLUDE, of expressions and of its predicate.
    pub(super) columns: BTreeMap<u32, BTreeSet<String>>,
    /// What each statement touches.
    pub(super) touched: BTreeMap<String, Touched>,
    /// Statements by time, the most first.
    pub(super) by_time: Vec<String>,
    /// Whether standbys read along.
    pub(super) standbys: bool,
    /// Whether `pg_stat_statements` could be read.
    pub(super) statements: bool,
    /// Statements whose texts this role may not see.
    pub(super) hidden: usize,
}

/// Reads everything, with the counters of these tables and indexes in any case.
pub(super) async fn look(
    session: &Session,
    tables: &[u32],
    indexes: &[u32],
) -> Result<Look, PgError> {
    let row = session.query_one(include_str!("server.sql"), &[]).await?;
    let at: DateTime<Utc> = row.try_get("at")?;
    let mut epoch: String = row.try_get("epoch")?;
    let schema: Option<String> = row.try_get("pgss_schema")?;
    let has_info: bool = row.try_get("pgss_has_info")?;
    let (database, standbys) = (row.try_get("database")?, row.try_get("standbys")?);
    let mut look = Look { database, standbys, ..Look::default() };
    if let Some(schema) = &schema {
        let schema = ident(schema);
        if has_info {
            let sql = include_str!("info.sql").replace("{schema}", &schema);
            let row = session.query_one(&sql, &[]).await?;
            let since: Option<String> = row.try_get("since")?;
            epoch = rules::change_plan::digest(&format!("{epoch} {}", since.unwrap_or_default()));
            look.reading.evicted = row.try_get("evicted")?;
        }
        statements(session, &schema, &mut look).await?;
    }
    (look.reading.at, look.reading.epoch) = (at, epoch);
    let params: [&dyn Param; 2] = [&TABLES, &tables];
    for row in session.query(include_str!("tables.sql"), &params).await? {
        let counts = TableCounts {
            updated: row.try_get("updated")?,
            hot_updated: row.try_get("hot_updated")?,
            live: row.try_get("live")?,
        };
        look.reading.tables.insert(row.try_get("relid")?, counts);
    }
    // The index of a partitioned table is never scanned itself: those that are attached to it are.
    let sql = "WITH RECURSIVE tree (root, oid) AS ( \
            SELECT DISTINCT i.oid, i.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS i (oid) \
            UNION ALL SELECT t.root, h.inhrelid FROM tree AS t JOIN pg_catalog.pg_inherits AS h ON h.inhparent = t.oid) \
        SELECT t.root, pg_catalog.sum(i.idx_scan)::float8 FROM tree AS t \
        JOIN pg_catalog.pg_stat_all_indexes AS i ON i.indexrelid = t.oid GROUP BY t.root";
    for row in session.query(sql, &[&indexes]).await? {
        look.reading.scans.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let sql = "SELECT d.objid, a.attname::text FROM pg_catalog.pg_depend AS d \
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid \
        AND d.objid = ANY ($1) AND d.refobjsubid > 0";
    for row in session.query(sql, &[&indexes]).await? {
        look.columns.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
    }
    Ok(look)
}

/// Reads the statements; entries of one statement are summed up. What is ours and what is no statement is left out.
async fn statements(session: &Session, schema: &str, look: &mut Look) -> Result<(), PgError> {
    let sql = include_str!("statements.sql").replace("{schema}", schema);
    for row in session.query(&sql, &[&STATEMENTS]).await? {
        let text: String = row.try_get("query")?;
        let fingerprint = match classify(&text) {
            Class::Statement { fingerprint, .. } => fingerprint,
            // Nothing that we plan, but it writes, and is counted like the others.
            Class::Utility(words) if words == "MERGE" => match fingerprint(&text) {
                Ok(fingerprint) => fingerprint,
                Err(_) => continue,
            },
            Class::InsufficientPrivilege => {
                look.hidden += 1;
                continue;
            }
            _ => continue,
        };
        let counts = Counts {
            calls: row.try_get("calls")?,
            ms: row.try_get("ms")?,
            square_ms: row.try_get("square_ms")?,
            blocks: row.try_get("blocks")?,
            wal_bytes: row.try_get("wal_bytes")?,
        };
        let known = look.reading.statements.entry(fingerprint.clone()).or_default();
        known.add(&counts);
        if !look.touched.contains_key(&fingerprint) {
            look.touched.insert(fingerprint.clone(), touched(&text));
            look.texts.insert(fingerprint.clone(), text);
            look.by_time.push(fingerprint);
        }
    }
    look.statements = true;
    Ok(())
}

/// The names under which statements may touch a table.
#[derive(Debug, Default)]
pub(super) struct Reach {
    names: BTreeSet<Mention>,
    /// Those of the names, without schemas, that other tables bear as well.
    ambiguous: BTreeSet<String>,
}

impl Reach {
    /// Whether a relation that a statement names is within reach; `None` where its name can mean another one.
    fn holds(&self, (schema, name): &Mention) -> Option<bool> {
        if !schema.is_empty() {
            return Some(self.names.contains(&(schema.clone(), name.clone())));
        }
        let known = self.names.iter().any(|(_, reached)| reached == name);
        (!known || !self.ambiguous.contains(name)).then_some(known)
    }

    /// Whether a statement touches the table; `None` where that cannot be known.
    pub(super) fn touched(&self, touched: &Touched) -> Option<bool> {
        let held: Vec<Option<bool>> =
            touched.relations.iter().map(|name| self.holds(name)).collect();
        if held.contains(&Some(true)) {
            return Some(true);
        }
        (!held.contains(&None)).then_some(false)
    }

    /// Whether a statement updates rows of the table, and then whether it sets one of these columns; `None` where it does
    /// not, or that cannot be known.
    pub(super) fn sets(&self, touched: &Touched, columns: &BTreeSet<String>) -> Option<bool> {
        let here = touched.sets.iter().filter(|(name, _)| self.holds(name) == Some(true));
        here.map(|(_, set)| !set.is_disjoint(columns)).reduce(|one, other| one || other)
    }
}

/// The names under which statements may touch each of these tables.
pub(super) async fn reach(
    session: &Session,
    tables: &[u32],
) -> Result<BTreeMap<u32, Reach>, PgError> {
    let mut reach: BTreeMap<u32, Reach> = BTreeMap::new();
    for row in session.query(include_str!("reach.sql"), &[&tables]).await? {
        let (schema, name): (String, String) = (row.try_get("schema")?, row.try_get("name")?);
        let root = reach.entry(row.try_get("root")?).or_default();
        if row.try_get("ambiguous")? {
            root.ambiguous.insert(name.clone());
        }
        root.names.insert((schema, name));
    }
    Ok(reach)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rules::statement::touched;

    use super::Reach;

    fn reach(ambiguous: &[&str]) -> Reach {
        Reach {
            names: [("public", "orders"), ("public", "all_orders")]
                .map(|(schema, name)| (schema.to_owned(), name.to_owned()))
                .into(),
            ambiguous: ambiguous.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn a_table_of_the_same_name_in_another_schema_is_another_table() {
        let one = |reach: &Reach, sql: &str| reach.touched(&touched(sql));
        let plain = reach(&[]);
        assert_eq!(one(&plain, "SELECT 1 FROM orders"), Some(true));
        assert_eq!(one(&plain, "SELECT 1 FROM public.orders o"), Some(true));
        assert_eq!(one(&plain, "SELECT 1 FROM b.orders"), Some(false));
        assert_eq!(one(&plain, "SELECT 1 FROM customers"), Some(false));
        let twice = reach(&["orders"]);
        assert_eq!(one(&twice, "SELECT 1 FROM orders"), None, "either of the two");
        assert_eq!(one(&twice, "SELECT 1 FROM public.orders"), Some(true));
        assert_eq!(one(&twice, "SELECT 1 FROM b.orders"), Some(false));
        assert_eq!(one(&twice, "SELECT 1 FROM orders, all_orders"), Some(true));
    }

    #[test]
    fn what_an_update_sets_is_known_where_its_table_is() {
        let columns: BTreeSet<String> = [String::from("note")].into();
        let sets = |reach: &Reach, sql: &str| reach.sets(&touched(sql), &columns);
        let plain = reach(&[]);
        assert_eq!(
            sets(&plain, "UPDATE orders SET note = $1, total = $2 WHERE id = $3"),
            Some(true)
        );
        assert_eq!(sets(&plain, "UPDATE public.orders SET total = $1"), Some(false));
        assert_eq!(sets(&plain, "UPDATE b.orders SET note = $1"), None);
        assert_eq!(sets(&plain, "SELECT note FROM orders"), None);
        assert_eq!(sets(&reach(&["orders"]), "UPDATE orders SET note = $1"), None);
        let upsert =
            "INSERT INTO orders VALUES ($1) ON CONFLICT (id) DO UPDATE SET note = excluded.note";
        assert_eq!(sets(&plain, upsert), Some(true));
        let nested = "WITH u AS (UPDATE orders SET note = $1 RETURNING id) SELECT * FROM u";
        assert_eq!(sets(&plain, nested), Some(true));
        let merge = "MERGE INTO orders o USING n ON o.id = n.id WHEN MATCHED THEN UPDATE SET total = n.total \
                     WHEN NOT MATCHED THEN INSERT (note) VALUES (n.note)";
        assert_eq!(sets(&plain, merge), Some(false));
        assert_eq!(plain.touched(&touched(merge)), Some(true));
    }
}
