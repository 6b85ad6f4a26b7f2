//! The file a user writes, and its conversion into each room's own configuration.

use std::path::{Path, PathBuf};

use crate::{gate, oci::Host, policy::PolicySet, registry, server, store, upstream};

/// Everything `serve` needs, converted and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners.
    pub server: server::Config,
    /// The client side.
    pub registry: registry::Config,
    /// The gate.
    pub gate: gate::Config,
    /// The store.
    pub store: store::Config,
    /// Where images are.
    pub upstreams: Vec<upstream::Config>,
    /// `default_upstream`, one of the above.
    pub default_upstream: Option<Host>,
    /// The policies.
    pub policies: PolicySet,
    /// The trust root.
    pub trust_root: TrustRootConfig,
    /// Every file read, to watch: this one, policies, certificates, trust root, credentials.
    pub files: Vec<PathBuf>,
    /// Weaknesses configured, each a sentence, to say at start.
    pub weaknesses: Vec<String>,
}

/// Where the trust root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRootConfig {
    /// A `trusted_root.json`.
    File(PathBuf),
    /// The public-good instance, by TUF.
    Sigstore,
}

/// All that is wrong with a configuration, at once.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {key}: {message}", .file.display())]
pub struct Problem {
    /// Which file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// Key path: `upstreams[1].url`.
    pub key: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl Config {
    /// Reads `path` and every policy file it names.
    ///
    /// # Errors
    /// [`Problems`]: every one, with file, line, column and key path.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let _ = path;
        unimplemented!()
    }
}
