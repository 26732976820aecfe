use crate::candidate::Findings;
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::search::{Finder, Search, Searched, Served, candidate, searches};
use crate::snapshot::{Index, IndexKey};

declare_rule! {
    /// Containment, key or full-text search in a document, array or tsvector, column or expression, without a GIN index.
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
    /// An index on `to_tsvector(…)` always waits for a person, since no text of more than about 1 MB of words can be
    /// stored beside it.
    ///
    /// # Silent when
    /// No GIN operator class of PostgreSQL itself serves the operator on this type (`<@` on jsonb, ranges, geometry);
    /// a GIN index whose operator class serves the operators exists; an expression is not immutable, such as
    /// `to_tsvector(body)` without its configuration (said in the report); the plans keep so many of the table's rows (a twelfth
    /// or more), or read it so cheaply, that under a tenth of their cost would be saved; or the table is tiny, foreign,
    /// excluded or an extension's. Where another role owns the table or a partition, it is only shown.
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
        let (searches, refusals) = searches(cx, self);
        let mut findings = Findings { candidates: Vec::new(), refusals };
        for search in searches.values() {
            findings.merge(look_at(cx, search));
        }
        findings
    }
}

impl Finder for UnindexedContainment {
    fn rule(&self) -> &'static str {
        "unindexed_containment"
    }

    fn index(&self) -> &'static str {
        "GIN index"
    }

    /// Operators that some GIN operator class of the core serves (documentation, "GIN Indexes", table "Built-in GIN
    /// Operator Classes").
    fn serves(&self, searched: &Searched) -> &'static [&'static str] {
        match searched.type_name.as_str() {
            "jsonb" => &["?", "?&", "?|", "@>", "@?", "@@"],
            "tsvector" => &["@@", "@@@"],
            // The class for arrays needs elements with an order.
            _ if searched.ordered_array => &["&&", "<@", "@>"],
            _ => &[],
        }
    }
}

fn look_at(cx: &Context<'_>, search: &Search) -> Findings {
    let json = search.searched.type_name == "jsonb";
    let keys = search.operators.iter().any(|operator| operator.starts_with('?'));
    let class = (json && !keys).then_some("jsonb_path_ops");
    // One of the default operator class serves all that one of `class` serves.
    let serves = |index: &Index, key: &IndexKey| {
        index.method == "gin" && (key.opclass_default || Some(key.opclass.as_str()) == class)
    };
    let served = Served { method: "gin", opclass: class.map(str::to_owned), serves: &serves };
    let mut findings = candidate(cx, &UnindexedContainment, search, &served);
    if search.text().contains("to_tsvector(") {
        for candidate in &mut findings.candidates {
            candidate.reach = candidate.reach.min(Reach::Ask);
            let reason = "with it no row can be stored whose text holds more than about 1 MB of words: to_tsvector \
                          refuses it (MAXSTRPOS, ts_type.h)";
            candidate.facts.push(Fact::NotAlone { reason: reason.to_owned() });
        }
    }
    findings
}
