//! The file a user writes, and its conversion into each room's own configuration.
//!
//! Reading never stops at the first mistake: the whole file and every policy file it names are walked, and [`Problems`]
//! lists all of them with file, line, column and key path. What is not understood is an error (O9); a key of a later
//! release says so. Relative paths start at the file that names them. Nothing is read from the environment.

mod files;
mod limits;
mod listeners;
mod schema;
mod trust_roots;
mod upstreams;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use self::files::Files;
pub use crate::yaml::{Problem, Problems};
use crate::{
    gate,
    oci::Host,
    policy::{PolicySet, deny::Denial},
    registry, server, store, upstream,
    verify::trust_root::RootConfig,
};

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
    /// The trust roots by name; `default` is among them.
    pub trust_roots: BTreeMap<Arc<str>, RootConfig>,
    /// Weaknesses configured, to say at start and to count.
    pub weaknesses: Vec<Weakness>,
    /// What is no weakness, and probably not meant: each a sentence, to say at start.
    pub notices: Vec<String>,
}

/// What reading a configuration came to, whether or not it can be taken.
#[derive(Debug)]
pub struct Reading {
    /// The configuration, or all that is wrong with it.
    pub config: Result<Config, Problems>,
    /// What it denies, whatever else is wrong.
    pub denials: Denials,
    /// What was read.
    pub sources: Sources,
}

/// The deny-list of a configuration.
#[derive(Debug, Default)]
pub struct Denials {
    /// What is denied, as far as it can be read.
    pub read: Vec<Denial>,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// What a configuration is made of, to watch: of one that is wrong, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Every file: this one, policies, certificates, trust root, credentials; those that cannot be read too. A new policy file
    /// appears in a directory of one of these or in one of [`directories`](Self::directories).
    pub files: Vec<PathBuf>,
    /// Directories a wildcard of `policies` or `deny` looked into, to watch for new files.
    pub directories: Vec<PathBuf>,
}

/// Something configured that relaxes a rule. Its `Display` is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness {
    /// A word from a closed list, for the metric's label: `any_identity`, `audit`, `dangerous_allow`,
    /// `dangerous_no_attestation`, `dangerous_no_log`, `dangerous_no_sct`, `dangerous_no_signature`, `dangerous_repository`, `open_admin`,
    /// `open_listener`, `plain_http`, `readable_secret`.
    pub kind: &'static str,
    /// What is given up.
    pub sentence: String,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Config {
    /// Reads `path` and every policy file it names. Blocking; a few milliseconds.
    ///
    /// # Errors
    /// [`Problems`]: every one, with file, line, column and key path.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::read(path).config
    }

    /// The configuration of a gate, for a command that need not run where the gate does: what only a listener needs, and what
    /// only an upstream needs, is not opened. An upstream says what is wrong with its files when it is asked.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn elsewhere(path: &Path) -> Result<Self, Problems> {
        schema::elsewhere(path)
    }

    /// The policies of `files`, for whoever has trust roots and no configuration: a policy that names another root could be met
    /// by nobody.
    ///
    /// # Errors
    /// [`Problems`]: every one.
    pub fn policies(files: &[PathBuf], roots: &BTreeMap<Arc<str>, RootConfig>) -> Result<PolicySet, Problems> {
        schema::policies_under(files, roots)
    }

    /// What [`Config::load`] loads, and what can be told of it though it is wrong.
    #[must_use]
    pub fn read(path: &Path) -> Reading {
        schema::read(path)
    }
}

#[cfg(test)]
mod tests;
