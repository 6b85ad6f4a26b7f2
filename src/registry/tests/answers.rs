//! What clients get for manifests and tags, and while the gate is changed under them.

use super::*;

#[tokio::test]
async fn an_admitted_manifest_is_the_exact_bytes_with_every_header() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    let digest = world.upstream.publish(Some("v1"), &text);
    for reference in ["v1", &digest.to_string()] {
        // Cold, then warm: the same answer.
        for _ in 0..2 {
            let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, text);
            assert_eq!(answer.header("content-type"), media_type::OCI_MANIFEST);
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
            assert_eq!(answer.header("content-length"), text.len().to_string());
            assert!(answer.header("warning").starts_with("299 - \""), "what no policy names is served with a warning");
            assert_eq!(answer.headers.get("oci-namespace"), None);
        }
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}?ns=GHCR.io%3A443")).await;
        assert_eq!((answer.status, answer.header("oci-namespace")), (200, "ghcr.io"));
    }
}

#[tokio::test]
async fn the_base_answers_whatever_may_be_pulled() {
    let world = World::new(Unmatched::Deny);
    for target in ["/v2/", "/v2"] {
        let answer = world.both(target).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn a_refused_manifest_is_403_on_get_and_head_with_its_sentence() {
    let world = World::new(Unmatched::Deny);
    let text = image(&world.upstream, &[]);
    let digest = world.upstream.publish(Some("v1"), &text);
    for reference in ["v1", &digest.to_string()] {
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"));
        let json = answer.json();
        let error = &json["errors"][0];
        let message = error["message"].as_str().unwrap();
        assert_eq!(answer.phrase.as_deref(), Some(message));
        assert!(message.contains(&format!("ghcr.io/acme/app@{digest}")) && message.contains("no policy names"), "{message}");
        assert_eq!(error["detail"]["digest"], digest.to_string());
        assert_eq!(error["detail"]["reason"], "no_policy");
        assert!(!answer.body.windows(8).any(|window| window == b"\"layers\""), "nothing of the manifest");
    }
}

#[tokio::test]
async fn what_is_absent_is_404_before_any_refusal() {
    let world = World::new(Unmatched::Deny);
    let digest = Digest::sha256(b"nothing");
    for reference in ["v1", &digest.to_string(), &format!("sha256-{}.sig", digest.to_hex())] {
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(404, "MANIFEST_UNKNOWN"), "{reference}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_503_with_a_time_to_come_back() {
    let world = World::allowing();
    let digest = Digest::sha256(b"x");
    let throttled = UpstreamError::Throttled { host: "ghcr.io".into(), retry_after: Some(Duration::from_secs(7)) };
    for failure in [unreachable("ghcr.io"), throttled] {
        world.upstream.fail(Some(failure));
        for target in [
            "/v2/acme/app/manifests/v1".to_owned(),
            format!("/v2/acme/app/manifests/{digest}"),
            "/v2/acme/app/tags/list".to_owned(),
            format!("/v2/acme/app/referrers/{digest}"),
        ] {
            let answer = world.both(&target).await;
            assert_eq!(answer.error(), error(503, "UNAVAILABLE"), "{target}");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
            assert!(answer.phrase.is_some());
        }
    }
}

#[tokio::test]
async fn refused_credentials_are_403_saying_so_on_the_manifest() {
    let world = World::allowing();
    world.upstream.fail(Some(UpstreamError::Denied { host: "ghcr.io".into(), status: 401, shown: true }));
    for reference in ["v1".to_owned(), Digest::sha256(b"x").to_string()] {
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"));
        assert!(answer.phrase.unwrap().contains("refused our credentials (401)"));
    }
}

#[tokio::test]
async fn a_forbidden_connection_is_502_naming_the_key() {
    let world = World::allowing();
    world.upstream.fail(Some(UpstreamError::Forbidden("add `auth_hosts: [auth.test]` to upstream ghcr.io".into())));
    let answer = world.both("/v2/acme/app/manifests/v1").await;
    assert_eq!(answer.status, 502);
    assert!(answer.phrase.unwrap().contains("auth_hosts"));
}

#[tokio::test]
async fn sha512_is_spoken_throughout() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    let digest = Digest::of(Algorithm::Sha512, text.as_bytes());
    let fetched = FetchedManifest { digest, bytes: text.clone().into(), content_type: None };
    world.upstream.manifests.insert(digest.to_string(), fetched);
    let answer = world.both(&format!("/v2/acme/app/manifests/{digest}")).await;
    assert_eq!((answer.status, answer.header("docker-content-digest")), (200, digest.to_string().as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_stale_tag_serves_what_is_admitted_with_a_warning_and_else_is_503() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    world.upstream.publish(Some("v1"), &text);
    world.get("/v2/acme/app/manifests/v1").await;
    tokio::time::advance(TTL).await;
    world.upstream.fail(Some(unreachable("ghcr.io")));
    let answer = world.both("/v2/acme/app/manifests/v1").await;
    assert_eq!((answer.status, &answer.body[..]), (200, text.as_bytes()));
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(warnings.iter().any(|warning| warning.starts_with("110 - \"")), "{warnings:?}");
    // A no to what it meant once is no answer to what it means now.
    world.policies.store(Arc::new(PolicySet::new(Vec::new(), Unmatched::Deny).unwrap()));
    assert_eq!(world.both("/v2/acme/app/manifests/v1").await.error(), error(503, "UNAVAILABLE"));
}

#[tokio::test]
async fn upstreams_may_be_swapped_while_serving() {
    let world = World::allowing();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[]));
    assert_eq!(world.get("/v2/acme/app/manifests/v1").await.status, 200);
    world.routes.store(Arc::new(Routes { upstreams: Vec::new(), default: None }));
    assert_eq!(world.get("/v2/acme/app/manifests/v1").await.error(), error(404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn an_answer_can_be_made_on_any_thread_and_a_warm_one_needs_little_room() {
    fn is_send(_: &impl Send) {}
    let world = World::allowing();
    let request = Request::get("/v2/").body(Empty::<Bytes>::new()).unwrap();
    let answer = world.registry.respond(request);
    is_send(&answer);
    assert!(size_of_val(&answer) < 2_048, "{}", size_of_val(&answer));
}
