//! The rules, one file each. Adding one takes a `mod` line and an entry in [`RULES`].

mod duplicate_index;
mod invalid_index;
mod misjudged_columns;
mod overdue_vacuum;
mod redundant_index;
mod stale_statistics;
mod unindexed_containment;
mod unindexed_expression;
mod unindexed_foreign_key;
mod unindexed_overlap;
mod unindexed_pattern;
mod unserved_predicate;

pub(crate) use self::unserved_predicate::create;

use crate::candidate::Findings;
use crate::context::Context;
use crate::quote::ident;
use crate::rule::Rule;
use crate::snapshot::{Persistence, Table};

/// Every rule, in the order of the reference page.
pub static RULES: &[&dyn Rule] = &[
    &unserved_predicate::UnservedPredicate,
    &unindexed_expression::UnindexedExpression,
    &unindexed_containment::UnindexedContainment,
    &unindexed_pattern::UnindexedPattern,
    &unindexed_overlap::UnindexedOverlap,
    &unindexed_foreign_key::UnindexedForeignKey,
    &duplicate_index::DuplicateIndex,
    &redundant_index::RedundantIndex,
    &invalid_index::InvalidIndex,
    &stale_statistics::StaleStatistics,
    &misjudged_columns::MisjudgedColumns,
    &overdue_vacuum::OverdueVacuum,
];

/// Runs every rule and merges equal candidates of several.
pub fn propose(cx: &Context<'_>) -> Findings {
    let mut all = Findings::default();
    for rule in RULES {
        let findings = rule.propose(cx);
        all.refusals.extend(findings.refusals);
        for candidate in findings.candidates {
            match all.candidates.iter_mut().find(|known| known.change == candidate.change) {
                Some(known) => known.absorb(candidate),
                None => all.candidates.push(candidate),
            }
        }
    }
    all.refusals.sort();
    all.refusals.dedup();
    all
}

/// Why the indexes of a table are for a person to make and to drop, if they are.
pub(crate) fn by_hand(table: &Table) -> Option<String> {
    if table.persistence == Persistence::Unlogged {
        let name = table.qualified();
        return Some(format!(
            "{name} is unlogged: a crash empties it, and what it holds then decides what an index is worth"
        ));
    }
    // Who drops one has to be able to make it again.
    (!table.may_index)
        .then(|| format!("{}, and CREATE on schema {}", rights(table), ident(&table.schema)))
}

/// Why a change to a table is for somebody else to make.
pub(crate) fn rights(table: &Table) -> String {
    format!("needs the rights of {}, the owner of {}", table.owner, table.qualified())
}

#[cfg(test)]
mod tests {
    use super::{RULES, propose};
    use crate::candidate::{Candidate, Change};
    use crate::context::{Analyzed, Context};
    use crate::snapshot::Snapshot;
    use crate::{statement, testing};

    #[test]
    fn ids_equal_file_names_and_every_rule_is_documented() {
        for rule in RULES {
            let meta = rule.meta();
            assert!(
                meta.file.ends_with(&format!("{}.rs", meta.id)),
                "{} lives in {}",
                meta.id,
                meta.file
            );
            for heading in ["# Why", "# Evidence", "# Silent when", "# Undo"] {
                assert!(meta.docs.contains(heading), "{} lacks {heading}", meta.id);
            }
            for cure in ["use_", "avoid_", "prefer_", "consider_", "add_"] {
                assert!(!meta.id.starts_with(cure), "{} names a cure, not a pattern", meta.id);
            }
        }
    }

    #[test]
    fn every_file_of_this_folder_is_registered() {
        // The list of files is the list of `mod` lines above: an unregistered module would be dead code and
        // fail the build, so it is enough that ids are unique.
        let mut ids: Vec<_> = RULES.iter().map(|rule| rule.meta().id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
    }

    /// What is proposed for one statement, as `rule: keys`.
    fn proposed(snapshot: &mut Snapshot, text: &str) -> Vec<String> {
        snapshot.statements = vec![testing::statement(text)];
        let path = ["public".to_owned()];
        let analysis = statement::analyze(text, snapshot, &path).expect("a known statement");
        let analyzed = Analyzed {
            statement: 0,
            analysis,
            text: text.to_owned(),
            bindings: Vec::new(),
            plans: Vec::new(),
        };
        let cx = Context { snapshot, workload: &[analyzed] };
        let brief = |candidate: Candidate| match candidate.change {
            Change::CreateIndex { definition, .. } => {
                Some(format!("{}: {}", candidate.rules[0], definition.brief()))
            }
            _ => None,
        };
        propose(&cx).candidates.into_iter().filter_map(brief).collect()
    }

    #[test]
    fn an_order_by_an_expression_is_served_under_a_limit() {
        let mut snapshot =
            testing::snapshot("builds(id int8 pk, job int8, rerun_of int8 null) 100000");
        let text =
            "SELECT id FROM builds WHERE job = 3 ORDER BY COALESCE(rerun_of, id) DESC, id DESC";
        let wanted = "unindexed_expression: job, (COALESCE(rerun_of, id)), id".to_owned();
        assert!(proposed(&mut snapshot, &format!("{text} LIMIT 10")).contains(&wanted));
        assert!(!proposed(&mut snapshot, text).contains(&wanted));
    }

    #[test]
    fn an_aggregate_can_be_read_from_the_index_alone() {
        let mut snapshot =
            testing::snapshot("hits(id int8 pk, site int8, at date, page text) 100000");
        let text =
            "SELECT page, count(*) FROM hits WHERE site = 1 AND at > '2025-01-01' GROUP BY page";
        let wanted = "unserved_predicate: site, at, page".to_owned();
        assert!(proposed(&mut snapshot, text).contains(&wanted));
        let more = text.replace("count(*)", "max(id)");
        assert!(!proposed(&mut snapshot, &more).contains(&wanted));
    }

    #[test]
    fn foreign_keys_are_served_by_an_index_on_all_but_null() {
        let tables = "users(id int8 pk) 1000
            orders(id int8 pk, user_id int8 null -> users.id) 100000
            index orders_user on orders(user_id)";
        let mut snapshot = testing::snapshot(tables);
        let read = "SELECT id FROM orders";
        let wanted = ["unindexed_foreign_key: user_id".to_owned()];
        for (predicate, found) in
            [(None, false), (Some("(user_id IS NOT NULL)"), false), (Some("(user_id > 5)"), true)]
        {
            let orders = snapshot.tables.iter_mut().find(|table| table.name == "orders");
            let indexes = &mut orders.expect("made above").indexes;
            indexes[1].predicate = predicate.map(str::to_owned);
            assert_eq!(proposed(&mut snapshot, read) == wanted, found, "{predicate:?}");
        }
    }

    #[test]
    fn foreign_keys_of_empty_tables_are_left_alone() {
        let tables = "users(id int8 pk) 1000
            orders(id int8 pk, user_id int8 -> users.id) 0";
        let mut snapshot = testing::snapshot(tables);
        let orders = snapshot.tables.iter_mut().find(|table| table.name == "orders");
        orders.expect("made above").rows = None;
        assert_eq!(proposed(&mut snapshot, "SELECT id FROM orders"), [""; 0]);
        let joined = "SELECT 1 FROM orders o JOIN users u ON u.id = o.user_id";
        let key = "user_id".to_owned();
        assert!(proposed(&mut snapshot, joined).iter().any(|found| found.ends_with(&key)));
    }
}
