//! The analysis on whole statements, over one small shop.

mod conditions;
mod limits;
mod parameters;
mod shapes;

use super::{Analysis, JoinKind, Operand, Target, Unanalyzable, analyze};
use crate::snapshot::Snapshot;
use crate::testing;

fn shop() -> Snapshot {
    testing::snapshot(
        "
        users(id int8 pk, email varchar, name text, settings jsonb, active bool, tags _text, search tsvector, created_at timestamptz, level int4) 10000
        orders(id int8 pk, user_id int8 -> users.id, status text, total numeric, note text null, created_at timestamptz) 100000
        items(order_id int8 -> orders.id, product_id int8, quantity int4, price numeric) 500000
        other.users(id int8 pk, code text)
        Events(Id uuid pk, userId int8, Kind text, happenedAt timestamptz)
        view active_users(id, address, day) = SELECT u.id, (u.email)::text AS email, date(u.created_at) AS date FROM public.users u WHERE u.active;
        view ordered(user_id, count) = SELECT o.user_id, count(*) AS count FROM public.orders o GROUP BY o.user_id;
        view nested(id, address) = SELECT active_users.id, active_users.address FROM public.active_users WHERE (active_users.day > '2024-01-01'::date);
        ",
    )
}

fn read(text: &str) -> Analysis {
    analyze(text, &shop(), &["public".to_owned()]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> Unanalyzable {
    analyze(text, &shop(), &["public".to_owned()]).expect_err(text)
}

fn target(analysis: &Analysis, relation: usize, target: &Target) -> String {
    let alias = &analysis.relations[relation].alias;
    match target {
        Target::Column(name) => format!("{alias}.{name}"),
        Target::Expression(expression) => format!("{alias}.({})", expression.sql),
    }
}

/// Predicates, one a line: `alias.column operator operand Class`, with `|n.arm` for an alternative.
fn predicates(analysis: &Analysis) -> Vec<String> {
    let show = |predicate: &super::Predicate| {
        let operand = match &predicate.operand {
            Operand::Parameter(number) => format!("${number}"),
            Operand::List(length) => format!("list({length})"),
            Operand::Constant(text) => format!("'{text}'"),
            Operand::Computed { parameters } => format!("computed{parameters:?}"),
            Operand::Column(relation, name) => {
                format!("{}.{name}", analysis.relations[*relation].alias)
            }
            Operand::None => "-".to_owned(),
        };
        let alternative = predicate
            .alternative
            .map(|number| format!(" |{number}.{}", predicate.arm))
            .unwrap_or_default();
        let target = target(analysis, predicate.relation, &predicate.target);
        format!("{target} {} {operand} {:?}{alternative}", predicate.operator, predicate.class)
    };
    analysis.predicates.iter().map(show).collect()
}

/// Joins, one a line, sides in order of the relations.
fn joins(analysis: &Analysis) -> Vec<String> {
    let mut all = Vec::new();
    for (_, _, pairs) in analysis.joins.all_edges() {
        for pair in pairs {
            let mut sides = [&pair.left, &pair.right];
            sides.sort();
            let [left, right] = sides.map(|(relation, side)| target(analysis, *relation, side));
            let kind = match pair.kind {
                JoinKind::Inner => "inner",
                JoinKind::Outer => "outer",
                JoinKind::Semi => "semi",
            };
            all.push(format!("{left} = {right} {kind}"));
        }
    }
    all.sort();
    all
}

/// Order of a block: `alias.column`, with `desc`, and `nulls` where they come first.
fn order(analysis: &Analysis, block: usize) -> Vec<String> {
    let show = |key: &super::OrderKey| {
        let mut text = target(analysis, key.relation, &key.target);
        if key.descending {
            text.push_str(" desc");
        }
        if key.nulls_first {
            text.push_str(" nulls");
        }
        text
    };
    analysis.blocks[block].order_by.iter().map(show).collect()
}

/// Relations, one a line: `alias: columns read`.
fn reads(analysis: &Analysis) -> Vec<String> {
    let show = |relation: &super::Relation| {
        let columns = relation.read.as_ref().map_or("*".to_owned(), |columns| {
            columns.iter().cloned().collect::<Vec<_>>().join(",")
        });
        format!("{}: {columns}", relation.alias)
    };
    analysis.relations.iter().map(show).collect()
}

/// A parameter: its role, where it is stored, and what it is compared with.
fn parameter(analysis: &Analysis, number: u16) -> String {
    let parameter = &analysis.parameters[&number];
    let compared = parameter.compared.iter().map(|comparison| {
        let target = target(analysis, comparison.relation, &comparison.target);
        let flags = [(comparison.any, " any"), (comparison.offset, " offset")];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        format!("; {target} {}{flags}", comparison.operator)
    });
    let stored =
        parameter.stored.as_ref().map(|(_, column)| format!("({column})")).unwrap_or_default();
    format!("{:?}{stored}{}", parameter.role, compared.collect::<String>())
}
