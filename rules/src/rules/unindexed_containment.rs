use std::collections::{BTreeMap, BTreeSet};

use super::unserved_predicate::create;
use crate::btree;
use crate::candidate::{Findings, Refusal};
use crate::context::Context;
use crate::index::{IndexDefinition, Key};
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Column, Index, Table};
use crate::statement::Target;

declare_rule! {
    /// Containment, key or full-text search in a document, array or tsvector column without a GIN index.
    ///
    /// # Why
    /// Every row's document is read, decompressed and compared, on every call.
    ///
    /// # Evidence
    /// The operators that the whole workload uses on the column choose the operator class: only `@>`, `@?` and
    /// `@@` on jsonb take the smaller `jsonb_path_ops`; one `?`, `?|` or `?&` needs the default `jsonb_ops`. The
    /// planner twin prices it. HypoPG cannot: then the gain is estimated from the sequential scan that it replaces,
    /// and it is never applied on that evidence alone.
    ///
    /// # Silent when
    /// No GIN operator class of PostgreSQL itself serves the operator on this type (`<@` on jsonb, ranges, geometry);
    /// a GIN index whose operator class serves the operators exists; the plans keep so many of the table's rows (a twelfth
    /// or more), or read it so cheaply, that under a tenth of their cost would be saved; or the table is tiny, foreign,
    /// excluded or an extension's. On a partitioned table, or one that another role owns, it is only shown.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; no data changes.
    pub(super) UnindexedContainment {
        id: "unindexed_containment",
        summary: "search in documents, arrays or text vectors without a GIN index",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

impl Rule for UnindexedContainment {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for ((oid, column), search) in searches(cx) {
            if let Some(table) = cx.snapshot.table(oid) {
                findings.merge(look_at(cx, table, &column, search));
            }
        }
        findings
    }
}

/// What the workload asks of one column that GIN serves.
#[derive(Default)]
struct Search {
    operators: BTreeSet<&'static str>,
    /// Positions in the workload, in order.
    statements: BTreeSet<usize>,
}

/// The columns that statements search in a way that GIN serves.
fn searches(cx: &Context<'_>) -> BTreeMap<(u32, String), Search> {
    let mut searches: BTreeMap<(u32, String), Search> = BTreeMap::new();
    for (position, analyzed) in cx.workload.iter().enumerate() {
        for predicate in &analyzed.analysis.predicates {
            let table = cx.snapshot.table(analyzed.analysis.relations[predicate.relation].table);
            let (Some(table), Target::Column(name)) = (table, &predicate.target) else { continue };
            let operators = table.column(name).map_or(&[][..], served);
            if let Some(operator) = operators.iter().find(|served| **served == predicate.operator) {
                let search = searches.entry((table.oid, name.clone())).or_default();
                search.operators.insert(operator);
                search.statements.insert(position);
            }
        }
    }
    searches
}

/// Operators that some GIN operator class of the core serves on a column.
fn served(column: &Column) -> &'static [&'static str] {
    match column.base_type.as_str() {
        "jsonb" => &["?", "?&", "?|", "@>", "@?", "@@"],
        "tsvector" => &["@@", "@@@"],
        // The class for arrays needs elements with an order.
        _ if column.type_category == 'A' && column.btree => &["&&", "<@", "@>"],
        _ => &[],
    }
}

fn look_at(cx: &Context<'_>, table: &Table, name: &str, search: Search) -> Findings {
    let mut findings = Findings::default();
    let json = table.column(name).is_some_and(|column| column.base_type == "jsonb");
    let keys = search.operators.iter().any(|operator| operator.starts_with('?'));
    let class = (json && !keys).then_some("jsonb_path_ops");
    let refuse = |reason: String| Refusal {
        rule: "unindexed_containment".to_owned(),
        table: table.qualified(),
        what: format!("GIN index on ({name})"),
        reason,
        statements: search
            .statements
            .iter()
            .map(|&s| cx.workload[s].of(cx.snapshot).id.clone())
            .collect(),
    };
    if let Some(reason) = btree::unindexable(table) {
        findings.refusals.push(refuse(reason));
    } else if let Some(index) =
        table.indexes.iter().find(|index| serves_already(index, name, class))
    {
        findings.refusals.push(refuse(format!("already covered by {}", index.name)));
    } else {
        let mut key = Key::column(name);
        key.opclass = class.map(str::to_owned);
        let mut definition = IndexDefinition::btree(table, vec![key]);
        "gin".clone_into(&mut definition.method);
        let mut candidate = create(table, definition, "unindexed_containment", 0);
        candidate.serves = search.statements.into_iter().collect();
        findings.candidates.push(candidate);
    }
    findings
}

/// Whether an index on the column serves the same operators: one of the default operator class serves all that one
/// of `class` serves.
fn serves_already(index: &Index, column: &str, class: Option<&str>) -> bool {
    index.valid
        && index.method == "gin"
        && index.predicate.is_none()
        && index.keys.iter().any(|key| {
            key.column.as_deref() == Some(column)
                && (key.opclass_default || Some(key.opclass.as_str()) == class)
        })
}
