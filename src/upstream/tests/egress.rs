//! Where connections go, and where they do not.

use super::*;

/// A registry that redirects everything to `location`, asked for a blob.
async fn redirected(location: &str, change: impl FnOnce(&mut RegistryConfig)) -> (Server, Result<Vec<u8>, UpstreamError>) {
    let location = location.to_owned();
    let server = Server::start(move |_| Reply::redirect(&location)).await;
    let mut config = config(&server.url());
    change(&mut config);
    let asked = match upstream(config).blob(&app(), &digest()).await {
        Ok(blob) => whole(blob).await,
        Err(error) => Err(error),
    };
    (server, asked)
}

#[tokio::test]
async fn u4_a_redirect_into_a_private_range_is_refused_and_the_key_is_named() {
    let trap = Server::trap([127, 0, 0, 3]).await;
    let port = trap.address.port();
    for host in ["127.0.0.3", "[::ffff:127.0.0.3]", "2130706435", "0x7f.3", "127.3"] {
        let (_, asked) = redirected(&format!("http://{host}:{port}/"), |_| ()).await;
        let Err(UpstreamError::Forbidden(why)) = asked else { panic!("{host} {asked:?}") };
        assert!(why.contains("`allow_hosts`") && why.contains("loopback") && why.contains(&port.to_string()), "{why}");
    }
    for (location, kind) in [
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://10.0.0.1/", "private"),
        ("http://100.100.100.200/", "carrier-grade NAT"),
        ("http://[fd00:ec2::254]/", "private"),
        ("http://[fe80::1]/", "link-local"),
        ("http://0.0.0.0/", "unspecified"),
        ("http://[::]/", "unspecified"),
    ] {
        let (_, asked) = redirected(location, |_| ()).await;
        assert!(matches!(&asked, Err(UpstreamError::Forbidden(why)) if why.contains(kind)), "{location} {asked:?}");
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn u4_another_port_of_the_upstream_itself_is_another_host() {
    let admin = Server::trap([127, 0, 0, 1]).await;
    let (_, asked) = redirected(&format!("{}/metrics", admin.url()), |_| ()).await;
    assert!(matches!(asked, Err(UpstreamError::Forbidden(_))), "{asked:?}");
    assert_eq!(admin.connections(), 0);
}

#[tokio::test]
async fn a_host_in_allow_hosts_may_be_private() {
    let store = Server::start_on([127, 0, 0, 3], None, |_| Reply::ok("binary/octet-stream", "blob")).await;
    let allowed = store.address.to_string();
    let (_, asked) = redirected(&store.url(), |config| config.allow_hosts = vec![allowed]).await;
    assert_eq!(asked.unwrap(), b"blob");
}

#[tokio::test]
async fn u4_a_name_that_resolves_privately_is_refused_even_among_public_addresses() {
    let trap = Server::trap([127, 0, 0, 3]).await;
    let port = trap.address.port();
    let public: SocketAddr = "192.0.2.1:0".parse().unwrap();
    for found in [vec![trap.address], vec!["8.8.8.8:0".parse().unwrap(), trap.address], vec![public]] {
        let location = format!("http://cdn.example:{port}/blob");
        let server = Server::start(move |_| Reply::redirect(&location)).await;
        let names = Names(Arc::new(move |_| found.clone()));
        let asked = upstream_with(config(&server.url()), names).blob(&app(), &digest()).await;
        let Err(UpstreamError::Forbidden(why)) = asked else { panic!("{asked:?}") };
        assert!(
            why.contains(&format!("`cdn.example:{port}` in `allow_hosts` of the upstream in a configuration (`--config`)")),
            "{why}"
        );
        // J7: a client may not use the gate to look names up in the operator's network.
        assert!(!why.contains("127.0.0.3") && !why.contains("192.0.2.1"), "{why}");
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn u9_every_look_up_is_checked_not_only_the_first() {
    // The first look-up finds nothing, which is asked again; the second finds a private address.
    let trap = Server::trap([127, 0, 0, 3]).await;
    let address = trap.address;
    let location = format!("http://rebinding.example:{}/", address.port());
    let server = Server::start(move |_| Reply::redirect(&location)).await;
    let looked_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked_up);
    let names = Names(Arc::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Vec::new(),
        _ => vec![address],
    }));
    let asked = upstream_with(config(&server.url()), names).blob(&app(), &digest()).await;
    assert!(matches!(asked, Err(UpstreamError::Forbidden(_))), "{asked:?}");
    assert_eq!((looked_up.load(Ordering::Relaxed), trap.connections()), (2, 0));
}

#[tokio::test]
async fn u4_redirects_in_a_circle_end_after_five() {
    let server = Server::start(|asked| Reply::redirect(format!("{}x", asked.target))).await;
    let asked = at(&server).blob(&app(), &digest()).await;
    assert!(matches!(&asked, Err(UpstreamError::Lied { what, .. }) if what.contains("5 times")), "{asked:?}");
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn five_redirects_are_followed_for_manifests_too() {
    let path = format!("/v2/acme/app/manifests/{}", digest());
    let server = Server::start(move |asked| {
        if asked.target == format!("{path}xxxxx") { manifest() } else { Reply::redirect(format!("{}x", asked.target)) }
    });
    let server = server.await;
    assert!(at(&server).manifest(&app(), &by_digest()).await.is_ok());
}

#[tokio::test]
async fn u4_redirects_to_other_schemes_or_with_a_user_are_refused() {
    for location in ["file:///etc/passwd", "ftp://example.com/", "http://user@example.com/", "javascript:x"] {
        let (server, asked) = redirected(location, |_| ()).await;
        assert!(matches!(asked, Err(UpstreamError::Forbidden(_))), "{location} {asked:?}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_a_link_is_signed_with_is_not_told_in_errors() {
    let (_, asked) = redirected("ftp://example.com/blob?X-Amz-Signature=secret", |_| ()).await;
    assert!(!asked.unwrap_err().to_string().contains("secret"));
}

#[test]
fn public_addresses_are_public_and_all_others_are_not() {
    for public in ["8.8.8.8", "140.82.121.34", "172.15.0.1", "172.32.0.1", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::"] {
        let kind = super::super::egress::special(public.parse().unwrap());
        assert_eq!(kind.is_some(), public.starts_with("2002"), "{public} {kind:?}");
    }
    for special in [
        "0.0.0.0",
        "0.1.2.3",
        "10.255.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.1.2.3",
        "168.63.129.16",
        "169.254.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001:db8::1",
        "2001::1",
        "2002:a00:1::",
        "3fff::1",
        "4000::1",
        "fc00::1",
        "fd20:ce::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(super::super::egress::special(special.parse().unwrap()).is_some(), "{special}");
    }
}
