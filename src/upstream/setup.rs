//! From configuration to upstreams. Everything that can be wrong with the files is found here, at the start.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    Config, Location, RegistryConfig, Upstream,
    auth::Auth,
    authorities::SystemAuthorities,
    client::Registry,
    credentials::{self, Credentials},
    egress::{Authority, Resolve, Rules, System},
    http::Http,
    layout::Layout,
};
use crate::oci::Host;

/// How large a file of certificate authorities may be.
const MAX_CA: usize = 4 << 20;

/// Why an upstream cannot be set up. Names the upstream, and the key or the file.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The `ca` file.
    #[error("upstream {host}: `ca: {}`: {why}", .file.display())]
    Ca {
        /// Which upstream.
        host: Host,
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The docker `config.json`. Without a key: a command without a configuration finds it by itself.
    #[error("upstream {host}: its credentials: {why}")]
    DockerConfig {
        /// Which upstream.
        host: Host,
        /// What is wrong, with the file's name.
        why: String,
    },
    /// The layout.
    #[error("upstream {host}: `layout: {}`: {source}", .directory.display())]
    Layout {
        /// Which upstream.
        host: Host,
        /// Which directory.
        directory: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An entry of `allow_hosts` or `auth_hosts`.
    #[error("upstream {host}: `{key}`: `{entry}` is not a host or host:port")]
    NotAHost {
        /// Which upstream.
        host: Host,
        /// Which key.
        key: &'static str,
        /// Which entry.
        entry: String,
    },
    /// TLS itself.
    #[error("upstream {host}: TLS cannot be set up: {source}")]
    Tls {
        /// Which upstream.
        host: Host,
        /// Why.
        source: rustls::Error,
    },
    /// The `url`.
    #[error("upstream {host}: `url: {url}`: {why}")]
    Url {
        /// Which upstream.
        host: Host,
        /// The URL, without user and password.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// Sets up an upstream: reads the files its configuration names, connects to nothing. Blocks while it reads.
///
/// # Errors
/// [`SetupError`] names the key and the file that is wrong.
pub fn connect(config: &Config) -> Result<Arc<dyn Upstream>, SetupError> {
    connect_with(config, Arc::new(System))
}

/// [`connect`] with another way of finding addresses.
pub(super) fn connect_with(config: &Config, resolve: Arc<dyn Resolve>) -> Result<Arc<dyn Upstream>, SetupError> {
    match &config.location {
        Location::Layout(directory) => {
            let failed = |source| SetupError::Layout { host: config.host.clone(), directory: directory.clone(), source };
            Ok(Arc::new(Layout::open(config.host.clone(), directory.clone()).map_err(failed)?))
        }
        Location::Registry(registry) => Ok(Arc::new(set_up(&config.host, registry, resolve)?)),
    }
}

fn set_up(host: &Host, config: &RegistryConfig, resolve: Arc<dyn Resolve>) -> Result<Registry, SetupError> {
    let (upstream, https) = check_url(host, config)?;
    let scheme = if https { "https" } else { "http" };
    let hosts = |key, entries: &[String]| {
        let parse = |entry: &String| {
            let not_a_host = || SetupError::NotAHost { host: host.clone(), key, entry: entry.clone() };
            Authority::parse(entry, scheme).ok_or_else(not_a_host)
        };
        entries.iter().map(parse).collect::<Result<Vec<_>, _>>()
    };
    let allowed = hosts("allow_hosts", &config.allow_hosts)?;
    let realms = hosts("auth_hosts", &config.auth_hosts)?;
    for file in &config.docker_configs {
        let failed =
            |error: credentials::CredentialError| SetupError::DockerConfig { host: host.clone(), why: error.to_string() };
        credentials::check(file).map_err(failed)?;
    }
    let (tls, tls_elsewhere) = tls(host, config.ca.as_deref())?;
    let proxy = config.proxy.clone();
    let rules = Rules { upstream: upstream.clone(), allowed, tls, tls_elsewhere, resolve, proxy };
    // Where tokens come from the operator named too, but blobs are not to be fetched from there.
    let mut token_rules = rules.clone();
    token_rules.allowed.extend(realms.iter().cloned());
    let credentials = config.docker_configs.iter().map(|file| Credentials::new(file.clone(), https, upstream.clone())).collect();
    let auth = Auth::new(Http::new(host.as_str(), &token_rules, None), upstream.clone(), https, realms, credentials);
    Ok(Registry::new(host.clone(), config.url.clone(), Http::new(host.as_str(), &rules, Some(upstream)), auth))
}

fn check_url(host: &Host, config: &RegistryConfig) -> Result<(Authority, bool), SetupError> {
    let url = &config.url;
    let wrong = |why| {
        let mut shown = url.clone();
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        SetupError::Url { host: host.clone(), url: shown.into(), why }
    };
    let https = match url.scheme() {
        "https" => true,
        "http" if config.plain_http => false,
        "http" => return Err(wrong("is not https; http needs `plain_http: dangerous`")),
        _ => return Err(wrong("is neither https nor http")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("names a user; credentials belong in `credentials`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    let authority = Authority::of(url).ok_or_else(|| wrong("has no host"))?;
    Ok((authority, https))
}

/// For the upstream itself, and for where it sends us. A private `ca` replaces the system's for the first, and joins them
/// for the second: a private registry may keep its blobs in a public store.
fn tls(host: &Host, ca: Option<&Path>) -> Result<(Arc<ClientConfig>, Arc<ClientConfig>), SetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        builder.map_err(|source| SetupError::Tls { host: host.clone(), source })
    };
    let finish = |mut config: ClientConfig| {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    };
    let with_system = |beside| {
        let verifier = Arc::new(SystemAuthorities::and(beside, Arc::clone(&provider)));
        // What rustls calls dangerous is that a verifier of one's own may check anything; this one checks what rustls' does.
        Ok(finish(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
    };
    match ca {
        None => with_system(RootCertStore::empty()).map(|config| (Arc::clone(&config), config)),
        Some(file) => {
            let own = read_ca(file).map_err(|why| SetupError::Ca { host: host.clone(), file: file.to_owned(), why })?;
            let elsewhere = with_system(own.clone())?;
            Ok((finish(builder()?.with_root_certificates(own).with_no_client_auth()), elsewhere))
        }
    }
}

fn read_ca(file: &Path) -> Result<RootCertStore, String> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    std::io::Read::read_to_end(&mut std::io::Read::take(opened, MAX_CA as u64 + 1), &mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() > MAX_CA {
        return Err(format!("is larger than {MAX_CA} bytes"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() { Err("holds no certificate".into()) } else { Ok(roots) }
}
