//! What a manifest carries as evidence: bundles, and the layers of cosign's older `.sig` and `.att` manifests.
//!
//! The layers decide, not where the manifest was found and not its `artifactType`: cosign has published the same
//! layers under tags, as referrers, and with an image's config.

use super::{Content, Limits};
use crate::{
    oci::{Descriptor, Manifest, ManifestKind, media_type},
    store::Document,
};

/// cosign's annotations on a layer.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const REKOR_BUNDLE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// The form a layer was published in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A Sigstore bundle.
    Bundle,
    /// A DSSE envelope.
    Envelope,
    /// A simple signing payload.
    SimpleSigning,
}

impl Form {
    /// The form of a layer, by its media type; `None` for what cannot be evidence.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if name.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX) {
            return Some(Self::Bundle);
        }
        match name {
            media_type::DSSE => Some(Self::Envelope),
            media_type::SIMPLE_SIGNING => Some(Self::SimpleSigning),
            _ => None,
        }
    }

    /// How many bytes such a layer may have. A bundle may hold an attestation, which only its bytes tell.
    #[must_use]
    pub const fn limit(self, limits: &Limits) -> u64 {
        match self {
            Self::Bundle | Self::Envelope => limits.attestation_bytes,
            Self::SimpleSigning => limits.signature_bytes,
        }
    }

    /// What the configuration calls it.
    #[must_use]
    pub const fn limit_key(self) -> &'static str {
        match self {
            Self::Bundle | Self::Envelope => "limits.evidence.attestation_size",
            Self::SimpleSigning => "limits.evidence.signature_size",
        }
    }
}

/// The layers of `manifest` that may be evidence, with their forms. Empty where its own bytes show that it cannot be
/// evidence.
pub fn layers(manifest: &Manifest) -> impl Iterator<Item = (Form, &Descriptor)> {
    let carries = manifest.kind() == ManifestKind::Image;
    manifest.layers.iter().filter(move |_| carries).filter_map(|layer| Some((Form::of(&layer.media_type)?, layer)))
}

/// The content of a layer whose bytes were read.
///
/// # Errors
/// Says why it is no keyless evidence: an annotation is missing, or a signature's payload is too large for one.
pub fn content(form: Form, layer: &Descriptor, document: Document) -> Result<Content, &'static str> {
    let annotation = |key: &str| layer.annotations.get(key).filter(|text| !text.is_empty()).cloned();
    match form {
        Form::Bundle => Ok(Content::Bundle(document)),
        Form::Envelope => Ok(Content::CosignAttestation {
            envelope: document,
            certificate: annotation(CERTIFICATE).ok_or("it has no certificate: attested with a key, not keyless")?,
            rekor_bundle: annotation(REKOR_BUNDLE),
            timestamp: annotation(TIMESTAMP),
        }),
        Form::SimpleSigning => Ok(Content::CosignSignature {
            payload: document.held().cloned().ok_or("it has more than a mebibyte, which is no signature's payload")?,
            signature: annotation(SIGNATURE).ok_or("it has no signature annotation")?,
            certificate: annotation(CERTIFICATE).ok_or("it has no certificate: signed with a key, not keyless")?,
            rekor_bundle: annotation(REKOR_BUNDLE),
            timestamp: annotation(TIMESTAMP),
        }),
    }
}
