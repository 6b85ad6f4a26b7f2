//! TLS: who is believed to be the upstream.

use super::*;

/// Asks `https://registry.acme.test:<port>`, served with a certificate of `authority` for `name`.
async fn asked(authority: &Authority, trusted: &Authority, name: &str, until: i32) -> Result<FetchedManifest, UpstreamError> {
    let server = Server::start_on([127, 0, 0, 1], Some(authority.server(name, until)), |_| manifest()).await;
    let (_kept, ca) = file(&trusted.pem);
    let url = format!("https://registry.acme.test:{}", server.address.port());
    let config = RegistryConfig { ca: Some(ca), plain_http: false, ..config(&url) };
    upstream_with(config, Names::all_at(server.address)).manifest(&app(), &by_digest()).await
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_believed() {
    let authority = Authority::new();
    assert!(asked(&authority, &authority, "registry.acme.test", 2100).await.is_ok());
}

#[tokio::test]
async fn u1_another_name_an_expired_certificate_or_another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (asked, why) in [
        (asked(&authority, &authority, "registry.evil.test", 2100).await, "not valid for name"),
        (asked(&authority, &authority, "registry.acme.test", 2021).await, "expired"),
        (asked(&other, &authority, "registry.acme.test", 2100).await, "UnknownIssuer"),
    ] {
        let error = asked.unwrap_err();
        assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "want {why}: {error}");
    }
}

#[tokio::test]
async fn u1_no_authority_configured_means_the_systems_and_not_any() {
    let authority = Authority::new();
    let server = Server::start_on([127, 0, 0, 1], Some(authority.server("registry.acme.test", 2100)), |_| manifest()).await;
    let url = format!("https://registry.acme.test:{}", server.address.port());
    let upstream = upstream_with(config(&url), Names::all_at(server.address));
    assert!(matches!(upstream.manifest(&app(), &by_digest()).await, Err(UpstreamError::Unreachable { .. })));
    assert_eq!(server.asked().len(), 0);
    assert_eq!(server.connections(), 1, "a certificate does not get better by asking again");
}

#[tokio::test]
async fn u1_https_is_never_spoken_as_http() {
    let server = Server::start(|_| manifest()).await;
    let upstream = upstream(config(&format!("https://{}", server.address)));
    assert!(upstream.manifest(&app(), &by_digest()).await.is_err());
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn u4_https_does_not_redirect_to_http() {
    let trap = Server::trap([127, 0, 0, 3]).await;
    let (authority, location) = (Authority::new(), trap.url());
    let tls = authority.server("127.0.0.1", 2100);
    let server = Server::start_on([127, 0, 0, 1], Some(tls), move |_| Reply::redirect(&location)).await;
    let (_kept, ca) = file(&authority.pem);
    let allow_hosts = vec![trap.address.to_string()];
    let url = format!("https://{}", server.address);
    let asked = upstream(RegistryConfig { ca: Some(ca), allow_hosts, ..config(&url) }).blob(&app(), &digest()).await;
    assert!(matches!(asked, Err(UpstreamError::Forbidden(_))), "{asked:?}");
    assert_eq!(trap.connections(), 0);
}

fn refused(change: impl FnOnce(&mut RegistryConfig)) -> String {
    let mut registry = RegistryConfig { plain_http: false, ..config("https://registry.acme.test") };
    change(&mut registry);
    let config = Config { host: "acme.test".parse().unwrap(), location: Location::Registry(registry) };
    connect(&config).map(drop).unwrap_err().to_string()
}

#[test]
fn u1_what_is_wrong_with_the_configuration_is_told_at_the_start_with_key_and_file() {
    let url = |url: &str| refused(|config| config.url = url.parse().unwrap());
    assert!(url("http://registry.acme.test").contains("needs `plain_http: dangerous`"));
    assert!(url("ftp://registry.acme.test").contains("neither https nor http"));
    assert!(url("https://u:hunter2@registry.acme.test").contains("`credentials`"));
    assert!(!url("https://u:hunter2@registry.acme.test").contains("hunter2"));
    assert!(url("https://registry.acme.test/?a=b").contains("query"));
    for (text, why) in [("", "holds no certificate"), ("-----BEGIN CERTIFICATE-----\n!\n", "not PEM")] {
        let (_kept, path) = file(text);
        let told = refused(|config| config.ca = Some(path.clone()));
        assert!(told.contains(why) && told.contains("`ca: ") && told.contains(path.to_str().unwrap()), "{told}");
    }
    assert!(refused(|config| config.ca = Some("/nonexistent".into())).contains("/nonexistent"));
    for text in ["", "[]", "{\"auths\": 3}"] {
        let (_kept, path) = file(text);
        let told = refused(|config| config.docker_configs = vec![path.clone()]);
        assert!(told.contains(&format!("upstream acme.test: its credentials: {}: ", path.display())), "{told}");
    }
    assert!(refused(|config| config.auth_hosts = vec!["https://a/b".into()]).contains("`auth_hosts`"));
    assert!(refused(|config| config.allow_hosts = vec!["a/b".into()]).contains("`allow_hosts`"));
    let layout = Config { host: "acme.test".parse().unwrap(), location: Location::Layout("/nonexistent".into()) };
    assert!(connect(&layout).map(drop).unwrap_err().to_string().contains("`layout: /nonexistent`"));
}
