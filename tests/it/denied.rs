//! The deny-list over HTTP: in force within a second of a change of its file, at every door, without a restart.

use std::time::{Duration, Instant};

use crate::support::{
    client::{get, head},
    gate::{Gate, HOST, Setup},
    layout::fixtures,
};

fn manifest(reference: &str) -> String {
    format!("/v2/acme/app/manifests/{reference}?ns={HOST}")
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_denied_image_is_refused_by_tag_digest_and_blob_within_a_second_and_served_again_after() {
    let setup = Setup::layout(&fixtures().join("registry")).deny("[]");
    let gate = Gate::watching(&setup).await;
    let image = get(gate.addr, &manifest("v1")).await;
    assert_eq!(image.status, 200);
    let digest = image.header("docker-content-digest").unwrap().to_owned();
    let document: serde_json::Value = serde_json::from_slice(image.bytes()).unwrap();
    let layer = format!("/v2/acme/app/blobs/{}?ns={HOST}", document["layers"][0]["digest"].as_str().unwrap());
    assert_eq!(get(gate.addr, &layer).await.status, 200);

    let told = |text: &str| std::fs::write(gate.folder().join("deny.yaml"), text).unwrap();
    let becomes = async |status: u16| {
        let began = Instant::now();
        while get(gate.addr, &manifest(&digest)).await.status != status {
            assert!(began.elapsed() < Duration::from_secs(10), "never {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    };
    told(&format!("- {{digest: \"{digest}\", reason: \"INC-1: built on a stolen runner\"}}\n"));
    let took = becomes(403).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    for reference in ["v1", &digest] {
        let answer = get(gate.addr, &manifest(reference)).await;
        let error: serde_json::Value = serde_json::from_slice(answer.bytes()).unwrap();
        assert_eq!((answer.status, &error["errors"][0]["code"]), (403, &"DENIED".into()));
        assert_eq!(error["errors"][0]["detail"]["reason"], "denied");
        assert!(answer.reason.contains("denied by the deny-list: INC-1: built on a stolen runner"), "{}", answer.reason);
        assert_eq!(head(gate.addr, &manifest(reference)).await.reason, answer.reason);
    }
    assert_eq!(get(gate.addr, &layer).await.status, 404, "known only through what is denied");
    let as_blob = get(gate.addr, &format!("/v2/acme/app/blobs/{digest}?ns={HOST}")).await;
    assert_eq!(as_blob.status, 403, "{}", as_blob.text());

    // Half written, it says nothing: what was denied stays so.
    told("- {digest: ");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(get(gate.addr, &manifest("v1")).await.status, 403);

    told("[]");
    let took = becomes(200).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(get(gate.addr, &layer).await.status, 200);
    gate.stop().await;
}
