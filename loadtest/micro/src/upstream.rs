//! Upstreams that answer from memory and at once: what a gate takes over them it takes itself.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use pullgate::{
    oci::{Digest, Host, Reference, Repository, Tag},
    upstream::{BlobStream, FetchedManifest, ReferrersAnswer, Resolved, TagsPage, Upstream, UpstreamError},
};

use crate::recorded::Layout;

/// A layout. Its evidence is listed under referrers tags, of which any repository has those of any other: so one image can be
/// asked for under many names, each of which is new to the gate.
#[derive(Debug)]
pub struct Recorded {
    host: Host,
    repository: String,
    layout: Layout,
}

impl Recorded {
    /// What `repository` has, in every repository.
    #[must_use]
    pub fn new(host: &str, repository: &str, layout: Layout) -> Self {
        Self { host: host.parse().expect("a host"), repository: repository.to_owned(), layout }
    }

    fn find(&self, reference: &Reference) -> Option<(Digest, Bytes)> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => *self.layout.tags.get(&format!("{}:{}", self.repository, tag.as_str()))?,
        };
        Some((digest, self.layout.blobs.get(&digest)?.clone()))
    }
}

#[async_trait]
impl Upstream for Recorded {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, _: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        let (digest, _) = self.find(&Reference::Tag(tag.clone())).ok_or(UpstreamError::NotFound)?;
        Ok(Resolved { digest, manifest: None })
    }

    async fn manifest(&self, _: &Repository, reference: &Reference) -> Result<FetchedManifest, UpstreamError> {
        let (digest, bytes) = self.find(reference).ok_or(UpstreamError::NotFound)?;
        Ok(FetchedManifest { digest, bytes, content_type: None })
    }

    async fn referrers(&self, _: &Repository, _: &Digest, _: Option<&str>) -> Result<ReferrersAnswer, UpstreamError> {
        Ok(ReferrersAnswer::NoApi)
    }

    async fn tags(&self, _: &Repository, _: Option<u32>, _: Option<&str>) -> Result<TagsPage, UpstreamError> {
        Ok(TagsPage::default())
    }

    async fn blob_size(&self, _: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        self.layout.blobs.get(digest).map(|bytes| bytes.len() as u64).ok_or(UpstreamError::NotFound)
    }

    async fn blob(&self, _: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        let bytes = self.layout.blobs.get(digest).ok_or(UpstreamError::NotFound)?.clone();
        Ok(BlobStream { size: Some(bytes.len() as u64), pieces: stream::iter([Ok(bytes)]).boxed() })
    }
}

/// Any number of small images, each in a repository of its own that is called after its number.
#[derive(Debug)]
pub struct Numbered {
    host: Host,
}

impl Numbered {
    /// At `host`.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self { host: host.parse().expect("a host") }
    }

    /// Its repository.
    #[must_use]
    pub fn repository(number: usize) -> String {
        format!("many/image-{number}")
    }

    /// Its manifest: of the size of an image with four layers.
    #[must_use]
    pub fn manifest_of(number: usize) -> Bytes {
        let blob = |kind: &str, what: &str| {
            let digest = Digest::sha256(format!("{number} {what}").as_bytes());
            format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":1048576}}"#)
        };
        let layers = ["a", "b", "c", "d"].map(|layer| blob("layer.v1.tar+gzip", layer)).join(",");
        let config = blob("config.v1+json", "config");
        let kind = "application/vnd.oci.image.manifest.v1+json";
        format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{config},"layers":[{layers}]}}"#).into()
    }
}

#[async_trait]
impl Upstream for Numbered {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, _: &Repository, _: &Tag) -> Result<Resolved, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn manifest(&self, repository: &Repository, _: &Reference) -> Result<FetchedManifest, UpstreamError> {
        let number = repository.as_str().rsplit('-').next().and_then(|number| number.parse().ok());
        let bytes = Self::manifest_of(number.ok_or(UpstreamError::NotFound)?);
        Ok(FetchedManifest { digest: Digest::sha256(&bytes), bytes, content_type: None })
    }

    async fn referrers(&self, _: &Repository, _: &Digest, _: Option<&str>) -> Result<ReferrersAnswer, UpstreamError> {
        Ok(ReferrersAnswer::NoApi)
    }

    async fn tags(&self, _: &Repository, _: Option<u32>, _: Option<&str>) -> Result<TagsPage, UpstreamError> {
        Ok(TagsPage::default())
    }

    async fn blob_size(&self, _: &Repository, _: &Digest) -> Result<u64, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn blob(&self, _: &Repository, _: &Digest) -> Result<BlobStream, UpstreamError> {
        Err(UpstreamError::NotFound)
    }
}
