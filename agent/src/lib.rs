//! All I/O with PostgreSQL.

pub mod conninfo;
pub mod postgres;
pub mod redacted;
pub mod tls;
