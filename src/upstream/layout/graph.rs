//! What an OCI layout says, read whole: which manifests belong to which repository, and who refers to whom.
//!
//! Relations are taken only from bytes that hash to their digest. They are still no more than pointers: whoever asks for
//! a manifest gets its bytes checked again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
};

use serde_json::Value;

use super::{
    files::{self, FileError, Stamp},
    runs::runs,
};
use crate::oci::{
    Descriptor, Digest, Manifest, ManifestKind, Reference, Repository, Tag, json,
    manifest::MAX_MANIFEST,
    media_type::{self, OCI_INDEX},
};

/// How large `index.json` may be.
const MAX_INDEX: usize = 64 << 20;
/// How many manifests a layout may hold. Each costs about a kibibyte of memory.
const MAX_MANIFESTS: usize = 200_000;
/// `oci-layout` is `{"imageLayoutVersion":"1.0.0"}` and little more.
const MAX_MARKER: usize = 64 << 10;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a layout could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum GraphError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// `index.json` or `oci-layout` is not what it should be.
    #[error("{file}: {why}")]
    Malformed {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Above the bound.
    #[error("the layout holds more than {MAX_MANIFESTS} manifests")]
    TooMany,
}

/// A layout's relations at one moment.
#[derive(Debug)]
pub(super) struct Graph {
    /// Which version of `index.json` this was read from.
    pub(super) stamp: Stamp,
    /// What `index.json` names and is not there, or is not what its digest says, or is no manifest.
    pub(super) unread: Vec<Digest>,
    /// Entries of `index.json` by whose names nothing can be asked for.
    nameless: Vec<Nameless>,
    nodes: HashMap<Digest, Node>,
    repositories: HashMap<Repository, Members>,
}

/// One manifest or index, as far as relations need it.
#[derive(Debug)]
struct Node {
    media_type: &'static str,
    size: u64,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
    subject: Option<Digest>,
    /// It lists manifests, or has the configuration of an image and not only evidence for layers.
    runs: bool,
    is_index: bool,
    children: Vec<Digest>,
    blobs: Vec<Digest>,
}

/// What belongs to one repository.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// What each tag was given as. More than one digest is a contradiction.
    pub(super) tags: BTreeMap<Tag, BTreeSet<Digest>>,
    /// What is named by its digest.
    digests: BTreeSet<Digest>,
    manifests: HashSet<Digest>,
    parents: HashMap<Digest, BTreeSet<Digest>>,
    listing: HashMap<Digest, BTreeSet<Digest>>,
    referrers: HashMap<Digest, BTreeSet<Digest>>,
    /// What is attached to an image by a tag, with what that lists.
    attached: HashSet<Digest>,
}

/// An entry of `index.json`.
struct Entry {
    digest: Digest,
    name: Result<(Repository, Option<Tag>), Nameless>,
}

/// An entry of `index.json` that is neither `repository:tag` nor `repository@digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameless {
    /// What it is.
    pub digest: Digest,
    /// What it is called, if anything.
    pub name: Option<String>,
}

impl Graph {
    /// Reads the layout in `root`. Blocks.
    ///
    /// A manifest that is missing or malformed is no error here: layouts holding one platform of an index are common, and
    /// what is asked for is checked when it is asked for.
    pub(super) fn read(root: &Path) -> Result<Self, GraphError> {
        let (marker, _) = files::read(&root.join("oci-layout"), MAX_MARKER)?;
        let marker = strict("oci-layout", &marker)?;
        match marker.get("imageLayoutVersion").and_then(Value::as_str) {
            Some("1.0.0") => {}
            found => {
                let why = format!("want imageLayoutVersion `1.0.0`, found {}", found.map_or_else(|| "none".into(), short));
                return Err(GraphError::Malformed { file: "oci-layout", why });
            }
        }
        let (index, stamp) = files::read(&root.join("index.json"), MAX_INDEX)?;
        let entries = entries(&strict("index.json", &index)?)?;
        let nameless: Vec<_> = entries.iter().filter_map(|entry| entry.name.as_ref().err().cloned()).collect();
        let unnamed = nameless.len();
        if unnamed > 0 {
            tracing::info!(layout = %root.display(), unnamed, "entries of index.json without a usable `repository:tag` are reached only as referrers");
        }
        let mut graph = Self { stamp, unread: Vec::new(), nameless, nodes: HashMap::new(), repositories: HashMap::new() };
        for entry in &entries {
            graph.read_tree(root, entry.digest)?;
        }
        graph.unread = entries.iter().map(|entry| entry.digest).filter(|digest| !graph.nodes.contains_key(digest)).collect();
        if let Some(first) = graph.unread.first() {
            let unread = graph.unread.len();
            tracing::warn!(layout = %root.display(), unread, %first, "index.json names manifests that are missing or damaged: if they are evidence, it is not seen");
        }
        graph.assign(&entries);
        Ok(graph)
    }

    /// Reads a manifest and all it lists, each once (indexes may share what they list, many levels deep: X1).
    fn read_tree(&mut self, root: &Path, digest: Digest) -> Result<(), GraphError> {
        let mut waiting = vec![digest];
        let mut seen = HashSet::new();
        while let Some(digest) = waiting.pop() {
            if self.nodes.contains_key(&digest) || !seen.insert(digest) {
                continue;
            }
            if self.nodes.len() >= MAX_MANIFESTS {
                return Err(GraphError::TooMany);
            }
            if let Some(node) = Node::read(root, digest)? {
                waiting.extend(&node.children);
                self.nodes.insert(digest, node);
            }
        }
        Ok(())
    }

    /// Decides what belongs where: what is reachable from a repository's entries by `manifests[]`, and entries whose
    /// `subject` is among these, with what they list in turn.
    fn assign(&mut self, entries: &[Entry]) {
        let mut by_subject: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for entry in entries {
            if let Some(subject) = self.nodes.get(&entry.digest).and_then(|node| node.subject) {
                by_subject.entry(subject).or_default().push(entry.digest);
            }
        }
        let mut roots: HashMap<&Repository, Vec<Digest>> = HashMap::new();
        for entry in entries {
            let Ok((repository, tag)) = &entry.name else { continue };
            roots.entry(repository).or_default().push(entry.digest);
            let members = self.repositories.entry(repository.clone()).or_default();
            if let Some(tag) = tag {
                members.tags.entry(tag.clone()).or_default().insert(entry.digest);
                if tag.attachment_of().is_some() {
                    members.attached.insert(entry.digest);
                    members.attached.extend(self.nodes.get(&entry.digest).into_iter().flat_map(|node| &node.children));
                }
            } else {
                members.digests.insert(entry.digest);
            }
        }
        for (repository, mut waiting) in roots {
            let Some(members) = self.repositories.get_mut(repository) else { continue };
            while let Some(digest) = waiting.pop() {
                if !members.manifests.insert(digest) {
                    continue;
                }
                waiting.extend(by_subject.get(&digest).into_iter().flatten());
                let Some(node) = self.nodes.get(&digest) else { continue };
                waiting.extend(&node.children);
                for child in &node.children {
                    members.parents.entry(*child).or_default().insert(digest);
                }
                for blob in &node.blobs {
                    members.listing.entry(*blob).or_default().insert(digest);
                }
                if let Some(subject) = node.subject {
                    members.referrers.entry(subject).or_default().insert(digest);
                }
            }
        }
    }

    /// What belongs to `repository`, if any entry names it.
    pub(super) fn members(&self, repository: &Repository) -> Option<&Members> {
        self.repositories.get(repository)
    }

    /// Every image that `index.json` names: by its tag, or by its digest where it has no tag, or only one by which evidence is
    /// attached to another: a name makes nothing evidence, and such a tag answers no image. Evidence is left out. Sorted.
    pub(super) fn images(&self) -> Vec<(Repository, Reference)> {
        let mut images = Vec::new();
        for (repository, members) in &self.repositories {
            let (attaching, tags): (Vec<_>, Vec<_>) = members.tags.iter().partition(|(tag, _)| tag.attachment_of().is_some());
            let tagged: HashSet<_> = tags.iter().flat_map(|(_, digests)| *digests).collect();
            let untagged: BTreeSet<_> = attaching.iter().flat_map(|(_, digests)| *digests).chain(&members.digests).collect();
            let is_evidence =
                |digest: &Digest| self.is_about_another(digest) || (members.attached.contains(digest) && !self.runs(digest));
            let untagged = untagged.into_iter().filter(|digest| !tagged.contains(digest) && !is_evidence(digest));
            images.extend(tags.iter().map(|(tag, _)| (repository.clone(), Reference::Tag((*tag).clone()))));
            images.extend(untagged.map(|digest| (repository.clone(), Reference::Digest(*digest))));
        }
        images.sort_by_cached_key(|(repository, reference)| (repository.clone(), reference.to_string()));
        images
    }

    /// The first image, or what may be one, that no repository of the layout has.
    pub(super) fn nameless(&self) -> Option<&Nameless> {
        self.nameless.iter().find(|Nameless { digest, .. }| {
            !self.is_about_another(digest) && !self.repositories.values().any(|members| members.has(digest))
        })
    }

    /// Whether `digest` is attached to another by its subject, and is nothing that could be run for all that: whoever wants an
    /// image left out need only give it a subject.
    fn is_about_another(&self, digest: &Digest) -> bool {
        self.nodes.get(digest).is_some_and(|node| node.subject.is_some()) && !self.runs(digest)
    }

    /// Whether `digest` may be an image that can be run. Of what is not there it is not known; an index is none only if it lists
    /// nothing but manifests that are none, as an index of referrers does.
    fn runs(&self, digest: &Digest) -> bool {
        let Some(node) = self.nodes.get(digest) else { return true };
        let is_evidence = |child| self.nodes.get(child).is_some_and(|child: &Node| !child.runs);
        node.runs && !(node.is_index && node.children.iter().all(is_evidence))
    }

    /// Whether `digest` is of what is attached to an image, by tag or subject: a manifest, or a blob that such a one lists.
    pub(super) fn is_attached(&self, members: &Members, digest: &Digest) -> bool {
        let attached = |digest: &Digest| {
            members.attached.contains(digest) || self.nodes.get(digest).is_some_and(|node| node.subject.is_some())
        };
        attached(digest) || members.listing.get(digest).into_iter().flatten().any(attached)
    }

    /// The descriptor of a referrer, as a registry would answer it: `artifactType` falls back to the config's type.
    pub(super) fn descriptor(&self, digest: &Digest) -> Option<Value> {
        let node = self.nodes.get(digest)?;
        let mut descriptor = serde_json::json!({"mediaType": node.media_type, "digest": digest, "size": node.size});
        if let Some(artifact_type) = &node.artifact_type {
            descriptor["artifactType"] = artifact_type.as_str().into();
        }
        if !node.annotations.is_empty() {
            descriptor["annotations"] = serde_json::json!(node.annotations);
        }
        Some(descriptor)
    }
}

impl Members {
    /// Whether `manifest` belongs here.
    pub(super) fn has(&self, manifest: &Digest) -> bool {
        self.manifests.contains(manifest)
    }

    /// Indexes listing `child`.
    pub(super) fn parents(&self, child: &Digest) -> Vec<Digest> {
        self.parents.get(child).into_iter().flatten().copied().collect()
    }

    /// Manifests listing `blob`.
    pub(super) fn listing(&self, blob: &Digest) -> Vec<Digest> {
        self.listing.get(blob).into_iter().flatten().copied().collect()
    }

    /// Whether `blob` is listed by a manifest here.
    pub(super) fn lists(&self, blob: &Digest) -> bool {
        self.listing.contains_key(blob)
    }

    /// Manifests whose `subject` is `subject`, ordered by digest, those after `last`.
    pub(super) fn referrers(&self, subject: &Digest, last: Option<&Digest>) -> impl Iterator<Item = &Digest> {
        let after = move |digest: &&Digest| last.is_none_or(|last| *digest > last);
        self.referrers.get(subject).into_iter().flatten().filter(after)
    }
}

impl Node {
    /// `None` for what is not there or is no manifest. What the system would not give (no file descriptor, a failing disk)
    /// is an error: a signature left out for that would make its image an unsigned one.
    fn read(root: &Path, digest: Digest) -> Result<Option<Self>, GraphError> {
        let skip = |why: &dyn std::fmt::Display| {
            tracing::debug!(%digest, %why, "a manifest of the layout is not read for relations");
            Ok(None)
        };
        let bytes = match files::read(&files::blob_path(root, &digest), MAX_MANIFEST) {
            Ok((bytes, _)) => bytes,
            Err(error @ FileError::Unreadable { .. }) => return Err(error.into()),
            Err(error @ (FileError::Missing(_) | FileError::NotRegular(_) | FileError::TooLarge { .. })) => return skip(&error),
        };
        if !digest.matches(&bytes) {
            return skip(&"its bytes do not hash to its digest");
        }
        let size = bytes.len() as u64;
        let manifest = match Manifest::parse(digest, bytes, None) {
            Ok(manifest) => manifest,
            Err(error) => return skip(&error),
        };
        let artifact_type = manifest.artifact_type.clone().filter(|name| !name.is_empty()).or_else(|| match manifest.kind() {
            ManifestKind::Image => manifest.config.as_ref().map(|config| config.media_type.clone()),
            ManifestKind::Index => None,
        });
        let digests = |list: &[Descriptor]| list.iter().map(|descriptor| descriptor.digest).collect();
        Ok(Some(Self {
            media_type: manifest.media_type(),
            size,
            artifact_type,
            subject: manifest.subject.as_ref().map(|subject| subject.digest),
            runs: match manifest.kind() {
                ManifestKind::Image => runs(root, &manifest)?,
                ManifestKind::Index => true,
            },
            is_index: manifest.kind() == ManifestKind::Index,
            children: digests(&manifest.manifests),
            blobs: manifest.blobs().map(|descriptor| descriptor.digest).collect(),
            annotations: manifest.annotations,
        }))
    }
}

fn short(text: &str) -> String {
    format!("`{}`", text.escape_default().take(80).collect::<String>())
}

fn strict(file: &'static str, bytes: &[u8]) -> Result<Value, GraphError> {
    json::parse(bytes).map_err(|error| GraphError::Malformed { file, why: error.to_string() })
}

/// The entries of `index.json`. It may be longer than any index a registry serves, so it is not read as a [`Manifest`].
fn entries(index: &Value) -> Result<Vec<Entry>, GraphError> {
    let malformed = |why: String| GraphError::Malformed { file: "index.json", why };
    if let Some(named) = index.get("mediaType").and_then(Value::as_str)
        && media_type::essence(named) != OCI_INDEX
    {
        return Err(malformed(format!("mediaType is {}, want `{OCI_INDEX}`", short(named))));
    }
    let list = match index.get("manifests") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(malformed("`manifests` is not a list".into())),
    };
    if list.len() > MAX_MANIFESTS {
        return Err(GraphError::TooMany);
    }
    let entry = |(at, value)| {
        let descriptor = Descriptor::from_value(value).map_err(|why| malformed(format!("`manifests[{at}]` {why}")))?;
        let (digest, name) = (descriptor.digest, descriptor.annotations.get(REF_NAME));
        let usable = name.and_then(|name| entry_name(name, &digest));
        Ok(Entry { digest, name: usable.ok_or_else(|| Nameless { digest, name: name.cloned() }) })
    };
    list.iter().enumerate().map(entry).collect()
}

/// `repository:tag`, or `repository@sha256:…` for an entry without a tag.
fn entry_name(name: &str, digest: &Digest) -> Option<(Repository, Option<Tag>)> {
    if let Some((repository, named)) = name.split_once('@') {
        let same = named.parse::<Digest>().is_ok_and(|named| named == *digest);
        return same.then(|| repository.parse().ok()).flatten().map(|repository| (repository, None));
    }
    let (repository, tag) = name.rsplit_once(':')?;
    Some((repository.parse().ok()?, Some(tag.parse().ok()?)))
}
