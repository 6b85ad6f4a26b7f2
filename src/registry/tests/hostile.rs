//! Upstreams that lie, and clients that send what no pull sends.

use super::*;

#[tokio::test(start_paused = true)]
async fn x4_upstream_that_alternates_digests_serves_only_hashed_bytes() {
    let world = World::allowing();
    let (one, two) = (image(&world.upstream, &[]), image(&world.upstream, &[world.upstream.blob("other")]));
    let first = world.upstream.publish(Some("v1"), &one);
    let head = world.ask(Method::HEAD, "/v2/acme/app/manifests/v1").await;
    assert_eq!(head.header("docker-content-digest"), first.to_string());
    let second = world.upstream.publish(Some("v1"), &two);
    // GET answers from the record of HEAD.
    let get = world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!((get.header("docker-content-digest"), &get.body[..]), (first.to_string().as_str(), one.as_bytes()));
    tokio::time::advance(TTL).await;
    let get = world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!((get.header("docker-content-digest"), &get.body[..]), (second.to_string().as_str(), two.as_bytes()));
    assert_eq!(Digest::sha256(&get.body), second);
}

#[tokio::test]
async fn x5_bytes_that_are_not_what_was_asked_for_are_502() {
    let world = World::allowing();
    let wanted = Digest::sha256(b"wanted");
    let bytes = Bytes::from(image(&world.upstream, &[]));
    let lie = FetchedManifest { digest: wanted, bytes, content_type: None };
    world.upstream.manifests.insert(wanted.to_string(), lie);
    world.upstream.resolved.insert("v1".into(), Ok(Resolved { digest: wanted, manifest: None }));
    for reference in ["v1", &wanted.to_string()] {
        assert_eq!(world.both(&format!("/v2/acme/app/manifests/{reference}")).await.error(), error(502, "MANIFEST_INVALID"));
    }
}

#[tokio::test]
async fn x6_a_content_type_that_contradicts_the_body_is_502() {
    let world = World::allowing();
    let digest = world.upstream.publish(Some("v1"), &image(&world.upstream, &[]));
    world.upstream.manifests.get_mut(&digest.to_string()).unwrap().content_type = Some("text/html".into());
    assert_eq!(world.both("/v2/acme/app/manifests/v1").await.error(), error(502, "MANIFEST_INVALID"));
}

#[tokio::test]
async fn x8_schema_1_and_documents_with_two_meanings_are_403_though_all_is_allowed() {
    let world = World::allowing();
    let schema_one = json!({"schemaVersion": 1, "fsLayers": []}).to_string();
    let mut both: Value = serde_json::from_str(&image(&world.upstream, &[])).unwrap();
    both["manifests"] = json!([]);
    for text in [schema_one, both.to_string(), "{\"schemaVersion\":2,\"schemaVersion\":2}".to_owned()] {
        let digest = world.upstream.publish(None, &text);
        let answer = world.both(&format!("/v2/acme/app/manifests/{digest}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"), "{text}");
    }
}

#[tokio::test]
async fn x10_what_a_client_claims_changes_nothing() {
    let world = World::new(Unmatched::Deny);
    let digest = world.upstream.publish(None, &image(&world.upstream, &[]));
    let request = Request::get(format!("/v2/acme/app/manifests/{digest}?verified=true"))
        .header("x-verified", "true")
        .header("accept", "text/html")
        .header("authorization", "Basic YTpi")
        .body(Empty::new())
        .unwrap();
    assert_eq!(world.send(request).await.error(), error(403, "DENIED"));
    assert_eq!(world.both(&format!("/v2/acme/app/manifests/{digest}?ns=quay.io")).await.error(), error(404, "NAME_UNKNOWN"));
    let twice = world.both(&format!("/v2/acme/app/manifests/{digest}?ns=ghcr.io&ns=ghcr.io")).await;
    assert_eq!(twice.error(), error(400, "UNSUPPORTED"));
}

#[tokio::test]
async fn x12_what_a_pull_never_sends_ends_the_connection() {
    let world = World::allowing();
    let request = Request::get("/v2/").body(Full::new(Bytes::from_static(b"x"))).unwrap();
    let answer = Answer::of(world.registry.respond(request).await).await;
    assert_eq!((answer.error(), answer.header("connection")), (error(400, "UNSUPPORTED"), "close"));
    let chunked = Request::get("/v2/").header("transfer-encoding", "chunked").body(Empty::new()).unwrap();
    let proxied = Request::get("http://ghcr.io/v2/").version(Version::HTTP_11).body(Empty::new()).unwrap();
    for request in [chunked, proxied] {
        let answer = world.send(request).await;
        assert_eq!((answer.error(), answer.header("connection")), (error(400, "UNSUPPORTED"), "close"));
    }
    // Offered by Java's client where there is no TLS. Not taken, by what is remembered neither.
    let digest = world.publish_an_image();
    for (path, status) in [
        ("/v2/".to_owned(), 200),
        (format!("/v2/acme/app/manifests/{digest}"), 200),
        (format!("/v2/acme/app/manifests/{digest}"), 200),
        ("/v2/acme/app/manifests/none".to_owned(), 404),
    ] {
        let offer = Request::get(path).header("upgrade", "h2c").header("connection", "Upgrade, HTTP2-Settings");
        let answer = world.send(offer.body(Empty::new()).unwrap()).await;
        assert_eq!((answer.status, answer.header("connection")), (status, "close"));
    }
    // HTTP/2 always names the authority.
    let request = Request::get("https://gate.test/v2/").version(Version::HTTP_2).body(Empty::new()).unwrap();
    assert_eq!(world.send(request).await.status, 200);
}

#[tokio::test]
async fn u12_a_request_of_our_own_is_told_that_it_came_back() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // What this process sends to upstreams, as one of them sees it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let seen = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4_096];
        let length = socket.read(&mut head).await.unwrap();
        socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap()
    });
    let location = upstream::Location::Registry(upstream::RegistryConfig {
        url: format!("http://{authority}").parse().unwrap(),
        docker_configs: Vec::new(),
        ca: None,
        plain_http: true,
        auth_hosts: Vec::new(),
        allow_hosts: Vec::new(),
        proxy: None,
    });
    let itself = upstream::connect(&upstream::Config { host: authority.parse().unwrap(), location }).unwrap();
    let wanted = crate::oci::Reference::Tag("v1".parse().unwrap());
    let gone = itself.manifest(&"acme/app".parse().unwrap(), &wanted).await;
    assert!(matches!(gone, Err(UpstreamError::NotFound)), "{gone:?}");
    let head = seen.await.unwrap();
    let via = head.lines().find_map(|line| line.strip_prefix("via: ")).unwrap();

    let world = World::allowing();
    let came_back = Request::get("/v2/acme/app/manifests/v1").header("via", via).body(Empty::new()).unwrap();
    assert_eq!(world.send(came_back).await.error(), error(508, "UNSUPPORTED"));
    assert_eq!(world.upstream.asked(), 0);
    // Another gate before us is no loop.
    let other = Request::get("/v2/").header("via", "1.1 pullgate-00000000000000000000000000000000").body(Empty::new()).unwrap();
    assert_eq!(world.send(other).await.status, 200);
}

#[tokio::test]
async fn h2_writing_is_405_and_names_what_is_allowed() {
    let world = World::allowing();
    let request = Request::put("/v2/acme/app/manifests/v1").body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    let answer = Answer::of(world.registry.respond(request).await).await;
    assert_eq!((answer.error(), answer.header("allow")), (error(405, "UNSUPPORTED"), "GET, HEAD"));
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn x15_a_runnable_image_under_an_attachment_tag_is_refused_and_borrows_nothing_from_its_digest() {
    let world = World::allowing();
    let layer = world.upstream.blob("run me");
    let text = image(&world.upstream, &[layer]);
    let digest = world.upstream.publish(None, &text);
    assert_eq!(world.get(&format!("/v2/acme/app/manifests/{digest}")).await.status, 200);
    let policy = r#"
name: acme
images: ["ghcr.io/acme/**"]
signatures: [{keyless: {issuer: "https://issuer.test", subject: "https://acme.test/release"}}]
"#;
    let policies = PolicySet::from_text("acme.yaml".as_ref(), policy, Unmatched::Deny).unwrap();
    world.policies.store(Arc::new(policies));
    let stem = format!("sha256-{}", Digest::sha256(b"subject").to_hex());
    for tag in [stem.clone(), format!("{stem}.sig"), format!("{stem}.att"), format!("{stem}.sbom")] {
        world.upstream.publish(Some(&tag), &text);
        let answer = world.both(&format!("/v2/acme/app/manifests/{tag}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"), "{tag}");
        assert_eq!(answer.json()["errors"][0]["detail"]["reason"], "not_evidence");
    }
}
