//! The SELECT that looks for the same rows as a statement that writes or locks.
//!
//! EXPLAIN of a write needs the privilege to write, though it writes nothing; that of a SELECT which locks its rows
//! needs it too. A role that may only read can still have the search in it planned: the rows of an UPDATE or a
//! DELETE are found as by a SELECT with the same FROM and WHERE, those of an INSERT come from its own query, and
//! locks find no other rows.

use std::collections::BTreeSet;

use super::parse::{self, NodeEnum, pg};
use super::unlock::unlock;
use super::walk::walk;

/// How a row of a table is read.
#[derive(Clone, Copy)]
enum Reading {
    /// Where it stands (`ctid`), as an UPDATE or DELETE must, so that no index alone can answer.
    Place,
    /// The whole row: a view has no `ctid`, and the server reads the whole row of one.
    Whole,
}

/// The SELECTs that look for the same rows as a statement that writes or locks, with the same parameters: the first
/// that the server takes is meant. None for what does neither, or has no such SELECT.
///
/// It reads each row of all its tables, by its place or, where one is a view, whole. Subqueries of SET and VALUES
/// stand in its output. A parameter that has no other place is put there too, as text. What a common table
/// expression writes is looked for there, and gives what it returns.
pub fn stand_ins(text: &str) -> Vec<String> {
    let mut all: Vec<String> = [Reading::Place, Reading::Whole]
        .into_iter()
        .filter_map(|how| stand_in(text, how))
        .collect();
    all.dedup();
    all
}

fn stand_in(text: &str, how: Reading) -> Option<String> {
    let written = parse::statement(text).ok()?;
    let unlocked = unlock(text)?;
    let statement = parse::statement(&unlocked).ok()?;
    let locks =
        matches!(&written, NodeEnum::SelectStmt(select) if !select.locking_clause.is_empty());
    let mut select = match &statement {
        NodeEnum::SelectStmt(select) if unlocked != text || writes(select.with_clause.as_ref()) => {
            let mut select = select.as_ref().clone();
            if locks {
                let tables = select.from_clause.iter().flat_map(tables);
                let tables = tables.filter(|table| !common(table, select.with_clause.as_ref()));
                let read: Vec<pg::Node> = tables.map(|table| row(table, how)).collect();
                select.target_list.extend(read);
            }
            select
        }
        statement => search_of(statement, how)?,
    };
    read_in_place_of_writes(&mut select, how)?;
    let given = parameters(&NodeEnum::SelectStmt(Box::new(select.clone())));
    let missing: Vec<i32> = parameters(&written).difference(&given).copied().collect();
    if !missing.is_empty() && !takes_outputs(&select) {
        return None;
    }
    select.target_list.extend(
        missing
            .into_iter()
            .map(|number| output(NodeEnum::ParamRef(pg::ParamRef { number, location: 0 }))),
    );
    parse::print(&NodeEnum::SelectStmt(Box::new(select))).ok()
}

/// Whether further output columns can be added.
fn takes_outputs(select: &pg::SelectStmt) -> bool {
    select.larg.is_none() && select.values_lists.is_empty()
}

/// What finds the rows of a write.
fn search_of(write: &NodeEnum, how: Reading) -> Option<pg::SelectStmt> {
    match write {
        NodeEnum::UpdateStmt(update) => Some(search(
            update.relation.as_ref()?,
            &update.from_clause,
            update.where_clause.as_deref(),
            update.with_clause.as_ref(),
            &update.target_list,
            how,
        )),
        NodeEnum::DeleteStmt(delete) => Some(search(
            delete.relation.as_ref()?,
            &delete.using_clause,
            delete.where_clause.as_deref(),
            delete.with_clause.as_ref(),
            &[],
            how,
        )),
        NodeEnum::InsertStmt(insert) => source(insert),
        _ => None,
    }
}

/// What finds the rows of an UPDATE or a DELETE.
fn search(
    target: &pg::RangeVar,
    others: &[pg::Node],
    condition: Option<&pg::Node>,
    with: Option<&pg::WithClause>,
    set: &[pg::Node],
    how: Reading,
) -> pg::SelectStmt {
    let mut from = vec![node(NodeEnum::RangeVar(target.clone()))];
    from.extend_from_slice(others);
    let others = others.iter().flat_map(tables).filter(|table| !common(table, with));
    let mut targets: Vec<_> = [target].into_iter().chain(others).map(|of| row(of, how)).collect();
    targets.extend(set.iter().filter_map(assigned).filter(looks_up).map(output));
    pg::SelectStmt {
        target_list: targets,
        from_clause: from,
        where_clause: condition.cloned().map(Box::new),
        with_clause: with.cloned(),
        ..plain()
    }
}

/// The common table expressions of a WITH.
fn ctes(with: Option<&pg::WithClause>) -> impl Iterator<Item = &pg::CommonTableExpr> {
    with.into_iter().flat_map(|with| &with.ctes).filter_map(|cte| match &cte.node {
        Some(NodeEnum::CommonTableExpr(cte)) => Some(cte.as_ref()),
        _ => None,
    })
}

/// Whether a name in a FROM is that of a common table expression.
fn common(table: &pg::RangeVar, with: Option<&pg::WithClause>) -> bool {
    table.schemaname.is_empty() && ctes(with).any(|cte| cte.ctename == table.relname)
}

/// The write in a common table expression.
fn write_in(cte: &pg::CommonTableExpr) -> Option<&NodeEnum> {
    cte.ctequery.as_deref()?.node.as_ref().filter(|query| !matches!(query, NodeEnum::SelectStmt(_)))
}

fn writes(with: Option<&pg::WithClause>) -> bool {
    ctes(with).any(|cte| write_in(cte).is_some())
}

/// Puts a search in the place of each write of the WITH. One that nobody names is carried out all the same.
fn read_in_place_of_writes(select: &mut pg::SelectStmt, how: Reading) -> Option<()> {
    let Some(mut with) = select.with_clause.clone().filter(|with| writes(Some(with))) else {
        return Some(());
    };
    let mut named = BTreeSet::new();
    walk(&NodeEnum::SelectStmt(Box::new(select.clone())), &mut |node| {
        if let NodeEnum::RangeVar(table) = node {
            named.insert(table.relname.clone());
        }
    });
    for cte in &mut with.ctes {
        let Some(NodeEnum::CommonTableExpr(cte)) = &mut cte.node else { continue };
        let Some(search) = write_in(cte).map(|write| returned(write, how)) else { continue };
        cte.ctequery = Some(Box::new(node(NodeEnum::SelectStmt(Box::new(search?)))));
        // A write is carried out once, wherever it is named.
        cte.ctematerialized = pg::CteMaterialize::Always.into();
        if !named.contains(&cte.ctename) && takes_outputs(select) {
            let name = crate::quote::ident(&cte.ctename);
            let counted =
                parse::statement(&format!("SELECT (SELECT count(*) FROM {name})")).ok()?;
            if let NodeEnum::SelectStmt(counted) = counted {
                select.target_list.extend(counted.target_list);
            }
        }
    }
    select.with_clause = Some(with);
    Some(())
}

/// What finds the rows of a write and gives what that returns.
fn returned(write: &NodeEnum, how: Reading) -> Option<pg::SelectStmt> {
    let returning = match write {
        NodeEnum::UpdateStmt(write) => write.returning_clause.as_ref(),
        NodeEnum::DeleteStmt(write) => write.returning_clause.as_ref(),
        NodeEnum::InsertStmt(write) => write.returning_clause.as_ref(),
        _ => None,
    };
    let search = search_of(write, how)?;
    let Some(returning) = returning else { return Some(search) };
    let target_list = returning.exprs.clone();
    let NodeEnum::InsertStmt(insert) = write else {
        return Some(pg::SelectStmt { target_list, ..search });
    };
    // The columns of the table, as many times as there are rows to insert.
    let outputs = pg::SelectStmt { target_list, ..plain() };
    let table = node(NodeEnum::RangeVar(insert.relation.clone()?));
    let table = pg::SelectStmt { from_clause: vec![table], ..plain() };
    let text = |select: pg::SelectStmt| parse::print(&NodeEnum::SelectStmt(Box::new(select))).ok();
    let whole = format!(
        "{} FROM (SELECT 1 FROM ({}) AS pgwright_rows) AS pgwright_row LEFT JOIN {} ON false",
        text(outputs)?,
        text(search)?,
        text(table)?.strip_prefix("SELECT FROM ")?
    );
    match parse::statement(&whole).ok()? {
        NodeEnum::SelectStmt(select) => Some(*select),
        _ => None,
    }
}

/// The tables that stand in a FROM by themselves or joined.
fn tables(from: &pg::Node) -> Vec<&pg::RangeVar> {
    match &from.node {
        Some(NodeEnum::RangeVar(table)) => vec![table],
        // An alias of the join hides those within.
        Some(NodeEnum::JoinExpr(join)) if join.alias.is_none() => {
            [&join.larg, &join.rarg].into_iter().flatten().flat_map(|side| tables(side)).collect()
        }
        _ => Vec::new(),
    }
}

/// A table's row, as an output column.
fn row(table: &pg::RangeVar, how: Reading) -> pg::Node {
    let name = table.alias.as_ref().map_or(&table.relname, |alias| &alias.aliasname);
    let part = |name: &str| node(NodeEnum::String(pg::String { sval: name.to_owned() }));
    let mut fields = vec![part(name)];
    if let Reading::Place = how {
        fields.push(part("ctid"));
    }
    output(NodeEnum::ColumnRef(pg::ColumnRef { fields, location: 0 }))
}

/// What gives the rows of an INSERT. VALUES look nothing up but by their subqueries.
fn source(insert: &pg::InsertStmt) -> Option<pg::SelectStmt> {
    let query = match insert.select_stmt.as_deref().and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::SelectStmt(query)) => query.as_ref().clone(),
        Some(_) => return None,
        None => plain(),
    };
    let with = match (&insert.with_clause, &query.with_clause) {
        (Some(_), Some(_)) => return None,
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    if query.values_lists.is_empty() {
        return Some(pg::SelectStmt { with_clause: with, ..query });
    }
    let mut targets = Vec::new();
    for row in &query.values_lists {
        let Some(NodeEnum::List(row)) = &row.node else { continue };
        let values = row.items.iter().filter_map(|item| item.node.clone());
        targets.extend(values.filter(looks_up).map(output));
    }
    Some(pg::SelectStmt { target_list: targets, with_clause: with, ..plain() })
}

/// The value that a column is set to; not one of several that a subquery gives together, which no output column
/// can hold.
fn assigned(target: &pg::Node) -> Option<NodeEnum> {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    match target.val.as_deref()?.node.as_ref()? {
        NodeEnum::MultiAssignRef(_) => None,
        value => Some(value.clone()),
    }
}

/// Whether a value is looked up by a subquery.
fn looks_up(value: &NodeEnum) -> bool {
    let mut found = false;
    walk(value, &mut |node| found |= matches!(node, NodeEnum::SubLink(_)));
    found
}

/// The numbers of the parameters in a statement.
fn parameters(statement: &NodeEnum) -> BTreeSet<i32> {
    let mut numbers = BTreeSet::new();
    walk(statement, &mut |node| {
        if let NodeEnum::ParamRef(parameter) = node {
            numbers.insert(parameter.number);
        }
    });
    numbers
}

fn plain() -> pg::SelectStmt {
    pg::SelectStmt {
        limit_option: pg::LimitOption::Default.into(),
        op: pg::SetOperation::SetopNone.into(),
        ..pg::SelectStmt::default()
    }
}

fn output(value: NodeEnum) -> pg::Node {
    let target = pg::ResTarget { val: Some(Box::new(node(value))), ..pg::ResTarget::default() };
    node(NodeEnum::ResTarget(Box::new(target)))
}

fn node(inner: NodeEnum) -> pg::Node {
    pg::Node { node: Some(inner) }
}

#[cfg(test)]
mod tests {
    use super::stand_ins;

    fn of(text: &str) -> String {
        stand_ins(text).into_iter().next().unwrap_or_else(|| panic!("none for {text}"))
    }

    #[test]
    fn locks_are_left_away_wherever_they_stand() {
        assert_eq!(
            of("SELECT * FROM app.orders o WHERE id = $1 FOR UPDATE OF o SKIP LOCKED"),
            "SELECT *, o.ctid FROM app.orders o WHERE id = $1"
        );
        assert_eq!(
            of(
                "UPDATE q SET s = 'run' WHERE id = (SELECT id FROM q WHERE s = $1 ORDER BY at FOR NO KEY UPDATE SKIP LOCKED LIMIT 1)"
            ),
            "SELECT q.ctid FROM q WHERE id = (SELECT id FROM q WHERE s = $1 ORDER BY at LIMIT 1)"
        );
        // Without a LIMIT the subquery would be planned as part of the outer one.
        assert_eq!(
            of("SELECT 1 FROM (SELECT id FROM q WHERE a = $1 FOR SHARE) s"),
            "SELECT 1 FROM (SELECT id FROM q WHERE a = $1 OFFSET 0) s"
        );
    }

    #[test]
    fn what_common_table_expressions_write_is_looked_for() {
        assert_eq!(
            of("WITH d AS (DELETE FROM c WHERE body = $1 RETURNING *) SELECT count(*) FROM d"),
            "WITH d AS MATERIALIZED (SELECT * FROM c WHERE body = $1) SELECT count(*) FROM d"
        );
        assert_eq!(
            of("WITH d AS (UPDATE c SET n = $2 WHERE id = $1) SELECT 1 FROM t"),
            "WITH d AS MATERIALIZED (SELECT c.ctid FROM c WHERE id = $1) SELECT 1, (SELECT count(*) FROM d), $2 FROM t"
        );
        assert_eq!(
            of(
                "WITH n AS (INSERT INTO c (a) SELECT a FROM t WHERE b = $1 RETURNING id) UPDATE u SET c = n.id FROM n WHERE u.id = $2"
            ),
            "WITH n AS MATERIALIZED (SELECT id FROM (SELECT 1 FROM (SELECT a FROM t WHERE b = $1) pgwright_rows) pgwright_row LEFT JOIN c ON false) SELECT u.ctid FROM u, n WHERE u.id = $2"
        );
    }

    #[test]
    fn of_a_view_the_whole_row_is_read() {
        assert_eq!(
            stand_ins("UPDATE t SET a = v.a FROM v WHERE v.id = t.id"),
            [
                "SELECT t.ctid, v.ctid FROM t, v WHERE v.id = t.id",
                "SELECT t, v FROM t, v WHERE v.id = t.id"
            ]
        );
    }

    #[test]
    fn an_update_or_delete_looks_for_its_rows_as_a_select_does() {
        assert_eq!(
            of("DELETE FROM ONLY app.orders WHERE customer = $1 AND paid"),
            "SELECT orders.ctid FROM ONLY app.orders WHERE customer = $1 AND paid"
        );
        assert_eq!(
            of(
                "UPDATE \"Order\" o SET paid = true FROM users u WHERE u.id = o.customer AND u.email = $1"
            ),
            "SELECT o.ctid, u.ctid FROM \"Order\" o, users u WHERE u.id = o.customer AND u.email = $1"
        );
        assert_eq!(
            of(
                "WITH late AS (SELECT id FROM bills WHERE due < $1) DELETE FROM orders USING late WHERE orders.id = late.id"
            ),
            "WITH late AS (SELECT id FROM bills WHERE due < $1) SELECT orders.ctid FROM orders, late WHERE orders.id = late.id"
        );
    }

    #[test]
    fn of_every_table_the_rows_are_read() {
        assert_eq!(
            of(
                "DELETE FROM a USING b JOIN c ON b.i = c.i, (SELECT 1 AS i) d, (e JOIN f ON true) g WHERE a.i = b.i"
            ),
            "SELECT a.ctid, b.ctid, c.ctid FROM a, b JOIN c ON b.i = c.i, (SELECT 1 AS i) d, (e JOIN f ON true ) g WHERE a.i = b.i"
        );
    }

    #[test]
    fn every_parameter_keeps_its_place() {
        assert_eq!(
            of("UPDATE orders SET note = $1, total = total + $2 WHERE id = $3"),
            "SELECT orders.ctid, $1, $2 FROM orders WHERE id = $3"
        );
        // One that the search gives a type to is not given another.
        assert_eq!(
            of("UPDATE orders SET customer = $1 WHERE customer <> $1"),
            "SELECT orders.ctid FROM orders WHERE customer <> $1"
        );
        assert_eq!(
            of(
                "INSERT INTO orders (id, note) VALUES ($1, $2), (DEFAULT, $3) ON CONFLICT (id) DO UPDATE SET note = $4"
            ),
            "SELECT $1, $2, $3, $4"
        );
    }

    #[test]
    fn subqueries_of_values_are_looked_up_too() {
        assert_eq!(
            of(
                "UPDATE users u SET total = (SELECT sum(total) FROM orders WHERE customer = u.id), name = 'x' WHERE id = $1"
            ),
            "SELECT u.ctid, (SELECT sum(total) FROM orders WHERE customer = u.id) FROM users u WHERE id = $1"
        );
        assert_eq!(
            of("INSERT INTO bills VALUES ((SELECT max(id) FROM orders WHERE customer = $1), $2)"),
            "SELECT (SELECT max(id) FROM orders WHERE customer = $1), $2"
        );
        assert_eq!(
            of("UPDATE users SET (a, b) = (SELECT 1, 2) WHERE id = $1"),
            "SELECT users.ctid FROM users WHERE id = $1"
        );
    }

    #[test]
    fn an_insert_reads_what_its_query_reads() {
        assert_eq!(
            of("INSERT INTO old SELECT id, $1 FROM orders WHERE paid RETURNING id"),
            "SELECT id, $1 FROM orders WHERE paid"
        );
        assert_eq!(of("INSERT INTO old SELECT id FROM orders FOR UPDATE"), "SELECT id FROM orders");
        assert_eq!(
            of("WITH w AS (SELECT 1 AS n) INSERT INTO old SELECT n FROM w"),
            "WITH w AS (SELECT 1 AS n) SELECT n FROM w"
        );
        // The set operation has no place for a further output column.
        assert_eq!(
            stand_ins(
                "INSERT INTO old SELECT 1 UNION SELECT 2 ON CONFLICT (id) DO UPDATE SET n = $1"
            ),
            Vec::<String>::new()
        );
        assert_eq!(of("INSERT INTO old DEFAULT VALUES"), "SELECT");
    }

    #[test]
    fn what_is_no_write_has_none() {
        for text in ["SELECT 1", "SELEC", "", "TRUNCATE orders", "DELETE FROM a; DELETE FROM b"] {
            assert!(stand_ins(text).is_empty(), "{text}");
        }
    }
}
