//! The files a user writes: YAML as a tree in which every node knows its line and column.
//!
//! serde stops at the first thing it dislikes; a person mending a configuration wants the whole list. So a file becomes
//! a [`Node`] first, and is then walked with a [`Cursor`], which collects every problem with its place and key path.
//!
//! Bounds: [`MAX_FILE`] bytes, [`MAX_DEPTH`] levels, [`MAX_NODES`] nodes after aliases are followed (a "billion laughs"
//! file ends there); more of both where a file says so, as a deny-list. Tags and merge keys are refused: a policy must mean what it
//! says at a glance.

mod cursor;
mod problem;
mod tree;

pub use cursor::{Cursor, Fields, as_written};
pub use problem::{Problem, Problems, Sink, closest, shown};
pub use tree::{MAX_DEPTH, MAX_FILE, MAX_NODES, Node, Place, Value, documents, documents_within, read_file, read_file_within};
