//! The applier, the journal and the rollback on real servers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod faults;
mod guards;
mod harness;
mod journey;
mod partitioned;
mod refusals;
mod statistics;
mod stuck;
mod undo;
mod vacuum;
