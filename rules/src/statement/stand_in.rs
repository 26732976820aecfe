//! The SELECT that looks for the same rows as an INSERT, UPDATE or DELETE.
//!
//! EXPLAIN of a write needs the privilege to write, though it writes nothing. A role that may only read can still
//! have the search in it planned: the rows of an UPDATE or a DELETE are found as by a SELECT with the same FROM and
//! WHERE, those of an INSERT come from its own query.

use std::collections::BTreeSet;

use super::parse::{self, NodeEnum, pg};
use super::walk::walk;

/// The SELECT that looks for the same rows as a write, with the same parameters; `None` for what is no write, or
/// has no such SELECT.
///
/// It reads the place of each row (`ctid`) in all its tables, as an UPDATE or DELETE must, so that no index alone
/// can answer it. Subqueries of SET and VALUES stand in its output. A parameter that has no other place is put there too, as text.
pub fn stand_in(text: &str) -> Option<String> {
    let write = parse::statement(text).ok()?;
    let mut select = match &write {
        NodeEnum::UpdateStmt(update) => search(
            update.relation.as_ref()?,
            &update.from_clause,
            update.where_clause.as_deref(),
            update.with_clause.as_ref(),
            &update.target_list,
        ),
        NodeEnum::DeleteStmt(delete) => search(
            delete.relation.as_ref()?,
            &delete.using_clause,
            delete.where_clause.as_deref(),
            delete.with_clause.as_ref(),
            &[],
        ),
        NodeEnum::InsertStmt(insert) => source(insert)?,
        _ => return None,
    };
    let given = parameters(&NodeEnum::SelectStmt(Box::new(select.clone())));
    let missing: Vec<i32> = parameters(&write).difference(&given).copied().collect();
    if !missing.is_empty() && (select.larg.is_some() || !select.values_lists.is_empty()) {
        return None;
    }
    select.target_list.extend(
        missing
            .into_iter()
            .map(|number| output(NodeEnum::ParamRef(pg::ParamRef { number, location: 0 }))),
    );
    parse::print(&NodeEnum::SelectStmt(Box::new(select))).ok()
}

/// What finds the rows of an UPDATE or a DELETE.
fn search(
    target: &pg::RangeVar,
    others: &[pg::Node],
    condition: Option<&pg::Node>,
    with: Option<&pg::WithClause>,
    set: &[pg::Node],
) -> pg::SelectStmt {
    let mut from = vec![node(NodeEnum::RangeVar(target.clone()))];
    from.extend_from_slice(others);
    let common = |table: &&pg::RangeVar| {
        let mut ctes = with.iter().flat_map(|with| &with.ctes);
        ctes.any(|cte| match &cte.node {
            Some(NodeEnum::CommonTableExpr(cte)) => {
                table.schemaname.is_empty() && cte.ctename == table.relname
            }
            _ => false,
        })
    };
    let others = others.iter().flat_map(tables).filter(|table| !common(table));
    let mut targets: Vec<_> = [target].into_iter().chain(others).map(place).collect();
    targets.extend(set.iter().filter_map(assigned).filter(looks_up).map(output));
    pg::SelectStmt {
        target_list: targets,
        from_clause: from,
        where_clause: condition.cloned().map(Box::new),
        with_clause: with.cloned(),
        ..plain()
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

/// Where a table's row stands, as an output column.
fn place(table: &pg::RangeVar) -> pg::Node {
    let name = table.alias.as_ref().map_or(&table.relname, |alias| &alias.aliasname);
    let part = |name: &str| node(NodeEnum::String(pg::String { sval: name.to_owned() }));
    output(NodeEnum::ColumnRef(pg::ColumnRef {
        fields: vec![part(name), part("ctid")],
        location: 0,
    }))
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
        // FOR UPDATE would need a privilege again, and finds no other rows.
        return Some(pg::SelectStmt { with_clause: with, locking_clause: Vec::new(), ..query });
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
    use super::stand_in;

    fn of(text: &str) -> String {
        stand_in(text).unwrap_or_else(|| panic!("none for {text}"))
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
            stand_in(
                "INSERT INTO old SELECT 1 UNION SELECT 2 ON CONFLICT (id) DO UPDATE SET n = $1"
            ),
            None
        );
        assert_eq!(of("INSERT INTO old DEFAULT VALUES"), "SELECT");
    }

    #[test]
    fn what_is_no_write_has_none() {
        for text in ["SELECT 1", "SELEC", "", "TRUNCATE orders", "DELETE FROM a; DELETE FROM b"] {
            assert_eq!(stand_in(text), None, "{text}");
        }
    }
}
