//! The server on port 0, asked by raw sockets.

mod tls;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{
    admin::{Admin, Check, State},
    limits::InFlightLayer,
    *,
};
use crate::body::{Body, BodyError};

const MS: Duration = Duration::from_millis(1);

/// Generous where a test says nothing.
fn generous() -> Limits {
    Limits {
        connections: 100,
        requests: 100,
        header_timeout: 10_000 * MS,
        idle_timeout: 10_000 * MS,
        write_timeout: 10_000 * MS,
        response_timeout: 10_000 * MS,
        head_bytes: 64 * 1024,
        drain: 10_000 * MS,
    }
}

/// What a test's server answers: `/` hello, `/stream` ten bytes, each when let, `/large` 32 MiB, `/never`.
struct Rig {
    addr: SocketAddr,
    server: Server,
    stats: Arc<Stats>,
    /// A permit lets one byte of a stream go.
    let_go: Arc<Semaphore>,
}

fn rig(limits: Limits, tls: Option<Arc<Tls>>) -> Rig {
    let stats = Arc::new(Stats::default());
    let let_go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&let_go);
    let service = service_fn(move |request: Request<Incoming>| {
        let gate = Arc::clone(&gate);
        async move {
            let body = match request.uri().path() {
                "/" => Body::full("hello"),
                "/large" => Body::full(vec![7; 32 << 20]),
                "/stream" => Body::stream(http_body_util::StreamBody::new(futures_util::stream::unfold(0, move |n| {
                    let gate = Arc::clone(&gate);
                    async move {
                        gate.acquire().await.unwrap().forget();
                        (n < 10).then(|| (Ok::<_, BodyError>(http_body::Frame::data(Bytes::from_static(b"x"))), n + 1))
                    }
                }))),
                _ => std::future::pending().await,
            };
            Ok::<_, Infallible>(Response::new(body))
        }
    });
    let shed = || {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        response
    };
    let layer = InFlightLayer::new(limits.requests, Arc::clone(&stats), shed);
    let service = tower::Layer::layer(&layer, service);
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = bound.address();
    let server = Server::start(bound, tls, limits, Arc::clone(&stats), service);
    Rig { addr, server, stats, let_go }
}

impl Rig {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }
}

/// Sends a request and reads the head of the response.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await.unwrap();
    head(stream).await
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(5_000 * MS, stream.read_u8()).await.expect("no answer") {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

async fn hello(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let head = ask(stream, "/").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head:?}");
    let mut body = [0; 5];
    stream.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"hello");
}

/// Whether the server ends the connection within `within`.
async fn ends(stream: &mut TcpStream, within: Duration) -> bool {
    let mut rest = [0; 4096];
    let all = async { while matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {} };
    timeout(within, all).await.is_ok()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        sleep(10 * MS).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn h3_a_head_sent_byte_by_byte_is_cut_off_and_an_idle_connection_is_not() {
    let rig = rig(Limits { header_timeout: 100 * MS, ..generous() }, None);
    let mut idle = rig.connect().await;
    hello(&mut idle).await;

    let mut slow = rig.connect().await;
    let trickle = async {
        for byte in b"GET / HTTP/1.1\r\nHost: test\r\n".iter().cycle() {
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(10 * MS).await;
        }
    };
    assert!(timeout(1_500 * MS, trickle).await.is_ok(), "still being read");

    hello(&mut idle).await;
}

#[tokio::test]
async fn h3_half_a_head_behind_a_whole_request_is_cut_off_too() {
    let rig = rig(Limits { header_timeout: 50 * MS, idle_timeout: 50 * MS, ..generous() }, None);
    let mut stream = rig.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTT").await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert!(ends(&mut stream, 1_500 * MS).await);
}

#[tokio::test]
async fn a_connection_that_idles_is_closed_after_its_time() {
    let rig = rig(Limits { idle_timeout: 100 * MS, ..generous() }, None);
    let (mut used, mut unused) = (rig.connect().await, rig.connect().await);
    hello(&mut used).await;
    assert!(ends(&mut used, 2_000 * MS).await);
    assert!(ends(&mut unused, 2_000 * MS).await);
    until("the table is empty", || rig.stats.connections() == 0).await;
}

#[tokio::test]
async fn a_request_that_takes_longer_than_idling_may_is_not_idle() {
    let rig = rig(Limits { idle_timeout: 40 * MS, header_timeout: 40 * MS, ..generous() }, None);
    let mut stream = rig.connect().await;
    // Pipelined, so that the end of the first is not the end of both.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /stream HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    stream.read_exact(&mut [0; 5]).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    sleep(300 * MS).await;
    rig.let_go.add_permits(11);
    let mut rest = Vec::new();
    timeout(2_000 * MS, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream was cut: {rest:?}");
}

#[tokio::test]
async fn h4_at_the_cap_the_oldest_idle_connection_makes_room_and_a_busy_one_never() {
    let rig = rig(Limits { connections: 3, header_timeout: 40 * MS, ..generous() }, None);
    let mut busy = rig.connect().await;
    assert!(ask(&mut busy, "/stream").await.starts_with("HTTP/1.1 200"));
    let mut older = rig.connect().await;
    hello(&mut older).await;
    sleep(50 * MS).await;
    let mut newer = rig.connect().await;
    hello(&mut newer).await;
    sleep(50 * MS).await;

    let mut one_more = rig.connect().await;
    hello(&mut one_more).await;
    assert!(ends(&mut older, 1_000 * MS).await, "the oldest made room");
    hello(&mut newer).await;

    // With every connection busy there is no room to make.
    assert!(ask(&mut newer, "/stream").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut one_more, "/stream").await.starts_with("HTTP/1.1 200"));
    let mut refused = rig.connect().await;
    assert!(ends(&mut refused, 1_000 * MS).await);
    rig.let_go.add_permits(33);
    let mut rest = vec![0; 10];
    timeout(1_000 * MS, busy.read_exact(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_count_until_the_socket_took_their_last_byte() {
    let rig = rig(Limits { requests: 1, ..generous() }, None);
    let mut first = rig.connect().await;
    // All of its body is with hyper at once; the client does not read.
    assert!(ask(&mut first, "/large").await.starts_with("HTTP/1.1 200"));
    let mut second = rig.connect().await;
    assert!(ask(&mut second, "/").await.starts_with("HTTP/1.1 503"));
    let mut body = vec![0; 32 << 20];
    first.read_exact(&mut body).await.unwrap();
    assert!(body.iter().all(|byte| *byte == 7));
    until("the place is given back", || rig.stats.in_flight() == 0).await;
    hello(&mut second).await;
}

#[tokio::test]
async fn h3_a_client_that_does_not_read_its_response_is_dropped_and_one_that_reads_slowly_is_not() {
    let rig = rig(Limits { write_timeout: 200 * MS, ..generous() }, None);
    let mut slow = rig.connect().await;
    assert!(ask(&mut slow, "/large").await.starts_with("HTTP/1.1 200"));
    let mut stuck = rig.connect().await;
    assert!(ask(&mut stuck, "/large").await.starts_with("HTTP/1.1 200"));
    // Longer than the timeout in all, never in one wait.
    let mut body = vec![0; 32 << 20];
    for part in body.chunks_mut(2 << 20) {
        slow.read_exact(part).await.unwrap();
        sleep(40 * MS).await;
    }
    until("the stuck one is gone", || rig.stats.connections() == 1).await;
    let mut rest = Vec::new();
    let got = timeout(1_000 * MS, stuck.read_to_end(&mut rest)).await.unwrap();
    assert!(got.is_err() || rest.len() < 32 << 20, "a response that was cut off ended cleanly");
    until("its place is given back", || rig.stats.in_flight() == 0).await;
}

#[tokio::test]
async fn h7_clients_that_hang_up_anywhere_leave_nothing_behind() {
    let rig = rig(generous(), None);
    for n in 0..200_usize {
        let mut stream = rig.connect().await;
        let request = format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", ["/", "/stream", "/large", "/never"][n % 4]);
        let sent = if n % 8 < 4 { request.len() } else { n % request.len() };
        stream.write_all(&request.as_bytes()[..sent]).await.unwrap();
        if n % 3 == 0 {
            let _ = timeout(2 * MS, stream.read(&mut [0; 64])).await;
        }
    }
    until("no connection is left", || rig.stats.connections() == 0).await;
    assert_eq!(rig.stats.in_flight(), 0);
    hello(&mut rig.connect().await).await;
}

#[tokio::test]
async fn h8_header_bombs_are_431() {
    let rig = rig(generous(), None);
    let many: String = (0..1_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X: {}\r\n", "y".repeat(1 << 20));
    for bomb in [many, large] {
        let mut stream = rig.connect().await;
        // The server may answer and close before all of it was written.
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: test\r\n{bomb}\r\n").as_bytes()).await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 431"));
    }
    hello(&mut rig.connect().await).await;
}

#[tokio::test]
async fn o12_draining_lets_a_response_end_and_refuses_new_connections() {
    let rig = rig(generous(), None);
    let mut streaming = rig.connect().await;
    assert!(ask(&mut streaming, "/stream").await.starts_with("HTTP/1.1 200"));
    let (mut idle, mut unused) = (rig.connect().await, rig.connect().await);
    hello(&mut idle).await;
    until("all are accepted", || rig.stats.connections() == 3).await;

    let draining = tokio::spawn(rig.server.drain(10_000 * MS));
    assert!(ends(&mut idle, 1_000 * MS).await, "an idle connection has nothing to wait for");
    assert!(ends(&mut unused, 1_000 * MS).await);
    assert!(TcpStream::connect(rig.addr).await.is_err(), "a new connection was accepted");
    assert!(!draining.is_finished());

    rig.let_go.add_permits(11);
    let mut rest = Vec::new();
    timeout(1_000 * MS, streaming.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest.iter().filter(|byte| **byte == b'x').count(), 10);
    assert!(rest.ends_with(b"0\r\n\r\n"), "chunked to its end");
    assert!(draining.await.unwrap(), "all ended by themselves");
}

#[tokio::test]
async fn o12_draining_has_an_end() {
    let rig = rig(generous(), None);
    let mut streaming = rig.connect().await;
    assert!(ask(&mut streaming, "/stream").await.starts_with("HTTP/1.1 200"));
    rig.let_go.add_permits(1);
    assert!(!timeout(2_000 * MS, rig.server.drain(50 * MS)).await.unwrap());
    let mut rest = Vec::new();
    let got = timeout(1_000 * MS, streaming.read_to_end(&mut rest)).await.unwrap();
    assert!(got.is_err() || !rest.ends_with(b"0\r\n\r\n"), "cut off, and not as if it were whole");
    until("none is left", || rig.stats.connections() == 0).await;
}

#[tokio::test]
async fn an_address_in_use_is_said_plainly() {
    let taken = Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = Bound::bind(taken.address()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}: the address is already in use by another process", taken.address())
    );
}

async fn admin(state: State, request: &str) -> String {
    let admin = Admin::new(move || vec![Check { name: "trust root", state: state.clone() }], || "pullgate_x 1\n".to_owned());
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = bound.address();
    let _server = Server::start(bound, None, Admin::limits(), Arc::default(), admin);
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(2_000 * MS, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn the_admin_listener_answers_get_and_head_and_nothing_else() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = admin(State::Good, &format!("{method} /readyz")).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    }
    assert!(admin(State::Good, "GET /livez").await.ends_with("alive\n"));
    assert!(admin(State::Good, "HEAD /livez").await.ends_with("\r\n\r\n"));
    assert!(admin(State::Good, "GET /metrics").await.contains("pullgate_x 1\n"));
    assert!(admin(State::Good, "GET /debug/pprof").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn readyz_says_what_is_missing_and_livez_does_not_care() {
    let missing = || State::Missing("no refresh for 8 days".to_owned());
    let answer = admin(missing(), "GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("not ready\ntrust root: missing: no refresh for 8 days\n"), "{answer}");
    assert!(admin(missing(), "GET /livez").await.starts_with("HTTP/1.1 200"));

    let answer = admin(State::Warning("not refreshed yet".to_owned()), "GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("ready\ntrust root: warning: not refreshed yet\n"), "{answer}");

    let answer = admin(missing(), "GET /readyz HTTP/1.1\r\nAccept: application/json\r\nX:").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let report: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(report["ready"], false);
    assert_eq!(report["checks"][0]["message"], "no refresh for 8 days");
}
