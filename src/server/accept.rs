//! Bind, accept, serve, drain.

use std::{convert::Infallible, future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;

use super::{
    Limits, Stats, Tls,
    io::Watched,
    limits::{Held, HeldFuture},
    track::{Exchange, Signal, Table, Tracked, Why},
};

/// Connections the kernel holds for us until they are accepted.
const BACKLOG: u32 = 4096;

/// Bytes of a response hyper gathers before it waits for the socket; with `pipeline_flush` off this is the back-pressure.
const WRITE_BUFFER: usize = 256 * 1024;

/// Waits between failed accepts (EMFILE, ENFILE, ENOMEM): doubled from the first to the second. Without, a full descriptor
/// table is a busy loop.
const ACCEPT_BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does.
    #[error("cannot listen on {0}: the address is already in use by another process")]
    InUse(SocketAddr),
    /// The operating system said no.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// What it said.
        source: io::Error,
    },
}

/// An address that is ours: connections queue in the kernel until they are served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Reserves `address`; port 0 takes a free one. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restart must not wait for the last connections' TIME_WAIT. (Not SO_REUSEPORT: two gates on one port would
            // split the requests between two policies, unseen.)
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Io { address, source },
        })
    }

    /// Where; the port is the real one.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A listener that is being served.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    sweeping: tokio::task::JoinHandle<()>,
    table: Arc<Table>,
    connections: TaskTracker,
}

impl Server {
    /// Serves `bound` with clones of `service`, one a connection.
    pub fn start<S, B>(bound: Bound, tls: Option<Arc<Tls>>, limits: Limits, stats: Arc<Stats>, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let table = Table::new(limits.clone(), stats);
        let sweeper = Arc::clone(&table);
        let sweeping = tokio::spawn(async move { sweeper.sweep().await });
        let connections = TaskTracker::new();
        let (stop, stopped) = watch::channel(false);
        let shared = Shared { table: Arc::clone(&table), connections: connections.clone(), tls, limits, service };
        let accepting = tokio::spawn(accept(bound.listener, shared, stopped));
        Self { stop, accepting, sweeping, table, connections }
    }

    /// Stops accepting, lets open requests end within `drain`, then closes what is left. Says whether all ended by
    /// themselves.
    pub async fn drain(mut self, drain: Duration) -> bool {
        let _ = self.stop.send(true);
        // The listening socket is closed when this returns: new connections are refused, not left waiting (O12).
        let _ = (&mut self.accepting).await;
        self.table.tell_all(Signal::Drain);
        self.connections.close();
        let ended = tokio::time::timeout(drain, self.connections.wait()).await.is_ok();
        if !ended {
            self.table.tell_all(Signal::Kill);
            let _ = tokio::time::timeout(Duration::from_secs(1), self.connections.wait()).await;
        }
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.sweeping.abort();
        self.table.tell_all(Signal::Kill);
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Shared<S> {
    table: Arc<Table>,
    connections: TaskTracker,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    service: S,
}

async fn accept<S, B>(listener: TcpListener, shared: Shared<S>, mut stopped: watch::Receiver<bool>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut back_off = ACCEPT_BACK_OFF.0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let error = match accepted {
            Ok((stream, peer)) => {
                back_off = ACCEPT_BACK_OFF.0;
                take(stream, peer, &shared);
                continue;
            }
            Err(error) => error,
        };
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
        {
            continue;
        }
        tracing::warn!(%error, retry_in = ?back_off, "cannot accept connections");
        metrics::counter!(crate::telemetry::ACCEPT_ERRORS).increment(1);
        // Most likely out of descriptors: an idle connection has one to give.
        let _ = shared.table.make_room();
        tokio::select! {
            () = tokio::time::sleep(back_off) => {}
            _ = stopped.changed() => return,
        }
        back_off = (back_off * 2).min(ACCEPT_BACK_OFF.1);
    }
}

/// Starts a task for one connection. The handshake is in it, so that a slow one never holds up the next.
fn take<S, B>(stream: TcpStream, peer: SocketAddr, shared: &Shared<S>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(entry) = shared.table.enter() else {
        tracing::debug!(%peer, "connection refused: as many as allowed are open and none is idle");
        return;
    };
    // Small responses leave at once.
    let _ = stream.set_nodelay(true);
    let tracked = Arc::clone(entry.tracked());
    let io = Watched::new(stream, Arc::clone(&tracked));
    let service = Exchanges { inner: shared.service.clone(), tracked: Arc::clone(&tracked) };
    let (tls, limits) = (shared.tls.clone(), shared.limits.clone());
    shared.connections.spawn(async move {
        let _entry = entry;
        let Some(tls) = tls else {
            return serve(io, service, &tracked, &limits, peer).await;
        };
        match tokio::time::timeout(limits.header_timeout, tls.accept(io)).await {
            Ok(Ok(io)) => {
                tracked.shook_hands();
                serve(io, service, &tracked, &limits, peer).await;
            }
            Ok(Err(error)) => {
                Why::Tls.count();
                tracing::debug!(%peer, %error, "tls handshake failed");
            }
            Err(_) => {
                Why::Tls.count();
                tracing::debug!(%peer, "tls handshake took too long");
            }
        }
    });
}

async fn serve<I, S, B>(io: I, service: Exchanges<S>, tracked: &Tracked, limits: &Limits, peer: SocketAddr)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        // `track` times the head, and tells it from idling; see there.
        .header_read_timeout(None)
        // Above: 431 (H8). More than 100 headers: 431 too.
        .max_header_size(limits.head_bytes)
        .max_buf_size(WRITE_BUFFER.max(limits.head_bytes))
        // A client that closes its side has hung up: what was being done for it alone ends (H7).
        .half_close(false)
        // On, it removes back-pressure: a client that does not read would be given memory without bound.
        .pipeline_flush(false)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut draining = false;
    let ended = poll_fn(|cx| {
        loop {
            match tracked.signal(cx.waker()) {
                Signal::Serve => {}
                // Half a head is there: the request is let in, for hyper would take the connection for idle. At most
                // `header_timeout`.
                Signal::Drain if draining || tracked.is_reading_head() => {}
                Signal::Drain => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                Signal::Kill => return Poll::Ready(Ok(())),
            }
            let polled = connection.as_mut().poll(cx);
            // The head may just have become whole; nobody would wake us to say so.
            if polled.is_ready() || draining || tracked.told() == Signal::Serve || tracked.is_reading_head() {
                return polled;
            }
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "connection ended early");
    }
}

/// The service of one connection: marks when a request is being answered.
#[derive(Debug)]
struct Exchanges<S> {
    inner: S,
    tracked: Arc<Tracked>,
}

impl<S, B> Service<Request<Incoming>> for Exchanges<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    type Response = Response<Held<B, Exchange>>;
    type Error = Infallible;
    type Future = HeldFuture<S::Future, B, Exchange>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = self.tracked.exchange();
        HeldFuture::new(self.inner.call(request), exchange)
    }
}
