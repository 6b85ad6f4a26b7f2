//! What the benchmarks share: recorded images with signatures that real cosign made, an upstream that answers from memory, and
//! a gate over it.
//!
//! Fixtures are the tests' own, by path: what is measured is what is tested.

pub mod clock;
pub mod documents;
pub mod front;
pub mod recorded;
pub mod upstream;
