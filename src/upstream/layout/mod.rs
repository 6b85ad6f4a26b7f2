//! An OCI layout directory as an upstream: the embedded default, and the far end of an air gap.
//!
//! `index.json` names what is there; it is read at the start and again when it changes. Nothing here is trusted more than
//! a registry is: manifests are hashed when they are served, blobs by whoever takes them in.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;

mod files;
mod graph;
mod runs;
#[cfg(test)]
mod tests;

pub use self::graph::Nameless;
use self::{
    files::{FileError, Stamp},
    graph::{Graph, GraphError, Members},
};
use super::{
    BlobStream, FetchedManifest, Lost, MAX_PAGE, ReferrersAnswer, ReferrersPage, Resolved, TagsPage, Upstream, UpstreamError,
};
use crate::oci::{Digest, Host, Reference, Repository, Tag, media_type::OCI_INDEX};

/// A blob is read and passed on in pieces of this size.
const PIECE: usize = 256 << 10;

/// An OCI layout directory.
pub(super) struct Layout {
    host: Host,
    root: Arc<Path>,
    graph: ArcSwap<Graph>,
    /// Held while the index is read anew, so that one request does it.
    reading: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout").field("host", &self.host).field("root", &self.root).finish_non_exhaustive()
    }
}

impl Layout {
    /// Reads the layout in `root`. Blocks: a few microseconds a manifest.
    pub(super) fn open(host: Host, root: PathBuf) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let graph = ArcSwap::from_pointee(Graph::read(&root)?);
        Ok(Self { host, root: root.into(), graph, reading: tokio::sync::Mutex::default() })
    }

    /// The relations as `index.json` gives them now.
    ///
    /// An index that cannot be read is "could not tell", never "not there", and never answered from the one before:
    /// for how long old answers may be given is the gate's to decide.
    async fn graph(&self) -> Result<Arc<Graph>, UpstreamError> {
        let current = self.graph.load_full();
        if self.stamp().await? == current.stamp {
            return Ok(current);
        }
        let _one = self.reading.lock().await;
        let current = self.graph.load_full();
        if self.stamp().await? == current.stamp {
            return Ok(current);
        }
        let root = Arc::clone(&self.root);
        let graph = self.blocking(move || Graph::read(&root)).await?.map_err(|error| match error {
            GraphError::File(_) | GraphError::Malformed { .. } | GraphError::TooMany => self.unreachable(error),
        })?;
        tracing::info!(host = %self.host, layout = %self.root.display(), "index.json changed and was read again");
        let graph = Arc::new(graph);
        self.graph.store(Arc::clone(&graph));
        Ok(graph)
    }

    async fn stamp(&self) -> Result<Stamp, UpstreamError> {
        let metadata = tokio::fs::symlink_metadata(self.root.join("index.json")).await;
        metadata.map(|metadata| Stamp::of(&metadata)).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
        UpstreamError::Unreachable { host: self.host.to_string(), lost: Lost::Connection, source: Arc::new(source) }
    }

    fn lied(&self, what: String) -> UpstreamError {
        UpstreamError::Lied { host: self.host.to_string(), what }
    }

    fn file_error(&self, error: FileError) -> UpstreamError {
        match error {
            FileError::Missing(_) => UpstreamError::NotFound,
            FileError::NotRegular(_) => self.lied(error.to_string()),
            FileError::TooLarge { limit, .. } => UpstreamError::TooLarge { what: "the manifest", limit },
            FileError::Unreadable { .. } => self.unreachable(error),
        }
    }

    /// Runs file work off the async threads.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, UpstreamError> {
        tokio::task::spawn_blocking(work).await.map_err(|error| self.unreachable(error))
    }

    /// What `tag` was given as in `index.json`.
    fn tagged(&self, graph: &Graph, repository: &Repository, tag: &Tag) -> Result<Digest, UpstreamError> {
        let tagged = graph.members(repository).and_then(|members| members.tags.get(tag)).ok_or(UpstreamError::NotFound)?;
        match tagged.first() {
            Some(digest) if tagged.len() == 1 => Ok(*digest),
            // Readers differ in which of several entries they take, so none is taken.
            Some(_) | None => {
                Err(self.lied(format!("index.json names `{repository}:{tag}` {} times, differently", tagged.len())))
            }
        }
    }

    /// Why the file of `digest` cannot be given. A layout may hold a part of an image, but of what is attached to one a missing
    /// file is damage: an attestation left out for that would make its image one without.
    fn not_given(&self, graph: &Graph, members: &Members, digest: &Digest, error: FileError) -> UpstreamError {
        match error {
            FileError::Missing(_) if graph.is_attached(members, digest) => self.unreachable(error),
            other => self.file_error(other),
        }
    }

    /// A blob is there for those repositories only that list it (CVE-2024-39897), or whose manifest it is.
    async fn open_blob(&self, repository: &Repository, digest: &Digest) -> Result<(std::fs::File, u64), UpstreamError> {
        let graph = self.graph().await?;
        let members = graph.members(repository).filter(|members| members.lists(digest) || members.has(digest));
        let members = members.ok_or(UpstreamError::NotFound)?;
        let path = files::blob_path(&self.root, digest);
        let opened = self.blocking(move || files::open(&path)).await?;
        let (file, metadata) = opened.map_err(|error| self.not_given(&graph, members, digest, error))?;
        Ok((file, metadata.len()))
    }
}

/// What images a layout has.
#[derive(Debug)]
pub struct Images {
    /// Those that can be asked for: by `repository:tag`, or by `repository@digest` what has no such tag and is no evidence. Sorted.
    pub named: Vec<(Repository, Reference)>,
    /// The first that cannot be: an entry that may be an image, belongs to no repository, and has no usable name.
    pub nameless: Option<Nameless>,
}

/// The images that `index.json` of the layout in `root` has. Blocks.
///
/// # Errors
/// What is wrong with the layout.
pub fn images(root: &Path) -> Result<Images, Box<dyn std::error::Error + Send + Sync>> {
    let graph = Graph::read(root)?;
    Ok(Images { named: graph.images(), nameless: graph.nameless().cloned() })
}

/// What `index.json` of the layout in `root` names, and is missing, or damaged, or no manifest. Blocks.
///
/// # Errors
/// What is wrong with the layout.
pub fn unread(root: &Path) -> Result<Vec<Digest>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Graph::read(root)?.unread)
}

#[async_trait]
impl Upstream for Layout {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        let graph = self.graph().await?;
        Ok(Resolved { digest: self.tagged(&graph, repository, tag)?, manifest: None })
    }

    async fn manifest_within(
        &self,
        repository: &Repository,
        reference: &Reference,
        limit: usize,
    ) -> Result<FetchedManifest, UpstreamError> {
        let graph = self.graph().await?;
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => self.tagged(&graph, repository, tag)?,
        };
        let members = graph.members(repository).filter(|members| members.has(&digest)).ok_or(UpstreamError::NotFound)?;
        let path = files::blob_path(&self.root, &digest);
        let bytes = self.blocking(move || files::read(&path, limit)).await?;
        let (bytes, _) = bytes.map_err(|error| self.not_given(&graph, members, &digest, error))?;
        if !digest.matches(&bytes) {
            return Err(self.lied(format!("the file of manifest {digest} does not hash to it")));
        }
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => Digest::sha256(&bytes),
        };
        Ok(FetchedManifest { digest, bytes, content_type: None })
    }

    /// Computed from `subject`; a subject nobody refers to has an empty list, and never a 404.
    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        let graph = self.graph().await?;
        let last = next.map(str::parse::<Digest>).transpose().map_err(|_| UpstreamError::NotFound)?;
        let mut listed: Vec<String> = Vec::new();
        let (mut size, mut last_listed, mut next) = (256, None, None);
        for digest in graph.members(repository).into_iter().flat_map(|members| members.referrers(subject, last.as_ref())) {
            let Some(mut descriptor) = graph.descriptor(digest) else { continue };
            let mut text = descriptor.to_string();
            if text.len() + 256 > MAX_PAGE {
                // Annotations are hints, and a page has a bound.
                descriptor["annotations"] = serde_json::json!({});
                text = descriptor.to_string();
            }
            size += text.len() + 1;
            if size > MAX_PAGE {
                next = last_listed.map(|digest: &Digest| digest.to_string());
                break;
            }
            listed.push(text);
            last_listed = Some(digest);
        }
        let listed = listed.join(",");
        let bytes = Bytes::from(format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{listed}]}}"#));
        Ok(ReferrersAnswer::Page(ReferrersPage { bytes, next }))
    }

    async fn tags(&self, repository: &Repository, n: Option<u32>, last: Option<&str>) -> Result<TagsPage, UpstreamError> {
        let graph = self.graph().await?;
        let members = graph.members(repository).ok_or(UpstreamError::NotFound)?;
        let after = |tag: &&Tag| last.is_none_or(|last| tag.as_str() > last);
        let mut tags = members.tags.keys().filter(after).map(Tag::to_string);
        let limit = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let page: Vec<String> = tags.by_ref().take(limit).collect();
        let more = limit > 0 && tags.next().is_some();
        Ok(TagsPage { tags: page, more })
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        self.open_blob(repository, digest).await.map(|(_, size)| size)
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        let (file, size) = self.open_blob(repository, digest).await?;
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(PIECE);
        let host = self.host.to_string();
        let state = (file, size, host);
        let pieces = futures_util::stream::try_unfold(state, |(mut file, left, host)| async move {
            if left == 0 {
                return Ok(None);
            }
            let broken = |source: std::io::Error| {
                let (host, source) = (host.clone(), Arc::new(source));
                UpstreamError::Unreachable { host, lost: Lost::Answer, source }
            };
            let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
            // What is appended after the size was told is left out; that the file shrank is an error.
            let read = (&mut file).take(left).read_buf(&mut piece).await.map_err(broken)?;
            if read == 0 {
                return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(Some((piece.freeze(), (file, left - read as u64, host))))
        });
        Ok(BlobStream { size: Some(size), pieces: pieces.boxed() })
    }

    async fn parents(&self, repository: &Repository, child: &Digest) -> Vec<Digest> {
        let Ok(graph) = self.graph().await else { return Vec::new() };
        graph.members(repository).map(|members| members.parents(child)).unwrap_or_default()
    }

    async fn manifests_listing(&self, repository: &Repository, blob: &Digest) -> Vec<Digest> {
        let Ok(graph) = self.graph().await else { return Vec::new() };
        graph.members(repository).map(|members| members.listing(blob)).unwrap_or_default()
    }
}
