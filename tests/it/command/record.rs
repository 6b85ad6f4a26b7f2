//! `pullgate policy test --record`: one more image and its case, beside all that was there.

use std::{fs, path::Path};

use pullgate::oci::media_type::{OCI_CONFIG, OCI_MANIFEST};

use super::{code, layout, pullgate_in, stderr, stdout};
use crate::support::{
    gate::Setup,
    layout::{Cases, cases, fixtures, recorded},
    registry::Registry,
};

const APP: &str = "sha256:5e621c8b2b869b69b32dd04fe158b1c17366ff6dc9a678f89d64767e5562a64e";
const NAME: &str = "registry.acme.test/acme";

/// A policy and a file of these cases, over a layout that is not there yet.
fn begin(folder: &Path, list: &str) {
    let Cases { issuer, identity, .. } = cases();
    let policy = format!(
        "name: acme\nimages: [\"{NAME}/**\"]\nsignatures:\n  - keyless: {{issuer: \"{issuer}\", subject: \"{identity}\"}}\n"
    );
    fs::write(folder.join("acme.yaml"), policy).unwrap();
    let root = fixtures().join("trusted_root.json");
    let test = format!("policies: [acme.yaml]\ntrust_root: {}\nlayout: evidence\n{list}", root.display());
    fs::write(folder.join("test.yaml"), test).unwrap();
}

async fn record(folder: &Path, image: &str, named: &str) -> std::process::Output {
    pullgate_in(folder, &["policy", "test", "test.yaml", "--record", image, "--as", named]).await
}

async fn tested(folder: &Path) -> String {
    stdout(&pullgate_in(folder, &["policy", "test", "test.yaml"]).await)
}

#[tokio::test]
async fn who_records_at_once_loses_nothing_of_another() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), "cases: []\n");
    let names = ["app", "nosbom", "fork", "branch", "prefix", "unsigned"];
    let recordings = names.map(|name| {
        let (folder, image) = (folder.path(), format!("{}:acme/{name}:v1", layout()));
        async move { record(folder, &image, &format!("{NAME}/{name}:v1")).await }
    });
    for output in futures_util::future::join_all(recordings).await {
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    let told = tested(folder.path()).await;
    assert_eq!((told.matches("ok      ").count(), told.contains("FAILED")), (names.len(), false), "{told}");
    let verified = pullgate_in(
        folder.path(),
        &["verify", "--policy", "acme.yaml", "--trusted-root"]
            .iter()
            .copied()
            .chain([fixtures().join("trusted_root.json").to_str().unwrap(), "--output", "json", "oci:evidence"])
            .collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(super::json(&verified)["images"].as_array().unwrap().len(), names.len(), "each is in the layout, too");
}

#[tokio::test]
async fn evidence_is_a_case_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), "cases: []\n");
    let registry = Registry::recorded(false).await;
    let tagged = |repository: &str, tag: &str| recorded().tags[&(repository.to_owned(), tag.to_owned())].to_string();
    let legacy = cases().cases.into_iter().find(|case| case.repository == "acme/legacy").unwrap();
    let index = tagged("acme/app", &APP.replace(':', "-"));
    let listed: serde_json::Value = serde_json::from_slice(&recorded().blobs[&index.parse().unwrap()]).unwrap();
    let bundle = listed["manifests"][0]["digest"].as_str().unwrap().to_owned();
    for (repository, digest) in
        [("app", bundle), ("app", index), ("legacy", tagged("acme/legacy", &format!("{}.sig", legacy.digest.replace(':', "-"))))]
    {
        let image = format!("{}/acme/{repository}@{digest}", registry.addr);
        let output = record(folder.path(), &image, &format!("{NAME}/{repository}:evidence")).await;
        assert_eq!(code(&output), 0, "{digest}: {}", stderr(&output));
        assert!(stdout(&output).contains(": refused [evidence]: "), "{}", stdout(&output));
    }
    registry.gone.store(true, std::sync::atomic::Ordering::SeqCst);
    let told = tested(folder.path()).await;
    assert_eq!(told.matches(": refused [evidence]\n").count(), 3, "{told}");
}

#[tokio::test]
async fn what_cannot_be_told_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), "cases: []\n");
    let before = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
    let registry = Registry::recorded(true).await;
    // It says it is a bundle and is none, so it is no evidence, and its layer is not recorded.
    registry.push("acme/app", "layer", &[bytes::Bytes::from_static(b"none")]);
    let of = |media_type: &str, bytes: &[u8]| {
        let digest = pullgate::oci::Digest::sha256(bytes).to_string();
        serde_json::json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": of(OCI_CONFIG, b"{}"), "subject": {"mediaType": OCI_MANIFEST, "digest": APP, "size": 1},
        "layers": [of("application/vnd.dev.sigstore.bundle.v0.3+json", b"none")],
    });
    let digest = registry.push_manifest("acme/app", "none", manifest.to_string());
    let output = record(folder.path(), &format!("{}/acme/app:none", registry.addr), &format!("{NAME}/app:none")).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{}", stderr(&output));
    let told = format!("nothing is recorded: {NAME}/app@{digest}: undecided [evidence_unavailable]: ");
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(folder.path().join("test.yaml")).unwrap(), before);
    assert!(!folder.path().join("evidence").exists());
}

#[tokio::test]
async fn an_index_that_changes_what_comes_of_its_child_is_told() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), "cases: []\n");
    let registry = Registry::recorded(true).await;
    let child = recorded().tags[&("acme/multi".to_owned(), "c1".to_owned())];
    let of = |reference: &str| (format!("{}/acme/multi{reference}", registry.addr), format!("{NAME}/multi{reference}"));
    let (image, named) = of(&format!("@{child}"));
    let output = record(folder.path(), &image, &named).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("refused [signature_missing]"), "{}", stdout(&output));
    // Another image's case, wrong before and after, is not what this changed.
    let file = folder.path().join("test.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}  - {{name: gone, image: \"{NAME}/multi:gone\", at: 2026-11-24T00:00:00Z, admit: true}}\n"))
        .unwrap();
    let (image, named) = of(":v1");
    let output = record(folder.path(), &image, &named).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stdout(&output).contains("admitted [policy]"), "{}", stdout(&output));
    let told = format!(
        "what was recorded changes the case {NAME}/multi@{child}: wants refused [signature_missing], found admitted [parent]"
    );
    assert!(stderr(&output).contains(&told) && !stderr(&output).contains("gone"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap().matches("admit: true").count(), 2, "it is recorded all the same");
}

#[tokio::test]
async fn an_image_is_recorded_under_a_name_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), "cases: []\n");
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let begun = || fs::read_dir(folder.path()).unwrap().count();
    let other = format!("{NAME}/app@sha256:{:064}", 1);
    for (named, why) in [(&other[..], "leave the digest out"), ("oci:x:y/z:v1", "wants a name as policies match it")] {
        let init = ["policy", "init", "--trusted-root", &root, "--as", named, &image];
        for output in [record(folder.path(), &image, named).await, pullgate_in(folder.path(), &init).await] {
            assert_eq!((code(&output), begun()), (64, 2), "{named}: {}", stderr(&output));
            assert!(stderr(&output).contains(why), "{}", stderr(&output));
        }
    }
    let output = record(folder.path(), &layout(), &format!("{NAME}/app:v1")).await;
    assert_eq!((code(&output), begun()), (64, 2), "{}", stderr(&output));
    assert!(stderr(&output).contains("wants one image of the layout"), "{}", stderr(&output));
    assert_eq!(code(&record(folder.path(), &image, &format!("{NAME}/app@{APP}")).await), 0, "its own digest");
}

#[tokio::test]
async fn a_file_keeps_how_its_lines_end() {
    for list in ["cases: []\r\n", "cases:\r\n- {image: \"registry.acme.test/acme/x:v1\", at: 2026-11-24T00:00:00Z, admit: true}"]
    {
        let folder = tempfile::tempdir().unwrap();
        begin(folder.path(), list);
        let file = folder.path().join("test.yaml");
        let text = fs::read_to_string(&file).unwrap().replace("\r\n", "\n").replace('\n', "\r\n");
        fs::write(&file, text).unwrap();
        let output = record(folder.path(), &format!("{}:acme/app:v1", layout()), &format!("{NAME}/app:v1")).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let after = fs::read_to_string(&file).unwrap();
        assert_eq!((after.matches('\n').count(), after.contains(APP)), (after.matches("\r\n").count(), true), "{after:?}");
    }
}

#[tokio::test]
async fn a_wrong_time_for_all_cases_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), &format!("at: noon\ncases:\n  - {{image: \"{NAME}/a:v1\", admit: true}}\n"));
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 64);
    let told = stderr(&output);
    assert!(told.contains("at: wants a time such as") && !told.contains("cases[0]"), "{told}");
}

#[tokio::test]
async fn an_image_is_recorded_from_where_the_configuration_says_its_registry_is() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::recorded(true).await;
    Setup::url(registry.addr).write(folder.path());
    fs::write(folder.path().join("test.yaml"), "config: pullgate.yaml\nlayout: evidence\ncases: []\n").unwrap();
    let add = async |image: &str, others: &[&str]| {
        let arguments = [&["policy", "test", "test.yaml", "--record", image], others].concat();
        pullgate_in(folder.path(), &arguments).await
    };
    let output = add(&format!("{NAME}/app:v1"), &[]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with(&format!("{NAME}/app@{APP}: admitted")), "{}", stdout(&output));
    // One that the configuration does not have is asked by its name, as without it.
    let output = add(&format!("{}/acme/unsigned:v1", registry.addr), &["--as", &format!("{NAME}/unsigned:v1")]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
