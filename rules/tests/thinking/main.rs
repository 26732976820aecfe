//! The thinking half, rule by rule and part by part, on small made-up databases.

#![expect(
    clippy::type_complexity,
    clippy::items_after_statements,
    clippy::redundant_closure_for_method_calls,
    clippy::assigning_clones,
    clippy::unwrap_used,
    reason = "tables of changes read best where they are used"
)]

mod seen;

mod candidates;
mod duplicate_index;
mod evidence;
mod index;
mod invalid_index;
mod judge;
mod quote;
mod redundant_index;
mod stale_statistics;
mod unindexed_containment;
mod unindexed_expression;
mod unindexed_foreign_key;
mod unserved_predicate;
mod workload;
mod write_cost;
