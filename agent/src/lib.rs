//! All I/O with PostgreSQL.

pub mod cluster;
pub mod doctor;
pub mod sampler;
