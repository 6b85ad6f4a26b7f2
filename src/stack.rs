//! The tower layers, top to bottom in the order a request meets them.
