//! Asks for many manifests by digest, each once, over kept-alive connections, and hashes every answer.
//!
//! usage: ask ADDRESS PATH LIST FROM TO CONNECTIONS STATUS [blobs]
//!
//! PATH is what stands before `/manifests/`; LIST has a digest a line, of which FROM to TO (exclusive) are asked for. Each must be
//! answered with STATUS and, if that is 200, with the digest's bytes; with `blobs` everything a manifest lists is asked for too.
//! Prints `{"asked": …, "seconds": …}`; ends with 1 at the first wrong answer.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use loadtest_tools::{MANIFEST, hash, parse};
use tokio::net::TcpStream;

type Failure = Box<dyn Error + Send + Sync>;

struct Work {
    address: String,
    path: String,
    digests: Vec<String>,
    next: AtomicUsize,
    asked: AtomicUsize,
    status: u16,
    blobs: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, list, from, to, connections, status, blobs @ ..] = arguments.as_slice() else {
        return Err("usage: ask ADDRESS PATH LIST FROM TO CONNECTIONS STATUS [blobs]".into());
    };
    let (from, to): (usize, usize) = (from.parse()?, to.parse()?);
    let list = tokio::fs::read_to_string(list).await?;
    let digests: Vec<String> = list.lines().skip(from).take(to.saturating_sub(from)).map(str::to_owned).collect();
    if digests.len() != to.saturating_sub(from) {
        return Err(format!("the list has no {to} lines").into());
    }
    let work = Arc::new(Work {
        address: address.clone(),
        path: path.clone(),
        digests,
        next: AtomicUsize::new(0),
        asked: AtomicUsize::new(0),
        status: status.parse()?,
        blobs: blobs.first().is_some_and(|word| word == "blobs"),
    });
    let began = Instant::now();
    let clients: Vec<_> = (0..connections.parse::<usize>()?).map(|_| tokio::spawn(client(Arc::clone(&work)))).collect();
    for client in clients {
        client.await??;
    }
    let asked = work.asked.load(Ordering::Relaxed);
    println!(r#"{{"asked":{asked},"seconds":{:.3}}}"#, began.elapsed().as_secs_f64());
    Ok(())
}

async fn client(work: Arc<Work>) -> Result<(), Failure> {
    let stream = TcpStream::connect(&work.address).await?;
    stream.set_nodelay(true)?;
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    while let Some(digest) = work.digests.get(work.next.fetch_add(1, Ordering::Relaxed)) {
        let manifest = get(&work, &mut send, "manifests", digest).await?;
        if work.blobs {
            let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
            let layers = manifest["layers"].as_array().into_iter().flatten();
            for blob in std::iter::once(&manifest["config"]).chain(layers) {
                get(&work, &mut send, "blobs", blob["digest"].as_str().unwrap_or_default()).await?;
            }
        }
    }
    Ok(())
}

async fn get(work: &Work, send: &mut SendRequest<Empty<Bytes>>, what: &str, digest: &str) -> Result<Bytes, Failure> {
    let path = format!("{}/{what}/{digest}", work.path);
    let request = Request::get(&path).header(header::HOST, &work.address).header(header::ACCEPT, MANIFEST);
    send.ready().await?;
    let response = send.send_request(request.body(Empty::new())?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    if status != work.status {
        return Err(format!("{path}: {status}, wanted {}: {}", work.status, String::from_utf8_lossy(&body)).into());
    }
    if status == 200 && parse(digest) != Some(hash(&body)) {
        return Err(format!("{path}: {} bytes that hash to something else", body.len()).into());
    }
    work.asked.fetch_add(1, Ordering::Relaxed);
    Ok(body)
}
