//! Lists: of tags and of referrers.

use super::*;

#[tokio::test]
async fn tags_are_listed_in_pages_that_lead_to_us() {
    let world = World::allowing();
    world.upstream.tags.store(Arc::new(["a", "b", "c", "not a tag", "d"].map(str::to_owned).to_vec()));
    let answer = world.both("/v2/ghcr.io/acme/app/tags/list?n=2&ns=ghcr.io").await;
    assert_eq!(answer.json(), json!({"name": "ghcr.io/acme/app", "tags": ["a", "b"]}));
    assert_eq!(answer.header("link"), "</v2/ghcr.io/acme/app/tags/list?n=2&last=b&ns=ghcr.io>; rel=\"next\"");
    assert_eq!(answer.header("oci-namespace"), "ghcr.io");
    let answer = world.both("/v2/ghcr.io/acme/app/tags/list?n=9&last=b&ns=ghcr.io").await;
    assert_eq!((answer.json()["tags"].clone(), answer.header("link")), (json!(["c", "d"]), ""));
    let answer = world.both("/v2/acme/app/tags/list?n=0").await;
    assert_eq!((answer.status, answer.json()["tags"].clone(), answer.header("link")), (200, json!([]), ""));
    assert_eq!(world.both("/v2/acme/app/tags/list?n=x").await.status, 400);
    world.upstream.tags.store(Arc::default());
    assert_eq!(world.both("/v2/acme/app/tags/list").await.error(), error(404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn referrers_are_always_an_index_filtered_here() {
    let world = World::allowing();
    let digest = Digest::sha256(b"subject");
    let answer = world.both(&format!("/v2/acme/app/referrers/{digest}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, media_type::OCI_INDEX));
    assert_eq!(answer.json(), json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []}));
    assert_eq!(answer.headers.get("oci-filters-applied"), None);
    let entry = |of: &str| json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1, "artifactType": of});
    let page = json!({"manifests": [entry("a/x"), entry("a/y")]}).to_string();
    world.upstream.referrers.store(Arc::new(vec![Ok(page.into())]));
    let answer = world.both(&format!("/v2/acme/app/referrers/{digest}?artifactType=a%2Fy")).await;
    assert_eq!(answer.json()["manifests"], json!([entry("a/y")]));
    assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    assert_eq!(world.both("/v2/acme/app/referrers/sha256:bad").await.error(), error(400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn repositories_no_policy_names_are_not_asked_about() {
    let world = World::new(Unmatched::Deny);
    let digest = Digest::sha256(b"x");
    for target in ["/v2/acme/app/tags/list".to_owned(), format!("/v2/acme/app/referrers/{digest}")] {
        assert_eq!(world.both(&target).await.error(), error(403, "DENIED"), "{target}");
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn x13_a_referrers_tag_tells_nothing_of_another_repositorys_manifest() {
    let world = World::allowing();
    let secret = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "a/secret", "config": config(&world.upstream),
        "layers": [], "annotations": {"k": "secret"},
    });
    let digest = world.upstream.publish(None, &secret.to_string());
    assert_eq!(world.get(&format!("/v2/acme/private/manifests/{digest}")).await.status, 200);
    // Kept here, and of this repository the upstream has no such manifest.
    world.upstream.manifests.remove(&digest.to_string());
    let subject = Digest::sha256(b"subject");
    let entry = json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 7});
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]});
    world.upstream.publish(Some(crate::oci::Tag::referrers_of(&subject).as_str()), &index.to_string());
    let answer = world.get(&format!("/v2/acme/app/referrers/{subject}")).await;
    assert_eq!(answer.json()["manifests"], json!([entry]));
}
