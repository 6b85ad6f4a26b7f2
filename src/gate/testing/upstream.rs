//! An upstream with a script: what it has, what it does instead of answering, what it was asked.

#![expect(clippy::disallowed_types, reason = "a poisoned lock here means that the test has failed already")]

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::{World, index_of};
use crate::{
    oci::{Digest, Host, Reference, Repository, Tag},
    upstream::{BlobStream, FetchedManifest, Lost, ReferrersAnswer, ReferrersPage, Resolved, TagsPage, Upstream, UpstreamError},
};

/// What an upstream does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gate) enum Fault {
    Denied,
    Down,
    Hangs,
    Lies,
    Panics,
    Throttles,
}

/// What kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gate) enum Ask {
    Blob,
    ManifestByDigest,
    ManifestByTag,
    Referrers,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By repository and digest: bytes and Content-Type.
    pub(super) manifests: HashMap<(String, Digest), (Bytes, Option<String>)>,
    pub(super) blobs: HashMap<(String, Digest), Bytes>,
    pub(super) tags: HashMap<(String, String), Digest>,
    pub(super) referrers: HashMap<(String, Digest), Vec<Value>>,
    pub(super) parents: HashMap<Digest, Vec<Digest>>,
    /// What it says lists a blob.
    pub(super) listing: HashMap<Digest, Vec<Digest>>,
    pub(super) faults: HashMap<Ask, Fault>,
    /// What cannot be asked about, whatever the rest.
    pub(super) unreachable: HashSet<String>,
    /// Of a listing there is the first page only: the API is not there any more.
    pub(super) loses_pages: bool,
    /// What it lists is given in place of all else.
    pub(super) gives: bool,
    /// Every request, in order.
    pub(super) asked: Vec<(Ask, String)>,
}

#[derive(Debug)]
pub(in crate::gate) struct Fake {
    pub(super) host: Host,
    pub(super) api: bool,
    pub(super) page: usize,
    pub(super) state: Mutex<State>,
    pub(super) delay: Duration,
}

impl Fake {
    /// One that has nothing, and takes its time to say so.
    pub(in crate::gate) fn slow(host: &str, delay: Duration) -> Self {
        Self { host: host.parse().unwrap(), api: true, page: 1_000, state: Mutex::default(), delay }
    }

    pub(in crate::gate) fn asked(&self, ask: Ask) -> usize {
        self.state().asked.iter().filter(|(asked, _)| *asked == ask).count()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn ask(&self, ask: Ask, what: String) -> Result<(), UpstreamError> {
        let fault = {
            let mut state = self.state();
            let fault = state.faults.get(&ask).copied().or_else(|| state.unreachable.contains(&what).then_some(Fault::Down));
            state.asked.push((ask, what));
            fault
        };
        tokio::time::sleep(self.delay).await;
        let host = self.host.to_string();
        match fault {
            None => Ok(()),
            Some(Fault::Denied) => Err(UpstreamError::Denied { host, status: 403, shown: true }),
            Some(Fault::Down) => {
                Err(UpstreamError::Unreachable { host, lost: Lost::Connection, source: Arc::new(std::io::Error::other("down")) })
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Lies) => Err(UpstreamError::Lied { host, what: "another digest".into() }),
            Some(Fault::Panics) => panic!("as the script says"),
            Some(Fault::Throttles) => Err(UpstreamError::Throttled { host, retry_after: Some(Duration::from_secs(7)) }),
        }
    }
}

#[async_trait]
impl Upstream for Fake {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        self.ask(Ask::ManifestByTag, tag.to_string()).await?;
        let digest = self.state().tags.get(&(repository.to_string(), tag.to_string())).copied();
        Ok(Resolved { digest: digest.ok_or(UpstreamError::NotFound)?, manifest: None })
    }

    async fn manifest_within(
        &self,
        repository: &Repository,
        reference: &Reference,
        limit: usize,
    ) -> Result<FetchedManifest, UpstreamError> {
        let digest = match reference {
            Reference::Digest(digest) => {
                self.ask(Ask::ManifestByDigest, digest.to_string()).await?;
                *digest
            }
            Reference::Tag(tag) => self.resolve(repository, tag).await?.digest,
        };
        let found = self.state().manifests.get(&(repository.to_string(), digest)).cloned();
        let (bytes, content_type) = found.ok_or(UpstreamError::NotFound)?;
        if bytes.len() > limit {
            return Err(UpstreamError::TooLarge { what: "the manifest", limit: limit as u64 });
        }
        Ok(FetchedManifest { digest, bytes, content_type })
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        self.ask(Ask::Referrers, subject.to_string()).await?;
        if !self.api || next.is_some() && self.state().loses_pages {
            return Ok(ReferrersAnswer::NoApi);
        }
        let from: usize = next.map_or(0, |next| next.parse().unwrap());
        let all = self.state().referrers.get(&(repository.to_string(), *subject)).cloned().unwrap_or_default();
        let page: Vec<Value> = all.iter().skip(from).take(self.page).cloned().collect();
        if self.state().gives {
            return Ok(ReferrersAnswer::Given(index_of(&page)));
        }
        let next = (from + self.page < all.len()).then(|| (from + self.page).to_string());
        Ok(ReferrersAnswer::Page(ReferrersPage { bytes: index_of(&page), next }))
    }

    async fn tags(&self, _: &Repository, _: Option<u32>, _: Option<&str>) -> Result<TagsPage, UpstreamError> {
        Ok(TagsPage::default())
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        let found = self.state().blobs.get(&(repository.to_string(), *digest)).map(|bytes| bytes.len() as u64);
        found.ok_or(UpstreamError::NotFound)
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        self.ask(Ask::Blob, digest.to_string()).await?;
        let found = self.state().blobs.get(&(repository.to_string(), *digest)).cloned();
        let bytes = found.ok_or(UpstreamError::NotFound)?;
        // In two pieces, as a network would.
        let half = bytes.len() / 2;
        let pieces = [Ok(bytes.slice(..half)), Ok(bytes.slice(half..))];
        Ok(BlobStream { size: None, pieces: stream::iter(pieces).boxed() })
    }

    async fn parents(&self, _: &Repository, child: &Digest) -> Vec<Digest> {
        self.state().parents.get(child).cloned().unwrap_or_default()
    }

    async fn manifests_listing(&self, _: &Repository, blob: &Digest) -> Vec<Digest> {
        self.state().listing.get(blob).cloned().unwrap_or_default()
    }
}

impl World {
    pub(in crate::gate) fn fault(&self, ask: Ask, fault: Fault) {
        self.fake.state().faults.insert(ask, fault);
    }

    pub(in crate::gate) fn all_fail(&self, fault: Fault) {
        for ask in [Ask::Blob, Ask::ManifestByDigest, Ask::ManifestByTag, Ask::Referrers] {
            self.fault(ask, fault);
        }
    }

    /// What is listed is given in place of all there is.
    pub(in crate::gate) fn give(&self) {
        self.fake.state().gives = true;
    }

    /// Listings have a first page, and no other.
    pub(in crate::gate) fn lose_pages(&self) {
        self.fake.state().loses_pages = true;
    }

    /// Neither this digest nor its referrers can be had.
    pub(in crate::gate) fn hide(&self, digest: Digest) {
        self.fake.state().unreachable.insert(digest.to_string());
    }

    pub(in crate::gate) fn mend(&self) {
        self.fake.state().unreachable.clear();
        self.fake.state().loses_pages = false;
        self.fake.state().faults.clear();
    }

    /// How often it was asked for that.
    pub(in crate::gate) fn asked(&self, ask: Ask) -> usize {
        self.fake.asked(ask)
    }

    pub(in crate::gate) fn asked_for(&self, digest: &Digest) -> usize {
        let digest = digest.to_string();
        self.fake.state().asked.iter().filter(|(kind, what)| *kind == Ask::ManifestByDigest && *what == digest).count()
    }

    pub(in crate::gate) fn forget_asked(&self) {
        self.fake.state().asked.clear();
    }

    pub(in crate::gate) fn asked_at_all(&self) -> usize {
        self.fake.state().asked.len()
    }
}
