//! The world in a process: a registry, a gate in front of it, a client.

pub mod client;
pub mod gate;
pub mod layout;
pub mod registry;
