use crate::candidate::Findings;
use crate::context::Context;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::search::{Finder, Search, Searched, Served, candidate, searches};
use crate::snapshot::{Index, IndexKey};

declare_rule! {
    /// Overlap, containment or position of ranges or shapes without a GiST index, such as `during && $1`,
    /// `during @> now()` or `place <@ box …`.
    ///
    /// # Why
    /// No B-tree serves these operators: every row is read and compared, on every call.
    ///
    /// # Evidence
    /// The planner twin prices the index. HypoPG cannot: then the gain is estimated from the sequential scan that it
    /// replaces, and it is never applied on that evidence alone.
    ///
    /// # Silent when
    /// No GiST operator class of PostgreSQL itself serves the operator on this type; a GiST or SP-GiST index on the
    /// column or expression exists; or the table is tiny, foreign, excluded or an extension's. On a partitioned
    /// table, or one that another role owns, it is only shown.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; no data changes.
    pub(super) UnindexedOverlap {
        id: "unindexed_overlap",
        summary: "overlap or containment of ranges or shapes without a GiST index",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

impl Rule for UnindexedOverlap {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let (searches, refusals) = searches(cx, self);
        let mut findings = Findings { candidates: Vec::new(), refusals };
        for search in searches.values() {
            findings.merge(look_at(cx, search));
        }
        findings
    }
}

impl Finder for UnindexedOverlap {
    fn rule(&self) -> &'static str {
        "unindexed_overlap"
    }

    fn index(&self) -> &'static str {
        "GiST index"
    }

    /// Operators of the default GiST operator classes of the core (documentation, "GiST Indexes", table "Built-in
    /// GiST Operator Classes").
    fn serves(&self, searched: &Searched) -> &'static [&'static str] {
        match searched.type_name.as_str() {
            _ if searched.range => &["&&", "@>", "<@", "<<", ">>", "&<", "&>", "-|-"],
            "box" | "polygon" | "circle" => {
                &["&&", "@>", "<@", "<<", ">>", "&<", "&>", "<<|", "|>>", "&<|", "|&>", "~="]
            }
            "point" => &["<@", "<<", ">>", "<<|", "|>>", "~="],
            _ => &[],
        }
    }
}

fn look_at(cx: &Context<'_>, search: &Search) -> Findings {
    let serves = |index: &Index, _: &IndexKey| matches!(index.method.as_str(), "gist" | "spgist");
    let served = Served { method: "gist", opclass: None, serves: &serves };
    candidate(cx, &UnindexedOverlap, search, &served)
}
