//! Handshakes: certificates as they are read, replaced and asked for.

use std::path::Path;

use super::*;

/// An authority, and certificates of its for `localhost`.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, serial: u64) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.serial_number = Some(serial.into());
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn files(home: &Path, certificate: &(String, String)) -> TlsConfig {
    let config = TlsConfig { cert: home.join("tls.crt"), key: home.join("tls.key"), client_ca: None };
    std::fs::write(&config.cert, &certificate.0).unwrap();
    std::fs::write(&config.key, &certificate.1).unwrap();
    config
}

type Client = tokio_rustls::client::TlsStream<TcpStream>;

async fn dial(addr: SocketAddr, authority: &Authority, own: Option<(String, String)>) -> std::io::Result<Client> {
    dial_as(addr, Arc::new(client(authority, own))).await
}

async fn dial_as(addr: SocketAddr, config: Arc<rustls::ClientConfig>) -> std::io::Result<Client> {
    let stream = TcpStream::connect(addr).await?;
    tokio_rustls::TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream).await
}

fn client(authority: &Authority, own: Option<(String, String)>) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn shown(client: &Client) -> Vec<u8> {
    client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let (home, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let config = files(home.path(), &authority.issue(1));
    let tls = Arc::new(Tls::load(&config).unwrap());
    let rig = rig(generous(), Some(Arc::clone(&tls)));
    let mut old = dial(rig.addr, &authority, None).await.unwrap();
    assert_eq!(old.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    hello(&mut old).await;

    files(home.path(), &authority.issue(2));
    tls.replace(&Tls::load(&config).unwrap());
    let mut new = dial(rig.addr, &authority, None).await.unwrap();
    hello(&mut new).await;
    assert_ne!(shown(&old), shown(&new));
    hello(&mut old).await;
}

#[tokio::test]
async fn no_session_outlives_its_connection_for_a_client_that_remembers_sessions() {
    let (home, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let rig = rig(generous(), Some(Arc::new(Tls::load(&files(home.path(), &authority.issue(1))).unwrap())));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = Arc::new(builder.with_root_certificates(authority.roots()).with_no_client_auth());
        for _ in 0..2 {
            let mut client = dial_as(rig.addr, Arc::clone(&config)).await.unwrap();
            hello(&mut client).await;
            assert_eq!(client.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_half_a_file_and_no_file_are_refused_by_name() {
    let (home, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let ((cert, key), (_, other_key)) = (authority.issue(1), authority.issue(2));
    let config = files(home.path(), &(cert.clone(), other_key));
    assert!(matches!(Tls::load(&config), Err(TlsError::Pair { .. })));
    let config = files(home.path(), &(cert[..cert.len() / 2].to_owned(), key.clone()));
    assert!(Tls::load(&config).unwrap_err().to_string().contains("tls.crt"));
    let config = files(home.path(), &(String::new(), key));
    assert!(matches!(Tls::load(&config), Err(TlsError::Empty(_))));
    std::fs::remove_file(&config.cert).unwrap();
    assert!(matches!(Tls::load(&config), Err(TlsError::Pem { .. })));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_turned_away_when_authorities_are_named() {
    let (home, authority, others) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    let mut config = files(home.path(), &authority.issue(1));
    config.client_ca = Some(home.path().join("clients.crt"));
    std::fs::write(home.path().join("clients.crt"), authority.0.pem()).unwrap();
    let rig = rig(generous(), Some(Arc::new(Tls::load(&config).unwrap())));

    hello(&mut dial(rig.addr, &authority, Some(authority.issue(2))).await.unwrap()).await;
    for own in [None, Some(others.issue(3))] {
        // In TLS 1.3 the client learns of it with its first read.
        let answered = match dial(rig.addr, &authority, own).await {
            Ok(mut client) => ask(&mut client, "/").await,
            Err(_) => String::new(),
        };
        assert_eq!(answered, "");
    }
}

#[tokio::test]
async fn a_handshake_that_never_comes_holds_nobody_up_and_ends() {
    let (home, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let config = files(home.path(), &authority.issue(1));
    let rig = rig(Limits { header_timeout: 200 * MS, ..generous() }, Some(Arc::new(Tls::load(&config).unwrap())));
    let mut silent = rig.connect().await;
    hello(&mut dial(rig.addr, &authority, None).await.unwrap()).await;
    assert!(ends(&mut silent, 2_000 * MS).await);
}
