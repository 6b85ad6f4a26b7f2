//! Listeners: accept, TLS, limits, graceful drain. Knows nothing of OCI.
//!
//! HTTP/1.1 only: containerd and BuildKit speak nothing else to a registry mirror, only it carries reason phrases, and the
//! floods of HTTP/2 (rapid reset, CONTINUATION, settings; H1) have nothing to aim at.

mod accept;
pub mod admin;
mod io;
pub mod limits;
#[cfg(test)]
mod tests;
mod tls;
mod track;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use accept::{BindError, Bound, Server};
pub use tls::{Tls, TlsError};
pub use track::Stats;

/// What the configuration says of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsConfig>,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin: SocketAddr,
    /// Limits.
    pub limits: Limits,
}

/// Certificate files, reloaded when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM chain.
    pub cert: PathBuf,
    /// PEM key.
    pub key: PathBuf,
    /// PEM authorities; when given, a client must show a certificate of theirs.
    pub client_ca: Option<PathBuf>,
}

/// Bounds of the client side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections: 20,000. Above, the oldest idle one is closed, else the new one.
    pub connections: usize,
    /// Requests in flight, to their last byte: 4,096. Above, 503.
    pub requests: usize,
    /// Seconds a client has to send its request head: 10 s.
    pub header_timeout: Duration,
    /// Seconds a kept-alive connection may idle: 60 s.
    pub idle_timeout: Duration,
    /// Seconds without progress before a response to a client that does not read is dropped: 60 s.
    pub write_timeout: Duration,
    /// Seconds until response headers: 25 s.
    pub response_timeout: Duration,
    /// Bytes of a request's head: 64 KiB.
    pub head_bytes: usize,
    /// Seconds open requests have to end after SIGTERM: 30 s.
    pub drain: Duration,
}
