//! The file a user writes, and its conversion into each room's own configuration.

use std::path::{Path, PathBuf};

pub use crate::yaml::{Problem, Problems};
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
