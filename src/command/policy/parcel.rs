//! An OCI layout that is written: images without their layers, and the evidence about them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    command::reference::layout_prefix,
    oci::{Digest, ImageName, json as strict, media_type::OCI_INDEX},
};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How large an `index.json` that is added to may be.
const MAX_INDEX: u64 = 16 << 20;

/// The layout in a directory, with what is to be added.
#[derive(Debug)]
pub(super) struct Parcel {
    root: PathBuf,
    entries: Vec<Value>,
}

impl Parcel {
    /// The layout in `root`, or an empty one.
    ///
    /// # Errors
    /// What cannot be read or made.
    pub(super) fn open(root: &Path) -> Result<Self, String> {
        use std::io::Read as _;
        let index = root.join("index.json");
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", index.display());
        let mut bytes = Vec::new();
        let entries = match std::fs::File::open(&index) {
            Ok(file) => {
                file.take(MAX_INDEX).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
                let document = strict::parse(&bytes).map_err(|error| failed(&error))?;
                document.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(&error)),
        };
        Ok(Self { root: root.to_owned(), entries })
    }

    /// Adds bytes under their digest.
    ///
    /// # Errors
    /// What the disk refuses.
    pub(super) fn blob(&self, digest: &Digest, bytes: &Bytes) -> Result<(), String> {
        let directory = self.root.join("blobs").join(digest.algorithm().as_str());
        let path = directory.join(digest.to_hex());
        if path.exists() {
            return Ok(());
        }
        publish(&directory, &path, bytes).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Names a manifest that was added, in place of what had that name: `reference` is a tag, or nothing.
    pub(super) fn name(&mut self, image: &ImageName, tag: Option<&str>, digest: &Digest, media_type: &str, size: usize) {
        let repository = format!("{}{}", layout_prefix(&image.host), image.repository);
        let name = tag.map_or_else(|| format!("{repository}@{digest}"), |tag| format!("{repository}:{tag}"));
        self.add(json!({"mediaType": media_type, "digest": digest, "size": size, "annotations": {REF_NAME: name}}));
    }

    fn add(&mut self, entry: Value) {
        let name = |entry: &Value| entry.pointer(&format!("/annotations/{REF_NAME}")).cloned();
        let new = name(&entry);
        self.entries.retain(|entry| new.is_none() || name(entry) != new);
        self.entries.push(entry);
    }

    /// Adds all that another layout has.
    ///
    /// # Errors
    /// What cannot be read, and what the disk refuses.
    pub(super) fn adopt(&mut self, other: Self) -> Result<(), String> {
        let Self { root, entries } = other;
        let copied = || -> std::io::Result<()> {
            for algorithm in std::fs::read_dir(root.join("blobs"))? {
                let from = algorithm?;
                let directory = self.root.join("blobs").join(from.file_name());
                for blob in std::fs::read_dir(from.path())? {
                    let blob = blob?;
                    let path = directory.join(blob.file_name());
                    if !path.exists() {
                        publish(&directory, &path, &std::fs::read(blob.path())?)?;
                    }
                }
            }
            Ok(())
        };
        copied().map_err(|error| format!("{}: {error}", self.root.display()))?;
        entries.into_iter().for_each(|entry| self.add(entry));
        Ok(())
    }

    /// Writes `index.json`, last of all: what it names is there.
    ///
    /// # Errors
    /// What the disk refuses.
    pub(super) fn finish(self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.root.display());
        publish(&self.root, &self.root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(failed)?;
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries});
        let text = serde_json::to_vec_pretty(&index).map_err(|error| error.to_string())?;
        publish(&self.root, &self.root.join("index.json"), &text).map_err(failed)
    }
}

fn publish(directory: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(directory)?;
    let mut staged = tempfile::NamedTempFile::new_in(directory)?;
    staged.write_all(bytes)?;
    // Kept beside policies in a repository, not a secret.
    staged.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    staged.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once() {
        let folder = tempfile::tempdir().unwrap();
        let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
        for text in ["one", "two"] {
            let mut parcel = Parcel::open(folder.path()).unwrap();
            let bytes = Bytes::from_static(text.as_bytes());
            parcel.blob(&Digest::sha256(&bytes), &bytes).unwrap();
            parcel.name(&image, Some("v1"), &Digest::sha256(&bytes), "type", bytes.len());
            parcel.finish().unwrap();
        }
        let parcel = Parcel::open(folder.path()).unwrap();
        assert_eq!(parcel.entries.len(), 1);
        assert_eq!(parcel.entries[0]["annotations"][REF_NAME], "ghcr.io/acme/app:v1");
        assert_eq!(parcel.entries[0]["digest"], Digest::sha256(b"two").to_string());
    }
}
