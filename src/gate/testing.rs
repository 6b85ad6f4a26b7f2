//! A world in memory: an upstream with a script, a verifier that reads in the evidence what it proves, a wall clock that
//! follows the paused one.

#![expect(clippy::disallowed_types, reason = "a poisoned lock here means that the test has failed already")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{BlobVerdict, Config, Gate, NoVerdict, Permit, Refusal, Subject, Verdict};
use crate::{
    evidence::{Content, Limits},
    oci::{Digest, Host, ImageName, Reference, Repository, Tag, media_type},
    policy::{
        PolicySet, Unmatched,
        deny::{DenyList, parse_denials},
    },
    store::{self, Documents, Facts},
    upstream::{BlobStream, FetchedManifest, ReferrersAnswer, ReferrersPage, Resolved, TagsPage, Upstream, UpstreamError},
    verify::{
        CLAIMS, DEFAULT_TRUST_ROOT, Epoch, LogEntry, LogEvidence, Predicate, Proven, SanKind, Signer, Statement, TrustState,
        Unready, Verified, Verifier, VerifyError,
    },
};

pub(super) const RELEASE: &str = "https://ci.acme.test/release";
pub(super) const MALLORY: &str = "https://ci.mallory.test/release";
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const ISSUER: &str = "https://issuer.test";

/// What an upstream does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Denied,
    Down,
    Hangs,
    Lies,
    Throttles,
}

/// What kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    Blob,
    ManifestByDigest,
    ManifestByTag,
    Referrers,
}

#[derive(Debug, Default)]
struct State {
    /// By repository and digest: bytes and Content-Type.
    manifests: HashMap<(String, Digest), (Bytes, Option<String>)>,
    blobs: HashMap<(String, Digest), Bytes>,
    tags: HashMap<(String, String), Digest>,
    referrers: HashMap<(String, Digest), Vec<Value>>,
    parents: HashMap<Digest, Vec<Digest>>,
    faults: HashMap<Ask, Fault>,
    /// What cannot be asked about, whatever the rest.
    unreachable: HashSet<String>,
    /// Every request, in order.
    asked: Vec<(Ask, String)>,
}

#[derive(Debug)]
pub(super) struct Fake {
    host: Host,
    api: bool,
    page: usize,
    state: Mutex<State>,
    delay: Duration,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn ask(&self, ask: Ask, what: String) -> Result<(), UpstreamError> {
        let fault = {
            let mut state = self.state();
            let fault = state.faults.get(&ask).copied().or_else(|| state.unreachable.contains(&what).then_some(Fault::Down));
            state.asked.push((ask, what));
            fault
        };
        tokio::time::sleep(self.delay).await;
        let host = self.host.to_string();
        match fault {
            None => Ok(()),
            Some(Fault::Denied) => Err(UpstreamError::Denied { host, status: 403 }),
            Some(Fault::Down) => Err(UpstreamError::Unreachable { host, source: Arc::new(std::io::Error::other("down")) }),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Lies) => Err(UpstreamError::Lied { host, what: "another digest".into() }),
            Some(Fault::Throttles) => Err(UpstreamError::Throttled { host, retry_after: Some(Duration::from_secs(7)) }),
        }
    }
}

#[async_trait]
impl Upstream for Fake {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        self.ask(Ask::ManifestByTag, tag.to_string()).await?;
        let digest = self.state().tags.get(&(repository.to_string(), tag.to_string())).copied();
        Ok(Resolved { digest: digest.ok_or(UpstreamError::NotFound)?, manifest: None })
    }

    async fn manifest(&self, repository: &Repository, reference: &Reference) -> Result<FetchedManifest, UpstreamError> {
        let digest = match reference {
            Reference::Digest(digest) => {
                self.ask(Ask::ManifestByDigest, digest.to_string()).await?;
                *digest
            }
            Reference::Tag(tag) => self.resolve(repository, tag).await?.digest,
        };
        let found = self.state().manifests.get(&(repository.to_string(), digest)).cloned();
        let (bytes, content_type) = found.ok_or(UpstreamError::NotFound)?;
        Ok(FetchedManifest { digest, bytes, content_type })
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        self.ask(Ask::Referrers, subject.to_string()).await?;
        if !self.api {
            return Ok(ReferrersAnswer::NoApi);
        }
        let from: usize = next.map_or(0, |next| next.parse().unwrap());
        let all = self.state().referrers.get(&(repository.to_string(), *subject)).cloned().unwrap_or_default();
        let page: Vec<Value> = all.iter().skip(from).take(self.page).cloned().collect();
        let next = (from + self.page < all.len()).then(|| (from + self.page).to_string());
        Ok(ReferrersAnswer::Page(ReferrersPage { bytes: index_of(&page), next }))
    }

    async fn tags(&self, _: &Repository, _: Option<u32>, _: Option<&str>) -> Result<TagsPage, UpstreamError> {
        Ok(TagsPage::default())
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        let found = self.state().blobs.get(&(repository.to_string(), *digest)).map(|bytes| bytes.len() as u64);
        found.ok_or(UpstreamError::NotFound)
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        self.ask(Ask::Blob, digest.to_string()).await?;
        let found = self.state().blobs.get(&(repository.to_string(), *digest)).cloned();
        let bytes = found.ok_or(UpstreamError::NotFound)?;
        // In two pieces, as a network would.
        let half = bytes.len() / 2;
        let pieces = [Ok(bytes.slice(..half)), Ok(bytes.slice(half..))];
        Ok(BlobStream { size: None, pieces: stream::iter(pieces).boxed() })
    }

    async fn parents(&self, _: &Repository, child: &Digest) -> Vec<Digest> {
        self.state().parents.get(child).cloned().unwrap_or_default()
    }
}

pub(super) fn index_of(entries: &[Value]) -> Bytes {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries}).to_string().into()
}

pub(super) fn descriptor(media_type: &str, digest: Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

/// Reads in a piece what it proves: `{"about": digest, "by": subject, "proves": "signature" | predicate type, "predicate": …}`
/// or `{"ahead": seconds}`, or `{"panics": true}`, or `{"unreadable": why}`, or `{"fails": code}`; `"damaged": true` beside a predicate makes it
/// fail when a policy reads it. Anything else proves nothing. `at` is when it was signed (1970), `entry` where it is logged
/// in the log `abab…`, and `claims` are the signer's.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) epoch: Epoch,
    pub(super) runs: Arc<AtomicUsize>,
    /// Whose log or authority this trust root no longer knows.
    pub(super) distrusts: Option<String>,
    /// Roots that are not ready.
    pub(super) unready: Vec<Unready>,
}

impl Verifier for Scripted {
    fn verify(&self, subject: &Digest, content: &Content) -> Result<Vec<Verified>, VerifyError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let bytes = match content {
            Content::Bundle(document) | Content::CosignAttestation { envelope: document, .. } => {
                document.whole(u64::MAX).ok().flatten().ok_or_else(|| VerifyError::Unreadable("as the script says".into()))?
            }
            Content::CosignSignature { payload: bytes, .. } => bytes.clone(),
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| VerifyError::Malformed(error.to_string()))?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        assert!(value["panics"].is_null(), "as the script says");
        if let Some(why) = text("unreadable") {
            return Err(VerifyError::Unreadable(why));
        }
        match text("fails").as_deref() {
            Some("too_large") => return Err(VerifyError::TooLarge("as the script says".into())),
            Some("unsupported_log_entry") => return Err(VerifyError::UnsupportedLogEntry("intoto 0.0.1".into())),
            Some(other) => panic!("{other}"),
            None => {}
        }
        if let Some(ahead_seconds) = value["ahead"].as_u64() {
            return Err(VerifyError::Clock { ahead_seconds });
        }
        let about = text("about").ok_or_else(|| VerifyError::Malformed("garbage".into()))?;
        if about != subject.to_string() {
            return Err(VerifyError::OtherSubject { found: about });
        }
        // As cosign does, a `.sig` layer may name its signer where two share a payload.
        let by = match content {
            Content::CosignSignature { signature, .. } if signature.starts_with("https://") => signature.clone(),
            Content::Bundle(_) | Content::CosignAttestation { .. } | Content::CosignSignature { .. } => {
                text("by").unwrap_or_default()
            }
        };
        if self.distrusts.as_ref() == Some(&by) {
            return Err(VerifyError::Log("unknown log".into()));
        }
        let content = match text("proves").as_deref() {
            Some("signature") => Proven::Signature,
            Some(predicate_type) => Proven::Attestation(Statement {
                predicate_type: predicate_type.to_owned(),
                predicate: match value["damaged"].as_bool() {
                    Some(true) => Predicate::unreadable(),
                    Some(false) | None => value["predicate"].to_string().into(),
                },
            }),
            None => return Err(VerifyError::Malformed("proves nothing".into())),
        };
        let signer = Signer {
            trust_root: DEFAULT_TRUST_ROOT.into(),
            issuer: ISSUER.into(),
            san_kind: SanKind::Uri,
            subject: by,
            claims: claims(&value["claims"]),
        };
        let at = text("at").map_or(Timestamp::UNIX_EPOCH, |at| at.parse().unwrap());
        let entries = value["entry"].as_u64().map(|index| LogEntry { log: "ab".repeat(32), index: Some(index) });
        let entries = entries.into_iter().collect();
        Ok(vec![Verified { signer, content, times: vec![at], log: LogEvidence::Proof, entries, source: None }])
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn unready(&self) -> &[Unready] {
        &self.unready
    }
}

fn claims(script: &Value) -> BTreeMap<&'static str, String> {
    let claim = |name: &&'static str| Some((*name, script[*name].as_str()?.to_owned()));
    CLAIMS.iter().filter_map(claim).collect()
}

/// A permit that a test may drop: that it was given is the proof.
pub(super) struct Given(Permit);

impl std::ops::Deref for Given {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        &self.0
    }
}

/// Everything a test needs: change it, ask it, restart it.
pub(super) struct World {
    pub(super) fake: Arc<Fake>,
    pub(super) documents: Arc<store::Memory>,
    pub(super) facts: Arc<dyn Facts>,
    pub(super) policies: Arc<ArcSwap<PolicySet>>,
    pub(super) trust: Arc<ArcSwap<TrustState>>,
    pub(super) runs: Arc<AtomicUsize>,
    pub(super) config: Config,
    pub(super) gate: Arc<Gate>,
    began: (tokio::time::Instant, Timestamp),
}

pub(super) const REPO: &str = "acme/app";

/// A policy for `images`, wanting a signature and an SPDX attestation by `subject`.
pub(super) fn policy(name: &str, images: &str, subject: &str, mode: &str) -> String {
    format!(
        "name: {name}\nimages: [\"{images}\"]\nmode: {mode}\nsignatures:\n  - keyless:\n      issuer: {ISSUER}\n      \
         subject: {subject}\n"
    )
}

pub(super) fn policies(text: &str, unmatched: Unmatched) -> PolicySet {
    PolicySet::from_text(Path::new("test.yaml"), text, unmatched).unwrap()
}

pub(super) fn config() -> Config {
    Config {
        verdict_ttl: Duration::from_secs(3_600),
        refusal_ttl: Duration::from_secs(10),
        max_stale: Some(Duration::from_secs(24 * 3_600)),
        deadline: Duration::from_secs(25),
        verdicts: 1_000,
        manifest_bytes: 64 << 20,
        limits: Limits::default(),
        verify_threads: 2,
    }
}

pub(super) fn spdx() -> Value {
    json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
        "documentNamespace": "https://acme.test/app", "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: x"]},
        "packages": [{"name": "openssl", "SPDXID": "SPDXRef-openssl", "downloadLocation": "NOASSERTION"}]
    })
}

impl World {
    /// An upstream with the referrers API, and one enforcing policy for `reg.test/acme/**`.
    pub(super) fn new() -> Self {
        Self::build(true, config())
    }

    pub(super) fn without_api() -> Self {
        Self::build(false, config())
    }

    pub(super) fn build(api: bool, config: Config) -> Self {
        Self::built(api, 1_000, config)
    }

    pub(super) fn built(api: bool, page: usize, config: Config) -> Self {
        let fake = Arc::new(Fake {
            host: "reg.test".parse().unwrap(),
            api,
            page,
            state: Mutex::default(),
            delay: Duration::from_millis(10),
        });
        let set = policies(&policy("release", "reg.test/acme/**", RELEASE, "enforce"), Unmatched::Deny);
        let runs = Arc::new(AtomicUsize::new(0));
        let documents = Arc::new(store::Memory::default());
        let (policies, trust) = (Arc::new(ArcSwap::from_pointee(set)), Arc::new(ArcSwap::from_pointee(root(1, None, &runs))));
        let began = (tokio::time::Instant::now(), "2026-11-22T12:00:00Z".parse().unwrap());
        let facts: Arc<dyn Facts> = Arc::<store::Memory>::clone(&documents);
        let gate = start(&config, &documents, &facts, &policies, &trust, began);
        Self { fake, documents, facts, policies, trust, runs, config, gate, began }
    }

    /// The wall clock.
    pub(super) fn now(&self) -> Timestamp {
        self.began.1 + self.began.0.elapsed()
    }

    /// Another process on the same store.
    pub(super) fn restart(&mut self) {
        self.gate = start(&self.config, &self.documents, &self.facts, &self.policies, &self.trust, self.began);
    }

    pub(super) fn set_clock(&mut self, now: &str) {
        self.began = (tokio::time::Instant::now(), now.parse().unwrap());
        self.restart();
    }

    pub(super) fn set_policies(&self, text: &str, unmatched: Unmatched) {
        self.policies.store(Arc::new(policies(text, unmatched)));
    }

    /// Puts a deny-list in force, in place of the one before.
    pub(super) fn deny(&self, text: &str) {
        let mut problems = Vec::new();
        let denials = parse_denials(Path::new("deny.yaml"), text, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let policies = PolicySet::clone(&self.policies.load()).with_deny(DenyList::new(denials));
        self.policies.store(Arc::new(policies));
    }

    /// Another trust root, perhaps one that no longer knows who vouched for `distrusts`.
    pub(super) fn set_root(&self, number: u8, distrusts: Option<&str>) {
        self.trust.store(Arc::new(root(number, distrusts, &self.runs)));
    }

    /// The first trust root, which does not know who vouched for `distrusts`, while the root called `name` is not ready.
    pub(super) fn set_unready(&self, name: &str, distrusts: Option<&str>) {
        let unready = vec![Unready { name: name.into(), why: "never refreshed".into() }];
        self.trust.store(Arc::new(root_with(1, distrusts, &self.runs, unready)));
    }

    pub(super) fn fault(&self, ask: Ask, fault: Fault) {
        self.fake.state().faults.insert(ask, fault);
    }

    pub(super) fn all_fail(&self, fault: Fault) {
        for ask in [Ask::Blob, Ask::ManifestByDigest, Ask::ManifestByTag, Ask::Referrers] {
            self.fault(ask, fault);
        }
    }

    /// The referrers of this digest cannot be listed.
    pub(super) fn hide_referrers(&self, digest: Digest) {
        self.fake.state().unreachable.insert(digest.to_string());
    }

    pub(super) fn mend(&self) {
        self.fake.state().unreachable.clear();
        self.fake.state().faults.clear();
    }

    /// How often it was asked for that.
    pub(super) fn asked(&self, ask: Ask) -> usize {
        self.fake.state().asked.iter().filter(|(kind, _)| *kind == ask).count()
    }

    pub(super) fn asked_for(&self, digest: &Digest) -> usize {
        let digest = digest.to_string();
        self.fake.state().asked.iter().filter(|(kind, what)| *kind == Ask::ManifestByDigest && *what == digest).count()
    }

    pub(super) fn forget_asked(&self) {
        self.fake.state().asked.clear();
    }

    pub(super) fn asked_at_all(&self) -> usize {
        self.fake.state().asked.len()
    }

    pub(super) fn blob(&self, repository: &str, bytes: impl Into<Bytes>) -> (Digest, usize) {
        let bytes = bytes.into();
        let (digest, size) = (Digest::sha256(&bytes), bytes.len());
        self.fake.state().blobs.insert((repository.into(), digest), bytes);
        (digest, size)
    }

    /// Publishes a manifest as it is.
    pub(super) fn manifest(&self, repository: &str, document: &Value) -> Digest {
        let content_type = document["mediaType"].as_str().map(str::to_owned);
        self.raw(repository, document.to_string(), content_type)
    }

    pub(super) fn raw(&self, repository: &str, bytes: impl Into<Bytes>, content_type: Option<String>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        self.fake.state().manifests.insert((repository.into(), digest), (bytes, content_type));
        digest
    }

    /// The bytes of a manifest under another digest than their own.
    pub(super) fn lie(&self, repository: &str, digest: Digest, bytes: &'static str) {
        self.fake.state().manifests.insert((repository.into(), digest), (bytes.into(), None));
    }

    pub(super) fn remove(&self, repository: &str, digest: &Digest) {
        self.fake.state().manifests.remove(&(repository.into(), *digest));
    }

    /// An image that can be run, told from others by `seed`.
    pub(super) fn image(&self, repository: &str, seed: &str) -> Digest {
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

    pub(super) fn layer_of(seed: &str) -> Digest {
        Digest::sha256(format!("layer of {seed}").as_bytes())
    }

    pub(super) fn index(&self, repository: &str, children: &[Digest]) -> Digest {
        let children: Vec<Value> = children.iter().map(|child| descriptor(media_type::OCI_MANIFEST, *child, 100)).collect();
        self.raw(repository, index_of(&children), Some(media_type::OCI_INDEX.into()))
    }

    /// An index of these, each with its platform where it has one.
    pub(super) fn platforms(&self, children: &[(Digest, Option<&str>)]) -> Digest {
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

    pub(super) fn tag(&self, repository: &str, tag: &str, digest: Digest) {
        self.fake.state().tags.insert((repository.into(), tag.into()), digest);
    }

    /// What a tag means.
    pub(super) fn fake_tag(&self, repository: &str, tag: &str) -> Digest {
        self.fake.state().tags[&(repository.to_owned(), tag.to_owned())]
    }

    pub(super) fn bytes_of(&self, repository: &str, digest: Digest) -> Bytes {
        self.fake.state().manifests[&(repository.to_owned(), digest)].0.clone()
    }

    /// Other bytes under a blob's digest.
    pub(super) fn lie_blob(&self, repository: &str, digest: Digest, bytes: String) {
        self.fake.state().blobs.insert((repository.into(), digest), bytes.into());
    }

    pub(super) fn set_parents(&self, child: Digest, parents: &[Digest]) {
        self.fake.state().parents.insert(child, parents.to_vec());
    }

    /// Lists `manifest` as a referrer of `subject`, in the API or under the tag.
    pub(super) fn refer(&self, repository: &str, subject: Digest, manifest: Digest, artifact_type: Option<&str>) {
        let mut entry = descriptor(media_type::OCI_MANIFEST, manifest, 100);
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

    pub(super) fn withdraw(&self, repository: &str, subject: Digest) {
        let mut state = self.fake.state();
        state.referrers.remove(&(repository.into(), subject));
        state.tags.remove(&(repository.into(), Tag::referrers_of(&subject).to_string()));
    }

    /// A manifest with one layer of `media_type`, about `subject` as anybody may claim.
    pub(super) fn artifact(&self, repository: &str, subject: Digest, media_type: &str, content: &str) -> Digest {
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
    pub(super) fn attach(&self, repository: &str, subject: Digest, bundle: &Value) -> Digest {
        let manifest = self.artifact(repository, subject, BUNDLE, &bundle.to_string());
        self.refer(repository, subject, manifest, Some(BUNDLE));
        manifest
    }

    /// Publishes a cosign tag of `subject` with one layer for each content and signer.
    pub(super) fn cosign(&self, repository: &str, subject: Digest, suffix: &str, layers: &[(Value, &str)]) -> Digest {
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
    pub(super) fn also_as_sha512(&self, repository: &str, digest: Digest) -> Digest {
        let mut state = self.fake.state();
        let manifest = state.manifests.get(&(repository.into(), digest)).cloned().unwrap();
        let other = Digest::of(crate::oci::Algorithm::Sha512, &manifest.0);
        state.manifests.insert((repository.into(), other), manifest);
        other
    }

    /// Signs, and attests an SBOM, as `by`.
    pub(super) fn sign(&self, repository: &str, subject: Digest, by: &str) -> [Digest; 2] {
        [self.attach(repository, subject, &signature(subject, by)), self.attach(repository, subject, &attestation(subject, by))]
    }

    /// A signed image.
    pub(super) fn signed(&self, seed: &str) -> Digest {
        let image = self.image(REPO, seed);
        self.sign(REPO, image, RELEASE);
        image
    }

    pub(super) fn upstream(&self) -> Arc<dyn Upstream> {
        Arc::<Fake>::clone(&self.fake)
    }

    pub(super) fn subject(&self, repository: &str, digest: Digest) -> Subject {
        Subject { upstream: self.upstream(), image: name(repository), digest }
    }

    pub(super) async fn admit(&self, digest: Digest) -> Result<Verdict, NoVerdict> {
        self.gate.admit(&self.subject(REPO, digest)).await
    }

    pub(super) async fn permit(&self, digest: Digest) -> Given {
        match self.admit(digest).await {
            Ok(Verdict::Admit(permit)) => Given(permit),
            other => panic!("wanted a permit, got {other:?}"),
        }
    }

    pub(super) async fn refusal(&self, digest: Digest) -> Arc<Refusal> {
        match self.admit(digest).await {
            Ok(Verdict::Refuse(refusal)) => refusal,
            other => panic!("wanted a refusal, got {other:?}"),
        }
    }

    pub(super) async fn undecided(&self, digest: Digest) -> super::Undecided {
        match self.admit(digest).await {
            Err(NoVerdict::Undecided(undecided)) => undecided,
            other => panic!("wanted no verdict, got {other:?}"),
        }
    }

    pub(super) async fn ask_blob(&self, repository: &str, blob: Digest) -> Result<BlobVerdict, NoVerdict> {
        self.gate.admit_blob(&self.upstream(), &name(repository), &blob).await
    }

    pub(super) async fn listed(&self, blob: Digest) -> bool {
        matches!(self.ask_blob(REPO, blob).await, Ok(BlobVerdict::Listed { .. }))
    }
}

pub(super) fn name(repository: &str) -> ImageName {
    ImageName::new("reg.test".parse().unwrap(), repository.parse().unwrap())
}

/// A signature made at a time.
pub(super) fn signature_at(subject: Digest, by: &str, at: &str) -> Value {
    bundle(json!({"about": subject, "by": by, "proves": "signature", "at": at}))
}

/// A bundle in shape, whose script says what it proves.
pub(super) fn bundle(script: Value) -> Value {
    let mut bundle = json!({"mediaType": BUNDLE, "verificationMaterial": {}});
    for (key, value) in script.as_object().unwrap() {
        bundle[key] = value.clone();
    }
    bundle
}

pub(super) fn signature(subject: Digest, by: &str) -> Value {
    bundle(json!({"about": subject, "by": by, "proves": "signature"}))
}

pub(super) fn attestation(subject: Digest, by: &str) -> Value {
    bundle(json!({"about": subject, "by": by, "proves": "https://spdx.dev/Document", "predicate": spdx()}))
}

fn root(number: u8, distrusts: Option<&str>, runs: &Arc<AtomicUsize>) -> TrustState {
    root_with(number, distrusts, runs, Vec::new())
}

fn root_with(number: u8, distrusts: Option<&str>, runs: &Arc<AtomicUsize>, unready: Vec<Unready>) -> TrustState {
    let (epoch, runs) = (Epoch(Digest::sha256(&[number])), Arc::clone(runs));
    let verifier = Scripted { epoch, runs, distrusts: distrusts.map(str::to_owned), unready };
    TrustState::Ready { verifier: Arc::new(verifier), stale: None }
}

fn start(
    config: &Config,
    documents: &Arc<store::Memory>,
    facts: &Arc<dyn Facts>,
    policies: &Arc<ArcSwap<PolicySet>>,
    trust: &Arc<ArcSwap<TrustState>>,
    (began, at): (tokio::time::Instant, Timestamp),
) -> Arc<Gate> {
    let documents: Arc<dyn Documents> = Arc::<store::Memory>::clone(documents);
    let clock = move || at + began.elapsed();
    Gate::with_clock(config.clone(), documents, Arc::clone(facts), Arc::clone(policies), Arc::clone(trust), clock)
}
