//! The state of one analysis, its entry points and its end.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graphmap::UnGraphMap;

use super::expression::Expr;
use super::parse::{self, NodeEnum, pg};
use super::scope::{Names, Scope};
use super::{
    Analysis, Block, BlockId, JoinPair, Parameter, ParameterRole, Predicate, Relation,
    StatementKind, Target, Unanalyzable, Write,
};
use crate::snapshot::{Snapshot, Table};

/// Levels of nesting that are followed. The decoder of `pg_query` gives up at about fifty in one text; views
/// within views add theirs.
const DEPTH_MAX: usize = 200;

/// Nodes that may be copied in looking through subqueries; a tower of `SELECT x || x AS x` doubles per floor.
const COPIES_MAX: usize = 1_000_000;

/// Base tables in one statement, views looked through.
const RELATIONS_MAX: usize = 2_000;

/// An occurrence of a base table while the analysis runs.
pub(super) struct Source<'s> {
    pub(super) table: &'s Table,
    pub(super) alias: String,
    pub(super) block: BlockId,
    /// Columns read so far.
    pub(super) read: BTreeSet<String>,
    /// Whether the heap row itself is needed.
    pub(super) whole: bool,
    /// Number of the subquery expression in which it stands, 0 outside of any; deeper ones are greater.
    pub(super) level: usize,
}

/// The state of one analysis.
pub(super) struct Analyzer<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) search_path: Vec<String>,
    pub(super) relations: Vec<Source<'s>>,
    pub(super) blocks: Vec<Block>,
    pub(super) predicates: Vec<Predicate>,
    pub(super) pairs: Vec<JoinPair>,
    pub(super) parameters: BTreeMap<u16, Parameter>,
    /// Every parameter met, in order.
    pub(super) seen: Vec<u16>,
    pub(super) alternatives: usize,
    /// Whether a system relation was met.
    pub(super) catalog: bool,
    pub(super) write: Option<Write>,
    depth: usize,
    copies: usize,
    level: usize,
    levels: usize,
}

/// Reads one statement, resolving names under `search_path` (schema names, most preferred first).
///
/// # Errors
/// The reason why the statement cannot be analyzed; it is meant for the user.
pub fn analyze(
    text: &str,
    snapshot: &Snapshot,
    search_path: &[String],
) -> Result<Analysis, Unanalyzable> {
    let statement = parse::statement(text)?;
    let kind = plannable(&statement)?;
    let mut analyzer = Analyzer::new(snapshot, search_path);
    analyzer.statement(&statement)?;
    if analyzer.relations.is_empty() && analyzer.write.is_none() {
        return Err(if analyzer.catalog {
            Unanalyzable::CatalogOnly
        } else {
            Unanalyzable::NoTable
        });
    }
    Ok(analyzer.finish(kind))
}

/// What an expression of an index on `table`, as the server prints it, is in the terms of [`Analysis`]: equal
/// expressions have equal SQL here. `None` when it is none over the table's columns alone.
pub fn index_expression(sql: &str, table: &Table, snapshot: &Snapshot) -> Option<Target> {
    let (analyzer, expr) = resolved_over(sql, table, snapshot)?;
    analyzer.single_target(&expr).map(|(_, target)| target)
}

/// An expression over the columns of one table, names resolved.
pub(crate) fn expression_over(sql: &str, table: &Table, snapshot: &Snapshot) -> Option<Expr> {
    resolved_over(sql, table, snapshot).map(|(_, expr)| expr)
}

fn resolved_over<'s>(
    sql: &str,
    table: &Table,
    snapshot: &'s Snapshot,
) -> Option<(Analyzer<'s>, Expr)> {
    let NodeEnum::SelectStmt(select) = parse::statement(&format!("SELECT {sql}")).ok()? else {
        return None;
    };
    let NodeEnum::ResTarget(target) = select.target_list.first()?.node.as_ref()? else {
        return None;
    };
    let mut analyzer = Analyzer::new(snapshot, &[]);
    let table = snapshot.table(table.oid)?;
    let mut scope = Scope::default();
    scope.items.push(analyzer.source(table, &table.name, 0).ok()?);
    let expr = analyzer.expr(target.val.as_deref()?, &scope, &Names::default()).ok()?;
    Some((analyzer, expr))
}

/// Proves by the syntax tree that a text is exactly one SELECT, INSERT, UPDATE or DELETE that creates no
/// table: only such a text may be explained.
///
/// # Errors
/// What else it is.
pub fn is_single_plannable(text: &str) -> Result<StatementKind, Unanalyzable> {
    plannable(&parse::statement(text)?)
}

fn plannable(statement: &NodeEnum) -> Result<StatementKind, Unanalyzable> {
    match statement {
        NodeEnum::SelectStmt(select) if makes_table(select) => Err(Unanalyzable::Into),
        NodeEnum::SelectStmt(_) => Ok(StatementKind::Select),
        NodeEnum::InsertStmt(_) => Ok(StatementKind::Insert),
        NodeEnum::UpdateStmt(_) => Ok(StatementKind::Update),
        NodeEnum::DeleteStmt(_) => Ok(StatementKind::Delete),
        other => Err(Unanalyzable::Kind(super::classify::kind_words(other))),
    }
}

/// Whether INTO stands in the SELECT; the grammar takes it in any arm of a set operation.
fn makes_table(select: &pg::SelectStmt) -> bool {
    let mut open = vec![select];
    while let Some(select) = open.pop() {
        if select.into_clause.is_some() {
            return true;
        }
        open.extend(select.larg.as_deref());
        open.extend(select.rarg.as_deref());
    }
    false
}

impl<'s> Analyzer<'s> {
    fn new(snapshot: &'s Snapshot, search_path: &[String]) -> Self {
        Self {
            snapshot,
            search_path: search_path.to_vec(),
            relations: Vec::new(),
            blocks: Vec::new(),
            predicates: Vec::new(),
            pairs: Vec::new(),
            parameters: BTreeMap::new(),
            seen: Vec::new(),
            alternatives: 0,
            catalog: false,
            write: None,
            depth: 0,
            copies: 0,
            level: 0,
            levels: 0,
        }
    }

    fn statement(&mut self, statement: &NodeEnum) -> Result<(), Unanalyzable> {
        let names = Names::default();
        let scope = Scope::default();
        let columns = match statement {
            NodeEnum::SelectStmt(select) => self.query(select, None, &names)?.columns,
            other => self.modify(other, &scope, &names)?,
        };
        for (_, expr) in &columns {
            self.output(expr);
        }
        Ok(())
    }

    /// Goes one level down; every level up is a [`Self::leave`].
    pub(super) fn enter(&mut self) -> Result<(), Unanalyzable> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Unanalyzable::TooDeep) } else { Ok(()) }
    }

    /// Comes one level up.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts the nodes of a copied expression.
    pub(super) fn spend(&mut self, copy: &Expr) -> Result<(), Unanalyzable> {
        self.copies += copy.size(COPIES_MAX);
        if self.copies > COPIES_MAX { Err(Unanalyzable::TooDeep) } else { Ok(()) }
    }

    /// Runs `inside` within a subquery expression: joins across its border are semi joins.
    pub(super) fn deeper<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Unanalyzable>,
    ) -> Result<T, Unanalyzable> {
        self.levels += 1;
        let before = std::mem::replace(&mut self.level, self.levels);
        let result = inside(self);
        self.level = before;
        result
    }

    /// Adds a block.
    pub(super) fn block(&mut self) -> BlockId {
        self.blocks.push(Block::default());
        self.blocks.len() - 1
    }

    /// Adds an occurrence of a table; its item offers all its columns.
    pub(super) fn source(
        &mut self,
        table: &'s Table,
        alias: &str,
        block: BlockId,
    ) -> Result<super::scope::Item, Unanalyzable> {
        let id = self.relations.len();
        if id >= RELATIONS_MAX {
            return Err(Unanalyzable::TooDeep);
        }
        let source = Source {
            table,
            alias: alias.to_owned(),
            block,
            read: BTreeSet::new(),
            whole: false,
            level: self.level,
        };
        self.relations.push(source);
        let columns = table
            .columns
            .iter()
            .map(|column| (column.name.clone(), Expr::Column(id, column.name.clone())))
            .collect();
        let mut item = super::scope::Item::new(alias.to_owned(), columns);
        item.relation = Some(id);
        item.relations.insert(id);
        Ok(item)
    }

    fn finish(mut self, kind: StatementKind) -> Analysis {
        let mut joins = UnGraphMap::new();
        for id in 0..self.relations.len() {
            joins.add_node(id);
        }
        for pair in self.pairs {
            let (left, right) = (pair.left.0, pair.right.0);
            if joins.edge_weight(left, right).is_none() {
                joins.add_edge(left, right, Vec::new());
            }
            if let Some(pairs) = joins.edge_weight_mut(left, right)
                && !pairs.contains(&pair)
            {
                pairs.push(pair);
            }
        }
        for number in self.seen {
            // Met only where nothing looked: in outputs of subqueries that nobody reads.
            self.parameters.entry(number).or_insert_with(|| Parameter {
                role: ParameterRole::Output,
                ..Parameter::default()
            });
        }
        let relations = self.relations.into_iter().map(relation).collect();
        Analysis {
            kind,
            relations,
            blocks: self.blocks,
            predicates: self.predicates,
            joins,
            parameters: self.parameters,
            writes: self.write,
        }
    }
}

fn relation(source: Source<'_>) -> Relation {
    let all = source.whole
        || source.table.columns.iter().all(|column| source.read.contains(&column.name));
    Relation {
        table: source.table.oid,
        alias: source.alias,
        block: source.block,
        read: (!all).then_some(source.read),
    }
}
