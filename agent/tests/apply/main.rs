//! The applier, the journal and the rollback on real servers.

mod faults;
mod harness;
mod journey;
mod refusals;
mod undo;
