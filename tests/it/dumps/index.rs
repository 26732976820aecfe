//! Random indexes of every access method.

use rules::quote::ident;

use super::random::Random;

/// What an index can do with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Time,
    Json,
    Array,
    Words,
    Range,
    Address,
}

impl Kind {
    /// Whether a B-tree can hold it.
    pub(super) fn sorts(self) -> bool {
        matches!(self, Self::Number | Self::Text | Self::Time | Self::Address)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// An index without its name, tablespace and table.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// From `USING` on, up to where a tablespace could stand.
    pub(super) sql: String,
    pub(super) predicate: Option<String>,
    /// Positions of its expressions, from 1.
    pub(super) expressions: Vec<usize>,
    /// Whether a table can be clustered on it.
    pub(super) clusters: bool,
}

/// One key.
struct Key {
    sql: String,
    expression: bool,
}

/// A random index on some of these columns, of which the first is a number.
pub(super) fn body(random: &mut Random, columns: &[Column]) -> Body {
    let column = random.pick(columns).clone();
    let name = ident(&column.name);
    let words = column.kind == Kind::Words;
    let (method, keys, options): (_, _, &[&str]) = match column.kind {
        Kind::Json => (
            "gin",
            vec![plain(name + one(random, &["", " jsonb_path_ops"]))],
            &["fastupdate = off"],
        ),
        Kind::Array => {
            ("gin", vec![plain(name)], &["fastupdate = off", "gin_pending_list_limit = 128"])
        }
        Kind::Words if random.chance(50) => ("gin", vec![plain(name)], &["fastupdate = on"]),
        Kind::Words => {
            ("gist", vec![plain(name + " tsvector_ops (siglen = 100)")], &["fillfactor = 60"])
        }
        Kind::Range => ("gist", vec![plain(name)], &["buffering = on", "fillfactor = 60"]),
        Kind::Address if random.chance(40) => {
            ("gist", vec![plain(name + " inet_ops")], &["fillfactor = 60"])
        }
        Kind::Number | Kind::Time if random.chance(15) => {
            ("brin", vec![plain(name)], &["pages_per_range = 7", "autosummarize = on"])
        }
        Kind::Text if random.chance(15) => ("spgist", vec![plain(name)], &["fillfactor = 60"]),
        kind if kind.sorts() && random.chance(10) => {
            ("hash", vec![plain(name)], &["fillfactor = 60"])
        }
        _ => ("btree", tree(random, columns), &["fillfactor = 70", "deduplicate_items = off"]),
    };
    let mut sql = format!("USING {method} (");
    sql += &keys.iter().map(|key| key.sql.as_str()).collect::<Vec<_>>().join(", ");
    sql += ")";
    // GiST can include only what is of fixed length or has an operator class; a number is.
    if method == "btree" && random.chance(25) {
        sql += &format!(" INCLUDE ({})", ident(&random.pick(columns).name));
    } else if method == "gist" && !words && random.chance(25) {
        sql += &format!(" INCLUDE ({})", ident(&columns[0].name));
    }
    if random.chance(25) {
        sql += &format!(" WITH ({})", random.pick(options));
    }
    let predicate = random.chance(30).then(|| predicate(random, columns));
    let expressions =
        (1..).zip(&keys).filter(|(_, key)| key.expression).map(|(position, _)| position).collect();
    Body { sql, clusters: method == "btree" && predicate.is_none(), predicate, expressions }
}

fn one(random: &mut Random, of: &[&'static str]) -> &'static str {
    of[random.below(of.len())]
}

fn plain(sql: String) -> Key {
    Key { sql, expression: false }
}

/// The keys of a B-tree.
fn tree(random: &mut Random, columns: &[Column]) -> Vec<Key> {
    let mut sorting: Vec<&Column> = columns.iter().filter(|column| column.kind.sorts()).collect();
    random.shuffle(&mut sorting);
    sorting.truncate(1 + random.below(3));
    sorting.into_iter().map(|column| key(random, column)).collect()
}

fn key(random: &mut Random, column: &Column) -> Key {
    let name = ident(&column.name);
    let expression = match column.kind {
        Kind::Number => Some(format!("({name} + 1)")),
        Kind::Text => Some(format!("lower({name})")),
        Kind::Time => Some(format!("({name} IS NULL)")),
        _ => None,
    };
    let expression = expression.filter(|_| random.chance(30));
    let mut key = Key { expression: expression.is_some(), sql: expression.unwrap_or(name) };
    if column.kind == Kind::Text {
        key.sql += one(random, &["", "", " COLLATE \"C\"", " text_pattern_ops"]);
    }
    key.sql += one(random, &["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
    key
}

/// A predicate, also one that holds what a careless reader takes for a part of the statement.
pub(super) fn predicate(random: &mut Random, columns: &[Column]) -> String {
    let column = random.pick(columns);
    let name = ident(&column.name);
    match column.kind {
        Kind::Number => format!("{name} > 5"),
        Kind::Text if random.chance(50) => format!("{name} <> ' WHERE it''s TABLESPACE '"),
        Kind::Text => format!("{name} LIKE E'a\\\\_%'"),
        _ => format!("{name} IS NOT NULL"),
    }
}
