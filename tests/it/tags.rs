//! The tag guard over HTTP, between two recorded images that a tag is moved between; and an operator who accepts it beside
//! the running gate.

use pullgate::{
    gate::tags::accept,
    oci::{Digest, ImageName},
    store::FactFiles,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    command::{code, json as report, pullgate},
    support::{
        client::{Answer, get, head},
        gate::{Gate, HOST, Setup},
        layout::{fixtures, recorded},
    },
};

const NAME: &str = "org.opencontainers.image.ref.name";

/// A layout in which `acme/app` has another signed image too, and its tag `v1` means `digest`.
fn publish(folder: &std::path::Path, other: &str, digest: &Digest) {
    let text = std::fs::read_to_string(fixtures().join("registry/index.json")).unwrap();
    let mut index: Value = serde_json::from_str(&text).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let mut more = Vec::new();
    for entry in entries.iter_mut() {
        let name = entry["annotations"][NAME].as_str().unwrap().to_owned();
        if name == "acme/app:v1" {
            entry["annotations"][NAME] = json!("acme/app:first");
        } else if let Some(tag) = name.strip_prefix(&format!("{other}:")) {
            let mut entry = entry.clone();
            let tag = if tag == "v1" { "second" } else { tag };
            entry["annotations"][NAME] = json!(format!("acme/app:{tag}"));
            more.push(entry);
        }
    }
    entries.extend(more);
    let mut tagged = entries.iter().find(|entry| entry["digest"] == json!(digest.to_string())).unwrap().clone();
    tagged["annotations"][NAME] = json!("acme/app:v1");
    entries.push(tagged);
    let staged = folder.join("index.json.new");
    std::fs::write(&staged, index.to_string()).unwrap();
    std::fs::rename(staged, folder.join("index.json")).unwrap();
}

async fn ask(gate: &Gate, reference: &str) -> Answer {
    let path = format!("/v2/acme/app/manifests/{reference}?ns={HOST}");
    let (get, head) = (get(gate.addr, &path).await, head(gate.addr, &path).await);
    assert_eq!((get.status, &get.reason), (head.status, &head.reason), "HEAD is gated like GET");
    get
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_goes_forward_and_back_only_as_an_operator_accepts() {
    let folder = TempDir::new().unwrap();
    let layout = folder.path().join("registry");
    std::fs::create_dir(&layout).unwrap();
    std::fs::copy(fixtures().join("registry/oci-layout"), layout.join("oci-layout")).unwrap();
    std::os::unix::fs::symlink(fixtures().join("registry/blobs"), layout.join("blobs")).unwrap();
    let digest = |repository: &str| recorded().tags[&(repository.to_owned(), "v1".to_owned())];
    let (first, second) = (digest("acme/app"), digest("acme/scanned"));
    let config = Setup::layout(&layout).write(folder.path());
    let policy = folder.path().join("acme.yaml");
    std::fs::write(&policy, std::fs::read_to_string(&policy).unwrap() + "tag_guard: true\n").unwrap();
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + "tag_ttl: 0s\n").unwrap();
    publish(&layout, "acme/scanned", &first);

    let gate = Gate::watching_in(folder).await;
    assert_eq!(ask(&gate, "v1").await.status, 200, "the first use is trusted");
    publish(&layout, "acme/scanned", &second);
    // Whichever was signed first, one of the two ways is back.
    let forth = ask(&gate, "v1").await;
    let (back, refused) = if forth.status == 200 {
        publish(&layout, "acme/scanned", &first);
        (first, ask(&gate, "v1").await)
    } else {
        (second, forth)
    };
    let error: Value = serde_json::from_slice(refused.bytes()).unwrap();
    assert_eq!((refused.status, &error["errors"][0]["detail"]["reason"]), (403, &json!("tag_rolled_back")), "{}", refused.text());
    let command = format!("pullgate policy tag accept {HOST}/acme/app:v1@{back} --config FILE");
    assert!(refused.reason.ends_with(&command), "{}", refused.reason);
    let (root, store) = (fixtures().join("trusted_root.json"), gate.folder().join("store"));
    let [policy, root, store] = [&policy, &root, &store].map(|path| path.to_str().unwrap());
    let image = format!("oci:{}:acme/app:v1", layout.display());
    for (command, form) in [("verify", "/images/0"), ("explain", "")] {
        let output = pullgate(&[
            command,
            "--policy",
            policy,
            "--trusted-root",
            root,
            "--first-seen-from",
            store,
            "--layout-host",
            HOST,
            "--output",
            "json",
            &image,
        ])
        .await;
        let told = report(&output);
        let told = told.pointer(form).unwrap();
        assert_eq!((code(&output), &told["code"]), (1, &json!("tag_rolled_back")), "{command}: {told:#}");
    }
    for digest in [first, second] {
        assert_eq!(ask(&gate, &digest.to_string()).await.status, 200, "the digest is as admitted as before");
    }

    let facts = FactFiles::open(&gate.folder().join("store")).unwrap();
    let image = ImageName::new(HOST.parse().unwrap(), "acme/app".parse().unwrap());
    accept(&facts, &image, &"v1".parse().unwrap(), &back).await.unwrap();
    assert_eq!(ask(&gate, "v1").await.status, 200, "accepted beside the running gate");
    gate.stop().await;
}
