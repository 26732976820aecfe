//! The planner twin against sources with real rows, on every version found.

mod fidelity;
mod harness;
