//! The thinking half of pgwright: a snapshot and plans go in, candidates and a frozen change plan come out.
//!
//! Pure, synchronous and deterministic: the same input gives the same output, byte for byte. Nothing here
//! reads a clock, a file or the environment, and nothing here can fail for want of the outside world.

pub mod bindings;
pub mod quote;
pub mod snapshot;
pub mod statement;
#[doc(hidden)]
pub mod testing;
