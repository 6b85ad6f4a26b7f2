//! Every example beside what is made of it, as text: policies and report. `PULLGATE_WRITE_EXPECTED=1` writes them anew.

mod bundles;
mod conditions;
mod elsewhere;
mod exact;
mod flags;
mod lints;
mod names;
mod reading;
mod roots;
mod validating;

use std::path::PathBuf;

use super::*;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import")
}

/// Imports an example by its name, such as `kyverno/keyless-exact`, with a place for files.
fn example(name: &str) -> Imported {
    let path = ["yaml", "json"].map(|kind| fixtures().join(format!("{name}.{kind}"))).into_iter().find(|path| path.exists());
    let path = path.unwrap_or_else(|| panic!("{name}"));
    let text = std::fs::read_to_string(&path).unwrap();
    let options = Options { files: Some(PathBuf::new()), ..Options::default() };
    let shown = PathBuf::from(path.file_name().unwrap());
    import(&shown, &text, &options).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

/// Imports `text`.
fn text(text: &str) -> Imported {
    import(Path::new("p.yaml"), text, &Options::default()).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// A Kyverno entry about `registry.acme.test/acme/*`: `rest` of it, and what else its rule has.
fn verify(rest: &str, rule: &str) -> Imported {
    text(&format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  validationFailureAction: Enforce\n  \
         rules:\n    - name: r\n{rule}      verifyImages:\n        - imageReferences: ['registry.acme.test/acme/*']\n{rest}"
    ))
}

/// An ImageValidatingPolicy: `spec` of it besides, what its attestor has besides an identity, and an expression.
fn validating(spec: &str, attestor: &str, expression: &str) -> Imported {
    let name = "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {name: p}";
    text(&format!(
        "{name}\nspec:\n{spec}  matchImageReferences: [{{glob: 'ghcr.io/acme/*'}}]\n  attestors:\n  - name: a\n    cosign:\n      \
         keyless: {{identities: [{{issuer: 'https://i.test', subject: 's'}}]}}\n{attestor}  \
         attestations: [{{name: scan, intoto: {{type: vuln}}}}, {{name: other, referrer: {{type: x}}}}]\n  \
         validations:\n  - expression: \"{expression}\"\n"
    ))
}

const ALL_SIGNED: &str = "(images.containers + images.initContainers + images.ephemeralContainers).map(i, verifyImageSignatures(i, [attestors.a])).all(e, e > 0)";

/// A Kyverno policy whose one attestation of `kind` must meet `condition`.
fn condition(kind: &str, condition: &str) -> Imported {
    conditions(kind, &format!("[{{all: [{condition}]}}]"), "")
}

fn conditions(kind: &str, conditions: &str, rule: &str) -> Imported {
    let by = "{keyless: {issuer: 'https://i.test', subject: 'https://s.test', rekor: {url: 'https://rekor.sigstore.dev'}}}";
    let one = format!("{{type: '{kind}', attestors: [{{entries: [{by}]}}], conditions: {conditions}}}");
    verify(&format!("          attestations: [{one}]\n"), rule)
}

/// What a report says in which direction, without its notes.
fn effects(imported: &Imported) -> Vec<(Kind, Effect)> {
    imported.report.findings.iter().filter_map(|one| Some((one.kind, one.effect?))).collect()
}

const KEYLESS: &str = "attestors: [{entries: [{keyless: {issuer: 'https://i.test', subject: 'https://s.test', rekor: {url: 'https://rekor.sigstore.dev'}}}]}]";

/// The expressions that were written.
fn required(imported: &Imported) -> Vec<String> {
    let node = documents(&imported.policies);
    let mut found = Vec::new();
    for document in &node {
        for one in Item::root(document).map().unwrap().list("attestations").unwrap() {
            let one = one.map().unwrap();
            let require = one.get("require").map(|item| item.list().unwrap_or_else(|_| vec![item])).unwrap_or_default();
            found.extend(require.iter().map(|item| item.text().unwrap().to_owned()));
        }
    }
    found
}

fn documents(text: &str) -> Vec<crate::yaml::Node> {
    source::documents(Path::new("made.yaml"), text).unwrap()
}

/// All examples.
fn examples() -> Vec<String> {
    let mut all = Vec::new();
    for system in ["containers", "kyverno", "sigstore", "validating"] {
        for entry in std::fs::read_dir(fixtures().join(system)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let source = path.extension().is_some_and(|kind| kind == "yaml" || kind == "json");
            if source && !name.ends_with(".imported.yaml") {
                all.push(format!("{system}/{}", path.file_stem().unwrap().to_str().unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn every_example_becomes_what_is_written_beside_it() {
    let write = std::env::var_os("PULLGATE_WRITE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    let all = examples();
    assert!(all.len() >= 30, "{}", all.len());
    for name in all {
        let imported = example(&name);
        for (kind, made) in [("imported.yaml", imported.policies), ("report.txt", imported.report.text())] {
            let path = fixtures().join(format!("{name}.{kind}"));
            if write {
                std::fs::write(&path, made).unwrap();
            } else if std::fs::read_to_string(&path).unwrap_or_default() != made {
                wrong.push(format!("{name}.{kind}:\n{made}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_required_part_that_cannot_be_said_refuses_and_an_alternative_is_left_out() {
    let made = example("kyverno/keys").policies;
    let [either, both, notary] = made.split("---\n").collect::<Vec<_>>().try_into().unwrap();
    assert!(either.contains("release.yml@refs/heads/main") && !either.contains("nobody:"), "{either}");
    for refusing in [both, notary] {
        assert!(refusing.contains(r"subject_regex: '[^\s\S]'") && refusing.contains("# nobody: "), "{refusing}");
    }
    let report = example("kyverno/keys").report;
    assert_eq!(report.findings.iter().filter(|finding| finding.effect == Some(Effect::Refuses)).count(), 3, "{}", report.text());
}

#[test]
fn a_field_nobody_knows_is_told_with_its_place() {
    let report = example("kyverno/requests").report;
    let unknown = report.findings.iter().find(|finding| finding.path.ends_with("frobnicate")).unwrap();
    assert_eq!((unknown.kind, unknown.line), (Kind::Lost, 31), "{unknown:?}");
    assert_eq!(unknown.path, "spec.rules[0].verifyImages[0].frobnicate");
}

#[test]
fn the_source_s_answer_for_images_nobody_names_is_written_out() {
    for (name, setting) in [
        ("kyverno/keyless-exact", "unmatched: dangerous_allow"),
        ("validating/count", "unmatched: dangerous_allow"),
        ("sigstore/keyless", "unmatched: deny"),
        ("containers/policy", "unmatched: deny"),
        ("containers/accept-by-default", "unmatched: dangerous_allow"),
    ] {
        let imported = example(name);
        let written: Vec<_> = imported.report.settings.iter().map(|setting| setting.write.as_str()).collect();
        assert!(written.contains(&setting), "{name}: {written:?}");
        assert!(imported.policies.contains(&format!("# pullgate.yaml: {setting} (")), "{name}");
    }
}

#[test]
fn every_statement_s_age_is_bounded_as_chosen_or_as_reported() {
    let chosen = |max_age: Option<&str>| {
        let text = std::fs::read_to_string(fixtures().join("kyverno/provenance.yaml")).unwrap();
        let options = Options { max_age: max_age.map(str::to_owned), ..Options::default() };
        import(Path::new("p.yaml"), &text, &options).unwrap()
    };
    let default = chosen(None);
    assert!(default.policies.contains("    match: all\n    max_age: 3650d\n"), "{}", default.policies);
    // A shorter one would let go sooner of a statement that refuses.
    assert_eq!(humantime::parse_duration(DEFAULT_MAX_AGE).unwrap(), *crate::policy::AGES.end());
    let given = chosen(Some("30d"));
    assert!(given.policies.contains("max_age: 30d"), "{}", given.policies);
    for (made, said) in
        [(default, "older than 3650d counts neither for the image nor against it (the longest"), (given, "(as chosen)")]
    {
        let told = |one: &&Finding| one.message.contains("however old it is there");
        let found: Vec<_> = made.report.findings.iter().filter(told).collect();
        assert!(!found.is_empty() && found.iter().all(|one| one.effect == Some(Effect::Other)), "{}", made.report.text());
        assert!(found.iter().all(|one| one.message.contains(said)), "{}", made.report.text());
    }
}
