//! The thinking half.
pub mod size;
