use crate::candidate::{Findings, Refusal};
use crate::context::Context;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::search::{Finder, Search, Searched, Served, candidate, extension_class, searches};
use crate::snapshot::{Index, IndexKey};
use crate::statement::{Operand, Predicate, PredicateClass};

declare_rule! {
    /// A pattern without a fixed start (`LIKE '%abc%'`, `ILIKE`, a regular expression) on a text that no trigram
    /// index serves.
    ///
    /// # Why
    /// A B-tree serves only patterns that begin with fixed characters. For all others every row is read and matched,
    /// on every call. A GIN index of trigrams finds the rows that hold all groups of three characters of the pattern.
    ///
    /// # Evidence
    /// The planner twin prices the index `USING gin (… gin_trgm_ops)`. HypoPG cannot: then the gain is estimated
    /// from the sequential scan that it replaces, and it is never applied on that evidence alone.
    ///
    /// # Silent when
    /// Whether a pattern begins with fixed characters is not known (`LIKE $1`), since a B-tree may serve then; the
    /// pattern holds no three letters or digits in a row, so that trigrams do not narrow it down; a trigram index on
    /// the text exists; or the table is tiny, foreign, excluded or an extension's. Where the extension pg_trgm is
    /// not installed, the report says so. Where another role owns the table or a partition, it is only shown.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; no data changes.
    pub(super) UnindexedPattern {
        id: "unindexed_pattern",
        summary: "pattern without a fixed start on a text without a trigram index",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

/// Characters of a trigram (documentation, "pg_trgm").
const TRIGRAM: usize = 3;

impl Rule for UnindexedPattern {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let (searches, refusals) = searches(cx, self);
        let mut findings = Findings { candidates: Vec::new(), refusals };
        for search in searches.values() {
            findings.merge(look_at(cx, search));
        }
        findings
    }
}

impl Finder for UnindexedPattern {
    fn rule(&self) -> &'static str {
        "unindexed_pattern"
    }

    fn index(&self) -> &'static str {
        "trigram index"
    }

    /// Operators of `gin_trgm_ops` (documentation, "pg_trgm", section "Index Support").
    fn serves(&self, searched: &Searched) -> &'static [&'static str] {
        match searched.type_name.as_str() {
            "text" | "varchar" => &["~~", "~~*", "~", "~*", "%", "<%", "<<%"],
            _ => &[],
        }
    }

    fn leaves(&self, predicate: &Predicate) -> bool {
        let unknown = !matches!(predicate.operand, Operand::Constant(_));
        predicate.class != PredicateClass::Pattern
            || (unknown && matches!(predicate.operator.as_str(), "~~" | "~"))
    }

    fn hopeless(&self, predicate: &Predicate) -> Option<String> {
        let Operand::Constant(pattern) = &predicate.operand else { return None };
        (longest_run(pattern) < TRIGRAM).then(|| {
            "the pattern holds no three letters or digits in a row, so that trigrams do not narrow it down".to_owned()
        })
    }
}

/// Letters and digits in a row, the most of a pattern.
fn longest_run(pattern: &str) -> usize {
    pattern.split(|c: char| !c.is_alphanumeric()).map(|run| run.chars().count()).max().unwrap_or(0)
}

fn look_at(cx: &Context<'_>, search: &Search) -> Findings {
    let Some(class) = extension_class(cx.snapshot, "pg_trgm", "gin_trgm_ops") else {
        return missing(cx, search);
    };
    let serves = |index: &Index, key: &IndexKey| {
        let class = key.opclass.rsplit('.').next().unwrap_or_default();
        matches!(
            (index.method.as_str(), class),
            ("gin", "gin_trgm_ops") | ("gist", "gist_trgm_ops")
        )
    };
    let served = Served { method: "gin", opclass: Some(class), serves: &serves };
    candidate(cx, &UnindexedPattern, search, &served)
}

/// The extension is for a person to install.
fn missing(cx: &Context<'_>, search: &Search) -> Findings {
    let mut findings = Findings::default();
    if let Some(table) = cx.snapshot.table(search.table) {
        findings.refusals.push(Refusal {
            rule: "unindexed_pattern".to_owned(),
            table: table.qualified(),
            what: format!("trigram index on ({})", search.text()),
            reason: "no B-tree serves a pattern without a fixed start; a trigram index does, and needs the extension \
                     pg_trgm: CREATE EXTENSION pg_trgm, then run pgwright again"
                .to_owned(),
            statements: search.ids(cx),
        });
    }
    findings
}
