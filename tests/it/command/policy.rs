//! `pullgate policy test`, `init` and `tag accept`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{begun_store, code, identity, layout, pullgate, pullgate_in, renamed, stderr, stdout};
use crate::support::{
    gate::{HOST, Setup},
    layout::{Cases, cases, fixtures},
    registry::{Fault, Registry},
};

const APP: &str = "sha256:5e621c8b2b869b69b32dd04fe158b1c17366ff6dc9a678f89d64767e5562a64e";

/// A policy and its cases over the recorded images.
fn write(folder: &Path, list: &str) {
    let Cases { issuer, identity, .. } = cases();
    let policy = format!(
        "name: acme\nimages: [\"registry.acme.test/acme/**\"]\nsignatures:\n  - keyless: {{issuer: \"{issuer}\", subject: \"{identity}\"}}\n"
    );
    fs::write(folder.join("acme.yaml"), policy).unwrap();
    let fixtures = fixtures();
    let test = format!(
        "policies: [acme.yaml]\ntrust_root: {0}/trusted_root.json\nlayout: {0}/registry\nat: 2026-11-24T00:00:00Z\ncases:\n{list}",
        fixtures.display()
    );
    fs::write(folder.join("test.yaml"), test).unwrap();
}

const PAIR: &str = "  - {name: the release, image: \"registry.acme.test/acme/app:v1\", admit: true}\n  \
                    - {name: nobody signed it, image: \"registry.acme.test/acme/unsigned:v1\", refuse: signature_missing}\n";

#[tokio::test]
async fn a_signed_and_an_unsigned_image_test_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PAIR);
    let junit = folder.path().join("junit.xml");
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml", "--junit", "junit.xml"]).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output), "ok      the release: admitted\nok      nobody signed it: refused [signature_missing]\n");
    let report = quick_junit::Report::deserialize_from_str(&fs::read_to_string(&junit).unwrap()).unwrap();
    assert_eq!((report.tests, report.failures), (2, 0));
}

#[tokio::test]
async fn j2_a_cases_name_is_text_that_xml_can_carry() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &PAIR.replace("name: the release", "name: \"a\\ufffe\"").replace("admit: true", "refuse: denied"));
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml", "--junit", "junit.xml"]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let text = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(text.contains("a\\u{fffe}") && !text.contains('\u{fffe}'), "{text}");
}

#[tokio::test]
async fn the_quickstarts_policy_passes_its_test() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/quickstart/acme-test.yaml");
    let output = pullgate(&["policy", "test", file.to_str().unwrap()]).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output).matches("ok      ").count(), 8);
}

#[tokio::test]
async fn every_clock_stands_at_the_time_of_the_case() {
    let folder = tempfile::tempdir().unwrap();
    // Signed on the 22nd of November.
    let list = "  - {name: soon, image: \"registry.acme.test/acme/app:v1\", at: 2026-11-23T00:00:00Z, refuse: cooldown}\n  \
                - {name: later, image: \"registry.acme.test/acme/app:v1\", at: 2026-11-24T00:00:00Z, admit: true}\n  \
                - {name: much later, image: \"registry.acme.test/acme/app:v1\", at: 2036-11-24T00:00:00Z, admit: true}\n";
    write(folder.path(), list);
    let policy = fs::read_to_string(folder.path().join("acme.yaml")).unwrap();
    fs::write(folder.path().join("acme.yaml"), format!("cooldown: 24h\n{policy}")).unwrap();
    let test = || pullgate_in(folder.path(), &["policy", "test", "test.yaml"]);
    let output = test().await;
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    assert_eq!(stdout(&output).matches("ok      ").count(), 3, "{}", stdout(&output));
    fs::write(folder.path().join("acme.yaml"), format!("max_signature_age: 90d\n{policy}")).unwrap();
    let output = test().await;
    assert!(
        stdout(&output).contains("FAILED  much later: wants admitted, found refused [signature_too_old]"),
        "{}",
        stdout(&output)
    );
}

#[tokio::test]
async fn a_configuration_says_policies_and_trust_roots_for_its_test() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PAIR);
    Setup::layout(&fixtures().join("registry")).write(folder.path());
    let text = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
    let rest: String = text.lines().skip(2).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("test.yaml"), format!("config: pullgate.yaml\n{rest}")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    fs::write(folder.path().join("test.yaml"), format!("config: pullgate.yaml\n{text}")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("trust_root: `trust_root` is the configuration's"), "{}", stderr(&output));

    // And how much is read. Of two pieces of evidence the gate would read one.
    fs::write(folder.path().join("test.yaml"), format!("config: pullgate.yaml\n{rest}")).unwrap();
    let config = fs::read_to_string(folder.path().join("pullgate.yaml")).unwrap();
    let limited = |most: u64| format!("{config}limits: {{evidence: {{candidates: {most}}}}}\n");
    fs::write(folder.path().join("pullgate.yaml"), limited(1)).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 1, "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("FAILED  the release: wants admitted, found refused"), "{}", stdout(&output));
    let verify = ["verify", "--config", "pullgate.yaml", "registry.acme.test/acme/app:v1"];
    assert_eq!(code(&pullgate_in(folder.path(), &verify).await), 1);
    // It is recorded as it is.
    let image = format!("oci:{}:acme/app:v1", fixtures().join("registry").display());
    let tests = "config: pullgate.yaml\nlayout: evidence\ncases: []\n";
    fs::write(folder.path().join("test.yaml"), tests).unwrap();
    let arguments = ["policy", "test", "test.yaml", "--record", &image, "--as", "registry.acme.test/acme/app:v1"];
    let output = pullgate_in(folder.path(), &arguments).await;
    assert!(stdout(&output).contains(": refused ["), "{}{}", stdout(&output), stderr(&output));
    fs::write(folder.path().join("pullgate.yaml"), limited(2)).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert!(stdout(&output).contains("found admitted"), "{}{}", stdout(&output), stderr(&output));
}

#[tokio::test]
async fn a_test_names_its_policies_as_a_configuration_does() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PAIR);
    fs::create_dir(folder.path().join("policies")).unwrap();
    fs::rename(folder.path().join("acme.yaml"), folder.path().join("policies/acme.yaml")).unwrap();
    let test = folder.path().join("test.yaml");
    let text = fs::read_to_string(&test).unwrap();
    fs::write(&test, text.replace("policies: [acme.yaml]", "policies: [policies/*.yaml]")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    fs::write(&test, text.replace("policies: [acme.yaml]", "policies: [policies/*.yml]")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("test.yaml:1:12: policies[0]: matches no file"), "{}", stderr(&output));
}

#[tokio::test]
async fn every_recorded_image_is_a_case() {
    let folder = tempfile::tempdir().unwrap();
    // By hand, from what the fixture says of each: the code a person would look for.
    let refusals = [
        ("acme/unsigned", "signature_missing"),
        ("acme/nosbom", "attestation_missing"),
        ("acme/sbomonly", "signature_missing"),
        ("acme/fork", "identity_mismatch"),
        ("acme/branch", "identity_mismatch"),
        ("acme/prefix", "identity_mismatch"),
        ("acme/splitid", "attestation_identity_mismatch"),
        ("acme/cyclonedx", "attestation_missing"),
        ("acme/hollow", "attestation_malformed"),
        ("acme/copied", "signature_missing"),
        ("acme/moved", "signature_missing"),
        ("acme/swapped", "signature_missing"),
    ];
    let list: String = cases()
        .cases
        .iter()
        .map(|case| {
            let refusal = refusals.iter().find(|(repository, _)| *repository == case.repository).map(|(_, code)| *code);
            let expected = if case.admit { "admit: true".to_owned() } else { format!("refuse: {}", refusal.unwrap()) };
            format!("  - {{image: \"registry.acme.test/{}@{}\", {expected}}}\n", case.repository, case.digest)
        })
        .collect();
    write(folder.path(), &list);
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output).matches("ok      ").count(), cases().cases.len());
}

#[tokio::test]
async fn x15_an_image_under_a_tag_of_evidence_is_a_case_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let tag = format!("sha256-{}.sig", "a".repeat(64));
    write(folder.path(), &format!("{PAIR}  - {{image: \"registry.acme.test/acme/app:{tag}\", refuse: not_evidence}}\n"));
    let recorded = folder.path().join("recorded");
    fs::create_dir(&recorded).unwrap();
    let unsigned = &cases().cases.iter().find(|case| case.repository == "acme/unsigned").unwrap().digest.clone();
    let attached = format!("acme/app:{}", APP.replace(':', "-"));
    let evidence = &crate::support::layout::recorded().tags[&("acme/app".to_owned(), APP.replace(':', "-"))].to_string();
    let tagged = format!("acme/app:{tag}");
    renamed(
        &recorded,
        &[(APP, Some("acme/app:v1")), (APP, Some(&tagged)), (evidence, Some(&attached)), (unsigned, Some("acme/unsigned:v1"))],
    );
    let text = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
    fs::write(folder.path().join("test.yaml"), text.replace(fixtures().join("registry").to_str().unwrap(), "recorded")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
}

#[tokio::test]
async fn another_answer_another_reason_and_a_missing_half_of_the_pair_fail() {
    let folder = tempfile::tempdir().unwrap();
    let tested = |list: String| {
        write(folder.path(), &list);
        pullgate_in(folder.path(), &["policy", "test", "test.yaml"])
    };
    let (release, unsigned) = PAIR.split_once("\n  -").map(|(a, b)| (format!("{a}\n"), format!("  -{b}"))).unwrap();
    for (list, wrong) in [
        (
            PAIR.replace("admit: true", "refuse: signature_missing"),
            "the release: wants refused [signature_missing], found admitted",
        ),
        (
            PAIR.replace("refuse: signature_missing", "admit: true"),
            "nobody signed it: wants admitted, found refused [signature_m",
        ),
        (
            PAIR.replace("signature_missing", "identity_mismatch"),
            "nobody signed it: wants refused [identity_mismatch], found refused [signature_m",
        ),
        (PAIR.replace("app:v1", "app:gone"), "the release: wants admitted, found undecided [absent]"),
        (release, "policy acme has no case on which it does not hold"),
        (unsigned, "policy acme has no case on which it holds"),
    ] {
        let output = tested(list).await;
        assert_eq!(code(&output), 1, "{wrong}: {}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(&format!("FAILED  {wrong}")), "{wrong} in {}", stdout(&output));
    }
    // The time is the file's: before the signature there was none.
    let output = tested(PAIR.replace("admit: true", "at: 2026-11-01T00:00:00Z, refuse: signature_missing")).await;
    assert!(stdout(&output).contains("ok      the release"), "{}", stdout(&output));
    assert_eq!(code(&output), 1, "and so the policy holds nowhere");

    write(folder.path(), PAIR);
    let filtered = pullgate_in(folder.path(), &["policy", "test", "test.yaml", "--filter", "release"]).await;
    assert_eq!((code(&filtered), stdout(&filtered).as_str()), (0, "ok      the release: admitted\n"));
    let none = pullgate_in(folder.path(), &["policy", "test", "test.yaml", "--filter", "nothing", "--junit", "junit.xml"]).await;
    assert_eq!(code(&none), 1, "a filter that leaves nothing proves nothing");
    assert_eq!(stdout(&none), "FAILED  no case has `nothing` in its name or its image\n");
    let report =
        quick_junit::Report::deserialize_from_str(&fs::read_to_string(folder.path().join("junit.xml")).unwrap()).unwrap();
    assert_eq!((report.tests, report.failures), (1, 1));
}

#[tokio::test]
async fn what_an_exception_admits_shows_of_no_policy_that_it_can_be_met() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PAIR);
    let file = folder.path().join("acme.yaml");
    let policy = fs::read_to_string(&file).unwrap();
    let exception = format!("exceptions:\n  - {{digest: \"{APP}\", reason: JIRA-1, expires: 2027-01-31}}\n");
    let issuer = cases().issuer;
    let tested = || pullgate_in(folder.path(), &["policy", "test", "test.yaml"]);
    for (text, wanted) in [
        // What the evidence meets, it meets with an exception beside it, too.
        (format!("{policy}{exception}"), ""),
        (
            format!("{}{exception}", policy.replace(&issuer, "https://nobody.test")),
            "FAILED  policy acme has no case on which it holds but by an exception\n",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = tested().await;
        assert_eq!(code(&output), i32::from(!wanted.is_empty()), "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(wanted), "{}", stdout(&output));
        assert_eq!(stdout(&output).contains("policy acme has"), wanted.contains("policy acme has"), "{}", stdout(&output));
    }
}

#[tokio::test]
async fn a_test_of_no_policy_tests_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "  - {image: \"registry.acme.test/acme/unsigned:v1\", refuse: no_policy}\n");
    let text = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
    let tested = || pullgate_in(folder.path(), &["policy", "test", "test.yaml"]);
    fs::write(folder.path().join("test.yaml"), text.replace("[acme.yaml]", "[]")).unwrap();
    let output = tested().await;
    assert_eq!(code(&output), 64, "{}", stdout(&output));
    assert!(stderr(&output).contains("policies: names no file: no policy would be tested"), "{}", stderr(&output));

    // A configuration may have none.
    let config = Setup::layout(&fixtures().join("registry")).write(folder.path());
    let without: String = fs::read_to_string(&config)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("policies:"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&config, without).unwrap();
    let rest: String = text.lines().skip(2).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("test.yaml"), format!("config: pullgate.yaml\n{rest}")).unwrap();
    let output = tested().await;
    assert_eq!(code(&output), 1, "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("FAILED  there is no policy, so nothing is tested\n"), "{}", stdout(&output));
}

#[tokio::test]
async fn a_policy_that_names_a_root_nobody_has_is_64_to_its_test() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "  - {image: \"registry.acme.test/acme/app:v1\", refuse: trust_root_mismatch}\n");
    let policy = fs::read_to_string(folder.path().join("acme.yaml")).unwrap();
    fs::write(folder.path().join("acme.yaml"), policy.replace("issuer:", "trust_root: private, issuer:")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (64, ""), "{}", stderr(&output));
    let told =
        "signatures[0].keyless.trust_root: no trust root is called `private`; configured: default; a configuration names others";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_64_with_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "  - {image: \"https://x\", admit: true}\n  - {image: \"a.b/c:v1\", refuse: signature_mising}\n  \
         - {image: \"a.b/c:v1\", admit: false}\n  - {image: \"a.b/c:v1\"}\n  - {image: \"oci:x:c:v1\", admit: true, at: noon}\n",
    );
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!(code(&output), 64);
    let told = stderr(&output);
    for problem in [
        "test.yaml:6:13: cases[0].image:",
        "cases[1].refuse: `signature_mising` is no reason's code; did you mean `signature_missing`?",
        "cases[2].admit: write `refuse:`",
        "cases[3]: wants one of admit, refuse",
        "cases[4].image: wants an image by the name policies match",
        "cases[4].at: wants a time such as",
    ] {
        assert!(told.contains(problem), "{problem} in\n{told}");
    }
}

#[tokio::test]
async fn a_first_policy_comes_with_a_pair_that_passes_offline() {
    let registry = Registry::recorded(false).await;
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}/acme/app:v1", registry.addr);
    let named = "ghcr.io/acme/app:v1";
    let begun = ["policy", "init", &image, ".", "--name", "acme", "--as", named, "--trusted-root", &root];
    let output = pullgate_in(folder.path(), &begun).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "./acme.yaml\n./tests/acme.yaml\n");
    let policy = fs::read_to_string(folder.path().join("acme.yaml")).unwrap();
    assert!(policy.contains("images: [\"ghcr.io/acme/app\"]\n") && policy.contains(&cases().identity), "{policy}");
    assert!(!stderr(&output).contains("any_identity"), "{}", stderr(&output));

    // Offline: the registry is gone, and the layout has no layers.
    registry.gone.store(true, std::sync::atomic::Ordering::SeqCst);
    let tested = || pullgate_in(folder.path(), &["policy", "test", "tests/acme.yaml"]);
    let output = tested().await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output).matches("ok      ").count(), 2, "{}", stdout(&output));

    // A policy that changes changes an answer.
    fs::write(folder.path().join("acme.yaml"), policy.replace("heads/main", "heads/other")).unwrap();
    assert_eq!(code(&tested().await), 1);
    assert_eq!(code(&pullgate_in(folder.path(), &begun).await), 64, "it is not written over");
}

#[tokio::test]
async fn a_pair_is_written_only_if_it_passes_its_own_test() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let begun = async |name: &str, extra: &[&str]| {
        let begun = ["policy", "init", "--trusted-root", &root, "--name", name, &image];
        pullgate_in(folder.path(), &[&begun[..], extra].concat()).await
    };
    let issuer = ["--certificate-oidc-issuer", "https://token.actions.githubusercontent.com"];
    for (extra, wanted, why) in [
        (&["--owner", "nobody"][..], 1, "is refused [identity_mismatch]"),
        (&[&issuer[..], &["--certificate-identity-regexp", "acme"]].concat(), 1, "is refused [identity_mismatch]"),
        (&["-R", "acme/app", "--type", "vuln"], 1, "is refused [attestation_missing]"),
        (&["--images", "ghcr.io/x/**"], 1, "is refused [no_policy]"),
        (&["--bundle", "bundles.jsonl"], 64, "--bundle: evidence of a file is not recorded"),
    ] {
        let output = begun("policy", extra).await;
        assert_eq!(code(&output), wanted, "{extra:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{extra:?}: {}", stderr(&output));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{extra:?}");
    }
    for (name, extra, images, refused) in [
        ("plain", &[][..], "localhost/acme/app", "signature_missing"),
        ("host", &["--layout-host", "ghcr.io"], "ghcr.io/acme/app", "signature_missing"),
        ("attested", &["-R", "acme/app", "--dangerous-no-signature"], "localhost/acme/app", "attestation_missing"),
    ] {
        let output = begun(name, extra).await;
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
        let policy = fs::read_to_string(folder.path().join(format!("{name}.yaml"))).unwrap();
        assert!(policy.contains(&format!("images: [\"{images}\"]")), "{policy}");
        let output = pullgate_in(folder.path(), &["policy", "test", &format!("tests/{name}.yaml")]).await;
        assert_eq!(code(&output), 0, "{name}: {}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(&format!("refused [{refused}]")), "{name}: {}", stdout(&output));
    }
}

/// Every file below `folder`, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { _ = found.insert(path.clone(), fs::read(path).unwrap()) }
    }
    found
}

#[tokio::test]
async fn what_is_there_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let begun = async |name: &str, root: &str| {
        let begun = ["policy", "init", "--trusted-root", root, "--name", name, &image];
        let output = pullgate_in(folder.path(), &begun).await;
        (code(&output), stderr(&output))
    };
    let (own, bytes) = ("tests/evidence/trusted_root.json", fs::read(&root).unwrap());
    assert_eq!(begun("a", &root).await, (0, String::new()));
    assert_eq!(fs::read(folder.path().join(own)).unwrap(), bytes);
    // The root that is there, by its own name, by another and by a copy.
    assert_eq!(begun("b", own).await, (0, String::new()));
    std::os::unix::fs::symlink(own, folder.path().join("link.json")).unwrap();
    assert_eq!(begun("c", "link.json").await, (0, String::new()));
    assert_eq!(begun("d", &root).await, (0, String::new()));
    assert_eq!(fs::read(folder.path().join(own)).unwrap(), bytes);

    // The same in substance is another all the same: which of them was meant is not for a program to say.
    let other = folder.path().join("other.json");
    fs::write(&other, [&bytes[..], b"\n"].concat()).unwrap();
    let before = files(folder.path());
    let (ended, told) = begun("e", other.to_str().unwrap()).await;
    assert!(ended == 64 && told.contains("trusted_root.json is another trust root than"), "{ended} {told}");
    for taken in ["a", "tests/../a"] {
        let (ended, told) = begun(taken, &root).await;
        assert_eq!(ended, 64, "{told}");
    }
    std::os::unix::fs::symlink("nowhere", folder.path().join("tests/f.yaml")).unwrap();
    let (ended, told) = begun("f", &root).await;
    assert!(ended == 64 && told.contains("./tests/f.yaml is there already; choose another --name"), "{ended} {told}");
    fs::remove_file(folder.path().join("tests/f.yaml")).unwrap();
    assert_eq!(files(folder.path()), before);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(code(&pullgate_in(folder.path(), &["policy", "test", &format!("tests/{name}.yaml")]).await), 0, "{name}");
    }
}

#[tokio::test]
async fn a_name_is_that_of_a_file_in_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    fs::create_dir(folder.path().join("team")).unwrap();
    let long = "a".repeat(64);
    for name in ["team/app", "../evil", "/tmp/evil", "..", ".", "", ".hidden", "-x", "a b", "a,b", "a\nb", "\u{e9}", &long] {
        let name = format!("--name={name}");
        let begun = ["policy", "init", "--trusted-root", &root, &name, &image, "team"];
        let output = pullgate_in(folder.path(), &begun).await;
        assert_eq!(code(&output), 64, "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("wants the name of a file"), "{name}: {}", stderr(&output));
    }
    assert_eq!(files(folder.path()).len(), 0);
    let begun = ["policy", "init", "--trusted-root", &root, "--name", &long[1..], &image, "team"];
    assert_eq!(code(&pullgate_in(folder.path(), &begun).await), 0);
}

/// What README says to type, with the configuration that stands beside it.
#[tokio::test]
async fn a_directory_of_policies_is_checked_and_configured_with_its_tests_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let named = format!("{HOST}/acme/app:v1");
    let typed = async |arguments: &[&str]| {
        let output = pullgate_in(folder.path(), arguments).await;
        assert_eq!(code(&output), 0, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    };
    typed(&["policy", "init", "--trusted-root", &root, "--as", &named, &image, "policies"]).await;
    typed(&["policy", "test", "policies/tests/policy.yaml"]).await;
    typed(&["policy", "check", "policies"]).await;
    let readme = include_str!("../../../README.md");
    for line in ["IMAGE policies ", "test policies/tests/policy.yaml ", "check policies "] {
        assert!(readme.contains(&format!("{line} ")), "{line}");
    }
    let config = Setup::layout(&fixtures().join("registry")).write(folder.path());
    let text = fs::read_to_string(&config).unwrap();
    assert!(include_str!("../../../config/pullgate.yaml").contains("\npolicies: [policies/*.yaml]\n"));
    fs::write(&config, text.replace("policies: [acme.yaml]", "policies: [policies/*.yaml]")).unwrap();
    typed(&["verify", "--config", "pullgate.yaml", &named]).await;
    // What that would leave out is not checked as if it were in force.
    fs::copy(folder.path().join("policies/policy.yaml"), folder.path().join("policies/strict.yml")).unwrap();
    let output = pullgate_in(folder.path(), &["policy", "check", "policies"]).await;
    assert_eq!(code(&output), 64);
    assert!(
        stderr(&output).contains("policies/strict.yml: `policies: [policies/*.yaml]` does not name it"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn a_workflow_that_any_repository_may_call_is_bound_to_the_one_that_called_it() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy");
    let root = recorded.join("trusted_root.json").display().to_string();
    let of = |name: &str| format!("oci:{}:acme/{name}:v1", recorded.join("registry").display());
    for (image, claims) in [
        ("reusable", Some(r#"{"source_repository_uri":"https://github.com/acme/app"}"#)),
        ("both", None),
        ("gitlab", None),
        ("person", None),
    ] {
        let begun = ["policy", "init", "--trusted-root", &root, "--name", image, "--images", "localhost/**", &of(image)];
        let output = pullgate_in(folder.path(), &begun).await;
        assert_eq!(code(&output), 0, "{image}: {}", stderr(&output));
        let policy = fs::read_to_string(folder.path().join(format!("{image}.yaml"))).unwrap();
        let found = policy.lines().find_map(|line| line.trim().strip_prefix("claims: "));
        assert_eq!(found, claims, "{policy}");
    }
    // A tag may have segments.
    let policy = fs::read_to_string(folder.path().join("reusable.yaml")).unwrap();
    assert!(policy.contains("build.yml@refs/tags/**\"\n"), "{policy}");
    for (image, wanted) in [("reusable", 0), ("borrowed", 1)] {
        let verify = ["verify", "--trusted-root", &root, "--policy", "reusable.yaml", &of(image)];
        let output = pullgate_in(folder.path(), &verify).await;
        assert_eq!(code(&output), wanted, "{image}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn a_tag_that_is_recorded_again_leaves_the_case_that_it_was() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "");
    let file = folder.path().join("test.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("layout:")).map(|line| format!("{line}\n")).collect();
    fs::write(&file, format!("layout: evidence\n{}", text.replace("cases:\n", "cases: []\n"))).unwrap();
    for repository in ["acme/app", "acme/nosbom", "acme/app", "acme/unsigned"] {
        let image = format!("{}:{repository}:v1", layout());
        let record = ["policy", "test", "test.yaml", "--record", &image, "--as", "registry.acme.test/acme/app:latest"];
        let output = pullgate_in(folder.path(), &record).await;
        assert_eq!(code(&output), 0, "{repository}: {}", stderr(&output));
    }
    let output = pullgate_in(folder.path(), &["policy", "test", "test.yaml"]).await;
    assert_eq!((code(&output), stdout(&output).matches("ok      ").count()), (0, 4), "{}", stdout(&output));
}

#[tokio::test]
async fn what_a_judge_looks_at_is_recorded_and_what_it_admits_is_a_case_of_that() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy");
    let root = recorded.join("trusted_root.json").display().to_string();
    let policy = fs::read_to_string(recorded.join("policies/each-platform.yaml")).unwrap();
    fs::write(folder.path().join("signed.yaml"), &policy).unwrap();
    // Of an index made here nobody signed anything: the same about its platforms alone.
    let Cases { issuer, identity, .. } = cases();
    let attested = format!(
        "name: attested\nimages: [\"registry.acme.test/acme/**\"]\ndangerous_no_signature: true\nattestations:\n  \
         - predicate_type: https://spdx.dev/Document\n    sbom_on: each_platform\n    \
         keyless: {{issuer: \"{issuer}\", subject: \"{identity}\"}}\n"
    );
    fs::write(folder.path().join("attested.yaml"), attested).unwrap();

    let registry = folder.path().join("registry");
    assert!(std::process::Command::new("cp").arg("-r").args([&recorded.join("registry"), &registry]).status().unwrap().success());
    let blob = |digest: &str| registry.join("blobs/sha256").join(&digest["sha256:".len()..]);
    let read = |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let mut entries = read(&registry.join("index.json"));
    let find = |entries: &serde_json::Value, name: &str| -> String {
        let named = |entry: &&serde_json::Value| entry["annotations"]["org.opencontainers.image.ref.name"] == name;
        entries["manifests"].as_array().unwrap().iter().find(named).unwrap()["digest"].as_str().unwrap().to_owned()
    };
    // An index that names no platform.
    let (amd64, arm64) = (find(&entries, "acme/eachplatform:amd64"), find(&entries, "acme/eachplatform:arm64"));
    let list: Vec<_> = [&amd64, &arm64]
        .map(|digest| serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": fs::metadata(blob(digest)).unwrap().len()}))
        .to_vec();
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
            .to_string();
    let digest = pullgate::oci::Digest::sha256(index.as_bytes()).to_string();
    fs::write(blob(&digest), &index).unwrap();
    entries["manifests"].as_array_mut().unwrap().push(serde_json::json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": index.len(),
        "annotations": {"org.opencontainers.image.ref.name": "acme/eachplatform:plain"},
    }));
    // And one of which a platform was not copied.
    entries["manifests"].as_array_mut().unwrap().retain(|entry| entry["digest"] != arm64.as_str());
    fs::write(registry.join("index.json"), entries.to_string()).unwrap();
    for sparse in [false, true] {
        if sparse {
            fs::remove_file(blob(&arm64)).unwrap();
        }
        for (policy, tag) in [("signed", "v1"), ("attested", "plain")] {
            let image = format!("oci:{}:acme/eachplatform:{tag}", registry.display());
            let named = format!("registry.acme.test/acme/eachplatform:{tag}");
            let file = format!("{policy}.yaml");
            let verify = ["verify", "--layout-host", "registry.acme.test", "--policy", &file, "--trusted-root", &root, &image];
            let output = pullgate_in(folder.path(), &verify).await;
            assert_eq!(code(&output), 0, "{policy} {sparse}: {}", stderr(&output));
            let test = format!("policies: [{file}]\ntrust_root: {root}\nlayout: {policy}-{sparse}\ncases: []\n");
            fs::write(folder.path().join("test.yaml"), test).unwrap();
            let record = ["policy", "test", "test.yaml", "--record", &image, "--as", &named];
            let output = pullgate_in(folder.path(), &record).await;
            assert!(stdout(&output).contains("admitted [policy]"), "{policy} {sparse}: {}{}", stdout(&output), stderr(&output));
        }
    }
}

#[tokio::test]
async fn what_was_recorded_from_a_host_with_a_port_is_verified_in_its_layout() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let image = format!("{}:acme/app:v1", layout());
    let begun = ["policy", "init", "--trusted-root", &root, "--as", "registry.example.com:5000/acme/app:v1", &image];
    let output = pullgate_in(folder.path(), &begun).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let verify = ["verify", "--trusted-root", &root, "--policy", "policy.yaml", "oci:tests/evidence"];
    let output = pullgate_in(folder.path(), &verify).await;
    // The image that nobody signed is there, too.
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("oci:tests/evidence:registry.example.com_5000/acme/app@{APP}\n"), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("refused ").count(), 1, "{}", stderr(&output));
}

#[tokio::test]
async fn no_policy_says_that_nobody_signed_what_could_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    let registry = Registry::recorded(false).await;
    let image = |name: &str| format!("{}/acme/{name}:v1", registry.addr);
    let begun = async |name: &str| {
        let output = pullgate_in(folder.path(), &["policy", "init", "--trusted-root", &root, &image(name)]).await;
        (code(&output), stderr(&output))
    };
    let (ended, told) = begun("unsigned").await;
    assert!(ended == 1 && told.contains("nobody both signed"), "{ended} {told}");
    let tag = APP.replace(':', "-");
    for broken in
        [format!("/v2/acme/app/manifests/{tag}"), "/v2/acme/app/manifests/v1".into(), format!("/v2/acme/app/manifests/{APP}")]
    {
        registry.fault(&broken, Fault::Status(500));
        let (ended, told) = begun("app").await;
        assert!(ended == 2 && told.contains("could not be read"), "{broken}: {ended} {told}");
        registry.fault(&broken, None);
    }
    registry.gone.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(begun("app").await.0, 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[tokio::test]
async fn images_are_recorded_with_all_their_evidence_from_every_shape_of_registry() {
    let folder = tempfile::tempdir().unwrap();
    let root = fixtures().join("trusted_root.json").display().to_string();
    for referrers_api in [true, false] {
        let registry = Registry::recorded(referrers_api).await;
        let name = if referrers_api { "api" } else { "tags" };
        let of = |image: &str| format!("{}/{image}", registry.addr);
        let identity = identity();
        let (image, named) = (of("acme/app:v1"), "registry.acme.test/acme/app:v1");
        let init = ["policy", "init", &image, ".", "--name", name, "--as", named, "--images", "registry.acme.test/acme/*"];
        let rest: Vec<&str> =
            identity.iter().map(String::as_str).filter(|text| *text != "--trusted-root" && *text != root).collect();
        let output = pullgate_in(folder.path(), &[&init[..], &rest, &["--trusted-root", &root]].concat()).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let file = format!("tests/{name}.yaml");
        for (repository, answer) in [
            ("acme/legacy", "admitted [policy]"),
            ("acme/multi", "admitted [policy]"),
            ("acme/mixed", "admitted [policy]"),
            ("acme/fork", "refused [identity_mismatch]"),
            ("acme/copied", "refused [signature_missing]"),
        ] {
            let (image, named) = (of(&format!("{repository}:v1")), format!("registry.acme.test/{repository}:v1"));
            let output = pullgate_in(folder.path(), &["policy", "test", &file, "--record", &image, "--as", &named]).await;
            assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
            assert!(stdout(&output).contains(answer), "{repository}: {}", stdout(&output));
        }
        let output = pullgate_in(folder.path(), &["policy", "test", &file]).await;
        assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
        assert_eq!(stdout(&output).matches("ok      ").count(), 7);
    }
    // Only what is small: no layers.
    let blobs = fs::read_dir(folder.path().join("tests/evidence/blobs/sha256")).unwrap();
    let manifest = fs::read(folder.path().join("tests/evidence/blobs/sha256").join(&APP[7..])).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = &manifest["layers"][0]["digest"].as_str().unwrap()[7..];
    assert!(blobs.map(|entry| entry.unwrap().file_name()).all(|name| name != layer));
}

#[tokio::test]
async fn evidence_that_cannot_be_read_is_not_recorded_as_if_there_were_none() {
    let registry = Registry::recorded(true).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), PAIR);
    // A layout of its own: the fixture is not written to.
    let text = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("layout:")).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("test.yaml"), format!("layout: evidence\n{text}")).unwrap();
    registry.fault(&format!("/v2/acme/app/referrers/{APP}"), Fault::Status(500));
    let image = format!("{}/acme/app:v1", registry.addr);
    let record = ["policy", "test", "test.yaml", "--record", &image];
    let output = pullgate_in(folder.path(), &record).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(!folder.path().join("evidence/index.json").exists());
    let after = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
    assert_eq!(after.matches("image:").count(), 2, "{after}");
}

#[tokio::test]
async fn a_case_is_added_at_the_column_of_the_others_and_nothing_is_recorded_where_it_cannot_be() {
    let image = format!("{}:acme/app:v1", layout());
    let record = ["policy", "test", "test.yaml", "--record", &image, "--as", "registry.acme.test/acme/app:v1"];
    let one = "- image: \"registry.acme.test/acme/unsigned:v1\"";
    for (list, ended) in [
        (format!("cases:\n{one}\n  refuse: signature_missing\n"), 0),
        (format!("cases:\n    {one}\n      refuse: signature_missing"), 0),
        (format!("cases:\n    {one}\n      refuse: signature_missing\n\n# the end\n"), 0),
        ("cases: [] # none\n".into(), 0),
        ("cases: []".into(), 0),
        ("cases: [{image: \"registry.acme.test/acme/unsigned:v1\", refuse: signature_missing}]\n".into(), 64),
        (format!("cases:\n{one}\n  refuse: signature_missing\nlayout: evidence\n"), 64),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "");
        let text = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
        let head: String = text
            .lines()
            .filter(|line| !line.starts_with("cases:") && !line.starts_with("layout:"))
            .map(|line| format!("{line}\n"))
            .collect();
        let head = if list.contains("layout:") { head } else { format!("{head}layout: evidence\n") };
        fs::write(folder.path().join("test.yaml"), format!("{head}{list}")).unwrap();
        let output = pullgate_in(folder.path(), &record).await;
        assert_eq!(code(&output), ended, "{list}: {}{}", stdout(&output), stderr(&output));
        assert_eq!(folder.path().join("evidence").exists(), ended == 0, "{list}");
        let after = fs::read_to_string(folder.path().join("test.yaml")).unwrap();
        assert_eq!(after.contains(APP), ended == 0, "{after}");
        if ended != 0 {
            assert!(stderr(&output).contains("the list of cases is not what the file ends with"), "{}", stderr(&output));
            assert_eq!(after, format!("{head}{list}"));
        }
    }
}

/// Lost from a recording, as by a clone without large files, evidence is not evidence that there never was.
#[tokio::test]
async fn a_recording_that_lost_evidence_is_told_and_not_taken_for_an_image_without() {
    let folder = tempfile::tempdir().unwrap();
    let blob = |digest: &str| folder.path().join("registry/blobs/sha256").join(&digest["sha256:".len()..]);
    let listed = |digest: &str, list: &str| -> Vec<String> {
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(blob(digest)).unwrap()).unwrap();
        let digests = manifest[list].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned());
        digests.collect()
    };
    let copied = || {
        let from = fixtures().join("registry");
        assert!(std::process::Command::new("cp").arg("-r").args([&from, folder.path()]).status().unwrap().success());
        write(folder.path(), "  - {image: \"registry.acme.test/acme/app:v1\", refuse: signature_missing}\n");
        let file = folder.path().join("test.yaml");
        let text = fs::read_to_string(&file).unwrap().replace(from.to_str().unwrap(), "registry");
        fs::write(file, text).unwrap();
    };
    let tested = || pullgate_in(folder.path(), &["policy", "test", "test.yaml", "--filter", "acme/app"]);
    copied();
    assert!(stdout(&tested().await).contains("wants refused [signature_missing], found admitted"));
    let tagged = "sha256:e07232215a2b88a3b5a2dda8c245851025e97b26742fb49f5f58a442be8b4358";
    for manifest in listed(tagged, "manifests") {
        for bundle in listed(&manifest, "layers") {
            fs::remove_file(blob(&bundle)).unwrap();
        }
    }
    let output = tested().await;
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("found undecided [evidence_unavailable]"), "{}", stdout(&output));
    for manifest in listed(tagged, "manifests") {
        fs::remove_file(blob(&manifest)).unwrap();
    }
    assert!(stdout(&tested().await).contains("found undecided [evidence_unavailable]"));
    fs::remove_file(blob(tagged)).unwrap();
    let output = tested().await;
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains(&format!("index.json names {tagged}: it is missing or damaged")), "{}", stderr(&output));
    copied();
    fs::write(blob(tagged), "{}").unwrap();
    assert_eq!(code(&tested().await), 64);
}

#[tokio::test]
async fn a_rollback_is_accepted_beside_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    let store = begun_store(folder.path());
    let store = store.to_str().unwrap();
    let reference = format!("ghcr.io/acme/app:v1@{APP}");
    let output = pullgate(&["policy", "tag", "accept", &reference, "--store", store]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("ghcr.io/acme/app:v1 may mean {APP} from now on; it had no history\n"));
    assert!(stderr(&output).contains("no gate on this store has answered for ghcr.io/acme/app:v1"), "{}", stderr(&output));
    assert!(folder.path().join("store/facts/tag-accepted").is_dir());
    // By a configuration, the host is one of its upstreams.
    let config = Setup::layout(&fixtures().join("registry")).write(folder.path());
    let config = config.to_str().unwrap();
    let known = format!("{HOST}/acme/app:v1@{APP}");
    let output = pullgate(&["policy", "tag", "accept", &known, "--config", config]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = pullgate(&["policy", "tag", "accept", &reference, "--config", config]).await;
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("ghcr.io is no upstream of") && stderr(&output).contains(HOST), "{}", stderr(&output));
    // No gate reads what is written anywhere else, and nothing is.
    let (elsewhere, none) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = Setup::layout(&fixtures().join("registry")).write(none.path());
    for other in [&["--store", elsewhere.path().to_str().unwrap()], &["--config", config.to_str().unwrap()]] {
        let output = pullgate(&[&["policy", "tag", "accept", &known], &other[..]].concat()).await;
        assert_eq!((code(&output), stdout(&output).as_str()), (64, ""), "{}", stderr(&output));
        assert!(stderr(&output).contains("is no store of a gate (`store.path`), or none ever ran on it"), "{}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert!(!none.path().join("store").exists());
    for wrong in [
        &["policy", "tag", "accept", &reference][..],
        &["policy", "tag", "accept", &reference, "--store", "/nonexistent"],
        &["policy", "tag", "accept", &reference, "--config", "/nonexistent"],
        &["policy", "tag", "accept", "ghcr.io/acme/app:v1", "--store", store],
        &["policy", "tag", "accept", &format!("ghcr.io/acme/app@{APP}"), "--store", store],
        &["policy", "tag", "accept", &format!("acme/app:v1@{APP}"), "--store", store],
        &["policy", "tag", "accept", &format!("app:v1@{APP}"), "--store", store],
        &["policy", "tag", "accept", &format!("{}:app:v1@{APP}", layout()), "--store", store],
    ] {
        assert_eq!(code(&pullgate(wrong).await), 64, "{wrong:?}");
    }
}
