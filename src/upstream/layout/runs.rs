//! Whether a manifest of a layout is of an image or of evidence about one: a tag, or what lists it, says nothing of that.

use std::path::Path;

use super::files::{self, FileError};
use crate::oci::{
    Descriptor, Manifest,
    media_type::{self, CYCLONEDX_JSON, DOCKER_CONFIG, DSSE, OCI_CONFIG, SIMPLE_SIGNING, SPDX_JSON, SPDX_TEXT},
};

/// How much of a layer is looked at to see that it is text, as all evidence is.
const PEEKED: usize = 512;

/// Whether what is no index has the configuration of an image and not only evidence for layers, and so may be run.
///
/// # Errors
/// What the system does not give.
pub(super) fn runs(root: &Path, manifest: &Manifest) -> Result<bool, FileError> {
    Ok(has_image_config(manifest) && !holds_evidence_only(root, manifest)?)
}

fn has_image_config(manifest: &Manifest) -> bool {
    let is_image = |config: &Descriptor| matches!(media_type::essence(&config.media_type).as_str(), DOCKER_CONFIG | OCI_CONFIG);
    manifest.config.as_ref().is_some_and(is_image)
}

/// Whether every layer is evidence, as in cosign's `.sig`, `.att` and `.sbom` manifests, whose configuration is an image's. Anybody
/// can call a layer so, and not every client asks what it is called before it unpacks it: so it must also be text, which no
/// archive is.
fn holds_evidence_only(root: &Path, manifest: &Manifest) -> Result<bool, FileError> {
    let is_called_so = manifest.layers.iter().all(|layer| is_of_evidence(&layer.media_type));
    if manifest.layers.is_empty() || !is_called_so {
        return Ok(false);
    }
    for layer in &manifest.layers {
        match files::begin(&files::blob_path(root, &layer.digest), PEEKED) {
            Ok(begin) if is_text(&begin) => {}
            // Where it is not there it cannot be run from here.
            Err(FileError::Missing(_)) => {}
            Err(error @ FileError::Unreadable { .. }) => return Err(error),
            Ok(_) | Err(FileError::NotRegular(_) | FileError::TooLarge { .. }) => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether a layer of this media type is a signature, an attestation or an SBOM: those the gate reads, and the others that
/// `cosign attach sbom` writes.
fn is_of_evidence(name: &str) -> bool {
    let name = media_type::essence(name);
    let read = [CYCLONEDX_JSON, DSSE, SIMPLE_SIGNING, SPDX_JSON, SPDX_TEXT];
    let attached = ["application/vnd.cyclonedx+xml", "application/vnd.syft+json", "text/spdx"];
    name.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX) || read.iter().chain(&attached).any(|known| *known == name)
}

/// Whether what begins so is text: archives, compressed or not, have bytes that no text has within their first header.
fn is_text(begin: &[u8]) -> bool {
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // A character may have been cut.
        Err(error) if error.error_len().is_none() => {
            begin.get(..error.valid_up_to()).map(str::from_utf8).and_then(Result::ok).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
}
