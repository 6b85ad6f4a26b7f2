//! The recorded images, judged with real evidence by the real verifier: through a layout, through a registry with the
//! referrers API, and through one without.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::Value;

use super::super::{testing::*, *};
use crate::{
    oci::{Digest, Host, Repository},
    policy::Unmatched,
    upstream::{self, Upstream},
    verify::{Sigstore, TrustState},
};

const ACME: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const FORK: &str = "https://github.com/mallory/app/.github/workflows/release.yml@refs/heads/main";

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme")
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixtures().join(path)).unwrap()).unwrap()
}

fn document(digest: &str) -> Option<(Vec<u8>, Value)> {
    let bytes = std::fs::read(fixtures().join("registry/blobs").join(digest.replace(':', "/"))).ok()?;
    let value = serde_json::from_slice(&bytes).unwrap_or_default();
    Some((bytes, value))
}

/// Publishes everything reachable from `digest` in `repository`.
fn publish(world: &World, repository: &str, digest: &str) {
    let Some((bytes, document)) = document(digest) else { return };
    let content_type = document["mediaType"].as_str().map(str::to_owned);
    world.raw(repository, bytes, content_type);
    for child in document["manifests"].as_array().into_iter().flatten() {
        publish(world, repository, child["digest"].as_str().unwrap());
    }
    for blob in document["layers"].as_array().into_iter().flatten().chain([&document["config"]]) {
        if let Some((bytes, _)) = blob["digest"].as_str().and_then(self::document) {
            world.blob(repository, bytes);
        }
    }
}

/// A registry with the same content; with the API, what the referrers tags list is listed there instead.
fn registry(api: bool, only: &str) -> World {
    let world = World::build(api, config());
    for entry in read("registry/index.json")["manifests"].as_array().unwrap() {
        let (name, digest) =
            (entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap(), entry["digest"].as_str().unwrap());
        let Some((repository, tag)) = name.rsplit_once(':').filter(|(repository, _)| *repository == only) else { continue };
        publish(&world, repository, digest);
        let subject = tag.replacen('-', ":", 1).parse::<Digest>();
        match (api, subject) {
            (true, Ok(subject)) => {
                for bundle in document(digest).unwrap().1["manifests"].as_array().unwrap() {
                    let name = bundle["artifactType"].as_str();
                    world.refer(repository, subject, bundle["digest"].as_str().unwrap().parse().unwrap(), name);
                }
            }
            _ => world.tag(repository, tag, digest.parse().unwrap()),
        }
    }
    world
}

fn layout() -> Arc<dyn Upstream> {
    let host: Host = "reg.test".parse().unwrap();
    let location = upstream::Location::Layout(fixtures().join("registry"));
    upstream::connect(&upstream::Config { host, location }).unwrap()
}

/// What is admitted of the recorded cases, each by a gate of its own.
async fn admitted(shape: &str, signer: &str) -> BTreeSet<String> {
    let mut admitted = BTreeSet::new();
    let cases = read("cases.json");
    let root = std::fs::read(fixtures().join("trusted_root.json")).unwrap();
    let verifier = Arc::new(Sigstore::from_trusted_root(&root).unwrap());
    for case in cases["cases"].as_array().unwrap() {
        let world = registry(shape == "api", case["repository"].as_str().unwrap());
        let upstream = if shape == "layout" { layout() } else { world.upstream() };
        let issuer = cases["issuer"].as_str().unwrap();
        let policy = format!(
            "name: p\nimages: [\"reg.test/acme/**\"]\nsignatures:\n  - keyless:\n      issuer: {issuer}\n      subject: {signer}\n"
        );
        world.set_policies(&policy, Unmatched::Deny);
        world.trust.store(Arc::new(TrustState::Ready { verifier: Arc::<Sigstore>::clone(&verifier), stale: None }));
        let repository: Repository = case["repository"].as_str().unwrap().parse().unwrap();
        let subject = |digest: &Value| Subject {
            upstream: Arc::clone(&upstream),
            image: name(repository.as_str()),
            digest: digest.as_str().unwrap().parse().unwrap(),
        };
        match world.gate.admit(&subject(&case["digest"])).await {
            Ok(Verdict::Admit(permit)) => {
                assert_eq!(permit.grounds(), &Grounds::Policy);
                admitted.insert(case["digest"].as_str().unwrap().to_owned());
                for child in case["children"].as_array().into_iter().flatten() {
                    let answer = world.gate.admit(&subject(child)).await;
                    assert!(matches!(answer, Ok(Verdict::Admit(_))), "{shape} {case}: {answer:?}");
                }
            }
            Ok(Verdict::Refuse(refusal)) => {
                assert!(refusal.sentence().contains("policy p wants"), "{refusal}");
                for child in case["children"].as_array().into_iter().flatten() {
                    let answer = world.gate.admit(&subject(child)).await;
                    assert!(matches!(answer, Ok(Verdict::Refuse(_))), "{shape} {case}: {answer:?}");
                }
            }
            other => panic!("{shape} {case}: {other:?}"),
        }
    }
    admitted
}

#[tokio::test]
async fn the_recorded_cases_are_answered_as_recorded_through_every_shape_of_upstream() {
    let cases = read("cases.json");
    let cases = cases["cases"].as_array().unwrap();
    let digest_of = |case: &Value| case["digest"].as_str().unwrap().to_owned();
    let wanted: BTreeSet<String> = cases.iter().filter(|case| case["admit"] == true).map(digest_of).collect();
    let forked: BTreeSet<String> = cases
        .iter()
        .filter(|case| ["acme/fork", "acme/twice"].iter().any(|name| case["repository"] == **name))
        .map(digest_of)
        .collect();
    for shape in ["api", "tag", "layout"] {
        assert_eq!(admitted(shape, ACME).await, wanted, "{shape}");
        assert_eq!(admitted(shape, FORK).await, forked, "{shape}");
    }
}
