//! `upstreams`: what images are called, and where they are.

use std::collections::HashMap;

use url::Url;

use super::{Weakness, files::Files};
use crate::{
    oci::Host,
    upstream::{self, Location, RegistryConfig},
    yaml::{Cursor, Fields, closest, shown},
};

pub(super) const KEYS: &[&str] = &["host", "url", "layout", "credentials", "ca", "plain_http", "auth_hosts", "allow_hosts"];
const LATER: &[&str] =
    &["mirrors", "rewrite", "pass_credentials", "client_cert", "client_key", "rate_limit", "retries", "timeout", "trust_root"];
/// Keys that mean something beside `url` only.
const OF_URL: &[&str] = &["credentials", "ca", "plain_http", "auth_hosts", "allow_hosts"];

/// What `upstreams` says.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    /// Those that are right.
    pub(super) configs: Vec<upstream::Config>,
    /// The hosts of all, also where something else is wrong.
    pub(super) hosts: Vec<Host>,
}

/// Reads `upstreams`. What is wrong is noted and left out.
pub(super) fn read(cursor: &Cursor<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Upstreams {
    let mut upstreams = Upstreams::default();
    let Some(items) = cursor.list() else { return upstreams };
    if items.is_empty() {
        cursor.wrong("an empty list leaves nothing to serve; write where images are");
    }
    let mut first: HashMap<Host, String> = HashMap::new();
    for item in items {
        let Some(fields) = item.fields(KEYS, LATER) else { continue };
        let host = fields.need("host", "write what images are called, as in ghcr.io").and_then(|cursor| host(&cursor));
        if let Some(host) = &host {
            let place = fields.get("host").unwrap_or_else(|| item.clone());
            match first.get(host) {
                Some(other) => place.wrong(format!("`{host}` is also {other}; a host has one upstream")),
                None => {
                    first.insert(host.clone(), item.path().to_owned());
                    upstreams.hosts.push(host.clone());
                }
            }
        }
        let location = location(&fields, host.as_ref(), files, weaknesses);
        if let (Some(host), Some(location)) = (host, location) {
            upstreams.configs.push(upstream::Config { host, location });
        }
    }
    upstreams
}

/// Reads `default_upstream`, one of `hosts`.
pub(super) fn default(cursor: &Cursor<'_>, hosts: &[Host]) -> Option<Host> {
    let wanted = host(cursor)?;
    if hosts.contains(&wanted) {
        return Some(wanted);
    }
    match closest(wanted.as_str(), hosts.iter().map(Host::as_str)) {
        Some(meant) => cursor.wrong(format!("`{wanted}` is not among `upstreams`; did you mean `{meant}`?")),
        None => cursor.wrong(format!("`{wanted}` is not among `upstreams`")),
    }
    None
}

fn host(cursor: &Cursor<'_>) -> Option<Host> {
    let text = cursor.text("a registry's host")?;
    if text.contains("://") || text.contains('/') {
        let bare = text.split("://").last().unwrap_or(text).split('/').next().unwrap_or_default();
        cursor.wrong(format!("wants a host as it stands in image names; write `{}`", shown(bare)));
        return None;
    }
    cursor.parse("a registry's host", str::parse)
}

fn location(fields: &Fields<'_>, host: Option<&Host>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Option<Location> {
    let place = fields.exactly_one(&["url", "layout"]);
    if let Some(("layout", place)) = &place {
        for (key, cursor) in fields.given(OF_URL) {
            cursor.wrong(format!("`{key}` means nothing beside `layout`; leave it out"));
        }
        return files.directory(place).map(Location::Layout);
    }
    let plain_http = match fields.get("plain_http") {
        Some(cursor) => cursor.word(&[("dangerous", ())]).is_some(),
        None => false,
    };
    let url = place.and_then(|(_, cursor)| url(&cursor, plain_http, fields.get("plain_http")));
    let docker_configs = match fields.get("credentials") {
        Some(cursor) => credentials(&cursor, files, weaknesses).map(|file| vec![file]),
        None => Some(Vec::new()),
    };
    let ca = match fields.get("ca") {
        Some(cursor) => files.gates(&cursor).map(Some),
        None => Some(None),
    };
    let auth_hosts = hosts(fields.get("auth_hosts"));
    let allow_hosts = hosts(fields.get("allow_hosts"));
    if plain_http && let Some(host) = host {
        let sentence = format!(
            "upstream {host} is asked over plain HTTP (plain_http: dangerous): its credentials and answers can be read and changed on the way; digests are still checked"
        );
        weaknesses.push(Weakness { kind: "plain_http", sentence });
    }
    Some(Location::Registry(RegistryConfig {
        url: url?,
        docker_configs: docker_configs?,
        ca: ca?,
        plain_http,
        auth_hosts: auth_hosts?,
        allow_hosts: allow_hosts?,
        proxy: None,
    }))
}

fn url(cursor: &Cursor<'_>, plain_http: bool, plain_http_at: Option<Cursor<'_>>) -> Option<Url> {
    let text = cursor.text("a URL such as https://ghcr.io")?;
    let Ok(url) = Url::parse(text) else {
        // Never shown as written: it may hold a password.
        let hint = if text.contains("://") { "" } else { "; write https:// before the host" };
        cursor.wrong(format!("is not a URL{hint}"));
        return None;
    };
    let wrong = match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => "names a user; write `credentials: {docker_config: PATH}`",
        "http" if !plain_http => "is not https; to ask without TLS all the same, also write `plain_http: dangerous`",
        "https" | "http" if url.host_str().is_none_or(str::is_empty) => "has no host",
        "https" | "http" if url.query().is_some() || url.fragment().is_some() => "has a query or a fragment; leave it out",
        "https" | "http" if url.path().trim_end_matches('/').ends_with("/v2") => "leave out /v2, which is added",
        "https" if matches!(url.host_str(), Some("docker.io" | "index.docker.io" | "hub.docker.com")) => {
            "is no registry; Docker Hub's is https://registry-1.docker.io"
        }
        "https" => {
            if plain_http && let Some(at) = plain_http_at {
                at.wrong("contradicts the https `url`; leave it out");
                return None;
            }
            return Some(url);
        }
        "http" => return Some(url),
        "oci" | "docker" | "file" => "wants https://…; for an OCI layout on disk write `layout: PATH` instead",
        "s3" | "gs" | "az" => "object stores are not supported yet",
        _ => "wants https://…; if that is a host and port, write https:// before it",
    };
    cursor.wrong(wrong);
    None
}

fn credentials(cursor: &Cursor<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Option<std::path::PathBuf> {
    const LATER: &[&str] =
        &["username", "password", "password_file", "token", "token_file", "helper", "ecr", "acr", "gcp", "kubernetes"];
    let fields = cursor.fields(&["docker_config"], LATER)?;
    let file = fields.need("docker_config", "write the path of a docker config.json")?;
    files.secret(&file, weaknesses)
}

/// Hosts with perhaps a port, in lower case.
fn hosts(cursor: Option<Cursor<'_>>) -> Option<Vec<String>> {
    let Some(cursor) = cursor else { return Some(Vec::new()) };
    let items = cursor.list()?;
    let hosts: Vec<_> = items
        .iter()
        .map(|item| {
            let text = item.text("a host")?;
            if text.contains('*') {
                item.wrong("wildcards are not supported here; name each host");
                return None;
            }
            item.parse("a host", |text| text.parse::<Host>().map(|_| text.to_ascii_lowercase()))
        })
        .collect();
    hosts.into_iter().collect()
}
