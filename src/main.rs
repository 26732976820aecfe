//! pgwright: finds what would make a PostgreSQL server faster, proves it, applies it, and takes it back.

mod cli;
mod config;
mod exit;
mod failure;
mod output;
mod text;
mod values;

fn main() {}
