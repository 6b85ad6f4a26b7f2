//! What is published: images, indexes, referrers, tags.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{BUNDLE, RELEASE, REPO, World, attestation, signature};
use crate::oci::{Digest, Tag, media_type};

impl World {
    pub(in crate::gate) fn blob(&self, repository: &str, bytes: impl Into<Bytes>) -> (Digest, usize) {
        let bytes = bytes.into();
        let (digest, size) = (Digest::sha256(&bytes), bytes.len());
        self.fake.state().blobs.insert((repository.into(), digest), bytes);
        (digest, size)
    }

    /// Publishes a manifest as it is.
    pub(in crate::gate) fn manifest(&self, repository: &str, document: &Value) -> Digest {
        let content_type = document["mediaType"].as_str().map(str::to_owned);
        self.raw(repository, document.to_string(), content_type)
    }

    pub(in crate::gate) fn raw(&self, repository: &str, bytes: impl Into<Bytes>, content_type: Option<String>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        self.fake.state().manifests.insert((repository.into(), digest), (bytes, content_type));
        digest
    }

    /// The bytes of a manifest under another digest than their own.
    pub(in crate::gate) fn lie(&self, repository: &str, digest: Digest, bytes: &'static str) {
        self.fake.state().manifests.insert((repository.into(), digest), (bytes.into(), None));
    }

    pub(in crate::gate) fn remove(&self, repository: &str, digest: &Digest) {
        self.fake.state().manifests.remove(&(repository.into(), *digest));
    }

    /// An image that can be run, told from others by `seed`.
    pub(in crate::gate) fn image(&self, repository: &str, seed: &str) -> Digest {
        let (config, config_size) = self.blob(repository, format!("{{\"os\":\"linux\",\"seed\":\"{seed}\"}}"));
        let (layer, layer_size) = self.blob(repository, format!("layer of {seed}"));
        self.manifest(
            repository,
            &json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
                "config": descriptor(media_type::OCI_CONFIG, config, config_size),
                "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer, layer_size)],
            }),
        )
    }

    pub(in crate::gate) fn layer_of(seed: &str) -> Digest {
        Digest::sha256(format!("layer of {seed}").as_bytes())
    }

    pub(in crate::gate) fn index(&self, repository: &str, children: &[Digest]) -> Digest {
        let children: Vec<Value> = children.iter().map(|child| descriptor(media_type::OCI_MANIFEST, *child, 100)).collect();
        self.raw(repository, index_of(&children), Some(media_type::OCI_INDEX.into()))
    }

    /// An index of these, each with its platform where it has one.
    pub(in crate::gate) fn platforms(&self, children: &[(Digest, Option<&str>)]) -> Digest {
        let child = |(digest, platform): &(Digest, Option<&str>)| {
            let mut child = descriptor(media_type::OCI_MANIFEST, *digest, 100);
            if let Some((os, architecture)) = platform.and_then(|platform| platform.split_once('/')) {
                child["platform"] = json!({"os": os, "architecture": architecture});
            }
            child
        };
        let children: Vec<Value> = children.iter().map(child).collect();
        self.raw(REPO, index_of(&children), Some(media_type::OCI_INDEX.into()))
    }

    pub(in crate::gate) fn tag(&self, repository: &str, tag: &str, digest: Digest) {
        self.fake.state().tags.insert((repository.into(), tag.into()), digest);
    }

    /// What a tag means.
    pub(in crate::gate) fn fake_tag(&self, repository: &str, tag: &str) -> Digest {
        self.fake.state().tags[&(repository.to_owned(), tag.to_owned())]
    }

    pub(in crate::gate) fn bytes_of(&self, repository: &str, digest: Digest) -> Bytes {
        self.fake.state().manifests[&(repository.to_owned(), digest)].0.clone()
    }

    /// Other bytes under a blob's digest.
    pub(in crate::gate) fn lie_blob(&self, repository: &str, digest: Digest, bytes: String) {
        self.fake.state().blobs.insert((repository.into(), digest), bytes.into());
    }

    pub(in crate::gate) fn set_parents(&self, child: Digest, parents: &[Digest]) {
        self.fake.state().parents.insert(child, parents.to_vec());
    }

    pub(in crate::gate) fn set_listing(&self, blob: Digest, manifests: &[Digest]) {
        self.fake.state().listing.insert(blob, manifests.to_vec());
    }

    /// Lists `manifest` as a referrer of `subject`, in the API or under the tag.
    pub(in crate::gate) fn refer(&self, repository: &str, subject: Digest, manifest: Digest, artifact_type: Option<&str>) {
        let size = self.fake.state().manifests.get(&(repository.into(), manifest)).map_or(100, |(bytes, _)| bytes.len());
        self.refer_as(repository, subject, manifest, artifact_type, size);
    }

    /// The same with a size that its listing claims.
    pub(in crate::gate) fn refer_as(
        &self,
        repository: &str,
        subject: Digest,
        manifest: Digest,
        artifact_type: Option<&str>,
        size: usize,
    ) {
        let mut entry = descriptor(media_type::OCI_MANIFEST, manifest, size);
        if let Some(name) = artifact_type {
            entry["artifactType"] = name.into();
        }
        let listed = {
            let mut state = self.fake.state();
            let list = state.referrers.entry((repository.into(), subject)).or_default();
            list.push(entry);
            if self.fake.api { None } else { Some(index_of(list)) }
        };
        if let Some(index) = listed {
            let index = self.raw(repository, index, Some(media_type::OCI_INDEX.into()));
            self.tag(repository, Tag::referrers_of(&subject).as_str(), index);
        }
    }

    pub(in crate::gate) fn withdraw(&self, repository: &str, subject: Digest) {
        let mut state = self.fake.state();
        state.referrers.remove(&(repository.into(), subject));
        state.tags.remove(&(repository.into(), Tag::referrers_of(&subject).to_string()));
    }

    /// A manifest with one layer of `media_type`, about `subject` as anybody may claim.
    pub(in crate::gate) fn artifact(&self, repository: &str, subject: Digest, media_type: &str, content: &str) -> Digest {
        let (layer, size) = self.blob(repository, content.to_owned());
        let (empty, _) = self.blob(repository, "{}");
        self.manifest(
            repository,
            &json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": media_type,
                "config": descriptor(media_type::OCI_EMPTY, empty, 2),
                "layers": [descriptor(media_type, layer, size)],
                "subject": descriptor(media_type::OCI_MANIFEST, subject, 100),
            }),
        )
    }

    /// Attaches a bundle.
    pub(in crate::gate) fn attach(&self, repository: &str, subject: Digest, bundle: &Value) -> Digest {
        let manifest = self.artifact(repository, subject, BUNDLE, &bundle.to_string());
        self.refer(repository, subject, manifest, Some(BUNDLE));
        manifest
    }

    /// Publishes a cosign tag of `subject` with one layer for each content and signer.
    pub(in crate::gate) fn cosign(&self, repository: &str, subject: Digest, suffix: &str, layers: &[(Value, &str)]) -> Digest {
        let (config, size) = self.blob(repository, "{\"rootfs\":{}}");
        let name = if suffix == "sig" { media_type::SIMPLE_SIGNING } else { media_type::DSSE };
        let layers: Vec<Value> = layers
            .iter()
            .map(|(content, by)| {
                let (layer, size) = self.blob(repository, content.to_string());
                let mut layer = descriptor(name, layer, size);
                layer["annotations"] =
                    json!({"dev.cosignproject.cosign/signature": by, "dev.sigstore.cosign/certificate": "a certificate"});
                layer
            })
            .collect();
        let manifest = self.manifest(
            repository,
            &json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
                "config": descriptor(media_type::OCI_CONFIG, config, size), "layers": layers,
            }),
        );
        self.tag(repository, Tag::cosign(&subject, suffix).unwrap().as_str(), manifest);
        manifest
    }

    /// The same manifest under its SHA-512 digest.
    pub(in crate::gate) fn also_as_sha512(&self, repository: &str, digest: Digest) -> Digest {
        let mut state = self.fake.state();
        let manifest = state.manifests.get(&(repository.into(), digest)).cloned().unwrap();
        let other = Digest::of(crate::oci::Algorithm::Sha512, &manifest.0);
        state.manifests.insert((repository.into(), other), manifest);
        other
    }

    /// Signs, and attests an SBOM, as `by`.
    pub(in crate::gate) fn sign(&self, repository: &str, subject: Digest, by: &str) -> [Digest; 2] {
        [self.attach(repository, subject, &signature(subject, by)), self.attach(repository, subject, &attestation(subject, by))]
    }

    /// A signed image.
    pub(in crate::gate) fn signed(&self, seed: &str) -> Digest {
        let image = self.image(REPO, seed);
        self.sign(REPO, image, RELEASE);
        image
    }
}

pub(in crate::gate) fn index_of(entries: &[Value]) -> Bytes {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries}).to_string().into()
}

pub(in crate::gate) fn descriptor(media_type: &str, digest: Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}
