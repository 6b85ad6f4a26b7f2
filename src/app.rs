//! The only file that knows every concrete type: configuration → wired parts → run until drained.
