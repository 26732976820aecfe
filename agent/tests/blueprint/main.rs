//! Blueprints of real servers: drawn, built anew on an empty database, drawn again and compared.
//!
//! `PGWRIGHT_TEST_MAJOR=16` chooses the version; `versions.rs` tries all that are found. Without server
//! programs the tests skip themselves with a message; with `CI` set that is a failure.
#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

mod catalogs;
mod edges;
mod harness;
mod rebuild;
mod statistics;
