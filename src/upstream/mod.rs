//! Upstreams: where images really are. A registry over HTTP, or an OCI layout on disk.
//!
//! An upstream is asked, never believed: bytes come back with the digest they were checked against, a tag's digest is
//! only a pointer. Every answer is one of *here it is*, *it is not there* ([`UpstreamError::NotFound`], authoritative),
//! and *could not tell* (every other error); the three are never mixed up.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::oci::{Digest, Host, Reference, Repository, Tag, manifest::MAX_MANIFEST};

mod auth;
mod authorities;
mod circuit;
mod client;
mod credentials;
mod egress;
mod http;
mod layout;
mod link;
mod proxy;
mod retry;
mod setup;
mod tags;
mod via;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use self::{
    egress::is_this_machine,
    layout::{Images as LayoutImages, Nameless, images as layout_images, unread as layout_unread},
    proxy::Proxy,
    setup::{SetupError, connect},
    via::is_loop,
};

/// How large a page of referrers or tags may be, in bytes.
pub const MAX_PAGE: usize = 4 << 20;

/// Somewhere manifests and blobs can be had.
///
/// All methods are cancel safe. None retries without bound; none follows a redirect into a forbidden address.
#[async_trait]
pub trait Upstream: Send + Sync + fmt::Debug {
    /// The host images of this upstream are named by, as in `ghcr.io/acme/app`.
    fn host(&self) -> &Host;

    /// What `tag` means now. The digest is a pointer: nothing is proved until bytes hash to it.
    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError>;

    /// The manifest named `reference`, at most [`MAX_MANIFEST`] bytes. By digest, the bytes were found to hash to it, else
    /// [`UpstreamError::Lied`].
    async fn manifest(&self, repository: &Repository, reference: &Reference) -> Result<FetchedManifest, UpstreamError> {
        self.manifest_within(repository, reference, MAX_MANIFEST).await
    }

    /// The same, of which somebody said that it is no larger than `limit` bytes: more are not read, and are
    /// [`UpstreamError::TooLarge`].
    async fn manifest_within(
        &self,
        repository: &Repository,
        reference: &Reference,
        limit: usize,
    ) -> Result<FetchedManifest, UpstreamError>;

    /// One page of the referrers of `subject`. No `artifactType` filter is ever sent.
    /// `next` is what an earlier page's [`ReferrersPage::next`] said.
    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError>;

    /// The tags of a repository: at most `n`, those after `last`, in lexical order.
    async fn tags(&self, repository: &Repository, n: Option<u32>, last: Option<&str>) -> Result<TagsPage, UpstreamError>;

    /// The size of a blob in bytes.
    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError>;

    /// A blob, streamed. Not hashed here: whoever takes it in does.
    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError>;

    /// Indexes of this repository that list `child`, where the upstream can know without being asked over a network
    /// (a layout can). A hint: the gate reads the index itself.
    async fn parents(&self, repository: &Repository, child: &Digest) -> Vec<Digest> {
        let _ = (repository, child);
        Vec::new()
    }

    /// Manifests of this repository that list `blob`, where the upstream can know without being asked over a network.
    async fn manifests_listing(&self, repository: &Repository, blob: &Digest) -> Vec<Digest> {
        let _ = (repository, blob);
        Vec::new()
    }
}

/// A tag's meaning.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The digest the tag points at.
    pub digest: Digest,
    /// The manifest itself, where the upstream had to be asked with GET (no digest header on HEAD).
    pub manifest: Option<FetchedManifest>,
}

/// A manifest's bytes, as the upstream gave them.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// What the bytes hash to: the digest asked for, or SHA-256 when a tag was asked for.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Bytes,
    /// The `Content-Type` header, where there was one.
    pub content_type: Option<String>,
}

/// What a registry says about the referrers of a subject.
#[derive(Debug, Clone)]
pub enum ReferrersAnswer {
    /// An index of evidence that somebody gives in place of all there is anywhere: a command's, of files.
    Given(Bytes),
    /// It has no referrers API (404, 400, 405, 406, 501, or 200 with another Content-Type): the referrers tag decides.
    NoApi,
    /// A page.
    Page(ReferrersPage),
}

/// One page of an index of referrers.
#[derive(Debug, Clone)]
pub struct ReferrersPage {
    /// The index, at most 4 MiB, unparsed.
    pub bytes: Bytes,
    /// What to ask [`Upstream::referrers`] with for the next page. Opaque; a registry's own URL, checked to stay on it.
    pub next: Option<String>,
}

/// Some tags of a repository.
#[derive(Debug, Clone, Default)]
pub struct TagsPage {
    /// In lexical order.
    pub tags: Vec<String>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// A blob on its way.
pub struct BlobStream {
    /// How many bytes the upstream announced. A body of another length is an error on the stream.
    pub size: Option<u64>,
    /// The pieces.
    pub pieces: BoxStream<'static, Result<Bytes, UpstreamError>>,
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Why an upstream did not give what was asked. Cheap to clone: many may wait for one answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// The upstream refused our credentials, or wants some and we have none for it.
    #[error("upstream {host} {} ({status})", if *.shown { "refused our credentials" } else { "denied us, and we know no credentials for it" })]
    Denied {
        /// Who.
        host: String,
        /// 401 or 403.
        status: u16,
        /// Whether it, or its token endpoint, was shown credentials.
        shown: bool,
    },
    /// It was reached, and it, its token endpoint or where it sends us answered that it cannot (5xx).
    #[error("upstream {host} fails: {what}")]
    Failing {
        /// Who.
        host: String,
        /// What answered which status.
        what: String,
    },
    /// A rule of ours forbids the connection: an address, a redirect, a token realm. Names the key that would allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The upstream's answer is not what was asked for: another digest, size or type, or no answer of this protocol.
    #[error("upstream {host} answered wrongly: {what}")]
    Lied {
        /// Who.
        host: String,
        /// How.
        what: String,
    },
    /// The upstream has no such thing, and said so (404).
    #[error("not found at the upstream")]
    NotFound,
    /// The upstream is throttling (429, or 503 with Retry-After).
    #[error("upstream {host} is throttling")]
    Throttled {
        /// Who.
        host: String,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// An answer above our bound.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The bound, in bytes.
        limit: u64,
    },
    /// No whole answer: refused, reset, timed out, a TLS failure, an unreadable disk or credentials file.
    #[error("upstream {host} {lost}: {source}")]
    Unreachable {
        /// Who.
        host: String,
        /// How far it came.
        lost: Lost,
        /// Why.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

/// How far it came with an upstream that gave no whole answer: what is said of it, before why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its answer began.
    Answer,
    /// Nothing came.
    Connection,
    /// It was reached, and is not asked again without the credentials that somebody said are there.
    Credentials,
}

impl Lost {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Answer, Self::Connection, Self::Credentials];
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer => "broke off its answer",
            Self::Connection => "cannot be reached",
            Self::Credentials => "wants credentials that cannot be had",
        })
    }
}

impl UpstreamError {
    /// Whether asking again soon may help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::Throttled { .. } | Self::Unreachable { .. })
    }
}

/// What the configuration says of one upstream.
#[derive(Debug, Clone)]
pub struct Config {
    /// What images are called.
    pub host: Host,
    /// Where they are.
    pub location: Location,
}

/// Where an upstream is.
#[derive(Debug, Clone)]
pub enum Location {
    /// An OCI layout directory.
    Layout(std::path::PathBuf),
    /// A registry.
    Registry(RegistryConfig),
}

/// How to talk to a registry.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Base URL, scheme and authority, perhaps a path prefix: `https://registry-1.docker.io`.
    pub url: url::Url,
    /// Docker `config.json`s with credentials or credential helpers: the first that has some for what is asked counts.
    pub docker_configs: Vec<std::path::PathBuf>,
    /// PEM file of certificate authorities trusted for this upstream, instead of the system's.
    pub ca: Option<std::path::PathBuf>,
    /// `plain_http: dangerous` was written: http without TLS.
    pub plain_http: bool,
    /// Hosts a bearer realm may be on, besides the upstream's own and the built-in table.
    pub auth_hosts: Vec<String>,
    /// Hosts whose private addresses may be connected to (blob redirects).
    pub allow_hosts: Vec<String>,
    /// What connections go through. With one, only literal addresses are checked: the proxy looks names up.
    pub proxy: Option<Proxy>,
}
