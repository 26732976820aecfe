//! FROM clauses: tables, views, subqueries, functions and joins.

use super::analyzer::Analyzer;
use super::condition::How;
use super::expression::Expr;
use super::parse::{self, NodeEnum, pg};
use super::print::parts;
use super::scope::{Item, Meaning, Names, Scope, meaning};
use super::{BlockId, JoinKind, Unanalyzable};
use crate::snapshot::View;

impl Analyzer<'_> {
    /// Adds what one item of a FROM clause offers to the scope.
    pub(super) fn from(
        &mut self,
        node: &pg::Node,
        scope: &mut Scope,
        names: &Names,
        block: BlockId,
    ) -> Result<(), Unanalyzable> {
        self.enter()?;
        match &node.node {
            Some(NodeEnum::RangeVar(range)) => {
                let item = self.range(range, names, block)?;
                scope.items.push(item);
            }
            Some(NodeEnum::JoinExpr(join)) => self.join(join, scope, names, block)?,
            Some(NodeEnum::RangeSubselect(range)) => {
                let Some(NodeEnum::SelectStmt(select)) =
                    range.subquery.as_deref().and_then(|node| node.node.as_ref())
                else {
                    return Err(Unanalyzable::Kind("subquery".to_owned()));
                };
                let outer = if range.lateral { Some(&*scope) } else { scope.parent };
                let query = self.query(select, outer, names)?;
                let inner = self.blocks[query.block].relations.clone();
                let mut item = Item::new(String::new(), query.columns);
                item.relations.extend(inner);
                scope.items.push(aliased(item, range.alias.as_ref()));
            }
            Some(NodeEnum::RangeFunction(range)) => {
                let item = self.function(range, scope, names)?;
                scope.items.push(item);
            }
            Some(NodeEnum::RangeTableSample(sample)) => {
                if let Some(relation) = sample.relation.as_deref() {
                    self.from(relation, scope, names, block)?;
                }
            }
            Some(NodeEnum::RangeTableFunc(range)) => {
                let made_of = self.maybe(range.docexpr.as_deref(), scope, names)?;
                let item = Item::open(String::new(), Expr::Opaque(made_of.into_iter().collect()));
                scope.items.push(aliased(item, range.alias.as_ref()));
            }
            Some(NodeEnum::JsonTable(range)) => {
                let document =
                    range.context_item.as_deref().and_then(|item| item.raw_expr.as_deref());
                let made_of = self.maybe(document, scope, names)?;
                let item = Item::open(String::new(), Expr::Opaque(made_of.into_iter().collect()));
                scope.items.push(aliased(item, range.alias.as_ref()));
            }
            _ => scope.items.push(Item::open(String::new(), Expr::Opaque(Vec::new()))),
        }
        self.leave();
        Ok(())
    }

    /// The item of a table, view or common table expression.
    pub(super) fn range(
        &mut self,
        range: &pg::RangeVar,
        names: &Names,
        block: BlockId,
    ) -> Result<Item, Unanalyzable> {
        let alias =
            range.alias.as_ref().map_or(range.relname.as_str(), |alias| alias.aliasname.as_str());
        if let Some(cte) = names.get(&range.relname).filter(|_| range.schemaname.is_empty()) {
            let item = Item { alias: alias.to_owned(), ..cte.clone() };
            for (_, expr) in &item.columns {
                self.spend(expr)?;
            }
            return Ok(aliased(item, range.alias.as_ref()));
        }
        let mut item =
            match meaning(self.snapshot, &self.search_path, &range.schemaname, &range.relname) {
                Meaning::Table(table) => {
                    let mut item = self.source(table, alias, block)?;
                    item.schema = Some(table.schema.clone());
                    item
                }
                Meaning::View(view) => self.view(view, alias)?,
                Meaning::Catalog => {
                    self.catalog = true;
                    Item::open(alias.to_owned(), Expr::Opaque(Vec::new()))
                }
                Meaning::Unknown => return Err(Unanalyzable::UnknownRelation(written(range))),
            };
        if range.alias.is_some() {
            item.schema = None;
        }
        Ok(aliased(item, range.alias.as_ref()))
    }

    /// A view is what its definition selects, under the names of its columns.
    fn view(&mut self, view: &View, alias: &str) -> Result<Item, Unanalyzable> {
        self.enter()?;
        let NodeEnum::SelectStmt(select) = parse::statement(&view.definition)? else {
            return Err(Unanalyzable::Kind(format!("definition of view {}", view.name)));
        };
        let path = std::mem::replace(&mut self.search_path, vec!["pg_catalog".to_owned()]);
        let query = self.query(&select, None, &Names::default());
        self.search_path = path;
        self.leave();
        let query = query?;
        let inner = self.blocks[query.block].relations.clone();
        let mut item = Item::new(alias.to_owned(), query.columns);
        item.relations.extend(inner);
        item.rename(view.columns.clone());
        item.schema = Some(view.schema.clone());
        Ok(item)
    }

    fn function(
        &mut self,
        range: &pg::RangeFunction,
        scope: &Scope,
        names: &Names,
    ) -> Result<Item, Unanalyzable> {
        let mut made_of = Vec::new();
        let mut called = String::new();
        let mut defined = column_definitions(&range.coldeflist);
        for node in &range.functions {
            let Some(NodeEnum::List(pair)) = &node.node else { continue };
            if let Some(function) = pair.items.first() {
                if let Some(NodeEnum::FuncCall(call)) = &function.node {
                    called = parts(&call.funcname).pop().unwrap_or_default();
                }
                made_of.push(self.expr(function, scope, names)?);
            }
            if let Some(NodeEnum::List(definitions)) =
                pair.items.get(1).and_then(|node| node.node.as_ref())
            {
                defined.extend(column_definitions(&definitions.items));
            }
        }
        for expr in &made_of {
            self.note(expr, super::ParameterRole::Value, None);
        }
        let mut item = Item::open(called, Expr::Opaque(made_of));
        item.rename(defined);
        Ok(aliased(item, range.alias.as_ref()))
    }

    fn join(
        &mut self,
        join: &pg::JoinExpr,
        scope: &mut Scope,
        names: &Names,
        block: BlockId,
    ) -> Result<(), Unanalyzable> {
        let start = scope.items.len();
        if let Some(left) = join.larg.as_deref() {
            self.from(left, scope, names, block)?;
        }
        let middle = scope.items.len();
        if let Some(right) = join.rarg.as_deref() {
            self.from(right, scope, names, block)?;
        }
        let behind =
            |items: &[Item]| items.iter().flat_map(|item| item.relations.iter().copied()).collect();
        let how = match join.jointype() {
            pg::JoinType::JoinLeft => {
                How { kind: JoinKind::Outer, only: Some(behind(&scope.items[middle..])) }
            }
            pg::JoinType::JoinRight => {
                How { kind: JoinKind::Outer, only: Some(behind(&scope.items[start..middle])) }
            }
            pg::JoinType::JoinFull => {
                How { kind: JoinKind::Outer, only: Some(std::collections::BTreeSet::new()) }
            }
            _ => How::WHERE,
        };
        let mut shared = parts(&join.using_clause);
        if join.is_natural {
            shared = natural(&scope.items[start..middle], &scope.items[middle..]);
        }
        for name in shared {
            self.merge(&name, join.jointype(), scope, start, middle, &how)?;
        }
        if let Some(condition) = self.maybe(join.quals.as_deref(), scope, names)? {
            self.condition(&condition, &how);
        }
        if let Some(alias) = &join.alias {
            // The alias of a join hides the names within it.
            let inner = Scope {
                items: scope.items.split_off(start),
                merged: std::mem::take(&mut scope.merged),
                ..Scope::default()
            };
            let mut item = Item::new(String::new(), inner.star(&[]));
            item.relations = behind(&inner.items);
            scope.items.push(aliased(item, Some(alias)));
        }
        Ok(())
    }

    /// One column of USING: an equality, and one column where there were two.
    fn merge(
        &mut self,
        name: &str,
        kind: pg::JoinType,
        scope: &mut Scope,
        start: usize,
        middle: usize,
        how: &How,
    ) -> Result<(), Unanalyzable> {
        let find = |items: &[Item]| {
            let known = |item: &&Item| {
                !item.hidden.contains(name) && item.columns.iter().any(|(column, _)| column == name)
            };
            let item =
                items.iter().find(known).or_else(|| items.iter().find(|item| item.open.is_some()));
            item.and_then(|item| {
                let column = item
                    .columns
                    .iter()
                    .find(|(column, _)| column == name)
                    .map(|(_, expr)| expr.clone());
                column.or_else(|| item.open.clone())
            })
        };
        let unknown = || Unanalyzable::UnknownColumn(name.to_owned());
        let left = find(&scope.items[start..middle]).ok_or_else(unknown)?;
        let right = find(&scope.items[middle..]).ok_or_else(unknown)?;
        let equal =
            Expr::Operator(Some(Box::new(left.clone())), "=".to_owned(), Box::new(right.clone()));
        self.spend(&equal)?;
        self.condition(&equal, how);
        let (hidden, kept) = match kind {
            pg::JoinType::JoinRight => (start..middle, right),
            pg::JoinType::JoinFull => {
                (middle..scope.items.len(), Expr::Keyword("COALESCE", vec![left, right]))
            }
            _ => (middle..scope.items.len(), left),
        };
        for item in &mut scope.items[hidden] {
            item.hidden.insert(name.to_owned());
        }
        scope.merged.retain(|(column, _)| column != name);
        scope.merged.push((name.to_owned(), kept));
        Ok(())
    }
}

/// Columns that both sides of a NATURAL join have.
fn natural(left: &[Item], right: &[Item]) -> Vec<String> {
    let names = |items: &[Item]| {
        let visible = |item: &Item| {
            let hidden = item.hidden.clone();
            item.columns
                .iter()
                .map(|(name, _)| name.clone())
                .filter(|name| !hidden.contains(name))
                .collect::<Vec<_>>()
        };
        items.iter().flat_map(visible).collect::<Vec<_>>()
    };
    let right = names(right);
    names(left).into_iter().filter(|name| right.contains(name)).collect()
}

/// The item under its alias and the column names that come with it.
fn aliased(mut item: Item, alias: Option<&pg::Alias>) -> Item {
    if let Some(alias) = alias {
        item.alias.clone_from(&alias.aliasname);
        item.rename(parts(&alias.colnames));
    }
    item
}

fn column_definitions(nodes: &[pg::Node]) -> Vec<String> {
    let name = |node: &pg::Node| match &node.node {
        Some(NodeEnum::ColumnDef(definition)) => Some(definition.colname.clone()),
        _ => None,
    };
    nodes.iter().filter_map(name).collect()
}

/// The name as it was written.
pub(super) fn written(range: &pg::RangeVar) -> String {
    if range.schemaname.is_empty() {
        range.relname.clone()
    } else {
        format!("{}.{}", range.schemaname, range.relname)
    }
}
