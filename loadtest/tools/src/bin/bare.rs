//! A hyper server that answers every request with one file's bytes from memory: what the gate's own stack costs at least.
//!
//! usage: bare ADDRESS FILE [CERTIFICATE KEY]

use std::{convert::Infallible, error::Error, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
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
    let tls = match tls {
        [certificate, key] => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bytes = bytes.clone();
        match tls.clone() {
            None => drop(tokio::spawn(serve(stream, bytes))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(stream, bytes).await;
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

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, bytes: Bytes) {
    let service = service_fn(|_: hyper::Request<Incoming>| {
        let response = Response::new(Full::new(bytes.clone()));
        async { Ok::<_, Infallible>(response) }
    });
    // A client that leaves in the middle is no concern of this one.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
