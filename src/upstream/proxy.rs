//! The forward proxy that a person's environment names, as curl and Go's tools read it: `HTTPS_PROXY` or `ALL_PROXY`, and
//! `NO_PROXY`.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::{Intercept, Matcher},
};
use tower::{Service as _, ServiceExt as _};

use super::egress::{BoxError, Stream};

/// Which requests go through which proxy. For commands, which run where a person's other tools run; a gate connects itself,
/// since of a name that a proxy looks up no address can be checked.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<Matcher>);

/// A proxy that a request goes through.
pub(super) struct Through {
    uri: Uri,
    auth: Option<HeaderValue>,
}

impl Proxy {
    /// The one that this process's environment names.
    #[must_use]
    pub fn of_environment() -> Self {
        Self(Arc::new(Matcher::from_env()))
    }

    #[cfg(test)]
    pub(super) fn of(https: &str, no: &str) -> Self {
        Self(Arc::new(Matcher::builder().https(https).no(no).build()))
    }

    /// What a request for `uri` goes through. What is not encrypted does not, nor what is on this machine, as Go's tools have it.
    pub(super) fn of_uri(&self, uri: &Uri) -> Option<Through> {
        let name = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let here = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let through = |proxy: Intercept| Through { uri: proxy.uri().clone(), auth: proxy.basic_auth().cloned() };
        self.0.intercept(uri).filter(|_| !here && uri.scheme() == Some(&http::uri::Scheme::HTTPS)).map(through)
    }
}

impl fmt::Display for Through {
    /// Without its user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} of HTTPS_PROXY or ALL_PROXY", self.uri.host().unwrap_or_default(), port(&self.uri))
    }
}

impl Through {
    /// A connection to `uri`, TLS included, over what the proxy makes one with CONNECT (RFC 9110, 9.3.6).
    pub(super) async fn connect(self, uri: Uri, tls: Arc<rustls::ClientConfig>) -> Result<Stream, BoxError> {
        if self.uri.scheme() != Some(&http::uri::Scheme::HTTP) {
            return Err(format!("{self} is none that is asked over plain HTTP; name it as http://HOST:PORT").into());
        }
        let told = self.to_string();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let tunnel = match self.auth {
            Some(auth) => Tunnel::new(self.uri, tcp).with_auth(auth),
            None => Tunnel::new(self.uri, tcp),
        };
        let mut connector = HttpsConnector::from((tunnel, tls));
        let connected = async { connector.ready().await?.call(uri).await };
        connected.await.map_err(|error| format!("through {told}: {}", causes(&*error)).into())
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme() == Some(&http::uri::Scheme::HTTPS) { 443 } else { 80 })
}

/// An error with what caused it: the outer ones say little.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    all.collect::<Vec<_>>().join(": ")
}
