//! `pullgate explain`.

use serde_json::Value;

use super::{ask, code, json, layout, stderr, stdout};
use crate::support::{
    layout::{fixtures, recorded},
    registry::Registry,
};

fn schema(name: &str) -> Value {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/schemas").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// What `explain --output json` says of a recorded image, which is as its schema says.
async fn told(image: &str) -> Value {
    let output = ask("explain", &["--output", "json", &format!("{}:{image}", layout())]).await;
    let told = json(&output);
    let validator = jsonschema::validator_for(&schema("explain-report.schema.json")).unwrap();
    let errors: Vec<String> = validator.iter_errors(&told).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{image}: {errors:#?} in {told:#}");
    told
}

#[tokio::test]
async fn a_person_reads_where_was_looked_who_signed_what_and_what_each_policy_says() {
    let registry = Registry::recorded(false).await;
    let output = ask("explain", &[&format!("{}/acme/twice:v1", registry.addr)]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let tree = stdout(&output);
    for part in [
        "├─ looked at\n",
        "referrers API: no such API (",
        ".sig tag: nothing (",
        "referrers tag: 4 listed, 4 pieces (",
        "├─ evidence\n",
        "in referrers tag: signature\n",
        "in referrers tag: https://spdx.dev/Document\n",
        "by https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main (uri) of issuer https://token.actions",
        "by https://github.com/mallory/",
        "at 2026-11-22T",
        "(proof)\n",
        "trust root default\n",
        "runner_environment: github-hosted\n",
        "command-line (enforce) holds\n",
        "├─ signatures[0] is met: wants a signature by https://github.com/acme/app/",
        "└─ attestations[0] is met: wants an attestation https://spdx.dev/Document by a signer of the image\n",
        "counts: https://spdx.dev/Document by https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main of issuer",
        "log proof, trust root default\n",
        "└─ admitted [policy] after ",
    ] {
        assert!(tree.contains(part), "{part} in\n{tree}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_what_was_set_aside_and_what_was_wanted() {
    let output = ask("explain", &[&format!("{}:acme/copied:v1", layout())]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let tree = stdout(&output);
    for part in [
        "set aside: it is about sha256:5e621c8b2b86",
        "command-line (enforce) does not hold [signature_missing]: wants a signature by",
        "signatures[0] is not met: wants a signature by https://github.com/acme/app/",
        "[signature_missing] wants a signature by https://github.com/acme/app/",
        "└─ refused [signature_missing] after ",
    ] {
        assert!(tree.contains(part), "{part} in\n{tree}");
    }
}

#[tokio::test]
async fn a_program_reads_the_same_as_an_object() {
    let told = told("acme/app:v1").await;
    assert_eq!((&told["version"], &told["outcome"], &told["code"]), (&1.into(), &"admitted".into(), &"policy".into()));
    let pieces = told["explanation"]["pieces"].as_array().unwrap();
    assert_eq!(pieces.len(), 2, "both are told, though the judgement would end when it has enough");
    for piece in pieces {
        assert_eq!(piece["outcome"], "proved", "{piece}");
        assert_eq!(piece["claims"]["source_repository_uri"], "https://github.com/acme/app");
        assert!(piece["times"][0].as_str().unwrap().starts_with("2026-11-22T"), "{piece}");
        assert!(piece["entries"][0]["index"].is_u64() && piece["log"] == "proof", "{piece}");
    }
    assert_eq!(told["explanation"]["policies"][0]["holds"], true);
    assert_eq!(told["explanation"]["looks"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_child_is_told_with_the_index_that_vouches_for_it() {
    let told = told("acme/multi:c1").await;
    assert_eq!(told["code"], "parent");
    assert_eq!(told["parent"]["digest"], "sha256:45b13efda1f77c3375644743de307647504f99f546b58858bbd516f5f797ddc8");
    assert_eq!(told["parent"]["explanation"]["pieces"].as_array().unwrap().len(), 2);
    assert_eq!(code(&ask("explain", &[&format!("{}:acme/app:nothing", layout())]).await), 1);
    assert_eq!(code(&ask("explain", &[&layout()]).await), 64);
}

#[tokio::test]
async fn the_child_for_a_platform_is_told_with_its_index() {
    let image = format!("{}:acme/multi:v1", layout());
    for (platform, code_wanted, outcome) in [("linux/amd64", 0, "parent"), ("linux/s390x", 1, "platform_missing")] {
        let (output, same) = (
            ask("explain", &["--output", "json", "--platform", platform, &image]).await,
            ask("verify", &["--output", "json", "--platform", platform, &image]).await,
        );
        let (told, same) = (json(&output), &json(&same)["images"][0]);
        assert_eq!((code(&output), &told["code"]), (code_wanted, &outcome.into()), "{told:#}");
        for key in ["reference", "digest", "platform", "index", "outcome", "message"] {
            assert_eq!(told[key], same[key], "{platform}: {key}");
        }
        assert_eq!(told["parent"]["digest"], told["index"], "{platform}");
    }
}

#[tokio::test]
async fn each_requirement_names_the_bundle_that_met_it() {
    let told = told("acme/app:v1").await;
    let pieces = told["explanation"]["pieces"].as_array().unwrap();
    let requirements = told["explanation"]["policies"][0]["requirements"].as_array().unwrap();
    assert_eq!(requirements.len(), 2, "{told:#}");
    for (requirement, entry, what) in
        [(&requirements[0], "signatures[0]", "signature"), (&requirements[1], "attestations[0]", "https://spdx.dev/Document")]
    {
        assert_eq!((&requirement["entry"], &requirement["met"]), (&entry.into(), &true.into()));
        assert_eq!(requirement["on"][0]["digest"], told["digest"]);
        let [met] = &requirement["on"][0]["evidence"].as_array().unwrap()[..] else { panic!("{requirement:#}") };
        assert_eq!((&met["what"], &met["counts"], &met["log"]), (&what.into(), &true.into(), &"proof".into()));
        assert!(met["times"][0].as_str().unwrap().starts_with("2026-11-22T"), "{met:#}");
        // The bundle is there under that digest, and is one of the pieces.
        let same = |piece: &&Value| ["manifest", "layer", "place", "subject"].iter().all(|key| piece[key] == met[key]);
        assert_eq!(pieces.iter().filter(same).count(), 1, "{met:#}");
        let blob = met["layer"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
        assert!(fixtures().join("registry").join(blob).exists(), "{met:#}");
    }
}

#[tokio::test]
async fn every_recorded_image_is_told_as_the_schema_says() {
    let (mut parts, mut images) = (std::collections::BTreeSet::new(), 0);
    for (repository, tag) in recorded().tags.into_keys().filter(|(_, tag)| !tag.starts_with("sha256-")) {
        let told = told(&format!("{repository}:{tag}")).await;
        images += 1;
        let text = told.to_string();
        let all = ["age", "claim", "content", "document", "issuer", "log", "newest", "signer", "subject", "trust_root", "type"];
        parts.extend(all.into_iter().filter(|part| text.contains(&format!("\"part\":\"{part}\""))));
    }
    assert!(
        images >= 20 && ["document", "signer", "subject", "type"].iter().all(|part| parts.contains(part)),
        "{images} {parts:?}"
    );
}

#[tokio::test]
async fn the_schema_refuses_what_is_not_said_and_says_of_an_image_what_that_of_verify_says() {
    let (explain, verify) = (schema("explain-report.schema.json"), schema("verify-report.schema.json"));
    for (key, meaning) in verify["$defs"]["image"]["properties"].as_object().unwrap() {
        assert_eq!(&explain["$defs"]["told"]["properties"][key], meaning, "{key}");
    }
    let validator = jsonschema::validator_for(&explain).unwrap();
    let told = told("acme/copied:v1").await;
    for (place, wrong) in [
        ("/outcome", Value::from("maybe")),
        ("/explanation/pieces/0/outcome", "proved".into()),
        ("/explanation/pieces/0/more", 1.into()),
        ("/explanation/policies/0/holds", true.into()),
        ("/explanation/policies/0/requirements/0/on", Value::Array(Vec::new())),
        ("/explanation/policies/0/requirements/0/met", "no".into()),
    ] {
        let mut wronged = told.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        wronged.pointer_mut(parent).unwrap()[key] = wrong;
        assert!(!validator.is_valid(&wronged), "{place}");
    }
}
