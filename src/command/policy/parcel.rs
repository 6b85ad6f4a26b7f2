//! An OCI layout that is written: images without their layers, and the evidence about them.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustix::{fs::FlockOperation, io::Errno};
use serde_json::{Value, json};

use crate::{
    command::{reference::layout_prefix, streams::tell, text},
    oci::{Digest, ImageName, Tag, json as strict, media_type::OCI_INDEX},
};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How large an `index.json` that is added to may be.
const MAX_INDEX: u64 = 16 << 20;

/// The layout in a directory, with what is to be added.
#[derive(Debug)]
pub(super) struct Parcel {
    root: PathBuf,
    entries: Vec<Value>,
    /// Held until this is dropped: what another process adds between what is read here and what is written would be lost.
    _held: File,
}

impl Parcel {
    /// The layout in `root`, or an empty one, as soon as nobody else has it open.
    ///
    /// # Errors
    /// What cannot be read or made.
    pub(super) fn open(root: &Path) -> Result<Self, String> {
        use std::io::Read as _;
        let held = lock(root).map_err(|error| format!("{}: {error}", text::path(root)))?;
        let index = root.join("index.json");
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", text::path(&index));
        let mut bytes = Vec::new();
        let entries = match File::open(&index) {
            Ok(file) => {
                file.take(MAX_INDEX).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
                let document = strict::parse(&bytes).map_err(|error| failed(&error))?;
                document.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(&error)),
        };
        Ok(Self { root: root.to_owned(), entries, _held: held })
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
        publish(&directory, &path, bytes).map_err(|error| format!("{}: {error}", text::path(&path)))
    }

    /// Names a manifest that was added, in place of what had that name: `tag` is a tag, or nothing. What had a tag before keeps
    /// its digest for a name, since cases are about digests.
    pub(super) fn name(&mut self, image: &ImageName, tag: Option<&str>, digest: &Digest, media_type: &str, size: usize) {
        let repository = format!("{}{}", layout_prefix(&image.host), image.repository);
        let name = tag.map_or_else(|| format!("{repository}@{digest}"), |tag| format!("{repository}:{tag}"));
        self.add(json!({"mediaType": media_type, "digest": digest, "size": size, "annotations": {REF_NAME: name}}));
    }

    fn add(&mut self, entry: Value) {
        let has = |entries: &[Value], name: &str| entries.iter().any(|entry| name_of(entry) == Some(name));
        if let Some(name) = name_of(&entry) {
            let (before, mut entries): (Vec<_>, Vec<_>) = self.entries.drain(..).partition(|entry| name_of(entry) == Some(name));
            for mut old in before {
                if let Some(by_digest) = by_digest(&old).filter(|name| !has(&entries, name) && old["digest"] != entry["digest"]) {
                    old["annotations"][REF_NAME] = by_digest.into();
                    entries.push(old);
                }
            }
            self.entries = entries;
        }
        self.entries.push(entry);
    }

    /// Adds all that the layout `aside` has, and writes it.
    ///
    /// # Errors
    /// What cannot be read, and what the disk refuses.
    pub(super) fn adopt(&mut self, aside: &Path) -> Result<(), String> {
        let Self { root, entries, _held } = Self::open(aside)?;
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
        copied().map_err(|error| format!("{}: {error}", text::path(&self.root)))?;
        entries.into_iter().for_each(|entry| self.add(entry));
        self.finish()
    }

    /// Writes `index.json`, last of all: what it names is there.
    ///
    /// # Errors
    /// What the disk refuses.
    pub(super) fn finish(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", text::path(&self.root));
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries});
        let text = serde_json::to_vec_pretty(&index).map_err(|error| error.to_string())?;
        publish(&self.root, &self.root.join("index.json"), &text).map_err(failed)
    }
}

/// Waits until nobody else holds the layout, and holds it. By the one file of a layout that stays as it is: no other is left behind
/// in somebody's repository.
fn lock(root: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(root)?;
    let path = root.join("oci-layout");
    // One that is only to be read can be held as well.
    let mut file = match File::options().read(true).write(true).create(true).truncate(false).open(&path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(&path)?,
        opened => opened?,
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            tell(&format_args!("waiting for another who records into {}", text::path(root)));
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        }
        // Not every file system has locks.
        Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP) => {}
        Err(error) => return Err(error.into()),
    }
    if file.metadata()?.len() == 0 {
        file.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    }
    Ok(file)
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

/// What an entry that is named by a tag is called without it. Not evidence by the tag of which it is found: its manifest would be
/// one more image, and that of which it is in place has all of it.
fn by_digest(entry: &Value) -> Option<String> {
    let (repository, tag) = name_of(entry)?.rsplit_once(':').filter(|(repository, _)| !repository.contains('@'))?;
    let is_attachment = tag.parse::<Tag>().is_ok_and(|tag| tag.attachment_of().is_some());
    (!is_attachment).then(|| Some(format!("{repository}@{}", entry.get("digest")?.as_str()?))).flatten()
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

    /// What the layout in `folder` names after each of `texts` was added under the tag.
    fn named(folder: &Path, tag: &str, texts: &[&'static str]) -> Vec<(String, Value)> {
        let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
        for text in texts {
            let mut parcel = Parcel::open(folder).unwrap();
            let bytes = Bytes::from_static(text.as_bytes());
            parcel.blob(&Digest::sha256(&bytes), &bytes).unwrap();
            parcel.name(&image, Some(tag), &Digest::sha256(&bytes), "type", bytes.len());
            parcel.finish().unwrap();
        }
        let entries = Parcel::open(folder).unwrap().entries;
        entries.iter().map(|entry| (name_of(entry).unwrap().to_owned(), entry["digest"].clone())).collect()
    }

    #[test]
    fn a_tag_stands_once_and_what_it_meant_is_kept_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |text: &str| Digest::sha256(text.as_bytes()).to_string();
        let tagged = |text: &str| ("ghcr.io/acme/app:v1".to_owned(), digest(text).into());
        let kept = |text: &str| (format!("ghcr.io/acme/app@{}", digest(text)), digest(text).into());
        assert_eq!(named(folder.path(), "v1", &["one", "one"]), [tagged("one")]);
        assert_eq!(named(folder.path(), "v1", &["two"]), [kept("one"), tagged("two")]);
        assert_eq!(named(folder.path(), "v1", &["one", "two", "three"]), [kept("one"), kept("two"), tagged("three")]);
        let mut other = Parcel::open(folder.path()).unwrap();
        let into = tempfile::tempdir().unwrap();
        named(into.path(), "v1", &["four"]);
        let mut parcel = Parcel::open(into.path()).unwrap();
        other.entries.drain(..2);
        other.finish().unwrap();
        drop(other);
        parcel.adopt(folder.path()).unwrap();
        drop(parcel);
        assert_eq!(named(into.path(), "v1", &[]), [kept("four"), tagged("three")]);
    }

    #[test]
    fn a_layout_is_written_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let taken = || {
            let file = File::open(folder.path().join("oci-layout")).unwrap();
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
        };
        for _ in 0..2 {
            let parcel = Parcel::open(folder.path()).unwrap();
            assert!(taken());
            parcel.finish().unwrap();
            assert!(taken(), "until the case is written, too");
            drop(parcel);
            assert!(!taken());
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    }

    #[test]
    fn evidence_that_was_replaced_is_no_image() {
        for suffix in ["", ".sig", ".att"] {
            let folder = tempfile::tempdir().unwrap();
            let tag = format!("sha256-{}{suffix}", "a".repeat(64));
            assert_eq!(named(folder.path(), &tag, &["one", "two"]).len(), 1, "{suffix}");
        }
    }
}
