//! The one integration test binary: every file beside this one is a module of it.
//!
//! Tests that need a server get a database of their own on one private server
//! (`harness::database`). `PGWRIGHT_TEST_MAJOR=16` chooses the version, `PGWRIGHT_TEST_KEEP=1`
//! keeps the server of a failed test for a look with psql.
#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

mod harness;

mod architecture;
mod bad_input;
mod cluster;
mod cycle;
mod cycle_failure;
mod demo;
mod demo_data;
mod dumps;
mod explain;
mod faults;
mod journal;
mod moved;
mod partitions;
mod peers;
mod proxied;
mod security;
mod selftest;
mod skew;
mod snapshot;
mod trace;
mod twin_faults;
mod unattended;
mod verify;
mod verify_obstacles;
mod way_back;
