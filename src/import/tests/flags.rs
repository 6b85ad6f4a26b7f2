//! The flags of `gh attestation verify`.

use super::*;

fn gh(arguments: &str, images: &[&str]) -> Result<Imported, String> {
    let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
    let images: Vec<_> = images.iter().map(|image| (*image).to_owned()).collect();
    import_gh(&arguments, &images, &Options::default())
}

#[test]
fn flags_become_the_attestation_they_ask_for() {
    let imported = gh("gh attestation verify oci://ghcr.io/acme/app:v1 --repo acme/app --deny-self-hosted-runners", &[]).unwrap();
    let made = imported.policies;
    for line in [
        "name: gh/acme/app",
        "images:\n  - ghcr.io/acme/app\n",
        "dangerous_no_signature: true",
        "predicate_type: https://slsa.dev/provenance/v1",
        "issuer: https://token.actions.githubusercontent.com",
        r"subject_regex: '(?i:https://github\.com/acme/app/)(?s:.*)'",
        "runner_environment: github-hosted",
        "source_repository_owner_uri: https://github.com/acme",
        "source_repository_uri: https://github.com/acme/app",
        "match: any",
    ] {
        assert!(made.contains(line), "{line}\n{made}");
    }
    assert!(!imported.report.exact && imported.report.findings.iter().any(|finding| finding.lint == Some(Lint::I09)));
}

#[test]
fn signers_are_said_as_gh_matches_them() {
    let subject = |flags: &str| {
        let imported = gh(&format!("--owner acme {flags}"), &["ghcr.io/acme/**"]).unwrap();
        let line = imported.policies.lines().find(|line| line.trim_start().starts_with("subject")).unwrap().trim().to_owned();
        (line, imported.report.findings.iter().filter_map(|finding| finding.lint).collect::<Vec<_>>())
    };
    let workflow = "acme/app/.github/workflows/release.yml";
    for (flags, line, lints) in [
        ("--cert-identity https://a/b".to_owned(), "subject: https://a/b".to_owned(), &[Lint::I09][..]),
        (
            format!("--signer-workflow {workflow}"),
            r"subject_regex: 'https://github\.com/acme/app/\.github/workflows/release\.yml@(?s:.+)'".into(),
            &[Lint::I01, Lint::I09],
        ),
        (
            format!("--signer-workflow acme.ghe.com/{workflow}@refs/tags/v"),
            r"subject_regex: 'https://acme\.ghe\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v(?s:.*)'".into(),
            &[Lint::I01, Lint::I09],
        ),
        // No flag: gh wants a workflow of the owner's own.
        (String::new(), r"subject_regex: '(?i:https://github\.com/acme/)(?s:.*)'".into(), &[Lint::I09]),
        (
            "--signer-repo acme/ci".into(),
            "subject_regex: '(?:.*)(?:(?i)^https://github.com/acme/ci/)(?:.*)'".into(),
            &[Lint::I01, Lint::I02, Lint::I09],
        ),
        (r"-i ^https://github\.com/acme/.*$".into(), r"subject_regex: '^https://github\.com/acme/.*$'".into(), &[Lint::I09]),
    ] {
        assert_eq!(subject(&flags), (line, lints.to_vec()), "{flags}");
    }
}

#[test]
fn another_trust_root_is_named_and_never_the_default() {
    for (flags, name) in [
        ("--owner acme --hostname acme.ghe.com", "github"),
        ("--owner acme --no-public-good", "github"),
        ("--owner acme --custom-trusted-root roots.jsonl", "gh"),
    ] {
        let imported = gh(flags, &["ghcr.io/acme/**"]).unwrap();
        assert!(imported.policies.contains(&format!("trust_root: {name}")), "{flags}: {}", imported.policies);
    }
    let tenant = gh("--owner acme --hostname acme.ghe.com", &["ghcr.io/acme/**"]).unwrap().policies;
    assert!(
        tenant.contains("issuer: https://token.actions.acme.ghe.com") && tenant.contains("https://acme.ghe.com/acme"),
        "{tenant}"
    );
}

#[test]
fn flags_that_cannot_be_meant_are_told() {
    for (flags, images, why) in [
        ("oci://ghcr.io/acme/app", &[][..], "--owner or --repo"),
        ("--owner acme", &[], "says nothing of images"),
        ("--owner acme --repo acme/app oci://ghcr.io/a/b", &[], "exclude each other"),
        ("--owner acme --signer-repo a/b --cert-identity c oci://ghcr.io/a/b", &[], "exclude each other"),
        ("--owner acme artifact.zip", &[], "is a file"),
        ("--owner acme --frobnicate oci://ghcr.io/a/b", &[], "no flag"),
        ("--owner", &[], "wants a value"),
        ("--repo acme oci://ghcr.io/a/b", &[], "OWNER/REPO"),
        ("--owner acme", &["acme/**"], "begins with no host"),
        ("--owner acme --predicate-type spdx", &["ghcr.io/acme/**"], "short name"),
        ("--owner acme --cert-identity-regex (", &["ghcr.io/acme/**"], "no regular expression"),
        ("--owner acme --hostname evil.test", &["ghcr.io/acme/**"], "only github.com"),
    ] {
        let error = gh(flags, images).unwrap_err();
        assert!(error.contains(why), "{flags}: {error}");
    }
}

#[test]
fn flags_are_spelt_as_gh_takes_them() {
    for flags in ["-R acme/app", "-Racme/app", "-R=acme/app", "--repo=acme/app"] {
        let made = gh(&format!("oci://ghcr.io/acme/app {flags} --format json --jq .[] -t x"), &[]).unwrap().policies;
        assert!(made.contains("source_repository_uri: https://github.com/acme/app\n"), "{flags}\n{made}");
    }
    assert!(gh("oci://ghcr.io/acme/app -R acme/app -z", &[]).unwrap_err().contains("`-z` is no flag"));
    assert!(gh("oci://ghcr.io/acme/app -R acme/app -zx", &[]).unwrap_err().contains("`-zx` is no flag"));
}

#[test]
fn no_public_good_is_told_beside_a_root_of_ones_own() {
    let told = |more: &str| {
        let report = gh(&format!("oci://ghcr.io/acme/app -R acme/app --custom-trusted-root x.jsonl {more}"), &[]).unwrap().report;
        report.findings.iter().any(|one| one.path == "--no-public-good" && one.effect == Some(Effect::Wider))
    };
    assert!(told("--no-public-good") && !told(""));
}
