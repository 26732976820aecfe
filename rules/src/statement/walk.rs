//! A walk over the syntax tree of a SELECT, INSERT, UPDATE or DELETE.

use super::parse::{NodeEnum, pg};

/// Calls `look` on every node of the statement, parents first.
pub(super) fn walk<'t>(node: &'t NodeEnum, look: &mut impl FnMut(&'t NodeEnum)) {
    look(node);
    let mut children = Children::default();
    children.of(node);
    for child in children.nodes {
        if let Some(inner) = &child.node {
            walk(inner, look);
        }
    }
    for select in children.selects {
        walk_select(select, look);
    }
}

/// An arm of a set operation is no node of its own.
fn walk_select<'t>(select: &'t pg::SelectStmt, look: &mut impl FnMut(&'t NodeEnum)) {
    let mut children = Children::default();
    children.of_select(select);
    for child in children.nodes {
        if let Some(inner) = &child.node {
            walk(inner, look);
        }
    }
    for arm in children.selects {
        walk_select(arm, look);
    }
}

/// What stands directly below a node.
#[derive(Default)]
struct Children<'t> {
    nodes: Vec<&'t pg::Node>,
    selects: Vec<&'t pg::SelectStmt>,
}

impl<'t> Children<'t> {
    fn list(&mut self, nodes: &'t [pg::Node]) {
        self.nodes.extend(nodes);
    }

    fn one(&mut self, node: Option<&'t pg::Node>) {
        self.nodes.extend(node);
    }

    fn with(&mut self, with: Option<&'t pg::WithClause>) {
        self.list(with.map_or(&[], |with| &with.ctes));
    }

    fn of_select(&mut self, select: &'t pg::SelectStmt) {
        self.with(select.with_clause.as_ref());
        self.list(&select.distinct_clause);
        self.list(&select.target_list);
        self.list(&select.from_clause);
        self.one(select.where_clause.as_deref());
        self.list(&select.group_clause);
        self.one(select.having_clause.as_deref());
        self.list(&select.window_clause);
        self.list(&select.values_lists);
        self.list(&select.sort_clause);
        self.one(select.limit_offset.as_deref());
        self.one(select.limit_count.as_deref());
        self.selects.extend(select.larg.as_deref());
        self.selects.extend(select.rarg.as_deref());
    }

    fn of(&mut self, node: &'t NodeEnum) {
        match node {
            NodeEnum::SelectStmt(inner) => self.of_select(inner),
            NodeEnum::InsertStmt(inner) => {
                self.with(inner.with_clause.as_ref());
                self.one(inner.select_stmt.as_deref());
                if let Some(conflict) = &inner.on_conflict_clause {
                    self.list(&conflict.target_list);
                    self.one(conflict.where_clause.as_deref());
                }
                self.list(inner.returning_clause.as_ref().map_or(&[], |clause| &clause.exprs));
            }
            NodeEnum::UpdateStmt(inner) => {
                self.with(inner.with_clause.as_ref());
                self.list(&inner.target_list);
                self.list(&inner.from_clause);
                self.one(inner.where_clause.as_deref());
                self.list(inner.returning_clause.as_ref().map_or(&[], |clause| &clause.exprs));
            }
            NodeEnum::DeleteStmt(inner) => {
                self.with(inner.with_clause.as_ref());
                self.list(&inner.using_clause);
                self.one(inner.where_clause.as_deref());
                self.list(inner.returning_clause.as_ref().map_or(&[], |clause| &clause.exprs));
            }
            NodeEnum::CommonTableExpr(inner) => self.one(inner.ctequery.as_deref()),
            NodeEnum::ResTarget(inner) => self.one(inner.val.as_deref()),
            NodeEnum::MultiAssignRef(inner) if inner.colno == 1 => {
                self.one(inner.source.as_deref());
            }
            NodeEnum::SortBy(inner) => self.one(inner.node.as_deref()),
            NodeEnum::GroupingSet(inner) => self.list(&inner.content),
            NodeEnum::WindowDef(inner) => self.window(inner),
            NodeEnum::List(inner) => self.list(&inner.items),
            _ => self.of_from(node),
        }
    }

    fn window(&mut self, window: &'t pg::WindowDef) {
        self.list(&window.partition_clause);
        self.list(&window.order_clause);
        self.one(window.start_offset.as_deref());
        self.one(window.end_offset.as_deref());
    }

    fn of_from(&mut self, node: &'t NodeEnum) {
        match node {
            NodeEnum::JoinExpr(inner) => {
                self.one(inner.larg.as_deref());
                self.one(inner.rarg.as_deref());
                self.one(inner.quals.as_deref());
            }
            NodeEnum::RangeSubselect(inner) => self.one(inner.subquery.as_deref()),
            NodeEnum::RangeFunction(inner) => self.list(&inner.functions),
            NodeEnum::RangeTableSample(inner) => {
                self.one(inner.relation.as_deref());
                self.list(&inner.args);
            }
            NodeEnum::RangeTableFunc(inner) => {
                self.one(inner.docexpr.as_deref());
                self.one(inner.rowexpr.as_deref());
            }
            _ => self.of_expression(node),
        }
    }

    fn of_expression(&mut self, node: &'t NodeEnum) {
        match node {
            NodeEnum::AExpr(inner) => {
                self.one(inner.lexpr.as_deref());
                self.one(inner.rexpr.as_deref());
            }
            NodeEnum::BoolExpr(inner) => self.list(&inner.args),
            NodeEnum::TypeCast(inner) => self.one(inner.arg.as_deref()),
            NodeEnum::FuncCall(inner) => {
                self.list(&inner.args);
                self.list(&inner.agg_order);
                self.one(inner.agg_filter.as_deref());
                if let Some(window) = inner.over.as_deref() {
                    self.window(window);
                }
            }
            NodeEnum::SubLink(inner) => {
                self.one(inner.testexpr.as_deref());
                self.one(inner.subselect.as_deref());
            }
            NodeEnum::CaseExpr(inner) => {
                self.one(inner.arg.as_deref());
                self.list(&inner.args);
                self.one(inner.defresult.as_deref());
            }
            NodeEnum::CaseWhen(inner) => {
                self.one(inner.expr.as_deref());
                self.one(inner.result.as_deref());
            }
            NodeEnum::NullTest(inner) => self.one(inner.arg.as_deref()),
            NodeEnum::BooleanTest(inner) => self.one(inner.arg.as_deref()),
            NodeEnum::CoalesceExpr(inner) => self.list(&inner.args),
            NodeEnum::MinMaxExpr(inner) => self.list(&inner.args),
            NodeEnum::AArrayExpr(inner) => self.list(&inner.elements),
            NodeEnum::RowExpr(inner) => self.list(&inner.args),
            NodeEnum::CollateClause(inner) => self.one(inner.arg.as_deref()),
            NodeEnum::NamedArgExpr(inner) => self.one(inner.arg.as_deref()),
            NodeEnum::AIndirection(inner) => {
                self.one(inner.arg.as_deref());
                self.list(&inner.indirection);
            }
            NodeEnum::AIndices(inner) => {
                self.one(inner.lidx.as_deref());
                self.one(inner.uidx.as_deref());
            }
            NodeEnum::XmlExpr(inner) => {
                self.list(&inner.named_args);
                self.list(&inner.args);
            }
            NodeEnum::JsonObjectConstructor(inner) => self.list(&inner.exprs),
            NodeEnum::JsonArrayConstructor(inner) => self.list(&inner.exprs),
            NodeEnum::JsonKeyValue(inner) => {
                self.one(inner.key.as_deref());
                self.one(inner.value.as_deref().and_then(|value| value.raw_expr.as_deref()));
            }
            NodeEnum::JsonValueExpr(inner) => self.one(inner.raw_expr.as_deref()),
            _ => {}
        }
    }
}
