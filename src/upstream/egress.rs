//! Where connections may go: every address is checked after it was resolved, and the checked address is the one that is
//! connected to, so that neither a redirect nor a second look-up (DNS rebinding: U4, U9) leads into a private network.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::Service;
use url::Url;

use super::proxy::Proxy;

/// A connection, encrypted or not.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// From the look-up of the name to the end of the TLS handshake.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Of that, the TCP handshake.
const TCP_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A host and a port, in one spelling: lower case, the scheme's default port written out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// Where `url` leads. `None` without a host, or for a scheme that has no port of its own.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host_str()?.trim_end_matches('.').to_ascii_lowercase(), port: url.port_or_known_default()? })
    }

    /// Reads `host` or `host:port` as a list in the configuration gives it. Without a port, `scheme`'s own is meant.
    pub(super) fn parse(text: &str, scheme: &str) -> Option<Self> {
        let url = Url::parse(&format!("{scheme}://{text}/")).ok()?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if bare && url.password().is_none() { Self::of(&url) } else { None }
    }

    /// Where a request for `uri` goes.
    pub(super) fn of_uri(uri: &Uri) -> Option<Self> {
        let default = if uri.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 };
        let host = uri.host()?.trim_end_matches('.').to_ascii_lowercase();
        Some(Self { host, port: uri.port_u16().unwrap_or(default) })
    }

    /// The host alone.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == 443 { f.write_str(&self.host) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// An address, or a name with an address, that may not be connected to. Its sentence reaches clients, and what our
/// resolver makes of a name is not theirs to know (J7): the address is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{target} has an address that is {kind}; connecting there needs `{target}` in `allow_hosts` of the upstream in a configuration (`--config`)"
)]
pub(super) struct ForbiddenAddress {
    target: String,
    /// Where that is.
    pub(super) address: IpAddr,
    kind: &'static str,
}

/// Whether a host, without its port, is this very machine by its name.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What is not a public unicast address, in words; `None` for one that is.
///
/// By the IANA special-purpose registries. Addresses that carry an IPv4 address (mapped, 6to4, NAT64) are judged by it.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, _, _) => Some("unspecified"),
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) => Some("private"),
        (100, 64..=127, _) => Some("carrier-grade NAT"),
        (127, _, _) => Some("loopback"),
        // 169.254.169.254 is every cloud's metadata service.
        (169, 254, _) => Some("link-local"),
        (192, 0, 0) | (192, 0, 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => Some("reserved"),
        // Azure's platform address (metadata, DNS, wire server) is a public one in name only.
        (168, 63, 129) if address == Ipv4Addr::new(168, 63, 129, 16) => Some("a metadata service"),
        (224..=239, _, _) => Some("multicast"),
        (240..=255, _, _) => Some("reserved"),
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    let low = |hi: u16, lo: u16| Ipv4Addr::from((u32::from(hi) << 16) | u32::from(lo));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // IPv4-mapped, and the deprecated IPv4-compatible and IPv4-translated forms.
        [0, 0, 0, 0, 0, 0xffff | 0, hi, lo] | [0, 0, 0, 0, 0xffff, 0, hi, lo] => special_v4(low(hi, lo)).or(Some("reserved")),
        // NAT64: on such networks even public IPv4 hosts are reached by it.
        [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => special_v4(low(hi, lo)),
        [0x64, 0xff9b, 1, ..] => Some("private"),
        [0x2002, hi, lo, ..] => special_v4(low(hi, lo)).or(Some("reserved")),
        [0x100, 0, 0, 0 | 1, ..] | [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x5f00, ..] => {
            Some("reserved")
        }
        // Unique local; fd00:ec2::254 and fd20:ce::254 are metadata services.
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("private"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

/// Turns names into addresses. A trait, so that tests can answer as an attacker's name server would.
pub(super) trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`; ports are ignored.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver.
#[derive(Debug)]
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { tokio::net::lookup_host((name, 0)).await.map(Iterator::collect) })
    }
}

/// A resolver that keeps back what must not be connected to, for [`HttpConnector`].
#[derive(Clone)]
struct Checked {
    resolve: Arc<dyn Resolve>,
    /// Whether special addresses are kept back. Not for hosts the operator named.
    guard: bool,
}

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, target) = (self.guard, name.to_string());
        let resolving = self.resolve.resolve(target.clone());
        Box::pin(async move {
            let mut addresses = resolving.await?;
            if guard && let Some(forbidden) = first_forbidden(&target, &addresses) {
                // One private address among public ones is how rebinding names look. Public hosts have none.
                return Err(forbidden.into());
            }
            addresses.dedup();
            Ok(addresses.into_iter())
        })
    }
}

fn first_forbidden(target: &str, addresses: &[SocketAddr]) -> Option<ForbiddenAddress> {
    addresses.iter().find_map(|address| {
        let address = address.ip();
        special(address).map(|kind| ForbiddenAddress { target: target.to_owned(), address, kind })
    })
}

/// Connects, where it may, within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
pub(super) struct Connector {
    /// To the upstream itself: any address, the certificate authorities configured for it.
    own: HttpsConnector<HttpConnector<Checked>>,
    /// To what else the operator named: any address.
    named: HttpsConnector<HttpConnector<Checked>>,
    /// To wherever the upstream sends us: public addresses only.
    public: HttpsConnector<HttpConnector<Checked>>,
    upstream: Authority,
    allowed: Arc<[Authority]>,
    proxied: Option<Proxied>,
}

/// Through a proxy, wherever it may go.
#[derive(Clone)]
struct Proxied {
    proxy: Proxy,
    tls: Arc<rustls::ClientConfig>,
    tls_elsewhere: Arc<rustls::ClientConfig>,
}

/// What is configured about connections to an upstream and to where it sends us.
#[derive(Clone)]
pub(super) struct Rules {
    /// The upstream itself.
    pub(super) upstream: Authority,
    /// Hosts the operator named: these may be at any address.
    pub(super) allowed: Vec<Authority>,
    /// For the upstream itself.
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// For all others.
    pub(super) tls_elsewhere: Arc<rustls::ClientConfig>,
    /// Names to addresses.
    pub(super) resolve: Arc<dyn Resolve>,
    /// What connections go through.
    pub(super) proxy: Option<Proxy>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector that goes to public addresses, and to any address for the hosts the operator named.
    pub(super) fn new(rules: &Rules) -> Self {
        let connector = |guard, tls: &Arc<rustls::ClientConfig>| {
            let mut tcp = HttpConnector::new_with_resolver(Checked { resolve: Arc::clone(&rules.resolve), guard });
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            // Shared out among a name's addresses, so that one that is dead leaves time for the next.
            tcp.set_connect_timeout(Some(TCP_TIMEOUT));
            // A path that died silently is noticed also while nothing is asked on it.
            tcp.set_keepalive(Some(Duration::from_secs(60)));
            HttpsConnector::from((tcp, Arc::clone(tls)))
        };
        Self {
            own: connector(false, &rules.tls),
            named: connector(false, &rules.tls_elsewhere),
            public: connector(true, &rules.tls_elsewhere),
            upstream: rules.upstream.clone(),
            allowed: rules.allowed.clone().into(),
            proxied: rules.proxy.clone().map(|proxy| Proxied {
                proxy,
                tls: Arc::clone(&rules.tls),
                tls_elsewhere: Arc::clone(&rules.tls_elsewhere),
            }),
        }
    }

    /// Whether a literal address may be connected to. Names are checked when they are resolved.
    fn check_literal(target: &Authority) -> Result<(), ForbiddenAddress> {
        let literal = target.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal.ok().and_then(|address| Some((address, special(address)?))) {
            Some((address, kind)) => Err(ForbiddenAddress { target: target.to_string(), address, kind }),
            None => Ok(()),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(target) = Authority::of_uri(&uri) else {
            return Box::pin(async { Err("a URL without a host".into()) });
        };
        let (own, named) = (target == self.upstream, self.allowed.contains(&target));
        if !own
            && !named
            && let Err(forbidden) = Self::check_literal(&target)
        {
            return Box::pin(async { Err(forbidden.into()) });
        }
        let through = self.proxied.as_ref().and_then(|proxied| Some((proxied, proxied.proxy.of_uri(&uri)?)));
        let connecting: BoxFuture<'static, _> = if let Some((proxied, through)) = through {
            let tls = if own { &proxied.tls } else { &proxied.tls_elsewhere };
            let tls = Arc::clone(tls);
            Box::pin(async move { through?.connect(uri, tls).await })
        } else if own {
            Box::pin(self.own.call(uri))
        } else if named {
            Box::pin(self.named.call(uri))
        } else {
            Box::pin(self.public.call(uri))
        };
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                // The resolver knew the name only; the key wants the port too.
                Ok(connected) => connected.map_err(|error| match forbidden(&*error) {
                    Some(rule) => ForbiddenAddress { target: target.to_string(), ..rule }.into(),
                    None => error,
                }),
                Err(_) => {
                    let what = format!("no connection to {target} within {} s", CONNECT_TIMEOUT.as_secs());
                    Err(io::Error::new(io::ErrorKind::TimedOut, what).into())
                }
            }
        })
    }
}

/// The rule that was broken, if `error` or a cause of it is one.
pub(super) fn forbidden(error: &(dyn std::error::Error + 'static)) -> Option<ForbiddenAddress> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rebinding(std::sync::atomic::AtomicUsize);

    impl Resolve for Rebinding {
        fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let first = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            let address = if first { "8.8.8.8:0" } else { "127.0.0.1:0" };
            Box::pin(async move { Ok(vec![address.parse().map_err(io::Error::other)?]) })
        }
    }

    #[tokio::test]
    async fn u9_a_name_that_was_public_is_checked_again_when_it_is_looked_up_again() {
        let mut checked = Checked { resolve: Arc::new(Rebinding(0.into())), guard: true };
        let name: Name = "rebinding.example".parse().unwrap();
        assert_eq!(checked.call(name.clone()).await.unwrap().count(), 1);
        let error = checked.call(name).await.unwrap_err();
        assert!(forbidden(&*error).is_some(), "{error}");
    }

    #[test]
    fn u6_hosts_are_compared_in_one_spelling_and_with_their_port() {
        let of = |url: &str| Authority::of(&Url::parse(url).unwrap()).unwrap();
        assert_eq!(of("https://GHCR.io/x"), of("https://ghcr.io.:443"));
        assert_ne!(of("https://ghcr.io"), of("http://ghcr.io"));
        assert_ne!(of("https://ghcr.io"), of("https://ghcr.io:8443"));
        assert_eq!(Authority::parse("ghcr.io", "https"), Some(of("https://ghcr.io")));
        assert_eq!(Authority::parse("[::1]:5000", "https"), Some(of("https://[::1]:5000")));
        for wrong in ["", "a/b", "u@a", "a?b", "a#b", "https://a", ":443"] {
            assert_eq!(Authority::parse(wrong, "https"), None, "{wrong}");
        }
    }
}
