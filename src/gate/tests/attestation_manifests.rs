//! BuildKit's attestation manifests, where each platform of an index must carry an SBOM: they run nowhere and need none, if they are
//! what they are called.

use serde_json::{Value, json};

use super::super::{testing::*, *};
use crate::{
    oci::{Digest, media_type},
    policy::Unmatched,
};

const STATEMENT: &str = "application/vnd.in-toto+json";

fn world() -> World {
    wanting("each_platform")
}

fn wanting(sbom_on: &str) -> World {
    let world = World::new();
    let spdx = format!("attestations: [{{predicate_type: https://spdx.dev/Document, sbom_on: {sbom_on}}}]\n");
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + &spdx), Unmatched::Deny);
    world
}

fn child(listed_as: &str, digest: Digest, platform: Option<(&str, &str)>, attests: bool) -> Value {
    let mut child = descriptor(listed_as, digest, 100);
    if let Some((os, architecture)) = platform {
        child["platform"] = json!({"os": os, "architecture": architecture});
    }
    if attests {
        child["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    }
    child
}

/// Called an attestation manifest.
fn exempt(listed_as: &str, digest: Digest) -> Value {
    child(listed_as, digest, Some(("unknown", "unknown")), true)
}

/// A signed index of a platform that has an SBOM, and of these.
fn signed_index(world: &World, children: &[Value]) -> Digest {
    let image = world.image(REPO, "amd64");
    world.attach(REPO, image, &attestation(image, RELEASE));
    let plain = child(media_type::OCI_MANIFEST, image, Some(("linux", "amd64")), false);
    let index = world.raw(REPO, index_of(&[&[plain], children].concat()), Some(media_type::OCI_INDEX.into()));
    world.attach(REPO, index, &signature(index, RELEASE));
    index
}

/// As BuildKit makes them: an image's configuration, and layers of this type.
fn attests(world: &World, listed_as: &str, layers: &[&str]) -> Digest {
    let (config, config_size) = world.blob(REPO, r#"{"architecture":"unknown","os":"unknown","rootfs":{"diff_ids":[]}}"#);
    let layers = layers.iter().map(|content| {
        let (layer, size) = world.blob(REPO, (*content).to_owned());
        descriptor(listed_as, layer, size)
    });
    let layers: Vec<Value> = layers.collect();
    world.manifest(
        REPO,
        &json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_CONFIG, config, config_size), "layers": layers,
        }),
    )
}

#[tokio::test(start_paused = true)]
async fn attestation_manifests_need_none_unless_they_can_be_run() {
    let world = world();
    let [unknown, said, runs] = ["unknown", "said", "runs"].map(|seed| world.image(REPO, seed));
    let manifest = media_type::OCI_MANIFEST;
    world.permit(signed_index(&world, &[exempt(manifest, unknown), exempt(manifest, said)])).await;
    // What names a platform is what a node pulls, whatever it says of itself; and so is what names none, for containerd, or one
    // that cannot be read; and what does not say what it is; and what an index lists, whatever that says of itself.
    let mut odd = child(manifest, runs, None, true);
    odd["platform"] = json!({"os": "linux"});
    for runnable in [
        child(manifest, runs, Some(("linux", "arm64")), true),
        child(manifest, runs, Some(("unknown", "unknown")), false),
        child(manifest, runs, None, false),
        child(manifest, runs, None, true),
        odd,
        exempt(media_type::OCI_INDEX, runs),
        exempt(media_type::DOCKER_LIST, runs),
    ] {
        assert_eq!(world.refusal(signed_index(&world, &[runnable])).await.code(), "attestation_missing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_statements_is_served_and_so_are_they() {
    let statement =
        r#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v1","subject":[]}"#;
    let signed = r#"{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}"#;
    for (listed_as, content) in [(STATEMENT, statement), ("application/vnd.in-toto.provenance+dsse", signed)] {
        let world = world();
        let manifest = attests(&world, listed_as, &[content]);
        let index = signed_index(&world, &[exempt(media_type::OCI_MANIFEST, manifest)]);
        world.permit(index).await;
        assert_eq!(world.permit(manifest).await.grounds(), &Grounds::Parent(index));
        assert!(world.listed(Digest::sha256(content.as_bytes())).await);
    }
}

/// Whoever makes the index could call an image so, and have it run without an SBOM by its digest.
#[tokio::test(start_paused = true)]
async fn what_is_only_called_one_is_not_served_nor_its_layers() {
    let statement = r#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v1"}"#;
    type Make = fn(&World) -> Digest;
    let made: [(&str, Make); 4] = [
        ("a layer of it is none of the types of evidence", |world| world.image(REPO, "arm64")),
        ("it is an index", |world| {
            let runs = world.image(REPO, "arm64");
            world.platforms(&[(runs, Some("linux/arm64"))])
        }),
        // Not every client asks what a layer is called before it unpacks it.
        ("is not what its media type says", |world| attests(world, STATEMENT, &["an archive"])),
        ("it has no layers", |world| attests(world, STATEMENT, &[])),
    ];
    for (why, make) in made {
        let world = world();
        let called = make(&world);
        let index =
            signed_index(&world, &[exempt("application/vnd.acme+json", called), exempt(media_type::OCI_MANIFEST, called)]);
        world.permit(index).await;
        let refusal = world.refusal(called).await;
        assert_eq!(refusal.code(), "content", "{refusal}");
        let told = if why == "it is an index" { "and it is an index itself" } else { why };
        assert!(refusal.sentence().contains(told), "{refusal}");
        assert!(!world.listed(World::layer_of("arm64")).await);
    }
    // One that is there twice, and once as a platform, was asked for its own.
    let world = world();
    let twice = world.image(REPO, "arm64");
    let as_platform = child(media_type::OCI_MANIFEST, twice, Some(("linux", "arm64")), false);
    let index = signed_index(&world, &[exempt(media_type::OCI_MANIFEST, twice), as_platform]);
    world.refusal(index).await;
    world.attach(REPO, twice, &attestation(twice, RELEASE));
    tokio::time::advance(Duration::from_secs(11)).await;
    world.permit(index).await;
    world.permit(twice).await;
    // What could not be had may be a statement.
    let manifest = attests(&world, STATEMENT, &[statement]);
    let other = signed_index(&world, &[exempt(media_type::OCI_MANIFEST, manifest)]);
    world.permit(other).await;
    world.lie_blob(REPO, Digest::sha256(statement.as_bytes()), "other bytes".into());
    world.undecided(manifest).await;
}

/// What other children are called says nothing of it.
#[tokio::test(start_paused = true)]
async fn an_index_beside_images_is_served_where_the_index_above_suffices() {
    let world = wanting("either");
    let runs = world.image(REPO, "arm64");
    let nested = world.platforms(&[(runs, Some("linux/arm64"))]);
    let index = signed_index(&world, &[child(media_type::OCI_INDEX, nested, None, false)]);
    world.attach(REPO, index, &attestation(index, RELEASE));
    world.permit(index).await;
    assert_eq!(world.permit(nested).await.grounds(), &Grounds::Parent(index));
}

/// Or whoever makes an index could have an image refused.
#[tokio::test(start_paused = true)]
async fn what_meets_the_policy_itself_is_served_whatever_an_index_calls_it() {
    let world = world();
    let own = world.image(REPO, "arm64");
    world.permit(signed_index(&world, &[exempt(media_type::OCI_MANIFEST, own)])).await;
    world.attach(REPO, own, &signature(own, RELEASE));
    assert_eq!(world.refusal(own).await.code(), "content");
    world.attach(REPO, own, &attestation(own, RELEASE));
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(world.permit(own).await.grounds(), &Grounds::Policy);
    // What is denied says so.
    world.deny("- {package: {name: xz}, reason: INC-9}\n");
    let denied = world.image(REPO, "denied");
    world.permit(signed_index(&world, &[exempt(media_type::OCI_MANIFEST, denied)])).await;
    world.attach(REPO, denied, &signature(denied, RELEASE));
    let mut predicate = super::super::testing::spdx();
    predicate["packages"][0]["name"] = json!("xz");
    let spdx = "https://spdx.dev/Document";
    world.attach(REPO, denied, &bundle(json!({"about": denied, "by": RELEASE, "proves": spdx, "predicate": predicate})));
    assert_eq!(world.refusal(denied).await.code(), "denied");
}

#[tokio::test(start_paused = true)]
async fn where_no_platform_is_asked_for_anything_it_is_as_it_was() {
    let world = World::new();
    let called = world.image(REPO, "arm64");
    let index = signed_index(&world, &[exempt(media_type::OCI_MANIFEST, called)]);
    world.attach(REPO, index, &attestation(index, RELEASE));
    world.permit(index).await;
    world.permit(called).await;
}
