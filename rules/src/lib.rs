//! The thinking half.
