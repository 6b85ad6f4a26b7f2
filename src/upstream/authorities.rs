//! The certificate authorities of the system, read when the first server is met whose certificate needs them.

use std::sync::{Arc, LazyLock, OnceLock};

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Verifies servers by the system's authorities, and by others beside them.
///
/// A system keeps its authorities in some hundred and forty files, and reading them takes longer than all else that
/// `pullgate verify` does of an image on loopback; many a command never meets a server that needs them. Every decision is
/// [`WebPkiServerVerifier`]'s; this only puts off making one.
#[derive(Debug)]
pub(super) struct SystemAuthorities {
    provider: Arc<CryptoProvider>,
    beside: RootCertStore,
    verifier: OnceLock<Arc<WebPkiServerVerifier>>,
}

impl SystemAuthorities {
    /// The system's authorities and those in `beside`.
    pub(super) fn and(beside: RootCertStore, provider: Arc<CryptoProvider>) -> Self {
        Self { provider, beside, verifier: OnceLock::new() }
    }

    fn verifier(&self) -> Result<&WebPkiServerVerifier, Error> {
        if let Some(verifier) = self.verifier.get() {
            return Ok(verifier);
        }
        let mut roots = SYSTEM.clone();
        roots.roots.extend(self.beside.roots.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(format!("the system's certificate authorities cannot be used: {error}")))?;
        Ok(self.verifier.get_or_init(|| verifier))
    }
}

impl ServerCertVerifier for SystemAuthorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The system's certificate authorities; Mozilla's where it has none (an image built `FROM scratch`).
static SYSTEM: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::info!("the system has no certificate authorities: those compiled in are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_nobody_vouches_for_is_refused_and_one_beside_the_system_s_is_believed() {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["registry.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let ask = |beside: RootCertStore, name: &'static str| {
            let authorities = SystemAuthorities::and(beside, Arc::clone(&provider));
            authorities.verify_server_cert(certificate.der(), &[], &name.try_into().unwrap(), &[], UnixTime::now())
        };
        assert!(ask(RootCertStore::empty(), "registry.test").is_err());
        let mut beside = RootCertStore::empty();
        beside.add(certificate.der().clone()).unwrap();
        assert!(ask(beside.clone(), "registry.test").is_ok());
        assert!(ask(beside, "other.test").is_err());
    }
}
