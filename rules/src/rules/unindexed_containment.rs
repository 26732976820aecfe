use std::collections::BTreeSet;

use super::unserved_predicate::create;
use crate::btree;
use crate::candidate::{Findings, Refusal};
use crate::context::Context;
use crate::index::{IndexDefinition, Key};
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Index, Table};
use crate::statement::{PredicateClass, Target};

declare_rule! {
    /// Containment, key or full-text search in a document, array or tsvector column without a GIN index.
    ///
    /// # Why
    /// Every row's document is read, decompressed and compared, on every call.
    ///
    /// # Evidence
    /// The operators that the whole workload uses on the column choose the operator class: only `@>`, `@?` and
    /// `@@` on jsonb take the smaller `jsonb_path_ops`; one `?`, `?|` or `?&` needs the default `jsonb_ops`. The
    /// gain is estimated from the sequential scan that it replaces, since HypoPG cannot price GIN; so it is never
    /// applied on that evidence alone.
    ///
    /// # Silent when
    /// A GIN index whose operator class serves the operators exists, the plan keeps more than a tenth of the
    /// table's rows, or the table is tiny.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; no data changes.
    pub(super) UnindexedContainment {
        id: "unindexed_containment",
        summary: "search in documents, arrays or text vectors without a GIN index",
        reach: Reach::Ask,
        since: "0.1.0",
    }
}

impl Rule for UnindexedContainment {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for (oid, column) in searched(cx) {
            if let Some(table) = cx.snapshot.table(oid) {
                findings.merge(look_at(cx, table, &column));
            }
        }
        findings
    }
}

/// Columns that some statement searches in a way that GIN serves.
fn searched(cx: &Context<'_>) -> BTreeSet<(u32, String)> {
    cx.workload
        .iter()
        .flat_map(|analyzed| {
            let analysis = &analyzed.analysis;
            analysis.predicates.iter().filter_map(|predicate| match &predicate.target {
                Target::Column(name) if serves(predicate.class) => {
                    Some((analysis.relations[predicate.relation].table, name.clone()))
                }
                _ => None,
            })
        })
        .collect()
}

fn serves(class: PredicateClass) -> bool {
    use PredicateClass as C;
    matches!(class, C::Contains | C::HasKey | C::Overlaps | C::Matches)
}

fn look_at(cx: &Context<'_>, table: &Table, name: &str) -> Findings {
    let mut findings = Findings::default();
    let Some(column) = table.column(name) else { return findings };
    let mut operators = BTreeSet::new();
    let mut statements = Vec::new();
    for (position, analyzed) in cx.workload.iter().enumerate() {
        let analysis = &analyzed.analysis;
        let mine = analysis.predicates.iter().filter(|p| {
            analysis.relations[p.relation].table == table.oid
                && p.target == Target::Column(name.to_owned())
                && serves(p.class)
        });
        let before = statements.len();
        for predicate in mine {
            operators.insert(predicate.operator.clone());
            statements.push(position);
        }
        statements.truncate(before + 1);
    }
    let Some(class) = operator_class(&column.base_type, column.type_category, &operators) else {
        return findings;
    };
    let mut key = Key::column(name);
    key.opclass = (class != DEFAULT_CLASS).then(|| class.to_owned());
    let mut definition = IndexDefinition::btree(table, vec![key]);
    "gin".clone_into(&mut definition.method);
    let refuse = |reason: String| Refusal {
        rule: "unindexed_containment".to_owned(),
        table: table.qualified(),
        what: format!("GIN index on ({name})"),
        reason,
        statements: statements.iter().map(|&s| cx.workload[s].of(cx.snapshot).id.clone()).collect(),
    };
    if let Some(reason) = btree::unindexable(table) {
        findings.refusals.push(refuse(reason));
    } else if let Some(index) =
        table.indexes.iter().find(|index| serves_already(index, name, class))
    {
        findings.refusals.push(refuse(format!("already covered by {}", index.name)));
    } else if let Some(&first) = statements.first() {
        let mut candidate = create(table, definition, "unindexed_containment", first);
        candidate.serves = statements;
        candidate.reach = candidate.reach.min(Reach::Ask);
        candidate.unpriceable = Some("HypoPG cannot price a GIN index".to_owned());
        findings.candidates.push(candidate);
    }
    findings
}

/// Stands for the type's default operator class, which an index definition leaves out.
const DEFAULT_CLASS: &str = "";

/// The GIN operator class for these operators on this type; `None` where no GIN operator class of the core
/// serves them all.
fn operator_class(
    base_type: &str,
    category: char,
    operators: &BTreeSet<String>,
) -> Option<&'static str> {
    let all =
        |served: &[&str]| operators.iter().all(|operator| served.contains(&operator.as_str()));
    match base_type {
        "jsonb" if all(&["@>", "@?", "@@"]) => Some("jsonb_path_ops"),
        "jsonb" if all(&["@>", "@?", "@@", "?", "?|", "?&"]) => Some(DEFAULT_CLASS),
        "tsvector" if all(&["@@", "@@@"]) => Some(DEFAULT_CLASS),
        _ if category == 'A' && all(&["@>", "<@", "&&", "="]) => Some(DEFAULT_CLASS),
        _ => None,
    }
}

/// Whether an index on the column serves the same operators: the default `jsonb_ops` serves all that
/// `jsonb_path_ops` serves.
fn serves_already(index: &Index, column: &str, class: &str) -> bool {
    index.valid
        && index.method == "gin"
        && index.predicate.is_none()
        && index.keys.iter().any(|key| {
            key.column.as_deref() == Some(column) && (key.opclass_default || key.opclass == class)
        })
}
