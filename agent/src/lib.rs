//! All I/O with PostgreSQL: connection, sampler, what-if, applier, journal.
//!
//! The only crate that opens a socket. A statement that changes something of the user's is sent from
//! `applier` and `rollback` and from nowhere else; `watch` writes what it read into the journal.

pub mod applier;
pub mod blueprint;
pub mod cluster;
pub mod conninfo;
mod disk;
pub mod doctor;
pub mod explain;
mod foreign_code;
pub mod guards;
pub mod journal;
pub mod optimize;
pub mod postgres;
pub mod redact;
pub mod redacted;
pub mod rollback;
pub mod sampler;
pub mod tls;
pub mod twin;
pub mod watch;
pub mod whatif;
