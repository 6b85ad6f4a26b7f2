//! The search: every place at once, then the manifests listed there, then their layers; bounded, and traced.

mod manifests;

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use self::manifests::{Wanted, read_manifests};
use super::{
    Candidate, Evidence, Found, Limits, Look, Origin, Piece, cosign,
    reader::{Reader, Unread, late},
    referrers,
};
use crate::{
    oci::{Descriptor, Digest, Reference, Tag},
    upstream::{ReferrersAnswer, Upstream},
};

/// Documents read at the same time in one search.
const AT_ONCE: usize = 16;
/// How long one place may take to answer, so that a silent one leaves time for what the others said.
const LOOK: Duration = Duration::from_secs(10);

/// Everything published about the manifest that `names` name: its digest, and where that is not SHA-256, its SHA-256
/// digest too, since evidence may have been attached by either.
///
/// Three round trips: the places, the manifests listed there, their layers. Never fails: what could not be had is in
/// [`Evidence::missing`]. `reader` must have an upstream; without one nothing is found.
pub async fn search(reader: &Reader, names: &[Digest], limits: &Limits) -> Evidence {
    let mut evidence = Evidence::default();
    let Some(upstream) = reader.upstream.clone() else {
        evidence.missing.push("no upstream to ask".into());
        return evidence;
    };
    let mut listed: Vec<Listing> = Vec::new();
    for name in names {
        let upstream = upstream.as_ref();
        let tag = |origin, tag: Option<Tag>| look_at_tag(upstream, reader, origin, tag, limits);
        let (api, index, signature, attestation) = tokio::join!(
            look_at_api(upstream, reader, name, limits),
            tag(Origin::ReferrersTag, Some(Tag::referrers_of(name))),
            tag(Origin::CosignSignatureTag, Tag::cosign(name, "sig")),
            tag(Origin::CosignAttestationTag, Tag::cosign(name, "att")),
        );
        if api.origin == Origin::BundleFile {
            // In place of the others, which nobody asked.
            listed.push(api);
        } else {
            listed.extend([signature, attestation, api, index]);
        }
    }
    let mut entries = Vec::new();
    for listing in &mut listed {
        evidence.missing.append(&mut listing.missing);
        evidence.limits_hit.append(&mut listing.limits_hit);
        evidence.set_aside.append(&mut listing.set_aside);
        evidence.retry_after = evidence.retry_after.max(listing.retry_after);
        entries.append(&mut listing.entries);
    }
    // Bundles first, whatever place they were found in; a stable sort keeps the rest in order of finding (X3).
    entries.sort_by_key(|entry| !entry.first);
    let mut seen = HashSet::new();
    entries.retain(|entry| seen.insert(entry.candidate.manifest));
    if entries.len() > limits.candidates {
        evidence.limits_hit.push(too_many(limits));
        entries.truncate(limits.candidates);
    }
    read(reader, entries, limits, &mut evidence).await;
    for listing in listed {
        let found = match listing.found {
            Found::Pieces { listed, .. } => {
                let kept = evidence.pieces.iter().filter(|piece| piece.origin == listing.origin).count();
                Found::Pieces { listed, kept }
            }
            other @ (Found::Absent | Found::Failed(_) | Found::NoApi) => other,
        };
        evidence.trace.push(Look { origin: listing.origin, found, took: listing.took });
    }
    evidence.trace.sort_by_key(|look| look.origin);
    evidence
}

/// The same from what was listed before: `candidates`, read with `reader`, which may have no upstream.
pub async fn collect(reader: &Reader, candidates: &[Candidate], limits: &Limits) -> Evidence {
    let mut evidence = Evidence::default();
    if candidates.len() > limits.candidates {
        evidence.limits_hit.push(too_many(limits));
    }
    let entries = candidates.iter().take(limits.candidates).map(|candidate| Entry {
        candidate: *candidate,
        first: false,
        size: None,
        manifest: None,
    });
    read(reader, entries.collect(), limits, &mut evidence).await;
    evidence
}

/// How many more nobody knows: of a long listing no more is taken than shows that it is too long.
fn too_many(limits: &Limits) -> String {
    format!("more than {0} candidates are listed, {0} were read (limits.evidence.candidates)", limits.candidates)
}

/// A candidate on its way through the search.
struct Entry {
    candidate: Candidate,
    /// To be read before others.
    first: bool,
    /// What it weighs, as far as that is known. A listing may say anything: no more is read.
    size: Option<u64>,
    /// Its bytes, where the look already had them, and their Content-Type.
    manifest: Option<(Bytes, Option<String>)>,
}

/// What one place lists.
struct Listing {
    origin: Origin,
    entries: Vec<Entry>,
    found: Found,
    took: Duration,
    missing: Vec<String>,
    limits_hit: Vec<String>,
    set_aside: Vec<String>,
    retry_after: Option<Duration>,
}

impl Listing {
    const fn new(origin: Origin) -> Self {
        Self {
            origin,
            entries: Vec::new(),
            found: Found::Absent,
            took: Duration::ZERO,
            missing: Vec::new(),
            limits_hit: Vec::new(),
            set_aside: Vec::new(),
            retry_after: None,
        }
    }

    fn list(&mut self, descriptors: Vec<Descriptor>) {
        self.entries.extend(descriptors.into_iter().map(|descriptor| Entry {
            first: referrers::says_bundle(&descriptor),
            candidate: Candidate { origin: self.origin, manifest: descriptor.digest },
            size: Some(descriptor.size),
            manifest: None,
        }));
    }

    fn failed(&mut self, unread: &Unread) {
        let place = self.origin.as_str();
        match unread {
            Unread::Absent => self.found = Found::Absent,
            Unread::Failed { why, retry_after } => {
                self.found = Found::Failed(why.clone());
                self.missing.push(format!("{place}: {why}"));
                self.retry_after = *retry_after;
            }
            Unread::Limit(why) => {
                self.found = Found::Failed(why.clone());
                self.limits_hit.push(format!("{place}: {why}"));
            }
            Unread::Unusable(why) => {
                self.found = Found::Pieces { listed: 0, kept: 0 };
                self.set_aside.push(format!("{place}: {why}"));
            }
        }
    }
}

/// The referrers API, page by page.
async fn look_at_api(upstream: &dyn Upstream, reader: &Reader, subject: &Digest, limits: &Limits) -> Listing {
    let began = Instant::now();
    let mut listing = Listing::new(Origin::ReferrersApi);
    let mut listed = 0;
    let mut next: Option<String> = None;
    for page in 0.. {
        if page == limits.pages {
            listing
                .limits_hit
                .push(format!("the referrers listing has more than {} pages (limits.evidence.pages)", limits.pages));
            break;
        }
        let ask = upstream.referrers(&reader.repository, subject, next.as_deref());
        let answer = match timeout_at(reader.until.min(began + LOOK), ask).await {
            Ok(answer) => answer,
            Err(_) => {
                listing.failed(&late());
                break;
            }
        };
        let (bytes, following) = match answer {
            Ok(ReferrersAnswer::Given(bytes)) => {
                listing.origin = Origin::BundleFile;
                (bytes, None)
            }
            Ok(ReferrersAnswer::NoApi) if page == 0 => {
                listing.found = Found::NoApi;
                break;
            }
            Ok(ReferrersAnswer::NoApi) => {
                listing.failed(&Unread::Failed { why: "a page of the listing is gone".into(), retry_after: None });
                break;
            }
            Ok(ReferrersAnswer::Page(answer)) => (answer.bytes, answer.next),
            // The API's own 404 is `NoApi`; a repository that is not there has no referrers.
            Err(error) => {
                listing.failed(&error.into());
                break;
            }
        };
        match referrers::entries(&bytes, limits.candidates + 1) {
            Ok(entries) => {
                listed += entries.listed;
                listing.list(entries.descriptors);
                listing.found = Found::Pieces { listed, kept: 0 };
            }
            // The API answered with what is no listing: the upstream's fault, so it could not be told.
            Err(why) => {
                listing.failed(&Unread::Failed { why: format!("the listing is wrong: {why}"), retry_after: None });
                break;
            }
        }
        // A page that names itself as the next would go on for ever; the page bound ends it all the same.
        if following.is_none() || following == next {
            break;
        }
        next = following;
    }
    listing.took = began.elapsed();
    listing
}

/// A tag: an index of referrers, or cosign's manifest itself.
async fn look_at_tag(upstream: &dyn Upstream, reader: &Reader, origin: Origin, tag: Option<Tag>, limits: &Limits) -> Listing {
    let began = Instant::now();
    let mut listing = Listing::new(origin);
    // cosign's tag of a SHA-512 digest would be longer than a tag may be: there cannot be one.
    let Some(tag) = tag else {
        return listing;
    };
    let reference = Reference::Tag(tag);
    let ask = upstream.manifest(&reader.repository, &reference);
    let answer = match timeout_at(reader.until.min(began + LOOK), ask).await {
        Ok(answer) => answer.map_err(Unread::from),
        Err(_) => Err(late()),
    };
    match answer {
        Ok(fetched) if origin == Origin::ReferrersTag => match referrers::entries(&fetched.bytes, limits.candidates + 1) {
            Ok(entries) => {
                listing.found = Found::Pieces { listed: entries.listed, kept: 0 };
                listing.list(entries.descriptors);
            }
            // Somebody pushed something else under the tag: content, authoritative, that lists nothing (X14).
            Err(why) => listing.failed(&Unread::Unusable(why)),
        },
        Ok(fetched) => {
            // The upstream found this digest; it is computed again, since everything found is kept under it.
            let manifest = Digest::of(fetched.digest.algorithm(), &fetched.bytes);
            listing.found = Found::Pieces { listed: 1, kept: 0 };
            listing.entries.push(Entry {
                candidate: Candidate { origin, manifest },
                first: true,
                size: Some(fetched.bytes.len() as u64),
                manifest: Some((fetched.bytes, fetched.content_type)),
            });
        }
        Err(unread) => listing.failed(&unread),
    }
    listing.took = began.elapsed();
    listing
}

/// Reads the candidates' manifests, then the layers that may be evidence.
async fn read(reader: &Reader, entries: Vec<Entry>, limits: &Limits, evidence: &mut Evidence) {
    let mut total = 0_u64;
    let wanted = read_manifests(reader, entries, limits, evidence, &mut total).await;
    if wanted.is_empty() {
        return;
    }
    // Taken once for all of them, and before any is read: who holds a share waits for nothing.
    let sizes: Vec<u64> = wanted.iter().map(|wanted| wanted.layer.size).collect();
    evidence.share = reader.budget.take_for(&sizes, total.saturating_sub(sizes.iter().sum()), reader.until).await;
    if evidence.share.is_none() {
        evidence.missing.push("too much evidence is being read at once".into());
        return;
    }
    let mut pieces = stream::iter(wanted.into_iter().map(|Wanted { candidate, form, layer }| {
        let (reader, limit) = (reader.clone(), form.limit(limits));
        async move {
            let bytes = reader.blob(&layer.digest, layer.size, limit).await;
            (candidate, form, layer, bytes)
        }
    }))
    .buffered(AT_ONCE);
    while let Some((candidate, form, layer, bytes)) = pieces.next().await {
        match bytes {
            Ok(read) => {
                if let (Some(share), Some(more)) = (&mut evidence.share, read.share) {
                    share.join(more);
                }
                if read.fresh {
                    evidence.fetched.push((layer.digest, read.document.clone()));
                }
                match cosign::content(form, &layer, read.document) {
                    Ok(content) => evidence.pieces.push(Piece {
                        origin: candidate.origin,
                        manifest: candidate.manifest,
                        layer: layer.digest,
                        content,
                    }),
                    Err(why) => evidence.set_aside.push(format!("{}: {why}", place(candidate))),
                }
            }
            Err(unread) => set_aside(evidence, candidate, &unread),
        }
    }
}

fn set_aside(evidence: &mut Evidence, candidate: Candidate, unread: &Unread) {
    let place = place(candidate);
    match unread {
        // Listed, and authoritatively gone: a stale fallback index, after a deletion.
        Unread::Absent => evidence.set_aside.push(format!("{place}: listed, but not there")),
        Unread::Failed { why, retry_after } => {
            evidence.missing.push(format!("{place}: {why}"));
            evidence.retry_after = evidence.retry_after.max(*retry_after);
        }
        Unread::Limit(why) => evidence.limits_hit.push(format!("{place}: {why}")),
        Unread::Unusable(why) => evidence.set_aside.push(format!("{place}: {why}")),
    }
}

fn place(candidate: Candidate) -> String {
    format!("{} {}", candidate.origin.as_str(), candidate.manifest.short())
}
