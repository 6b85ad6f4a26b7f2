//! Documents in the shapes that tools write, and what mutating them does.

mod components;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    sbom::{Licensing, Package, Sbom},
    spdx::Depth,
    *,
};

const SPDX: &str = include_str!("testdata/syft-spdx-2.3.json");
const SPDX_3: &str = include_str!("testdata/spdx-3.0.1.json");
const SBOM_TOOL: &str = include_str!("testdata/sbom-tool-spdx-3.0.json");
const CYCLONEDX: &str = include_str!("testdata/syft-cyclonedx-1.6.json");
const GRYPE: &str = include_str!("testdata/grype-vuln.json");
const TRIVY: &str = include_str!("testdata/trivy-vuln.json");
const GITHUB: &str = include_str!("testdata/github-slsa-1.json");
const GENERATOR: &str = include_str!("testdata/slsa-github-generator-0.2.json");
const BUILDKIT: &str = include_str!("testdata/buildkit-slsa-1.json");
const OPENVEX: &str = include_str!("testdata/openvex-0.2.json");

fn predicate(text: &str) -> Predicate {
    Predicate::from(text.to_owned())
}

fn packages(text: &str) -> Result<(Sbom, Vec<Package>), DocumentError> {
    let mut packages = Vec::new();
    let mut each = |package: &Package| packages.push(package.clone());
    let sbom = if text.contains("bomFormat") {
        cyclonedx::read(&predicate(text), &mut each)?
    } else {
        spdx::read(&predicate(text), Depth::Deep, &mut each)?.1
    };
    Ok((sbom, packages))
}

fn said(text: &str) -> Vec<Licensing> {
    vec![Licensing::Said(text.to_owned())]
}

#[test]
fn syft_s_spdx_is_read() {
    let (sbom, packages) = packages(SPDX).unwrap();
    assert_eq!(sbom, Sbom { version: "SPDX-2.3", packages: 3, files: 1 });
    assert_eq!(packages[0].licenses, said("GPL-2.0-only"));
    assert_eq!(packages[0].purls, ["pkg:apk/alpine/busybox@1.36.1-r29?arch=x86_64&distro=alpine-3.20.3"]);
    assert!(packages[0].supplier.as_deref().unwrap().starts_with("Person: S"));
    assert!(packages[1].licenses.is_empty() && packages[1].supplier.is_none(), "NOASSERTION is nothing");
    // The one whose licence is described elsewhere comes last.
    assert_eq!(packages.iter().map(|package| package.is_frame).collect::<Vec<_>>(), [false, false, true, false]);
    assert_eq!(packages[3].foreign[0].names, ["https://www.apache.org/licenses/LICENSE-2.0.txt"]);
    let files = include_str!("testdata/bom-spdx-2.2-files.json");
    assert_eq!(super::tests::packages(files).unwrap().0, Sbom { version: "SPDX-2.2", packages: 0, files: 1 });
}

#[test]
fn syft_s_cyclonedx_is_read_with_nested_components() {
    let (sbom, packages) = packages(CYCLONEDX).unwrap();
    assert_eq!(sbom, Sbom { version: "CycloneDX 1.6", packages: 3, files: 1 });
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["ghcr.io/acme/app", "busybox", "log4j-core", "core", "alpine", "/lib/apk/db/installed"]);
    assert!(
        packages[4].is_frame && packages[5].is_frame && packages[0].is_frame && packages[3].group.as_deref() == Some("@babel")
    );
    assert_eq!(packages[2].licenses, said("Apache License, Version 2.0"));
    assert_eq!((&packages[3].licenses, packages[3].supplier.as_deref()), (&said("MIT OR Apache-2.0"), Some("Babel")));
}

#[test]
fn spdx_3_is_read_as_its_authors_and_as_cmake_write_it() {
    let (sbom, found) = packages(SPDX_3).unwrap();
    assert_eq!(sbom, Sbom { version: "SPDX-3.0", packages: 2, files: 1 });
    assert_eq!((&found[1].licenses, found[1].supplier.as_deref()), (&said("GPL-2.0-only"), Some("Acme")));
    assert_eq!(found[2].purls, ["pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"]);
    assert_eq!(found[2].licenses, said("Apache-2.0"));
    let (sbom, inline) = packages(include_str!("testdata/cmake-spdx-3.0.1.json")).unwrap();
    assert_eq!((sbom.packages, inline[1].name.as_str(), &inline[1].licenses), (2, "foo:foo", &said("BSD-3-Clause")));
}

fn findings(text: &str) -> Result<(vuln::Scan, Vec<vuln::Finding>), DocumentError> {
    let mut found = Vec::new();
    let scan = vuln::read(&predicate(text), &mut |finding| found.push(finding.clone()))?;
    Ok((scan, found))
}

#[test]
fn grype_and_trivy_say_the_same_in_their_own_shapes() {
    for (text, id, package) in
        [(GRYPE, "GHSA-jfh8-c2jp-5v3q", "log4j-core"), (TRIVY, "CVE-2021-44228", "org.apache.logging.log4j:log4j-core")]
    {
        let (scan, mut found) = findings(text).unwrap();
        assert!(scan.read && scan.finished == "2026-11-22T00:00:10Z".parse().ok());
        found.sort_by_key(|finding| finding.severity);
        let [medium, critical] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&*critical.id, critical.severity, critical.fixed), (id, Some(vuln::Severity::Critical), true));
        assert_eq!((&*critical.package, &*critical.version), (package, "2.14.1"));
        assert_eq!((&*medium.id, medium.severity, medium.fixed), ("CVE-2023-42366", Some(vuln::Severity::Medium), false));
    }
    assert_eq!(findings(GRYPE).unwrap().1[0].related, ["CVE-2021-44228"]);
    let vendors = TRIVY.replacen("\"PkgName\"", "\"VendorIDs\": [\"GHSA-jfh8-c2jp-5v3q\", null], \"PkgName\"", 1);
    let aliases: Vec<_> = findings(&vendors).unwrap().1.into_iter().flat_map(|finding| finding.aliases).collect();
    assert_eq!(aliases, ["GHSA-jfh8-c2jp-5v3q"]);
    let null = TRIVY.replace("\"PkgName\"", "\"VendorIDs\": null, \"PkgName\"");
    assert_eq!(findings(&null).unwrap(), findings(TRIVY).unwrap());
    let unfixed = json!({"scanner": {"result": {"matches": [{"vulnerability": {"id": "CVE-1", "fix": null}}]}}, "metadata": {}});
    assert!(!findings(&unfixed.to_string()).unwrap().1[0].fixed);
    assert!(findings(&TRIVY.replace("FixedVersion", "Fixed")).unwrap().1[1].fixed, "by its status");
    assert!(findings(&TRIVY.replace("\"fixed\"", "\"affected\"")).unwrap().1[1].fixed, "by its version");
    let clean = json!({"scanner": {"result": {"SchemaVersion": 2, "ArtifactName": "scratch"}}, "metadata": {}}).to_string();
    assert_eq!(findings(&clean).unwrap(), (vuln::Scan { read: true, ..vuln::Scan::default() }, vec![]));
    let local = GRYPE.replace("2026-11-22T00:00:10Z", "2026-11-22T00:00:10");
    let scan = findings(&local).unwrap().0;
    assert_eq!((scan.finished, scan.unread.as_deref()), (None, Some("2026-11-22T00:00:10")));
    let osv = json!({"results": [{"packages": []}], "experimental_config": {}});
    for other in [json!(null), json!({}), json!([]), json!("{}"), json!({"runs": []}), osv] {
        let text = json!({"scanner": {"result": other}, "metadata": {"scanFinishedOn": "yesterday"}}).to_string();
        let unread = vuln::Scan { unread: Some("yesterday".into()), ..vuln::Scan::default() };
        assert_eq!(findings(&text).unwrap().0, unread, "{other}");
    }
    for (wrong, message) in [
        (json!({}), "has no scanner"),
        (json!({"scanner": {}}), "has no metadata"),
        (json!({"scanner": [], "metadata": {}}), "has a list where an object belongs"),
        (json!({"scanner": {"result": {"matches": [], "Results": []}}, "metadata": {}}), "two forms at once"),
        (json!({"scanner": {"result": {"matches": [{"vulnerability": {}}]}}, "metadata": {}}), "has no id of a vulnerability"),
        (json!({"scanner": {"result": {"results": [], "Results": []}}, "metadata": {}}), "two forms at once"),
        (json!({"scanner": {"result": {"results": [], "SchemaVersion": 2}}, "metadata": {}}), "two forms at once"),
        (json!({"scanner": {"result": {"RESULTS": []}}, "metadata": {}}), "has key `RESULTS` for `Results`"),
    ] {
        assert!(findings(&wrong.to_string()).unwrap_err().to_string().contains(message), "{wrong}");
    }
}

#[test]
fn provenance_of_github_slsa_github_generator_and_buildkit_is_read() {
    let read = |text: &str, version| provenance::read(&predicate(text), version);
    let github = read(GITHUB, provenance::Version::V1).unwrap();
    assert_eq!(github.builder, "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main");
    assert_eq!(
        (&*github.build_type, &github.sources[..]),
        ("https://actions.github.io/buildtypes/workflow/v1", &["https://github.com/acme/app".to_owned()][..])
    );
    let generator = read(GENERATOR, provenance::Version::V0_2).unwrap();
    assert!(generator.builder.ends_with("generator_container_slsa3.yml@refs/tags/v1.10.0"));
    assert_eq!(generator.sources, ["git+https://github.com/acme/app@refs/tags/v14"]);
    let buildkit = read(BUILDKIT, provenance::Version::V1).unwrap();
    assert_eq!((&*buildkit.builder, &buildkit.sources[..]), ("", &["https://github.com/acme/app.git#main".to_owned()][..]));
    // Without a source among the parameters, every git repository it was built from.
    let resolved = GITHUB.replace("\"workflow\"", "\"flow\"");
    assert_eq!(read(&resolved, provenance::Version::V1).unwrap().sources, ["git+https://github.com/acme/app@refs/heads/main"]);
    let dependency =
        resolved.replace("\"resolvedDependencies\": [", "\"resolvedDependencies\": [{\"uri\": \"pkg:docker/alpine@3\"},");
    assert_eq!(read(&dependency, provenance::Version::V1).unwrap().sources, ["git+https://github.com/acme/app@refs/heads/main"]);
    let mut other: Value = serde_json::from_str(GITHUB).unwrap();
    let (app, evil) = ("https://github.com/acme/app", "https://evil.test/x");
    for (parameters, sources, unread) in [
        (json!(null), &["git+https://github.com/acme/app@refs/heads/main"][..], false),
        (
            json!({"workflow": {}, "source": null, "configSource": " "}),
            &["git+https://github.com/acme/app@refs/heads/main"],
            false,
        ),
        (json!({"workflow": {"repository": app, "path": "x"}, "source": evil}), &[evil, app], false),
        (json!({"sourceToBuild": {"uri": app, "repository": null}}), &[app], false),
        // A dependency does not stand in for any of these.
        (json!("workflow"), &[], true),
        (json!([{"workflow": {"repository": app}}]), &[], true),
        (json!({"source": [app, evil]}), &[], true),
        (json!({"source": [evil]}), &[], true),
        (json!({"source": 1}), &[], true),
        (json!({"source": {"url": evil}}), &[], true),
        (json!({"source": {"uri": null}}), &[], true),
        (json!({"workflow": {"repository": [evil]}}), &[], true),
        (json!({"workflow": {"repository": {"uri": evil}}, "source": app}), &[app], true),
        (json!({"workflow": {"repository": [evil], "uri": app}}), &[app], true),
    ] {
        other["buildDefinition"]["externalParameters"] = parameters.clone();
        let read = read(&other.to_string(), provenance::Version::V1).unwrap();
        assert_eq!(
            (read.sources, read.unread_source),
            (sources.iter().map(|source| (*source).to_owned()).collect(), unread),
            "{parameters}"
        );
    }
    let local = GENERATOR.replace("\"uri\": \"git+https://github.com/acme/app@refs/tags/v14\"", "\"url\": \"x\"");
    let local = read(&local, provenance::Version::V0_2).unwrap();
    assert!(local.sources.is_empty() && local.unread_source);
    assert_eq!(read(GITHUB, provenance::Version::V0_2), Err(DocumentError::Missing("builder id")));
    assert_eq!(read(GENERATOR, provenance::Version::V1), Err(DocumentError::Missing("builder id")));
    assert_eq!(read(&GITHUB.replace("buildType", "kind"), provenance::Version::V1), Err(DocumentError::Missing("buildType")));
    assert!(read(&GITHUB.replace("\"runDetails\"", "\"RunDetails\""), provenance::Version::V1).is_err());
}

#[test]
fn openvex_says_what_it_is() {
    assert_eq!(vex::read(&predicate(OPENVEX)), Ok(()));
    for (from, to, message) in [
        ("https://openvex.dev/ns/v0.2.0", "https://openvex.dev/nsx", "has @context"),
        ("https://openvex.dev/ns/v0.2.0", "https://openvex.dev/ns/v1.0.0", "has @context"),
        ("\"@context\"", "\"context\"", "has no @context"),
        ("\"author\"", "\"writer\"", "has no author"),
        ("\"status\"", "\"state\"", "has no statements"),
        ("\"not_affected\"", "\"banana\"", "has status `banana`; it is none of OpenVEX"),
        ("\"not_affected\"", "null", "has no statements"),
        ("\"statements\"", "\"claims\"", "has no statements"),
    ] {
        let error = vex::read(&predicate(&OPENVEX.replace(from, to))).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
    for status in ["affected", "fixed", "under_investigation"] {
        assert_eq!(vex::read(&predicate(&OPENVEX.replace("not_affected", status))), Ok(()));
    }
    assert_eq!(vex::read_0_2(&predicate(OPENVEX)), Ok(()));
    for other in ["https://openvex.dev/ns", "https://openvex.dev/ns/v0.0.1"] {
        let document = predicate(&OPENVEX.replace("https://openvex.dev/ns/v0.2.0", other));
        assert_eq!(vex::read(&document), Ok(()));
        let error = vex::read_0_2(&document).unwrap_err().to_string();
        assert_eq!(error, format!("has @context `{other}`; its type says another"));
    }
    assert!(anything(&predicate("{}")).is_ok() && anything(&predicate(" null ")).is_err());
}

#[test]
fn a9_a_whole_document_may_be_large_where_one_item_may_not() {
    let filler = "x".repeat(1_000);
    let component = format!(r#"{{"name":"{filler}","components":[]}}"#);
    let bom = |components: &str| format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{components}]}}"#);
    assert_eq!(packages(&bom(&vec![component.as_str(); 2_000].join(","))).unwrap().0.packages, 2_000);
    // As many within one, which alone is held meanwhile.
    let nested = format!(r#"{{"name":"outer","components":[{}]}}"#, vec![component.as_str(); 2_000].join(","));
    assert_eq!(packages(&bom(&nested)).unwrap().0.packages, 2_001);
    let about = bom("").replace("\"components\"", &format!("\"metadata\":{{\"component\":{nested}}},\"components\""));
    assert_eq!(packages(&about).unwrap().0.packages, 2_000);
    // Those around a nested one are held all at once.
    let long = "x".repeat(60_000);
    let chain =
        |depth: usize| bom(&format!("{}{}", format!(r#"{{"name":"{long}","components":["#).repeat(depth), "]}".repeat(depth)));
    assert_eq!(packages(&chain(17)).unwrap().0.packages, 17);
    let error = packages(&chain(18)).unwrap_err().to_string();
    assert!(error.contains("one package or finding of more than 1048576 bytes, with those around it"), "{error}");
    let matched = format!(r#"{{"vulnerability":{{"id":"{filler}"}}}}"#);
    let detected = format!(r#"{{"VulnerabilityID":"{filler}"}}"#);
    for result in [
        format!(r#"{{"matches":[{}]}}"#, vec![matched.as_str(); 2_000].join(",")),
        format!(r#"{{"Results":[{{"Vulnerabilities":[{}]}}]}}"#, vec![detected.as_str(); 2_000].join(",")),
    ] {
        let (_, found) = findings(&format!(r#"{{"scanner":{{"result":{result}}},"metadata":{{}}}}"#)).unwrap();
        assert_eq!(found.len(), 2_000);
    }
    let statements = vec![r#"{"status":"under_investigation"}"#; 60_000].join(",");
    let vex =
        format!(r#"{{"@context":"https://openvex.dev/ns","@id":"a","author":"a","timestamp":"t","statements":[{statements}]}}"#);
    assert_eq!(vex::read(&predicate(&vex)), Ok(()));
}

#[test]
fn a4_a9_nothing_stands_behind_a_document_and_none_is_above_64_mib() {
    let huge = usize::try_from(MAX_DOCUMENT).unwrap() + 1;
    type Reads = fn(&Predicate) -> Result<(), DocumentError>;
    let readers: [(&str, Reads); 5] = [
        (CYCLONEDX, |predicate| cyclonedx::read(predicate, &mut |_| {}).map(drop)),
        (GRYPE, |predicate| vuln::read(predicate, &mut |_| {}).map(drop)),
        (GITHUB, |predicate| provenance::read(predicate, provenance::Version::V1).map(drop)),
        (OPENVEX, vex::read),
        (SPDX, |predicate| spdx::read(predicate, Depth::Shallow, &mut |_| {}).map(drop)),
    ];
    let spaces = " ".repeat(huge);
    for (text, read) in readers {
        assert_eq!(read(&predicate(text)), Ok(()));
        assert!(matches!(read(&predicate(&format!("{text}{text}"))), Err(DocumentError::Malformed(_))));
        assert_eq!(read(&predicate(&spaces)), Err(DocumentError::TooLarge));
    }
}

/// Everything that reads, on `text`: none may panic.
fn read_all(text: &str) {
    let predicate = predicate(text);
    for depth in [Depth::Shallow, Depth::Deep] {
        _ = spdx::read(&predicate, depth, &mut |_| {});
    }
    _ = cyclonedx::read(&predicate, &mut |_| {});
    _ = vuln::read(&predicate, &mut |_| {});
    _ = provenance::read(&predicate, provenance::Version::V0_2);
    _ = provenance::read(&predicate, provenance::Version::V1);
    _ = vex::read(&predicate);
}

const ALL: [&str; 10] = [SPDX, SPDX_3, CYCLONEDX, SBOM_TOOL, GRYPE, TRIVY, GITHUB, GENERATOR, BUILDKIT, OPENVEX];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_mutated_document_makes_a_reader_panic(
        which in 0..ALL.len(), at in any::<prop::sample::Index>(), length in 0_usize..40, put in "\\PC{0,6}|[\\[\\]{}\",:0-9nul\\\\]{0,6}",
    ) {
        let text: Vec<char> = ALL[which].chars().collect();
        let at = at.index(text.len());
        let rest: String = text[(at + length).min(text.len())..].iter().collect();
        let mutated = format!("{}{put}{rest}", text[..at].iter().collect::<String>());
        read_all(&mutated);
        read_all(&json!(mutated).to_string());
    }

    #[test]
    fn a_document_says_the_same_plain_in_a_string_and_wrapped(
        which in 0_usize..4, at in any::<prop::sample::Index>(), put in "[\\[\\]{}\",:a-z0-9 ]{0,3}",
    ) {
        let text: Vec<char> = ALL[which].chars().collect();
        let at = at.index(text.len());
        let mutated: String = text[..at].iter().copied().chain(put.chars()).chain(text[at..].iter().copied()).collect();
        prop_assume!(mutated.contains("bomFormat") == ALL[which].contains("bomFormat"));
        let plain = packages(&mutated).ok();
        prop_assert_eq!(&packages(&json!(mutated).to_string()).ok(), &plain);
        prop_assert_eq!(&packages(&json!({"Data": mutated, "Timestamp": ""}).to_string()).ok(), &plain);
        if serde_json::from_str::<Value>(&mutated).is_ok() {
            prop_assert_eq!(&packages(&format!("{{\"Data\":{mutated}}}")).ok(), &plain);
        }
    }
}
