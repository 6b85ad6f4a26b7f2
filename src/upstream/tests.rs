//! A registry that behaves, and ones that do not.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture};
use serde_json::json;

use super::{
    egress::{Resolve, System},
    setup::connect_with,
    testing::{Asked, Authority, Fault, Reply, Server},
    *,
};
use crate::oci::{
    manifest::MAX_MANIFEST,
    media_type::{ACCEPT_MANIFESTS, OCI_INDEX, OCI_MANIFEST},
};

mod authorization;
mod blobs;
mod egress;
mod manifests;
mod proxy;
mod tags;
mod tls;

/// A registry at `url`, plainly configured.
fn config(url: &str) -> RegistryConfig {
    RegistryConfig {
        url: url.parse().unwrap(),
        docker_configs: Vec::new(),
        ca: None,
        plain_http: true,
        auth_hosts: Vec::new(),
        allow_hosts: Vec::new(),
        proxy: None,
    }
}

fn upstream_with(registry: RegistryConfig, resolve: impl Resolve) -> Arc<dyn Upstream> {
    let config = Config { host: "registry.acme.test".parse().unwrap(), location: Location::Registry(registry) };
    connect_with(&config, Arc::new(resolve)).unwrap()
}

fn upstream(registry: RegistryConfig) -> Arc<dyn Upstream> {
    upstream_with(registry, System)
}

fn at(server: &Server) -> Arc<dyn Upstream> {
    upstream(config(&server.url()))
}

fn app() -> Repository {
    "acme/app".parse().unwrap()
}

fn v1() -> Tag {
    "v1".parse().unwrap()
}

fn by_tag() -> Reference {
    Reference::Tag(v1())
}

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

fn digest() -> Digest {
    Digest::sha256(MANIFEST)
}

fn by_digest() -> Reference {
    Reference::Digest(digest())
}

fn manifest() -> Reply {
    Reply::ok(OCI_MANIFEST, MANIFEST)
}

type Answers = dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync;

/// Answers names as a test says.
struct Names(Arc<Answers>);

impl Names {
    fn all_at(address: SocketAddr) -> Self {
        Self(Arc::new(move |_| vec![address]))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let found = (self.0)(&name);
        Box::pin(async move { Ok(found) })
    }
}

/// A file that lives as long as the test.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

async fn whole(blob: BlobStream) -> Result<Vec<u8>, UpstreamError> {
    blob.pieces.try_fold(Vec::new(), async |all, piece| Ok([all, piece.to_vec()].concat())).await
}
