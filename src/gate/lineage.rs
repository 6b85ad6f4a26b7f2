//! Which admitted manifest lists what: children of indexes, blobs of images. Pointers to follow, never proof: whoever
//! follows one recalls or derives the lister's verdict again, and reads in its bytes that it lists what was asked for.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use quick_cache::sync::Cache;
use tokio::{sync::Mutex, time::Instant};

use super::{
    memory::{Asked, Name},
    verdict::{Grounds, Permit},
};
use crate::{
    oci::{Digest, ImageName, ManifestKind},
    store::{Documents, HintKind},
};

/// How many listers of one digest are remembered, latest first.
const MAX_LISTERS: usize = 16;
/// How many admitted indexes of a repository are remembered, latest first.
const MAX_ROOTS: usize = 32;
/// How many digests' listers are kept in memory, of each kind; about 10 MiB when full.
const IN_MEMORY: usize = 50_000;
/// How many hints are written or read at once.
const AT_ONCE: usize = 8;
/// How large a hint may be to be read.
const MAX_HINT: usize = 16 * 1024;
/// For how long an index whose children were all read is not read again for a blob nobody lists.
const EXPANDED: Duration = Duration::from_secs(600);

/// A digest of an image, hashed with a key nobody knows. Two in one place would cost a look at the wrong lister, whose bytes
/// say so; the names themselves would be most of what a pointer takes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place(u64);

/// Pointers from digests to the manifests that list them, per image name (a blob of one repository is not one of
/// another, X13), in memory and as hints in the store.
#[derive(Debug)]
pub(super) struct Lineage {
    documents: Arc<dyn Documents>,
    blobs: Cache<Place, Arc<[Digest]>>,
    children: Cache<Place, Arc<[Digest]>>,
    expanded: Cache<Name, Instant>,
    /// One writer per hint at a time, so that two images that share a layer are both remembered.
    writers: [Mutex<()>; 64],
    hasher: RandomState,
}

impl Lineage {
    pub(super) fn new(documents: Arc<dyn Documents>) -> Self {
        Self {
            documents,
            blobs: Cache::new(IN_MEMORY),
            children: Cache::new(IN_MEMORY),
            expanded: Cache::new(1_000),
            writers: [const { Mutex::const_new(()) }; 64],
            hasher: RandomState::new(),
        }
    }

    /// Remembers what an admitted manifest lists, before its permit is answered: the client's next request is for it.
    pub(super) async fn record(&self, permit: &Permit) {
        let manifest = permit.manifest();
        let (kind, listed): (_, Vec<Digest>) = match manifest.kind() {
            // An index of evidence vouches for nothing: each of its children must be evidence itself (D9).
            ManifestKind::Index if *permit.grounds() == Grounds::Evidence => return,
            ManifestKind::Index => (HintKind::Child, manifest.manifests.iter().map(|child| child.digest).collect()),
            ManifestKind::Image => (HintKind::Blob, manifest.blobs().map(|blob| blob.digest).collect()),
        };
        if kind == HintKind::Child {
            self.add(HintKind::Roots, &permit.image().to_string(), *manifest.digest(), MAX_ROOTS).await;
        }
        stream::iter(listed)
            .for_each_concurrent(AT_ONCE, |digest| async move {
                self.note(kind, permit.image(), digest, *manifest.digest()).await;
            })
            .await;
    }

    async fn note(&self, kind: HintKind, image: &ImageName, listed: Digest, lister: Digest) {
        let Some(cache) = self.cache(kind) else { return };
        let place = self.place(image, &listed);
        let known = cache.get(&place);
        if known.is_some_and(|known| known.contains(&lister)) {
            return;
        }
        let listers = self.add(kind, &format!("{image}@{listed}"), lister, MAX_LISTERS).await;
        cache.insert(place, listers.into());
    }

    /// Puts `digest` first in the list that the hint `key` holds.
    async fn add(&self, kind: HintKind, key: &str, digest: Digest, most: usize) -> Vec<Digest> {
        let at = usize::try_from(self.hasher.hash_one(key) % self.writers.len() as u64).unwrap_or_default();
        let _writing = self.writers[at].lock().await;
        let mut list = self.read(kind, key).await;
        if list.first() != Some(&digest) {
            list.retain(|known| *known != digest);
            list.insert(0, digest);
            list.truncate(most);
            let written = match serde_json::to_vec(&list) {
                Ok(json) => self.documents.set_hint(kind, key, &json).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = written {
                tracing::warn!(key, %error, "lineage is not kept; a restart will ask for the manifest again");
            }
        }
        list
    }

    async fn read(&self, kind: HintKind, key: &str) -> Vec<Digest> {
        let hint = self.documents.hint(kind, key).await.filter(|bytes| bytes.len() <= MAX_HINT);
        hint.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// The manifests said to list `digest`: from memory, else from the store's hint.
    pub(super) async fn listers(&self, kind: HintKind, image: &ImageName, digest: &Digest) -> Vec<Digest> {
        let Some(cache) = self.cache(kind) else { return Vec::new() };
        let place = self.place(image, digest);
        if let Some(known) = cache.get(&place) {
            return known.to_vec();
        }
        let mut listers = self.read(kind, &format!("{image}@{digest}")).await;
        listers.truncate(MAX_LISTERS);
        if !listers.is_empty() {
            cache.insert(place, listers.clone().into());
        }
        listers
    }

    /// Indexes once admitted in the repository, latest first.
    pub(super) async fn roots(&self, image: &ImageName) -> Vec<Digest> {
        let mut roots = self.read(HintKind::Roots, &image.to_string()).await;
        roots.truncate(MAX_ROOTS);
        roots
    }

    /// Whether the children of an index were all read lately, so that what they list is known.
    pub(super) fn is_expanded(&self, image: &ImageName, index: &Digest) -> bool {
        self.expanded.get(&Asked { image, digest: index }).is_some_and(|at| at.elapsed() < EXPANDED)
    }

    /// Says so.
    pub(super) fn set_expanded(&self, image: &ImageName, index: &Digest) {
        self.expanded.insert(Name { image: image.clone(), digest: *index }, Instant::now());
    }

    fn place(&self, image: &ImageName, digest: &Digest) -> Place {
        Place(self.hasher.hash_one(Asked { image, digest }))
    }

    const fn cache(&self, kind: HintKind) -> Option<&Cache<Place, Arc<[Digest]>>> {
        match kind {
            HintKind::Blob => Some(&self.blobs),
            HintKind::Child => Some(&self.children),
            HintKind::Evidence | HintKind::Roots | HintKind::Tag => None,
        }
    }
}
