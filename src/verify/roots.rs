//! The verifier in use: every trust root that is ready, each asked by itself.

use std::sync::Arc;

use super::{Epoch, Sigstore, Verified, Verifier, VerifyError, sigstore};
use crate::{evidence::Content, oci::Digest};

/// Verifies under several trust roots. Immutable; a change of any makes another.
#[derive(Debug)]
pub struct Roots {
    /// At least one, in the order of their names.
    roots: Vec<Arc<Sigstore>>,
    unready: Vec<Unready>,
    epoch: Epoch,
}

/// A trust root that is configured and not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// Its name.
    pub name: Arc<str>,
    /// Why, as a sentence.
    pub why: String,
}

impl Roots {
    /// The verifier over `roots`; `None` where there is none. `unready` are those that should be among them.
    #[must_use]
    pub fn new(mut roots: Vec<Arc<Sigstore>>, mut unready: Vec<Unready>) -> Option<Self> {
        roots.sort_by(|a, b| a.name().cmp(b.name()));
        unready.sort_by(|a, b| a.name.cmp(&b.name));
        let epoch = epoch_of(roots.iter().map(AsRef::as_ref));
        (!roots.is_empty()).then_some(Self { roots, unready, epoch })
    }

    /// `error` as one of several roots' gives it.
    fn named(&self, root: &Sigstore, error: VerifyError) -> VerifyError {
        if self.roots.len() == 1 {
            return error;
        }
        let under = |text: String| format!("{text} (trust root {})", root.name());
        match error {
            VerifyError::Certificate(text) => VerifyError::Certificate(under(text)),
            VerifyError::Log(text) => VerifyError::Log(under(text)),
            VerifyError::Signature(text) => VerifyError::Signature(under(text)),
            VerifyError::Timestamp(text) => VerifyError::Timestamp(under(text)),
            other @ (VerifyError::Clock { .. }
            | VerifyError::Malformed(_)
            | VerifyError::OtherSubject { .. }
            | VerifyError::TooLarge(_)
            | VerifyError::Unreadable(_)
            | VerifyError::Unsupported(_)
            | VerifyError::UnsupportedLogEntry { .. }) => other,
        }
    }
}

/// How far a piece came: a root that knows neither its log nor its authority says least about what is wrong with it. A
/// clock that may be slow, and a file that cannot be read, come before all, because they alone are no refusal.
const fn nearness(error: &VerifyError) -> u8 {
    match error {
        VerifyError::Malformed(_)
        | VerifyError::OtherSubject { .. }
        | VerifyError::TooLarge(_)
        | VerifyError::Unsupported(_)
        | VerifyError::UnsupportedLogEntry { .. } => 1,
        VerifyError::Timestamp(_) => 2,
        VerifyError::Certificate(_) => 3,
        VerifyError::Log(_) => 4,
        VerifyError::Signature(_) => 5,
        VerifyError::Clock { .. } => 6,
        VerifyError::Unreadable(_) => 7,
    }
}

/// SHA-256 over names, documents and what is relaxed, each text with its length, so that no two sets share a form.
pub(super) fn epoch_of<'r>(roots: impl Iterator<Item = &'r Sigstore>) -> Epoch {
    let mut form = b"pullgate trust roots 1".to_vec();
    for root in roots {
        form.extend((root.name().len() as u64).to_be_bytes());
        form.extend(root.name().as_bytes());
        form.extend([u8::from(root.relaxed().no_log), u8::from(root.relaxed().no_sct)]);
        form.extend(root.document().as_bytes());
    }
    Epoch(Digest::sha256(&form))
}

impl Verifier for Roots {
    fn verify(&self, subject: &Digest, content: &Content) -> Result<Vec<Verified>, VerifyError> {
        let now = self.roots.first().map_or_else(jiff::Timestamp::now, |root| root.now());
        // Read once, whatever the number of roots.
        let prepared = sigstore::prepare(subject, content, now)?;
        let mut facts = Vec::new();
        let mut nearest: Option<(u8, VerifyError)> = None;
        for root in &self.roots {
            match root.prove_prepared(&prepared, subject, now) {
                Ok(fact) => facts.push(fact),
                Err(error) => {
                    let near = if root.fits(&prepared.bundle).is_ok() { nearness(&error) } else { 0 };
                    if nearest.as_ref().is_none_or(|(so_far, _)| near > *so_far) {
                        nearest = Some((near, self.named(root, error)));
                    }
                }
            }
        }
        match nearest {
            Some((_, error)) if facts.is_empty() => Err(error),
            _ => Ok(facts),
        }
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn unready(&self) -> &[Unready] {
        &self.unready
    }
}
