//! `pullgate verify`.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use base64::Engine as _;
use serde_json::Value;

use super::{ask, begun_store, code, identity, json, layout, pullgate, renamed, stderr, stdout};
use crate::support::{
    gate::Setup,
    layout::{Cases, cases, fixtures, recorded},
    registry::{Fault, Registry},
};

const APP: &str = "sha256:5e621c8b2b869b69b32dd04fe158b1c17366ff6dc9a678f89d64767e5562a64e";

/// What came of each image, by digest.
fn outcomes(report: &Value) -> BTreeMap<String, (String, String)> {
    let text = |image: &Value, key: &str| image[key].as_str().unwrap_or_default().to_owned();
    let images = report["images"].as_array().unwrap().iter();
    images.map(|image| (text(image, "digest"), (text(image, "outcome"), text(image, "message")))).collect()
}

fn assert_as_recorded(report: &Value) {
    let outcomes = outcomes(report);
    for case in cases().cases {
        let (outcome, message) = &outcomes[&case.digest];
        assert_eq!(outcome, if case.admit { "admitted" } else { "refused" }, "{}: {}: {message}", case.repository, case.what);
    }
}

#[tokio::test]
async fn every_recorded_image_of_the_layout_gets_the_answer_it_must() {
    let output = ask("verify", &["--output", "json", &layout()]).await;
    assert_eq!(code(&output), 1);
    assert_as_recorded(&json(&output));
}

#[tokio::test]
async fn no_image_of_a_layout_is_left_out_for_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let unsigned = &cases().cases.iter().find(|case| case.repository == "acme/unsigned").unwrap().digest.clone();
    let evidence = APP.replace(':', "-");
    let evidence = &recorded().tags[&("acme/app".to_owned(), evidence.clone())].to_string();
    let (attached, by_digest) = (format!("acme/app:{}", APP.replace(':', "-")), format!("acme/unsigned@{unsigned}"));
    let mut entries = vec![(APP, Some("acme/app:v1")), (evidence.as_str(), Some(attached.as_str()))];
    let layout = renamed(folder.path(), &entries);
    let output = ask("verify", &[&layout]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    entries.push((unsigned, Some(&by_digest)));
    let output = ask("verify", &["--output", "json", &renamed(folder.path(), &entries)]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["images"].as_array().unwrap().len(), 2, "the evidence is no image");
    assert_eq!(
        (&report["images"][1]["image"], &report["images"][1]["outcome"]),
        (&format!("{layout}:{by_digest}").into(), &"refused".into())
    );
    // By a tag of evidence it is an image all the same, and judged as its digest is.
    for (suffix, listed) in [(".sig", false), (".att", false), (".sbom", false), ("", false), ("", true)] {
        let tag = format!("acme/unsigned:sha256-{}{suffix}", "a".repeat(64));
        let mut entries = entries[..2].to_vec();
        entries.push((unsigned, Some(&tag)));
        if listed {
            entries.push((unsigned, Some(&by_digest)));
        }
        let output = ask("verify", &["--output", "json", &renamed(folder.path(), &entries)]).await;
        assert_eq!(code(&output), 1, "{tag}: {}", stderr(&output));
        let images = json(&output)["images"].clone();
        assert_eq!(images.as_array().unwrap().len(), 2, "{images}");
        assert_eq!(
            (&images[1]["image"], &images[1]["code"]),
            (&format!("{layout}:{by_digest}").into(), &"signature_missing".into())
        );
    }
    for (name, told) in [(None, "without a name"), (Some("v9"), "as `v9`")] {
        entries.pop();
        entries.push((unsigned, name));
        let output = ask("verify", &[&renamed(folder.path(), &entries)]).await;
        assert_eq!((code(&output), stdout(&output).as_str()), (64, ""), "{}", stderr(&output));
        assert!(
            stderr(&output).contains(&format!("index.json has {unsigned} {told}, which cannot be asked for")),
            "{}",
            stderr(&output)
        );
    }
    // What has a name can be asked for.
    assert_eq!(code(&ask("verify", &[&format!("{layout}:acme/app:v1")]).await), 0);
}

#[tokio::test]
async fn x15_a_tag_of_evidence_admits_no_image_as_the_proxy_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let tag = format!("sha256-{}.sig", "a".repeat(64));
    let attached = APP.replace(':', "-");
    let evidence = recorded().tags[&("acme/app".to_owned(), attached.clone())].to_string();
    let (attached, disguised) = (format!("acme/app:{attached}"), format!("acme/app:{tag}"));
    let entries = [(APP, Some("acme/app:v1")), (evidence.as_str(), Some(attached.as_str())), (APP, Some(disguised.as_str()))];
    let layout = renamed(folder.path(), &entries);
    for command in ["verify", "explain"] {
        let output = ask(command, &["--output", "json", &format!("{layout}:acme/app:{tag}")]).await;
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        let judged = json(&output);
        assert_eq!(if command == "verify" { &judged["images"][0] } else { &judged }["code"], "not_evidence", "{judged}");
    }
    assert_eq!(code(&ask("verify", &[&format!("{layout}:acme/app@{APP}")]).await), 0);
}

#[tokio::test]
async fn every_recorded_image_at_a_registry_gets_the_answer_it_must() {
    for referrers_api in [true, false] {
        let registry = Registry::recorded(referrers_api).await;
        let host = registry.addr;
        let images: Vec<String> =
            cases().cases.iter().map(|case| format!("{host}/{}@{}", case.repository, case.digest)).collect();
        let mut arguments = vec!["--output", "json", "--jobs", "4"];
        arguments.extend(images.iter().map(String::as_str));
        let output = ask("verify", &arguments).await;
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert_as_recorded(&json(&output));
    }
}

#[tokio::test]
async fn a_tag_is_resolved_once_and_standard_output_is_the_digest_judged() {
    let registry = Registry::recorded(true).await;
    let image = format!("{}/acme/app:v1", registry.addr);
    let output = ask("verify", &[&image]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("{}/acme/app@{APP}\n", registry.addr));
    assert_eq!(stderr(&output), format!("admitted  {image}: every policy that names it holds\n"));
    let asked = |method: &str| registry.asked(&format!("{method} /v2/acme/app/manifests/v1"));
    assert_eq!((asked("HEAD"), asked("GET")), (1, 0));

    let image = format!("{}/acme/unsigned:v1", registry.addr);
    let output = ask("verify", &[&image]).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    let told = stderr(&output);
    let wanted = format!("refused   {image}: {}/acme/unsigned@sha256:d8755134e3ac", registry.addr);
    assert!(told.starts_with(&wanted) && told.contains("; found none"), "{told}");
}

#[tokio::test]
async fn exit_codes_tell_refused_from_not_told_from_unusable() {
    let registry = Registry::recorded(true).await;
    let of = |name: &str| format!("{}/{name}", registry.addr);
    let (good, bad, torn) = (of("acme/app:v1"), of("acme/unsigned:v1"), of("acme/fork:v1"));
    let fork = &cases().cases.iter().find(|case| case.repository == "acme/fork").unwrap().digest.clone();
    registry.fault(&format!("/v2/acme/fork/referrers/{fork}"), Fault::Status(500));
    for (images, wanted) in [
        (&[&good][..], 0),
        (&[&good, &bad], 1),
        (&[&good, &torn], 2),
        (&[&torn, &bad, &good], 1),
        (&[&of("acme/app:nothing")], 1),
        (&[&of("nothing/here:v1")], 1),
    ] {
        let images: Vec<&str> = images.iter().map(|image| image.as_str()).collect();
        let output = ask("verify", &images).await;
        assert_eq!(code(&output), wanted, "{images:?}: {}", stderr(&output));
    }
    registry.gone.store(true, std::sync::atomic::Ordering::SeqCst);
    let output = ask("verify", &["--output", "json", &good]).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_eq!(json(&output)["images"][0]["outcome"], "undecided");

    let identity = identity();
    let [_, subject, _, issuer, _, root] = &identity[..] else { unreachable!() };
    for wrong in [
        &["verify"][..],
        &["verify", "ghcr.io/Acme/App"],
        &["verify", "--trusted-root", root, &layout()],
        &["verify", "--certificate-identity", subject, "--trusted-root", root, &layout()],
        &["verify", "--certificate-identity-regexp", "(", "--certificate-oidc-issuer", issuer, "--trusted-root", root, &layout()],
        &["verify", "--repo", "acme/app", "--trusted-root", "/nonexistent", &layout()],
        &["verify", "--repo", "acme/app", "--trusted-root", root, "oci:/nonexistent:app:v1"],
        &["verify", "--repo", "acme/app", "--trusted-root", root, "--wait", "60", &layout()],
        &["verify", "--repo", "acme/app", "--trusted-root", root, "--wait", "18446744073709551615s", &layout()],
        &["verify", "--repo", "acme/app", "--trusted-root", root, "--wait", "500000000000y", &layout()],
        &["verify", "--repo", "acme/app", "--trusted-root", root, "--wait", "604801s", &layout()],
        &["verify", "--repo", "acme/app", "--trusted-root", root, "--platform", "linux", &layout()],
        &["explain", "--repo", "acme/app", "--trusted-root", root, "--platform", "", &layout()],
        &["verify", "--config", "/nonexistent/pullgate.yaml", "ghcr.io/acme/app"],
        &["verify", "--policy", "/nonexistent/acme.yaml", "--trusted-root", root, "ghcr.io/acme/app"],
    ] {
        let output = pullgate(wrong).await;
        assert_eq!((code(&output), stdout(&output).as_str()), (64, ""), "{wrong:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_configuration_judges_as_its_proxy_does_and_its_store_is_left_alone() {
    let registry = Registry::recorded(false).await;
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::url(registry.addr).write(folder.path());
    let config = config.to_str().unwrap();
    let judged = |image: &'static str| async move { pullgate(&["verify", "--config", config, image]).await };
    let output = judged("registry.acme.test/acme/app:v1").await;
    assert_eq!((code(&output), stdout(&output)), (0, format!("registry.acme.test/acme/app@{APP}\n")), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning[plain_http]: upstream registry.acme.test"), "{}", stderr(&output));
    assert_eq!(code(&judged("registry.acme.test/acme/unsigned:v1").await), 1);
    let output = judged("ghcr.io/acme/app:v1").await;
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("the configuration has no upstream ghcr.io"), "{}", stderr(&output));
    let output = pullgate(&["verify", "--config", config, "--owner", "acme", "registry.acme.test/acme/app:v1"]).await;
    assert_eq!(code(&output), 64);
    assert!(!folder.path().join("store").exists());
    // Nor does a pipeline have the gate's key, or the credentials of an upstream it does not ask about.
    let text = std::fs::read_to_string(config).unwrap();
    let text = text.replace(
        "upstreams:\n",
        "upstreams:\n  - host: a.test\n    url: https://a.test\n    credentials: {docker_config: none.json}\n",
    );
    std::fs::write(config, format!("{text}tls: {{cert: none.pem, key: none.pem}}\n")).unwrap();
    assert_eq!(code(&judged("registry.acme.test/acme/app:v1").await), 0);
    let output = judged("a.test/acme/app:v1").await;
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("none.json"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_policy_that_names_a_root_nobody_has_refuses_no_image_but_is_64() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let Cases { issuer, identity, .. } = cases();
    let file = folder.path().join("acme.yaml");
    let image = format!("{}:acme/app:v1", layout());
    for (named, wanted) in [("private", 64), ("defaults", 64), ("default", 0)] {
        let policy = format!(
            "name: acme\nimages: [\"localhost/**\"]\nsignatures:\n  - keyless: {{trust_root: {named}, issuer: \"{issuer}\", subject: \"{identity}\"}}\n"
        );
        std::fs::write(&file, policy).unwrap();
        for command in ["verify", "explain"] {
            let output = pullgate(&[command, "--policy", file.to_str().unwrap(), "--trusted-root", &root, &image]).await;
            assert_eq!(code(&output), wanted, "{named}: {}", stderr(&output));
            let told = format!("signatures[0].keyless.trust_root: no trust root is called `{named}`");
            assert_eq!(stderr(&output).contains(&told), wanted == 64, "{}", stderr(&output));
        }
    }
}

#[tokio::test]
async fn waiting_ends_when_the_signature_comes_or_the_time_is_up() {
    let registry = Registry::recorded(false).await;
    let tag = format!("/v2/acme/app/manifests/{}", APP.replace(':', "-"));
    registry.fault(&tag, Fault::Status(404));
    let image = format!("{}/acme/app:v1", registry.addr);
    let began = Instant::now();
    let output = ask("verify", &["--output", "json", "--wait", "2s", &image]).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let judged = json(&output)["images"][0].clone();
    assert!(judged["attempts"].as_u64() >= Some(2) && judged["took_ms"].as_u64() >= Some(500), "{judged}");

    let arguments = ["--output", "json", "--wait", "60s", &image];
    let waiting = ask("verify", &arguments);
    let signing = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        registry.fault(&tag, None);
    };
    let (output, ()) = tokio::join!(waiting, signing);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(json(&output)["images"][0]["attempts"].as_u64() >= Some(2));
}

#[tokio::test]
async fn what_a_registry_answered_is_told_as_it_was() {
    let registry = Registry::recorded(true).await;
    let manifest = format!("/v2/acme/app/manifests/{APP}");
    let image = format!("{}/acme/app@{APP}", registry.addr);
    for (status, told) in [
        (401, "denied us, and we know no credentials for it (401)"),
        (403, "denied us, and we know no credentials for it (403)"),
        (500, "fails: it answered 500 Internal Server Error"),
    ] {
        registry.fault(&manifest, Fault::Status(status));
        let output = ask("verify", &[&image]).await;
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        let told = format!("upstream {} {told}", registry.addr);
        assert!(stderr(&output).contains(&told), "{told} in {}", stderr(&output));
    }
}

#[tokio::test]
async fn one_wait_is_for_all_images_and_a_registry_is_not_asked_before_it_says() {
    let registry = Registry::recorded(false).await;
    let images = ["unsigned", "fork", "nosbom"].map(|name| format!("{}/acme/{name}:v1", registry.addr));
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let output = ask("verify", &[&["--output", "json", "--jobs", "1", "--wait", "3s"], &images[..]].concat()).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let of =
        |key: &str| -> Vec<u64> { report["images"].as_array().unwrap().iter().map(|one| one[key].as_u64().unwrap()).collect() };
    // None waits until another was waited for.
    assert!(of("attempts").iter().all(|attempts| *attempts >= 2), "{report}");
    assert!(of("took_ms").iter().all(|took| *took < 6_000), "{report}");
    // And when the time is up all are asked again, however few at once.
    let output = ask("verify", &[&["--output", "json", "--jobs", "1", "--wait", "1s"], &images[..]].concat()).await;
    for judged in json(&output)["images"].as_array().unwrap() {
        assert_eq!(judged["attempts"], 2, "{judged}");
    }

    // By a tag that cannot be resolved, and by a digest.
    for reference in ["v1", APP] {
        registry.fault(&format!("/v2/acme/app/manifests/{reference}"), Fault::Throttle(30));
    }
    // What is after the time is not waited for, and other images of the registry are asked again when the time is up.
    let images = ["app:v1", &format!("app@{APP}"), "fork:v1"].map(|image| format!("{}/acme/{image}", registry.addr));
    let output = ask("verify", &["--output", "json", "--wait", "6s", &images[0], &images[1], &images[2]]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let attempts: Vec<_> = report["images"].as_array().unwrap().iter().map(|judged| &judged["attempts"]).collect();
    assert_eq!(attempts, [1, 1, 2], "{report}");
}

#[tokio::test]
async fn a_platform_is_judged_through_its_index() {
    let image = format!("{}:acme/multi:v1", layout());
    let index = "sha256:45b13efda1f77c3375644743de307647504f99f546b58858bbd516f5f797ddc8";
    let output = ask("verify", &["--output", "json", "--platform", "linux/arm64", &image]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let judged = &json(&output)["images"][0];
    assert_eq!((&judged["index"], &judged["code"]), (&index.into(), &"parent".into()), "{judged}");
    assert_ne!(judged["digest"], index);
    for (image, platform, found) in [
        (&image, "windows/amd64", "wants one child for platform windows/amd64; the index has none"),
        (&format!("{}:acme/app:v1", layout()), "linux/arm64", "the image is for linux/amd64"),
    ] {
        let output = ask("verify", &["--platform", platform, image]).await;
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains(found), "{}", stderr(&output));
    }
    assert_eq!(code(&ask("verify", &["--platform", "linux/amd64", &format!("{}:acme/app:v1", layout())]).await), 0);
    // A refused index admits none of its children.
    let swapped = format!("{}:acme/swapped:v1", layout());
    assert_eq!(code(&ask("verify", &["--platform", "linux/amd64", &swapped]).await), 1);
}

/// What one place has is not in another, whatever both call it and whichever is judged first.
#[tokio::test]
async fn images_of_one_name_are_judged_each_where_it_is() {
    let (bare, both) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bare = renamed(bare.path(), &[(APP, Some("acme/app:v1"))]);
    let tag = APP.replace(':', "-");
    let evidence = &recorded().tags[&("acme/app".to_owned(), tag.clone())].to_string();
    let named = format!("ghcr.io/acme/app:{tag}");
    let entries = [(APP, Some("ghcr.io/acme/app:v1")), (evidence.as_str(), Some(named.as_str())), (APP, Some("acme/app:v1"))];
    let both = renamed(both.path(), &entries);
    let registry = Registry::recorded(true).await;
    let (signed, unsigned) = (format!("{}:acme/app:v1", layout()), format!("{bare}:acme/app:v1"));
    let (named, nameless) = (format!("{both}:ghcr.io/acme/app:v1"), format!("{both}:acme/app:v1"));
    let host = registry.addr.to_string();
    let there = format!("{host}/acme/app@{APP}");
    for jobs in ["1", "8"] {
        for (host, admitted, refused) in
            [("localhost", &signed, &unsigned), ("ghcr.io", &named, &nameless), (&*host, &there, &unsigned)]
        {
            for images in [[admitted, refused], [refused, admitted]] {
                let output =
                    ask("verify", &["--output", "json", "--jobs", jobs, "--layout-host", host, images[0], images[1]]).await;
                assert_eq!(code(&output), 1, "{images:?}: {}", stderr(&output));
                let report = json(&output);
                let outcome = |image: &String| {
                    let mut all = report["images"].as_array().unwrap().iter();
                    all.find(|judged| judged["image"] == **image).unwrap()["outcome"].clone()
                };
                assert_eq!((outcome(admitted), outcome(refused)), ("admitted".into(), "refused".into()), "{jobs} {images:?}");
            }
        }
    }
    // An index vouches for nothing of another place.
    let tags = recorded().tags;
    let child = tags[&("acme/multi".to_owned(), "c1".to_owned())].to_string();
    let alone = tempfile::tempdir().unwrap();
    let alone = format!("{}:acme/multi:c1", renamed(alone.path(), &[(&child, Some("acme/multi:c1"))]));
    let index = format!("{}:acme/multi:v1", layout());
    assert_eq!(code(&ask("verify", &["--jobs", "1", &index]).await), 0);
    assert_eq!(code(&ask("verify", &["--jobs", "1", &index, &alone]).await), 1);
}

#[tokio::test]
async fn what_an_exception_lets_pass_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let unsigned = cases().cases.into_iter().find(|case| case.repository == "acme/unsigned").unwrap().digest;
    let policy = folder.path().join("acme.yaml");
    let text = format!(
        "name: acme\nimages: [\"localhost/**\"]\nsignatures:\n  - keyless: {{issuer: \"https://x.test\", subject: \"https://x.test/y\"}}\n\
         exceptions:\n  - {{digest: \"{unsigned}\", reason: JIRA-1, expires: 2099-01-31}}\n"
    );
    std::fs::write(&policy, text).unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let rest = ["--policy", policy.to_str().unwrap(), "--trusted-root", &root, &format!("{}:acme/unsigned:v1", layout())];
    let warned = "warning: exception: policy acme asks for no evidence until ";
    let output = pullgate(&[&["verify"], &rest[..]].concat()).await;
    let told = stderr(&output);
    assert_eq!(code(&output), 0, "{told}");
    assert!(told.contains(": every policy that names it holds or has an exception for it\n") && told.contains(warned), "{told}");
    assert!(told.contains(": JIRA-1\n"), "{told}");
    let told = stdout(&pullgate(&[&["explain"], &rest[..]].concat()).await);
    assert!(told.contains("exception: policy acme asks") && !told.contains("299"), "{told}");
}

#[tokio::test]
async fn a_child_is_admitted_with_its_index_whichever_is_judged_first() {
    let registry = Registry::recorded(true).await;
    let tags = recorded().tags;
    let digest = |tag: &str| tags[&("acme/multi".to_owned(), tag.to_owned())];
    let of = |reference: String| format!("{}/acme/multi{reference}", registry.addr);
    let (index, child) = (of(":v1".into()), of(format!("@{}", digest("c1"))));
    assert_eq!(code(&ask("verify", &[&child]).await), 1, "alone nobody vouches for it");
    for jobs in ["1", "2", "8"] {
        for images in [[&index, &child], [&child, &index], [&of(":c1".into()), &index]] {
            let output = ask("verify", &["--output", "json", "--jobs", jobs, images[0], images[1]]).await;
            assert_eq!(code(&output), 0, "{jobs} {images:?}: {}", stderr(&output));
            let codes: Vec<_> = json(&output)["images"].as_array().unwrap().iter().map(|image| image["code"].clone()).collect();
            assert!(codes.contains(&"parent".into()), "{codes:?}");
            assert!(!stderr(&output).contains("refused"), "{}", stderr(&output));
        }
    }
    // Nor does it wait, at the one place there is, for what its index says.
    let output = ask("verify", &["--output", "json", "--jobs", "1", "--wait", "20s", &child, &index]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!((&report["images"][0]["attempts"], &report["images"][1]["attempts"]), (&2.into(), &1.into()), "{report}");
    // One that is refused vouches for nothing.
    let swapped = tags.iter().find(|((repository, tag), _)| repository == "acme/swapped" && tag == "v1").unwrap().1;
    let manifest: Value = serde_json::from_slice(&recorded().blobs[swapped]).unwrap();
    let child = manifest["manifests"][0]["digest"].as_str().unwrap();
    let images = ["v1".to_owned(), child.to_owned()];
    let images = images.map(|name| format!("{}/acme/swapped{}{name}", registry.addr, if name == "v1" { ':' } else { '@' }));
    let output = ask("verify", &["--output", "json", &images[0], &images[1]]).await;
    assert_eq!(code(&output), 1);
    let outcomes: Vec<_> = json(&output)["images"].as_array().unwrap().iter().map(|image| image["outcome"].clone()).collect();
    assert_eq!(outcomes, ["refused", "refused"]);
    assert_eq!(stderr(&output).matches("refused ").count(), 2, "each is told: {}", stderr(&output));
}

#[tokio::test]
async fn attestations_are_asked_for_by_type_and_the_signature_alone_on_demand() {
    for (image, extra, wanted) in [
        ("acme/nosbom:v1", &["--signature-only"][..], 0),
        ("acme/nosbom:v1", &[], 1),
        ("acme/scanned:v1", &["--type", "vuln", "--type", "spdx"], 0),
        ("acme/app:v1", &["--type", "vuln"], 1),
        // It is there, and lists nothing.
        ("acme/cyclonedx:v1", &["--type", "cyclonedx"], 1),
        ("acme/app:v1", &["--type", "spdxjson"], 0),
        ("acme/app:v1", &["--predicate-type", "https://slsa.dev/provenance/v1"], 1),
        // An attestation is no signature, unless none is asked for.
        ("acme/sbomonly:v1", &[], 1),
        ("acme/sbomonly:v1", &["--dangerous-no-signature"], 0),
        ("acme/legacy:v1", &["--log-proof"], 1),
    ] {
        let image = format!("{}:{image}", layout());
        let output = ask("verify", &[extra, &[image.as_str()]].concat()).await;
        assert_eq!(code(&output), wanted, "{image} {extra:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn ghs_flags_find_the_same_signer() {
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let workflow = "acme/app/.github/workflows/release.yml";
    for (flags, wanted) in [
        (&["--owner", "acme"][..], 0),
        (&["--repo", "acme/app", "--deny-self-hosted-runners"], 0),
        (&["--repo", "acme/app", "--signer-workflow", workflow], 0),
        (&["--owner", "acme", "--signer-repo", "acme/app"], 0),
        (&["--owner", "acme-evil"], 1),
        (&["--repo", "acme/ap"], 1),
        (&["--owner", "acme", "--signer-repo", "acme/other"], 1),
        (&["--repo", "acme/app", "--signer-workflow", "acme/app/.github/workflows/release"], 1),
        (&["--repo", "acme/app", "--cert-oidc-issuer", "https://issuer.evil"], 1),
    ] {
        let output = pullgate(&[&["verify", "--trusted-root", &root], flags, &[image.as_str()]].concat()).await;
        assert_eq!(code(&output), wanted, "{flags:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn i01_a_refusal_says_when_only_the_unanchored_regex_would_match() {
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let judged = |regex: &'static str| {
        let (root, image) = (root.clone(), image.clone());
        async move {
            let issuer = ["--certificate-oidc-issuer", "https://token.actions.githubusercontent.com"];
            let rest = ["--certificate-identity-regexp", regex, "--trusted-root", &root, &image];
            pullgate(&[&["verify"], &issuer[..], &rest].concat()).await
        }
    };
    let output = judged("https://github.com/acme/app").await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("note: --certificate-identity-regexp must match all of `https://github.com/acme/app/"));
    assert!(!stderr(&judged("https://github.com/other").await).contains("must match all"));
    assert_eq!(code(&judged("https://github.com/acme/app/.*").await), 0);
}

#[tokio::test]
async fn evidence_from_a_file_stands_in_for_all_there_is_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = recorded().blobs;
    // What `app` is signed and attested with, by way of its referrers tag.
    let index = |tag: &str| recorded().tags[&("acme/app".to_owned(), tag.to_owned())];
    let listed: Value = serde_json::from_slice(&blobs[&index(&APP.replace(':', "-"))]).unwrap();
    let mut lines = String::new();
    for entry in listed["manifests"].as_array().unwrap() {
        let manifest: Value = serde_json::from_slice(&blobs[&entry["digest"].as_str().unwrap().parse().unwrap()]).unwrap();
        let bundle = &blobs[&manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap()];
        lines += std::str::from_utf8(bundle).unwrap().trim();
        lines.push('\n');
    }
    assert_eq!(lines.lines().count(), 2);
    let file = folder.path().join("bundles.jsonl");
    std::fs::write(&file, &lines).unwrap();
    let file = file.to_str().unwrap();

    // A registry that has the image and nothing about it.
    let registry = Registry::start(true).await;
    let manifest = blobs[&APP.parse().unwrap()].clone();
    registry.push_manifest("acme/app", "v1", manifest);
    let image = format!("{}/acme/app:v1", registry.addr);
    assert_eq!(code(&ask("verify", &[&image]).await), 1);
    let output = ask("verify", &["--bundle", file, &image]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(registry.asked(&format!("GET /v2/acme/app/referrers/{APP}")), 1, "the one without --bundle");
    // The bundles are about `app`, whoever else they are put beside; and `legacy`'s own evidence is not asked for.
    for image in ["acme/unsigned:v1", "acme/legacy:v1"] {
        let output = ask("verify", &["--bundle", file, &format!("{}:{image}", layout())]).await;
        assert_eq!(code(&output), 1, "{image}");
    }
    assert_eq!(code(&ask("verify", &["--bundle", "/nonexistent", &image]).await), 64);

    // Behind a whole release's, whatever their number and order.
    let others: String = (0..150)
        .map(|at| {
            let subject = format!("{{\"subject\": [{{\"digest\": {{\"sha256\": \"{at:064}\"}}}}]}}");
            let payload = base64::engine::general_purpose::STANDARD.encode(subject);
            format!("{{\"dsseEnvelope\": {{\"payload\": \"{payload}\"}}}}\n")
        })
        .collect();
    std::fs::write(file, format!("{others}{lines}")).unwrap();
    let output = ask("verify", &["--bundle", file, &image]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = ask("explain", &["--bundle", file, &image]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("bundle file: 2 listed") && told.contains("(bundle file), layer"), "{told}");
    assert!(!told.contains("referrers") && !told.contains(".sig tag"), "nobody else was asked: {told}");
    for command in ["verify", "explain"] {
        let output = ask(command, &["--bundle", file, &format!("{}:acme/unsigned:v1", layout())]).await;
        let told = stdout(&output) + &stderr(&output);
        assert!(code(&output) == 1 && told.contains("--bundle: 0 of 152 bundles are about sha256:d8755134"), "{told}");
    }
    // Of more about one image than are read it is said so.
    let many: String = (0..101).map(|at| format!("{{\"padding\": {at}}}\n")).collect();
    std::fs::write(file, many).unwrap();
    let output = ask("verify", &["--bundle", file, &image]).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("more than 100 candidates are listed, 100 were read"), "{}", stderr(&output));
}

#[tokio::test]
async fn d9_evidence_is_no_image_that_could_be_admitted() {
    let evidence = recorded().tags[&("acme/legacy".to_owned(), {
        let legacy = cases().cases.into_iter().find(|case| case.repository == "acme/legacy").unwrap();
        format!("{}.sig", legacy.digest.replace(':', "-"))
    })];
    for platform in [&[][..], &["--platform", "linux/amd64"]] {
        let image = format!("{}:acme/legacy@{evidence}", layout());
        let output = ask("verify", &[&["--output", "json", &image], platform].concat()).await;
        assert_eq!(code(&output), 1);
        assert_eq!(json(&output)["images"][0]["code"], "evidence");
    }
}

#[tokio::test]
async fn a_cooldown_counts_from_the_signature_or_from_what_a_gates_store_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let store = begun_store(folder.path());
    let (file, store) = (folder.path().join("acme.yaml"), store.to_str().unwrap());
    let Cases { issuer, identity, .. } = cases();
    for (cooldown, extra, wanted) in [
        ("1h", &[][..], "admitted"),
        // Not seen by that gate yet: nobody can say from when it is admitted.
        ("1h", &["--first-seen-from", store], "refused"),
    ] {
        let policy = format!(
            "name: acme\nimages: [\"localhost/**\"]\ncooldown: {cooldown}\n\
             signatures:\n  - keyless: {{issuer: \"{issuer}\", subject: \"{identity}\"}}\n"
        );
        std::fs::write(&file, policy).unwrap();
        let rest = ["--policy", file.to_str().unwrap(), "--trusted-root", &root, "--output", "json", &image];
        let output = pullgate(&[&["verify"], extra, &rest].concat()).await;
        let judged = json(&output)["images"][0].clone();
        assert_eq!(judged["outcome"], wanted, "{cooldown} {extra:?}: {judged}");
        if wanted == "refused" {
            assert_eq!(judged["code"], "cooldown");
            assert!(judged.to_string().contains("from when that gate is first asked for it"), "{judged}");
        }
    }
    assert_eq!(std::fs::read_dir(store).unwrap().count(), 2, "the store is only read");
    // Any other directory has no history of anything.
    for (wrong, lacks) in [
        ("/nonexistent", "it has no directory `facts`"),
        (folder.path().to_str().unwrap(), "it has no directory `facts`"),
        (Path::new(store).join("facts").to_str().unwrap(), "it has no directory `facts`"),
    ] {
        let output = ask("verify", &["--first-seen-from", wrong, &image]).await;
        assert_eq!(code(&output), 64, "{}", stderr(&output));
        let told = format!("--first-seen-from: {wrong} is no store of a gate");
        assert!(stderr(&output).contains(&told) && stderr(&output).contains(lacks), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn reports_are_written_in_every_form_and_a_summary_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary.md");
    let image = format!("{}:acme/unsigned:v1", layout());
    for (form, begins) in
        [("json", "{\n  \"version\": 1"), ("junit", "<?xml version=\"1.0\""), ("sarif", "{\n  \"$schema\""), ("text", "")]
    {
        let output = ask("verify", &["--output", form, "--summary", summary.to_str().unwrap(), &image]).await;
        assert_eq!(code(&output), 1, "{form}");
        assert!(stdout(&output).starts_with(begins), "{form}: {}", stdout(&output));
    }
    // What is said of the images comes before what cannot be written; of that, only who has no other reason to stop is told by code.
    let admitted = format!("{}:acme/app:v1", layout());
    let undecided = format!("127.0.0.1:1/acme/app@sha256:{}", "0".repeat(64));
    for (image, ended) in [(&admitted, 1), (&image, 1), (&undecided, 2)] {
        let output = ask("verify", &["--summary", "/dev/full", image]).await;
        assert_eq!(code(&output), ended, "{}", stderr(&output));
        assert!(stderr(&output).contains("/dev/full cannot be written"), "{}", stderr(&output));
    }
    let written = std::fs::read_to_string(&summary).unwrap();
    assert_eq!(written.matches("### pullgate: 0 admitted, 1 refused, 0 undecided\n").count(), 4, "{written}");
}

/// J2: a file's name may be another's choice, and what CI systems print may be a command to them.
#[tokio::test]
async fn j2_no_files_name_begins_a_line_or_moves_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x\n::error::pwn\u{1b}[31m");
    std::fs::write(&file, "garbage").unwrap();
    let (file, image) = (file.to_str().unwrap(), format!("{}:acme/app:v1", layout()));
    let absent = format!("{file}/absent");
    for named in [file, &absent] {
        for flag in ["--bundle", "--policy", "--config", "--trusted-root", "--first-seen-from"] {
            let by = ["--certificate-identity", "a", "--certificate-oidc-issuer", "b"];
            let output = pullgate(&[&["verify"], &by[..], &[flag, named, &image]].concat()).await;
            let told = stderr(&output);
            assert_ne!(code(&output), 0, "{flag}");
            assert!(!told.contains("\n::error") && !told.contains('\u{1b}') && !told.is_empty(), "{flag}: {told}");
        }
    }
    let output = ask("verify", &["--summary", &absent, &image]).await;
    assert!(!stderr(&output).contains("\n::error") && stderr(&output).contains("cannot be written"), "{}", stderr(&output));
    // And one that a pattern finds, or another file names.
    let policies = folder.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::os::unix::fs::symlink("/nonexistent", policies.join("x\n::error::pwn.yaml")).unwrap();
    let config = folder.path().join("pullgate.yaml");
    std::fs::write(
        &config,
        format!("policies: [policies/*.yaml]\nupstreams: [{{host: a.test, layout: {:?}}}]\nstore: {{path: store}}\n", fixtures()),
    )
    .unwrap();
    let test = folder.path().join("test.yaml");
    std::fs::write(&test, "policies: [\"policies/*.yaml\"]\ntrust_root: sigstore\nlayout: evidence\ncases: []\n").unwrap();
    let (config, test, policies) = (config.to_str().unwrap(), test.to_str().unwrap(), policies.to_str().unwrap());
    for arguments in [
        &["verify", "--config", config, &image][..],
        &["policy", "check", policies],
        &["policy", "test", test],
        &["policy", "init", "--trusted-root", &absent, &image, policies],
    ] {
        let output = pullgate(arguments).await;
        let told = stdout(&output) + &stderr(&output);
        assert!(code(&output) == 64 && told.contains("\\n::error::") && !told.contains("\n::error"), "{arguments:?}: {told}");
    }
    for command in ["verify", "explain"] {
        let output = ask(command, &[&format!("oci:{file}:acme/app:v1")]).await;
        assert!(!stderr(&output).contains("\n::error") && !stderr(&output).is_empty(), "{command}: {}", stderr(&output));
    }
}
