//! The planner twin against sources with real rows, on every version found.
#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

mod faults;
mod fidelity;
mod harness;
mod hostile;
mod locales;
mod roles;
mod whatif;
