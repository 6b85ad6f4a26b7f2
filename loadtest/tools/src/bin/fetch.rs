//! Clients that all ask for one blob at once, each on a connection of its own, and compare every byte with what it must be.
//!
//! usage: fetch URL FILE CLIENTS
//!
//! Compared with FILE and not hashed: forty hashes of the same bytes would take the processor that the server is measured on.
//! Whoever runs this has hashed FILE. Prints one line of JSON: seconds until the last client had the last byte, and when the
//! first byte of the body came, in milliseconds, of the median client and of the last.

use std::{error::Error, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, Uri, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file, clients] = arguments.as_slice() else {
        return Err("usage: fetch URL FILE CLIENTS".into());
    };
    let wanted: Arc<[u8]> = std::fs::read(file)?.into();
    let url: Uri = url.parse()?;
    let began = Instant::now();
    let clients: Vec<_> = (0..clients.parse()?).map(|_| tokio::spawn(fetch(url.clone(), Arc::clone(&wanted), began))).collect();
    let mut first = Vec::new();
    for client in clients {
        first.push(client.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    first.sort_by(f64::total_cmp);
    let told =
        serde_json::json!({ "seconds": seconds, "first_ms": first[first.len() / 2], "last_first_ms": first[first.len() - 1] });
    println!("{told}");
    Ok(())
}

/// Gives when the first byte came.
async fn fetch(url: Uri, wanted: Arc<[u8]>, began: Instant) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let authority = url.authority().ok_or("no host")?.as_str();
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(url.path()).header(HOST, authority).body(Empty::<Bytes>::new())?;
    let response = send.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("{url}: {}", response.status()).into());
    }
    let (mut body, mut first, mut at) = (response.into_body(), None, 0);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        first.get_or_insert_with(|| began.elapsed().as_secs_f64() * 1e3);
        if wanted.get(at..at + piece.len()) != Some(&piece[..]) {
            return Err(format!("{url}: other bytes at {at}").into());
        }
        at += piece.len();
    }
    if at != wanted.len() {
        return Err(format!("{url}: {at} bytes, wanted {}", wanted.len()).into());
    }
    first.ok_or_else(|| "no body".into())
}
