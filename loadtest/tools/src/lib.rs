//! Images by number, the same in every process: what the origin answers and what is asked of it.

use sha2::{Digest as _, Sha256};

/// A SHA-256, as in `sha256:<hex>`.
pub type Hash = [u8; 32];

/// What a digest of the origin names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Manifest,
    Config,
    Layer,
}

/// How large a layer is: small, so that what is measured is the number of things, not their size.
const LAYER: usize = 600;

#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// `sha256:<hex>`.
#[must_use]
pub fn name(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash in `sha256:<hex>`.
#[must_use]
pub fn parse(name: &str) -> Option<Hash> {
    let hex = name.strip_prefix("sha256:").filter(|hex| hex.len() == 64)?;
    let mut hash = [0; 32];
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The bytes of one thing of image `number`.
#[must_use]
pub fn bytes(number: u32, kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Config => format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"number":{number},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            name(&hash(&bytes(number, Kind::Layer)))
        )
        .into_bytes(),
        Kind::Layer => {
            let mut layer = format!("layer of image {number}\n").into_bytes();
            layer.resize(LAYER, b'.');
            layer
        }
        Kind::Manifest => {
            let described = |kind, media_type| {
                let bytes = bytes(number, kind);
                format!(
                    r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#,
                    name(&hash(&bytes)),
                    bytes.len()
                )
            };
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
                described(Kind::Config, "application/vnd.oci.image.config.v1+json"),
                described(Kind::Layer, "application/vnd.oci.image.layer.v1.tar")
            )
            .into_bytes()
        }
    }
}

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
