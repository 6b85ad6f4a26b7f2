//! The media types the gate acts on. Any other is carried as it is.

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI empty descriptor, config of artifacts.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A Sigstore bundle, any version: the type starts so.
pub const SIGSTORE_BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// cosign's simple signing payload, the layer of a `.sig` manifest.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// A DSSE envelope, the layer of an `.att` manifest.
pub const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
/// SPDX as JSON.
pub const SPDX_JSON: &str = "application/spdx+json";
/// SPDX in cosign's `.sbom` attachments.
pub const SPDX_TEXT: &str = "text/spdx+json";
/// CycloneDX as JSON.
pub const CYCLONEDX_JSON: &str = "application/vnd.cyclonedx+json";

/// What the gate asks an upstream for, whatever the client accepts: the four kinds of manifest it can judge.
pub const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The bare type: what stands before parameters, trimmed, in lower case.
#[must_use]
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use oci_spec::image::{MediaType, ToDockerV2S2 as _};

    use super::*;

    #[test]
    fn the_names_are_the_specifications() {
        for (ours, named) in [
            (OCI_MANIFEST, MediaType::ImageManifest),
            (OCI_INDEX, MediaType::ImageIndex),
            (OCI_CONFIG, MediaType::ImageConfig),
            (OCI_EMPTY, MediaType::EmptyJSON),
        ] {
            assert_eq!(ours, named.to_string());
        }
        assert_eq!(MediaType::ImageManifest.to_docker_v2s2(), Ok(DOCKER_MANIFEST));
        assert_eq!(MediaType::ImageIndex.to_docker_v2s2(), Ok(DOCKER_LIST));
        assert_eq!(MediaType::ImageConfig.to_docker_v2s2(), Ok(DOCKER_CONFIG));
    }
}
