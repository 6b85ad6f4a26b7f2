//! The forward proxy that a person's environment names, as Go's tools read it: `HTTPS_PROXY`, but for what `NO_PROXY` names.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_rustls::HttpsConnector;
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use tower::{Service as _, ServiceExt as _};

use super::{
    egress::{BoxError, Stream, is_this_machine},
    http::Transport,
};

/// Which requests go through which proxy. For commands, which run where a person's other tools run; a gate connects itself,
/// since of a name that a proxy looks up no address can be checked.
#[derive(Clone)]
pub struct Proxy {
    https: Arc<str>,
    no: Arc<str>,
}

/// A proxy that a request goes through.
pub(super) struct Through {
    uri: Uri,
    auth: Option<HeaderValue>,
}

impl Proxy {
    /// The one that this process's environment names.
    #[must_use]
    pub fn of_environment() -> Self {
        // The end of a line is what a secret's file leaves. What is not UTF-8 is no URL, which is told.
        let value = |name: &&str| std::env::var_os(name).map(|value| value.to_string_lossy().trim().to_owned());
        let of = |names: [&str; 2]| names.iter().filter_map(value).find(|value| !value.is_empty()).unwrap_or_default();
        Self::of(&of(["HTTPS_PROXY", "https_proxy"]), &of(["NO_PROXY", "no_proxy"]))
    }

    pub(super) fn of(https: &str, no: &str) -> Self {
        Self { https: https.into(), no: no.into() }
    }

    /// What a request for `uri` goes through. What is not encrypted does not, nor what is on this machine, as Go's tools have it.
    ///
    /// # Errors
    /// What is named is no URL: past a proxy that somebody wanted, nobody is asked.
    pub(super) fn of_uri(&self, uri: &Uri) -> Option<Result<Through, &'static str>> {
        if is_this_machine(uri.host()?) || self.https.is_empty() || uri.scheme() != Some(&Scheme::HTTPS) {
            return None;
        }
        let without = self.no.split(',').map(str::trim).filter_map(|entry| of_port(entry, port(uri))).collect::<Vec<_>>();
        if without.contains(&"*") {
            return None;
        }
        let by = |https: &str| Matcher::builder().https(https).no(without.join(",")).build().intercept(uri);
        // Of what is no URL the matcher has nothing, as of what goes through none.
        by("http://any.test")?;
        let through = by(&self.https).map(|proxy| Through { uri: proxy.uri().clone(), auth: proxy.basic_auth().cloned() });
        Some(through.ok_or("HTTPS_PROXY is no URL of a proxy; name it as http://HOST:PORT"))
    }
}

/// An entry of `NO_PROXY` without what the matcher does not know: a port, where it is this one, and `*` before a domain.
fn of_port(entry: &str, port: u16) -> Option<&str> {
    let (name, its) = match entry.rsplit_once(':') {
        Some((name, its)) if !name.contains(':') || name.ends_with(']') => (name, its.parse().ok()),
        Some(_) | None => (entry, None),
    };
    let name = name.strip_prefix("*.").unwrap_or(name).trim_start_matches('[').trim_end_matches(']');
    its.is_none_or(|its: u16| its == port).then_some(name)
}

impl fmt::Debug for Proxy {
    /// Without what may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("no", &self.no).finish_non_exhaustive()
    }
}

impl fmt::Display for Through {
    /// Without its user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} of HTTPS_PROXY", self.uri.host().unwrap_or_default(), port(&self.uri))
    }
}

impl Through {
    /// A connection to `uri`, TLS included, over what the proxy makes one with CONNECT (RFC 9110, 9.3.6).
    pub(super) async fn connect(self, uri: Uri, tls: Arc<rustls::ClientConfig>) -> Result<Stream, BoxError> {
        if self.uri.scheme() != Some(&Scheme::HTTP) {
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
        connected.await.map_err(|error| format!("through {told}: {}", Transport::new(&*error)).into())
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 })
}
