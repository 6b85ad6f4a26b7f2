//! An upstream seen through what a command line says of it: names with a host before them, and evidence from files.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use super::bundles::Bundles;
use crate::{
    oci::{Digest, Host, Reference, Repository, Tag, media_type},
    upstream::{BlobStream, FetchedManifest, ReferrersAnswer, Resolved, TagsPage, Upstream, UpstreamError},
};

/// An upstream behind a prefix, perhaps with its evidence replaced.
#[derive(Debug)]
pub(super) struct Lens {
    pub(super) inner: Arc<dyn Upstream>,
    pub(super) host: Host,
    /// What stands before a repository there.
    pub(super) prefix: String,
    /// The evidence to be believed to exist; what the upstream has is then not asked for.
    pub(super) bundles: Option<Arc<Bundles>>,
}

impl Lens {
    fn repository(&self, repository: &Repository) -> Result<Repository, UpstreamError> {
        if self.prefix.is_empty() {
            return Ok(repository.clone());
        }
        format!("{}{repository}", self.prefix).parse().map_err(|_| UpstreamError::NotFound)
    }
}

#[async_trait]
impl Upstream for Lens {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        self.inner.resolve(&self.repository(repository)?, tag).await
    }

    async fn manifest_within(
        &self,
        repository: &Repository,
        reference: &Reference,
        limit: usize,
    ) -> Result<FetchedManifest, UpstreamError> {
        if let Some(bundles) = &self.bundles {
            match reference {
                Reference::Digest(digest) => {
                    if let Some(bytes) = bundles.manifests.get(digest) {
                        let content_type = Some(media_type::OCI_MANIFEST.to_owned());
                        return Ok(FetchedManifest { digest: *digest, bytes: bytes.clone(), content_type });
                    }
                }
                // Evidence attached by a tag is the upstream's, too.
                Reference::Tag(tag) if tag.attachment_of().is_some() => return Err(UpstreamError::NotFound),
                Reference::Tag(_) => {}
            }
        }
        self.inner.manifest_within(&self.repository(repository)?, reference, limit).await
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        match &self.bundles {
            Some(bundles) => Ok(ReferrersAnswer::Given(bundles.index_of(subject))),
            None => self.inner.referrers(&self.repository(repository)?, subject, next).await,
        }
    }

    async fn tags(&self, repository: &Repository, n: Option<u32>, last: Option<&str>) -> Result<TagsPage, UpstreamError> {
        self.inner.tags(&self.repository(repository)?, n, last).await
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        match self.bundles.as_ref().and_then(|bundles| bundles.layers.get(digest)) {
            Some(layer) => Ok(layer.len() as u64),
            None => self.inner.blob_size(&self.repository(repository)?, digest).await,
        }
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        match self.bundles.as_ref().and_then(|bundles| bundles.layers.get(digest)) {
            Some(layer) => {
                let layer = layer.clone();
                Ok(BlobStream { size: Some(layer.len() as u64), pieces: stream::iter([Ok(layer)]).boxed() })
            }
            None => self.inner.blob(&self.repository(repository)?, digest).await,
        }
    }

    async fn parents(&self, repository: &Repository, child: &Digest) -> Vec<Digest> {
        match self.repository(repository) {
            Ok(repository) => self.inner.parents(&repository, child).await,
            Err(_) => Vec::new(),
        }
    }

    async fn manifests_listing(&self, repository: &Repository, blob: &Digest) -> Vec<Digest> {
        match self.repository(repository) {
            Ok(repository) => self.inner.manifests_listing(&repository, blob).await,
            Err(_) => Vec::new(),
        }
    }
}
