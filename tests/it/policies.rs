//! What policies of every kind answer about images that real programs signed: `tests/fixtures/policy` and `tests/fixtures/older`.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::support::{
    client::get,
    gate::{Gate, HOST, Setup},
};

#[derive(Debug, Deserialize)]
struct Images {
    images: Vec<Image>,
}

#[derive(Debug, Deserialize)]
struct Image {
    repository: String,
    digest: String,
    what: String,
}

/// What a policy answers: every image it admits, and the reason codes of those refusals that say what the policy is for.
#[derive(Debug, Deserialize)]
struct Answers {
    admit: Vec<String>,
    refuse: BTreeMap<String, String>,
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> T {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_answers_about_every_image_as_written_down() {
    answers_as_written_down("policy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cosign_and_sigstore_js_no_longer_write_is_answered_as_written_down() {
    answers_as_written_down("older").await;
}

async fn answers_as_written_down(fixtures: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixtures);
    let Images { images } = read(&folder.join("images.json"));
    let answers: BTreeMap<String, Answers> = read(&folder.join("answers.json"));
    let mut files: Vec<_> = std::fs::read_dir(folder.join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, answers.keys().cloned().collect::<Vec<_>>(), "each policy has its answers");
    let mut wrong = Vec::new();
    for (name, Answers { admit, refuse }) in answers {
        let policy = std::fs::read_to_string(folder.join("policies").join(format!("{name}.yaml"))).unwrap();
        let trust_root = folder.join("trusted_root.json").display().to_string();
        let gate = Gate::start(&Setup::layout(&folder.join("registry")).trust_root(&trust_root).policy(&policy)).await;
        for Image { repository, digest, what } in &images {
            let answer = get(gate.addr, &format!("/v2/{repository}/manifests/{digest}?ns={HOST}")).await;
            let image = repository.trim_start_matches("acme/");
            let wanted = if admit.iter().any(|admitted| admitted == image) { 200 } else { 403 };
            if answer.status != wanted {
                wrong.push(format!("{name}: {image} ({what}): {} {}, wanted {wanted}", answer.status, answer.reason));
                continue;
            }
            let error: serde_json::Value = serde_json::from_str(&answer.text()).unwrap_or_default();
            let code = error["errors"][0]["detail"]["reason"].as_str().unwrap_or_default();
            if let Some(wanted) = refuse.get(image)
                && (code != wanted || wanted.is_empty())
            {
                wrong.push(format!("{name}: {image} ({what}): refused with `{code}`, wanted `{wanted}`: {}", answer.reason));
            }
        }
        gate.stop().await;
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}
