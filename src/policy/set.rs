//! All policies in force, and which of them an image meets.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Mode, Parsed, Policy, TrustRootUse, deny::DenyList, fingerprint::fingerprint, parse};
use crate::{
    oci::{Digest, ImageName},
    yaml::{Problem, Problems},
};

/// All policies in force, immutable; a reload makes a new set.
#[derive(Debug, Clone)]
pub struct PolicySet {
    /// Sorted by name, so that the order of files means nothing.
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) deny: Arc<DenyList>,
    /// Every identity's trust root, with the place where it is named.
    trust_roots: Vec<TrustRootUse>,
}

/// What happens to images no policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// Served, with a warning.
    DangerousAllow,
    /// Refused.
    Deny,
}

/// Identifies a set of policies by their content: the SHA-256 of all that can change an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyId(pub Digest);

/// The policies that name an image.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Those that decide: every one must hold.
    pub enforce: Vec<Arc<Policy>>,
    /// Those that only watch.
    pub audit: Vec<Arc<Policy>>,
    /// What holds if both are empty.
    pub unmatched: Unmatched,
    /// What is denied whatever these say, and denied too if there are none.
    pub deny: Arc<DenyList>,
    /// Fingerprint of the above; part of every verdict's key.
    pub id: PolicyId,
}

impl PolicySet {
    /// The set of `parsed`, each with the file it stands in.
    ///
    /// # Errors
    /// Names used twice: a refusal names its policy, and must name one.
    pub fn new(parsed: Vec<(PathBuf, Parsed)>, unmatched: Unmatched) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut seen: HashMap<String, (PathBuf, u64)> = HashMap::new();
        let (mut policies, mut trust_roots) = (Vec::new(), Vec::new());
        for (file, Parsed { policy, name_at, trust_roots: named }) in parsed {
            trust_roots.extend(named);
            match seen.get(&policy.name) {
                Some((first, line)) => problems.push(Problem {
                    file,
                    line: name_at.line,
                    column: name_at.column,
                    key: "name".into(),
                    message: format!("`{}` is the name of another policy, in {}:{line}", policy.name, first.display()),
                }),
                None => {
                    seen.insert(policy.name.clone(), (file, name_at.line));
                    policies.push(Arc::new(policy));
                }
            }
        }
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        if problems.is_empty() {
            Ok(Self { policies, unmatched, deny: Arc::default(), trust_roots })
        } else {
            Err(Problems(problems))
        }
    }

    /// The set of the policies in `text`, a policy file's content; `file` is named in problems.
    ///
    /// # Errors
    /// Every problem.
    pub fn from_text(file: &Path, text: &str, unmatched: Unmatched) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let parsed = parse(file, text, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Self::new(parsed.into_iter().map(|parsed| (file.to_owned(), parsed)).collect(), unmatched)
    }

    /// The policies that name `image`. Some microseconds a policy: callers on a hot path keep it.
    #[must_use]
    pub fn select(&self, image: &ImageName) -> Selection {
        let named = |mode: Mode| -> Vec<Arc<Policy>> {
            self.policies.iter().filter(|policy| policy.mode == mode && policy.names(image)).cloned().collect()
        };
        let (enforce, audit) = (named(Mode::Enforce), named(Mode::Audit));
        let id = fingerprint(enforce.iter().chain(&audit), self.unmatched, &self.deny);
        Selection { enforce, audit, unmatched: self.unmatched, deny: Arc::clone(&self.deny), id }
    }

    /// The same set under a deny-list, in place of the one it had.
    #[must_use]
    pub fn with_deny(self, deny: impl Into<Arc<DenyList>>) -> Self {
        Self { deny: deny.into(), ..self }
    }

    /// What is denied whatever the policies say.
    #[must_use]
    pub const fn deny(&self) -> &Arc<DenyList> {
        &self.deny
    }

    /// The policies, by name.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// Every trust root that an identity of a policy asks for, and where; also those that ask for the default by saying
    /// nothing. A name that no root has is a mistake: that identity could never be met.
    #[must_use]
    pub fn trust_roots_named(&self) -> &[TrustRootUse] {
        &self.trust_roots
    }

    /// What happens to images no policy names.
    #[must_use]
    pub const fn unmatched(&self) -> Unmatched {
        self.unmatched
    }
}
