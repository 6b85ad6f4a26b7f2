//! The whole gate in one process or as the built binary, against a registry in this process. One binary; this list is
//! the table of contents.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_debug_implementations, missing_docs, unreachable_pub)]

mod support;

mod command;
mod crash;
mod denied;
mod herd;
mod imported;
mod large;
mod lies;
mod policies;
mod recorded;
mod refusals;
mod restart;
mod tags;
