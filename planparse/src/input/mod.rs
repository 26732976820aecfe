//! Finds the plans in a text, whatever stands around them.

mod clean;
mod csv;
mod decode;
mod html;
mod joined;
mod log;
mod psql;
mod scan;

pub(crate) use decode::decode;
pub(crate) use log::is_head;
pub(crate) use scan::{may_hold_plan, scan};
