//! The one integration test binary: every file beside this one is a module of it.
#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

mod cluster;
