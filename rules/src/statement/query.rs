//! SELECT statements: WITH, set operations, targets, grouping, ordering and limits.

use super::analyzer::Analyzer;
use super::condition::How;
use super::expression::{Expr, Literal};
use super::parse::{NodeEnum, pg};
use super::print::parts;
use super::scope::{Columns, Item, Names, Scope};
use super::{BlockId, Limit, OrderKey, ParameterRole, Unanalyzable};

/// A query that was read.
pub(super) struct Query {
    /// Its output columns.
    pub(super) columns: Columns,
    /// Its block.
    pub(super) block: BlockId,
}

/// A sort key that was resolved.
struct SortKey {
    expr: Expr,
    descending: bool,
    nulls_first: bool,
}

impl Analyzer<'_> {
    /// Reads a SELECT within `outer`.
    pub(super) fn query(
        &mut self,
        select: &pg::SelectStmt,
        outer: Option<&Scope>,
        names: &Names,
    ) -> Result<Query, Unanalyzable> {
        self.enter()?;
        let block = self.block();
        let names = self.with(select.with_clause.as_ref(), outer, names)?;
        let columns = if select.op() != pg::SetOperation::SetopNone
            && select.op() != pg::SetOperation::Undefined
        {
            self.set_operation(select, block, outer, &names)?
        } else if select.values_lists.is_empty() {
            self.plain(select, block, outer, &names)?
        } else {
            self.values(select, outer, &names)?
        };
        self.leave();
        let folded = |expr: Expr| if expr.folds() { Expr::Opaque(vec![expr]) } else { expr };
        let columns = columns.into_iter().map(|(name, expr)| (name, folded(expr))).collect();
        Ok(Query { columns, block })
    }

    /// Puts the common table expressions of a WITH in sight.
    pub(super) fn with(
        &mut self,
        with: Option<&pg::WithClause>,
        outer: Option<&Scope>,
        names: &Names,
    ) -> Result<Names, Unanalyzable> {
        let mut names = names.clone();
        let Some(with) = with else { return Ok(names) };
        for node in &with.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = &node.node else { continue };
            let Some(query) = cte.ctequery.as_deref().and_then(|node| node.node.as_ref()) else {
                continue;
            };
            let columns = match query {
                NodeEnum::SelectStmt(select) if with.recursive && select.larg.is_some() => {
                    self.recursive(select, cte, outer, &names)?
                }
                NodeEnum::SelectStmt(select) => self.query(select, outer, &names)?.columns,
                other => self.modify(other, &Scope::within(outer), &names)?,
            };
            let mut item = Item::new(cte.ctename.clone(), columns);
            item.rename(parts(&cte.aliascolnames));
            names.add(cte.ctename.clone(), item);
        }
        Ok(names)
    }

    /// A CTE that may name itself: in its second arm the name stands for what the first gives.
    fn recursive(
        &mut self,
        select: &pg::SelectStmt,
        cte: &pg::CommonTableExpr,
        outer: Option<&Scope>,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let block = self.block();
        let mut names = self.with(select.with_clause.as_ref(), outer, names)?;
        let (Some(first), Some(second)) = (&select.larg, &select.rarg) else {
            return Ok(Vec::new());
        };
        let first = self.query(first, outer, &names)?;
        let mut item = Item::new(cte.ctename.clone(), first.columns.clone());
        item.rename(parts(&cte.aliascolnames));
        names.add(cte.ctename.clone(), item);
        let second = self.query(second, outer, &names)?;
        self.aggregate([block, first.block, second.block]);
        self.blocks[block].relations = self.relations_of([first.block, second.block]);
        self.combine(&[first.columns, second.columns])
    }

    fn aggregate(&mut self, blocks: impl IntoIterator<Item = BlockId>) {
        for block in blocks {
            self.blocks[block].aggregates = true;
        }
    }

    fn relations_of(&self, blocks: impl IntoIterator<Item = BlockId>) -> Vec<usize> {
        let mut all: Vec<usize> =
            blocks.into_iter().flat_map(|block| self.blocks[block].relations.clone()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The columns of a set operation: each is what its arms put there.
    fn combine(&mut self, arms: &[Columns]) -> Result<Columns, Unanalyzable> {
        let names: Vec<String> =
            arms.first().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let mut columns = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            let each = arms
                .iter()
                .filter_map(|arm| arm.get(index))
                .map(|(_, expr)| expr.clone())
                .collect();
            let expr = Expr::Arms(each);
            self.spend(&expr)?;
            columns.push((name, expr));
        }
        Ok(columns)
    }

    fn set_operation(
        &mut self,
        select: &pg::SelectStmt,
        block: BlockId,
        outer: Option<&Scope>,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let mut leaves = Vec::new();
        let all = arms(select, true, &mut leaves);
        let mut queries = Vec::new();
        for leaf in leaves {
            queries.push(self.query(leaf, outer, names)?);
        }
        let blocks: Vec<BlockId> = queries.iter().map(|query| query.block).collect();
        self.aggregate(blocks.iter().copied().chain([block]));
        self.blocks[block].relations = self.relations_of(blocks.iter().copied());
        if !all {
            // Rows are compared whole, so that all columns are read.
            for (_, expr) in queries.iter().flat_map(|query| &query.columns) {
                self.output(expr);
            }
        }
        let each: Vec<Columns> = queries.into_iter().map(|query| query.columns).collect();
        let columns = self.combine(&each)?;
        let scope = Scope::within(outer);
        let keys = self.sort_keys(&select.sort_clause, &columns, &scope, names)?;
        let limit = self.limit(select, &scope, names)?;
        self.blocks[block].limit = limit;
        if all {
            // Arms that come sorted can be merged, and a limit then stops each of them early.
            for (index, arm) in blocks.into_iter().enumerate() {
                let keys: Vec<SortKey> =
                    keys.iter().map(|key| SortKey { expr: key.expr.arm(index), ..*key }).collect();
                let order = self.order(&keys);
                let arm = &mut self.blocks[arm];
                if arm.order_by.is_empty() && arm.limit.is_none() {
                    arm.order_by = order;
                    arm.limit = limit;
                }
            }
        }
        Ok(columns)
    }

    fn values(
        &mut self,
        select: &pg::SelectStmt,
        outer: Option<&Scope>,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let scope = Scope::within(outer);
        let mut columns: Vec<Vec<Expr>> = Vec::new();
        for node in &select.values_lists {
            let Some(NodeEnum::List(row)) = &node.node else { continue };
            for (index, expr) in self.list(&row.items, &scope, names)?.into_iter().enumerate() {
                self.output(&expr);
                if columns.len() <= index {
                    columns.push(Vec::new());
                }
                // Constants tell nothing later on, and there can be thousands of them.
                if !matches!(expr, Expr::Constant(..)) {
                    columns[index].push(expr);
                }
            }
        }
        Ok(columns
            .into_iter()
            .enumerate()
            .map(|(index, parts)| (format!("column{}", index + 1), Expr::Opaque(parts)))
            .collect())
    }

    fn plain(
        &mut self,
        select: &pg::SelectStmt,
        block: BlockId,
        outer: Option<&Scope>,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let mut scope = Scope::within(outer);
        for node in &select.from_clause {
            self.from(node, &mut scope, names, block)?;
        }
        let mut relations: Vec<usize> =
            scope.items.iter().flat_map(|item| item.relations.iter().copied()).collect();
        relations.sort_unstable();
        relations.dedup();
        self.blocks[block].relations = relations;
        if let Some(condition) = self.maybe(select.where_clause.as_deref(), &scope, names)? {
            self.condition(&condition, &How::WHERE);
        }
        let columns = self.targets(&select.target_list, &scope, names)?;
        let grouped = self.grouping(select, &columns, &scope, names, block)?;
        let having = self.maybe(select.having_clause.as_deref(), &scope, names)?;
        if let Some(having) = &having {
            self.having(having);
        }
        let folds = columns.iter().any(|(_, expr)| expr.folds());
        self.blocks[block].aggregates =
            grouped || having.is_some() || folds || !select.window_clause.is_empty();
        self.ordering(select, &columns, &scope, names, block)?;
        self.blocks[block].limit = self.limit(select, &scope, names)?;
        if !grouped && having.is_none() {
            self.extreme(&columns, block);
        }
        if !select.locking_clause.is_empty() {
            for relation in self.blocks[block].relations.clone() {
                // A row lock is written into the heap row.
                self.relations[relation].whole = true;
            }
        }
        Ok(columns)
    }

    /// HAVING: what holds no aggregate filters the rows themselves.
    fn having(&mut self, having: &Expr) {
        match having {
            Expr::And(list) => list.iter().for_each(|part| self.having(part)),
            _ if having.folds() => self.note(having, ParameterRole::Value, None),
            _ => self.condition(having, &How::WHERE),
        }
    }

    /// Output columns of a target list.
    pub(super) fn targets(
        &mut self,
        list: &[pg::Node],
        scope: &Scope,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let mut columns = Vec::new();
        for node in list {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
            let Some(value) = target.val.as_deref() else { continue };
            if let Some(NodeEnum::ColumnRef(reference)) = &value.node
                && matches!(
                    reference.fields.last().and_then(|last| last.node.as_ref()),
                    Some(NodeEnum::AStar(_))
                )
            {
                let star = scope.star(&parts(&reference.fields));
                for (_, expr) in &star {
                    self.spend(expr)?;
                }
                columns.extend(star);
                continue;
            }
            let name =
                if target.name.is_empty() { column_name(value) } else { target.name.clone() };
            columns.push((name, self.expr(value, scope, names)?));
        }
        Ok(columns)
    }

    /// GROUP BY and DISTINCT; tells whether there is one.
    fn grouping(
        &mut self,
        select: &pg::SelectStmt,
        columns: &Columns,
        scope: &Scope,
        names: &Names,
        block: BlockId,
    ) -> Result<bool, Unanalyzable> {
        let mut keys = Vec::new();
        for node in &select.group_clause {
            match &node.node {
                Some(NodeEnum::GroupingSet(set)) => {
                    let parts = self.grouping_set(set, columns, scope, names)?;
                    keys.push(Expr::Opaque(parts));
                }
                _ => keys.push(self.by_name(node, columns, scope, names, true)?),
            }
        }
        let plain_distinct = select.distinct_clause.iter().all(|node| node.node.is_none());
        if keys.is_empty() && !select.distinct_clause.is_empty() && plain_distinct {
            keys = columns.iter().map(|(_, expr)| expr.clone()).collect();
        }
        for key in &keys {
            self.note(key, ParameterRole::Value, None);
        }
        let targets: Vec<_> = keys.iter().map(|key| self.single_target(key)).collect();
        self.blocks[block].group_by =
            targets.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default();
        Ok(!select.group_clause.is_empty() || !select.distinct_clause.is_empty())
    }

    fn grouping_set(
        &mut self,
        set: &pg::GroupingSet,
        columns: &Columns,
        scope: &Scope,
        names: &Names,
    ) -> Result<Vec<Expr>, Unanalyzable> {
        self.enter()?;
        let mut all = Vec::new();
        for node in &set.content {
            match &node.node {
                Some(NodeEnum::GroupingSet(inner)) => {
                    all.extend(self.grouping_set(inner, columns, scope, names)?);
                }
                _ => all.push(self.by_name(node, columns, scope, names, true)?),
            }
        }
        self.leave();
        Ok(all)
    }

    /// An item of GROUP BY or ORDER BY: a position, the name of an output column, or an expression. GROUP BY
    /// prefers a column of FROM to an output column of the same name, ORDER BY the other way round.
    fn by_name(
        &mut self,
        node: &pg::Node,
        columns: &Columns,
        scope: &Scope,
        names: &Names,
        input_first: bool,
    ) -> Result<Expr, Unanalyzable> {
        match &node.node {
            Some(NodeEnum::AConst(pg::AConst {
                val: Some(pg::a_const::Val::Ival(position)),
                ..
            })) => {
                let index = usize::try_from(position.ival - 1).unwrap_or(usize::MAX);
                Ok(columns
                    .get(index)
                    .map_or_else(|| Expr::Opaque(Vec::new()), |(_, expr)| expr.clone()))
            }
            Some(NodeEnum::ColumnRef(reference)) => {
                let written = parts(&reference.fields);
                let output = match written.as_slice() {
                    [name] => columns
                        .iter()
                        .find(|(column, _)| column == name)
                        .map(|(_, expr)| expr.clone()),
                    _ => None,
                };
                match output {
                    Some(output) if !input_first => Ok(output),
                    Some(output) => Ok(self.expr(node, scope, names).unwrap_or(output)),
                    None => self.expr(node, scope, names),
                }
            }
            _ => self.expr(node, scope, names),
        }
    }

    fn sort_keys(
        &mut self,
        clause: &[pg::Node],
        columns: &Columns,
        scope: &Scope,
        names: &Names,
    ) -> Result<Vec<SortKey>, Unanalyzable> {
        let mut keys = Vec::new();
        for node in clause {
            let Some(NodeEnum::SortBy(sort)) = &node.node else { continue };
            let Some(value) = sort.node.as_deref() else { continue };
            let expr = self.by_name(value, columns, scope, names, false)?;
            self.note(&expr, ParameterRole::Value, None);
            let using_greater =
                parts(&sort.use_op).last().is_some_and(|name| name.starts_with('>'));
            let descending = sort.sortby_dir() == pg::SortByDir::SortbyDesc || using_greater;
            let nulls_first = match sort.sortby_nulls() {
                pg::SortByNulls::SortbyNullsFirst => true,
                pg::SortByNulls::SortbyNullsLast => false,
                _ => descending,
            };
            keys.push(SortKey { expr, descending, nulls_first });
        }
        Ok(keys)
    }

    /// The keys as an order of targets; empty when one of them is none.
    fn order(&self, keys: &[SortKey]) -> Vec<OrderKey> {
        let constant =
            |expr: &Expr| matches!(expr.uncast(), Expr::Constant(..) | Expr::Parameter(_));
        let keys = keys.iter().filter(|key| !constant(&key.expr)).map(|key| {
            let (relation, target) = self.single_target(&key.expr)?;
            Some(OrderKey {
                relation,
                target,
                descending: key.descending,
                nulls_first: key.nulls_first,
            })
        });
        keys.collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    fn ordering(
        &mut self,
        select: &pg::SelectStmt,
        columns: &Columns,
        scope: &Scope,
        names: &Names,
        block: BlockId,
    ) -> Result<(), Unanalyzable> {
        let mut distinct_on = Vec::new();
        for node in select.distinct_clause.iter().filter(|node| node.node.is_some()) {
            let expr = self.by_name(node, columns, scope, names, false)?;
            self.note(&expr, ParameterRole::Value, None);
            distinct_on.push(SortKey { expr, descending: false, nulls_first: false });
        }
        let mut windows = Vec::new();
        for node in &select.window_clause {
            if let Some(NodeEnum::WindowDef(window)) = &node.node {
                windows.push(self.window(window, scope, names)?);
            }
        }
        for node in &select.target_list {
            if let Some(NodeEnum::ResTarget(target)) = &node.node
                && let Some(NodeEnum::FuncCall(call)) =
                    target.val.as_deref().and_then(|value| value.node.as_ref())
                && let Some(window) = call.over.as_deref().filter(|window| window.name.is_empty())
            {
                windows.push(self.window(window, scope, names)?);
            }
        }
        let mut keys = self.sort_keys(&select.sort_clause, columns, scope, names)?;
        if keys.is_empty() {
            keys = distinct_on;
        }
        if let (true, [_]) = (keys.is_empty(), windows.as_slice()) {
            keys = windows.remove(0);
        }
        self.blocks[block].order_by = self.order(&keys);
        Ok(())
    }

    /// The order in which a window wants its rows.
    fn window(
        &mut self,
        window: &pg::WindowDef,
        scope: &Scope,
        names: &Names,
    ) -> Result<Vec<SortKey>, Unanalyzable> {
        let mut keys = Vec::new();
        for node in &window.partition_clause {
            let expr = self.expr(node, scope, names)?;
            self.note(&expr, ParameterRole::Value, None);
            keys.push(SortKey { expr, descending: false, nulls_first: false });
        }
        keys.extend(self.sort_keys(&window.order_clause, &Vec::new(), scope, names)?);
        Ok(keys)
    }

    /// `SELECT max(x)` alone: the server reads it as `ORDER BY x DESC LIMIT 1`.
    fn extreme(&mut self, columns: &Columns, block: BlockId) {
        let [(_, Expr::Call(call))] = columns.as_slice() else { return };
        let ([argument], "min" | "max") = (call.arguments.as_slice(), call.name.as_str()) else {
            return;
        };
        let descending = call.name == "max";
        let order =
            self.order(&[SortKey { expr: argument.clone(), descending, nulls_first: descending }]);
        let block = &mut self.blocks[block];
        if !order.is_empty() && block.limit.is_none() && block.order_by.is_empty() {
            block.order_by = order;
            block.limit = Some(Limit::Rows(1));
        }
    }

    fn limit(
        &mut self,
        select: &pg::SelectStmt,
        scope: &Scope,
        names: &Names,
    ) -> Result<Option<Limit>, Unanalyzable> {
        if let Some(offset) = self.maybe(select.limit_offset.as_deref(), scope, names)? {
            self.note(&offset, ParameterRole::Offset, None);
        }
        let Some(count) = self.maybe(select.limit_count.as_deref(), scope, names)? else {
            return Ok(None);
        };
        self.note(&count, ParameterRole::Limit, None);
        Ok(match count.uncast() {
            Expr::Constant(_, Literal::Null) => None,
            Expr::Constant(text, _) => Some(text.parse().map_or(Limit::Unknown, Limit::Rows)),
            Expr::Parameter(number) => Some(Limit::Parameter(*number)),
            _ => Some(Limit::Unknown),
        })
    }
}

/// Gathers the arms of a tree of set operations; tells whether all of it is UNION ALL.
fn arms<'t>(select: &'t pg::SelectStmt, top: bool, into: &mut Vec<&'t pg::SelectStmt>) -> bool {
    let bare = select.sort_clause.is_empty()
        && select.limit_count.is_none()
        && select.with_clause.is_none();
    match (&select.larg, &select.rarg) {
        (Some(left), Some(right)) if top || bare && select.limit_offset.is_none() => {
            let all = select.all && select.op() == pg::SetOperation::SetopUnion;
            let left = arms(left, false, into);
            let right = arms(right, false, into);
            all && left && right
        }
        _ => {
            into.push(select);
            true
        }
    }
}

/// The name that the server gives an output column without alias (`FigureColname` of the server).
fn column_name(value: &pg::Node) -> String {
    let name = match &value.node {
        Some(NodeEnum::ColumnRef(reference)) => parts(&reference.fields).pop(),
        Some(NodeEnum::FuncCall(call)) => parts(&call.funcname).pop(),
        Some(NodeEnum::TypeCast(cast)) => {
            let inner = cast.arg.as_deref().map(column_name).filter(|name| name != "?column?");
            inner.or_else(|| cast.type_name.as_ref().and_then(|name| parts(&name.names).pop()))
        }
        Some(NodeEnum::CollateClause(collate)) => collate.arg.as_deref().map(column_name),
        Some(NodeEnum::AIndirection(steps)) => {
            let field = parts(&steps.indirection).pop();
            field.or_else(|| steps.arg.as_deref().map(column_name))
        }
        Some(NodeEnum::CaseExpr(case)) => {
            let otherwise =
                case.defresult.as_deref().map(column_name).filter(|name| name != "?column?");
            Some(otherwise.unwrap_or_else(|| "case".to_owned()))
        }
        Some(NodeEnum::CoalesceExpr(_)) => Some("coalesce".to_owned()),
        Some(NodeEnum::MinMaxExpr(inner)) if inner.op() == pg::MinMaxOp::IsGreatest => {
            Some("greatest".to_owned())
        }
        Some(NodeEnum::MinMaxExpr(_)) => Some("least".to_owned()),
        Some(NodeEnum::AArrayExpr(_)) => Some("array".to_owned()),
        Some(NodeEnum::RowExpr(_)) => Some("row".to_owned()),
        Some(NodeEnum::AExpr(inner)) if inner.kind() == pg::AExprKind::AexprNullif => {
            Some("nullif".to_owned())
        }
        Some(NodeEnum::SubLink(link)) => sublink_name(link),
        _ => None,
    };
    name.unwrap_or_else(|| "?column?".to_owned())
}

fn sublink_name(link: &pg::SubLink) -> Option<String> {
    match link.sub_link_type() {
        pg::SubLinkType::ExistsSublink => Some("exists".to_owned()),
        pg::SubLinkType::ArraySublink => Some("array".to_owned()),
        pg::SubLinkType::ExprSublink => {
            let Some(NodeEnum::SelectStmt(select)) =
                link.subselect.as_deref().and_then(|node| node.node.as_ref())
            else {
                return None;
            };
            let Some(NodeEnum::ResTarget(target)) =
                select.target_list.first().and_then(|node| node.node.as_ref())
            else {
                return None;
            };
            if target.name.is_empty() {
                target.val.as_deref().map(column_name)
            } else {
                Some(target.name.clone())
            }
        }
        _ => None,
    }
}
