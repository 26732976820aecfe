//! The size models of every method against really built indexes (`methods_real.json`, made by `capture_methods.sh`).
//!
//! The models were tuned on all tables but `wares_…`, which were made in other ways.

use std::collections::BTreeMap;

use rules::index::IndexDefinition;
use rules::sizes::{gin_figures, index_bytes};
use rules::snapshot::{Column, Persistence, Snapshot, Table, TableCounters, TableKind};
use serde::Deserialize;

#[derive(Deserialize)]
struct Capture {
    tables: Vec<Real>,
}

#[derive(Deserialize)]
struct Real {
    name: String,
    rows: f64,
    pages: u64,
    columns: Vec<Column>,
    indexes: Vec<Index>,
}

#[derive(Deserialize)]
struct Index {
    definition: IndexDefinition,
    bytes: u64,
    entry_pages: Option<u64>,
    data_pages: Option<u64>,
    entries: Option<u64>,
}

/// A really built index and what is foretold of it.
struct Case {
    table: String,
    method: String,
    what: String,
    bytes: u64,
    ratio: f64,
    /// Entry pages, data pages and entries, foretold over real.
    figures: Option<[f64; 3]>,
}

impl Case {
    fn unseen(&self) -> bool {
        self.table.starts_with("wares_")
    }

    fn is_tree(&self) -> bool {
        self.method.starts_with("btree")
    }
}

fn table(real: &Real) -> Table {
    Table {
        oid: 1,
        schema: "public".to_owned(),
        name: real.name.clone(),
        kind: TableKind::Table,
        persistence: Persistence::Permanent,
        owner: "owner".to_owned(),
        may_index: true,
        may_analyze: true,
        rows: Some(real.rows),
        pages: real.pages,
        all_visible: 0,
        partition_of: None,
        inherited: false,
        inherits: Vec::new(),
        row_security: false,
        extension_member: false,
        excluded: false,
        options: Vec::new(),
        columns: real.columns.clone(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        combinations: Vec::new(),
        statistics: Vec::new(),
        counters: TableCounters::default(),
    }
}

/// A snapshot of a database with this table alone.
fn snapshot(table: Table) -> Snapshot {
    let mut snapshot = rules::testing::snapshot("");
    snapshot.tables.push(table);
    snapshot
}

fn cases() -> Vec<Case> {
    let capture: Capture =
        serde_json::from_str(include_str!("methods_real.json")).expect("the capture is valid");
    let mut cases = Vec::new();
    for real in &capture.tables {
        let snapshot = snapshot(table(real));
        let table = &snapshot.tables[0];
        for index in &real.indexes {
            let foretold = index_bytes(&snapshot, table, &index.definition);
            let figures = gin_figures(&snapshot, table, &index.definition).map(|size| {
                assert_eq!(size.bytes, foretold);
                let over = |foretold: u64, real: Option<u64>| {
                    (foretold as f64 + 1.0) / (real.unwrap_or(0) as f64 + 1.0)
                };
                [
                    over(size.entry_pages, index.entry_pages),
                    over(size.data_pages, index.data_pages),
                    over(size.entries, index.entries),
                ]
            });
            let (definition, bytes) = (&index.definition, index.bytes);
            let trigrams = definition
                .keys
                .iter()
                .any(|key| key.opclass.as_ref().is_some_and(|c| c.contains("trgm")));
            let plain = definition.keys.iter().all(|key| key.as_column().is_some());
            let method = match definition.method.as_str() {
                "btree" if plain => "btree, partial".to_owned(),
                "btree" => "btree, expression".to_owned(),
                method if trigrams => format!("{method}, trigrams"),
                method => method.to_owned(),
            };
            let what = format!("{} {}", real.name, definition.body());
            let ratio = foretold as f64 / bytes as f64;
            cases.push(Case { table: real.name.clone(), method, what, bytes, ratio, figures });
        }
    }
    cases
}

/// Share of the cases of which the figure is foretold within a factor.
fn within(ratios: &[f64], factor: f64) -> f64 {
    ratios.iter().filter(|ratio| ratio.ln().abs() <= factor.ln()).count() as f64
        / ratios.len() as f64
}

/// Share of the cases of which the size is foretold within a part of the real one.
fn near(cases: &[&Case], part: f64) -> f64 {
    cases.iter().filter(|case| (case.ratio - 1.0).abs() <= part).count() as f64 / cases.len() as f64
}

fn line(name: &str, cases: &[&Case]) -> String {
    let mut ratios: Vec<f64> = cases.iter().map(|case| case.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    format!(
        "{name:24} {:4} {:7.2} {:9.2} {:9.2} {:9.2}",
        ratios.len(),
        ratios[ratios.len() / 2],
        near(cases, 0.10),
        near(cases, 0.25),
        within(&ratios, 2.0)
    )
}

/// The table of methods, and the cases that are foretold worst.
fn report(cases: &[&Case]) -> String {
    let mut methods: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        methods.entry(&case.method).or_default().push(case);
        let all = if case.is_tree() { "B-trees" } else { "all but B-trees" };
        methods.entry(all).or_default().push(case);
    }
    let mut lines =
        vec!["method                      n  median   in 10 %   in 25 %     in 2x".to_owned()];
    lines.extend(methods.iter().map(|(method, cases)| line(method, cases)));
    let mut worst = cases.to_vec();
    worst.sort_by(|a, b| b.ratio.ln().abs().total_cmp(&a.ratio.ln().abs()));
    lines.extend(
        worst
            .iter()
            .take(20)
            .map(|case| format!("{:7.2} {:10} {}", case.ratio, case.bytes, case.what)),
    );
    lines.join("\n")
}

/// What must hold of the sizes, whatever the tables.
fn check(cases: &[&Case]) {
    let (trees, others): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_tree());
    let ratios: Vec<f64> = others.iter().map(|case| case.ratio).collect();
    assert!(near(&others, 0.25) >= 0.9, "within 25 %: {:.3}", near(&others, 0.25));
    assert!(within(&ratios, 2.0) >= 0.95, "within 2x: {:.3}", within(&ratios, 2.0));
    assert!(near(&trees, 0.10) >= 0.8, "B-trees within 10 %: {:.3}", near(&trees, 0.10));
    assert!(near(&trees, 0.25) >= 0.85, "B-trees within 25 %: {:.3}", near(&trees, 0.25));
    for place in 0..3 {
        let figures: Vec<f64> =
            cases.iter().filter_map(|case| Some(case.figures?[place])).collect();
        let share = within(&figures, 1.5);
        assert!(share >= 0.85, "figure {place} of GIN within 1.5x: {share:.3}");
    }
}

#[test]
fn tables_the_models_were_tuned_on() {
    let cases = cases();
    let seen: Vec<&Case> = cases.iter().filter(|case| !case.unseen()).collect();
    assert!(seen.len() >= 200);
    println!("{}", report(&seen));
    check(&seen);
}

#[test]
fn tables_the_models_never_saw() {
    let cases = cases();
    let unseen: Vec<&Case> = cases.iter().filter(|case| case.unseen()).collect();
    assert!(unseen.len() >= 100);
    println!("{}", report(&unseen));
    check(&unseen);
}

#[test]
fn the_size_is_finite_and_at_least_a_page_without_statistics() {
    let capture: Capture =
        serde_json::from_str(include_str!("methods_real.json")).expect("the capture is valid");
    for real in capture.tables.iter().take(8) {
        let mut bare = table(real);
        for column in &mut bare.columns {
            column.stats = None;
        }
        let snapshot = snapshot(bare);
        for index in &real.indexes {
            let bytes = index_bytes(&snapshot, &snapshot.tables[0], &index.definition);
            assert!((8192..1 << 32).contains(&bytes), "{bytes} {}", index.definition.body());
        }
    }
}
