//! A `CREATE STATISTICS` statement, whoever printed it.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::CreateStatsStmt;

use crate::statistics::{StatisticsDefinition, StatisticsKind};

/// Reads a `CREATE STATISTICS` statement: schema and name of the statistics, and what they are of. The reason where it
/// is none, or one such as pgwright does not make: of expressions, or with names that are not qualified.
///
/// `pg_get_statisticsobjdef` leaves the kinds out where the statistics have all of them.
pub fn statistics(sql: &str) -> Result<(String, String, StatisticsDefinition), String> {
    let parsed = pg_query::parse(sql, 0).map_err(|error| error.to_string())?;
    let [statement] = parsed.protobuf.stmts.as_slice() else {
        return Err("it is not one statement".to_owned());
    };
    match statement.stmt.as_ref().and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::CreateStatsStmt(create)) => read(create),
        _ => Err("it makes no statistics".to_owned()),
    }
}

/// The same of a syntax tree.
pub(super) fn read(
    create: &CreateStatsStmt,
) -> Result<(String, String, StatisticsDefinition), String> {
    let text = |node: &pg_query::protobuf::Node| match &node.node {
        Some(NodeEnum::String(text)) => Some(text.sval.clone()),
        _ => None,
    };
    let names: Vec<String> = create.defnames.iter().filter_map(text).collect();
    let [schema, name] = names.as_slice() else {
        return Err("the name is not qualified with its schema alone".to_owned());
    };
    let [relation] = create.relations.as_slice() else {
        return Err("it does not name exactly one table".to_owned());
    };
    let Some(NodeEnum::RangeVar(table)) = &relation.node else {
        return Err("it names no table".to_owned());
    };
    if table.schemaname.is_empty() || !table.catalogname.is_empty() || table.alias.is_some() {
        return Err("the table is not qualified with its schema alone".to_owned());
    }
    let column = |node: &pg_query::protobuf::Node| match &node.node {
        Some(NodeEnum::StatsElem(element)) if element.expr.is_none() => Some(element.name.clone()),
        _ => None,
    };
    let columns: Option<BTreeSet<String>> = create.exprs.iter().map(column).collect();
    let columns = columns.filter(|columns| columns.len() == create.exprs.len());
    let kind = |node| text(node).as_deref().and_then(StatisticsKind::of_word);
    let kinds: Option<BTreeSet<StatisticsKind>> = create.stat_types.iter().map(kind).collect();
    let mut kinds = kinds.ok_or("it is of a kind that is not known")?;
    if kinds.is_empty() {
        kinds.extend(StatisticsKind::ALL);
    }
    let definition = StatisticsDefinition {
        schema: table.schemaname.clone(),
        table: table.relname.clone(),
        columns: columns.ok_or("it is of an expression, or names a column twice")?,
        kinds,
    };
    Ok((schema.clone(), name.clone(), definition))
}

#[cfg(test)]
mod tests {
    use super::statistics;

    #[test]
    fn what_the_server_prints_is_what_was_sent() {
        let all = "CREATE STATISTICS s.x (ndistinct, dependencies, mcv) ON a, \"B\" FROM s.t";
        let printed = "CREATE STATISTICS s.x ON \"B\", a FROM s.t";
        assert_eq!(statistics(all), statistics(printed));
        let fewer = "CREATE STATISTICS s.x (mcv) ON a, \"B\" FROM s.t";
        assert_ne!(statistics(fewer), statistics(printed));
        assert_eq!(statistics(fewer).unwrap().2.create("x"), fewer.replace("a, \"B\"", "\"B\", a"));
        for other in [
            "CREATE STATISTICS x (mcv) ON a, b FROM s.t",
            "CREATE STATISTICS s.x (mcv) ON a, b FROM t",
            "CREATE STATISTICS s.x ON (a + b), a FROM s.t",
            "CREATE STATISTICS s.x ON a, a FROM s.t",
            "CREATE STATISTICS s.x (magic) ON a, b FROM s.t",
            "ANALYZE s.t",
        ] {
            statistics(other).unwrap_err();
        }
    }
}
