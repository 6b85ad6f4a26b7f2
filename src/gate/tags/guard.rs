//! What the policies that guard tags say of one digest, and whether a tag may move to it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Move,
    history::{LastSigned, Meant},
};
use crate::{
    gate::verdict::UndecidedReason,
    oci::Digest,
    policy::{Held, Mode, Policy, Selection, Signed},
    verify::{SanKind, Signer},
};

/// Signers remembered of one digest.
pub(super) const MAX_SIGNERS: usize = 16;

/// What a permit says to the guard of tags: which policies ask for it, and who signed the digest, and when, by each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The enforcing before those that audit.
    pub(super) policies: Vec<Says>,
    /// Why others may have signed it too, or these later: not everything that is published about it could be seen now.
    pub(super) unseen: Option<UndecidedReason>,
    /// When the upstream was last asked who signed it; `None` where that is longer ago than the clock can say.
    asked: Option<Instant>,
}

/// What one policy that guards tags says of a digest. Each has its own: who signs for one must not become who may sign for
/// another, for every policy must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) policy: String,
    pub(super) mode: Mode,
    /// Each with the newest of its signatures. Nobody where it does not hold, or holds by an exception: that says nothing of age
    /// or signer, and what the tag meant to it stays as it was.
    signers: Vec<(TagSigner, Timestamp)>,
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
    /// What the policies that guard tags say of a digest, of which these hold, and these audit policies; `None` where none guards
    /// them, or where none of them knows a signature. Of what was asked of the upstream `age` ago.
    pub(in crate::gate) fn of(
        selection: &Selection,
        held: &[(Arc<Policy>, Held)],
        watched: &[(Arc<Policy>, Held)],
        unseen: Option<UndecidedReason>,
        age: Duration,
    ) -> Option<Arc<Self>> {
        let say = |policy: &Arc<Policy>| {
            let held = held.iter().chain(watched).find(|(other, _)| Arc::ptr_eq(other, policy));
            Says::of(policy, held.map_or(&[], |(_, held)| &held.signed))
        };
        let guarding = selection.enforce.iter().chain(&selection.audit).filter(|policy| policy.tag_guard());
        let policies: Vec<_> = guarding.map(say).collect();
        let asked = Instant::now().checked_sub(age);
        policies.iter().any(Says::speaks).then(|| Arc::new(Self { policies, unseen, asked }))
    }

    /// Whether the upstream may have more to say by now.
    pub(super) fn is_older_than(&self, ttl: Duration) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= ttl)
    }

    /// Of each policy whether it says anything of the digest.
    pub(super) fn speaking(&self) -> impl Iterator<Item = bool> {
        self.policies.iter().map(Says::speaks)
    }

    /// Whether a policy of this mode says anything of the digest.
    pub(super) fn speaks(&self, mode: Mode) -> bool {
        self.policies.iter().any(|says| says.mode == mode && says.speaks())
    }
}

impl Says {
    fn of(policy: &Policy, signed: &[Signed]) -> Self {
        let mut signers: Vec<(TagSigner, Timestamp)> = Vec::new();
        for Signed { signer, at } in signed {
            let signer = TagSigner::of(signer);
            if let Some((_, newest)) = signers.iter_mut().find(|(known, _)| *known == signer) {
                *newest = (*newest).max(*at);
            } else if signers.len() < MAX_SIGNERS {
                signers.push((signer, *at));
            }
        }
        Self { policy: policy.name.clone(), mode: policy.mode(), signers }
    }

    /// Who signed it, for the event.
    pub(super) fn signers(&self) -> Vec<&str> {
        self.signers.iter().map(|(signer, _)| signer.builder.as_str()).collect()
    }

    pub(super) const fn speaks(&self) -> bool {
        !self.signers.is_empty()
    }

    /// Whether one of these signs for the policy.
    pub(super) fn knows_any(&self, of: &[LastSigned]) -> bool {
        self.signers.iter().any(|(signer, _)| of.iter().any(|last| last.signer == *signer))
    }

    /// What the tag means to the policy from here on, if it may move here from what it `was`; else what that was, and how it
    /// moved. With `whole`, all could be seen of who signed this digest.
    ///
    /// The first use is trusted, and is remembered once all was seen; `None` until then. From then on the tag moves to what one of
    /// those signed who signed what it meant, and not earlier than they signed that. Of them those stay who signed this too.
    ///
    /// What was not seen must not be a way out: whoever answers for the registry can keep a signature back. So a move that what was
    /// seen allows is remembered all the same, and takes away nobody's right before all is seen: nobody knows that he did not sign.
    pub(super) fn follow(&self, digest: Digest, was: Option<&Meant>, whole: bool) -> Result<Option<Meant>, (Digest, Move)> {
        let Some(was) = was else { return Ok(whole.then(|| self.anew(digest))) };
        let completes = was.partly && whole;
        if was.digest == digest && !completes {
            return Ok(Some(was.clone()));
        }
        if was.digest == digest && was.accepted {
            return Ok(Some(self.anew(digest)));
        }
        match self.compare(was) {
            Err(how) if was.digest != digest => return Err((was.digest, how)),
            // All of them withdrew: the tag did not move, and goes on as before.
            Err(Move::ToAnotherSigner { .. }) => return Ok(Some(was.clone())),
            Ok(()) | Err(Move::Back { .. }) => {}
        }
        let again = |last: &LastSigned| match self.signers.iter().find(|(signer, _)| *signer == last.signer) {
            // Nobody's age goes back for what another let through.
            Some((_, at)) => Some(LastSigned { newest: last.newest.max(Some(*at)), ..last.clone() }),
            // Only those who signed before and sign again: two at once today must not let the second alone tomorrow.
            None if whole => None,
            None => Some(LastSigned { newest: Some(last.newest.unwrap_or(was.newest)), ..last.clone() }),
        };
        Ok(Some(self.meant(digest, was.signers.iter().filter_map(again).collect(), !whole)))
    }

    /// The same where somebody accepts it, whatever it was. It happens also while not all can be seen of who signed it, and is then to
    /// be remembered anew: a signature that is kept back at that moment must not end a signer's right, nor make the digest older.
    pub(super) fn accept(&self, digest: Digest, whole: bool) -> Meant {
        Meant { partly: !whole, accepted: !whole, ..self.anew(digest) }
    }

    fn anew(&self, digest: Digest) -> Meant {
        self.meant(digest, self.signers.iter().map(last).collect(), false)
    }

    fn meant(&self, digest: Digest, signers: Vec<LastSigned>, partly: bool) -> Meant {
        let newest = self.signers.iter().map(|(_, at)| *at).max().unwrap_or(Timestamp::MIN);
        Meant { policy: self.policy.clone(), digest, newest, signers, partly, accepted: false }
    }

    /// Whether a tag may move from there to here. Only the signatures of those who signed both say which is newer: who signs beside
    /// them may not move the tag, and so lends no age to an old signature of one who may.
    fn compare(&self, before: &Meant) -> Result<(), Move> {
        let last = |signer: &TagSigner| before.signers.iter().find(|last| last.signer == *signer);
        let common: Vec<_> = self.signers.iter().filter_map(|of| Some((of, last(&of.0)?))).collect();
        let is = common.iter().map(|((_, at), _)| *at).max();
        let was = common.iter().map(|(_, last)| last.newest.unwrap_or(before.newest)).max();
        match (was, is) {
            (Some(was), Some(is)) if is < was => Err(Move::Back { was, is }),
            (Some(_), Some(_)) => Ok(()),
            (None, _) | (_, None) => Err(self.another(before)),
        }
    }

    /// That it is by another signer, and by which: of two of the same name what else differs, or they would be told as the same.
    fn another(&self, before: &Meant) -> Move {
        let alike = |(is, _): &'_ (TagSigner, Timestamp)| {
            let was = before.signers.iter().map(|last| &last.signer).find(|was| was.builder == is.builder)?;
            let none = || "none".to_owned();
            let number = |signer: &TagSigner| signer.repository.clone().unwrap_or_else(none);
            let (what, was, now) = if was.trust_root != is.trust_root {
                ("trust root", was.trust_root.clone(), is.trust_root.clone())
            } else if was.issuer != is.issuer {
                ("issuer", was.issuer.clone(), is.issuer.clone())
            } else {
                ("repository number", number(was), number(is))
            };
            Some(Move::ToAnotherSigner { was: format!("the same, {what} {was}"), is: format!("{}, {what} {now}", is.builder) })
        };
        let first = || Move::ToAnotherSigner {
            was: before.signers.first().map(|last| last.signer.builder.clone()).unwrap_or_default(),
            is: self.signers.first().map(|(signer, _)| signer.builder.clone()).unwrap_or_default(),
        };
        self.signers.iter().find_map(alike).unwrap_or_else(first)
    }
}

fn last((signer, at): &(TagSigner, Timestamp)) -> LastSigned {
    LastSigned { signer: signer.clone(), newest: Some(*at) }
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
