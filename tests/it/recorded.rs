//! The recorded images, each through three shapes of upstream, by digest and by tag, a fresh gate for each.

use std::net::SocketAddr;

use crate::support::{
    client::{get, head},
    gate::{Gate, HOST, Setup},
    layout::{Case, cases, fixtures, recorded},
    registry::Registry,
};

const SHAPES: [&str; 3] = ["referrers API", "referrers tag only", "layout"];

/// The upstream of a shape; the registry is kept alive by being shared.
async fn shape(name: &str) -> Setup {
    match name {
        "referrers API" => Setup::url(Registry::recorded(true).await.addr),
        "referrers tag only" => Setup::url(Registry::recorded(false).await.addr),
        _ => Setup::layout(&fixtures().join("registry")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_through_every_shape_answers_as_recorded() {
    let mut wrong = Vec::new();
    for name in SHAPES {
        let setup = shape(name).await;
        for case in cases().cases {
            let gate = Gate::start(&setup).await;
            for reference in references(&case) {
                let problems = check(gate.addr, &case, &reference, case.admit).await;
                wrong.extend(
                    problems
                        .into_iter()
                        .map(|problem| format!("{name}: {}@{reference} ({}): {problem}", case.repository, case.what)),
                );
            }
            gate.stop().await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_policy_that_names_mallory_admits_exactly_what_mallory_signed() {
    let mallory = "https://github.com/mallory/app/.github/workflows/release.yml@refs/heads/main";
    for name in SHAPES {
        let gate = Gate::start(&shape(name).await.identity(mallory)).await;
        let mut admitted = Vec::new();
        for case in cases().cases {
            if get(gate.addr, &path(&case.repository, &case.digest)).await.status == 200 {
                admitted.push(case.repository);
            }
        }
        assert_eq!(admitted, ["acme/twice", "acme/fork"], "{name}");
        gate.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i14_under_another_trust_root_nothing_is_admitted() {
    let elsewhere = fixtures().join("../other_root/trusted_root.json").display().to_string();
    for name in SHAPES {
        let gate = Gate::start(&shape(name).await.trust_root(&elsewhere)).await;
        for case in cases().cases {
            for reference in references(&case) {
                let answer = get(gate.addr, &path(&case.repository, &reference)).await;
                assert_eq!(answer.status, 403, "{name}: {}@{reference}: {}", case.repository, answer.text());
            }
        }
        gate.stop().await;
    }
}

/// The digest, and each tag of the repository that means it.
fn references(case: &Case) -> Vec<String> {
    let tags = recorded().tags;
    let named = tags.iter().filter(|((repository, tag), digest)| {
        *repository == case.repository && digest.to_string() == case.digest && !tag.starts_with("sha256-")
    });
    std::iter::once(case.digest.clone()).chain(named.map(|((_, tag), _)| tag.clone())).collect()
}

fn path(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}?ns={HOST}")
}

/// What is wrong with the answers about one reference: HEAD, GET, children, blobs.
async fn check(addr: SocketAddr, case: &Case, reference: &str, admit: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let blobs = recorded().blobs;
    let bytes = &blobs[&case.digest.parse().unwrap()];
    let (heads, gets) =
        (head(addr, &path(&case.repository, reference)).await, get(addr, &path(&case.repository, reference)).await);
    let mut expect = |what: &str, holds: bool, answer: &crate::support::client::Answer| {
        if !holds {
            wrong.push(format!("{what}: {} {} {:?}", answer.status, answer.reason, answer.body));
        }
    };
    if admit {
        for answer in [&heads, &gets] {
            expect("status", answer.status == 200, answer);
            expect("digest", answer.header("docker-content-digest") == Some(&case.digest), answer);
            expect("length", answer.header("content-length") == Some(&bytes.len().to_string()), answer);
        }
        expect("exact bytes", gets.body.as_ref() == Ok(bytes), &gets);
    } else {
        for answer in [&heads, &gets] {
            expect("status", answer.status == 403, answer);
            expect("reason phrase names the policy", answer.reason.contains("acme-release"), answer);
            expect("reason phrase is short", answer.reason.len() <= 320 && answer.reason.is_ascii(), answer);
        }
        expect("code", gets.body.as_ref().is_ok_and(|_| gets.text().contains("\"DENIED\"")), &gets);
    }
    let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    for listed in document["layers"].as_array().into_iter().flatten().chain(document.get("config")) {
        let digest = listed["digest"].as_str().unwrap();
        let blob = get(addr, &format!("/v2/{}/blobs/{digest}?ns={HOST}", case.repository)).await;
        if admit {
            expect("blob", blob.body.as_ref() == Ok(&blobs[&digest.parse().unwrap()]), &blob);
        } else {
            expect("blob of a refused image", blob.status == 404 && blob.text().contains("BLOB_UNKNOWN"), &blob);
        }
    }
    for child in &case.children {
        let answer = get(addr, &path(&case.repository, child)).await;
        expect("child", answer.status == if admit { 200 } else { 403 }, &answer);
    }
    wrong
}
