//! Random schemas: everything about tables and indexes that a dump tells and an undo could lose.

use rules::quote::{ident, literal, qualified};

use super::index::{self, Column, Kind};
use super::names::{Names, text};
use super::random::Random;

/// Types of columns, by what an index can do with them.
const TYPES: [(Kind, &str); 14] = [
    (Kind::Number, "integer"),
    (Kind::Number, "bigint"),
    (Kind::Number, "numeric(10, 2)"),
    (Kind::Text, "text"),
    (Kind::Text, "text"),
    (Kind::Text, "text COLLATE \"C\""),
    (Kind::Time, "timestamptz"),
    (Kind::Time, "date"),
    (Kind::Json, "jsonb"),
    (Kind::Array, "integer[]"),
    (Kind::Array, "text[]"),
    (Kind::Words, "tsvector"),
    (Kind::Range, "int4range"),
    (Kind::Address, "inet"),
];

/// A schema in the making.
struct Maker<'a> {
    random: &'a mut Random,
    names: Names,
    spaces: &'a [String],
    script: Vec<String>,
}

/// A table that was made.
struct Table {
    schema: String,
    full: String,
    columns: Vec<Column>,
}

/// The statements that make a random schema. Indexes go into these tablespaces as well.
pub(super) fn script(random: &mut Random, spaces: &[String]) -> String {
    let mut maker = Maker { random, names: Names::default(), spaces, script: Vec::new() };
    let mut schemas = vec!["public".to_owned()];
    for _ in 0..=maker.random.below(2) {
        let schema = maker.name();
        maker.say(format!("CREATE SCHEMA {}", ident(&schema)));
        schemas.push(schema);
    }
    for schema in &schemas {
        for _ in 0..=maker.random.below(2) {
            maker.table(schema);
        }
    }
    let schema = maker.random.pick(&schemas).clone();
    maker.partitioned(&schema);
    maker.script.join(";\n")
}

impl Maker<'_> {
    fn say(&mut self, statement: String) {
        self.script.push(statement);
    }

    fn name(&mut self) -> String {
        self.names.next(self.random)
    }

    fn comment(&mut self, percent: usize, on: &str) {
        if self.random.chance(percent) {
            let text = literal(&text(self.random));
            self.say(format!("COMMENT ON {on} IS {text}"));
        }
    }

    /// Columns: a number that is never null, and some more.
    fn columns(&mut self) -> Vec<Column> {
        let mut columns = vec![Column { name: self.name(), kind: Kind::Number }];
        for _ in 0..2 + self.random.below(5) {
            let (kind, _) = *self.random.pick(&TYPES);
            columns.push(Column { name: self.name(), kind });
        }
        columns
    }

    fn definitions(&mut self, columns: &[Column]) -> String {
        let mut lines = Vec::new();
        for (position, column) in columns.iter().enumerate() {
            let types: Vec<&str> = TYPES
                .iter()
                .filter(|(kind, _)| *kind == column.kind)
                .map(|(_, name)| *name)
                .collect();
            let (name, rest) = match position {
                0 => ("integer", " NOT NULL"),
                _ => (*self.random.pick(&types), ""),
            };
            lines.push(format!("{} {name}{rest}", ident(&column.name)));
        }
        lines.join(", ")
    }

    fn table(&mut self, schema: &str) {
        let (name, columns) = (self.name(), self.columns());
        let full = qualified(schema, &name);
        let definitions = self.definitions(&columns);
        let unlogged = if self.random.chance(8) { "UNLOGGED " } else { "" };
        let options =
            *self.random.pick(&["", "", " WITH (fillfactor = 80, autovacuum_enabled = off)"]);
        self.say(format!("CREATE {unlogged}TABLE {full} ({definitions}){options}"));
        let first = ident(&columns[0].name);
        self.say(format!("INSERT INTO {full} ({first}) SELECT generate_series(1, 40)"));
        self.comment(30, &format!("TABLE {full}"));
        self.comment(30, &format!("COLUMN {full}.{first}"));
        if self.random.chance(30) {
            self.say(format!("ALTER TABLE {full} ALTER {first} SET STATISTICS 250"));
        }
        if self.random.chance(50) {
            self.say(format!("ALTER TABLE {full} ADD PRIMARY KEY ({first})"));
        }
        if self.random.chance(10) {
            self.say(format!("ALTER TABLE {full} ENABLE ROW LEVEL SECURITY"));
        }
        if self.random.chance(30) {
            let statistics = qualified(schema, &self.name());
            let second = ident(&columns[1].name);
            let of = if columns[1].kind.sorts() { second } else { "ctid".to_owned() };
            if of != "ctid" {
                self.say(format!(
                    "CREATE STATISTICS {statistics} (mcv) ON {first}, {of} FROM {full}"
                ));
                self.say(format!("ALTER STATISTICS {statistics} SET STATISTICS 77"));
                self.comment(50, &format!("STATISTICS {statistics}"));
            }
        }
        let table = Table { schema: schema.to_owned(), full, columns };
        self.indexes(&table);
        if self.random.chance(25) {
            let view = qualified(schema, &self.name());
            self.say(format!("CREATE MATERIALIZED VIEW {view} AS SELECT * FROM {}", table.full));
            self.indexes(&Table { full: view, ..table });
        }
    }

    /// A partitioned table with an index of its own, a partition with more, and one that is partitioned again.
    fn partitioned(&mut self, schema: &str) {
        let (parent, columns) = (qualified(schema, &self.name()), self.columns());
        let definitions = self.definitions(&columns);
        let key = ident(&columns[0].name);
        self.say(format!("CREATE TABLE {parent} ({definitions}) PARTITION BY RANGE ({key})"));
        let leaf = qualified(schema, &self.name());
        self.say(format!("CREATE TABLE {leaf} PARTITION OF {parent} FOR VALUES FROM (0) TO (100)"));
        let rest = qualified(schema, &self.name());
        self.say(format!(
            "CREATE TABLE {rest} PARTITION OF {parent} DEFAULT PARTITION BY HASH ({key})"
        ));
        for remainder in 0..2 {
            let part = qualified(schema, &self.name());
            let values = format!("FOR VALUES WITH (MODULUS 2, REMAINDER {remainder})");
            self.say(format!("CREATE TABLE {part} PARTITION OF {rest} {values}"));
        }
        let whole = ident(&self.name());
        self.say(format!("CREATE INDEX {whole} ON {parent} ({key})"));
        self.say(format!("INSERT INTO {parent} ({key}) SELECT generate_series(1, 200)"));
        self.indexes(&Table { schema: schema.to_owned(), full: leaf, columns });
    }

    /// Indexes on a table, most of them twice.
    fn indexes(&mut self, table: &Table) {
        for _ in 0..=self.random.below(3) {
            let body = index::body(self.random, &table.columns);
            let copies = if self.random.chance(75) { 2 } else { 1 };
            for _ in 0..copies {
                self.index(table, &body);
            }
        }
    }

    fn index(&mut self, table: &Table, body: &index::Body) {
        let name = self.name();
        let space = if self.spaces.is_empty() || !self.random.chance(35) {
            String::new()
        } else {
            let space: &String = self.random.pick(self.spaces);
            format!(" TABLESPACE {}", ident(space))
        };
        let predicate = body.predicate.as_ref().map_or(String::new(), |it| format!(" WHERE {it}"));
        let (short, full) = (ident(&name), qualified(&table.schema, &name));
        self.say(format!("CREATE INDEX {short} ON {} {}{space}{predicate}", table.full, body.sql));
        self.comment(50, &format!("INDEX {full}"));
        for position in &body.expressions {
            if self.random.chance(60) {
                let target = self.random.below(1000);
                self.say(format!(
                    "ALTER INDEX {full} ALTER COLUMN {position} SET STATISTICS {target}"
                ));
            }
        }
        if self.random.chance(6) {
            self.say(format!("ALTER INDEX {full} DEPENDS ON EXTENSION plpgsql"));
        } else if body.clusters && self.random.chance(8) {
            self.say(format!("ALTER TABLE {} CLUSTER ON {short}", table.full));
        }
    }
}
