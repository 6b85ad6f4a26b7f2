//! Nodes that all pull one image at once: each on a fresh TLS connection, HTTP/1.1, the manifest and then its config and layers.
//!
//! usage: nodes ADDRESS CA PATH [TAG@]DIGEST NODES
//!
//! PATH is the repository's, as in `/v2/registry.acme.test/acme/app`; the manifest is asked for by TAG where
//! there is one. Every byte is hashed. Prints one line of JSON: seconds until the last node had its last byte, and in milliseconds,
//! each with its median, 99th percentile and largest: `tls` (from connecting to the end of the handshake), `manifest` (from asking
//! to its last byte), `manifest_from_connect` and `image` (both from connecting).

use std::{error::Error, fmt::Write as _, net::SocketAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpStream, sync::Barrier};
use tokio_rustls::TlsConnector;

type Fault = Box<dyn Error + Send + Sync>;

struct Pull {
    address: SocketAddr,
    tls: TlsConnector,
    path: String,
    reference: String,
    digest: String,
    together: Barrier,
}

/// When what had happened, in seconds from connecting.
struct Times {
    tls: f64,
    manifest: f64,
    image: f64,
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, ca, path, reference, nodes] = arguments.as_slice() else {
        return Err("usage: nodes ADDRESS CA PATH [TAG@]DIGEST NODES".into());
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // A thousand nodes are a thousand processes: none knows another's session.
    config.resumption = Resumption::disabled();
    let (reference, digest) = reference.split_once('@').unwrap_or((reference, reference));
    let nodes: usize = nodes.parse()?;
    let pull = Arc::new(Pull {
        address: address.parse()?,
        tls: TlsConnector::from(Arc::new(config)),
        path: path.clone(),
        reference: reference.into(),
        digest: digest.into(),
        together: Barrier::new(nodes + 1),
    });
    let running: Vec<_> = (0..nodes)
        .map(|_| {
            let pull = Arc::clone(&pull);
            tokio::spawn(async move { pull.run().await })
        })
        .collect();
    pull.together.wait().await;
    let began = Instant::now();
    let mut times = Vec::new();
    for node in running {
        times.push(node.await??);
    }
    let told = json!({
        "seconds": began.elapsed().as_secs_f64(),
        "tls": spread(times.iter().map(|times| times.tls)),
        "manifest": spread(times.iter().map(|times| times.manifest - times.tls)),
        "manifest_from_connect": spread(times.iter().map(|times| times.manifest)),
        "image": spread(times.iter().map(|times| times.image)),
    });
    println!("{told}");
    Ok(())
}

fn spread(seconds: impl Iterator<Item = f64>) -> Value {
    let mut all: Vec<f64> = seconds.map(|seconds| seconds * 1e3).collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    json!({ "p50": at(0.5), "p99": at(0.99), "max": at(1.0) })
}

impl Pull {
    async fn run(&self) -> Result<Times, Fault> {
        self.together.wait().await;
        let began = Instant::now();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::from(self.address.ip()), stream).await?;
        let tls = began.elapsed().as_secs_f64();
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (found, document) = self.get(&mut send, &format!("manifests/{}", self.reference), true).await?;
        let manifest = began.elapsed().as_secs_f64();
        same(&found, &self.digest)?;
        let document: Value = serde_json::from_slice(&document)?;
        let layers = document["layers"].as_array().ok_or("no layers")?;
        for blob in std::iter::once(&document["config"]).chain(layers) {
            let digest = blob["digest"].as_str().ok_or("no digest")?;
            same(&self.get(&mut send, &format!("blobs/{digest}"), false).await?.0, digest)?;
        }
        Ok(Times { tls, manifest, image: began.elapsed().as_secs_f64() })
    }

    /// The digest of what is there, and the bytes if they are to be kept.
    async fn get(&self, send: &mut http1::SendRequest<Empty<Bytes>>, what: &str, keep: bool) -> Result<(String, Vec<u8>), Fault> {
        let path = format!("{}/{what}", self.path);
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let request = Request::get(&path).header(header::HOST, self.address.to_string()).header(header::ACCEPT, accept);
        send.ready().await?;
        let response = send.send_request(request.body(Empty::new())?).await?;
        let status = response.status();
        let (mut body, mut hasher, mut kept) = (response.into_body(), Sha256::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame?.into_data() else { continue };
            hasher.update(&piece);
            if keep || status != StatusCode::OK {
                kept.extend_from_slice(&piece);
            }
        }
        if status != StatusCode::OK {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&kept)).into());
        }
        let mut digest = String::from("sha256:");
        for byte in hasher.finalize() {
            write!(digest, "{byte:02x}")?;
        }
        Ok((digest, kept))
    }
}

fn same(found: &str, wanted: &str) -> Result<(), Fault> {
    if found == wanted { Ok(()) } else { Err(format!("{found} came, {wanted} was asked for").into()) }
}
