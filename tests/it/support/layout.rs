//! The recorded images, read from the OCI layout under `tests/fixtures/acme`.

use std::{collections::BTreeMap, path::PathBuf};

use bytes::Bytes;
use pullgate::oci::Digest;
use serde::Deserialize;

pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme")
}

/// `cases.json`: the answers a gate must give.
#[derive(Debug, Deserialize)]
pub struct Cases {
    pub issuer: String,
    pub identity: String,
    pub cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
pub struct Case {
    pub repository: String,
    pub digest: String,
    pub admit: bool,
    pub what: String,
    #[serde(default)]
    pub children: Vec<String>,
}

pub fn cases() -> Cases {
    serde_json::from_slice(&std::fs::read(fixtures().join("cases.json")).unwrap()).unwrap()
}

/// What the layout holds: tags by repository, and every blob.
#[derive(Debug)]
pub struct Recorded {
    /// (repository, tag) → digest.
    pub tags: BTreeMap<(String, String), Digest>,
    pub blobs: BTreeMap<Digest, Bytes>,
}

pub fn recorded() -> Recorded {
    let root = fixtures().join("registry");
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let tags = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
            let (repository, tag) = name.rsplit_once(':').unwrap();
            ((repository.to_owned(), tag.to_owned()), entry["digest"].as_str().unwrap().parse().unwrap())
        })
        .collect();
    let blobs = std::fs::read_dir(root.join("blobs/sha256"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let digest = format!("sha256:{}", path.file_name().unwrap().to_str().unwrap()).parse().unwrap();
            (digest, Bytes::from(std::fs::read(path).unwrap()))
        })
        .collect();
    Recorded { tags, blobs }
}
