//! Reads EXPLAIN output.
