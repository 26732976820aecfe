//! Small snapshots for tests, written as short lines.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use planparse::Plan;

use crate::bindings::Binding;
use crate::context::Analyzed;
use crate::snapshot::{
    Column, ColumnStats, Constraint, ConstraintKind, FORMAT, Function, Index, IndexKey, Intake,
    Persistence, Server, Snapshot, Statement, Table, TableCounters, TableKind, View, Volatility,
};
use crate::statement::{analyze, repair};

/// A snapshot out of one line for each object, names as stored (no case folding):
///
/// ```text
/// users(id int8 pk, email text, settings jsonb null) 1000
/// shop.orders(id int8 pk, user_id int8 -> users.id, status varchar) 50000
/// index orders_user on shop.orders(user_id, status desc)
/// view active(id, email) = SELECT id, email FROM public.users WHERE email IS NOT NULL
/// ```
///
/// The number after a table is its rows (a page holds a hundred of them). Columns are NOT NULL unless `null`
/// follows. A type not known here is an enum. The search path is `public`.
///
/// # Panics
/// When a line is none of these.
pub fn snapshot(lines: &str) -> Snapshot {
    let mut snapshot = empty();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("view ") {
            add_view(&mut snapshot, rest);
        } else if let Some(rest) = line.strip_prefix("index ") {
            add_index(&mut snapshot, rest);
        } else {
            add_table(&mut snapshot, line);
        }
    }
    snapshot.tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    snapshot
}

/// Statistics of a column; `common` are values with their shares.
pub fn stats(n_distinct: f64, common: &[(&str, f64)], histogram: &[&str]) -> ColumnStats {
    ColumnStats {
        null_fraction: 0.0,
        avg_width: 8.0,
        n_distinct,
        common_values: common.iter().map(|(value, _)| (*value).to_owned()).collect(),
        common_frequencies: common.iter().map(|(_, share)| *share).collect(),
        histogram: histogram.iter().map(|bound| (*bound).to_owned()).collect(),
        correlation: None,
        common_elements: Vec::new(),
        element_frequencies: Vec::new(),
    }
}

/// Gives the column `table.column` (or `schema.table.column`) statistics.
///
/// # Panics
/// When there is no such column.
pub fn set_stats(snapshot: &mut Snapshot, column: &str, stats: ColumnStats) {
    let (table, column) = column.rsplit_once('.').expect("table.column");
    let (schema, table) = named(table);
    let table = snapshot
        .tables
        .iter_mut()
        .find(|t| t.schema == schema && t.name == table)
        .expect("a known table");
    let column = table.columns.iter_mut().find(|c| c.name == column).expect("a known column");
    column.stats = Some(stats);
}

/// A statement with this text, called once.
pub fn statement(text: &str) -> Statement {
    Statement {
        id: crate::statement::fingerprint(text).unwrap_or_default(),
        queryids: Vec::new(),
        text: text.to_owned(),
        role: None,
        search_path: vec!["public".to_owned()],
        settings: BTreeMap::new(),
        calls: 1,
        total_ms: None,
        rows: None,
        blocks: None,
        examples: Vec::new(),
    }
}

/// The statements of the snapshot that can be analyzed, without bindings and plans.
pub fn workload(snapshot: &Snapshot) -> Vec<Analyzed> {
    let analyzed = |(statement, known): (usize, &Statement)| {
        let repaired = repair(&known.text);
        let analysis = analyze(&repaired.text, snapshot, &known.search_path).ok()?;
        let (bindings, plans) = (Vec::new(), Vec::new());
        Some(Analyzed { statement, analysis, text: repaired.text, bindings, plans })
    };
    snapshot.statements.iter().enumerate().filter_map(analyzed).collect()
}

/// Gives a statement one binding and its plan.
pub fn plan(analyzed: &mut Analyzed, plan: Plan) {
    let binding = Binding { values: Vec::new(), weight: 1.0, label: "only".to_owned() };
    (analyzed.bindings, analyzed.plans) = (vec![binding], vec![Some(plan)]);
}

/// A plan out of the JSON of its top operator; costs and rows may be left out.
///
/// # Panics
/// When it is no plan.
pub fn plan_of(operator: &serde_json::Value) -> Plan {
    let value = serde_json::json!([{ "Plan": operator }]);
    planparse::from_json(&value).expect("a plan").plan
}

/// The table of this name, to be changed.
///
/// # Panics
/// When there is none.
pub fn table_mut<'s>(snapshot: &'s mut Snapshot, name: &str) -> &'s mut Table {
    let (schema, name) = named(name);
    let mut tables = snapshot.tables.iter_mut();
    tables.find(|t| t.schema == schema && t.name == name).expect("a known table")
}

/// The index of this name, to be changed.
///
/// # Panics
/// When there is none.
pub fn index_mut<'s>(snapshot: &'s mut Snapshot, name: &str) -> &'s mut Index {
    let mut indexes = snapshot.tables.iter_mut().flat_map(|table| &mut table.indexes);
    indexes.find(|index| index.name == name).expect("a known index")
}

/// A function of `pg_catalog`, or of the schema that is written before its name.
pub fn function(name: &str, arguments: &[&str], volatility: Volatility) -> Function {
    let (schema, name) = name.split_once('.').unwrap_or(("pg_catalog", name));
    Function {
        schema: schema.to_owned(),
        name: name.to_owned(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        result: "text".to_owned(),
        volatility,
        trusted: schema == "pg_catalog",
    }
}

/// A snapshot of a database without tables, taken on 2025-01-01.
fn empty() -> Snapshot {
    let taken_at: DateTime<Utc> =
        DateTime::from_timestamp(1_735_689_600, 0).expect("a valid instant");
    Snapshot {
        format: FORMAT,
        server: Server {
            version_num: 150_000,
            version: "15.0".to_owned(),
            database: "test".to_owned(),
            role: "test".to_owned(),
            superuser: false,
            search_path: vec!["public".to_owned()],
            read_only: false,
            system_identifier: None,
            database_oid: 5,
            taken_at,
            counters_since: None,
        },
        settings: BTreeMap::new(),
        extensions: Vec::new(),
        tables: Vec::new(),
        views: Vec::new(),
        functions: Vec::new(),
        statements: Vec::new(),
        intake: Intake::default(),
        blueprint: None,
    }
}

fn named(name: &str) -> (&str, &str) {
    name.trim().split_once('.').unwrap_or(("public", name.trim()))
}

/// What stands before `(`, within the outer parentheses, and after them.
fn cut(line: &str) -> (&str, &str, &str) {
    let open = line.find('(').expect("an opening parenthesis");
    let close = line.rfind(')').expect("a closing parenthesis");
    (line[..open].trim(), &line[open + 1..close], line[close + 1..].trim())
}

fn add_view(snapshot: &mut Snapshot, line: &str) {
    let (head, definition) = line.split_once('=').expect("view name(columns) = SELECT …");
    let (name, columns, _) = cut(head);
    let (schema, name) = named(name);
    snapshot.views.push(View {
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns: columns.split(',').map(|column| column.trim().to_owned()).collect(),
        definition: definition.trim().to_owned(),
    });
}

fn add_table(snapshot: &mut Snapshot, line: &str) {
    let (name, columns, rows) = cut(line);
    let (schema, name) = named(name);
    let oid = 16_384 + u32::try_from(snapshot.tables.len()).expect("few tables") * 100;
    let rows: f64 = if rows.is_empty() { 1000.0 } else { rows.parse().expect("a number of rows") };
    let mut table = Table {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: TableKind::Table,
        persistence: Persistence::Permanent,
        owner: "test".to_owned(),
        may_index: true,
        may_analyze: true,
        rows: Some(rows),
        pages: (rows / 100.0).ceil() as u64,
        all_visible: 0,
        partition_of: None,
        inherited: false,
        inherits: Vec::new(),
        row_security: false,
        extension_member: false,
        excluded: false,
        options: Vec::new(),
        columns: Vec::new(),
        combinations: Vec::new(),
        statistics: Vec::new(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        counters: TableCounters::default(),
    };
    let mut primary = Vec::new();
    for (number, spec) in (1_i16..).zip(columns.split(',')) {
        let mut words = spec.split_whitespace();
        let column_name = words.next().expect("a column name");
        let mut column = column(number, column_name, words.next().expect("a column type"));
        while let Some(word) = words.next() {
            match word {
                "pk" => primary.push(column_name.to_owned()),
                "null" => column.not_null = false,
                "->" => {
                    let target = words.next().expect("table.column after ->");
                    let constraint = foreign_key(snapshot, name, column_name, target);
                    table.constraints.push(constraint);
                }
                other => panic!("what is `{other}` in `{spec}`?"),
            }
        }
        table.columns.push(column);
    }
    if !primary.is_empty() {
        let index = format!("{name}_pkey");
        let definition = format!("PRIMARY KEY ({})", primary.join(", "));
        table.constraints.push(constraint(
            &index,
            ConstraintKind::Primary,
            primary.clone(),
            &definition,
        ));
        let keys: Vec<String> = primary;
        let mut built = index_of(&table, oid + 1, &index, &keys);
        (built.unique, built.primary, built.constraint) = (true, true, Some(index));
        table.indexes.push(built);
    }
    snapshot.tables.push(table);
}

fn constraint(
    name: &str,
    kind: ConstraintKind,
    columns: Vec<String>,
    definition: &str,
) -> Constraint {
    let definition = definition.to_owned();
    Constraint {
        name: name.to_owned(),
        kind,
        columns,
        references: None,
        referenced_columns: Vec::new(),
        definition,
    }
}

fn foreign_key(snapshot: &Snapshot, table: &str, column: &str, target: &str) -> Constraint {
    let (parent, referenced) = target.rsplit_once('.').expect("table.column after ->");
    let (schema, parent) = named(parent);
    let definition = format!("FOREIGN KEY ({column}) REFERENCES {parent}({referenced})");
    let mut key = constraint(
        &format!("{table}_{column}_fkey"),
        ConstraintKind::Foreign,
        vec![column.to_owned()],
        &definition,
    );
    key.references =
        Some(snapshot.table_named(schema, parent).expect("the referenced table stands above").oid);
    key.referenced_columns = vec![referenced.to_owned()];
    key
}

fn add_index(snapshot: &mut Snapshot, line: &str) {
    let (head, keys, _) = cut(line);
    let (name, table) = head.split_once(" on ").expect("index name on table(keys)");
    let (schema, table) = named(table);
    let table = snapshot
        .tables
        .iter_mut()
        .find(|t| t.schema == schema && t.name == table)
        .expect("a known table");
    let oid = table.oid + 1 + u32::try_from(table.indexes.len()).expect("few indexes");
    let keys: Vec<String> = keys.split(',').map(|key| key.trim().to_owned()).collect();
    let index = index_of(table, oid, name.trim(), &keys);
    table.indexes.push(index);
}

fn index_of(table: &Table, oid: u32, name: &str, keys: &[String]) -> Index {
    let definition = format!(
        "CREATE INDEX {name} ON {}.{} USING btree ({})",
        table.schema,
        table.name,
        keys.join(", ")
    );
    let keys = keys.iter().map(|key| {
        let (column, descending) =
            key.strip_suffix(" desc").map_or((key.as_str(), false), |column| (column, true));
        let known = table.column(column).is_some();
        IndexKey {
            column: known.then(|| column.to_owned()),
            expression: (!known).then(|| column.to_owned()),
            opclass: table.column(column).map_or_else(
                || "text_ops".to_owned(),
                |column| format!("{}_ops", column.base_type),
            ),
            opclass_default: true,
            opclass_options: Vec::new(),
            collation: None,
            descending,
            nulls_first: descending,
        }
    });
    Index {
        oid,
        schema: table.schema.clone(),
        name: name.to_owned(),
        method: "btree".to_owned(),
        keys: keys.collect(),
        include: Vec::new(),
        predicate: None,
        definition,
        unique: false,
        primary: false,
        exclusion: false,
        nulls_not_distinct: false,
        valid: true,
        ready: true,
        live: true,
        replica_identity: false,
        clustered: false,
        constraint: None,
        required_by: Vec::new(),
        partition_of: None,
        extension_dependent: false,
        tablespace: None,
        options: Vec::new(),
        comment: None,
        statistics_targets: BTreeMap::new(),
        bytes: 8192,
        scans: 0,
        building: false,
    }
}

/// A type as `format_type` prints it.
fn printed(base: &str) -> String {
    let plain = match base {
        "bool" => "boolean",
        "bpchar" => "character",
        "float4" => "real",
        "float8" => "double precision",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "varchar" => "character varying",
        _ => return base.strip_prefix('_').map_or(base.to_owned(), |of| printed(of) + "[]"),
    };
    plain.to_owned()
}

/// A column of a type given by its `pg_type.typname`, or of `varchar(n)`.
fn column(number: i16, name: &str, base: &str) -> Column {
    if let Some((base, size)) = base.split_once('(') {
        let size = size.trim_end_matches(')');
        let mut bounded = column(number, name, base);
        bounded.type_name = format!("{}({size})", bounded.type_name);
        bounded.type_modifier = 4 + size.parse::<i32>().expect("a length");
        return bounded;
    }
    // Length, alignment, category, B-tree, deduplication, as in pg_type.
    let (length, align, category, btree, deduplicates) = match base {
        "bool" => (1, 1, 'B', true, true),
        "int2" => (2, 2, 'N', true, true),
        "int4" | "oid" => (4, 4, 'N', true, true),
        "int8" => (8, 8, 'N', true, true),
        "float4" => (4, 4, 'N', true, false),
        "float8" => (8, 8, 'N', true, false),
        "numeric" => (-1, 4, 'N', true, false),
        "text" | "varchar" | "bpchar" => (-1, 4, 'S', true, true),
        "date" => (4, 4, 'D', true, true),
        "timestamp" | "timestamptz" => (8, 8, 'D', true, true),
        "interval" => (16, 8, 'T', true, false),
        "uuid" => (16, 1, 'U', true, true),
        "inet" => (-1, 4, 'I', true, true),
        "bytea" => (-1, 4, 'U', true, true),
        "jsonb" | "tsvector" => (-1, 4, 'U', true, false),
        "json" | "xml" => (-1, 4, 'U', false, false),
        "tstzrange" => (-1, 8, 'R', true, false),
        "point" => (16, 8, 'G', false, false),
        "money" => (8, 8, 'N', true, true),
        "_json" => (-1, 4, 'A', false, false),
        _ if base.starts_with('_') => (-1, 4, 'A', true, false),
        _ => (4, 4, 'E', true, true),
    };
    let collated = category == 'S';
    Column {
        number,
        name: name.to_owned(),
        type_name: printed(base),
        base_type: base.to_owned(),
        base_type_schema: if category == 'E' { "public" } else { "pg_catalog" }.to_owned(),
        type_kind: match category {
            'E' => 'e',
            'R' => 'r',
            _ => 'b',
        },
        type_category: category,
        length,
        align,
        type_modifier: -1,
        not_null: true,
        btree,
        deduplicates,
        collation: collated.then(|| "default".to_owned()),
        c_collation: false,
        stats: None,
    }
}
