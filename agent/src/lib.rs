//! All I/O with PostgreSQL.
