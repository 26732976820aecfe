//! Conditions into predicates and joins.

use std::collections::BTreeSet;

use super::analyzer::Analyzer;
use super::expression::{Expr, Literal, commuted, negated};
use super::{
    JoinKind, JoinPair, Operand, ParameterRole, Predicate, PredicateClass, RelationId, Target,
    print,
};

/// How a condition is meant.
pub(super) struct How {
    /// What its join pairs are.
    pub(super) kind: JoinKind,
    /// The only relations that it filters: those on the nullable side of an outer join.
    pub(super) only: Option<BTreeSet<RelationId>>,
}

impl How {
    /// A condition of WHERE, HAVING or an inner join.
    pub(super) const WHERE: Self = Self { kind: JoinKind::Inner, only: None };
}

/// What one condition without AND and OR comes to.
#[derive(Default)]
struct Atoms {
    predicates: Vec<Predicate>,
    pairs: Vec<JoinPair>,
}

impl Analyzer<'_> {
    /// Takes up a condition that must hold.
    pub(super) fn condition(&mut self, expr: &Expr, how: &How) {
        self.note(expr, ParameterRole::Value, None);
        match expr.arms() {
            1 => self.conjunct(expr, how),
            arms => (0..arms).for_each(|arm| self.conjunct(&expr.arm(arm), how)),
        }
    }

    fn conjunct(&mut self, expr: &Expr, how: &How) {
        match expr {
            Expr::And(list) => list.iter().for_each(|part| self.conjunct(part, how)),
            Expr::Or(list) => self.disjunction(list, how),
            Expr::Not(inner) => match negation(inner) {
                Some(positive) => self.conjunct(&positive, how),
                None => self.take(expr, how),
            },
            _ => self.take(expr, how),
        }
    }

    fn take(&mut self, expr: &Expr, how: &How) {
        let atoms = self.atoms(expr, how);
        for predicate in atoms.predicates {
            self.add(predicate, how);
        }
        self.pairs.extend(atoms.pairs);
    }

    fn add(&mut self, predicate: Predicate, how: &How) {
        let wanted = how.only.as_ref().is_none_or(|only| only.contains(&predicate.relation));
        if wanted && !self.predicates.contains(&predicate) {
            self.predicates.push(predicate);
        }
    }

    /// An OR: equalities of one target are a list; else its arms are alternatives for every relation that
    /// each of them restricts.
    fn disjunction(&mut self, list: &[Expr], how: &How) {
        let mut arms = Vec::new();
        flatten(list, &mut arms);
        let arms: Vec<Vec<Predicate>> =
            arms.iter().map(|arm| self.restrictions(arm, how)).collect();
        if let Some(predicate) = one_list(&arms) {
            self.add(predicate, how);
            return;
        }
        let mut relations: Option<BTreeSet<RelationId>> = None;
        for arm in &arms {
            let here: BTreeSet<RelationId> =
                arm.iter().map(|predicate| predicate.relation).collect();
            relations = Some(relations.map_or(here.clone(), |before| &before & &here));
        }
        let relations = relations.unwrap_or_default();
        if relations.is_empty() {
            return;
        }
        let number = self.alternatives;
        self.alternatives += 1;
        for (index, arm) in arms.into_iter().enumerate() {
            for predicate in arm {
                if relations.contains(&predicate.relation) {
                    self.add(Predicate { alternative: Some(number), arm: index, ..predicate }, how);
                }
            }
        }
    }

    /// What one arm of an OR demands of single relations; an OR within it is passed over.
    fn restrictions(&self, arm: &Expr, how: &How) -> Vec<Predicate> {
        match arm {
            Expr::And(list) => list.iter().flat_map(|part| self.restrictions(part, how)).collect(),
            Expr::Or(_) => Vec::new(),
            Expr::Not(inner) if negation(inner).is_some() => negation(inner)
                .map(|positive| self.restrictions(&positive, how))
                .unwrap_or_default(),
            _ => {
                let atoms = self.atoms(arm, how);
                let joined = atoms.pairs.iter().flat_map(|pair| {
                    // Within an OR an equality of columns is no join that could stand alone.
                    [(&pair.left, &pair.right), (&pair.right, &pair.left)].map(
                        |((relation, target), other)| {
                            predicate(
                                *relation,
                                target.clone(),
                                PredicateClass::Equality,
                                "=",
                                column_operand(other),
                            )
                        },
                    )
                });
                joined.collect::<Vec<_>>().into_iter().chain(atoms.predicates).collect()
            }
        }
    }

    fn atoms(&self, expr: &Expr, how: &How) -> Atoms {
        match expr {
            Expr::Operator(Some(left), name, right) => {
                self.comparison_atoms(left, name, right, how)
            }
            Expr::Any { left, operator, right, all } => self.any_atoms(left, operator, right, *all),
            Expr::In(left, list, negated) => self.in_atoms(left, list, *negated, how),
            Expr::Test(value, words) => {
                let class = match *words {
                    "NULL" => PredicateClass::IsNull,
                    "NOT NULL" => PredicateClass::IsNotNull,
                    _ => PredicateClass::Boolean,
                };
                self.of(value, class, &format!("IS {words}"), Operand::None)
            }
            Expr::Column(..) => self.of(expr, PredicateClass::Boolean, "", Operand::None),
            Expr::Not(inner) if matches!(**inner, Expr::Column(..)) => {
                self.of(inner, PredicateClass::Boolean, "NOT", Operand::None)
            }
            Expr::Call(call) if call.name == "starts_with" && call.arguments.len() == 2 => {
                self.comparison_atoms(&call.arguments[0], "^@", &call.arguments[1], how)
            }
            Expr::Sublink { test: Some((left, operator)), outputs, .. } if operator == "=" => {
                match (left.as_ref(), outputs.as_slice()) {
                    (Expr::Row(left), _) => self.pairwise(left, outputs, how),
                    (_, [output]) => self.comparison_atoms(left, "=", output, how),
                    _ => Atoms::default(),
                }
            }
            Expr::Sublink { .. } | Expr::Constant(..) | Expr::Parameter(_) => Atoms::default(),
            _ => self.of(expr, PredicateClass::Other, "", Operand::None),
        }
    }

    fn of(&self, value: &Expr, class: PredicateClass, operator: &str, operand: Operand) -> Atoms {
        let predicates = self
            .single_target(value)
            .map(|(relation, target)| predicate(relation, target, class, operator, operand));
        Atoms { predicates: predicates.into_iter().collect(), pairs: Vec::new() }
    }

    fn pairwise(&self, left: &[Expr], right: &[Expr], how: &How) -> Atoms {
        let mut all = Atoms::default();
        for (left, right) in left.iter().zip(right) {
            let atoms = self.comparison_atoms(left, "=", right, how);
            all.predicates.extend(atoms.predicates);
            all.pairs.extend(atoms.pairs);
        }
        all
    }

    fn comparison_atoms(&self, left: &Expr, name: &str, right: &Expr, how: &How) -> Atoms {
        if let (Expr::Row(left), Expr::Row(right)) = (left, right) {
            return match (name, left.first(), right.first()) {
                ("=", ..) => self.pairwise(left, right, how),
                // Of `(a, b) > (x, y)` all that one column alone must satisfy is `a >= x`.
                ("<" | "<=", Some(left), Some(right)) => {
                    self.comparison_atoms(left, "<=", right, how)
                }
                (">" | ">=", Some(left), Some(right)) => {
                    self.comparison_atoms(left, ">=", right, how)
                }
                _ => Atoms::default(),
            };
        }
        let (mine, yours) = (left.relations(), right.relations());
        let of_left = self.single_target(left).filter(|(relation, _)| !yours.contains(relation));
        let of_right = self.single_target(right).filter(|(relation, _)| !mine.contains(relation));
        if let (Some(one), Some(other), "=") = (&of_left, &of_right, name) {
            let kind = if self.level_of(one.0) == self.level_of(other.0) {
                how.kind
            } else {
                JoinKind::Semi
            };
            return Atoms {
                pairs: vec![JoinPair { left: one.clone(), right: other.clone(), kind }],
                predicates: Vec::new(),
            };
        }
        let mut predicates = Vec::new();
        if let Some((relation, target)) = of_left.clone()
            && self.inner_of(relation, &yours)
        {
            predicates.push(predicate(relation, target, class(name, right), name, operand(right)));
        }
        if let (Some((relation, target)), Some(name)) = (of_right.clone(), commuted(name))
            && self.inner_of(relation, &mine)
        {
            predicates.push(predicate(relation, target, class(name, left), name, operand(left)));
        }
        if of_left.is_none() && of_right.is_none() {
            let whole = Expr::Operator(
                Some(Box::new(left.clone())),
                name.to_owned(),
                Box::new(right.clone()),
            );
            return self.of(&whole, PredicateClass::Other, "", Operand::None);
        }
        Atoms { predicates, pairs: Vec::new() }
    }

    /// Whether a filter on `relation` by columns of `others` runs where `others` are already known: a
    /// subquery may use its outer row, not the outer row its subquery.
    fn inner_of(&self, relation: RelationId, others: &BTreeSet<RelationId>) -> bool {
        others.iter().all(|other| self.level_of(*other) <= self.level_of(relation))
    }

    fn level_of(&self, relation: RelationId) -> usize {
        self.relations.get(relation).map_or(0, |source| source.level)
    }

    fn any_atoms(&self, left: &Expr, name: &str, right: &Expr, all: bool) -> Atoms {
        let foreign =
            |target: &(RelationId, Target), other: &Expr| !other.relations().contains(&target.0);
        if let Some((relation, target)) =
            self.single_target(left).filter(|target| foreign(target, right))
        {
            let class = match (name, all) {
                ("=", false) => PredicateClass::AnyOf,
                ("<>", true) => PredicateClass::NotEqual,
                ("~~" | "~~*" | "~" | "~*", false) => PredicateClass::Pattern,
                _ => PredicateClass::Other,
            };
            let operand = match right.uncast() {
                Expr::Array(list) => Operand::List(list.len()),
                _ => operand(right),
            };
            return Atoms {
                predicates: vec![predicate(relation, target, class, name, operand)],
                pairs: Vec::new(),
            };
        }
        match self.single_target(right).filter(|target| foreign(target, left)) {
            Some((relation, target)) => {
                let name = format!("{name} {}", if all { "ALL" } else { "ANY" });
                Atoms {
                    predicates: vec![predicate(
                        relation,
                        target,
                        PredicateClass::Other,
                        &name,
                        operand(left),
                    )],
                    pairs: Vec::new(),
                }
            }
            None => Atoms::default(),
        }
    }

    fn in_atoms(&self, left: &Expr, list: &[Expr], negated: bool, how: &How) -> Atoms {
        if let ([one], false) = (list, negated) {
            return self.comparison_atoms(left, "=", one, how);
        }
        let (class, name) =
            if negated { (PredicateClass::NotEqual, "<>") } else { (PredicateClass::AnyOf, "=") };
        let columns =
            if let Expr::Row(parts) = left { parts.as_slice() } else { std::slice::from_ref(left) };
        if negated && columns.len() > 1 {
            return Atoms::default();
        }
        let others: BTreeSet<RelationId> = list.iter().flat_map(Expr::relations).collect();
        let targets = columns.iter().filter_map(|column| self.single_target(column));
        let predicates = targets
            .filter(|(relation, _)| !others.contains(relation) && self.inner_of(*relation, &others))
            .map(|(relation, target)| {
                predicate(relation, target, class, name, Operand::List(list.len()))
            })
            .collect();
        Atoms { predicates, pairs: Vec::new() }
    }

    /// The relation and the target that an expression is, when it is over columns of just one relation.
    pub(super) fn single_target(&self, expr: &Expr) -> Option<(RelationId, Target)> {
        if let Expr::Column(relation, name) = expr {
            return Some((*relation, Target::Column(name.clone())));
        }
        let relations = expr.relations();
        let relation = *relations.first().filter(|_| relations.len() == 1)?;
        let unfit = expr.any(&mut |part| match part {
            Expr::Sublink { .. } | Expr::Opaque(_) | Expr::System(..) | Expr::Arms(_) => true,
            Expr::Call(call) => call.folds,
            _ => false,
        });
        let columns = !matches!(expr, Expr::Row(_) | Expr::And(_) | Expr::Or(_));
        (columns && !unfit).then(|| (relation, print::target(&self.tidy(expr))))
    }

    /// The targets that an expression is, one for each arm of a set operation that it looks through.
    pub(super) fn targets_of(&self, expr: &Expr) -> Vec<(RelationId, Target)> {
        match expr.arms() {
            1 => self.single_target(expr).into_iter().collect(),
            arms => (0..arms).filter_map(|arm| self.single_target(&expr.arm(arm))).collect(),
        }
    }

    /// The expression without casts that change nothing, as `pg_get_viewdef` writes them everywhere.
    fn tidy(&self, expr: &Expr) -> Expr {
        expr.map(&mut |part| match part {
            Expr::Cast(value, to) => match *value {
                Expr::Column(relation, name) if self.same_type(relation, &name, &to) => {
                    Expr::Column(relation, name)
                }
                // A literal where the server expects a text.
                Expr::Constant(text, Literal::Text)
                    if matches!(to.as_str(), "text" | "varchar") =>
                {
                    Expr::Constant(text, Literal::Text)
                }
                value => Expr::Cast(Box::new(value), to),
            },
            other => other,
        })
    }

    /// Whether a cast of the column to a type is a relabelling that an index on the column survives.
    fn same_type(&self, relation: RelationId, column: &str, to: &str) -> bool {
        let column = self.relations.get(relation).and_then(|source| source.table.column(column));
        column.is_some_and(|column| match to {
            "text" | "varchar" => matches!(column.base_type.as_str(), "text" | "varchar"),
            _ => column.base_type == to,
        })
    }
}

fn predicate(
    relation: RelationId,
    target: Target,
    class: PredicateClass,
    operator: &str,
    operand: Operand,
) -> Predicate {
    Predicate {
        relation,
        target,
        class,
        operator: operator.to_owned(),
        operand,
        alternative: None,
        arm: 0,
    }
}

fn column_operand((relation, target): &(RelationId, Target)) -> Operand {
    match target {
        Target::Column(name) => Operand::Column(*relation, name.clone()),
        Target::Expression(expression) => {
            Operand::Computed { parameters: expression.parameters.clone() }
        }
    }
}

/// What a target is compared with.
fn operand(expr: &Expr) -> Operand {
    match expr.uncast() {
        Expr::Parameter(number) => Operand::Parameter(*number),
        Expr::Constant(_, Literal::Null) => Operand::Constant("NULL".to_owned()),
        Expr::Constant(text, _) => Operand::Constant(text.clone()),
        Expr::Column(relation, name) => Operand::Column(*relation, name.clone()),
        _ => Operand::Computed { parameters: expr.parameters() },
    }
}

/// The class of a comparison of a target with `right`.
fn class(operator: &str, right: &Expr) -> PredicateClass {
    let constant = if let Expr::Constant(text, Literal::Text) = right.uncast() {
        Some(text.as_str())
    } else {
        None
    };
    let null = matches!(right.uncast(), Expr::Constant(_, Literal::Null));
    match operator {
        "=" if null => PredicateClass::Other,
        "=" => PredicateClass::Equality,
        "<>" | "!=" | "!~~" | "!~~*" | "!~" | "!~*" | "IS DISTINCT FROM" => {
            PredicateClass::NotEqual
        }
        "<" | "<=" | ">" | ">=" => PredicateClass::Range,
        "~~" if constant.is_some_and(|text| !text.is_empty() && !text.starts_with(['%', '_'])) => {
            PredicateClass::Prefix
        }
        "~" if constant.is_some_and(fixed_start) => PredicateClass::Prefix,
        "~~" | "~~*" | "~" | "~*" | "%" | "<%" | "%>" | "<<%" | "%>>" => PredicateClass::Pattern,
        "^@" => PredicateClass::Prefix,
        "@>" => PredicateClass::Contains,
        "?" | "?|" | "?&" => PredicateClass::HasKey,
        "@@" | "@?" | "@@@" => PredicateClass::Matches,
        "&&" | "<@" | "<<" | ">>" | "&<" | "&>" | "-|-" | "<<|" | "|>>" | "&<|" | "|&>" | "~=" => {
            PredicateClass::Overlaps
        }
        _ => PredicateClass::Other,
    }
}

/// Whether a regular expression is anchored to some literal characters.
fn fixed_start(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    chars.next() == Some('^')
        && chars.next().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-')
        && !chars.next().is_some_and(|c| matches!(c, '*' | '?' | '{' | '|'))
        && !pattern.contains('|')
}

/// The condition that holds where this one does not, for those that have one without NOT.
fn negation(expr: &Expr) -> Option<Expr> {
    let not = |part: &Expr| Expr::Not(Box::new(part.clone()));
    Some(match expr {
        Expr::Not(inner) => inner.as_ref().clone(),
        Expr::And(list) => Expr::Or(list.iter().map(not).collect()),
        Expr::Or(list) => Expr::And(list.iter().map(not).collect()),
        Expr::Operator(Some(left), name, right) => {
            Expr::Operator(Some(left.clone()), negated(name)?.to_owned(), right.clone())
        }
        Expr::In(left, list, negated) => Expr::In(left.clone(), list.clone(), !negated),
        Expr::Any { left, operator, right, all } => {
            let operator = negated(operator)?.to_owned();
            Expr::Any { left: left.clone(), operator, right: right.clone(), all: !all }
        }
        Expr::Test(value, words) => {
            let words = match *words {
                "NULL" => "NOT NULL",
                "NOT NULL" => "NULL",
                "TRUE" => "NOT TRUE",
                "NOT TRUE" => "TRUE",
                "FALSE" => "NOT FALSE",
                "NOT FALSE" => "FALSE",
                "UNKNOWN" => "NOT UNKNOWN",
                _ => "UNKNOWN",
            };
            Expr::Test(value.clone(), words)
        }
        _ => return None,
    })
}

/// The arms of an OR, those of ORs within it included.
fn flatten(list: &[Expr], into: &mut Vec<Expr>) {
    for arm in list {
        match arm {
            Expr::Or(inner) => flatten(inner, into),
            Expr::Not(inner) => match negation(inner) {
                Some(Expr::Or(inner)) => flatten(&inner, into),
                Some(positive) => into.push(positive),
                None => into.push(arm.clone()),
            },
            _ => into.push(arm.clone()),
        }
    }
}

/// The OR as one `IN`, when every arm is an equality of the same target.
fn one_list(arms: &[Vec<Predicate>]) -> Option<Predicate> {
    let mut length = 0;
    let mut first: Option<&Predicate> = None;
    for arm in arms {
        let [predicate] = arm.as_slice() else { return None };
        length += match (predicate.class, &predicate.operand) {
            (PredicateClass::AnyOf, Operand::List(length)) => *length,
            (
                PredicateClass::Equality,
                Operand::Parameter(_) | Operand::Constant(_) | Operand::Computed { .. },
            ) => 1,
            _ => return None,
        };
        let same = first.is_none_or(|first| {
            first.relation == predicate.relation && first.target == predicate.target
        });
        if !same {
            return None;
        }
        first = Some(predicate);
    }
    let first = first?.clone();
    Some(Predicate {
        class: PredicateClass::AnyOf,
        operator: "=".to_owned(),
        operand: Operand::List(length),
        ..first
    })
}
