//! An SBOM of each platform: where a policy wants it, the evidence about an index's children is searched as the index's own
//! is, and the policies are asked again.
//!
//! A child at a time is weighed, together with what is proven about the index: a policy holds for the index if it holds with
//! each of them. So however many platforms there are, a few searches' evidence is in memory and no more (A9).

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

use super::{Got, Judgement, RETRY};
use crate::{
    evidence::{Evidence, Kept, search},
    gate::{sentence::warning, verdict::UndecidedReason, weigh::Scales},
    oci::{Algorithm, Descriptor, Digest, Manifest, ManifestKind, media_type},
    policy::{MAX_PLATFORMS, PlatformFacts},
    telemetry,
    verify::Verifier,
};

/// Children looked at at once: each asks four places.
const AT_ONCE: usize = 4;
/// What an attestation manifest of BuildKit says of itself.
const REFERENCE_TYPE: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");
/// The platform of what does not run.
const NOTHING_THAT_RUNS: &str = "unknown/unknown";

/// What looking at the platforms came to, beside what the scales say now.
#[derive(Debug)]
pub(super) struct Platforms {
    /// Why a requirement that is unmet might be met after all.
    pub(super) cannot_tell: Option<(UndecidedReason, Duration)>,
    /// Why what audit policies say might be otherwise.
    pub(super) doubt: Option<UndecidedReason>,
    /// How long a permit on it may live.
    pub(super) life: Duration,
    /// `Warning` values: something was stale.
    pub(super) warnings: Vec<String>,
}

/// A child, weighed.
struct Weighed {
    scales: Scales,
    cannot_tell: Option<(UndecidedReason, Duration)>,
    /// The same, though it suffices.
    doubt: Option<UndecidedReason>,
    life: Duration,
    stale: Option<Duration>,
}

impl Weighed {
    /// Why what audit policies say of one of `children` might be otherwise: unless they would refuse one that was seen.
    fn doubt_of(children: &[Self]) -> Option<UndecidedReason> {
        let certain = |child: &Self| child.doubt.is_none() && !child.scales.audit.is_empty();
        if children.iter().any(certain) { None } else { children.iter().find_map(|child| child.doubt.clone()) }
    }
}

impl Judgement {
    /// Looks at the platforms of `got`, if that is all that policies still want, and says on `scales` what they say then.
    pub(super) async fn look_at_platforms(&self, got: &Got, scales: &mut Scales, verifier: &Arc<dyn Verifier>) -> Platforms {
        let mut platforms =
            Platforms { cannot_tell: None, doubt: None, life: self.gate.config.verdict_ttl, warnings: Vec::new() };
        if !scales.wants_platforms() {
            return platforms;
        }
        let children = platforms_of(&got.manifest);
        if children.is_empty() || children.len() > MAX_PLATFORMS {
            // An image is its only platform; of too many, none is looked at, and the refusal says so.
            let unseen = |child: &Descriptor| PlatformFacts { digest: child.digest, platform: name(child), facts: Vec::new() };
            scales.settle(children.iter().map(|child| unseen(child)).collect()).await;
            return platforms;
        }
        let index = &*scales;
        let weighing: Vec<BoxFuture<'_, Weighed>> =
            children.into_iter().map(|child| self.weigh_platform(child, index, verifier).boxed()).collect();
        let mut weighed: Vec<Weighed> = stream::iter(weighing).buffered(AT_ONCE).collect().await;
        for child in &mut weighed {
            child.scales.account().await;
        }
        platforms.life = weighed.iter().map(|child| child.life).min().unwrap_or(platforms.life);
        platforms.doubt = Weighed::doubt_of(&weighed);
        let unsettled = |child: &&Weighed| !child.scales.suffice();
        // One that lacks what it needs, all of it seen, decides, whatever could not be seen of others.
        if weighed.iter().filter(unsettled).all(|child| child.cannot_tell.is_some()) {
            platforms.cannot_tell = weighed.iter().find(unsettled).and_then(|child| child.cannot_tell.clone());
        }
        if let Some(age) = weighed.iter().filter_map(|child| child.stale).max() {
            metrics::counter!(telemetry::STALE, "what" => "evidence").increment(1);
            let text = format!("the upstream cannot be asked; admitted on evidence of platforms listed {} s ago", age.as_secs());
            platforms.warnings.push(warning(110, &text));
        }
        let (certain, uncertain): (Vec<_>, Vec<_>) = weighed.into_iter().partition(|child| child.cannot_tell.is_none());
        scales.take_platforms(certain.into_iter().chain(uncertain).map(|child| child.scales).collect());
        platforms
    }

    async fn weigh_platform(&self, child: &Descriptor, index: &Scales, verifier: &Arc<dyn Verifier>) -> Weighed {
        let (documents, limits) = (self.gate.documents.as_ref(), &self.gate.config.limits);
        let ttl = self.gate.config.verdict_ttl;
        if is_index(&child.media_type) {
            // Its own SBOM would stand for platforms that have none: nobody looks below it.
            let mut scales = index.of_platform(child.digest, name(child));
            scales.rejudge().await;
            scales.refuse_nested(&child.digest);
            return Weighed { scales, cannot_tell: None, doubt: None, life: ttl, stale: None };
        }
        let names = match self.names_of(child).await {
            Ok(names) => names,
            Err(why) => {
                let mut scales = index.of_platform(child.digest, name(child));
                scales.rejudge().await;
                let reason = UndecidedReason::EvidenceUnavailable(why);
                let (cannot_tell, doubt) = (Some((reason.clone(), RETRY)), Some(reason));
                return Weighed { scales, cannot_tell, doubt, life: ttl, stale: None };
            }
        };
        let about = names.first().copied().unwrap_or(child.digest);
        let key = format!("{}@{}", self.subject.image, child.digest);
        let kept = Kept::load(documents, &key).await;
        // As of the index itself: what was listed not long ago holds without asking, but only to admit.
        if let Some(kept) = &kept
            && let Some(age) = kept.age((self.gate.clock)()).filter(|age| *age < ttl)
        {
            let mut scales = index.of_platform(about, name(child));
            let evidence = kept.collect(&self.reader, limits).await;
            scales.add(verifier, &evidence).await;
            scales.rejudge().await;
            if scales.suffice() {
                let doubt = cannot_tell(&evidence, &scales, verifier.as_ref()).map(|(reason, _)| reason);
                return Weighed { scales, cannot_tell: None, doubt, life: ttl - age, stale: None };
            }
        }
        let mut scales = index.of_platform(about, name(child));
        let mut evidence = search(&self.reader, &names, limits).await;
        let listed_at = (self.gate.clock)();
        scales.add(verifier, &evidence).await;
        scales.rejudge().await;
        let listing = Kept::of(&evidence, listed_at, &child.media_type);
        if scales.suffice() {
            listing.save(documents, &key, &evidence).await;
            let doubt = cannot_tell(&evidence, &scales, verifier.as_ref()).map(|(reason, _)| reason);
            return Weighed { scales, cannot_tell: None, doubt, life: ttl, stale: None };
        }
        if evidence.missing.is_empty() {
            if kept.is_some() {
                listing.save_listing(documents, &key).await;
            }
        } else if let Some((age, kept)) = self.within_max_stale(kept.as_ref()) {
            (evidence.pieces, evidence.fetched, evidence.share) = (Vec::new(), Vec::new(), None);
            let mut before = kept.collect(&self.reader, limits).await;
            before.stale = Some(age);
            scales.add(verifier, &before).await;
            if scales.suffice() {
                let doubt = evidence.missing.first().cloned().map(UndecidedReason::EvidenceUnavailable);
                return Weighed { scales, cannot_tell: None, doubt, life: self.stale_life(age), stale: Some(age) };
            }
        }
        let cannot_tell = cannot_tell(&evidence, &scales, verifier.as_ref());
        let doubt = cannot_tell.as_ref().map(|(reason, _)| reason.clone());
        Weighed { scales, cannot_tell, doubt, life: ttl, stale: None }
    }

    /// What a child is called by: its SHA-256 digest first, which evidence is about, and the digest it is listed by.
    async fn names_of(&self, child: &Descriptor) -> Result<Vec<Digest>, String> {
        if child.digest.algorithm() == Algorithm::Sha256 {
            return Ok(vec![child.digest]);
        }
        let read = self.reader.manifest(&child.digest).await.map_err(|unread| format!("platform {}: {unread}", name(child)))?;
        Ok(vec![Digest::sha256(read.document.bytes()), child.digest])
    }
}

/// Why what a child lacks may be there all the same.
pub(super) fn cannot_tell(evidence: &Evidence, scales: &Scales, verifier: &dyn Verifier) -> Option<(UndecidedReason, Duration)> {
    if let Some(why) = evidence.missing.first() {
        return Some((UndecidedReason::EvidenceUnavailable(why.clone()), evidence.retry_after.unwrap_or(RETRY)));
    }
    scales.doubt(verifier)
}

/// The children of an index that can run, each once. BuildKit's attestation manifests are none: they say so, and their platform
/// is unknown. What says so and names a platform can be run by it; what says so and names none that can be read is, for
/// containerd, a candidate for every platform; what says so and is an index can list anything. Whether one is what it says is
/// seen once it is asked for.
#[must_use]
pub fn platforms_of(manifest: &Manifest) -> Vec<&Descriptor> {
    let mut platforms: Vec<&Descriptor> = Vec::new();
    if manifest.kind() == ManifestKind::Index {
        for child in &manifest.manifests {
            let attests = child.annotations.get(REFERENCE_TYPE.0).is_some_and(|value| value == REFERENCE_TYPE.1);
            let exempt = attests && !is_index(&child.media_type) && child.platform.as_deref() == Some(NOTHING_THAT_RUNS);
            if !exempt && platforms.iter().all(|known| known.digest != child.digest) {
                platforms.push(child);
            }
        }
    }
    platforms
}

/// Whether what an index lists under this media type is an index itself.
#[must_use]
pub fn is_index(name: &str) -> bool {
    matches!(name, media_type::OCI_INDEX | media_type::DOCKER_LIST)
}

fn name(child: &Descriptor) -> String {
    child.platform.clone().unwrap_or_else(|| child.digest.short())
}
