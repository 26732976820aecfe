//! Columns and expressions that statements search by operators that a B-tree does not serve.
//!
//! Which operators those are, and which operator class of which access method serves them, is what a rule
//! knows; the rest is the same for all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::{ValueSource, substitute};
use crate::btree;
use crate::candidate::{Candidate, Findings, Refusal};
use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::index::{IndexDefinition, Key, Term};
use crate::snapshot::{Index, Snapshot, Table};
use crate::statement::{Predicate, Target, index_type};

/// Probability under which a guessed constant of an expression is not worth an index.
pub(crate) const PROBABILITY_MIN: f64 = 0.3;

/// The type of what is searched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Searched {
    /// Name of the type, domains resolved, as `pg_type.typname` has it: `jsonb`, `text`, `_int4`, `tsrange`.
    pub(crate) type_name: String,
    /// Whether it is an array whose elements have an order.
    pub(crate) ordered_array: bool,
    /// Whether it is a range or a multirange.
    pub(crate) range: bool,
}

/// What the workload asks of one column or expression.
#[derive(Debug)]
pub(crate) struct Search {
    /// Oid of the table.
    pub(crate) table: u32,
    /// What is searched.
    pub(crate) term: Term,
    /// Its type.
    pub(crate) searched: Searched,
    /// The operators of the workload that the rule serves.
    pub(crate) operators: BTreeSet<&'static str>,
    /// Positions in the workload, in order.
    pub(crate) statements: BTreeSet<usize>,
    /// What is known of constants within the expression.
    pub(crate) facts: Vec<Fact>,
}

impl Search {
    /// What is searched, as SQL.
    pub(crate) fn text(&self) -> String {
        text(&self.term)
    }

    /// The ids of its statements.
    pub(crate) fn ids(&self, cx: &Context<'_>) -> Vec<String> {
        self.statements.iter().map(|&s| cx.workload[s].of(cx.snapshot).id.clone()).collect()
    }
}

/// What a rule looks for.
pub(crate) trait Finder {
    /// Its name.
    fn rule(&self) -> &'static str;
    /// How messages call the index, `GIN index`.
    fn index(&self) -> &'static str;
    /// The operators that it knows to serve on values of this type.
    fn serves(&self, searched: &Searched) -> &'static [&'static str];
    /// Whether a predicate is for another rule, whatever its operator.
    fn leaves(&self, _predicate: &Predicate) -> bool {
        false
    }
    /// Why a predicate that it serves is better left alone.
    fn hopeless(&self, _predicate: &Predicate) -> Option<String> {
        None
    }
}

/// All searches of the workload that a rule serves, by table and term; and what keeps others from being served.
pub(crate) fn searches(
    cx: &Context<'_>,
    finder: &dyn Finder,
) -> (BTreeMap<(u32, Term), Search>, Vec<Refusal>) {
    let mut found: BTreeMap<(u32, Term), Search> = BTreeMap::new();
    let mut refusals = Vec::new();
    for (position, analyzed) in cx.workload.iter().enumerate() {
        for predicate in &analyzed.analysis.predicates {
            let oid = analyzed.analysis.relations[predicate.relation].table;
            let Some(table) = cx.snapshot.table(oid) else { continue };
            if finder.leaves(predicate) {
                continue;
            }
            let looked = Look { cx, finder, table, analyzed, predicate };
            match looked.terms() {
                Ok(terms) => {
                    for (term, searched, operator, fact) in terms {
                        let key = (oid, term.clone());
                        let search = found.entry(key).or_insert_with(|| Search {
                            table: oid,
                            term,
                            searched,
                            operators: BTreeSet::new(),
                            statements: BTreeSet::new(),
                            facts: Vec::new(),
                        });
                        search.operators.insert(operator);
                        search.statements.insert(position);
                        if let Some(fact) = fact
                            && !search.facts.contains(&fact)
                        {
                            search.facts.push(fact);
                        }
                    }
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    (found, refusals)
}

type Found = (Term, Searched, &'static str, Option<Fact>);

struct Look<'a> {
    cx: &'a Context<'a>,
    finder: &'a dyn Finder,
    table: &'a Table,
    analyzed: &'a Analyzed,
    predicate: &'a Predicate,
}

impl Look<'_> {
    fn terms(&self) -> Result<Vec<Found>, Refusal> {
        let snapshot = self.cx.snapshot;
        let operator = |searched: &Searched| {
            let served = self.finder.serves(searched).iter();
            served.copied().find(|served| *served == self.predicate.operator)
        };
        let found = match &self.predicate.target {
            Target::Column(name) => {
                let searched = of_column(self.table, name);
                let operator = searched.as_ref().and_then(operator);
                let term = Term::Column(name.clone());
                searched.zip(operator).map(|(s, o)| (term, s, o, None)).into_iter().collect()
            }
            Target::Expression(expression) => {
                let Ok(Some(of)) = index_type(&expression.sql, self.table, snapshot) else {
                    return self.not_immutable(&expression.sql, &operator);
                };
                let searched = of_type(&of);
                let Some(operator) = operator(&searched) else { return Ok(Vec::new()) };
                let known = substitute(
                    expression,
                    self.predicate.relation,
                    &self.analyzed.analysis,
                    self.analyzed.of(snapshot),
                    snapshot,
                );
                let likely = known.into_iter().filter(|k| k.probability >= PROBABILITY_MIN);
                let found: Vec<Found> = likely
                    .map(|concrete| {
                        let fact = match concrete.source {
                            _ if expression.parameters.is_empty() => None,
                            ValueSource::Example => Some(Fact::SeenConstant),
                            ValueSource::Statistics => {
                                let probability = concrete.probability;
                                Some(Fact::GuessedConstant { probability })
                            }
                        };
                        (Term::Expression(concrete.sql), searched.clone(), operator, fact)
                    })
                    .collect();
                if found.is_empty() {
                    let reason =
                        "the constant in it is not known: no running session was seen with it";
                    return Err(self.refusal(&expression.sql, reason.to_owned()));
                }
                found
            }
        };
        match self.finder.hopeless(self.predicate) {
            Some(reason) if !found.is_empty() => {
                let sql = found.first().map_or(String::new(), |(term, ..)| text(term));
                Err(self.refusal(&sql, reason))
            }
            _ => Ok(found),
        }
    }

    /// An expression that cannot be indexed is worth a word only where the rule would serve it.
    fn not_immutable(
        &self,
        sql: &str,
        operator: &dyn Fn(&Searched) -> Option<&'static str>,
    ) -> Result<Vec<Found>, Refusal> {
        // PostgreSQL's text search functions are the ones that are stable in their short form.
        let short = sql.trim_start().starts_with("to_tsvector(");
        let vector = of_type("tsvector");
        match index_type(sql, self.table, self.cx.snapshot) {
            Err(_) if short && operator(&vector).is_some() => Err(self.refusal(
                sql,
                "its result depends on default_text_search_config, so that it cannot be indexed: name the configuration, \
                 as in to_tsvector('english', …), in the statement and in the index"
                    .to_owned(),
            )),
            _ => Ok(Vec::new()),
        }
    }

    fn refusal(&self, sql: &str, reason: String) -> Refusal {
        Refusal {
            rule: self.finder.rule().to_owned(),
            table: self.table.qualified(),
            what: format!("{} on ({sql})", self.finder.index()),
            reason,
            statements: vec![self.analyzed.of(self.cx.snapshot).id.clone()],
        }
    }
}

fn of_column(table: &Table, name: &str) -> Option<Searched> {
    let column = table.column(name)?;
    Some(Searched {
        type_name: column.base_type.clone(),
        ordered_array: column.type_category == 'A' && column.btree,
        range: matches!(column.type_kind, 'r' | 'm'),
    })
}

/// The type of an expression, as `format_type` prints it.
fn of_type(printed: &str) -> Searched {
    let element = printed.strip_suffix("[]");
    let known = |name: &str| match name {
        "integer" => "int4".to_owned(),
        "bigint" => "int8".to_owned(),
        "smallint" => "int2".to_owned(),
        "character varying" => "varchar".to_owned(),
        "character" => "bpchar".to_owned(),
        "boolean" => "bool".to_owned(),
        other => other.to_owned(),
    };
    let unordered = ["json", "xml", "point", "polygon", "box", "circle", "line", "lseg", "path"];
    Searched {
        type_name: element.map_or_else(|| known(printed), |element| format!("_{}", known(element))),
        ordered_array: element.is_some_and(|element| !unordered.contains(&element)),
        range: printed.ends_with("range"),
    }
}

fn text(term: &Term) -> String {
    match term {
        Term::Column(name) => crate::quote::ident(name),
        Term::Expression(sql) => sql.clone(),
    }
}

/// How a search is to be served.
pub(crate) struct Served<'s> {
    /// Access method.
    pub(crate) method: &'static str,
    /// Operator class, where it is not the default one.
    pub(crate) opclass: Option<String>,
    /// Whether an index of the method serves as well, by the operator class of the key on the same term.
    pub(crate) serves: &'s dyn Fn(&Index, &crate::snapshot::IndexKey) -> bool,
}

/// The candidate for a search, or why there is none.
pub(crate) fn candidate(
    cx: &Context<'_>,
    finder: &dyn Finder,
    search: &Search,
    served: &Served<'_>,
) -> Findings {
    let mut findings = Findings::default();
    let Some(table) = cx.snapshot.table(search.table) else { return findings };
    let refuse = |reason: String| Refusal {
        rule: finder.rule().to_owned(),
        table: table.qualified(),
        what: format!("{} on ({})", finder.index(), search.text()),
        reason,
        statements: search.ids(cx),
    };
    let covering = table.indexes.iter().find(|index| covers(index, search, served, table, cx));
    if let Some(reason) = btree::unindexable(table) {
        findings.refusals.push(refuse(reason));
    } else if let Some(index) = covering {
        findings.refusals.push(refuse(format!("already covered by {}", index.name)));
    } else {
        let mut key = Key::ordered(search.term.clone(), false, false);
        key.opclass.clone_from(&served.opclass);
        let mut definition = IndexDefinition::btree(table, vec![key]);
        served.method.clone_into(&mut definition.method);
        let mut candidate: Candidate = crate::rules::create(table, definition, finder.rule(), 0);
        candidate.serves = search.statements.iter().copied().collect();
        candidate.facts.extend(search.facts.iter().cloned());
        findings.candidates.push(candidate);
    }
    findings
}

fn covers(
    index: &Index,
    search: &Search,
    served: &Served<'_>,
    table: &Table,
    cx: &Context<'_>,
) -> bool {
    let on_term = |key: &&crate::snapshot::IndexKey| {
        let mine = Key::ordered(search.term.clone(), false, false);
        mine.same_term(key, table, cx.snapshot)
    };
    index.valid
        && index.predicate.is_none()
        && index.keys.iter().filter(on_term).any(|key| (served.serves)(index, key))
}

/// The operator class of an extension, as SQL names it, where the extension is installed.
pub(crate) fn extension_class(snapshot: &Snapshot, extension: &str, class: &str) -> Option<String> {
    let schema = &snapshot.extension(extension)?.schema;
    Some(crate::quote::qualified(schema, class))
}
