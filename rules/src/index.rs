//! An index that does not exist yet, and when an existing one serves as well.

use serde::{Deserialize, Serialize};

use crate::quote::{ident, qualified};
use crate::snapshot::{Index, IndexKey, Snapshot, Table};
use crate::statement::index_shape::IndexShape;
use crate::statement::{Target, index_expression};

/// What is indexed at one place among the keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// A plain column, by name.
    Column(String),
    /// An expression, as SQL without outer parentheses.
    Expression(String),
}

impl Term {
    /// The collation that an expression ends with, without quotes.
    pub(crate) fn own_collation(&self) -> Option<String> {
        match self {
            Self::Column(_) => None,
            Self::Expression(sql) => collated(sql).1.map(plain_collation),
        }
    }
}

/// One key of an index that could be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What is indexed.
    pub term: Term,
    /// Operator class, when not the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opclass: Option<String>,
    /// Sorted descending.
    #[serde(default)]
    pub descending: bool,
    /// NULLs first. The default of PostgreSQL is true for descending keys.
    #[serde(default)]
    pub nulls_first: bool,
}

impl Key {
    /// A plain ascending column.
    pub fn column(name: &str) -> Self {
        Self::ordered(Term::Column(name.to_owned()), false, false)
    }

    /// A term with a direction.
    pub fn ordered(term: Term, descending: bool, nulls_first: bool) -> Self {
        Self { term, opclass: None, descending, nulls_first }
    }

    /// The key as `CREATE INDEX` wants it.
    pub fn sql(&self) -> String {
        let mut sql = match &self.term {
            Term::Column(name) => ident(name),
            // Of a collation within the expression HypoPG makes another expression.
            Term::Expression(expression) => match collated(expression) {
                (inner, Some(collation)) => format!("({inner}) COLLATE {collation}"),
                (whole, None) => format!("({whole})"),
            },
        };
        if let Some(opclass) = &self.opclass {
            sql.push(' ');
            sql.push_str(opclass);
        }
        if self.descending {
            sql.push_str(" DESC");
        }
        if self.nulls_first != self.descending {
            sql.push_str(if self.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
        sql
    }

    /// The column, when the key is one.
    pub fn as_column(&self) -> Option<&str> {
        match &self.term {
            Term::Column(name) => Some(name),
            Term::Expression(_) => None,
        }
    }

    fn same_as(&self, existing: &IndexKey, table: &Table, snapshot: &Snapshot) -> bool {
        let opclass = match &self.opclass {
            None => existing.opclass_default,
            Some(mine) => *mine == existing.opclass,
        };
        let collation = self.term.own_collation();
        let theirs = existing.collation.as_deref().map(plain_collation);
        self.same_term(existing, table, snapshot)
            && opclass
            && collation == theirs
            && existing.opclass_options.is_empty()
    }

    /// Whether a key of an existing index is on the same column or expression.
    pub(crate) fn same_term(
        &self,
        existing: &IndexKey,
        table: &Table,
        snapshot: &Snapshot,
    ) -> bool {
        let (inner, collation) = match &self.term {
            Term::Column(_) => ("", None),
            Term::Expression(mine) => collated(mine),
        };
        match (&self.term, &existing.column, &existing.expression) {
            (Term::Column(mine), Some(theirs), _) => mine == theirs,
            (Term::Expression(_), Some(theirs), _) => collation.is_some() && ident(theirs) == inner,
            (Term::Expression(mine), None, Some(theirs)) => {
                matches!(index_expression(theirs, table, snapshot),
                    Some(Target::Expression(theirs)) if same_sql(&theirs.sql, inner) || same_sql(&theirs.sql, mine))
            }
            _ => false,
        }
    }
}

/// Whether two expressions are one; AT TIME ZONE is `pg_catalog.timezone` to the grammar, and printed without schema.
fn same_sql(one: &str, other: &str) -> bool {
    let plain = |sql: &str| sql.replace("pg_catalog.", "");
    one == other || plain(one) == plain(other)
}

/// An expression that ends with COLLATE, apart; its own operators stand in parentheses then.
fn collated(expression: &str) -> (&str, Option<&str>) {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '.' | '-' | '@');
    match expression.rsplit_once(" COLLATE ") {
        Some((inner, collation)) if collation.chars().all(name) => (inner, Some(collation)),
        _ => (expression, None),
    }
}

/// The name of a collation without quotes and the system's schema.
fn plain_collation(name: &str) -> String {
    let bare = name.replace('"', "");
    bare.strip_prefix("pg_catalog.").map_or(bare.clone(), str::to_owned)
}

/// Whether the server prints a planned predicate so.
fn same_predicate(planned: &str, printed: &str) -> bool {
    let shape =
        |predicate: &str| IndexShape::of(&format!("CREATE INDEX ON t (a) WHERE {predicate}")).ok();
    shape(planned).zip(shape(printed)).is_some_and(|(mine, theirs)| mine.is_printed_as(&theirs))
}

/// An index that could be made. Never unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// Schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Access method.
    pub method: String,
    /// Keys in order.
    pub keys: Vec<Key>,
    /// INCLUDE columns.
    #[serde(default)]
    pub include: Vec<String>,
    /// Predicate of a partial index.
    #[serde(default)]
    pub predicate: Option<String>,
}

impl IndexDefinition {
    /// A B-tree on a table.
    pub fn btree(table: &Table, keys: Vec<Key>) -> Self {
        Self {
            schema: table.schema.clone(),
            table: table.name.clone(),
            method: "btree".to_owned(),
            keys,
            include: Vec::new(),
            predicate: None,
        }
    }

    /// The index as one that could be made; whether it is unique, its collations and options are left out.
    pub fn of(table: &Table, index: &Index) -> Self {
        let term = |key: &IndexKey| match (&key.column, &key.expression) {
            (Some(column), _) => Term::Column(column.clone()),
            (None, expression) => Term::Expression(expression.clone().unwrap_or_default()),
        };
        let key = |key: &IndexKey| Key {
            opclass: (!key.opclass_default).then(|| key.opclass.clone()),
            ..Key::ordered(term(key), key.descending, key.nulls_first)
        };
        Self {
            method: index.method.clone(),
            include: index.include.clone(),
            predicate: index.predicate.clone(),
            ..Self::btree(table, index.keys.iter().map(key).collect())
        }
    }

    /// Everything from the method on: `USING btree (a, b DESC) INCLUDE (c) WHERE …`.
    pub fn body(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(Key::sql).collect();
        let mut sql = format!("USING {} ({})", ident(&self.method), keys.join(", "));
        if !self.include.is_empty() {
            let include: Vec<_> = self.include.iter().map(|column| ident(column)).collect();
            sql.push_str(&format!(" INCLUDE ({})", include.join(", ")));
        }
        if let Some(predicate) = &self.predicate {
            sql.push_str(&format!(" WHERE ({predicate})"));
        }
        sql
    }

    /// `ON schema.table USING …`, the canonical text of the definition without a name.
    pub fn canonical(&self) -> String {
        format!("ON {} {}", qualified(&self.schema, &self.table), self.body())
    }

    /// The statement that makes it under this name without blocking writers.
    pub fn create(&self, name: &str) -> String {
        format!("CREATE INDEX CONCURRENTLY {} {}", ident(name), self.canonical())
    }

    /// The statement that `HypoPG` takes: the same without name and CONCURRENTLY.
    pub fn hypothetical(&self) -> String {
        format!("CREATE INDEX {}", self.canonical())
    }

    /// The key columns in short, for tables and names: `userId, timestamp DESC`.
    pub fn brief(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(Key::sql).collect();
        let mut text = keys.join(", ");
        if !self.include.is_empty() {
            text.push_str(&format!(" include {}", self.include.join(", ")));
        }
        text
    }

    /// Whether an index with these keys in this order serves everything that `other` serves: same table,
    /// method, predicate, `other`'s keys are a prefix (in the same or the wholly mirrored directions, since
    /// a B-tree is read both ways), and `other`'s INCLUDE columns are in it.
    pub fn covers(&self, other: &Self) -> bool {
        let scope = self.schema == other.schema
            && self.table == other.table
            && self.method == other.method
            && self.predicate == other.predicate;
        scope && self.keys_cover(other) && other.include.iter().all(|column| self.holds(column))
    }

    fn keys_cover(&self, other: &Self) -> bool {
        if self.method == "btree" {
            let prefix = |mirrored: bool| {
                other.keys.len() <= self.keys.len()
                    && self.keys.iter().zip(&other.keys).all(|(mine, theirs)| {
                        mine.term == theirs.term
                            && mine.opclass == theirs.opclass
                            && (mine.descending != theirs.descending) == mirrored
                            && (mine.nulls_first != theirs.nulls_first) == mirrored
                    })
            };
            // With a single key the direction matters only for the placement of NULLs, which mirrors too.
            prefix(false) || prefix(true)
        } else {
            self.keys == other.keys
        }
    }

    fn holds(&self, column: &str) -> bool {
        self.include.iter().any(|mine| mine == column)
            || self.keys.iter().any(|key| key.as_column() == Some(column))
    }

    /// Whether an existing usable index of the same table serves as well: valid, same method, same predicate or
    /// none, this definition's keys are a prefix of its keys, in the same or the wholly mirrored directions, with
    /// the same operator classes and the columns' own collations, and it holds this definition's INCLUDE columns.
    pub fn covered_by(&self, existing: &Index, table: &Table, snapshot: &Snapshot) -> bool {
        if !(existing.valid && existing.ready && existing.live) || existing.method != self.method {
            return false;
        }
        let predicate = existing.predicate.is_none()
            || matches!((&self.predicate, &existing.predicate), (Some(a), Some(b)) if same_predicate(a, b));
        if !predicate || self.keys.len() > existing.keys.len() {
            return false;
        }
        let directions = |mirrored: bool| {
            self.keys.iter().zip(&existing.keys).all(|(mine, theirs)| {
                (mine.descending != theirs.descending) == mirrored
                    && (mine.nulls_first != theirs.nulls_first) == mirrored
            })
        };
        let in_existing = |column: &String| {
            existing.include.contains(column)
                || existing.keys.iter().any(|key| key.column.as_ref() == Some(column))
        };
        self.keys
            .iter()
            .zip(&existing.keys)
            .all(|(mine, theirs)| mine.same_as(theirs, table, snapshot))
            && (self.method != "btree" || directions(false) || directions(true))
            && self.include.iter().all(in_existing)
    }
}

#[cfg(test)]
mod tests {
    use super::{IndexDefinition, Key, Term};

    fn index(keys: Vec<Key>) -> IndexDefinition {
        IndexDefinition {
            schema: "public".into(),
            table: "BehaviorLog".into(),
            method: "btree".into(),
            keys,
            include: vec![],
            predicate: None,
        }
    }

    #[test]
    fn a_definition_is_quoted_and_complete() {
        let mut definition = index(vec![
            Key::column("userId"),
            Key::ordered(Term::Column("timestamp".into()), true, true),
            Key::ordered(Term::Expression("lower(email)".into()), true, false),
        ]);
        definition.include = vec!["order".into()];
        definition.predicate = Some("\"deletedAt\" IS NULL".into());
        assert_eq!(
            definition.create("x"),
            "CREATE INDEX CONCURRENTLY x ON public.\"BehaviorLog\" USING btree (\"userId\", \"timestamp\" DESC, \
             (lower(email)) DESC NULLS LAST) INCLUDE (\"order\") WHERE (\"deletedAt\" IS NULL)"
        );
    }

    #[test]
    fn a_longer_index_covers_its_prefixes_read_either_way() {
        let desc = |name: &str| Key::ordered(Term::Column(name.into()), true, true);
        let wide = index(vec![Key::column("a"), Key::column("b"), Key::column("c")]);
        assert!(wide.covers(&index(vec![Key::column("a"), Key::column("b")])));
        assert!(wide.covers(&index(vec![desc("a"), desc("b")])));
        assert!(!wide.covers(&index(vec![Key::column("a"), desc("b")])));
        assert!(!wide.covers(&index(vec![Key::column("b")])));
    }
}
