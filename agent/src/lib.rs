//! All I/O with PostgreSQL.

pub mod cluster;
pub mod conninfo;
pub mod doctor;
pub mod postgres;
pub mod redacted;
pub mod sampler;
pub mod tls;
