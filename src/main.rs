//! pgwright.
fn main() {}
