//! A registry of any number of small images, made from their numbers: one process, some hundred bytes an image.
//!
//! usage: origin ADDRESS IMAGES LIST
//!
//! Writes the manifests' digests to LIST, a line each, then listens. Every repository has every image; nothing has a tag, a referrer
//! or a signature.

use std::{collections::HashMap, convert::Infallible, error::Error, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use loadtest_tools::{Hash, Kind, MANIFEST, bytes, hash, name, parse};
use tokio::net::TcpListener;

type Known = HashMap<Hash, (u32, Kind)>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, images, list] = arguments.as_slice() else {
        return Err("usage: origin ADDRESS IMAGES LIST".into());
    };
    let images: u32 = images.parse()?;
    let mut known = Known::with_capacity(images as usize * 3);
    let mut names = String::new();
    for number in 0..images {
        for kind in [Kind::Manifest, Kind::Config, Kind::Layer] {
            let hash = hash(&bytes(number, kind));
            known.insert(hash, (number, kind));
            if kind == Kind::Manifest {
                writeln!(names, "{}", name(&hash))?;
            }
        }
    }
    tokio::fs::write(list, names).await?;
    let known = Arc::new(known);
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let known = Arc::clone(&known);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, &known);
                async { Ok::<_, Infallible>(response) }
            });
            // A client that leaves in the middle is no concern of this one.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(request: &Request<Incoming>, known: &Known) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let (rest, reference) = path.rsplit_once('/').unwrap_or_default();
    let found = parse(reference).and_then(|hash| known.get(&hash));
    let media_type = match (rest.rsplit('/').next(), found) {
        (Some("manifests"), Some((_, Kind::Manifest))) => MANIFEST,
        (Some("blobs"), Some((_, Kind::Config | Kind::Layer))) => "application/octet-stream",
        _ => return status(if path == "/v2/" { StatusCode::OK } else { StatusCode::NOT_FOUND }),
    };
    let Some((number, kind)) = found else { return status(StatusCode::NOT_FOUND) };
    let mut response = Response::new(Full::new(Bytes::from(bytes(*number, *kind))));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    response
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
