//! The examples of `config/policies/conditions.md`: each is a policy, admits what it should and refuses what it should not.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};

use super::judge_parsed;
use crate::policy::{PolicySet, Reason, Unmatched, condition::tests::statement};

fn guide() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies/conditions.md")).unwrap()
}

/// The entries of `attestations` in the guide.
fn entries(guide: &str) -> Vec<String> {
    guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn policy(entry: &str) -> String {
    let entry = entry.replace('\n', "\n    ");
    format!(
        "name: p\nimages: [ghcr.io/acme/**]\nsignatures:\n  - keyless: {{issuer: i, subject: s}}\nattestations:\n  - {}\n",
        entry.trim_end()
    )
}

fn parsed(entry: &str) -> PolicySet {
    PolicySet::from_text(Path::new("p.yaml"), &policy(entry), Unmatched::Deny)
        .unwrap_or_else(|problems| panic!("{entry}\n{problems}"))
}

/// For each example, in its order: a predicate that holds, and what is changed to one that does not, by JSON pointer.
fn cases() -> Vec<(Json, Vec<(&'static str, Json)>)> {
    let spdx = |packages: Json| json!({"spdxVersion": "SPDX-2.3", "creationInfo": {"creators": ["Tool: syft-1.2.3"]}, "packages": packages});
    let component = json!({"type": "library", "purl": "pkg:npm/a@1"});
    vec![
        (
            json!({
                "runDetails": {"builder": {"id": "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"}},
                "buildDefinition": {
                    "externalParameters": {"workflow": {"repository": "https://github.com/acme/app"}},
                    "internalParameters": {"github": {"event_name": "push"}},
                },
            }),
            vec![
                ("/runDetails/builder/id", json!("https://github.com/acme/app/.github/workflows/test.yml@refs/tags/v1")),
                ("/buildDefinition/externalParameters/workflow/repository", json!("https://github.com/mallory/app")),
                ("/buildDefinition/internalParameters/github/event_name", json!("pull_request")),
                ("/buildDefinition/internalParameters", json!({})),
            ],
        ),
        (
            json!({
                "builder": {"id": "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/x.yml@refs/tags/v2.0.0"},
                "invocation": {"configSource": {"uri": "git+https://github.com/acme/app@refs/tags/v1"}},
            }),
            vec![
                (
                    "/builder/id",
                    json!("https://githubxcom/slsa-framework/slsa-github-generator/.github/workflows/x.yml@refs/tags/v2.0.0"),
                ),
                ("/builder/id", json!("https://github.com/slsa-framework/slsa-github-generator/x.yml@refs/tags/v2.0.0@x")),
                ("/invocation/configSource/uri", json!("git+https://github.com/acme/app-evil@refs/tags/v1")),
                // Among the materials there is also what was only read.
                (
                    "/invocation",
                    json!({"configSource": {}, "materials": [{"uri": "git+https://github.com/acme/app@refs/tags/v1"}]}),
                ),
            ],
        ),
        (
            spdx(json!([{"name": "openssl", "supplier": "Organization: Debian"}])),
            vec![
                ("/packages/0/name", json!("evil-package")),
                ("/packages/0/supplier", json!("NOASSERTION")),
                ("/packages", json!([{"name": "a"}])),
                ("/creationInfo/creators", json!(["Tool: other-1"])),
                (
                    "/packages",
                    json!([{"name": "a", "supplier": "S", "externalRefs": [{"referenceLocator": "pkg:npm/event-stream@3.3.6"}]}]),
                ),
            ],
        ),
        (
            json!({"bomFormat": "CycloneDX", "components": vec![component.clone(); 10]}),
            vec![("/components", json!(vec![component; 9])), ("/components/3", json!({"type": "library"}))],
        ),
        (
            json!({
                "scanner": {"result": {"matches": [
                    {"vulnerability": {"severity": "Critical", "fix": {"state": "not-fixed"}}}, {"vulnerability": {"severity": "Low"}},
                ]}},
                "metadata": {"scanFinishedOn": "2026-02-28T12:00:00Z"},
            }),
            vec![
                ("/scanner/result/matches/0/vulnerability/fix/state", json!("fixed")),
                ("/metadata/scanFinishedOn", json!("2026-02-27T12:00:00Z")),
                ("/metadata/scanFinishedOn", json!("yesterday")),
            ],
        ),
        (
            json!({"statements": [{"status": "not_affected"}, {"status": "fixed"}]}),
            vec![("/statements/1/status", json!("under_investigation")), ("/statements/1", json!({}))],
        ),
        (
            json!({"approvers": ["a@acme.example", "b@acme.example"], "digest": crate::oci::Digest::sha256(b"image").to_string()}),
            vec![
                ("/approvers/1", json!("b@acme.example.mallory.test")),
                ("/approvers", json!(["a@acme.example"])),
                ("/digest", json!("sha256:00")),
            ],
        ),
    ]
}

#[test]
fn every_example_of_the_guide_admits_what_it_should_and_nothing_else() {
    let entries = entries(&guide());
    let cases = cases();
    assert_eq!(entries.len(), cases.len());
    for (entry, (good, changes)) in entries.iter().zip(cases) {
        let set = parsed(entry);
        let rule = &set.policies()[0].attestations[0];
        let judge =
            |predicate: &Json| judge_parsed(&rule.condition, &statement(&rule.predicate_type.to_string(), predicate.to_string()));
        judge(&good).unwrap_or_else(|failure| panic!("{entry}: {failure:?}"));
        for (pointer, value) in changes {
            let mut wrong = good.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let failure = judge(&wrong).err().unwrap_or_else(|| panic!("{entry}: {pointer} is not refused"));
            assert!(matches!(failure.reason, Reason::ConditionFalse | Reason::ConditionError), "{failure:?}");
        }
    }
}

#[test]
fn the_guide_names_every_function_and_bound() {
    let guide = guide();
    for function in crate::policy::condition::functions::Function::ALL {
        assert!(guide.contains(&format!("{}(", function.name())), "{}", function.name());
    }
    let grouped = |number: u64| {
        let digits = number.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    };
    assert!(guide.contains(&format!("more than {} steps", grouped(crate::policy::condition::meter::MAX_STEPS))));
    assert!(guide.contains("4096 bytes, 500 parts and 40 levels") && guide.contains("2,097,152 values"));
    for reason in [Reason::ConditionBudget, Reason::ConditionError, Reason::ConditionFalse, Reason::ConditionTooLarge] {
        assert!(guide.contains(&format!("`{}`", reason.as_str())));
    }
}

#[test]
fn require_is_an_expression_or_a_list_and_every_wrong_one_is_told_at_once() {
    let entry = |require: &str| format!("predicate_type: https://acme.test/x\nrequire: {require}\n");
    let problems = |require: &str| {
        PolicySet::from_text(Path::new("p.yaml"), &policy(&entry(require)), Unmatched::Deny).map(|_| ()).unwrap_err().to_string()
    };
    for (require, messages) in [
        ("[]", &["attestations[0].require: an empty list asks for nothing; leave `require` out"][..]),
        ("{a: b}", &["wants an expression in CEL"]),
        ("\n  - predicate.a == 'b: c'", &["quote one that has `: ` or ` #` in it"]),
        ("[[predicate.a == 1]]", &["attestations[0].require[0]: wants an expression in CEL"]),
        ("''", &["attestations[0].require: ``"]),
        ("true", &["it says the same of every image"]),
        (
            "[predicate.a == 1, predicat.a == 1, predicate.b]\nmax_agee: 1d",
            &["p.yaml:7:33: attestations[0].require[1]: `predicat.a == 1`, column 1: unknown name `predicat`", "max_agee"],
        ),
        (&format!("[{}]", vec!["predicate.a"; 33].join(", ")), &["wants at most 32 expressions, found 33"]),
    ] {
        let found = problems(require);
        for message in messages {
            assert!(found.contains(message), "{require}\n  wanted: {message}\n  found:  {found}");
        }
    }
    parsed(&entry(&format!("[{}]", vec!["predicate.a"; 32].join(", "))));
    parsed(&entry("|\n  predicate.a == 1 &&\n    predicate.b == 2"));
    parsed(&entry(">-\n  predicate.a == 1 &&\n  predicate.b == 2"));
}

#[test]
fn c9_every_expression_is_part_of_the_fingerprint() {
    let image = crate::oci::ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let id = |require: &str| parsed(&format!("predicate_type: https://acme.test/x\n{require}\n")).select(&image).id;
    let ids = [
        "",
        "require: predicate.a == 1",
        "require: predicate.a == 2",
        "require: [predicate.a == 1, predicate.b == 1]",
        "require: [predicate.b == 1, predicate.a == 1]",
        "require: predicate.a == 1 && predicate.b == 1",
    ]
    .map(id);
    for (i, a) in ids.iter().enumerate() {
        assert!(ids[..i].iter().all(|b| a != b), "{i}");
    }
}

/// What `externalParameters` hold is the build type's own affair: what GitHub's workflows write says nothing of others.
#[test]
fn a_condition_on_another_build_types_parameters_is_no_error() {
    let text = "predicate.buildDefinition.externalParameters.workflow.startsWith('https://x')";
    let document = json!({"buildDefinition": {"externalParameters": {"workflow": "https://x/y"}}}).to_string();
    super::judge(&[text], "https://slsa.dev/provenance/v1", document).unwrap();
    let wrong = "predicate.buildDefinition.externalParameters.startsWith('x')";
    assert!(super::parse(wrong, "https://slsa.dev/provenance/v1").is_err(), "they are a map in all of them");
}
