//! Manifests and indexes: the exact bytes, their digest, and what they list.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Descriptor, Digest,
    descriptor::{ALLOCATION, weight_of},
    json, media_type,
};

/// How large a manifest may be. The specification asks registries for 4 MB; containerd refuses above `4*1048*1048` bytes.
pub const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// How many descriptors a manifest or index may list.
pub const MAX_DESCRIPTORS: usize = 1_000;

/// Which of the four documents it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    /// An image or artifact manifest, OCI or Docker.
    Image,
    /// An index or manifest list.
    Index,
}

/// A manifest or index: the bytes as published, never serialised again, and our one reading of them.
///
/// # Invariants
/// The bytes hash to `digest`; they are at most [`MAX_MANIFEST`]; they are strict JSON; they are a manifest or an index
/// and not both; the media type is one of four and agrees with the body's own `mediaType`.
#[derive(Debug, Clone)]
pub struct Manifest {
    bytes: Bytes,
    digest: Digest,
    media_type: &'static str,
    kind: ManifestKind,
    /// `artifactType`, where it is given.
    pub artifact_type: Option<String>,
    /// `subject`, where it is given.
    pub subject: Option<Descriptor>,
    /// An image's config.
    pub config: Option<Descriptor>,
    /// An image's layers, or an artifact's content.
    pub layers: Vec<Descriptor>,
    /// An index's manifests.
    pub manifests: Vec<Descriptor>,
    /// `annotations` of the document.
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes with the right digest are no acceptable manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It could be read as a manifest and as an index (CVE-2021-41190).
    #[error("the document is ambiguous: {0}")]
    Ambiguous(String),
    /// It is not JSON, or not strict JSON, or a field is wrong.
    #[error("the manifest is malformed: {0}")]
    Malformed(String),
    /// Docker schema 1: its digest does not cover all its bytes.
    #[error("schema 1 manifests are not served")]
    SchemaOne,
    /// Larger than [`MAX_MANIFEST`], or more descriptors than [`MAX_DESCRIPTORS`].
    #[error("the manifest is too large: {0}")]
    TooLarge(String),
    /// The transport's Content-Type is not the body's media type. The upstream's fault, not the content's.
    #[error("Content-Type `{header}` does not agree with the body, which is {body}")]
    TypeMismatch {
        /// What the upstream's header said.
        header: String,
        /// What the body is.
        body: String,
    },
}

impl Manifest {
    /// Reads `bytes`, which the caller found to hash to `digest`, as a manifest.
    ///
    /// `content_type` is the upstream's header, where there was one; it must agree with the body.
    ///
    /// # Errors
    /// [`ManifestError`] says why the document is not served.
    pub fn parse(digest: Digest, bytes: Bytes, content_type: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(format!("{} bytes, at most {MAX_MANIFEST}", bytes.len())));
        }
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let value = json::parse(&bytes).map_err(malformed)?;
        let object = value.as_object().ok_or_else(|| ManifestError::Malformed("it is not an object".into()))?;
        if let Some(key) = known_key_variant(object) {
            return Err(ManifestError::Ambiguous(format!("key `{key}` differs from the specification's only by case")));
        }
        if object.get("schemaVersion") == Some(&Value::from(1)) || object.contains_key("fsLayers") {
            return Err(ManifestError::SchemaOne);
        }
        if object.get("schemaVersion") != Some(&Value::from(2)) {
            return Err(ManifestError::Malformed("schemaVersion is not 2".into()));
        }
        let (kind, media_type) = classify(object, content_type)?;
        let list = |key: &str| descriptors(object, key);
        let single = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                Descriptor::from_value(value).map(Some).map_err(|why| ManifestError::Malformed(format!("`{key}` {why}")))
            }
        };
        let manifest = Self {
            digest,
            media_type,
            kind,
            artifact_type: object.get("artifactType").and_then(Value::as_str).map(str::to_owned),
            subject: single("subject")?,
            config: single("config")?,
            layers: list("layers")?,
            manifests: list("manifests")?,
            annotations: annotations(object)?,
            bytes,
        };
        if kind == ManifestKind::Image && manifest.config.is_none() {
            return Err(ManifestError::Malformed("it has no `config`".into()));
        }
        Ok(manifest)
    }

    /// The bytes as published.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What the bytes hash to, by the algorithm they were asked for with.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The media type, derived from the body.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Manifest or index.
    #[must_use]
    pub const fn kind(&self) -> ManifestKind {
        self.kind
    }

    /// About what it takes in memory, in bytes: the document and our reading of it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let listed = self.layers.iter().chain(&self.manifests).map(|one| size_of::<Descriptor>() + one.texts());
        let single = self.subject.iter().chain(&self.config).map(Descriptor::texts);
        // Itself, its bytes and who shares them, two lists.
        let pieces = 5 * ALLOCATION + size_of::<Self>() + self.bytes.len();
        pieces + listed.chain(single).sum::<usize>() + weight_of(&self.annotations)
    }

    /// The blobs this manifest lists: config and layers. An index lists none.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// Whether this index lists `child`.
    #[must_use]
    pub fn lists(&self, child: &Digest) -> bool {
        self.manifests.iter().any(|descriptor| descriptor.digest == *child)
    }

    /// Whether this manifest lists `blob` as config or layer.
    #[must_use]
    pub fn lists_blob(&self, blob: &Digest) -> bool {
        self.blobs().any(|descriptor| descriptor.digest == *blob)
    }
}

const KNOWN_KEYS: [&str; 9] =
    ["schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "fsLayers"];

fn known_key_variant(object: &Map<String, Value>) -> Option<String> {
    object
        .keys()
        .find(|key| KNOWN_KEYS.iter().any(|known| key.to_lowercase() == known.to_lowercase() && key.as_str() != *known))
        .cloned()
}

/// Which document it is, by its body first: the body decides what it is, and must not contradict itself or the header.
fn classify(object: &Map<String, Value>, header: Option<&str>) -> Result<(ManifestKind, &'static str), ManifestError> {
    let has = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
    let index = has("manifests");
    let image = has("layers") || has("config");
    if index && image {
        return Err(ManifestError::Ambiguous("it has `manifests` and also `config` or `layers`".into()));
    }
    let known = |name: &str| match name {
        media_type::OCI_MANIFEST => Some((ManifestKind::Image, media_type::OCI_MANIFEST)),
        media_type::DOCKER_MANIFEST => Some((ManifestKind::Image, media_type::DOCKER_MANIFEST)),
        media_type::OCI_INDEX => Some((ManifestKind::Index, media_type::OCI_INDEX)),
        media_type::DOCKER_LIST => Some((ManifestKind::Index, media_type::DOCKER_LIST)),
        _ => None,
    };
    let header = header.map(media_type::essence).filter(|header| !header.is_empty());
    let named = match object.get("mediaType") {
        None => None,
        Some(Value::String(name)) => Some(
            known(name).ok_or_else(|| ManifestError::Malformed(format!("mediaType `{}` is none that is served", short(name))))?,
        ),
        Some(_) => return Err(ManifestError::Malformed("`mediaType` is not a string".into())),
    };
    let by_header = header.as_deref().and_then(known);
    let (kind, name) = match (named, by_header, &header) {
        (Some(named), Some(header), _) if named != header => {
            return Err(ManifestError::TypeMismatch { header: header.1.into(), body: named.1.into() });
        }
        (Some(named), None, Some(header)) => {
            return Err(ManifestError::TypeMismatch { header: short(header), body: named.1.into() });
        }
        (Some(named), _, _) => named,
        (None, Some(header), _) => header,
        (None, None, Some(header)) => {
            let body = if index { "an index without `mediaType`" } else { "a manifest without `mediaType`" };
            return Err(ManifestError::TypeMismatch { header: short(header), body: body.into() });
        }
        (None, None, None) if index => (ManifestKind::Index, media_type::OCI_INDEX),
        (None, None, None) => (ManifestKind::Image, media_type::OCI_MANIFEST),
    };
    match kind {
        ManifestKind::Image if index => Err(ManifestError::Ambiguous(format!("it has `manifests` but says {name}"))),
        ManifestKind::Index if image => Err(ManifestError::Ambiguous(format!("it has `config` or `layers` but says {name}"))),
        ManifestKind::Image | ManifestKind::Index => Ok((kind, name)),
    }
}

fn short(text: &str) -> String {
    text.escape_default().take(100).collect()
}

fn descriptors(object: &Map<String, Value>, key: &str) -> Result<Vec<Descriptor>, ManifestError> {
    match object.get(key) {
        // Go writes a nil slice as null, and readers take it as empty.
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() > MAX_DESCRIPTORS => {
            Err(ManifestError::TooLarge(format!("{} entries in `{key}`, at most {MAX_DESCRIPTORS}", list.len())))
        }
        Some(Value::Array(list)) => {
            // Room for as many as there are: collecting results would begin with four, each as large as most manifests' text.
            let mut read = Vec::with_capacity(list.len());
            for (at, value) in list.iter().enumerate() {
                let wrong = |why| ManifestError::Malformed(format!("`{key}[{at}]` {why}"));
                read.push(Descriptor::from_value(value).map_err(wrong)?);
            }
            Ok(read)
        }
        Some(_) => Err(ManifestError::Malformed(format!("`{key}` is not a list"))),
    }
}

fn annotations(object: &Map<String, Value>) -> Result<BTreeMap<String, String>, ManifestError> {
    match object.get("annotations") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key.clone(), text.clone())),
                _ => Err(ManifestError::Malformed(format!("annotation `{}` is not a string", short(key)))),
            })
            .collect(),
        Some(_) => Err(ManifestError::Malformed("`annotations` is not an object".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#;

    fn parse(text: &str, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        Manifest::parse(Digest::sha256(text.as_bytes()), Bytes::copy_from_slice(text.as_bytes()), content_type)
    }

    fn image(extra: &str) -> String {
        format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[{CONFIG}]{extra}}}"#)
    }

    fn index(extra: &str) -> String {
        format!(r#"{{"schemaVersion":2,"manifests":[{CONFIG}]{extra}}}"#)
    }

    #[test]
    fn the_four_documents_are_read_by_body_or_by_header() {
        for (text, header, media_type, kind) in [
            (image(""), Some(media_type::OCI_MANIFEST), media_type::OCI_MANIFEST, ManifestKind::Image),
            (image(""), Some(media_type::DOCKER_MANIFEST), media_type::DOCKER_MANIFEST, ManifestKind::Image),
            (image(""), None, media_type::OCI_MANIFEST, ManifestKind::Image),
            (
                index(""),
                Some("application/vnd.oci.image.index.v1+json; charset=utf-8"),
                media_type::OCI_INDEX,
                ManifestKind::Index,
            ),
            (index(""), Some(media_type::DOCKER_LIST), media_type::DOCKER_LIST, ManifestKind::Index),
            (
                index(r#","mediaType":"application/vnd.oci.image.index.v1+json""#),
                None,
                media_type::OCI_INDEX,
                ManifestKind::Index,
            ),
        ] {
            let manifest = parse(&text, header).unwrap();
            assert_eq!((manifest.media_type(), manifest.kind()), (media_type, kind), "{text}");
        }
    }

    #[test]
    fn x6_header_and_body_must_agree() {
        let typed = image(r#","mediaType":"application/vnd.oci.image.manifest.v1+json""#);
        for (text, header) in [
            (typed.as_str(), media_type::DOCKER_MANIFEST),
            (typed.as_str(), media_type::OCI_INDEX),
            (typed.as_str(), "text/html"),
            (image("").as_str(), "text/html"),
            (index("").as_str(), "application/json"),
        ] {
            assert!(matches!(parse(text, Some(header)), Err(ManifestError::TypeMismatch { .. })), "{header}: {text}");
        }
    }

    #[test]
    fn x8_a_document_that_is_both_is_neither() {
        for (text, header) in [
            (image(&format!(r#","manifests":[{CONFIG}]"#)), None),
            (index(&format!(r#","config":{CONFIG}"#)), None),
            (index(r#","layers":[]"#), None),
            (image(r#","mediaType":"application/vnd.oci.image.index.v1+json""#), None),
            (index(r#","mediaType":"application/vnd.oci.image.manifest.v1+json""#), None),
            (index(""), Some(media_type::OCI_MANIFEST)),
            (image(""), Some(media_type::OCI_INDEX)),
            (image(r#","Manifests":[]"#), None),
            (image(r#","mediatype":"application/vnd.oci.image.index.v1+json""#), None),
        ] {
            assert!(matches!(parse(&text, header), Err(ManifestError::Ambiguous(_))), "{text} {:?}", parse(&text, header));
        }
    }

    #[test]
    fn c13_what_a_manifest_weighs_grows_with_all_it_holds() {
        let weight = |extra: &str| parse(&image(extra), None).unwrap().weight();
        let bare = weight("");
        assert!(bare > size_of::<Manifest>() + image("").len() + size_of::<Descriptor>());
        // In the bytes and in our reading of them.
        assert!(weight(&format!(r#","annotations":{{"a":"{}"}}"#, "x".repeat(1_000))) > bare + 2_000);
        assert!(weight(&format!(r#","subject":{CONFIG}"#)) > bare + CONFIG.len());
        let listed = |count: usize| index("").replace(CONFIG, &vec![CONFIG; count].join(","));
        let (one, hundred) = (parse(&listed(1), None).unwrap().weight(), parse(&listed(100), None).unwrap().weight());
        assert!(hundred > one + 99 * (CONFIG.len() + size_of::<Descriptor>()));
    }

    #[test]
    fn schema_one_is_refused_by_name() {
        for text in [r#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#.to_owned(), image(r#","fsLayers":[]"#)] {
            assert_eq!(parse(&text, None).unwrap_err(), ManifestError::SchemaOne);
        }
    }

    #[test]
    fn malformed_documents_say_which_field() {
        for (text, field) in [
            (r#"{"schemaVersion":2,"layers":[]}"#.to_owned(), "config"),
            (r#"{"schemaVersion":2,"manifests":[{"digest":"x","size":1}]}"#.to_owned(), "manifests[0]"),
            (r#"{"schemaVersion":2,"manifests":{}}"#.to_owned(), "manifests"),
            (image(r#","annotations":{"a":1}"#), "annotation"),
            (image(r#","subject":{}"#), "subject"),
            (r#"{"schemaVersion":"2"}"#.to_owned(), "schemaVersion"),
            ("[]".to_owned(), "object"),
        ] {
            let error = parse(&text, None).unwrap_err();
            assert!(matches!(&error, ManifestError::Malformed(why) if why.contains(field)), "{text}: {error}");
        }
    }

    #[test]
    fn null_lists_are_empty_and_odd_platforms_are_ignored() {
        let text = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":null,"annotations":null,"subject":null}}"#);
        assert_eq!(parse(&text, None).unwrap().layers, []);
        let text = index("").replace(r#""size":2"#, r#""size":2,"platform":{"os":7}"#);
        assert_eq!(parse(&text, None).unwrap().manifests[0].platform, None);
    }

    #[test]
    fn x7_too_many_descriptors_and_too_many_bytes_are_refused() {
        let many = vec![CONFIG; MAX_DESCRIPTORS + 1].join(",");
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#);
        assert!(matches!(parse(&text, None), Err(ManifestError::TooLarge(_))));
        let text = image(&format!(r#","annotations":{{"a":"{}"}}"#, "x".repeat(MAX_MANIFEST)));
        assert!(matches!(parse(&text, None), Err(ManifestError::TooLarge(_))));
    }
}
