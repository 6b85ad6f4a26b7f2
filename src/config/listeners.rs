//! `listen`, `tls`, `admin`: where clients and where the operator connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Weakness, files::Files};
use crate::{
    server::TlsConfig,
    yaml::{Cursor, Fields, shown},
};

/// The default of `listen`.
pub(super) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5050);
/// The default of `admin`.
pub(super) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5051);

/// What the listeners' keys say.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) tls: Option<TlsConfig>,
}

/// Reads the listeners' keys. What is wrong is noted and has its default.
pub(super) fn read(fields: &Fields<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Listeners {
    let address_of = |key, default| match fields.get(key) {
        Some(cursor) => address(&cursor, default).unwrap_or(default),
        None => default,
    };
    let (listen, admin) = (address_of("listen", LISTEN), address_of("admin", ADMIN));
    let tls = fields.get("tls").and_then(|cursor| tls(&cursor, files, weaknesses));
    let one_covers_the_other = listen.ip() == admin.ip() || listen.ip().is_unspecified() || admin.ip().is_unspecified();
    if listen.port() == admin.port() && listen.port() != 0 && one_covers_the_other {
        let at = fields.get("admin").or_else(|| fields.get("listen")).unwrap_or_else(|| fields.at().clone());
        at.wrong(format!("listen ({listen}) and admin ({admin}) cannot share a port"));
    }
    if listen.ip().is_unspecified() && tls.as_ref().is_none_or(|tls| tls.client_ca.is_none()) {
        let sentence = format!("listen: {listen} takes connections from everywhere and asks for no client certificate");
        weaknesses.push(Weakness { kind: "open_listener", sentence });
    }
    if !admin.ip().is_loopback() {
        let sentence = format!("admin: {admin} can be reached from other machines and asks for nothing");
        weaknesses.push(Weakness { kind: "open_admin", sentence });
    }
    Listeners { listen, admin, tls }
}

fn address(cursor: &Cursor<'_>, default: SocketAddr) -> Option<SocketAddr> {
    let text = cursor.text("an address and port")?;
    let hint = match text.rsplit_once(':') {
        Some((_, port)) if text.parse::<SocketAddr>().is_err() && port.parse::<u16>().is_ok() => {
            format!("write 127.0.0.1:{port} for this machine only, or 0.0.0.0:{port}")
        }
        Some(_) | None => format!("write {default}"),
    };
    text.parse().map_err(|_| cursor.wrong(format!("wants an IP address and port, found `{}`; {hint}", shown(text)))).ok()
}

fn tls(cursor: &Cursor<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Option<TlsConfig> {
    let fields = cursor.fields(&["cert", "key", "client_ca"], &["acme", "alpn", "http2", "min_version", "spiffe"])?;
    let cert = fields.need("cert", "write the path of the certificate chain, PEM").and_then(|cursor| files.gates(&cursor));
    let key =
        fields.need("key", "write the path of the certificate's key, PEM").and_then(|cursor| files.secret(&cursor, weaknesses));
    let client_ca = match fields.get("client_ca") {
        Some(cursor) => files.gates(&cursor).map(Some),
        None => Some(None),
    };
    Some(TlsConfig { cert: cert?, key: key?, client_ca: client_ca? })
}
