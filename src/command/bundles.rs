//! Bundles from files, in place of what a registry has.

use std::{collections::HashMap, path::Path};

use bytes::Bytes;
use serde_json::json;

use crate::oci::{Digest, media_type};

/// A file of bundles: what a search for evidence reads at most.
const MAX_FILE: u64 = 128 << 20;
/// The media type that newer bundles carry in a registry.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Bundles from files, as the manifests and layers a registry would have of them: so they take the way all evidence takes.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    pub(super) index: Bytes,
    pub(super) manifests: HashMap<Digest, Bytes>,
    pub(super) layers: HashMap<Digest, Bytes>,
}

impl Bundles {
    /// Reads `files`, each with one bundle, or with one a line as `gh attestation download` writes them.
    ///
    /// # Errors
    /// Which file cannot be read, and why.
    pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Self, String> {
        use std::io::Read as _;
        let mut bundles = Self::default();
        let mut listed = Vec::new();
        for file in files {
            let shown = file.as_ref().display();
            let mut text = String::new();
            std::fs::File::open(file)
                .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
                .map_err(|error| format!("{shown} cannot be read: {error}"))?;
            if text.len() as u64 > MAX_FILE {
                return Err(format!("{shown} is larger than {MAX_FILE} bytes"));
            }
            let is_object = |text: &str| serde_json::from_str::<HashMap<&str, &serde_json::value::RawValue>>(text).is_ok();
            let lines: Vec<&str> = if is_object(&text) {
                vec![text.trim()]
            } else {
                text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
            };
            if lines.is_empty() || !lines.iter().all(|line| is_object(line)) {
                return Err(format!("{shown} is neither a bundle nor one bundle a line"));
            }
            listed.extend(lines.into_iter().map(|line| bundles.add(line)));
        }
        bundles.index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": listed}).to_string().into();
        Ok(bundles)
    }

    /// Adds a bundle; its descriptor.
    fn add(&mut self, bundle: &str) -> serde_json::Value {
        let layer = Bytes::copy_from_slice(bundle.as_bytes());
        let (digest, size) = (Digest::sha256(&layer), layer.len());
        self.layers.insert(digest, layer);
        let empty = json!({"mediaType": media_type::OCI_EMPTY, "digest": Digest::sha256(b"{}"), "size": 2});
        let manifest: Bytes = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": BUNDLE, "config": empty,
            "layers": [{"mediaType": BUNDLE, "digest": digest, "size": size}],
        })
        .to_string()
        .into();
        let (digest, size) = (Digest::sha256(&manifest), manifest.len());
        self.manifests.insert(digest, manifest);
        json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": size, "artifactType": BUNDLE})
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &str) -> Result<Bundles, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Bundles::read(&[file.path()])
    }

    #[test]
    fn a_file_has_one_bundle_or_one_a_line() {
        assert_eq!(read("{\n \"a\": 1\n}\n").unwrap().layers.len(), 1);
        let two = read("{\"a\": 1}\n\n{\"a\": 2}\n").unwrap();
        assert_eq!((two.layers.len(), two.manifests.len()), (2, 2));
        for wrong in ["", "[]", "{\"a\": 1}\nnonsense", "\u{1}"] {
            assert!(read(wrong).unwrap_err().contains("neither a bundle nor one bundle a line"), "{wrong}");
        }
        assert!(Bundles::read(&["/nonexistent"]).unwrap_err().contains("cannot be read"));
    }
}
