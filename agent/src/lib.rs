//! All I/O with PostgreSQL.

pub mod doctor;
pub mod sampler;
