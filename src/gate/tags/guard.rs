//! What the policies that guard tags say of one digest, and whether a tag may move to it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Move,
    history::{History, LastSigned},
};
use crate::{
    policy::{Held, Mode, Policy, Signed},
    verify::{SanKind, Signer},
};

/// Signers remembered of one digest.
const MAX_SIGNERS: usize = 16;

/// What a permit says to the guard of tags: a policy asks for it, and this is how old the digest is and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub(super) policy: String,
    pub(super) mode: Mode,
    pub(super) newest: Timestamp,
    /// Each with the newest of its signatures.
    signers: Vec<(TagSigner, Timestamp)>,
    /// What audit policies say beside the enforcing ones.
    pub(super) beside: Option<Arc<Self>>,
    /// An enforcing policy guards tags too, so what they mean to the audit policies is a history of its own: who signs for these
    /// must not become who may sign for those.
    pub(super) apart: bool,
}

/// Who signed, by what does not change from release to release. A workflow's own name contains the ref it ran for, and every
/// release has another; the repository's number stays when the repository is renamed, and does not when its name is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagSigner {
    /// The name of the trust root.
    pub trust_root: String,
    /// The OIDC issuer.
    pub issuer: String,
    /// The claim `source_repository_identifier`, where the certificate has it.
    pub repository: Option<String>,
    /// The claim `build_signer_uri` without its ref; where there is none, the subject, if it is a URI without its ref.
    pub builder: String,
}

impl Guard {
    /// What the policies that guard tags say of a digest on which they hold; `None` where none guards them, or where none of
    /// them knows a signature: what an exception admits says nothing of age or signer.
    pub(in crate::gate) fn of(held: &[(Arc<Policy>, Held)], watched: &[(Arc<Policy>, Held)]) -> Option<Arc<Self>> {
        let apart = held.iter().any(|(policy, _)| policy.tag_guard());
        let audit = Self::among(watched, Mode::Audit).map(|audit| Arc::new(Self { apart, ..audit }));
        match Self::among(held, Mode::Enforce) {
            Some(enforce) => Some(Arc::new(Self { beside: audit, ..enforce })),
            None => audit,
        }
    }

    fn among(held: &[(Arc<Policy>, Held)], mode: Mode) -> Option<Self> {
        let guards = || held.iter().filter(|(policy, _)| policy.tag_guard());
        let (first, _) = guards().next()?;
        let signed: Vec<&Signed> = guards().flat_map(|(_, held)| &held.signed).collect();
        let newest = signed.iter().map(|signed| signed.at).max()?;
        let mut signers: Vec<(TagSigner, Timestamp)> = Vec::new();
        for Signed { signer, at } in signed {
            let signer = TagSigner::of(signer);
            if let Some((_, newest)) = signers.iter_mut().find(|(known, _)| *known == signer) {
                *newest = (*newest).max(*at);
            } else if signers.len() < MAX_SIGNERS {
                signers.push((signer, *at));
            }
        }
        Some(Self { policy: first.name.clone(), mode, newest, signers, beside: None, apart: false })
    }

    /// Whether there is no other guard, nor another history.
    pub(super) const fn is_alone(&self) -> bool {
        self.beside.is_none() && !self.apart
    }

    /// Everyone who signed, as a history keeps them.
    pub(super) fn last_signed(&self) -> Vec<LastSigned> {
        self.signers.iter().map(|(signer, at)| LastSigned { signer: signer.clone(), newest: Some(*at) }).collect()
    }

    /// The signers both have, if a tag may move from there to here. Only their signatures say which is newer: who signs beside
    /// them may not move the tag, and so lends no age to an old signature of one who may.
    pub(super) fn compare(&self, before: &History) -> Result<Vec<LastSigned>, Move> {
        let last = |signer: &TagSigner| before.signers.iter().find(|last| last.signer == *signer);
        let common: Vec<_> = self.signers.iter().filter_map(|of| Some((of, last(&of.0)?))).collect();
        let is = common.iter().map(|((_, at), _)| *at).max();
        let was = common.iter().map(|(_, last)| last.newest.unwrap_or(before.newest)).max();
        match (was, is) {
            (Some(was), Some(is)) if is < was => Err(Move::Back { was, is }),
            (Some(_), Some(_)) => {
                // Nobody's age goes back for what another let through.
                let kept = |((signer, at), last): (&(TagSigner, Timestamp), &LastSigned)| LastSigned {
                    signer: signer.clone(),
                    newest: last.newest.max(Some(*at)),
                };
                Ok(common.into_iter().map(kept).collect())
            }
            (None, _) | (_, None) => {
                let told = |signer: Option<&TagSigner>| signer.map(|signer| signer.builder.clone()).unwrap_or_default();
                let was = told(before.signers.first().map(|last| &last.signer));
                Err(Move::ToAnotherSigner { was, is: told(self.signers.first().map(|(signer, _)| signer)) })
            }
        }
    }
}

impl TagSigner {
    fn of(signer: &Signer) -> Self {
        let Signer { trust_root, issuer, san_kind, subject, claims } = signer;
        let builder = match (claims.get("build_signer_uri"), san_kind) {
            (Some(uri), _) => without_ref(uri),
            (None, SanKind::Uri) => without_ref(subject),
            // An address has its `@` elsewhere.
            (None, SanKind::Email | SanKind::Other) => subject,
        };
        Self {
            trust_root: trust_root.to_string(),
            issuer: issuer.clone(),
            repository: claims.get("source_repository_identifier").cloned(),
            builder: builder.to_owned(),
        }
    }
}

/// `https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1` without what follows the workflow.
fn without_ref(uri: &str) -> &str {
    // The first: a ref may contain one too.
    uri.split_once("@refs/").or_else(|| uri.split_once('@')).map_or(uri, |(workflow, _)| workflow)
}
