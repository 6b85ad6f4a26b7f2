//! A client that shows what containerd would see: status, reason phrase, headers, bytes.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request, body::Incoming, client::conn::http1, header::HeaderMap};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: HeaderMap,
    /// The body, or why it broke off.
    pub body: Result<Bytes, String>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn bytes(&self) -> &Bytes {
        self.body.as_ref().expect("the body arrives whole")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// Sends one request on a connection of its own and hands over the response before its body.
pub async fn open(
    addr: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<hyper::Response<Incoming>, String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", addr.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.map_err(|error| error.to_string())
}

pub async fn send(addr: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let response = open(addr, method, path, headers).await?;
    let status = response.status();
    let reason = response
        .extensions()
        .get::<hyper::ext::ReasonPhrase>()
        .map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned())
        .or_else(|| status.canonical_reason().map(str::to_owned))
        .unwrap_or_default();
    let headers = response.headers().clone();
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).map_err(|error| error.to_string());
    Ok(Answer { status: status.as_u16(), reason, headers, body })
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    send(addr, Method::GET, path, &[]).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

pub async fn head(addr: SocketAddr, path: &str) -> Answer {
    send(addr, Method::HEAD, path, &[]).await.unwrap_or_else(|error| panic!("HEAD {path}: {error}"))
}
