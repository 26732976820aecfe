//! The thinking half of pgwright: a snapshot and plans go in, candidates and a frozen change plan come out.
//!
//! Pure, synchronous and deterministic: the same input gives the same output, byte for byte. Nothing here
//! reads a clock, a file or the environment, and nothing here can fail for want of the outside world.

pub mod assemble;
pub mod bindings;
pub mod blueprint;
pub mod btree;
pub mod candidate;
pub mod change_plan;
pub mod context;
pub mod evidence;
pub mod fidelity;
pub mod foreign_code;
pub mod generic;
pub mod guards;
mod guess;
pub mod held_back;
pub mod index;
pub mod intake;
pub mod judge;
pub mod partitions;
pub mod protocol;
pub mod quote;
pub mod reach;
pub mod redact;
pub mod report;
pub mod rule;
mod rules;
mod search;
pub mod select;
pub mod size;
pub mod sizes;
pub mod skew;
pub mod snapshot;
pub mod statement;
pub mod statistics;
#[doc(hidden)]
pub mod testing;
pub mod unpriced;
pub mod watch;
pub mod whatif;
pub mod workload;
pub mod write_cost;

pub use rules::{RULES, propose};
