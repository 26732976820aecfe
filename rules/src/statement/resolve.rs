//! Syntax trees of expressions into resolved ones.

use super::Unanalyzable;
use super::analyzer::Analyzer;
use super::expression::{Call, Expr, Literal, Step};
use super::parse::{NodeEnum, pg};
use super::print::{parts, type_name};
use super::scope::{Names, Scope};
use crate::quote;

/// Aggregates of PostgreSQL 14 to 18. Others are seen by their DISTINCT, ORDER BY, FILTER or `*`.
const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_agg_strict",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    "xmlagg",
];

type Resolved = Result<Expr, Unanalyzable>;

impl Analyzer<'_> {
    /// Resolves an expression that may be missing.
    pub(super) fn maybe(
        &mut self,
        node: Option<&pg::Node>,
        scope: &Scope,
        names: &Names,
    ) -> Result<Option<Expr>, Unanalyzable> {
        node.map(|node| self.expr(node, scope, names)).transpose()
    }

    /// Resolves a list of expressions.
    pub(super) fn list(
        &mut self,
        nodes: &[pg::Node],
        scope: &Scope,
        names: &Names,
    ) -> Result<Vec<Expr>, Unanalyzable> {
        nodes.iter().map(|node| self.expr(node, scope, names)).collect()
    }

    /// Resolves an expression.
    pub(super) fn expr(&mut self, node: &pg::Node, scope: &Scope, names: &Names) -> Resolved {
        self.enter()?;
        let resolved = match &node.node {
            Some(inner) => self.dispatch(inner, scope, names),
            None => Ok(Expr::Opaque(Vec::new())),
        };
        self.leave();
        resolved
    }

    fn dispatch(&mut self, node: &NodeEnum, scope: &Scope, names: &Names) -> Resolved {
        match node {
            NodeEnum::ColumnRef(reference) => self.column(reference, scope),
            NodeEnum::ParamRef(parameter) => self.parameter(parameter.number),
            NodeEnum::AConst(literal) => Ok(constant(literal)),
            NodeEnum::TypeCast(cast) => self.cast(cast, scope, names),
            NodeEnum::AExpr(operation) => self.operation(operation, scope, names),
            NodeEnum::BoolExpr(logic) => self.logic(logic, scope, names),
            NodeEnum::NullTest(test) => {
                let words = if test.nulltesttype() == pg::NullTestType::IsNull {
                    "NULL"
                } else {
                    "NOT NULL"
                };
                Ok(Expr::Test(self.boxed(test.arg.as_deref(), scope, names)?, words))
            }
            NodeEnum::BooleanTest(test) => {
                let words = boolean_test(test.booltesttype());
                Ok(Expr::Test(self.boxed(test.arg.as_deref(), scope, names)?, words))
            }
            NodeEnum::FuncCall(call) => self.call(call, scope, names),
            NodeEnum::SubLink(link) => self.sublink(link, scope, names),
            _ => self.dispatch_rare(node, scope, names),
        }
    }

    fn dispatch_rare(&mut self, node: &NodeEnum, scope: &Scope, names: &Names) -> Resolved {
        match node {
            NodeEnum::CoalesceExpr(inner) => {
                Ok(Expr::Keyword("COALESCE", self.list(&inner.args, scope, names)?))
            }
            NodeEnum::MinMaxExpr(inner) => {
                let word =
                    if inner.op() == pg::MinMaxOp::IsGreatest { "GREATEST" } else { "LEAST" };
                Ok(Expr::Keyword(word, self.list(&inner.args, scope, names)?))
            }
            NodeEnum::AArrayExpr(inner) => {
                Ok(Expr::Array(self.list(&inner.elements, scope, names)?))
            }
            NodeEnum::RowExpr(inner) => Ok(Expr::Row(self.list(&inner.args, scope, names)?)),
            NodeEnum::CaseExpr(inner) => self.case(inner, scope, names),
            NodeEnum::AIndirection(inner) => self.steps(inner, scope, names),
            NodeEnum::CollateClause(inner) => {
                let collation = parts(&inner.collname)
                    .iter()
                    .map(|part| quote::ident(part))
                    .collect::<Vec<_>>()
                    .join(".");
                Ok(Expr::Collate(self.boxed(inner.arg.as_deref(), scope, names)?, collation))
            }
            NodeEnum::SqlvalueFunction(inner) => Ok(Expr::Clock(value_function(inner.op()))),
            NodeEnum::NamedArgExpr(inner) => Ok(*self.boxed(inner.arg.as_deref(), scope, names)?),
            NodeEnum::List(inner) => Ok(Expr::Row(self.list(&inner.items, scope, names)?)),
            NodeEnum::SortBy(inner) => Ok(*self.boxed(inner.node.as_deref(), scope, names)?),
            NodeEnum::ResTarget(inner) => Ok(*self.boxed(inner.val.as_deref(), scope, names)?),
            NodeEnum::GroupingFunc(inner) => {
                Ok(Expr::Opaque(self.list(&inner.args, scope, names)?))
            }
            NodeEnum::XmlExpr(inner) => {
                let mut made_of = self.list(&inner.named_args, scope, names)?;
                made_of.extend(self.list(&inner.args, scope, names)?);
                Ok(Expr::Opaque(made_of))
            }
            NodeEnum::XmlSerialize(inner) => {
                Ok(Expr::Opaque(vec![*self.boxed(inner.expr.as_deref(), scope, names)?]))
            }
            _ => self.json(node, scope, names),
        }
    }

    /// The SQL/JSON constructors and queries of PostgreSQL 16 and later: only what they read is of interest.
    fn json(&mut self, node: &NodeEnum, scope: &Scope, names: &Names) -> Resolved {
        let mut made_of = Vec::new();
        match node {
            NodeEnum::JsonObjectConstructor(inner) => {
                made_of = self.list(&inner.exprs, scope, names)?;
            }
            NodeEnum::JsonArrayConstructor(inner) => {
                made_of = self.list(&inner.exprs, scope, names)?;
            }
            NodeEnum::JsonKeyValue(inner) => {
                made_of.extend(self.maybe(inner.key.as_deref(), scope, names)?);
                made_of.extend(self.json_value(inner.value.as_deref(), scope, names)?);
            }
            NodeEnum::JsonValueExpr(inner) => {
                made_of.extend(self.json_value(Some(inner), scope, names)?);
            }
            NodeEnum::JsonFuncExpr(inner) => {
                made_of.extend(self.json_value(inner.context_item.as_deref(), scope, names)?);
                made_of.extend(self.maybe(inner.pathspec.as_deref(), scope, names)?);
                made_of.extend(self.list(&inner.passing, scope, names)?);
            }
            NodeEnum::JsonIsPredicate(inner) => {
                made_of.extend(self.maybe(inner.expr.as_deref(), scope, names)?);
            }
            _ => {}
        }
        Ok(Expr::Opaque(made_of))
    }

    fn json_value(
        &mut self,
        value: Option<&pg::JsonValueExpr>,
        scope: &Scope,
        names: &Names,
    ) -> Result<Option<Expr>, Unanalyzable> {
        self.maybe(value.and_then(|value| value.raw_expr.as_deref()), scope, names)
    }

    fn boxed(
        &mut self,
        node: Option<&pg::Node>,
        scope: &Scope,
        names: &Names,
    ) -> Result<Box<Expr>, Unanalyzable> {
        Ok(Box::new(self.maybe(node, scope, names)?.unwrap_or_else(|| Expr::Opaque(Vec::new()))))
    }

    fn column(&mut self, reference: &pg::ColumnRef, scope: &Scope) -> Resolved {
        let names = parts(&reference.fields);
        if matches!(
            reference.fields.last().and_then(|last| last.node.as_ref()),
            Some(NodeEnum::AStar(_))
        ) {
            let columns = scope.star(&names).into_iter().map(|(_, expr)| expr).collect();
            let row = Expr::Opaque(columns);
            self.spend(&row)?;
            return Ok(row);
        }
        let found =
            scope.column(&names).ok_or_else(|| Unanalyzable::UnknownColumn(names.join(".")))?;
        self.spend(&found)?;
        Ok(found)
    }

    fn parameter(&mut self, number: i32) -> Resolved {
        let number = u16::try_from(number)
            .map_err(|_| Unanalyzable::Syntax(format!("there is no parameter ${number}")))?;
        self.seen.push(number);
        Ok(Expr::Parameter(number))
    }

    fn cast(&mut self, cast: &pg::TypeCast, scope: &Scope, names: &Names) -> Resolved {
        let value = self.boxed(cast.arg.as_deref(), scope, names)?;
        Ok(match &cast.type_name {
            Some(name) => Expr::Cast(value, type_name(name)),
            None => *value,
        })
    }

    fn logic(&mut self, logic: &pg::BoolExpr, scope: &Scope, names: &Names) -> Resolved {
        let mut list = self.list(&logic.args, scope, names)?;
        Ok(match (logic.boolop(), list.len()) {
            (pg::BoolExprType::AndExpr, _) => Expr::And(list),
            (pg::BoolExprType::OrExpr, _) => Expr::Or(list),
            (_, 1) => Expr::Not(Box::new(list.remove(0))),
            _ => Expr::Opaque(list),
        })
    }

    fn operation(&mut self, operation: &pg::AExpr, scope: &Scope, names: &Names) -> Resolved {
        use pg::AExprKind as Kind;
        let name = parts(&operation.name).pop().unwrap_or_default();
        let left = self.maybe(operation.lexpr.as_deref(), scope, names)?.map(Box::new);
        let right = self.boxed(operation.rexpr.as_deref(), scope, names)?;
        let Some(left) = left else { return Ok(Expr::Operator(None, name, right)) };
        let compare = |operator: &str, with: &Expr| {
            Expr::Operator(Some(left.clone()), operator.to_owned(), Box::new(with.clone()))
        };
        Ok(match (operation.kind(), *right) {
            (Kind::AexprOpAny, right) => {
                Expr::Any { left, operator: name, right: Box::new(right), all: false }
            }
            (Kind::AexprOpAll, right) => {
                Expr::Any { left, operator: name, right: Box::new(right), all: true }
            }
            (Kind::AexprDistinct, right) => compare("IS DISTINCT FROM", &right),
            (Kind::AexprNotDistinct, right) => compare("IS NOT DISTINCT FROM", &right),
            (Kind::AexprNullif, right) => Expr::Keyword("NULLIF", vec![*left, right]),
            (Kind::AexprIn, Expr::Row(list)) => Expr::In(left, list, name != "="),
            (Kind::AexprBetween | Kind::AexprBetweenSym, Expr::Row(bounds)) => {
                match bounds.as_slice() {
                    [low, high] => Expr::And(vec![compare(">=", low), compare("<=", high)]),
                    _ => Expr::Opaque(bounds),
                }
            }
            (Kind::AexprNotBetween | Kind::AexprNotBetweenSym, Expr::Row(bounds)) => {
                match bounds.as_slice() {
                    [low, high] => Expr::Or(vec![compare("<", low), compare(">", high)]),
                    _ => Expr::Opaque(bounds),
                }
            }
            (_, right) => Expr::Operator(Some(left), name, Box::new(right)),
        })
    }

    fn call(&mut self, call: &pg::FuncCall, scope: &Scope, names: &Names) -> Resolved {
        let mut arguments = self.list(&call.args, scope, names)?;
        if call.func_variadic {
            return Ok(Expr::Opaque(arguments));
        }
        let mut written = parts(&call.funcname);
        let name = written.pop().unwrap_or_default();
        let schema = written.pop();
        let folds = call.over.is_some()
            || call.agg_star
            || call.agg_distinct
            || call.agg_within_group
            || call.agg_filter.is_some()
            || !call.agg_order.is_empty()
            || schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
                && AGGREGATES.binary_search(&name.as_str()).is_ok();
        arguments.extend(self.list(&call.agg_order, scope, names)?);
        arguments.extend(self.maybe(call.agg_filter.as_deref(), scope, names)?);
        if let Some(window) = &call.over {
            arguments.extend(self.list(&window.partition_clause, scope, names)?);
            arguments.extend(self.list(&window.order_clause, scope, names)?);
        }
        Ok(Expr::Call(Call { schema, name, arguments, folds }))
    }

    fn case(&mut self, case: &pg::CaseExpr, scope: &Scope, names: &Names) -> Resolved {
        let operand = self.maybe(case.arg.as_deref(), scope, names)?.map(Box::new);
        let mut arms = Vec::new();
        for node in &case.args {
            if let Some(NodeEnum::CaseWhen(when)) = &node.node {
                let condition = *self.boxed(when.expr.as_deref(), scope, names)?;
                arms.push((condition, *self.boxed(when.result.as_deref(), scope, names)?));
            }
        }
        let otherwise = self.maybe(case.defresult.as_deref(), scope, names)?.map(Box::new);
        Ok(Expr::Case(operand, arms, otherwise))
    }

    fn steps(&mut self, indirection: &pg::AIndirection, scope: &Scope, names: &Names) -> Resolved {
        let value = self.boxed(indirection.arg.as_deref(), scope, names)?;
        let mut steps = Vec::new();
        for node in &indirection.indirection {
            match &node.node {
                Some(NodeEnum::String(field)) => steps.push(Step::Field(field.sval.clone())),
                Some(NodeEnum::AIndices(index)) if !index.is_slice => {
                    steps.push(Step::Index(*self.boxed(index.uidx.as_deref(), scope, names)?));
                }
                _ => return Ok(Expr::Opaque(vec![*value])),
            }
        }
        Ok(Expr::Steps(value, steps))
    }

    fn sublink(&mut self, link: &pg::SubLink, scope: &Scope, names: &Names) -> Resolved {
        use pg::SubLinkType as Kind;
        let test = self.maybe(link.testexpr.as_deref(), scope, names)?;
        let seen = self.seen.len();
        let kind = link.sub_link_type();
        let barrier = Scope::within(Some(scope));
        let outputs = self.deeper(|this| {
            match link.subselect.as_deref().and_then(|node| node.node.as_ref()) {
                Some(NodeEnum::SelectStmt(select)) => {
                    this.query(select, Some(&barrier), names).map(|query| query.columns)
                }
                _ => Err(Unanalyzable::Kind("subquery".to_owned())),
            }
        })?;
        let mut outputs: Vec<Expr> = outputs.into_iter().map(|(_, expr)| expr).collect();
        if kind == Kind::ExistsSublink {
            outputs.clear();
        }
        for output in &outputs {
            self.output(output);
        }
        let mut outer = barrier.outer.take();
        let parameters = self.seen.get(seen..).unwrap_or_default().to_vec();
        let test = match (test, kind) {
            (Some(test), Kind::AnySublink) => {
                let operator = parts(&link.oper_name).pop().unwrap_or_else(|| "=".to_owned());
                Some((Box::new(test), operator))
            }
            (Some(test), _) => {
                outer.push(test);
                None
            }
            (None, _) => None,
        };
        Ok(Expr::Sublink { test, outputs, outer, parameters })
    }
}

fn constant(literal: &pg::AConst) -> Expr {
    use pg::a_const::Val;
    match &literal.val {
        _ if literal.isnull => Expr::Constant(String::new(), Literal::Null),
        None => Expr::Constant("0".to_owned(), Literal::Number),
        Some(Val::Ival(number)) => Expr::Constant(number.ival.to_string(), Literal::Number),
        Some(Val::Fval(number)) => Expr::Constant(number.fval.clone(), Literal::Number),
        Some(Val::Boolval(truth)) => Expr::Constant(truth.boolval.to_string(), Literal::Boolean),
        Some(Val::Sval(text)) => Expr::Constant(text.sval.clone(), Literal::Text),
        Some(Val::Bsval(bits)) => Expr::Constant(bits.bsval.clone(), Literal::Bits),
    }
}

fn boolean_test(test: pg::BoolTestType) -> &'static str {
    use pg::BoolTestType as Test;
    match test {
        Test::IsTrue | Test::Undefined => "TRUE",
        Test::IsNotTrue => "NOT TRUE",
        Test::IsFalse => "FALSE",
        Test::IsNotFalse => "NOT FALSE",
        Test::IsUnknown => "UNKNOWN",
        Test::IsNotUnknown => "NOT UNKNOWN",
    }
}

fn value_function(op: pg::SqlValueFunctionOp) -> &'static str {
    use pg::SqlValueFunctionOp as Op;
    match op {
        Op::SvfopCurrentDate => "current_date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
        Op::SvfopCurrentRole => "current_role",
        Op::SvfopCurrentUser | Op::SvfopUser => "current_user",
        Op::SvfopSessionUser => "session_user",
        Op::SvfopCurrentCatalog => "current_catalog",
        Op::SvfopCurrentSchema => "current_schema",
        Op::SvfopCurrentTimestamp
        | Op::SvfopCurrentTimestampN
        | Op::SqlvalueFunctionOpUndefined => "current_timestamp",
    }
}

#[cfg(test)]
mod tests {
    use super::AGGREGATES;

    #[test]
    fn aggregates_are_sorted_for_the_search() {
        assert!(AGGREGATES.is_sorted());
    }
}
