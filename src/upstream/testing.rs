//! A scripted server on loopback for tests: it answers as it is told, well or badly, and remembers what it was asked.
//!
//! It writes its bytes itself, since a well-behaved HTTP library would not lie about lengths or stop in the middle.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// As in `GET`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// What a POST carried.
    pub(crate) body: String,
}

impl Asked {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    fault: Fault,
    delay: Duration,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It announces this many bytes, and the connection ends after those there are.
    Announces(usize),
    /// It announces this many bytes, and after those there are nothing more happens.
    Stalls(usize),
    /// The connection ends without an answer.
    Closes,
    /// It sends its body in chunks for ever.
    Endless,
    /// It sends its body in one chunk, without saying how long it is.
    Chunked,
}

impl Reply {
    /// An answer with this status and no body.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fault: Fault::None, delay: Duration::ZERO }
    }

    /// 200 with a body of this type.
    pub(crate) fn ok(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }.with("content-type", content_type)
    }

    /// A redirect.
    pub(crate) fn redirect(location: impl AsRef<str>) -> Self {
        Self::status(307).with("location", location.as_ref())
    }

    /// With a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With something wrong.
    pub(crate) fn but(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// After a while.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// The server. Stops when dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Arc<ArcSwap<Vec<Asked>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// A server on 127.0.0.1.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on([127, 0, 0, 1], None, script).await
    }

    /// A server on an address of 127/8, perhaps with TLS.
    pub(crate) async fn start_on(
        ip: [u8; 4],
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::from(ip)), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(ArcSwap::from_pointee(Vec::new())));
        let (script, count, log): (Script, _, _) = (Arc::new(script), Arc::clone(&connections), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (script, log, tls) = (Arc::clone(&script), Arc::clone(&log), tls.clone());
                open.spawn(async move {
                    match tls {
                        None => serve(stream, script, log).await,
                        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
                            Ok(stream) => serve(stream, script, log).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, connections, asked, _task: AbortOnDropHandle::new(task) }
    }

    /// A server that nobody is to reach.
    pub(crate) async fn trap(ip: [u8; 4]) -> Self {
        Self::start_on(ip, None, |_| Reply::ok("application/json", r#"{"token":"trapped"}"#)).await
    }

    /// Lets this time pass for everybody, once the server was asked `times` times and had a moment to answer.
    ///
    /// Not by pausing the clock from the start: a paused clock jumps while packets are still on their way.
    pub(crate) async fn let_pass(&self, times: usize, time: Duration) {
        while self.asked().len() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// `http://` and the address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.load().to_vec()
    }

    /// What was asked, as `GET /path?query`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked.load().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect()
    }
}

/// Answers requests of one connection until an end or a fault.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, log: Arc<ArcSwap<Vec<Asked>>>) -> Option<()> {
    loop {
        let asked = read(&mut stream).await?;
        log.rcu(|log| log.iter().cloned().chain([asked.clone()]).collect::<Vec<_>>());
        let Reply { status, mut headers, body, fault, delay } = script(&asked);
        tokio::time::sleep(delay).await;
        if fault == Fault::Closes {
            return None;
        }
        let fixed = headers.iter().any(|(name, _)| name == "content-length");
        match fault {
            Fault::Announces(length) | Fault::Stalls(length) => headers.push(("content-length".into(), length.to_string())),
            Fault::Endless | Fault::Chunked => headers.push(("transfer-encoding".into(), "chunked".into())),
            Fault::None if !fixed => headers.push(("content-length".into(), body.len().to_string())),
            Fault::None | Fault::Closes => {}
        }
        let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        stream.write_all(format!("{head}\r\n").as_bytes()).await.ok()?;
        if asked.method == "HEAD" {
            continue;
        }
        let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat();
        match fault {
            Fault::None | Fault::Closes => stream.write_all(&body).await.ok()?,
            Fault::Announces(_) => {
                stream.write_all(&body).await.ok()?;
                stream.shutdown().await.ok()?;
                return None;
            }
            Fault::Stalls(_) => {
                stream.write_all(&body).await.ok()?;
                std::future::pending::<()>().await;
            }
            Fault::Chunked => stream.write_all(&[&chunk[..], b"0\r\n\r\n"].concat()).await.ok()?,
            Fault::Endless => loop {
                stream.write_all(&chunk).await.ok()?;
            },
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        // The first byte of a TLS handshake.
        if head == [0x16] {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { method, target, headers, body: String::from_utf8(body).ok()? })
}

/// A certificate authority of one test.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    /// Its certificate.
    pub(crate) pem: String,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        // A name of its own, so that another authority is unknown rather than wrong.
        params.distinguished_name.push(rcgen::DnType::CommonName, hex::encode(key.public_key_raw()));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// What a server of this name needs; the last year of its certificate's life as given.
    pub(crate) fn server(&self, name: &str, until_year: i32) -> Arc<ServerConfig> {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
    }
}
