use super::unserved_predicate::{covering, create};
use crate::bindings::{Concrete, ValueSource, substitute};
use crate::btree;
use crate::candidate::{Findings, Refusal};
use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::index::Term;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Snapshot, Table, Volatility};
use crate::statement::{Expression, PredicateClass, RelationId, Target};

declare_rule! {
    /// A comparison with an expression over a column, such as `lower(email)` or `metadata ->> 'theme'`.
    ///
    /// # Why
    /// An index on the column alone does not serve the expression: every row is read and computed, on every call.
    ///
    /// # Evidence
    /// Every function and operator in the expression is immutable; the planner, given the hypothetical index, uses
    /// it; and sampled values say that few rows match, since the planner itself has no statistics of an
    /// expression before it is indexed. A constant that normalization replaced by `$n` comes from a running
    /// session's text, or is guessed from sampled documents, and then confidence says so.
    ///
    /// # Silent when
    /// Something in the expression is not immutable (casts that depend on the time zone, say), could raise an
    /// error on a later row (text to number), or is not part of PostgreSQL itself; an index on the expression
    /// exists; more than a fifth of the rows match and no LIMIT cuts them.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; the ANALYZE that follows the build needs none.
    pub(super) UnindexedExpression {
        id: "unindexed_expression",
        summary: "comparison with an expression that no index serves",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

/// Probability under which a guessed constant is not worth a line in the report.
const PROBABILITY_MIN: f64 = 0.3;

/// Share of the rows from which an index on the expression is not worth its while without a LIMIT.
const SHARE_MAX: f64 = 0.2;

impl Rule for UnindexedExpression {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let popularity = btree::popularity(cx);
        let mut findings = Findings::default();
        for (position, analyzed) in cx.workload.iter().enumerate() {
            let analysis = &analyzed.analysis;
            let mut seen: Vec<(RelationId, &Expression)> = Vec::new();
            for predicate in &analysis.predicates {
                let Target::Expression(expression) = &predicate.target else { continue };
                if comparable(predicate.class) && !seen.contains(&(predicate.relation, expression))
                {
                    seen.push((predicate.relation, expression));
                    let case =
                        Case { cx, position, analyzed, relation: predicate.relation, expression };
                    findings.merge(case.look_at(&popularity));
                }
            }
        }
        findings
    }
}

fn comparable(class: PredicateClass) -> bool {
    matches!(class, PredicateClass::Equality | PredicateClass::AnyOf | PredicateClass::Range)
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
        let concretes = substitute(
            self.expression,
            self.relation,
            &self.analyzed.analysis,
            statement,
            snapshot,
        );
        for concrete in concretes.iter().filter(|concrete| concrete.probability >= PROBABILITY_MIN)
        {
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
            if let Some(index) = covering(table, &definition) {
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

/// Operators of PostgreSQL itself that are immutable for all types that they are usually met with.
const IMMUTABLE_OPERATORS: &[&str] = &["#>", "#>>", "%", "*", "+", "-", "->", "->>", "/", "^"];

/// Casts that are immutable and cannot fail: to text from text-like types and whole numbers, and between those.
const SAFE_CASTS: &[&str] = &["bigint", "character varying", "int8", "text", "varchar"];

/// Why an expression cannot, or should not, be indexed.
fn unfit(snapshot: &Snapshot, table: &Table, expression: &Expression) -> Option<String> {
    let columns: Vec<_> = expression.columns.iter().filter_map(|name| table.column(name)).collect();
    if columns.len() != expression.columns.len() || columns.is_empty() {
        return Some("it is no expression over the table's own columns".to_owned());
    }
    if let Some(operator) =
        expression.operators.iter().find(|o| !IMMUTABLE_OPERATORS.contains(&o.as_str()))
    {
        return Some(format!("the operator {operator} is not known to be immutable"));
    }
    let dates = columns.iter().any(|column| column.type_category == 'D');
    if dates && !expression.operators.is_empty() {
        return Some("date arithmetic can depend on the time zone".to_owned());
    }
    for cast in &expression.casts {
        let simple = cast.rsplit('.').next().unwrap_or(cast).to_ascii_lowercase();
        let from_plain = columns.iter().all(|c| matches!(c.type_category, 'S' | 'N' | 'U' | 'E'));
        let widening = !matches!(simple.as_str(), "bigint" | "int8")
            || columns.iter().all(|c| matches!(c.base_type.as_str(), "int2" | "int4" | "int8"));
        if !SAFE_CASTS.contains(&simple.as_str()) || !from_plain || !widening {
            return Some(format!(
                "the cast to {cast} is not immutable, or could fail on a later row"
            ));
        }
    }
    expression
        .functions
        .iter()
        .find_map(|(schema, name)| mutable(snapshot, &columns, schema.as_deref(), name))
}

/// Why a function cannot be part of an index: it must be PostgreSQL's own, and immutable in every overload that
/// takes one of the columns (or, for text-like columns, text).
fn mutable(
    snapshot: &Snapshot,
    columns: &[&crate::snapshot::Column],
    schema: Option<&str>,
    name: &str,
) -> Option<String> {
    let overloads: Vec<_> = snapshot
        .functions
        .iter()
        .filter(|f| f.name == name && schema.is_none_or(|schema| f.schema == schema))
        .collect();
    if overloads.iter().any(|function| function.schema != "pg_catalog") {
        return Some(format!(
            "{name}() is not PostgreSQL's own; its result could change with its definition"
        ));
    }
    let takes = |function: &&&crate::snapshot::Function| {
        function.arguments.iter().any(|argument| {
            columns.iter().any(|column| {
                let declared = column.type_name.split('(').next().unwrap_or_default().trim();
                argument == declared || (column.type_category == 'S' && argument == "text")
            })
        })
    };
    let fitting: Vec<_> = overloads.iter().filter(takes).collect();
    if fitting.is_empty() {
        return Some(format!("no built-in {name}() is known that takes the column"));
    }
    fitting
        .iter()
        .any(|function| function.volatility != Volatility::Immutable)
        .then(|| format!("{name}() is not immutable for this type"))
}
