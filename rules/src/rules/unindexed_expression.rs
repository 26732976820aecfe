use super::unserved_predicate::{covering, create};
use crate::bindings::{Concrete, SHARE_MAX, ValueSource, json_longest, substitute};
use crate::btree;
use crate::candidate::{Findings, Refusal};
use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::index::Term;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::search::PROBABILITY_MIN;
use crate::snapshot::{Snapshot, Table};
use crate::statement::{
    Expression, PathStep, PredicateClass, RelationId, Target, json_path, unfit_for_index,
};

declare_rule! {
    /// A comparison with, or an order by, an expression over columns, such as `lower(email)`,
    /// `metadata ->> 'theme'` or `coalesce(rerun_of, id)`.
    ///
    /// # Why
    /// An index on the column alone does not serve the expression: every row is read and computed, on every call.
    ///
    /// # Evidence
    /// Every function and operator in the expression is immutable; the planner, given the hypothetical index, uses
    /// it; and, of a key in documents, sampled values say that few rows match, since the planner itself has no
    /// statistics of an expression before it is indexed. A constant that normalization replaced by `$n` comes from a
    /// running session's text, or is guessed from sampled documents, and then confidence says so.
    ///
    /// # Silent when
    /// Something in the expression is not immutable (what depends on the time zone, say), could raise an error on a
    /// later row (text to number, arithmetic), or is not part of PostgreSQL itself; its values could outgrow a B-tree
    /// page; a constant in it is neither known nor guessed with 30 % or more; an index on the expression exists; more
    /// than a fifth of the rows match and no LIMIT cuts them; the table is tiny, foreign, excluded or an extension's.
    /// Where another role owns the table or a partition, it is only shown.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; the ANALYZE that follows the build needs none.
    pub(super) UnindexedExpression {
        id: "unindexed_expression",
        summary: "comparison with, or order by, an expression that no index serves",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

impl Rule for UnindexedExpression {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let popularity = btree::popularity(cx);
        let mut findings = Findings::default();
        for (position, analyzed) in cx.workload.iter().enumerate() {
            let mut seen: Vec<(RelationId, &Expression)> = Vec::new();
            for (relation, expression) in compared(analyzed).chain(ordered(analyzed)) {
                if !seen.contains(&(relation, expression)) {
                    seen.push((relation, expression));
                    let case = Case { cx, position, analyzed, relation, expression };
                    findings.merge(case.look_at(&popularity));
                }
            }
        }
        findings
    }
}

fn compared(analyzed: &Analyzed) -> impl Iterator<Item = (RelationId, &Expression)> {
    let predicates = analyzed.analysis.predicates.iter().filter(|p| comparable(p.class));
    predicates.filter_map(|predicate| match &predicate.target {
        Target::Expression(expression) => Some((predicate.relation, expression)),
        Target::Column(_) => None,
    })
}

/// Expressions that a LIMIT takes the first rows by; without one the whole table is read in any case.
fn ordered(analyzed: &Analyzed) -> impl Iterator<Item = (RelationId, &Expression)> {
    let blocks = analyzed.analysis.blocks.iter();
    let cut = blocks.filter(|block| block.limit.is_some() && !block.aggregates);
    cut.flat_map(|block| &block.order_by).filter_map(|key| match &key.target {
        Target::Expression(expression) => Some((key.relation, expression)),
        Target::Column(_) => None,
    })
}

fn comparable(class: PredicateClass) -> bool {
    use PredicateClass as C;
    matches!(class, C::Equality | C::AnyOf | C::Range | C::Prefix)
}

struct Case<'a> {
    cx: &'a Context<'a>,
    position: usize,
    analyzed: &'a Analyzed,
    relation: RelationId,
    expression: &'a Expression,
}

impl Case<'_> {
    fn look_at(&self, popularity: &std::collections::BTreeMap<(u32, String), usize>) -> Findings {
        let mut findings = Findings::default();
        let snapshot = self.cx.snapshot;
        let Some(table) = snapshot.table(self.analyzed.analysis.relations[self.relation].table)
        else {
            return findings;
        };
        if let Some(reason) =
            btree::unindexable(table).or_else(|| unfit(snapshot, table, self.expression))
        {
            findings.refusals.push(self.refusal(table, &self.expression.sql, reason));
            return findings;
        }
        let statement = self.analyzed.of(snapshot);
        let known = substitute(
            self.expression,
            self.relation,
            &self.analyzed.analysis,
            statement,
            snapshot,
        );
        let likely = || known.iter().filter(|known| known.probability >= PROBABILITY_MIN);
        if likely().next().is_none() {
            let reason = "its constant is not known: no running session was seen with it, and sampled documents do \
                          not tell";
            findings.refusals.push(self.refusal(table, &self.expression.sql, reason.to_owned()));
        }
        for concrete in likely() {
            findings.merge(self.with_constants(table, concrete, popularity));
        }
        findings
    }

    fn with_constants(
        &self,
        table: &Table,
        concrete: &Concrete,
        popularity: &std::collections::BTreeMap<(u32, String), usize>,
    ) -> Findings {
        let mut findings = Findings::default();
        let block =
            &self.analyzed.analysis.blocks[self.analyzed.analysis.relations[self.relation].block];
        let cut = block.limit.is_some() && !block.aggregates;
        if let Some(share) = concrete.share.filter(|&share| share > SHARE_MAX && !cut) {
            let reason = format!(
                "about {:.0} % of the rows match; an index would not narrow them down",
                share * 100.0
            );
            findings.refusals.push(self.refusal(table, &concrete.sql, reason));
            return findings;
        }
        if let Some(reason) = long_values(table, &concrete.sql) {
            findings.refusals.push(self.refusal(table, &concrete.sql, reason));
            return findings;
        }
        let own = Term::Expression(concrete.sql.clone());
        let terms = |target: &Target| match target {
            Target::Expression(expression) if expression == self.expression => vec![own.clone()],
            Target::Column(name)
                if table.column(name).is_some_and(|c| btree::unsuited(c).is_none()) =>
            {
                vec![Term::Column(name.clone())]
            }
            _ => vec![],
        };
        let candidates =
            btree::candidates(self.cx, self.analyzed, self.relation, popularity, &terms);
        for definition in
            candidates.into_iter().filter(|d| d.keys.iter().any(|key| key.term == own))
        {
            if let Some(index) = covering(self.cx.snapshot, table, &definition) {
                findings.refusals.push(self.refusal(
                    table,
                    &concrete.sql,
                    format!("already covered by {index}"),
                ));
                continue;
            }
            let mut candidate = create(table, definition, "unindexed_expression", self.position);
            if !self.expression.parameters.is_empty() {
                candidate.facts.push(if concrete.source == ValueSource::Example {
                    Fact::SeenConstant
                } else {
                    Fact::GuessedConstant { probability: concrete.probability }
                });
            }
            if let Some(share) = concrete.share.filter(|_| !cut) {
                candidate.facts.push(Fact::ExpressionShare { share });
            }
            findings.candidates.push(candidate);
        }
        findings
    }

    fn refusal(&self, table: &Table, sql: &str, reason: String) -> Refusal {
        Refusal {
            rule: "unindexed_expression".to_owned(),
            table: table.qualified(),
            what: format!("index on ({sql})"),
            reason,
            statements: vec![self.analyzed.of(self.cx.snapshot).id.clone()],
        }
    }
}

/// Functions whose result is short however long the value is.
const SHORT_RESULTS: &[&str] = &[
    "bit_length",
    "char_length",
    "character_length",
    "length",
    "md5",
    "octet_length",
    "starts_with",
    "strpos",
];

/// Why an expression cannot, or should not, be indexed.
fn unfit(snapshot: &Snapshot, table: &Table, expression: &Expression) -> Option<String> {
    let short = expression.functions.iter().any(|(_, f)| SHORT_RESULTS.contains(&f.as_str()));
    let columns = expression.columns.iter().filter_map(|name| table.column(name));
    let mut texts = columns.filter(|column| !short && column.type_category == 'S');
    unfit_for_index(&expression.sql, table, snapshot).or_else(|| texts.find_map(btree::unsuited))
}

/// Why the values at a path in documents make no B-tree keys.
fn long_values(table: &Table, sql: &str) -> Option<String> {
    let path = json_path(sql).filter(|path| !path.steps.is_empty())?;
    let key = |step: &PathStep| match step {
        PathStep::Key(key) => Some(key.clone()),
        PathStep::Parameter(_) => None,
    };
    let keys: Vec<String> = path.steps.iter().map(key).collect::<Option<_>>()?;
    let longest = json_longest(table.column(&path.column)?, &keys)?;
    (longest > btree::VALUE_BYTES_MAX).then(|| {
        format!("its values are up to {longest} bytes long and could outgrow a B-tree page")
    })
}
