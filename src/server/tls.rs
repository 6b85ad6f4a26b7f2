//! Certificates: read, checked, swapped whole.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::TlsConfig;

/// Why certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file holds no certificate.
    #[error("{}: no certificate in it (PEM is wanted)", .0.display())]
    Empty(PathBuf),
    /// The key is not the certificate's, or is of a kind that cannot be used.
    #[error("{} with {}: {source}", .cert.display(), .key.display())]
    Pair {
        /// Certificate.
        cert: PathBuf,
        /// Key.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A file cannot be read as PEM.
    #[error("{}: {source}", .path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The client authorities cannot be used.
    #[error("{}: {reason}", .path.display())]
    ClientCa {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The TLS side of a listener. TLS 1.2 and 1.3, `http/1.1` by ALPN.
///
/// The whole server configuration is swapped, not only the certificate: the client authorities are then replaced with it. No session
/// is ever resumed, so none outlives who was allowed to begin it.
#[derive(Debug)]
pub struct Tls {
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]: which file and why.
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self { current: ArcSwap::new(read(config)?) })
    }

    /// Takes what `other` read; handshakes from now on use it, connections that are open go on.
    pub fn replace(&self, other: &Self) {
        self.current.store(other.current.load_full());
    }

    pub(super) async fn accept<I>(&self, io: I) -> std::io::Result<TlsStream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.current.load_full()).accept(io).await
    }
}

fn read(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(&config.cert)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|source| TlsError::Pem { path: config.key.clone(), source })?;
    let pair = |source| TlsError::Pair { cert: config.cert.clone(), key: config.key.clone(), source };
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12]).map_err(pair)?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let refused = |reason: String| TlsError::ClientCa { path: path.clone(), reason };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| refused(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| refused(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(pair)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No session is resumed: clients of registries keep their connections, and Go's remember no sessions unless told to. Two tickets
    // a handshake, and the lock around the few sessions that are kept, are paid for by all who connect at once.
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(server))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if chain.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(chain) }
}
