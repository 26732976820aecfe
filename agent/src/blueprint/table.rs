//! Statements that make a table and what hangs on it; no I/O.

use std::collections::{BTreeMap, BTreeSet};

use rules::blueprint::{Definition, DefinitionKind};
use rules::quote::{ident, literal, qualified};
use serde::Deserialize;

use super::order::{Id, Node, Web};

/// Steps after the one that makes a table.
const COLUMNS_STEP: u32 = 1;
const TYPED_STEP: u32 = 2;
const TABLESPACE_STEP: u32 = 3;
const SECURITY_STEP: u32 = 4;
const PARENT_STEP: u32 = 5;

/// From this version on a partition's identity columns are its parent's.
const IDENTITY_OF_PARENT: u32 = 17;

/// A table, or what of a materialized view is alike.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    class: u32,
    oid: u32,
    schema: String,
    name: String,
    kind: char,
    unlogged: bool,
    options: Vec<String>,
    toast_options: Vec<String>,
    partition_key: Option<String>,
    partition_bound: Option<String>,
    parents: Vec<u32>,
    of_type: Option<String>,
    pub(super) access_method: Option<String>,
    tablespace: Option<String>,
    row_security: bool,
    force_row_security: bool,
}

/// A column of a table, or one of a view that has a default.
#[derive(Debug, Deserialize)]
pub(super) struct Column {
    table_oid: u32,
    number: i32,
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    collation: Option<String>,
    not_null: bool,
    identity: String,
    identity_sequence: Option<String>,
    generated: String,
    default_class: Option<u32>,
    default_oid: Option<u32>,
    expression: Option<String>,
    storage: Option<String>,
    statistics_target: Option<i32>,
    options: Vec<String>,
}

/// A constraint of a table.
#[derive(Debug, Deserialize)]
pub(super) struct Constraint {
    class: u32,
    oid: u32,
    table_oid: u32,
    schema: String,
    table: String,
    #[serde(rename = "type")]
    kind: char,
    name: String,
    definition: String,
    /// Valid and enforced.
    plain: bool,
    column: Option<i32>,
    references: Option<u32>,
}

/// An index.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    class: u32,
    oid: u32,
    table_oid: u32,
    schema: String,
    name: String,
    kind: char,
    definition: String,
    valid: bool,
    options: Vec<String>,
    tablespace: Option<String>,
    parent: Option<u32>,
    statistics_targets: BTreeMap<u32, String>,
}

/// Everything that tables are put together from.
pub(super) struct Parts {
    pub(super) major: u32,
    pub(super) tables: Vec<Table>,
    pub(super) columns: Vec<Column>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) indexes: Vec<Index>,
    /// Views with their names, whose columns may have defaults.
    pub(super) views: BTreeMap<u32, (String, String)>,
}

/// Definitions of tables, their columns' defaults, constraints and indexes.
pub(super) fn nodes(parts: &Parts, web: &mut Web, notes: &mut Vec<String>) -> Vec<Node> {
    let Some(class) = parts.tables.first().map(|table| table.class) else { return Vec::new() };
    let mut maker = Maker::new(parts, class);
    for table in &parts.tables {
        maker.table(table, web);
    }
    maker.view_defaults();
    for constraint in &parts.constraints {
        maker.constraint(constraint);
    }
    let mut invalid = Vec::new();
    for index in &parts.indexes {
        if index.valid {
            maker.index(index);
        } else {
            invalid.push(format!("{}.{}", index.schema, index.name));
        }
    }
    if !invalid.is_empty() {
        notes.push(format!(
            "left out because the planner does not use them either: invalid indexes {}",
            super::statistics::listed(&invalid)
        ));
    }
    maker.nodes
}

struct Maker<'a> {
    parts: &'a Parts,
    /// The catalog of tables and indexes.
    class: u32,
    columns: BTreeMap<u32, Vec<&'a Column>>,
    /// Names of tables and indexes as SQL.
    names: BTreeMap<u32, String>,
    /// CHECK constraints by table; the named NOT NULL constraints of version 18 by table and column.
    checks: BTreeMap<u32, Vec<&'a Constraint>>,
    not_null: BTreeMap<(u32, i32), &'a Constraint>,
    /// CHECK and NOT NULL constraints by table.
    conditions: BTreeMap<u32, Vec<(Id, u32)>>,
    /// Steps that give a table its children, which must come before its indexes and keys.
    children: BTreeMap<u32, Vec<(Id, u32)>>,
    /// Constraints that are made after their table and before it gets parents.
    apart: BTreeSet<Id>,
    nodes: Vec<Node>,
}

impl<'a> Maker<'a> {
    fn new(parts: &'a Parts, class: u32) -> Self {
        let mut maker = Self {
            parts,
            class,
            columns: BTreeMap::new(),
            names: BTreeMap::new(),
            conditions: BTreeMap::new(),
            checks: BTreeMap::new(),
            not_null: BTreeMap::new(),
            children: BTreeMap::new(),
            apart: BTreeSet::new(),
            nodes: Vec::new(),
        };
        for column in &parts.columns {
            maker.columns.entry(column.table_oid).or_default().push(column);
        }
        let tables = parts.tables.iter().map(|of| (of.oid, &of.schema, &of.name));
        let indexes = parts.indexes.iter().map(|of| (of.oid, &of.schema, &of.name));
        for (oid, schema, name) in tables.chain(indexes) {
            maker.names.insert(oid, qualified(schema, name));
        }
        for constraint in &parts.constraints {
            if matches!(constraint.kind, 'c' | 'n') {
                let step = ((constraint.class, constraint.oid), 0);
                maker.conditions.entry(constraint.table_oid).or_default().push(step);
            }
            match (constraint.kind, constraint.column) {
                ('c', _) => {
                    maker.checks.entry(constraint.table_oid).or_default().push(constraint);
                }
                ('n', Some(column)) => {
                    maker.not_null.insert((constraint.table_oid, column), constraint);
                }
                _ => {}
            }
        }
        for table in &parts.tables {
            for (place, parent) in table.parents.iter().enumerate() {
                let step = ((class, table.oid), PARENT_STEP + place as u32);
                maker.children.entry(*parent).or_default().push(step);
            }
        }
        maker
    }

    fn push(
        &mut self,
        id: Id,
        step: u32,
        kind: DefinitionKind,
        name: String,
        sql: String,
    ) -> &mut Node {
        let definition = Definition { kind, name, sql };
        self.nodes.push(Node { step, ..Node::new(id, definition) });
        let last = self.nodes.len() - 1;
        &mut self.nodes[last]
    }

    /// The table and everything that is said of it afterwards.
    fn table(&mut self, table: &Table, web: &mut Web) {
        let id = (table.class, table.oid);
        let columns = self.columns.remove(&table.oid).unwrap_or_default();
        let title = format!("table {}.{}", table.schema, table.name);
        let sql_name = qualified(&table.schema, &table.name);
        if table.kind != 'm' {
            let sql = self.create(table, &columns, web);
            self.push(id, 0, DefinitionKind::Table, title.clone(), sql);
        }
        let settings: Vec<String> =
            columns.iter().flat_map(|column| column_settings(column)).collect();
        let mut change = |step: u32, what: &str, sql: String| {
            self.push(id, step, DefinitionKind::Table, format!("{title}: {what}"), sql);
        };
        if !settings.is_empty() {
            change(
                COLUMNS_STEP,
                "columns",
                format!("ALTER TABLE ONLY {sql_name} {}", settings.join(", ")),
            );
        }
        if let Some(of_type) = &table.of_type {
            change(TYPED_STEP, "type", format!("ALTER TABLE ONLY {sql_name} OF {of_type}"));
        }
        if let Some(tablespace) = table.tablespace.as_deref().map(ident) {
            let sql = format!("ALTER TABLE {sql_name} SET TABLESPACE {tablespace}");
            change(TABLESPACE_STEP, "tablespace", sql);
        }
        let security = [
            table.row_security.then_some("ENABLE ROW LEVEL SECURITY"),
            table.force_row_security.then_some("FORCE ROW LEVEL SECURITY"),
        ];
        let security: Vec<&str> = security.into_iter().flatten().collect();
        if !security.is_empty() {
            let sql = format!("ALTER TABLE {sql_name} {}", security.join(", "));
            self.push(
                id,
                SECURITY_STEP,
                DefinitionKind::Behaviour,
                format!("{title}: row security"),
                sql,
            );
        }
        self.parents(table, &title, &sql_name);
    }

    /// `CREATE TABLE` with the columns, and with the defaults and conditions that need nothing but the table.
    fn create(&mut self, table: &Table, columns: &[&Column], web: &mut Web) -> String {
        let id = (table.class, table.oid);
        let mut lines = Vec::new();
        for column in columns {
            let default = column.default_class.zip(column.default_oid);
            let inline = default.is_some_and(|default| {
                part_of_table(web, default, id, column.generated.is_empty())
            });
            lines.push(self.column(table, column, inline));
            if let (Some(default), false) = (default, inline) {
                self.default(default, id, (&table.schema, &table.name), column);
            }
        }
        for check in self.checks.remove(&table.oid).unwrap_or_default() {
            let check_id = (check.class, check.oid);
            if check.plain && part_of_table(web, check_id, id, true) {
                lines.push(format!("CONSTRAINT {} {}", ident(&check.name), check.definition));
            } else {
                self.apart.insert(check_id);
            }
        }
        let options: Vec<String> = table
            .options
            .iter()
            .map(|option| with_value(option, ""))
            .chain(table.toast_options.iter().map(|option| with_value(option, "toast.")))
            .collect();
        let key = table.partition_key.as_ref().map(|key| format!(" PARTITION BY {key}"));
        format!(
            "CREATE {}TABLE {} ({}{}){}{}",
            // A partitioned table has no storage to be logged or not.
            if table.unlogged && table.kind == 'r' { "UNLOGGED " } else { "" },
            qualified(&table.schema, &table.name),
            lines.iter().map(|line| format!("\n    {line}")).collect::<Vec<_>>().join(","),
            if lines.is_empty() { "" } else { "\n" },
            key.unwrap_or_default(),
            with(&options),
        )
    }

    fn column(&self, table: &Table, column: &Column, with_default: bool) -> String {
        let mut text = format!("{} {}", ident(&column.name), column.type_name);
        if let Some(collation) = &column.collation {
            text.push_str(&format!(" COLLATE {collation}"));
        }
        let expression = column.expression.as_deref().unwrap_or_default();
        match column.generated.as_str() {
            "s" => text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED")),
            "v" => text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) VIRTUAL")),
            _ if with_default => text.push_str(&format!(" DEFAULT {expression}")),
            _ => {}
        }
        match self.not_null.get(&(table.oid, column.number)) {
            Some(named) if named.plain => {
                let no_inherit =
                    if named.definition.ends_with("NO INHERIT") { " NO INHERIT" } else { "" };
                text.push_str(&format!(" CONSTRAINT {} NOT NULL{no_inherit}", ident(&named.name)));
            }
            Some(_) => {}
            None if column.not_null => text.push_str(" NOT NULL"),
            None => {}
        }
        let of_parent = table.partition_bound.is_some() && self.parts.major >= IDENTITY_OF_PARENT;
        if !column.identity.is_empty() && !of_parent {
            let when = if column.identity == "a" { "ALWAYS" } else { "BY DEFAULT" };
            let sequence = column.identity_sequence.as_ref();
            let sequence =
                sequence.map(|name| format!(" (SEQUENCE NAME {name})")).unwrap_or_default();
            text.push_str(&format!(" GENERATED {when} AS IDENTITY{sequence}"));
        }
        text
    }

    fn default(&mut self, id: Id, table: Id, (schema, name): (&str, &str), column: &Column) {
        let sql = format!(
            "ALTER TABLE ONLY {} ALTER COLUMN {} SET DEFAULT {}",
            qualified(schema, name),
            ident(&column.name),
            column.expression.as_deref().unwrap_or("NULL")
        );
        let title = format!("table {schema}.{name}: default of {}", column.name);
        self.push(id, 0, DefinitionKind::Table, title, sql).table = Some(table);
    }

    fn view_defaults(&mut self) {
        for (oid, (schema, name)) in &self.parts.views {
            for column in self.columns.remove(oid).unwrap_or_default() {
                if let Some(id) = column.default_class.zip(column.default_oid) {
                    self.default(id, (self.class, *oid), (schema, name), column);
                }
            }
        }
    }

    /// Makes it a partition of its parent, or a child of its parents in their order. Before that both sides
    /// must have their conditions.
    fn parents(&mut self, table: &Table, title: &str, sql_name: &str) {
        let id = (table.class, table.oid);
        for (place, parent) in table.parents.iter().enumerate() {
            let Some(parent_name) = self.names.get(parent) else { continue };
            let sql = match &table.partition_bound {
                Some(bound) => {
                    format!("ALTER TABLE ONLY {parent_name} ATTACH PARTITION {sql_name} {bound}")
                }
                None => format!("ALTER TABLE ONLY {sql_name} INHERIT {parent_name}"),
            };
            let sides = [table.oid, *parent];
            let conditions = sides.iter().filter_map(|side| self.conditions.get(side)).flatten();
            let mut after: Vec<(Id, u32)> = conditions.copied().collect();
            let step = PARENT_STEP + place as u32;
            after.extend((place > 0).then(|| (id, step - 1)));
            after.push((id, TYPED_STEP));
            let parent = (self.class, *parent);
            let node =
                self.push(id, step, DefinitionKind::Table, format!("{title}: parent {place}"), sql);
            node.needs.push(parent);
            node.after = after;
        }
    }

    /// The steps that give these tables their children.
    fn after_children(&self, tables: impl Iterator<Item = u32>) -> Vec<(Id, u32)> {
        tables.flat_map(|table| self.children.get(&table).into_iter().flatten().copied()).collect()
    }

    fn constraint(&mut self, constraint: &Constraint) {
        let id = (constraint.class, constraint.oid);
        let made_with_table = match constraint.kind {
            'c' => !self.apart.contains(&id),
            'n' => constraint.plain,
            _ => false,
        };
        if made_with_table {
            return;
        }
        // A foreign key of a partitioned table is one of its partitions as well.
        let only = if constraint.kind == 'f' { "" } else { "ONLY " };
        let sql = format!(
            "ALTER TABLE {only}{} ADD CONSTRAINT {} {}",
            qualified(&constraint.schema, &constraint.table),
            ident(&constraint.name),
            constraint.definition
        );
        let title =
            format!("constraint {} on {}.{}", constraint.name, constraint.schema, constraint.table);
        let condition = matches!(constraint.kind, 'c' | 'n');
        let tables = [constraint.table_oid].into_iter().chain(constraint.references);
        let after = if condition { Vec::new() } else { self.after_children(tables) };
        let table = (self.class, constraint.table_oid);
        let node = self.push(id, 0, DefinitionKind::Constraint, title, sql);
        node.table = Some(table);
        node.after = after;
    }

    fn index(&mut self, index: &Index) {
        let id = (index.class, index.oid);
        let table = (self.class, index.table_oid);
        let after = self.after_children([index.table_oid].into_iter());
        let title = format!("index {}.{}", index.schema, index.name);
        let sql_name = qualified(&index.schema, &index.name);
        let parent = index.parent.and_then(|oid| Some((oid, self.names.get(&oid)?.clone())));
        let mut push = |step: u32, what: &str, sql: String, needs: Vec<Id>| {
            let node = self.push(id, step, DefinitionKind::Index, format!("{title}{what}"), sql);
            node.table = Some(table);
            node.needs = needs;
            node.after.clone_from(&after);
        };
        // Left out when the catalog says that it is part of a constraint.
        push(0, "", index.definition.clone(), Vec::new());
        // Those of a partitioned index stand in its definition and cannot be changed.
        if !index.options.is_empty() && index.kind == 'i' {
            let options: Vec<String> =
                index.options.iter().map(|option| with_value(option, "")).collect();
            push(
                1,
                ": options",
                format!("ALTER INDEX {sql_name} SET ({})", options.join(", ")),
                Vec::new(),
            );
        }
        if let Some(tablespace) = index.tablespace.as_deref().map(ident) {
            let sql = format!("ALTER INDEX {sql_name} SET TABLESPACE {tablespace}");
            push(2, ": tablespace", sql, Vec::new());
        }
        if !index.statistics_targets.is_empty() {
            let set = |(column, target): (&u32, &String)| {
                format!("ALTER COLUMN {column} SET STATISTICS {target}")
            };
            let targets: Vec<String> = index.statistics_targets.iter().map(set).collect();
            push(
                3,
                ": statistics",
                format!("ALTER INDEX {sql_name} {}", targets.join(", ")),
                Vec::new(),
            );
        }
        if let Some((oid, parent)) = parent {
            let sql = format!("ALTER INDEX {parent} ATTACH PARTITION {sql_name}");
            push(4, ": parent", sql, vec![(index.class, oid)]);
        }
    }
}

/// Whether a default or condition needs nothing that its table does not need anyway, so that it can be made with
/// the table; the web then counts it as a part of that. What a generated column needs, its table needs.
fn part_of_table(web: &mut Web, id: Id, table: Id, optional: bool) -> bool {
    let needs = |id: Id| web.needs.get(&id).into_iter().flatten();
    let of_table: BTreeSet<Id> = needs(table).copied().collect();
    let more =
        optional && needs(id).any(|need| web.whole(*need) != table && !of_table.contains(need));
    if !more {
        web.part_of.insert(id, table);
    }
    !more
}

fn column_settings(column: &Column) -> Vec<String> {
    let name = ident(&column.name);
    let mut settings = Vec::new();
    if let Some(target) = column.statistics_target {
        settings.push(format!("ALTER COLUMN {name} SET STATISTICS {target}"));
    }
    if !column.options.is_empty() {
        let options: Vec<String> =
            column.options.iter().map(|option| with_value(option, "")).collect();
        settings.push(format!("ALTER COLUMN {name} SET ({})", options.join(", ")));
    }
    if let Some(storage) = &column.storage {
        settings.push(format!("ALTER COLUMN {name} SET STORAGE {storage}"));
    }
    settings
}

/// `name=value` as the catalog has it, as SQL.
fn with_value(option: &str, prefix: &str) -> String {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    format!("{prefix}{} = {}", ident(name), literal(value))
}

fn with(options: &[String]) -> String {
    if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) }
}
