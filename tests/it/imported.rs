//! Policies of other systems, imported and then *run* over the recorded images by `pullgate verify`. Which images each
//! admits was derived by hand from what the source system's documentation says its policy means, not from the output.
//!
//! Of the twenty (`acme`), by their own descriptions:
//! - SIGNED by the release workflow: app legacy multi docker mixed scanned twice nosbom splitid cyclonedx hollow moved
//! - ATTESTED, an SPDX document by the release workflow: app legacy multi docker mixed scanned twice sbomonly moved
//! - by the fork, both: twice fork; only attested by the fork: splitid
//! - `branch` is `acme/app` on another branch, `prefix` is `acme/app-evil`; both signed and attested
//! - unsigned, copied, swapped and what `moved` was moved to have nothing that verifies
//!
//! Of the thirty-eight (`policy`): RELEASED have an SPDX document by the release workflow of `acme/app`. Of the others, gitlab
//! and person were attested by what their names say, reusable and borrowed by a workflow of `shared/ci` (called by `acme/app`
//! and by mallory), bomcyclonedx, eachplatform and oneplatform have no SPDX document themselves, nopackages has one of nothing

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use pullgate::import::{Imported, Options, import, import_gh};
use serde_json::Value;

use crate::{
    command::{code, json, pullgate_in, stderr},
    support::layout::fixtures,
};

const SIGNED: &[&str] =
    &["app", "legacy", "multi", "docker", "mixed", "scanned", "twice", "nosbom", "splitid", "cyclonedx", "hollow", "moved"];
const ATTESTED: &[&str] = &["app", "legacy", "multi", "docker", "mixed", "scanned", "twice", "sbomonly", "moved"];
const BOTH: &[&str] = &["app", "legacy", "multi", "docker", "mixed", "scanned", "twice", "moved"];
/// As `tests/fixtures/policy/answers.json` has them, of its policy `release`.
const RELEASED: &[&str] = &[
    "again",
    "agpl",
    "badpackage",
    "boms",
    "both",
    "custom",
    "customboth",
    "customno",
    "foreign",
    "grypeclean",
    "grypehigh",
    "grypeunfixed",
    "indexonly",
    "olderattest",
    "rescanned",
    "slsa02",
    "slsa1",
    "slsastranger",
    "spdx22",
    "spdx23",
    "spdx3",
    "spdxtext",
    "spdxuri",
    "three",
    "trivyclean",
    "trivyhigh",
    "vex",
    "worsened",
];
const NOT_FORK: &[&str] = &[
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
const RUNS: &[Run] = &[
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
    // No attestors: of cosign's form anybody, of a bundle nobody.
    run("kyverno-bundle-anybody.yaml", "acme", [&[], &[]]),
    // The rule's action is that of its other entry.
    run("kyverno-one-enforces.yaml", "acme", [SIGNED, &[]]),
    // Nothing is asked, and what is not verified is refused.
    run("kyverno-catch-all.yaml", "acme", [&[], &[]]),
    run("validating-catch-all.yaml", "acme", [&[], &[]]),
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
    run("sigstore-pass.yaml", "acme", [NOT_FORK, &["fork"]]),
    run("sigstore-fail.yaml", "acme", [&[], &[]]),
    // 4.3: one statement that says so is enough.
    run("sigstore-content.yaml", "policy", [&["custom", "customboth"], &[]]),
    // `packages` is a list, of which `!="x"` is no answer in CUE.
    run("sigstore-unequal.yaml", "acme", [&[], &[]]),
    // Another Sigstore's keys, in a TrustRoot called `default`: it is not ours of that name, under which these were signed.
    run("sigstore-root-default.yaml", "acme", [&[], &[]]),
    // 4.4: the most specific scope decides alone, and what is asked in it must all hold.
    run("containers-closed.json", "acme", [&["fork", "unsigned"], &[]]),
    run("containers-open.json", "acme", [NOT_FORK, &[]]),
    // What looks like a pattern is compared as it is written.
    run("containers-inert.json", "acme", [&[], &[]]),
    run("containers-two.json", "policy", [&["person"], &[]]),
    run("openshift-cluster.yaml", "policy", [&["person"], &[]]),
    // `person` is what the namespace's nested policy wants and not what the cluster's does: the nested one is ignored there.
    run("openshift-nested.yaml", "policy", [&[], &[]]),
];

/// Flags of `gh attestation verify` behind `--predicate-type https://spdx.dev/Document`: an attestation by whomever they name.
const GH_RUNS: [Run; 6] = [
    run("--owner acme", "acme", [ATTESTED, &["branch", "prefix"]]),
    run("--repo acme/app", "acme", [ATTESTED, &["branch"]]),
    run("--owner acme --signer-workflow acme/app/.github/workflows/release.yml", "acme", [ATTESTED, &["branch"]]),
    // `reusable` was called by the owner, and another's workflow signed: without a flag for it, gh refuses that.
    run("--owner acme", "policy", [RELEASED, &["selfhosted", "pullrequest"]]),
    run("--owner acme --deny-self-hosted-runners", "policy", [RELEASED, &["pullrequest"]]),
    run("--owner acme --signer-repo shared/ci", "policy", [&["reusable"], &[]]),
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

fn options() -> Options {
    Options { max_age: Some("3650d".into()), files: Some(PathBuf::new()), ..Options::default() }
}

/// Imports `file` and answers what is admitted of `set`.
async fn admitted(file: &str, set: &str) -> BTreeSet<String> {
    let source = fixtures().join("../import/recorded").join(file);
    let text = std::fs::read_to_string(&source).unwrap();
    let imported = import(&source, &text, &options()).unwrap_or_else(|error| panic!("{file}: {error}"));
    admitted_by(&imported, set).await
}

/// Writes what was imported beside a configuration over `set`, and answers what is admitted.
async fn admitted_by(imported: &Imported, set: &str) -> BTreeSet<String> {
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
    for &Run { file, set, admits } in RUNS {
        let found = admitted(file, set).await;
        if found != named(admits) {
            wrong.push(format!("{file}: {:?} instead of {:?}", found, named(admits)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_flags_admit_what_gh_would() {
    let mut wrong = Vec::new();
    for Run { file: flags, set, admits } in GH_RUNS {
        let arguments = format!("{flags} --predicate-type https://spdx.dev/Document");
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        let imported = import_gh(&arguments, &["registry.acme.test/acme/*".into()], &options()).unwrap();
        let found = admitted_by(&imported, set).await;
        if found != named(admits) {
            wrong.push(format!("{flags}, {set}: {:?} instead of {:?}", found, named(admits)));
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
