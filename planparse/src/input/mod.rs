//! Finds the plans in a text, whatever stands around them.

mod clean;
mod csv;
mod decode;
mod scan;

pub(crate) use decode::decode;
pub(crate) use scan::{may_hold_plan, scan};
