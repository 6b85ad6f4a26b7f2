//! Asked ahead or not, a search finds the same, and the upstream is asked the same.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::*;
use crate::{
    evidence::{Budget, Evidence, Limits, Reader, search},
    oci::media_type,
    store::Memory,
};

const REPO: &str = "acme/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Has these documents and notes what it is asked.
#[derive(Debug)]
struct Shelf {
    host: Host,
    api: bool,
    /// By tag or digest.
    documents: HashMap<String, Bytes>,
    /// And how often.
    asked: DashMap<String, usize>,
}

impl Shelf {
    fn new(api: bool) -> Self {
        Self { host: "registry.test".parse().unwrap(), api, documents: HashMap::new(), asked: DashMap::new() }
    }

    fn put(&mut self, bytes: impl Into<Bytes>) -> (Digest, usize) {
        let bytes = bytes.into();
        let (digest, size) = (Digest::sha256(&bytes), bytes.len());
        self.documents.insert(digest.to_string(), bytes);
        (digest, size)
    }

    /// A manifest with one layer of evidence, of which it says that it has `more` bytes more than it has.
    fn bundle(&mut self, text: &str, more: usize) -> Value {
        let (layer, size) = self.put(text.to_owned());
        let layer = json!({"mediaType": BUNDLE, "digest": layer, "size": size + more});
        let empty = json!({"mediaType": media_type::OCI_EMPTY, "digest": Digest::sha256(b"{}"), "size": 2});
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": empty, "layers": [layer]}).to_string();
        let (digest, size) = self.put(manifest);
        json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": size, "artifactType": BUNDLE})
    }

    fn list(&mut self, subject: &Digest, listed: &[Value]) {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": listed}).to_string();
        self.documents.insert(Tag::referrers_of(subject).to_string(), index.into());
    }

    fn get(&self, name: &str) -> Result<Bytes, UpstreamError> {
        self.note(name);
        self.documents.get(name).cloned().ok_or(UpstreamError::NotFound)
    }

    fn note(&self, name: &str) {
        *self.asked.entry(name.to_owned()).or_default() += 1;
    }

    fn questions(&self) -> BTreeMap<String, usize> {
        let asked = self.asked.iter().map(|asked| (asked.key().clone(), *asked.value())).collect();
        self.asked.clear();
        asked
    }
}

#[async_trait]
impl Upstream for Shelf {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, _: &Repository, _: &Tag) -> Result<Resolved, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn manifest_within(&self, _: &Repository, reference: &Reference, _: usize) -> Result<FetchedManifest, UpstreamError> {
        let bytes = self.get(&reference.to_string())?;
        let digest = Digest::sha256(&bytes);
        Ok(FetchedManifest { digest, bytes, content_type: None })
    }

    async fn referrers(&self, _: &Repository, subject: &Digest, _: Option<&str>) -> Result<ReferrersAnswer, UpstreamError> {
        if !self.api {
            self.note("api");
            return Ok(ReferrersAnswer::NoApi);
        }
        let bytes = self.get(Tag::referrers_of(subject).as_str())?;
        Ok(ReferrersAnswer::Page(crate::upstream::ReferrersPage { bytes, next: None }))
    }

    async fn tags(&self, _: &Repository, _: Option<u32>, _: Option<&str>) -> Result<TagsPage, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn blob_size(&self, _: &Repository, _: &Digest) -> Result<u64, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn blob(&self, _: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        let bytes = self.get(&digest.to_string())?;
        Ok(BlobStream {
            size: None,
            pieces: stream::iter(bytes.chunks(7).map(|_| ()).collect::<Vec<_>>()).scan(bytes, cut).boxed(),
        })
    }
}

/// Seven bytes at a time.
fn cut(rest: &mut Bytes, (): ()) -> std::future::Ready<Option<Result<Bytes, UpstreamError>>> {
    std::future::ready(Some(Ok(rest.split_to(rest.len().min(7)))))
}

fn subject() -> Digest {
    Digest::sha256(b"image")
}

async fn look(upstream: Arc<dyn Upstream>) -> Evidence {
    let repository = REPO.parse().unwrap();
    // As a judgement does, beside its search.
    let _ = upstream.manifest(&repository, &Reference::Digest(subject())).await;
    let reader = Reader {
        upstream: Some(upstream),
        documents: Arc::new(Memory::default()),
        repository,
        until: Instant::now() + Duration::from_secs(20),
        budget: Budget::default(),
        shapes: Budget::default(),
    };
    search(&reader, &[subject()], &Limits::default()).await
}

/// What is said of it, less the times it took.
fn told(evidence: &Evidence) -> String {
    let Evidence { pieces, trace, missing, limits_hit, set_aside, candidates, .. } = evidence;
    let trace: Vec<_> = trace.iter().map(|look| (look.origin, &look.found)).collect();
    format!("{pieces:?} {trace:?} {missing:?} {limits_hit:?} {set_aside:?} {candidates:?}")
}

/// Searches once without and once with asking ahead; both must say the same and ask the same.
async fn both(shelf: Shelf) -> Evidence {
    let shelf = Arc::new(shelf);
    let plain = look(Arc::<Shelf>::clone(&shelf)).await;
    let asked = shelf.questions();
    let ahead = Ahead::ask(Arc::<Shelf>::clone(&shelf), REPO.parse().unwrap(), subject()).await;
    let found = look(Arc::<Ahead>::clone(&ahead)).await;
    assert_eq!(told(&plain), told(&found));
    assert_eq!(asked, shelf.questions(), "each question once");
    // An answer is given once: who asks again is told what is so then.
    assert_eq!(told(&look(ahead).await), told(&plain));
    assert_eq!(asked, shelf.questions());
    found
}

#[tokio::test]
async fn a_search_finds_and_asks_the_same() {
    for api in [true, false] {
        let mut shelf = Shelf::new(api);
        let listed: Vec<_> = ["one", "two and more", "three"].iter().map(|text| shelf.bundle(text, 0)).collect();
        shelf.list(&subject(), &listed);
        assert_eq!(both(shelf).await.pieces.len(), 3);
    }
}

#[tokio::test]
async fn more_than_is_followed_is_found_all_the_same() {
    let mut shelf = Shelf::new(true);
    let listed: Vec<_> = (0..3 * FOLLOWED).map(|at| shelf.bundle(&format!("bundle {at}"), 0)).collect();
    shelf.list(&subject(), &listed);
    assert_eq!(both(shelf).await.pieces.len(), 3 * FOLLOWED);
}

#[tokio::test]
async fn what_is_wrong_or_gone_is_told_as_ever() {
    let mut shelf = Shelf::new(false);
    let short = shelf.bundle("shorter than its manifest says", 1);
    let gone = json!({"mediaType": media_type::OCI_MANIFEST, "digest": Digest::sha256(b"gone"), "size": 4});
    shelf.list(&subject(), &[short, gone, json!(7)]);
    let sig = Tag::cosign(&subject(), "sig").unwrap().to_string();
    shelf.documents.insert(sig, "no manifest".into());
    let evidence = both(shelf).await;
    // A layer that is shorter than said has the digest that was asked for.
    assert_eq!((evidence.pieces.len(), evidence.missing.len(), evidence.set_aside.len()), (1, 0, 2), "{evidence:?}");
    assert_eq!(both(Shelf::new(true)).await.candidates, []);
}

#[tokio::test]
async fn of_a_layer_larger_than_said_no_more_is_read_than_shows_it() {
    let mut shelf = Shelf::new(false);
    let long = "x".repeat(100_000);
    let (layer, _) = shelf.put(long);
    let descriptor = Descriptor::from_value(&json!({"mediaType": BUNDLE, "digest": layer, "size": 10})).unwrap();
    let ahead = Arc::new(Ahead::new(Arc::new(shelf), REPO.parse().unwrap()));
    ahead.ask_blob(&descriptor);
    let pieces: Vec<_> = ahead.blob(&REPO.parse().unwrap(), &layer).await.unwrap().pieces.collect().await;
    assert_eq!(pieces.iter().map(|piece| piece.as_ref().unwrap().len()).sum::<usize>(), 14);
}
