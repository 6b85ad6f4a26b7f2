//! Blobs: which are served, in what pieces, and what becomes of those that are not what they should be.

use super::*;

/// Where a layer of ten digits is, of an image that was admitted.
async fn listed(world: &World) -> String {
    let layer = world.upstream.blob("0123456789");
    let target = format!("/v2/acme/app/blobs/{}", layer["digest"].as_str().unwrap());
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    target
}

#[tokio::test]
async fn blobs_are_served_once_their_manifest_is_admitted() {
    let world = World::allowing();
    let layer = world.upstream.blob("hello, layer");
    let digest = layer["digest"].as_str().unwrap().to_owned();
    let manifest = world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    let target = format!("/v2/acme/app/blobs/{digest}");
    let before = world.both(&target).await;
    assert_eq!(before.error(), error(404, "BLOB_UNKNOWN"));
    assert!(before.json()["errors"][0]["message"].as_str().unwrap().contains("pull the manifest first"));
    // HEAD is enough: a client that has the manifests asks for no more (X17).
    world.ask(Method::HEAD, &format!("/v2/acme/app/manifests/{manifest}")).await;
    for _ in 0..2 {
        let answer = world.both(&target).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"hello, layer"[..]));
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
    // Fetched once, whoever asks.
    let asked = world.upstream.asked();
    world.get(&target).await;
    assert_eq!(world.upstream.asked(), asked);
}

#[tokio::test]
async fn h6_ranges_of_a_blob_cold_and_warm() {
    let world = World::allowing();
    let target = listed(&world).await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=0-1,4-5", 200, "", "0123456789"),
        ("bytes=x", 200, "", "0123456789"),
    ] {
        let answer = world.range(&target, range).await;
        assert_eq!((answer.status, answer.header("content-range"), &answer.body[..]), (status, content_range, body.as_bytes()));
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    let answer = world.range(&target, "bytes=10-").await;
    assert_eq!((answer.error(), answer.header("content-range")), (error(416, "SIZE_INVALID"), "bytes */10"));
}

#[tokio::test]
async fn x13_blobs_of_refused_images_and_of_other_repositories_are_unknown() {
    let world = World::allowing();
    let layer = world.upstream.blob("secret");
    let digest = layer["digest"].as_str().unwrap().to_owned();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!(world.both(&format!("/v2/acme/other/blobs/{digest}")).await.error(), error(404, "BLOB_UNKNOWN"));
    // The same image, now refused: what was listed by a permit is not listed any more.
    world.policies.store(Arc::new(PolicySet::new(Vec::new(), Unmatched::Deny).unwrap()));
    assert_eq!(world.both(&format!("/v2/acme/app/blobs/{digest}")).await.error(), error(404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn d4_what_is_denied_while_its_upstream_takes_long_to_begin_is_not_served_after_all() {
    for (denies, wanted) in [("layer", (403, "DENIED")), ("image", (404, "BLOB_UNKNOWN")), ("other", (200, ""))] {
        let world = World::allowing();
        let layer = world.upstream.blob("hello, layer");
        let digest = layer["digest"].as_str().unwrap().to_owned();
        let manifest = world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer])).to_string();
        world.get("/v2/acme/app/manifests/v1").await;
        let asked = world.upstream.asked();
        let turn = world.upstream.turn.lock().await;
        let target = format!("/v2/acme/app/blobs/{digest}");
        let denying = async {
            while world.upstream.asked() == asked {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let other = Digest::sha256(b"other").to_string();
            let denied = [("layer", &digest), ("image", &manifest), ("other", &other)].into_iter().find(|(of, _)| *of == denies);
            world.policies.store(denying(&denied.unwrap().1.parse().unwrap()));
            drop(turn);
        };
        let (answer, ()) = tokio::join!(world.get(&target), denying);
        match wanted {
            (200, _) => assert_eq!((answer.status, &answer.body[..]), (200, &b"hello, layer"[..])),
            (status, code) => assert_eq!(answer.error(), error(status, code), "{denies}"),
        }
    }
}

#[tokio::test]
async fn x13_a_manifest_asked_for_as_a_blob_is_octets_if_admitted_and_unknown_if_not() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    let digest = world.upstream.publish(Some("v1"), &text);
    world.get("/v2/acme/app/manifests/v1").await;
    let answer = world.both(&format!("/v2/acme/app/blobs/{digest}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/octet-stream"));
    assert_eq!(answer.body, text);
    let answer = world.range(&format!("/v2/acme/app/blobs/{digest}"), "bytes=1-3").await;
    assert_eq!((answer.status, &answer.body[..]), (206, &text.as_bytes()[1..4]));

    let world = World::new(Unmatched::Deny);
    let digest = world.upstream.publish(Some("v1"), &text);
    // As containerd does after a refusal.
    world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!(world.both(&format!("/v2/acme/app/blobs/{digest}")).await.error(), error(404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn a_blob_of_another_size_than_the_manifest_says_is_502() {
    let world = World::allowing();
    let mut layer = world.upstream.blob("0123456789");
    layer["size"] = json!(11);
    let target = format!("/v2/acme/app/blobs/{}", layer["digest"].as_str().unwrap());
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    for _ in 0..2 {
        assert_eq!(world.get(&target).await.error(), error(502, "SIZE_INVALID"));
    }
    let stored: Digest = target.rsplit('/').next().unwrap().parse().unwrap();
    assert!(world.registry.store.blob(&stored).await.is_none(), "u10: none of it was taken");
}

#[tokio::test]
async fn u10_no_more_of_a_blob_is_taken_than_its_manifest_says_even_if_no_size_is_announced() {
    let world = World::allowing();
    let mut layer = world.upstream.blob("0123456789");
    layer["size"] = json!(4);
    let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.upstream.blobs.insert(digest, (None, Bytes::from_static(b"0123456789")));
    world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!(world.get(&format!("/v2/acme/app/blobs/{digest}")).await.error(), error(502, "SIZE_INVALID"));
    assert!(world.registry.store.blob(&digest).await.is_none());
}

#[tokio::test]
async fn an_upstream_that_breaks_off_before_the_first_byte_of_a_blob_is_told_of_in_an_answer() {
    let world = World::allowing();
    let target = listed(&world).await;
    let lied = UpstreamError::Lied { host: "ghcr.io".into(), what: "no".into() };
    for (breaks, wanted) in [(unreachable("ghcr.io"), error(503, "UNAVAILABLE")), (lied, error(502, "DIGEST_INVALID"))] {
        world.upstream.breaks.store(Arc::new(Some(breaks)));
        assert_eq!(world.get(&target).await.error(), wanted);
    }
    world.upstream.breaks.store(Arc::new(None));
    assert_eq!(world.get(&target).await.body, "0123456789");
}

/// What one gets who asks for a blob: all of it, or a refusal's code, or an answer that breaks off.
async fn taken(world: &World, digest: Digest) -> Result<Bytes, Option<u16>> {
    let request = Request::get(format!("/v2/acme/app/blobs/{digest}")).body(Empty::<Bytes>::new()).unwrap();
    let response = world.registry.respond(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|_| None)?.to_bytes();
    if status == 200 { Ok(body) } else { Err(Some(status)) }
}

/// Denies `digest` and admits all else.
pub(super) fn denying(digest: &Digest) -> Arc<PolicySet> {
    let text = format!("[{{digest: \"{digest}\", reason: INC-7}}]");
    let denials = parse_denials(std::path::Path::new("deny.yaml"), &text, &mut Vec::new());
    Arc::new(PolicySet::new(Vec::new(), Unmatched::DangerousAllow).unwrap().with_deny(DenyList::new(denials)))
}

#[tokio::test]
async fn x11_a_layer_is_denied_by_its_other_name_too() {
    // One that is kept back whole until its hash is known, and one whose beginning is given out before.
    for len in [10, 300_000] {
        for (name, other) in [(Algorithm::Sha256, Algorithm::Sha512), (Algorithm::Sha512, Algorithm::Sha256)] {
            let bytes = Bytes::from(vec![b'x'; len]);
            let (digest, other) = (Digest::of(name, &bytes), Digest::of(other, &bytes));
            let unrelated = Digest::of(other.algorithm(), b"unrelated");
            let world = || async {
                let world = World::allowing();
                world.upstream.blobs.insert(digest, (Some(len as u64), bytes.clone()));
                let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len});
                world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
                world.get("/v2/acme/app/manifests/v1").await;
                world
            };
            // As it comes, from an upstream that sends other bytes at first: those say nothing of what it is called.
            let cold = world().await;
            cold.policies.store(denying(&other));
            cold.upstream.blobs.insert(digest, (Some(len as u64), vec![b'y'; len].into()));
            assert!(taken(&cold, digest).await.is_err_and(|status| status.is_none_or(|status| status == 502)));
            cold.upstream.blobs.insert(digest, (Some(len as u64), bytes.clone()));
            assert!(taken(&cold, digest).await.is_err_and(|status| status.is_none_or(|status| status == 403)));
            assert!(cold.registry.store.blob(&digest).await.is_none(), "nor is it kept");
            let asked = cold.upstream.asked();
            assert_eq!(cold.get(&format!("/v2/acme/app/blobs/{digest}")).await.error(), error(403, "DENIED"));
            assert_eq!(cold.upstream.asked(), asked, "and not fetched again");
            // From the store, where it lay before anything was denied.
            let kept = world().await;
            assert_eq!(taken(&kept, digest).await, Ok(bytes.clone()));
            kept.policies.store(denying(&other));
            for range in ["", "bytes=0-3"] {
                let answer = kept.range(&format!("/v2/acme/app/blobs/{digest}"), range).await;
                assert_eq!(answer.error(), error(403, "DENIED"), "{range}");
            }
            kept.policies.store(denying(&unrelated));
            assert_eq!(taken(&kept, digest).await, Ok(bytes.clone()));
            // And what is denied does not keep others from coming.
            let other = world().await;
            other.policies.store(denying(&unrelated));
            for _ in 0..2 {
                assert_eq!(taken(&other, digest).await, Ok(bytes.clone()));
            }
        }
    }
}

#[tokio::test]
async fn a_blob_the_upstream_has_not_or_does_not_give_is_404_or_503() {
    let world = World::allowing();
    let target = listed(&world).await;
    world.upstream.fail(Some(unreachable("ghcr.io")));
    assert_eq!(world.get(&target).await.error(), error(503, "UNAVAILABLE"));
    world.upstream.fail(None);
    world.upstream.blobs.clear();
    assert_eq!(world.get(&target).await.error(), error(404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn x5_a_blob_of_other_bytes_breaks_off_and_is_not_kept() {
    let world = World::allowing();
    let layer = world.upstream.blob("0123456789");
    let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    // Nothing of one so small is given out before its hash is known, so there is a status to tell it by.
    world.upstream.blobs.insert(digest, (Some(10), Bytes::from_static(b"01234X6789")));
    assert_eq!(taken(&world, digest).await, Err(Some(502)));
    world.upstream.blob("0123456789");
    assert_eq!(taken(&world, digest).await, Ok(Bytes::from_static(b"0123456789")));

    let (right, wrong) = ("0".repeat(300_000), "1".repeat(300_000));
    let layer = world.upstream.blob(&right);
    let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    world.upstream.publish(Some("v2"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v2").await;
    world.upstream.blobs.insert(digest, (Some(300_000), wrong.into()));
    let answer = taken(&world, digest).await;
    assert!(matches!(answer, Err(None | Some(502))), "never ended cleanly: {answer:?}");
    world.upstream.blob(&right);
    assert_eq!(taken(&world, digest).await, Ok(Bytes::from(right)));
}
