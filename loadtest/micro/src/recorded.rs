//! The recorded images of `tests/fixtures/acme`.

use std::{collections::HashMap, fs, path::PathBuf};

use bytes::Bytes;
use pullgate::{evidence::Content, oci::Digest};
use serde_json::Value;

/// The host they are named by.
pub const HOST: &str = "registry.acme.test";
/// The policy they were recorded for: a signature with two claims, and an SPDX attestation by the same signer.
pub const POLICY: &str = include_str!("../../../config/quickstart/acme.yaml");
/// Whom it trusts.
pub const TRUSTED_ROOT: &str = include_str!("../../../tests/fixtures/acme/trusted_root.json");

/// An OCI layout, read into memory.
#[derive(Debug, Default)]
pub struct Layout {
    /// Every blob and manifest.
    pub blobs: HashMap<Digest, Bytes>,
    /// `repository:tag` → manifest.
    pub tags: HashMap<String, Digest>,
}

impl Layout {
    /// The recorded one.
    ///
    /// # Panics
    /// It is not there, or not what the tests take it for.
    #[must_use]
    pub fn acme() -> Self {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/acme/registry"));
        let mut layout = Self::default();
        for entry in fs::read_dir(root.join("blobs/sha256")).expect("the layout's blobs") {
            let bytes = Bytes::from(fs::read(entry.expect("a blob").path()).expect("a blob"));
            layout.blobs.insert(Digest::sha256(&bytes), bytes);
        }
        let index: Value = serde_json::from_slice(&fs::read(root.join("index.json")).expect("index.json")).expect("JSON");
        for entry in index["manifests"].as_array().expect("a list") {
            let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().expect("a name");
            layout.tags.insert(name.to_owned(), digest(&entry["digest"]));
        }
        layout
    }

    /// What `repository:tag` is.
    #[must_use]
    pub fn tag(&self, name: &str) -> Digest {
        self.tags[name]
    }

    /// The bundles attached to `subject` of `repository` under its referrers tag, the signature first.
    #[must_use]
    pub fn bundles(&self, repository: &str, subject: &Digest) -> Vec<Bytes> {
        let index = self.json(&self.tag(&format!("{repository}:sha256-{}", subject.to_hex())));
        let manifests = index["manifests"].as_array().expect("a list");
        let mut bundles: Vec<_> = manifests.iter().map(|entry| self.layer(&digest(&entry["digest"]))).collect();
        // The two statements differ in size: a signature's says nothing but the subject.
        bundles.sort_by_key(Bytes::len);
        bundles
    }

    /// The one layer of a manifest.
    fn layer(&self, manifest: &Digest) -> Bytes {
        self.blobs[&digest(&self.json(manifest)["layers"][0]["digest"])].clone()
    }

    fn json(&self, digest: &Digest) -> Value {
        serde_json::from_slice(&self.blobs[digest]).expect("JSON")
    }
}

/// A bundle as evidence.
#[must_use]
pub fn content(bundle: &Bytes) -> Content {
    Content::Bundle(bundle.clone().into())
}

fn digest(text: &Value) -> Digest {
    text.as_str().expect("a digest").parse().expect("a digest")
}
