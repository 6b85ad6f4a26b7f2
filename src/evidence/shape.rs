//! Is a manifest itself evidence? Then it may be pulled whatever the policy says, so that tools behind the gate can
//! verify for themselves.
//!
//! The list is closed, and the bytes are read: anyone who can push can name a layer anything. What a tool reads as
//! evidence must not also be readable as a manifest (containerd asks for a manifest under `/blobs/` after a 404), nor
//! carry one in its config.

use super::{
    Document, Limits,
    reader::{Reader, Unread, failed},
};
use crate::oci::{
    Descriptor, Digest, Manifest, ManifestKind, media_type,
    scan::{Free, Rules, ScanError, scan},
};

/// How large the config of an evidence manifest may be: cosign's have 233 bytes, the empty one 2.
const MAX_CONFIG: u64 = 64 * 1024;

/// What a manifest is.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Evidence.
    Evidence,
    /// Not evidence, with the reason.
    Other(String),
}

/// Whether `manifest` is evidence: an image manifest with at least one layer whose every layer is of the closed list,
/// or an index with at least one manifest that lists only such.
///
/// One document is in memory at a time, within a budget that all such questions share, and is kept in the store as soon as
/// it was read: so an index of a hundred large attestations, asked for by many, weighs no more than one of them (A9, H5).
///
/// # Errors
/// [`Unread::Failed`] when a document that decides could not be had.
pub async fn shape_of(reader: &Reader, manifest: &Manifest, limits: &Limits) -> Result<Shape, Unread> {
    let mut budget = limits.total_bytes;
    let why = match manifest.kind() {
        ManifestKind::Image => of_image(reader, manifest, limits, &mut budget, Kind::of).await?,
        ManifestKind::Index => of_index(reader, manifest, limits, &mut budget).await?,
    };
    Ok(why.map_or(Shape::Evidence, Shape::Other))
}

/// Whether `manifest` is what `BuildKit` calls an attestation manifest: its layers are statements, bare or signed, or evidence.
/// The bytes are read here too: a client that does not ask what a layer is called unpacks it.
///
/// # Errors
/// As [`shape_of`].
pub async fn shape_of_attestations(reader: &Reader, manifest: &Manifest, limits: &Limits) -> Result<Shape, Unread> {
    let mut budget = limits.total_bytes;
    let why = match manifest.kind() {
        ManifestKind::Image => of_image(reader, manifest, limits, &mut budget, Kind::of_attestations).await?,
        ManifestKind::Index => Some("it is an index".into()),
    };
    Ok(why.map_or(Shape::Evidence, Shape::Other))
}

/// What speaks against it, if anything.
type Against = Option<String>;

async fn of_index(reader: &Reader, index: &Manifest, limits: &Limits, budget: &mut u64) -> Result<Against, Unread> {
    if index.manifests.is_empty() {
        return Ok(Some("the index lists nothing".into()));
    }
    if index.manifests.len() > limits.candidates {
        return Ok(Some(format!("the index lists more than {} manifests", limits.candidates)));
    }
    // A child that names a platform is there to be run; this spares reading ordinary indexes.
    if index.manifests.iter().any(|child| child.platform.as_deref().is_some_and(|name| name != "unknown/unknown")) {
        return Ok(Some("the index lists a platform".into()));
    }
    for child in &index.manifests {
        let child = match reader.manifest(&child.digest).await {
            Ok(read) => {
                if read.fresh {
                    keep(reader, &child.digest, &read.document.bytes().clone().into()).await;
                }
                read.document
            }
            Err(unread) => return against(unread),
        };
        if child.kind() == ManifestKind::Index {
            return Ok(Some("the index lists an index".into()));
        }
        if let Some(why) = of_image(reader, &child, limits, budget, Kind::of).await? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

async fn of_image(
    reader: &Reader,
    manifest: &Manifest,
    limits: &Limits,
    budget: &mut u64,
    kind_of: fn(&str) -> Option<Kind>,
) -> Result<Against, Unread> {
    if manifest.layers.is_empty() {
        return Ok(Some("it has no layers".into()));
    }
    let mut wanted: Vec<(&Descriptor, Kind, u64)> = Vec::with_capacity(manifest.layers.len() + 1);
    for layer in &manifest.layers {
        let Some(kind) = kind_of(&layer.media_type) else {
            return Ok(Some("a layer of it is none of the types of evidence".into()));
        };
        let limit = if kind == Kind::SimpleSigning { limits.signature_bytes } else { limits.attestation_bytes };
        wanted.push((layer, kind, limit));
    }
    wanted.extend(manifest.config.as_ref().map(|config| (config, Kind::Config, MAX_CONFIG)));
    for (descriptor, kind, limit) in wanted {
        let Some(left) = budget.checked_sub(descriptor.size) else {
            return Ok(Some(format!("it has more than {} bytes", limits.total_bytes)));
        };
        *budget = left;
        let Some(_share) = reader.shapes.take_for(&[descriptor.size], 0, reader.until).await else {
            return Err(Unread::Failed { why: "too much evidence is being read".into(), retry_after: None });
        };
        match reader.blob(&descriptor.digest, descriptor.size, limit).await {
            Ok(read) => {
                let document = read.document.clone();
                let reads = tokio::task::spawn_blocking(move || kind.reads(&document)).await;
                if !reads.map_err(|error| failed(format!("the task that was to read it is gone: {error}")))?? {
                    return Ok(Some(format!("{} is not what its media type says", descriptor.digest.short())));
                }
                if read.fresh {
                    keep(reader, &descriptor.digest, &read.document).await;
                }
            }
            Err(unread) => return against(unread),
        }
    }
    Ok(None)
}

async fn keep(reader: &Reader, digest: &Digest, document: &Document) {
    if let Err(error) = reader.documents.keep(digest, document).await {
        tracing::warn!(%digest, %error, "evidence is not kept");
    }
}

fn against(unread: Unread) -> Result<Against, Unread> {
    match unread {
        failed @ Unread::Failed { .. } => Err(failed),
        other @ (Unread::Absent | Unread::Limit(_) | Unread::Unusable(_)) => Ok(Some(other.to_string())),
    }
}

/// What a blob of an evidence manifest may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bundle,
    Config,
    CycloneDx,
    Dsse,
    SimpleSigning,
    Spdx,
    Statement,
}

impl Kind {
    /// By the media type of a layer; the closed list.
    fn of(name: &str) -> Option<Self> {
        if name.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX) {
            return Some(Self::Bundle);
        }
        match name {
            media_type::CYCLONEDX_JSON => Some(Self::CycloneDx),
            media_type::DSSE => Some(Self::Dsse),
            media_type::SIMPLE_SIGNING => Some(Self::SimpleSigning),
            media_type::SPDX_JSON | media_type::SPDX_TEXT => Some(Self::Spdx),
            _ => None,
        }
    }

    /// The same of a layer of an attestation manifest: in-toto's media types are `application/vnd.in-toto+json` of a statement, and
    /// `application/vnd.in-toto.<predicate>+dsse` of one that is signed.
    fn of_attestations(name: &str) -> Option<Self> {
        let signed = |rest: &str| rest.starts_with('.') && rest.ends_with("+dsse");
        match name.strip_prefix("application/vnd.in-toto") {
            Some("+json") => Some(Self::Statement),
            Some(rest) if signed(rest) => Some(Self::Dsse),
            Some(_) | None => Self::of(name),
        }
    }

    /// The keys a document of this kind has at its top.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Bundle => &["mediatype", "verificationmaterial"],
            Self::Config => &[],
            Self::CycloneDx => &["bomformat", "specversion"],
            Self::Dsse => &["payload", "payloadtype", "signatures"],
            Self::SimpleSigning => &["critical"],
            Self::Spdx => &["spdxid", "spdxversion"],
            Self::Statement => &["_type", "predicatetype"],
        }
    }

    /// Whether the document reads as this kind, and not as a manifest too. Walked as it is read: an SBOM of many megabytes
    /// costs no more than a small one. Keys are compared as Go's readers match them, in lower case.
    ///
    /// # Errors
    /// [`Unread::Failed`] when it could not be read again.
    fn reads(self, document: &Document) -> Result<bool, Unread> {
        /// Keys by which some client would take the document for a manifest.
        const OF_MANIFESTS: [&str; 4] = ["fslayers", "layers", "manifests", "schemaversion"];
        let rules = Rules { depth: 128, items: 0, keys: MAX_KEYS, free: Free::Values };
        let keys = match scan(document.open(), &rules, &[]) {
            Ok(scan) if scan.is_object => scan.keys,
            Ok(_) => return Ok(false),
            Err(ScanError::Malformed(_) | ScanError::TooLarge(_)) => return Ok(false),
            Err(ScanError::Unreadable(why)) => return Err(failed(why)),
        };
        let has = |wanted: &str| keys.iter().any(|key| key == wanted);
        Ok(self.keys().iter().all(|key| has(key)) && !OF_MANIFESTS.into_iter().any(has))
    }
}

/// How many keys a document may have at its top.
const MAX_KEYS: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        evidence::Budget,
        store::{Documents as _, Memory},
    };

    fn reads(kind: Kind, text: &str) -> bool {
        kind.reads(&Document::from(text.to_owned())).unwrap()
    }

    #[test]
    fn d9_the_bytes_must_read_as_the_type_they_claim() {
        for (kind, good) in [
            (Kind::Bundle, r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{}}"#),
            (Kind::CycloneDx, r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#),
            (Kind::Dsse, r#"{"payloadType":"x","payload":"","signatures":[]}"#),
            (Kind::SimpleSigning, r#"{"critical":{},"optional":null}"#),
            (Kind::Spdx, r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT"}"#),
            (Kind::Statement, r#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"x","subject":[],"predicate":{}}"#),
            (Kind::Config, "{}"),
        ] {
            assert!(reads(kind, good), "{kind:?}");
            assert!(!reads(kind, "\u{1f}\u{8b} gzip"), "{kind:?}");
            assert!(!reads(kind, "[]") && !reads(kind, "7") && !reads(kind, ""), "{kind:?}");
        }
        assert!(!reads(Kind::Bundle, "{}"));
        assert!(!reads(Kind::Spdx, r#"{"spdxVersion":"SPDX-2.3"}"#));
    }

    #[test]
    fn x13_what_also_reads_as_a_manifest_is_no_evidence() {
        for key in ["layers", "Layers", "manifests", "manifest\u{17f}", "schemaVersion", "fsLayers"] {
            let polyglot = format!(r#"{{"mediaType":"m","verificationMaterial":{{}},"{key}":[]}}"#);
            assert!(!reads(Kind::Bundle, &polyglot), "{key}");
            assert!(!reads(Kind::Config, &format!(r#"{{"{key}":2}}"#)), "{key}");
        }
    }

    #[test]
    fn d9_the_list_of_types_is_closed() {
        for (name, kind) in [
            ("application/vnd.dev.sigstore.bundle.v0.3+json", Kind::Bundle),
            (media_type::CYCLONEDX_JSON, Kind::CycloneDx),
            (media_type::DSSE, Kind::Dsse),
            (media_type::SIMPLE_SIGNING, Kind::SimpleSigning),
            (media_type::SPDX_JSON, Kind::Spdx),
            (media_type::SPDX_TEXT, Kind::Spdx),
        ] {
            assert_eq!(Kind::of(name), Some(kind), "{name}");
        }
        let in_toto = ["", ".provenance", "-x+dsse"].map(|rest| format!("application/vnd.in-toto{rest}"));
        let none = ["", "application/json", media_type::OCI_CONFIG, media_type::OCI_MANIFEST];
        for name in none.into_iter().chain(in_toto.iter().map(String::as_str)) {
            assert_eq!((Kind::of(name), Kind::of_attestations(name)), (None, None), "{name}");
        }
        // In-toto's count where an attestation manifest is looked at, and nowhere else.
        for (name, kind) in [
            ("application/vnd.in-toto+json", Kind::Statement),
            ("application/vnd.in-toto.provenance+dsse", Kind::Dsse),
            (media_type::DSSE, Kind::Dsse),
        ] {
            assert_eq!(Kind::of_attestations(name), Some(kind), "{name}");
            assert_eq!(Kind::of(name).is_some(), name == media_type::DSSE, "{name}");
        }
    }

    /// What is kept, and nothing else.
    struct Kept(Memory);

    impl Kept {
        async fn keep(&self, text: &str) -> Digest {
            let digest = Digest::sha256(text.as_bytes());
            self.0.write(&digest, &text.to_owned().into()).await.unwrap();
            digest
        }

        /// A manifest with one payload and a config of so many bytes.
        async fn image(&self, config: usize) -> Manifest {
            let (config, layer) = ("{}".to_owned() + &" ".repeat(config - 2), r#"{"critical":{}}"#);
            let describe =
                |name: &str, digest: Digest, size: usize| json!({"mediaType": name, "digest": digest.to_string(), "size": size});
            let document = json!({
                "schemaVersion": 2,
                "mediaType": media_type::OCI_MANIFEST,
                "config": describe(media_type::OCI_CONFIG, self.keep(&config).await, config.len()),
                "layers": [describe(media_type::SIMPLE_SIGNING, self.keep(layer).await, layer.len())],
            });
            self.manifest(&document).await
        }

        async fn index(&self, children: &[(&Manifest, Option<&str>)]) -> Manifest {
            let describe = |(child, architecture): &(&Manifest, Option<&str>)| {
                let mut entry = json!({
                    "mediaType": media_type::OCI_MANIFEST, "digest": child.digest().to_string(), "size": child.bytes().len(),
                });
                if let Some(name) = architecture {
                    entry["platform"] = json!({"os": name, "architecture": name});
                }
                entry
            };
            let manifests: Vec<_> = children.iter().map(describe).collect();
            self.manifest(&json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests})).await
        }

        async fn manifest(&self, document: &serde_json::Value) -> Manifest {
            let text = document.to_string();
            Manifest::parse(self.keep(&text).await, text.into(), None).unwrap()
        }

        async fn shape(self, manifest: &Manifest, limits: &Limits) -> Shape {
            let reader = Reader {
                upstream: None,
                documents: Arc::new(self.0),
                repository: "acme/app".parse().unwrap(),
                until: Instant::now(),
                budget: Budget::default(),
                shapes: Budget::default(),
            };
            shape_of(&reader, manifest, limits).await.unwrap()
        }
    }

    #[tokio::test]
    async fn d9_a_config_of_more_than_64_kib_is_no_evidences() {
        for (size, expected) in [(2, true), (65_536, true), (65_537, false)] {
            let kept = Kept(Memory::default());
            let manifest = kept.image(size).await;
            let shape = kept.shape(&manifest, &Limits::default()).await;
            assert_eq!(matches!(shape, Shape::Evidence), expected, "{size}: {shape:?}");
        }
    }

    #[tokio::test]
    async fn d9_a_payload_above_the_limit_of_signatures_is_no_evidences() {
        for (signature_bytes, expected) in [(15, true), (14, false)] {
            let kept = Kept(Memory::default());
            let manifest = kept.image(2).await;
            let shape = kept.shape(&manifest, &Limits { signature_bytes, ..Limits::default() }).await;
            assert_eq!(matches!(shape, Shape::Evidence), expected, "{signature_bytes}: {shape:?}");
        }
    }

    #[tokio::test]
    async fn d9_an_index_is_evidence_up_to_the_limit_of_candidates() {
        let limits = Limits { candidates: 2, ..Limits::default() };
        for (count, expected) in [(0, false), (1, true), (2, true), (3, false)] {
            let kept = Kept(Memory::default());
            let child = kept.image(2).await;
            let index = kept.index(&vec![(&child, None); count]).await;
            let shape = kept.shape(&index, &limits).await;
            assert_eq!(matches!(shape, Shape::Evidence), expected, "{count}: {shape:?}");
        }
    }

    #[tokio::test]
    async fn d9_an_index_that_lists_what_can_be_run_is_no_evidence() {
        for (platform, expected) in [("unknown", true), ("linux", false)] {
            let kept = Kept(Memory::default());
            let child = kept.image(2).await;
            let index = kept.index(&[(&child, None), (&child, Some(platform))]).await;
            let shape = kept.shape(&index, &Limits::default()).await;
            assert_eq!(matches!(shape, Shape::Evidence), expected, "{platform}: {shape:?}");
        }
    }
}
