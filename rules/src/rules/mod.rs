//! The rules, one file each. Adding one takes a `mod` line and an entry in [`RULES`].

mod duplicate_index;
mod invalid_index;
mod redundant_index;
mod stale_statistics;
mod unindexed_containment;
mod unindexed_expression;
mod unindexed_foreign_key;
mod unserved_predicate;

use crate::candidate::Findings;
use crate::context::Context;
use crate::rule::Rule;
use crate::snapshot::Table;

/// Every rule, in the order of the reference page.
pub static RULES: &[&dyn Rule] = &[
    &unserved_predicate::UnservedPredicate,
    &unindexed_expression::UnindexedExpression,
    &unindexed_containment::UnindexedContainment,
    &unindexed_foreign_key::UnindexedForeignKey,
    &duplicate_index::DuplicateIndex,
    &redundant_index::RedundantIndex,
    &invalid_index::InvalidIndex,
    &stale_statistics::StaleStatistics,
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

/// Why a change to a table is for somebody else to make.
fn rights(table: &Table) -> String {
    format!("needs the rights of {}, the owner of {}", table.owner, table.qualified())
}

#[cfg(test)]
mod tests {
    use super::RULES;

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
}
