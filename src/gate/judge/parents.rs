//! Which admitted index vouches for a manifest, and how far upwards one question may lead.

use std::{collections::HashSet, sync::Arc};

use dashmap::DashSet;
use tokio::time::Instant;

use super::{Judgement, RETRY};
use crate::{
    gate::{
        memory::Asked,
        verdict::{Grounds, NoVerdict, Permit, Subject, Undecided, UndecidedReason, Verdict},
    },
    oci::{Digest, ManifestKind},
    store::HintKind,
};

/// How deep indexes may nest, counted from the manifest that was asked for (X1).
pub(in crate::gate) const MAX_DEPTH: u8 = 3;
/// How many indexes are tried as parents of one manifest.
const MAX_PARENTS: usize = 16;
/// How many manifests one question may lead to, upwards (X1).
const MAX_TRAIL: usize = 64;

/// How a question came here: asked by a client (depth 0), or as a possible parent of what was asked.
#[derive(Debug, Clone, Default)]
pub(in crate::gate) struct Trail {
    depth: u8,
    seen: Arc<DashSet<Digest>>,
}

impl Trail {
    /// The levels are judged in flights of their own, so a judgement only ever waits for a deeper one: an upstream whose
    /// indexes claim each other cannot make two judgements wait for one another.
    pub(in crate::gate) const fn depth(&self) -> u8 {
        self.depth
    }

    /// One level up, unless it was visited, is too deep, or there were too many.
    pub(super) fn up(&self, parent: &Digest) -> Option<Self> {
        let goes = self.depth < MAX_DEPTH && self.seen.len() < MAX_TRAIL && self.seen.insert(*parent);
        goes.then(|| Self { depth: self.depth + 1, seen: Arc::clone(&self.seen) })
    }
}

/// Whether some admitted index lists the subject.
pub(super) enum Parentage {
    /// This one does.
    Admitted(Permit),
    /// None that is known.
    Unvouched(Unvouched),
}

/// What is known of the indexes that list the subject, of which none is admitted.
#[derive(Debug, Default)]
pub(super) struct Unvouched {
    /// All of them.
    listers: Vec<Digest>,
    /// Those that list it, or are said to, and are refused.
    pub(super) refused: Vec<Digest>,
    /// Why one could not be judged.
    pub(super) undecided: Option<Undecided>,
}

/// That an index above the subject is denied, and none that lists it is admitted.
#[derive(Debug)]
pub(super) enum DeniedAbove {
    /// So is the subject; and why.
    Denied(Arc<str>),
    /// An index that lists it cannot be judged now. It may vouch for it.
    Unsure(Undecided),
}

impl Judgement {
    /// Whether an index of this repository that is admitted, or can be, lists the subject. Hints and the layout say which
    /// to try; the index's own bytes decide (X9).
    pub(super) async fn parentage(&self) -> Parentage {
        let digest = &self.subject.digest;
        let known = self.listers(digest).await;
        if let Some(permit) = self.recall_parent(&known) {
            return Parentage::Admitted(permit);
        }
        let mut none = Unvouched { listers: known.clone(), ..Unvouched::default() };
        for parent in known {
            let Some(trail) = self.trail.up(&parent) else { continue };
            let parent = Subject { digest: parent, ..self.subject.clone() };
            match self.gate.admit_at(&parent, trail).await {
                Ok(Verdict::Admit(permit)) if vouches(&permit, digest) => {
                    if permit.policy() == self.basis.policy {
                        return Parentage::Admitted(permit);
                    }
                    // Judged under policies that came meanwhile. It vouches under those, and the child is judged under these.
                    let why = format!("policies changed while index {}, which lists it, was judged", parent.digest);
                    let reason = UndecidedReason::EvidenceUnavailable(why);
                    none.undecided = Some(Undecided { reason, retry_after: RETRY });
                }
                Ok(Verdict::Admit(_)) => {}
                Ok(Verdict::Refuse(_)) => none.refused.push(parent.digest),
                Err(NoVerdict::Undecided(undecided)) => none.undecided = Some(undecided),
                // An index that is gone or broken vouches for nothing.
                Err(NoVerdict::Absent(_) | NoVerdict::CredentialsRefused(_) | NoVerdict::Faulty(_)) => {}
            }
        }
        Parentage::Unvouched(none)
    }

    /// The indexes of this repository that list `digest`, as far as is known: those that were served here, or all of a layout.
    async fn listers(&self, digest: &Digest) -> Vec<Digest> {
        let Subject { upstream, image, .. } = &self.subject;
        let mut known = self.gate.lineage.listers(HintKind::Child, image, digest).await;
        for parent in upstream.parents(&image.repository, digest).await {
            if !known.contains(&parent) {
                known.push(parent);
            }
        }
        known.truncate(MAX_PARENTS);
        known
    }

    /// Whether the subject, for which nothing else speaks, is denied with an index above it (D4).
    pub(super) async fn denied_above(&self, unvouched: &Unvouched) -> Option<DeniedAbove> {
        let reason = self.denied_ancestor(&unvouched.listers).await?;
        Some(unvouched.undecided.clone().map_or(DeniedAbove::Denied(reason), DeniedAbove::Unsure))
    }

    /// Why an index above the subject is denied. What lists what is enough to know: an index between them that is gone, or cannot be
    /// had, was listed all the same.
    async fn denied_ancestor(&self, listers: &[Digest]) -> Option<Arc<str>> {
        let deny = &self.selection.deny;
        if !deny.has_digests() {
            return None;
        }
        let of = |index: &Digest, below: &str| format!(" (of index {}, which lists it){below}", index.short());
        let mut seen: HashSet<Digest> = listers.iter().copied().collect();
        let mut level: Vec<(Digest, String)> = listers.iter().map(|index| (*index, of(index, ""))).collect();
        for _ in 0..MAX_DEPTH {
            if let Some((reason, way)) = level.iter().find_map(|(index, way)| Some((deny.digest(index)?, way))) {
                return Some(format!("{reason}{way}").into());
            }
            let mut above = Vec::new();
            for (digest, way) in level {
                let new = self.listers(&digest).await.into_iter().filter(|index| seen.insert(*index));
                above.extend(new.map(|index| (index, of(&index, &way))));
            }
            level = above;
        }
        None
    }

    /// Whether an index that lists the subject is remembered as admitted.
    pub(super) async fn has_parent(&self) -> bool {
        let known = self.gate.lineage.listers(HintKind::Child, &self.subject.image, &self.subject.digest).await;
        self.recall_parent(&known).is_some()
    }

    fn recall_parent(&self, known: &[Digest]) -> Option<Permit> {
        let Subject { image, digest, .. } = &self.subject;
        let now = Instant::now();
        known.iter().find_map(|parent| {
            let permit = self.gate.memory.permit(Asked { image, digest: parent }, &self.basis, now)?.whole()?;
            vouches(&permit, digest).then_some(permit)
        })
    }
}

/// Whether `parent`, which is admitted, vouches for `child`: it is an index that lists it, and was not admitted merely as
/// evidence, which anyone who can push can make.
fn vouches(parent: &Permit, child: &Digest) -> bool {
    parent.manifest().kind() == ManifestKind::Index && *parent.grounds() != Grounds::Evidence && parent.manifest().lists(child)
}
