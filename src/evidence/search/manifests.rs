//! The candidates' manifests: read, each as far as its listing says that it goes, and let go of where they carry no evidence.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt as _, stream};

use super::{
    super::{
        Candidate, Evidence, Limits, cosign,
        reader::{Read, Reader, Unread},
    },
    AT_ONCE, Entry, place, set_aside,
};
use crate::oci::{Descriptor, Manifest, manifest::MAX_MANIFEST};

/// What the candidates' manifests may weigh together, those that are held and those on their way. cosign's have a kilobyte; this is
/// for who pushes a hundred of four megabytes, which are held before the search has its share of the budget (A9).
const MAX_MANIFESTS: u64 = 8 << 20;
/// Bytes of a manifest that are read whatever its listing says of its size.
const ANY_MANIFEST: u64 = 64 << 10;

/// What a candidate's manifest is once it is read.
enum Carrier {
    /// One with layers that may be evidence, and whether it came from the upstream now.
    Held(Box<Manifest>, bool),
    /// No layer of it can be.
    Empty,
    /// Those that are held weigh too much already.
    Beyond,
}

impl Carrier {
    /// Lets go of what is not needed or too much; `held` is what the others weigh.
    fn of(read: Read<Manifest>, held: &AtomicU64) -> Self {
        let Read { document: manifest, fresh, .. } = read;
        if cosign::layers(&manifest).next().is_none() {
            return Self::Empty;
        }
        let size = manifest.bytes().len() as u64;
        if held.fetch_add(size, Ordering::Relaxed) + size > MAX_MANIFESTS {
            Self::Beyond
        } else {
            Self::Held(manifest.into(), fresh)
        }
    }
}

/// A layer to be read.
pub(super) struct Wanted {
    pub(super) candidate: Candidate,
    pub(super) form: cosign::Form,
    pub(super) layer: Descriptor,
}

/// Reads the candidates' manifests and picks the layers that may be evidence. A manifest that shows it carries none is
/// let go at once; `total` counts the bytes of the others and of their layers.
pub(super) async fn read_manifests(
    reader: &Reader,
    entries: Vec<Entry>,
    limits: &Limits,
    evidence: &mut Evidence,
    total: &mut u64,
) -> Vec<Wanted> {
    let held = &AtomicU64::new(0);
    // `Err` is one for which there is no room now.
    let read = |entry: Entry| {
        let reader = reader.clone();
        async move {
            let (digest, size) = (entry.candidate.manifest, entry.size.unwrap_or_default());
            if held.fetch_add(size, Ordering::Relaxed).saturating_add(size) > MAX_MANIFESTS {
                held.fetch_sub(size, Ordering::Relaxed);
                return Err(entry);
            }
            let limit = entry.size.map_or(MAX_MANIFEST, |size| usize::try_from(size.max(ANY_MANIFEST)).unwrap_or(MAX_MANIFEST));
            let manifest = match entry.manifest {
                Some((bytes, content_type)) => Manifest::parse(digest, bytes, content_type.as_deref())
                    .map(|manifest| Read { document: manifest, fresh: true, share: None })
                    .map_err(|error| Unread::Unusable(error.to_string())),
                None => reader.manifest_within(&digest, limit).await,
            };
            held.fetch_sub(size, Ordering::Relaxed);
            // Here, and not once those before it are there: up to then it is held.
            Ok((entry.candidate, manifest.map(|read| Carrier::of(read, held))))
        }
    };
    let mut picked = Picked { wanted: Vec::new(), total, limits, evidence };
    let (mut later, mut first) = (Vec::new(), stream::iter(entries.into_iter().map(read)).buffered(AT_ONCE));
    while let Some(read) = first.next().await {
        match read {
            Ok((candidate, manifest)) => picked.take(candidate, manifest),
            Err(entry) => later.push(entry),
        }
    }
    // What others took that are let go of by now.
    for entry in later {
        let candidate = entry.candidate;
        let (candidate, manifest) = read(entry).await.unwrap_or((candidate, Ok(Carrier::Beyond)));
        picked.take(candidate, manifest);
    }
    picked.wanted
}

/// The layers that may be evidence, of the manifests looked at so far.
struct Picked<'s> {
    wanted: Vec<Wanted>,
    total: &'s mut u64,
    limits: &'s Limits,
    evidence: &'s mut Evidence,
}

impl Picked<'_> {
    fn take(&mut self, candidate: Candidate, manifest: Result<Carrier, Unread>) {
        let (evidence, limits) = (&mut *self.evidence, self.limits);
        let (manifest, fresh) = match manifest {
            Ok(Carrier::Held(manifest, fresh)) => (manifest, fresh),
            Ok(Carrier::Empty) => {
                evidence.set_aside.push(format!("{}: no layer of it can be evidence", place(candidate)));
                return;
            }
            Ok(Carrier::Beyond) => {
                evidence.limits_hit.push(format!("{}: more than {MAX_MANIFESTS} bytes of manifests in all", place(candidate)));
                return;
            }
            Err(unread) => return set_aside(evidence, candidate, &unread),
        };
        let mut within = |size: u64| {
            let after = self.total.saturating_add(size);
            let fits = after <= limits.total_bytes;
            if fits {
                *self.total = after;
            }
            fits
        };
        let most = limits.total_bytes;
        if !within(manifest.bytes().len() as u64) {
            evidence
                .limits_hit
                .push(format!("{}: more than {most} bytes of evidence in all (limits.evidence.total_size)", place(candidate)));
            return;
        }
        evidence.candidates.push(candidate);
        if fresh {
            evidence.fetched.push((candidate.manifest, manifest.bytes().clone().into()));
        }
        for (form, layer) in cosign::layers(&manifest) {
            if self.wanted.len() == limits.candidates {
                let most = limits.candidates;
                evidence.limits_hit.push(format!(
                    "{}: more than {most} pieces, the rest is not read (limits.evidence.candidates)",
                    place(candidate)
                ));
                break;
            }
            if layer.size > form.limit(limits) {
                let (size, most, key) = (layer.size, form.limit(limits), form.limit_key());
                evidence.oversized = true;
                evidence
                    .limits_hit
                    .push(format!("{}: a layer of {size} bytes, at most {most} are read ({key})", place(candidate)));
            } else if !within(layer.size) {
                evidence.limits_hit.push(format!(
                    "{}: more than {most} bytes of evidence in all (limits.evidence.total_size)",
                    place(candidate)
                ));
            } else {
                self.wanted.push(Wanted { candidate, form, layer: layer.clone() });
            }
        }
    }
}
