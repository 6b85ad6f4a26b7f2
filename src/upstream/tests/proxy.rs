//! Through the forward proxy of a person's environment.

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

type Heads = Arc<ArcSwap<Vec<String>>>;

/// A proxy that answers CONNECT so, and makes every connection to `target`; with the heads it was sent.
async fn proxy(answer: &'static str, target: SocketAddr) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Heads::default());
    let heads = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let heads = Arc::clone(&heads);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                heads.rcu(|heads| [&heads[..], std::slice::from_ref(&head)].concat());
                client.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
                let mut there = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut there).await;
            });
        }
    });
    (address, seen)
}

/// Nobody looks a name up.
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Err(io::Error::other(format!("{name} was looked up"))) })
    }
}

/// A registry over TLS, and its configuration with such a proxy for all but `no`.
async fn behind(no: &str, scheme: &str, answer: &'static str) -> (Server, RegistryConfig, Heads, impl Sized) {
    let authority = testing::Authority::new();
    let tls = authority.server("registry.acme.test", 2100);
    let server = Server::start_on([127, 0, 0, 1], Some(tls), |asked| match asked.path().contains("/blobs/") {
        true => Reply::redirect("https://10.0.0.7/blob"),
        false => manifest(),
    });
    let server = server.await;
    let (kept, ca) = file(&authority.pem);
    let (address, heads) = proxy(answer, server.address).await;
    let url = format!("https://registry.acme.test:{}", server.address.port());
    let proxy = Some(Proxy::of(&format!("{scheme}://jane:secret@{address}"), no));
    let config = RegistryConfig { ca: Some(ca), plain_http: false, proxy, ..config(&url) };
    (server, config, heads, kept)
}

#[tokio::test]
async fn a_registry_is_asked_through_the_proxy_which_looks_its_name_up() {
    let (server, config, heads, _kept) = behind("other.test", "http", "200 OK").await;
    let upstream = upstream_with(config, Nowhere);
    assert!(upstream.manifest(&app(), &by_digest()).await.is_ok());
    let heads_of = || heads.load_full();
    let wanted = format!("CONNECT registry.acme.test:{} HTTP/1.1\r\n", server.address.port());
    assert!(heads_of()[0].starts_with(&wanted), "{:?}", heads_of());
    assert!(heads_of()[0].contains("\r\nProxy-Authorization: Basic amFuZTpzZWNyZXQ=\r\n"), "{:?}", heads_of());
    // U4: a literal address that is not public is none of the proxy's business either.
    let error = upstream.blob(&app(), &digest()).await.err().unwrap();
    assert!(error.to_string().contains("10.0.0.7 has an address that is private"), "{error}");
    assert_eq!(heads_of().len(), 1);
}

#[tokio::test]
async fn what_no_proxy_names_is_asked_without() {
    let (server, config, heads, _kept) = behind("acme.test", "http", "200 OK").await;
    let upstream = upstream_with(config, Names::all_at(server.address));
    assert!(upstream.manifest(&app(), &by_digest()).await.is_ok());
    assert_eq!(heads.load().len(), 0);
}

#[tokio::test]
async fn a_proxy_that_will_not_or_cannot_be_asked_is_named_and_its_password_is_not() {
    for (scheme, answer, why) in [
        ("http", "407 Proxy Authentication Required", "proxy authorization required"),
        ("http", "403 Forbidden", "unsuccessful"),
        ("https", "200 OK", "name it as http://HOST:PORT"),
    ] {
        let (_server, config, _heads, _kept) = behind("", scheme, answer).await;
        let error = upstream_with(config, Nowhere).manifest(&app(), &by_digest()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("the proxy 127.0.0.1:") && told.contains(why), "want {why}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

/// As Go's tools read it, and Docker documents it.
#[test]
fn what_no_proxy_names_is_a_domain_an_address_or_all_with_a_port_or_without() {
    for (no, through) in [
        ("", true),
        ("corp.test", false),
        (".corp.test", false),
        ("*.corp.test", false),
        ("a.test, reg.corp.test", false),
        ("reg.corp.test:5000", false),
        ("reg.corp.test:443", true),
        ("corp", true),
        ("test.corp", true),
        ("*", false),
        ("x,*", false),
    ] {
        let proxy = Proxy::of("http://proxy.test", no);
        assert_eq!(proxy.of_uri(&"https://reg.corp.test:5000/v2/".parse().unwrap()).is_some(), through, "{no}");
    }
    for (no, through) in
        [("192.0.2.2", false), ("192.0.2.2:5000", false), ("192.0.2.2:1", true), ("192.0.2.0/24", false), ("*", false)]
    {
        let proxy = Proxy::of("http://proxy.test", no);
        assert_eq!(proxy.of_uri(&"https://192.0.2.2:5000/v2/".parse().unwrap()).is_some(), through, "{no}");
    }
    for (no, through) in
        [("2001:db8::2", false), ("[2001:db8::2]", false), ("[2001:db8::2]:5000", false), ("[2001:db8::2]:1", true)]
    {
        let proxy = Proxy::of("http://proxy.test", no);
        assert_eq!(proxy.of_uri(&"https://[2001:db8::2]:5000/v2/".parse().unwrap()).is_some(), through, "{no}");
    }
    assert!(Proxy::of("", "").of_uri(&"https://reg.corp.test/v2/".parse().unwrap()).is_none());
    assert!(!format!("{:?}", Proxy::of("http://a:secret@b", "c")).contains("secret"));
}

#[test]
fn past_a_proxy_that_cannot_be_read_nobody_is_asked() {
    let uri = "https://reg.corp.test/v2/".parse().unwrap();
    for https in ["http://corp\\user:secret@proxy.test", "http://proxy .test"] {
        let why = Proxy::of(https, "").of_uri(&uri).unwrap().err().unwrap();
        assert!(why.contains("HTTPS_PROXY is no URL") && !why.contains("secret"), "{why}");
        assert!(Proxy::of(https, "corp.test").of_uri(&uri).is_none(), "not wanted");
    }
}

#[test]
fn what_is_on_this_machine_or_not_encrypted_goes_through_no_proxy() {
    let proxy = Proxy::of("http://proxy.test", "");
    for (uri, through) in [
        ("https://registry.test/v2/", true),
        ("https://10.0.0.1/v2/", true),
        ("http://registry.test/v2/", false),
        ("https://localhost:5000/v2/", false),
        ("https://127.0.0.9/v2/", false),
        ("https://[::1]:5000/v2/", false),
    ] {
        assert_eq!(proxy.of_uri(&uri.parse().unwrap()).is_some(), through, "{uri}");
    }
}
