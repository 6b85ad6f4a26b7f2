//! What a refused client is told, and what cannot be asked for.

use hyper::Method;

use crate::support::{
    client::{get, head, send},
    gate::{Gate, HOST, Setup},
    layout::{cases, fixtures},
};

async fn gate() -> Gate {
    Gate::start(&Setup::layout(&fixtures().join("registry"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_image_policy_wanted_and_found_in_one_sentence() {
    let gate = gate().await;
    for (repository, wanted, found) in [
        ("acme/unsigned", "signature", ""),
        ("acme/fork", "acme/app/.github/workflows/release.yml@refs/heads/main", "mallory"),
        ("acme/branch", "refs/heads/main", "refs/heads/feature"),
        ("acme/nosbom", "spdx", ""),
        ("acme/cyclonedx", "spdx", "cyclonedx"),
        ("acme/hollow", "spdx", ""),
        ("acme/splitid", "spdx", "mallory"),
    ] {
        let answer = get(gate.addr, &format!("/v2/{repository}/manifests/v1?ns={HOST}")).await;
        let error: serde_json::Value = serde_json::from_slice(answer.bytes()).unwrap();
        let message = error["errors"][0]["message"].as_str().unwrap();
        assert_eq!((answer.status, &error["errors"][0]["code"]), (403, &"DENIED".into()), "{repository}");
        assert_eq!(message, answer.reason, "{repository}: the reason phrase carries the sentence");
        assert!(message.len() <= 300, "{repository}: {} bytes: {message}", message.len());
        let lower = message.to_lowercase();
        for part in [repository, "acme-release", wanted, found] {
            assert!(lower.contains(&part.to_lowercase()), "{repository}: `{part}` is missing in: {message}");
        }
        assert!(error["errors"][0]["detail"].is_object(), "{repository}");
        let heads = head(gate.addr, &format!("/v2/{repository}/manifests/v1?ns={HOST}")).await;
        assert_eq!((heads.status, heads.reason.as_str()), (403, message), "{repository}: HEAD is gated like GET");
        assert!(heads.bytes().is_empty());
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_no_policy_names_is_refused_and_an_absent_one_is_404() {
    let gate = gate().await;
    assert_eq!(get(gate.addr, &format!("/v2/acme/nothing/manifests/v1?ns={HOST}")).await.status, 404);
    assert_eq!(get(gate.addr, &format!("/v2/acme/app/manifests/none?ns={HOST}")).await.status, 404);
    let absent = format!("sha256:{}", "0".repeat(64));
    assert_eq!(get(gate.addr, &format!("/v2/acme/app/manifests/{absent}?ns={HOST}")).await.status, 404);
    assert_eq!(get(gate.addr, &format!("/v2/other/app/tags/list?ns={HOST}")).await.status, 403);
    assert_eq!(get(gate.addr, &format!("/v2/other/app/referrers/{absent}?ns={HOST}")).await.status, 403);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x13_a_manifest_is_not_to_be_had_as_a_blob_unless_admitted() {
    let gate = gate().await;
    for case in cases().cases {
        get(gate.addr, &format!("/v2/{}/manifests/{}?ns={HOST}", case.repository, case.digest)).await;
        let path = format!("/v2/{}/blobs/{}?ns={HOST}", case.repository, case.digest);
        let answer = get(gate.addr, &path).await;
        if case.admit {
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")), "{path}");
        } else {
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        }
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x13_a_blob_of_an_admitted_image_stays_in_its_repository() {
    let gate = gate().await;
    assert_eq!(get(gate.addr, &format!("/v2/acme/app/manifests/v1?ns={HOST}")).await.status, 200);
    let layout = crate::support::layout::recorded();
    let app = layout.tags[&("acme/app".to_owned(), "v1".to_owned())];
    let document: serde_json::Value = serde_json::from_slice(&layout.blobs[&app]).unwrap();
    let layer = document["layers"][0]["digest"].as_str().unwrap();
    assert_eq!(get(gate.addr, &format!("/v2/acme/app/blobs/{layer}?ns={HOST}")).await.status, 200);
    assert_eq!(get(gate.addr, &format!("/v2/acme/docker/blobs/{layer}?ns={HOST}")).await.status, 404);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_evidence_of_a_refused_image_can_be_pulled() {
    let gate = gate().await;
    let layout = crate::support::layout::recorded();
    let mut seen = 0;
    for ((repository, tag), digest) in &layout.tags {
        if tag.parse::<pullgate::oci::Tag>().unwrap().attachment_of().is_none() {
            continue;
        }
        seen += 1;
        let answer = get(gate.addr, &format!("/v2/{repository}/manifests/{tag}?ns={HOST}")).await;
        assert_eq!(answer.status, 200, "{repository}:{tag}: {}", answer.text());
        assert_eq!(answer.bytes(), &layout.blobs[digest]);
    }
    assert!(seen > 15);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x11_malformed_requests_get_the_specifications_errors() {
    let gate = gate().await;
    let blob = "sha256:00a0c52599ae83ebca9307e3b48add219ccce1c45d2a2189f43f74fbb2fcb90d";
    for (method, path, statuses) in [
        ("GET", "/v2/Acme/app/manifests/v1".to_owned(), &[400, 404][..]),
        ("GET", "/v2/acme//app/manifests/v1".to_owned(), &[400, 404]),
        ("GET", "/v2/acme/../app/manifests/v1".to_owned(), &[400, 404]),
        ("GET", "/v2/acme%2fapp/manifests/v1".to_owned(), &[400, 404]),
        ("GET", "/v2/acme/app/manifests/.INVALID_MANIFEST_NAME".to_owned(), &[404]),
        ("GET", "/v2/acme/app/manifests/sha256:totallywrong".to_owned(), &[400, 404]),
        ("GET", "/v2/acme/app/blobs/sha256:baddigeststring".to_owned(), &[400, 404]),
        ("GET", format!("/v2/acme/app/blobs/{}", blob.to_uppercase()), &[400, 404]),
        ("GET", "/v2/acme/app/manifests/v1?ns=169.254.169.254".to_owned(), &[404]),
        ("GET", format!("/v2/acme/app/manifests/v1?ns={HOST}&ns=ghcr.io"), &[400]),
        ("GET", "/v2/_catalog".to_owned(), &[404, 405]),
        ("PUT", "/v2/acme/app/manifests/v1".to_owned(), &[405]),
        ("POST", "/v2/acme/app/blobs/uploads/".to_owned(), &[405]),
        ("DELETE", "/v2/acme/app/manifests/v1".to_owned(), &[405]),
        ("GET", "/v2/".to_owned(), &[200]),
        ("GET", "/elsewhere".to_owned(), &[404]),
    ] {
        let answer = send(gate.addr, Method::from_bytes(method.as_bytes()).unwrap(), &path, &[]).await.unwrap();
        assert!(statuses.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        if answer.status != 200 {
            let error: serde_json::Value = serde_json::from_slice(answer.bytes()).unwrap();
            assert!(error["errors"][0]["code"].is_string(), "{method} {path}: {error}");
        }
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h6_ranges_answer_as_the_specification_says() {
    let gate = gate().await;
    get(gate.addr, &format!("/v2/acme/app/manifests/v1?ns={HOST}")).await;
    let layout = crate::support::layout::recorded();
    let app = layout.tags[&("acme/app".to_owned(), "v1".to_owned())];
    let document: serde_json::Value = serde_json::from_slice(&layout.blobs[&app]).unwrap();
    let layer = document["layers"][0]["digest"].as_str().unwrap();
    let bytes = &layout.blobs[&layer.parse().unwrap()];
    let whole = bytes.len();
    let path = format!("/v2/acme/app/blobs/{layer}?ns={HOST}");
    for (range, expect) in [
        ("bytes=500-1499", Some((500, 1500))),
        ("bytes=500-", Some((500, whole))),
        ("bytes=-500", Some((whole - 500, whole))),
        ("bytes=0-0", Some((0, 1))),
        ("bytes=0-99999999", Some((0, whole))),
        ("bytes=500-0", None),
        ("bytes=99999999-", None),
    ] {
        // Twice: cold and warm.
        for _ in 0..2 {
            let answer = send(gate.addr, Method::GET, &path, &[("range", range)]).await.unwrap();
            match expect {
                Some((start, end)) => {
                    assert_eq!(answer.status, 206, "{range}");
                    assert_eq!(answer.header("content-range"), Some(format!("bytes {start}-{}/{whole}", end - 1).as_str()));
                    assert_eq!(answer.bytes(), &bytes.slice(start..end), "{range}");
                }
                None => {
                    // RFC 9110 lets an invalid range be ignored, and a first byte beyond the end is 416.
                    assert!(matches!(answer.status, 416 | 200), "{range}: {}", answer.status);
                    if answer.status == 416 {
                        assert_eq!(answer.header("content-range"), Some(format!("bytes */{whole}").as_str()));
                    }
                }
            }
        }
    }
    let many = send(gate.addr, Method::GET, &path, &[("range", "bytes=0-1,5-6")]).await.unwrap();
    assert_eq!((many.status, many.bytes()), (200, bytes));
    gate.stop().await;
}
