//! INSERT, UPDATE and DELETE.

use std::collections::BTreeSet;

use super::analyzer::Analyzer;
use super::condition::How;
use super::expression::Expr;
use super::from::written;
use super::parse::{NodeEnum, pg};
use super::scope::{Columns, Item, Meaning, Names, Scope, meaning};
use super::{ParameterRole, Unanalyzable, Write};
use crate::snapshot::Table;

impl<'s> Analyzer<'s> {
    /// Reads a data-modifying statement; its columns are those of RETURNING.
    pub(super) fn modify(
        &mut self,
        statement: &NodeEnum,
        outer: &Scope,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        self.enter()?;
        let columns = match statement {
            NodeEnum::InsertStmt(insert) => self.insert(insert, outer, names),
            NodeEnum::UpdateStmt(update) => self.update(update, outer, names),
            NodeEnum::DeleteStmt(delete) => self.delete(delete, outer, names),
            other => Err(Unanalyzable::Kind(super::classify::kind_words(other))),
        };
        self.leave();
        columns
    }

    /// The table that a statement writes to.
    fn written_table(&mut self, range: Option<&pg::RangeVar>) -> Result<&'s Table, Unanalyzable> {
        let range = range.ok_or_else(|| Unanalyzable::Kind("no target table".to_owned()))?;
        match meaning(self.snapshot, &self.search_path, &range.schemaname, &range.relname) {
            Meaning::Table(table) => Ok(table),
            Meaning::View(view) => {
                Err(Unanalyzable::Kind(format!("writes through the view {}", view.name)))
            }
            Meaning::Catalog => Err(Unanalyzable::CatalogOnly),
            Meaning::Unknown => Err(Unanalyzable::UnknownRelation(written(range))),
        }
    }

    fn insert(
        &mut self,
        insert: &pg::InsertStmt,
        outer: &Scope,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let names = self.with(insert.with_clause.as_ref(), Some(outer), names)?;
        let table = self.written_table(insert.relation.as_ref())?;
        let mut columns: Vec<String> = insert.cols.iter().filter_map(target_name).collect();
        if columns.is_empty() {
            columns = table.columns.iter().map(|column| column.name.clone()).collect();
        }
        if let Some(NodeEnum::SelectStmt(select)) =
            insert.select_stmt.as_deref().and_then(|node| node.node.as_ref())
        {
            if select.values_lists.is_empty() {
                let query = self.query(select, Some(outer), &names)?;
                for ((_, expr), column) in query.columns.iter().zip(&columns) {
                    self.note(expr, ParameterRole::Stored, Some((table.oid, column)));
                }
            } else {
                let names = self.with(select.with_clause.as_ref(), Some(outer), &names)?;
                self.rows(select, table, &columns, outer, &names)?;
            }
        }
        // The table's own columns and `excluded` stand for values, not for something to look up.
        let target = insert.relation.as_ref();
        let alias = target
            .and_then(|range| range.alias.as_ref())
            .map_or(table.name.as_str(), |alias| alias.aliasname.as_str());
        let mut scope = Scope::within(Some(outer));
        for alias in ["excluded", alias] {
            let known = table
                .columns
                .iter()
                .map(|column| (column.name.clone(), Expr::Opaque(Vec::new())))
                .collect();
            let mut item = Item::new(alias.to_owned(), known);
            item.open = Some(Expr::Opaque(Vec::new()));
            scope.items.push(item);
        }
        if let Some(conflict) = &insert.on_conflict_clause {
            columns.extend(self.set(&conflict.target_list, table, &scope, &names)?);
            if let Some(condition) = self.maybe(conflict.where_clause.as_deref(), &scope, &names)? {
                self.note(&condition, ParameterRole::Value, None);
            }
        }
        self.write = Some(Write { table: table.oid, columns: columns.into_iter().collect() });
        self.returning(insert.returning_clause.as_ref(), &scope, &names)
    }

    /// The rows of `INSERT … VALUES`.
    fn rows(
        &mut self,
        select: &pg::SelectStmt,
        table: &Table,
        columns: &[String],
        outer: &Scope,
        names: &Names,
    ) -> Result<(), Unanalyzable> {
        for node in &select.values_lists {
            let Some(NodeEnum::List(row)) = &node.node else { continue };
            for (node, column) in row.items.iter().zip(columns) {
                let value = self.expr(node, outer, names)?;
                self.note(&value, ParameterRole::Stored, Some((table.oid, column)));
            }
        }
        Ok(())
    }

    fn update(
        &mut self,
        update: &pg::UpdateStmt,
        outer: &Scope,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let block = self.block();
        let names = self.with(update.with_clause.as_ref(), Some(outer), names)?;
        let table = self.written_table(update.relation.as_ref())?;
        let mut scope = Scope::within(Some(outer));
        self.target(update.relation.as_ref(), &mut scope, block)?;
        for node in &update.from_clause {
            self.from(node, &mut scope, &names, block)?;
        }
        self.body(update.where_clause.as_deref(), &scope, &names, block)?;
        let columns = self.set(&update.target_list, table, &scope, &names)?;
        self.write = Some(Write { table: table.oid, columns });
        self.returning(update.returning_clause.as_ref(), &scope, &names)
    }

    fn delete(
        &mut self,
        delete: &pg::DeleteStmt,
        outer: &Scope,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        let block = self.block();
        let names = self.with(delete.with_clause.as_ref(), Some(outer), names)?;
        let table = self.written_table(delete.relation.as_ref())?;
        let mut scope = Scope::within(Some(outer));
        self.target(delete.relation.as_ref(), &mut scope, block)?;
        for node in &delete.using_clause {
            self.from(node, &mut scope, &names, block)?;
        }
        self.body(delete.where_clause.as_deref(), &scope, &names, block)?;
        self.write = Some(Write { table: table.oid, columns: BTreeSet::new() });
        self.returning(delete.returning_clause.as_ref(), &scope, &names)
    }

    /// The target of UPDATE or DELETE: its heap rows are needed whole.
    fn target(
        &mut self,
        range: Option<&pg::RangeVar>,
        scope: &mut Scope,
        block: usize,
    ) -> Result<(), Unanalyzable> {
        if let Some(range) = range {
            // A common table expression of the same name is never the target.
            let item = self.range(range, &Names::default(), block)?;
            for relation in &item.relations {
                self.relations[*relation].whole = true;
            }
            scope.items.push(item);
        }
        Ok(())
    }

    fn body(
        &mut self,
        condition: Option<&pg::Node>,
        scope: &Scope,
        names: &Names,
        block: usize,
    ) -> Result<(), Unanalyzable> {
        let relations: BTreeSet<usize> =
            scope.items.iter().flat_map(|item| item.relations.iter().copied()).collect();
        self.blocks[block].relations = relations.into_iter().collect();
        if let Some(condition) = self.maybe(condition, scope, names)? {
            self.condition(&condition, &How::WHERE);
        }
        Ok(())
    }

    /// The columns of SET, their values noted.
    fn set(
        &mut self,
        list: &[pg::Node],
        table: &Table,
        scope: &Scope,
        names: &Names,
    ) -> Result<BTreeSet<String>, Unanalyzable> {
        let mut columns = BTreeSet::new();
        for node in list {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
            columns.insert(target.name.clone());
            let Some(value) = target.val.as_deref() else { continue };
            let place = Some((table.oid, target.name.as_str()));
            // `SET (a, b) = (x, y)`: the source comes again for each column.
            let value = match &value.node {
                Some(NodeEnum::MultiAssignRef(part)) => assigned(part),
                _ => Some(value),
            };
            if let Some(value) = value {
                let value = self.expr(value, scope, names)?;
                self.note(&value, ParameterRole::Stored, place);
            }
        }
        Ok(columns)
    }

    fn returning(
        &mut self,
        clause: Option<&pg::ReturningClause>,
        scope: &Scope,
        names: &Names,
    ) -> Result<Columns, Unanalyzable> {
        clause.map_or(Ok(Vec::new()), |clause| self.targets(&clause.exprs, scope, names))
    }
}

/// What one column of a multiple assignment gets: its part of a row, or the whole subquery, read once.
fn assigned(part: &pg::MultiAssignRef) -> Option<&pg::Node> {
    let source = part.source.as_deref()?;
    match &source.node {
        Some(NodeEnum::RowExpr(row)) => row.args.get(usize::try_from(part.colno - 1).ok()?),
        _ => Some(source).filter(|_| part.colno == 1),
    }
}

fn target_name(node: &pg::Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::ResTarget(target)) => Some(target.name.clone()),
        _ => None,
    }
}
