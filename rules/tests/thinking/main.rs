//! The thinking half, rule by rule and part by part, on small made-up databases.

mod seen;

mod duplicate_index;
mod invalid_index;
mod redundant_index;
mod stale_statistics;
mod unindexed_containment;
mod unindexed_expression;
mod unindexed_foreign_key;
mod unserved_predicate;
