//! All I/O with PostgreSQL.

pub mod cluster;
