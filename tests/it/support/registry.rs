//! A registry in this process: real enough to be pulled from, with a tap on every request and a brake on blobs.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Request, Response, StatusCode, body::Frame, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use pullgate::oci::Digest;
use serde_json::{Value, json};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What goes wrong when a path is asked for.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Other bytes, of this Content-Type, under the same name.
    Bytes(&'static str, Bytes),
    /// Ends the body after so many bytes of those announced.
    Cut(usize),
    /// Sends the client elsewhere.
    Redirect(String),
    /// Never answers.
    Stall,
    /// This status and nothing of use.
    Status(u16),
    /// Too many requests; so many seconds to wait.
    Throttle(u64),
}

/// What is stored: by repository, tags and manifests; blobs are shared.
#[derive(Debug, Default)]
struct Content {
    tags: BTreeMap<(String, String), Digest>,
    manifests: HashMap<(String, Digest), Bytes>,
    blobs: HashMap<Digest, Bytes>,
}

#[derive(Debug)]
pub struct Registry {
    pub addr: SocketAddr,
    content: RwLock<Content>,
    referrers_api: bool,
    /// Bytes a second for each blob; 0 is as fast as it goes.
    pub blob_rate: AtomicU64,
    /// Closes every connection without an answer, as a registry that is gone.
    pub gone: AtomicBool,
    faults: RwLock<HashMap<String, Fault>>,
    /// Requests by `METHOD path`.
    seen: RwLock<HashMap<String, usize>>,
    /// Bytes of blobs handed to the socket so far.
    pub blob_bytes: AtomicU64,
    pub blob_gets: AtomicUsize,
}

impl Registry {
    /// An empty registry on a free port.
    pub async fn start(referrers_api: bool) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Arc::new(Self {
            addr: listener.local_addr().unwrap(),
            content: RwLock::default(),
            referrers_api,
            blob_rate: AtomicU64::new(0),
            gone: AtomicBool::new(false),
            faults: RwLock::default(),
            seen: RwLock::default(),
            blob_bytes: AtomicU64::new(0),
            blob_gets: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&registry);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let registry = Arc::clone(&serving);
                if registry.gone.load(Ordering::SeqCst) {
                    continue;
                }
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let registry = Arc::clone(&registry);
                        async move {
                            if registry.gone.load(Ordering::SeqCst) {
                                return Err(std::io::Error::other("gone"));
                            }
                            let fault = registry.faults.read().unwrap().get(request.uri().path()).cloned();
                            Ok(match fault {
                                None => registry.answer(&request),
                                Some(fault) => registry.fail(&request, fault).await,
                            })
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        registry
    }

    /// A registry that holds the recorded images.
    pub async fn recorded(referrers_api: bool) -> Arc<Self> {
        let registry = Self::start(referrers_api).await;
        let recorded = super::layout::recorded();
        {
            let mut content = registry.content.write().unwrap();
            for ((repository, tag), digest) in &recorded.tags {
                // Where there is an API, registries do not keep the fallback tag: it would prove nothing about the API.
                let fallback = tag.starts_with("sha256-") && !tag.contains('.');
                collect(&mut content, &recorded.blobs, repository, digest);
                if !(referrers_api && fallback) {
                    content.tags.insert((repository.clone(), tag.clone()), *digest);
                }
            }
            content.blobs.extend(recorded.blobs);
        }
        registry
    }

    /// Adds an image of these layers and answers its manifest's digest.
    pub fn push(&self, repository: &str, tag: &str, layers: &[Bytes]) -> Digest {
        let mut content = self.content.write().unwrap();
        let mut blob = |bytes: Bytes, media_type: &str| {
            let digest = Digest::sha256(&bytes);
            let size = bytes.len();
            content.blobs.insert(digest, bytes);
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
        };
        let config = blob(Bytes::from_static(b"{}"), "application/vnd.oci.image.config.v1+json");
        let layers: Vec<_> = layers.iter().map(|layer| blob(layer.clone(), "application/vnd.oci.image.layer.v1.tar")).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
        let digest = Digest::sha256(&bytes);
        content.manifests.insert((repository.to_owned(), digest), bytes);
        content.tags.insert((repository.to_owned(), tag.to_owned()), digest);
        digest
    }

    /// From now on `path` goes wrong so, or, with `None`, right again.
    pub fn fault(&self, path: &str, fault: impl Into<Option<Fault>>) {
        let mut faults = self.faults.write().unwrap();
        match fault.into() {
            Some(fault) => faults.insert(path.to_owned(), fault),
            None => faults.remove(path),
        };
    }

    async fn fail(self: &Arc<Self>, request: &Request<Incoming>, fault: Fault) -> Response<UnsyncBoxBody<Bytes, std::io::Error>> {
        let nothing = || Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed_unsync();
        match fault {
            Fault::Bytes(media_type, bytes) => Response::builder()
                .header("content-type", media_type)
                .body(Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync())
                .unwrap(),
            Fault::Cut(after) => {
                let (head, body) = self.answer(request).into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                let pieces = [Ok(Frame::data(bytes.slice(..after))), Err(std::io::Error::other("cut"))];
                let mut response = Response::from_parts(head, StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync());
                response.headers_mut().insert("content-length", bytes.len().into());
                response
            }
            Fault::Redirect(location) => Response::builder().status(307).header("location", location).body(nothing()).unwrap(),
            Fault::Stall => std::future::pending().await,
            Fault::Status(status) => Response::builder().status(status).body(nothing()).unwrap(),
            Fault::Throttle(seconds) => Response::builder().status(429).header("retry-after", seconds).body(nothing()).unwrap(),
        }
    }

    /// Adds a manifest of these bytes and answers its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        let mut content = self.content.write().unwrap();
        content.manifests.insert((repository.to_owned(), digest), bytes);
        content.tags.insert((repository.to_owned(), tag.to_owned()), digest);
        digest
    }

    /// How often `METHOD path` was asked.
    pub fn asked(&self, what: &str) -> usize {
        self.seen.read().unwrap().get(what).copied().unwrap_or_default()
    }

    fn answer(self: &Arc<Self>, request: &Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, std::io::Error>> {
        let path = request.uri().path();
        *self.seen.write().unwrap().entry(format!("{} {path}", request.method())).or_default() += 1;
        let content = self.content.read().unwrap();
        let found = path.strip_prefix("/v2/").and_then(|rest| {
            let mut parts = rest.rsplitn(3, '/');
            let (last, kind, repository) = (parts.next()?, parts.next()?, parts.next()?);
            match kind {
                "manifests" => content.manifest(repository, last),
                "blobs" => {
                    let blob = content.blobs.get(&last.parse().ok()?)?.clone();
                    (request.method() == hyper::Method::GET).then(|| self.blob_gets.fetch_add(1, Ordering::SeqCst));
                    return Some(self.blob(blob));
                }
                "referrers" if self.referrers_api => Some((OCI_INDEX.into(), content.referrers(repository, last)?)),
                "tags" => Some(("application/json".into(), content.tag_list(repository)?)),
                _ => None,
            }
            .map(|(media_type, bytes)| {
                Response::builder()
                    .header("content-type", media_type)
                    .header("docker-content-digest", Digest::sha256(&bytes).to_string())
                    .header("content-length", bytes.len())
                    .body(Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync())
                    .unwrap()
            })
        });
        if path == "/v2/" {
            return Response::new(Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {}).boxed_unsync());
        }
        found.unwrap_or_else(|| {
            let error = json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}).to_string();
            let body = Full::new(Bytes::from(error)).map_err(|never: Infallible| match never {}).boxed_unsync();
            Response::builder().status(StatusCode::NOT_FOUND).body(body).unwrap()
        })
    }

    fn blob(self: &Arc<Self>, blob: Bytes) -> Response<UnsyncBoxBody<Bytes, std::io::Error>> {
        const PIECE: usize = 32 * 1024;
        let length = blob.len();
        let registry = Arc::clone(self);
        let pieces = futures_util::stream::iter(
            (0..length.div_ceil(PIECE)).map(move |at| (at, blob.slice(at * PIECE..length.min((at + 1) * PIECE)))),
        )
        .then(move |(at, piece)| {
            let registry = Arc::clone(&registry);
            async move {
                let rate = registry.blob_rate.load(Ordering::Relaxed);
                // A first piece goes at once: the brake is between pieces.
                if rate > 0 && at > 0 {
                    tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
                }
                if registry.gone.load(Ordering::SeqCst) {
                    return Err(std::io::Error::other("gone"));
                }
                registry.blob_bytes.fetch_add(piece.len() as u64, Ordering::SeqCst);
                Ok(Frame::data(piece))
            }
        });
        Response::builder()
            .header("content-type", "application/octet-stream")
            .header("content-length", length)
            .body(StreamBody::new(pieces).boxed_unsync())
            .unwrap()
    }
}

impl Content {
    fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Bytes)> {
        let digest = match reference.parse() {
            Ok(digest) => digest,
            Err(_) => *self.tags.get(&(repository.to_owned(), reference.to_owned()))?,
        };
        let bytes = self.manifests.get(&(repository.to_owned(), digest))?.clone();
        // What cannot be read is stored all the same: tests push it on purpose.
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let media_type = value["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        Some((media_type, bytes))
    }

    fn referrers(&self, repository: &str, subject: &str) -> Option<Bytes> {
        subject.parse::<Digest>().ok()?;
        let mut manifests: Vec<_> = self
            .manifests
            .iter()
            .filter(|((of, _), _)| of == repository)
            .filter_map(|((_, digest), bytes)| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                (value["subject"]["digest"] == subject).then(|| {
                    let artifact_type = value.get("artifactType").unwrap_or(&value["config"]["mediaType"]).clone();
                    json!({
                        "mediaType": value["mediaType"], "digest": digest.to_string(), "size": bytes.len(),
                        "artifactType": artifact_type, "annotations": value.get("annotations").cloned().unwrap_or(json!({})),
                    })
                })
            })
            .collect();
        manifests.sort_by_key(|entry| entry["digest"].to_string());
        Some(json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string().into())
    }

    fn tag_list(&self, repository: &str) -> Option<Bytes> {
        let tags: Vec<_> = self.tags.keys().filter(|(of, _)| of == repository).map(|(_, tag)| tag).collect();
        (!tags.is_empty()).then(|| json!({"name": repository, "tags": tags}).to_string().into())
    }
}

/// A manifest, and what it lists as manifests, into the repository.
fn collect(content: &mut Content, blobs: &BTreeMap<Digest, Bytes>, repository: &str, digest: &Digest) {
    let bytes = &blobs[digest];
    content.manifests.insert((repository.to_owned(), *digest), bytes.clone());
    let value: Value = serde_json::from_slice(bytes).unwrap();
    for child in value["manifests"].as_array().into_iter().flatten() {
        collect(content, blobs, repository, &child["digest"].as_str().unwrap().parse().unwrap());
    }
}
