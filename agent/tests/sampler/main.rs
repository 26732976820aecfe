//! The sampler against real servers: what it must see, and what it must say when it cannot.
//!
//! `PGWRIGHT_TEST_MAJOR=16` chooses the version; `versions.rs` tries all that are found. Without server
//! programs the tests skip themselves with a message; with `CI` set that is a failure.
#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

mod catalog;
mod doctor;
mod harness;
mod obstacles;
mod statistics;
mod versions;
mod workload;
