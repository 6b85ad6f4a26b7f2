//! A hyper server that answers every request with one manifest from memory, with the head a registry gives it: what the gate's own stack
//! costs at least. The file's name is the manifest's digest.
//!
//! usage: bare ADDRESS FILE [CERTIFICATE KEY]

use std::{convert::Infallible, error::Error, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, file, tls @ ..] = arguments.as_slice() else {
        return Err("usage: bare ADDRESS FILE [CERTIFICATE KEY]".into());
    };
    let bytes = Bytes::from(tokio::fs::read(file).await?);
    let digest = std::path::Path::new(file).file_name().and_then(|name| name.to_str()).ok_or("FILE has no name")?;
    let answer = Answer { bytes, digest: HeaderValue::from_str(digest)? };
    let tls = match tls {
        [certificate, key] => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        match tls.clone() {
            None => drop(tokio::spawn(serve(stream, answer))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(stream, answer).await;
                }
            })),
        }
    }
}

fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What every request is answered with.
#[derive(Clone)]
struct Answer {
    bytes: Bytes,
    digest: HeaderValue,
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) {
    let service = service_fn(|_: hyper::Request<Incoming>| {
        let mut response = Response::new(Full::new(answer.bytes.clone()));
        let head = response.headers_mut();
        head.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
        head.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json"));
        head.insert("docker-content-digest", answer.digest.clone());
        async { Ok::<_, Infallible>(response) }
    });
    // A client that leaves in the middle is no concern of this one.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
