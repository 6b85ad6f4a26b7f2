use serde_json::{Value, json};

use super::{super::*, open};
use crate::oci::media_type::OCI_MANIFEST;

/// A layout being made.
pub(super) struct Draft {
    pub(super) root: tempfile::TempDir,
    pub(super) entries: Vec<Value>,
}

impl Draft {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("blobs/sha256")).unwrap();
        std::fs::create_dir_all(root.path().join("blobs/sha512")).unwrap();
        std::fs::write(root.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let draft = Self { root, entries: Vec::new() };
        draft.write();
        draft
    }

    pub(super) fn write(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.entries});
        std::fs::write(self.root.path().join("index.json"), index.to_string()).unwrap();
    }

    pub(super) fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        std::fs::write(files::blob_path(self.root.path(), &digest), bytes).unwrap();
        digest
    }

    /// A manifest with one layer, perhaps about a subject.
    pub(super) fn image(&self, layer: &str, subject: Option<Digest>, config_type: &str) -> Digest {
        self.manifest(layer.as_bytes(), "text/plain", subject, config_type)
    }

    pub(super) fn manifest(&self, layer: &[u8], layer_type: &str, subject: Option<Digest>, config_type: &str) -> Digest {
        let descriptor = |digest: Digest, size: usize, kind: &str| json!({"mediaType": kind, "digest": digest, "size": size});
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(self.blob(b"{}"), 2, config_type),
            "layers": [descriptor(self.blob(layer), layer.len(), layer_type)],
            "annotations": {"made": String::from_utf8_lossy(layer)},
        });
        if let Some(subject) = subject {
            manifest["subject"] = descriptor(subject, 1, OCI_MANIFEST);
        }
        self.blob(manifest.to_string().as_bytes())
    }

    pub(super) fn index(&self, children: &[Digest]) -> Digest {
        let list: Vec<_> = children.iter().map(|c| json!({"mediaType": OCI_MANIFEST, "digest": c, "size": 1})).collect();
        self.blob(json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list}).to_string().as_bytes())
    }

    pub(super) fn entry(&mut self, digest: Digest, name: Option<&str>) {
        let annotations = name.map(|name| json!({"org.opencontainers.image.ref.name": name}));
        self.entries.push(json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "annotations": annotations}));
        self.write();
    }

    pub(super) fn open(&self) -> Layout {
        open(self.root.path()).unwrap()
    }
}
