//! Whether a blob may be served: an admitted manifest of the same repository lists it, and nothing else will do.

use std::{collections::VecDeque, sync::Arc};

use super::{
    BlobVerdict, Gate,
    verdict::{NoVerdict, Permit, Refusal, RefusalReason, Subject, Verdict},
};
use crate::{
    oci::{Digest, ImageName, Manifest, ManifestKind, manifest::MAX_MANIFEST},
    store::HintKind,
    telemetry,
    upstream::Upstream,
};

/// How deep indexes may nest (X1).
const MAX_DEPTH: usize = 3;
/// How many manifests are read to find who lists one blob (X1).
const MAX_NODES: usize = 1_000;

impl Gate {
    /// Whether `blob` may be served from `image`: as what an admitted manifest of this repository lists, found in
    /// memory, by the store's hints, by what the upstream knows, or by reading the admitted indexes' children (X17);
    /// or as itself an admitted manifest.
    ///
    /// # Errors
    /// [`NoVerdict::Undecided`] when a manifest that may list it could not be judged.
    pub async fn admit_blob(
        self: &Arc<Self>,
        upstream: &Arc<dyn Upstream>,
        image: &ImageName,
        blob: &Digest,
    ) -> Result<BlobVerdict, NoVerdict> {
        // Before all lineage: whoever lists it, it is denied.
        if let Some(refusal) = self.denied_blob(image, blob) {
            return Ok(BlobVerdict::Denied(refusal));
        }
        let found = self.find_lister(upstream, image, blob).await;
        // And after it: judging who lists it takes up to a deadline, and what was denied meanwhile is not served after all (D4).
        self.denied_blob(image, blob).map_or(found, |refusal| Ok(BlobVerdict::Denied(refusal)))
    }

    /// The refusal of a blob that is denied, by the name it is asked for or by its other one where that is known.
    #[must_use]
    pub fn denied_blob(&self, image: &ImageName, blob: &Digest) -> Option<Arc<Refusal>> {
        let policies = self.policies.load();
        let deny = policies.deny();
        let by_other_name = || deny.digest(&self.other_name(blob, deny)?);
        deny.digest(blob).or_else(by_other_name).map(|reason| self.denied(image, *blob, reason))
    }

    /// Who is admitted and lists `blob`.
    async fn find_lister(
        self: &Arc<Self>,
        upstream: &Arc<dyn Upstream>,
        image: &ImageName,
        blob: &Digest,
    ) -> Result<BlobVerdict, NoVerdict> {
        let of = |digest: Digest| Subject { upstream: Arc::clone(upstream), image: image.clone(), digest };
        let mut unsure = None;
        let mut tried = Vec::new();

        let known = self.lineage.listers(HintKind::Blob, image, blob).await;
        // Remembered permits first: the common case does no work at all.
        for lister in &known {
            if let Some(listed) = self.recall(&of(*lister)).and_then(|permit| listed_by(permit, blob)) {
                return Ok(listed);
            }
        }
        for lister in known {
            if let Some(listed) = self.try_lister(of(lister), blob, &mut unsure).await {
                return Ok(listed);
            }
            tried.push(lister);
        }
        for lister in upstream.manifests_listing(&image.repository, blob).await {
            if tried.contains(&lister) || tried.len() >= MAX_NODES {
                continue;
            }
            if let Some(listed) = self.try_lister(of(lister), blob, &mut unsure).await {
                return Ok(listed);
            }
            tried.push(lister);
        }
        // Only what is kept here is considered: a client that asks for any digest under `/blobs/` (containerd does, after
        // a 404 for the manifest) must not make us fetch and judge it.
        if let Some(bytes) = self.documents.read(blob, MAX_MANIFEST).await
            && Manifest::parse(*blob, bytes, None).is_ok()
        {
            match self.admit(&of(*blob)).await {
                Ok(Verdict::Admit(permit)) => return Ok(BlobVerdict::Manifest(permit)),
                Ok(Verdict::Refuse(_)) => return Ok(BlobVerdict::Unlisted),
                Err(why) => unsure = unsure.or(undecided(why)),
            }
        }
        for root in self.lineage.roots(image).await {
            if let Some(listed) = self.search_below(of(root), blob, &mut unsure).await {
                return Ok(listed);
            }
        }
        unsure.map_or(Ok(BlobVerdict::Unlisted), Err)
    }

    /// The refusal of a denied digest, told and counted.
    pub(super) fn denied(&self, image: &ImageName, digest: Digest, reason: &Arc<str>) -> Arc<Refusal> {
        metrics::counter!(telemetry::DENIED, "by" => "digest").increment(1);
        let explanation = Arc::default();
        Arc::new(Refusal { image: image.clone(), digest, reason: RefusalReason::Denied(Arc::clone(reason)), explanation })
    }

    /// Whether `lister` is admitted and lists `blob`.
    async fn try_lister(self: &Arc<Self>, lister: Subject, blob: &Digest, unsure: &mut Option<NoVerdict>) -> Option<BlobVerdict> {
        match self.admit(&lister).await {
            Ok(Verdict::Admit(permit)) => listed_by(permit, blob),
            Ok(Verdict::Refuse(_)) => None,
            Err(why) => {
                *unsure = unsure.take().or(undecided(why));
                None
            }
        }
    }

    /// Reads the manifests below an admitted index until one lists `blob`. What is read is remembered, so it is read once.
    async fn search_below(self: &Arc<Self>, root: Subject, blob: &Digest, unsure: &mut Option<NoVerdict>) -> Option<BlobVerdict> {
        if self.lineage.is_expanded(&root.image, &root.digest) {
            return None;
        }
        let mut whole = true;
        let mut found = None;
        let mut queue = VecDeque::from([(root.digest, 0)]);
        let mut seen = vec![root.digest];
        while let Some((digest, depth)) = queue.pop_front() {
            let permit = match self.admit(&Subject { digest, ..root.clone() }).await {
                Ok(Verdict::Admit(permit)) => permit,
                // An index that is refused now may be admitted in ten seconds, and its children were not read: it must not
                // count as read until then.
                Ok(Verdict::Refuse(_)) | Err(NoVerdict::Absent(_)) if digest == root.digest => return None,
                // A child that is refused, or not there, lists nothing; if it is pulled one day, that is remembered then.
                Ok(Verdict::Refuse(_)) | Err(NoVerdict::Absent(_)) => continue,
                Err(why) => {
                    whole = false;
                    *unsure = unsure.take().or(undecided(why));
                    continue;
                }
            };
            match permit.manifest().kind() {
                ManifestKind::Image => {
                    found = listed_by(permit, blob);
                    if found.is_some() {
                        whole = queue.is_empty() && whole;
                        break;
                    }
                }
                ManifestKind::Index if depth < MAX_DEPTH => {
                    for child in &permit.manifest().manifests {
                        if seen.len() < MAX_NODES && !seen.contains(&child.digest) {
                            seen.push(child.digest);
                            queue.push_back((child.digest, depth + 1));
                        }
                    }
                }
                ManifestKind::Index => {}
            }
        }
        if whole {
            self.lineage.set_expanded(&root.image, &root.digest);
        }
        found
    }
}

/// What `permit`'s manifest says of `blob`, in its own bytes.
fn listed_by(permit: Permit, blob: &Digest) -> Option<BlobVerdict> {
    let size = permit.manifest().blobs().find(|listed| listed.digest == *blob)?.size;
    Some(BlobVerdict::Listed { permit, size })
}

/// Only not knowing leaves the answer open: a lister that is gone, or whose bytes are wrong, lists nothing.
fn undecided(why: NoVerdict) -> Option<NoVerdict> {
    match why {
        NoVerdict::Undecided(_) => Some(why),
        NoVerdict::Absent(_) | NoVerdict::CredentialsRefused(_) | NoVerdict::Faulty(_) => None,
    }
}
