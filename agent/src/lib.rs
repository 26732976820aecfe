//! All I/O with PostgreSQL.

pub mod applier;
pub mod cluster;
pub mod conninfo;
pub mod journal;
pub mod postgres;
pub mod redacted;
pub mod rollback;
pub mod tls;
