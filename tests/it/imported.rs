//! Policies of other systems, imported and then *run* over the recorded images by `pullgate verify`. Which images each
//! admits was derived by hand from what the source system's documentation says its policy means, not from the output.
//!
//! Of the twenty (`acme`), by their own descriptions:
//! - SIGNED by the release workflow: app legacy multi docker mixed scanned twice nosbom splitid cyclonedx hollow moved
//! - ATTESTED, an SPDX document by the release workflow: app legacy multi docker mixed scanned twice sbomonly moved
//! - by the fork, both: twice fork; only attested by the fork: splitid
//! - `branch` is `acme/app` on another branch, `prefix` is `acme/app-evil`; both signed and attested
//! - unsigned, copied, swapped and what `moved` was moved to have nothing that verifies

use std::{collections::BTreeSet, path::Path};

use pullgate::import::{Options, import};
use serde_json::Value;

use crate::{
    command::{code, json, pullgate_in, stderr},
    support::layout::fixtures,
};

const SIGNED: &[&str] =
    &["app", "legacy", "multi", "docker", "mixed", "scanned", "twice", "nosbom", "splitid", "cyclonedx", "hollow", "moved"];
const ATTESTED: &[&str] = &["app", "legacy", "multi", "docker", "mixed", "scanned", "twice", "sbomonly", "moved"];
const BOTH: &[&str] = &["app", "legacy", "multi", "docker", "mixed", "scanned", "twice", "moved"];
const EVERY: &[&str] = &[
    "app",
    "legacy",
    "multi",
    "docker",
    "mixed",
    "scanned",
    "twice",
    "unsigned",
    "nosbom",
    "sbomonly",
    "fork",
    "branch",
    "prefix",
    "splitid",
    "cyclonedx",
    "hollow",
    "copied",
    "moved",
    "moved, now",
    "swapped",
];

/// An imported policy, over which images, and what it admits: two parts that together are the list.
struct Run {
    file: &'static str,
    set: &'static str,
    admits: [&'static [&'static str]; 2],
}

const fn run(file: &'static str, set: &'static str, admits: [&'static [&'static str]; 2]) -> Run {
    Run { file, set, admits }
}

/// The table. Where the source would answer differently, the comment says so, and the report of the import does. Of all
/// with `type: Cosign`, which is the default: there, what is signed and attested by bundles only is refused (4.1). Of `acme`
/// that leaves `legacy`, and `mixed` where its signature is all that is asked.
const RUNS: [Run; 31] = [
    // 4.1: attestors only: an image signature by the subject, compared as a whole.
    run("kyverno-signature.yaml", "acme", [SIGNED, &[]]),
    // Both must pass. There, `twice` refuses (its fork's SBOM is a statement of the type that fails), and `hollow`
    // passes (nobody looks into the predicate); both are reported.
    run("kyverno-signature-and-sbom.yaml", "acme", [BOTH, &[]]),
    // `*` crosses `/`: every workflow and branch of every repository of acme, not mallory.
    run("kyverno-wildcard.yaml", "acme", [SIGNED, &["branch", "prefix"]]),
    // Unanchored: `github.com/acme/app` is the beginning of `acme/app-evil` too (I01).
    run("kyverno-unanchored.yaml", "acme", [SIGNED, &["branch", "prefix"]]),
    run("kyverno-anchored.yaml", "acme", [SIGNED, &[]]),
    // One of the release workflow and the fork.
    run("kyverno-one-of-two.yaml", "acme", [SIGNED, &["fork"]]),
    // Two of release, fork and nobody.
    run("kyverno-two-of-three.yaml", "acme", [&["twice"], &[]]),
    // Two of release, fork and anything of acme/app: there the release workflow counts twice.
    run("kyverno-counted-twice.yaml", "acme", [SIGNED, &[]]),
    // An SPDX statement by whomever. There `hollow` passes as well.
    run("kyverno-any-attester.yaml", "acme", [ATTESTED, &["fork", "branch", "prefix", "splitid"]]),
    // `un*` is exempt: no policy names `unsigned` then, and `unmatched: dangerous_allow` is what the source has. A tag of
    // `fork` is exempt there; that would exempt the repository here, and was left out.
    run("kyverno-skipped.yaml", "acme", [SIGNED, &["unsigned"]]),
    // A key is required beside: it cannot be said, so nothing is admitted. As an alternative it is left out.
    run("kyverno-key-required.yaml", "acme", [&[], &[]]),
    run("kyverno-key-alternative.yaml", "acme", [SIGNED, &[]]),
    // Any workflow of GitHub whose old extensions say a repository of acme, on main: `branch` is on another.
    run("kyverno-extensions.yaml", "acme", [SIGNED, &["prefix"]]),
    // Every review by the release workflow must say so: `customno` says no, `customboth` says both.
    run("kyverno-condition.yaml", "policy", [&["custom"], &[]]),
    // The same by a negation, and `No` is a boolean there. `by` is text, of which one of a list is wanted.
    run("kyverno-unreviewed.yaml", "policy", [&["custom"], &[]]),
    // Nobody says `approved`: without it the condition has no answer, whatever the other alternative is.
    run("kyverno-alternatives.yaml", "policy", [&[], &[]]),
    // Every creator is syft, and each of them is in the list, or not out of it. There, `twice` refuses.
    run("kyverno-made-by.yaml", "acme", [ATTESTED, &[]]),
    run("kyverno-not-made-by.yaml", "acme", [&[], &[]]),
    // No identity: nobody.
    run("kyverno-bundle.yaml", "acme", [&[], &[]]),
    run("kyverno-email.yaml", "policy", [&["person"], &[]]),
    // 4.2: the meaning is the CEL's.
    run("validating-signature.yaml", "acme", [SIGNED, &[]]),
    run("validating-statement.yaml", "acme", [ATTESTED, &[]]),
    run("validating-count.yaml", "acme", [&["twice"], &[]]),
    // One review is enough; of two, there, whichever is read first.
    run("validating-content.yaml", "policy", [&["custom", "customboth"], &[]]),
    // 4.3: identities are alternatives.
    run("sigstore-identities.yaml", "acme", [SIGNED, &["fork"]]),
    // Attestations only: the signature is not looked at, so `sbomonly` passes.
    run("sigstore-statement.yaml", "acme", [ATTESTED, &[]]),
    // A signature by release OR an SBOM by the fork, which cannot be said: both are asked, and there SIGNED and `fork`
    // pass too. Reported as stricter.
    run("sigstore-mixed.yaml", "acme", [&["twice", "splitid"], &[]]),
    // The policy over both authorities requires both.
    run("sigstore-both.yaml", "acme", [BOTH, &[]]),
    run("sigstore-pass.yaml", "acme", [EVERY, &[]]),
    run("sigstore-fail.yaml", "acme", [&[], &[]]),
    // 4.3: one statement that says so is enough.
    run("sigstore-content.yaml", "policy", [&["custom", "customboth"], &[]]),
];

/// The images of a set: what it is called here, and its reference.
fn images(set: &str) -> Vec<(String, String)> {
    let list = if set == "acme" { ("cases.json", "cases") } else { ("images.json", "images") };
    let text = std::fs::read(fixtures().join("..").join(set).join(list.0)).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let mut images = Vec::new();
    for case in document[list.1].as_array().unwrap() {
        let (repository, digest) = (case["repository"].as_str().unwrap(), case["digest"].as_str().unwrap());
        let mut name = repository.trim_start_matches("acme/").to_owned();
        if images.iter().any(|(other, _)| *other == name) {
            name.push_str(", now");
        }
        images.push((name, format!("registry.acme.test/{repository}@{digest}")));
    }
    images
}

/// Imports `file`, writes what was made of it beside a configuration over `set`, and answers what is admitted.
async fn admitted(file: &str, set: &str) -> BTreeSet<String> {
    let source = fixtures().join("../import/recorded").join(file);
    let options = Options { max_age: Some("3650d".into()), files: true, ..Options::default() };
    let imported =
        import(&source, &std::fs::read_to_string(&source).unwrap(), &options).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("imported.yaml", &imported.policies);
    imported.trust_roots.iter().for_each(|(name, root)| write(name, root));
    let recorded = fixtures().join("..").join(set).join("trusted_root.json");
    let unmatched = if imported.policies.contains("unmatched: dangerous_allow") { "dangerous_allow" } else { "deny" };
    // A trust root that an import names and cannot build is the operator's to give: the one recorded.
    let mut roots = format!("  default: {}\n", recorded.display());
    for setting in &imported.report.settings {
        let Some(name) = setting.write.strip_prefix("trust_roots: {").and_then(|rest| rest.split(':').next()) else { continue };
        let built = folder.path().join(format!("{name}.json"));
        let path = if built.exists() { built } else { recorded.clone() };
        roots.push_str(&format!("  {name}: {}\n", path.display()));
    }
    write(
        "pullgate.yaml",
        &format!(
            "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntrust_roots:\n{roots}store: {{path: store, max_size: 1GiB}}\nunmatched: {unmatched}\n\
         upstreams:\n  - host: registry.acme.test\n    layout: {}\npolicies: [imported.yaml]\n",
            fixtures().join("..").join(set).join("registry").display()
        ),
    );
    verified(folder.path(), &images(set)).await
}

async fn verified(folder: &Path, images: &[(String, String)]) -> BTreeSet<String> {
    let mut arguments = vec!["verify", "--config", "pullgate.yaml", "--output", "json"];
    arguments.extend(images.iter().map(|(_, reference)| reference.as_str()));
    let output = pullgate_in(folder, &arguments).await;
    assert!(matches!(code(&output), 0 | 1), "{}", stderr(&output));
    let report = json(&output);
    let outcomes = report["images"].as_array().unwrap();
    assert_eq!(outcomes.len(), images.len());
    let admitted = outcomes.iter().filter(|image| image["outcome"] == "admitted").map(|image| image["digest"].as_str().unwrap());
    let admitted: BTreeSet<&str> = admitted.collect();
    images
        .iter()
        .filter(|(_, image)| admitted.contains(image.rsplit('@').next().unwrap()))
        .map(|(name, _)| name.clone())
        .collect()
}

fn named(parts: [&[&str]; 2]) -> BTreeSet<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_policies_admit_what_they_meant_where_they_come_from() {
    let mut wrong = Vec::new();
    for Run { file, set, admits } in RUNS {
        let found = admitted(file, set).await;
        if found != named(admits) {
            wrong.push(format!("{file}: {:?} instead of {:?}", found, named(admits)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_trust_root_is_believed_and_no_other() {
    // The TrustRoot has the older log only, so that what is in the newer one proves nothing under it: `legacy`, and the
    // signature of `mixed`, are in the older.
    assert_eq!(admitted("sigstore-trust-root.yaml", "acme").await, named([&["legacy", "mixed"], &[]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_scope_of_a_policy_json_decides_alone() {
    // `acme` wants a person's signature; below it `vex` accepts anything and `boms` nothing. Both are signed by others.
    assert_eq!(admitted("containers-scopes.json", "policy").await, named([&["person", "vex"], &[]]));
}
