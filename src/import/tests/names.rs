//! Which images are named: what others compare as text, and what here would be a pattern or another image.

use super::*;

fn scopes(scopes: &str) -> Imported {
    text(&format!(r#"{{"default": [{{"type": "reject"}}], "transports": {{"docker": {{{scopes}}}}}}}"#))
}

const OPEN: &str = r#"[{"type": "insecureAcceptAnything"}]"#;

#[test]
fn a_scope_that_looks_like_a_pattern_opens_nothing() {
    for scope in ["ghcr.io/acme/*", "ghcr.io/acme/ap?", "ghcr.io/{acme,apex}", "ghcr.io/", "*.io/acme"] {
        let alone = scopes(&format!(r#""{scope}": {OPEN}"#));
        assert!(alone.report.exact && alone.report.policies.is_empty(), "{scope}: {}", alone.policies);
        let below = scopes(&format!(r#""ghcr.io": [{{"type": "reject"}}], "{scope}": {OPEN}"#));
        assert_eq!(below.report.policies.len(), 1, "{}", below.policies);
        assert!(!below.policies.contains("exclude:"), "{}", below.policies);
    }
}

#[test]
fn a_scope_by_another_spelling_of_a_host_is_lost() {
    for (scope, above) in [
        ("index.docker.io/acme", "docker.io"),
        ("registry-1.docker.io/acme", "docker.io"),
        ("GHCR.IO/acme", "ghcr.io"),
        ("ghcr.io:443/acme", "ghcr.io"),
    ] {
        let made = scopes(&format!(r#""{above}": [{{"type": "reject"}}], "{scope}": {OPEN}"#));
        let lost: Vec<_> = made.report.findings.iter().filter(|one| one.kind == Kind::Lost).collect();
        assert!(matches!(lost.as_slice(), [one] if one.effect == Some(Effect::Stricter)), "{}", made.report.text());
        assert!(made.report.policies.len() == 1 && !made.policies.contains("exclude:"), "{}", made.policies);
        let made = scopes(&format!(r#""{scope}": [{{"type": "reject"}}]"#));
        assert!(made.report.findings.iter().any(|one| one.effect == Some(Effect::Wider)), "{}", made.report.text());
    }
}

/// What is made of a Kyverno entry about `names`, that skips `skipped`.
fn skipping(names: &str, skipped: &str) -> Imported {
    let by = "{keyless: {issuer: 'https://i.test', subject: 'https://s.test', rekor: {url: 'https://rekor.sigstore.dev'}}}";
    text(&format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  \
         - name: r\n    verifyImages:\n    - imageReferences: ['{names}']\n      skipImageReferences: [{skipped}]\n      \
         attestors: [{{entries: [{by}]}}]\n"
    ))
}

#[test]
fn an_exception_for_a_name_as_it_is_written_exempts_no_other_spelling() {
    for skipped in [
        "index.docker.io/acme/*",
        "registry-1.docker.io/*",
        "GHCR.IO/x/*",
        "ghcr.io:443/x/*",
        "registry.acme.test/{acme,x}/*",
        "registry.acme.test/[ax]*",
    ] {
        let made = skipping("*", &format!("'{skipped}'"));
        assert!(!made.policies.contains("exclude:"), "{skipped}: {}", made.policies);
        let lost = made.report.findings.iter().find(|one| one.kind == Kind::Lost).unwrap();
        assert_eq!(lost.effect, Some(Effect::Stricter), "{}", made.report.text());
        assert!(!made.report.findings.iter().any(|one| one.lint == Some(Lint::I20)), "{}", made.report.text());
    }
    // By whichever of its names it is pulled: there, by this one.
    for skipped in ["docker.io/acme/*", "docker.io/nginx*"] {
        let made = skipping("*", &format!("'{skipped}'"));
        assert!(made.policies.contains("exclude:"), "{}", made.policies);
        assert!(made.report.findings.iter().any(|one| one.effect == Some(Effect::Wider)), "{}", made.report.text());
    }
    assert!(skipping("*", "'ghcr.io/x/*'").report.exact);
}

#[test]
fn a_name_that_is_enforced_there_and_not_named_here_is_lost_to_the_wider() {
    let effect = |names: &str| {
        let made = skipping(names, "");
        made.report.findings.iter().find(|one| one.message.contains("could not be carried over:")).and_then(|one| one.effect)
    };
    for (names, wanted) in [
        ("ghcr.io/{{request.namespace}}/*", Some(Effect::Wider)),
        ("*.docker.io/acme/*", Some(Effect::Wider)),
        ("ghcr.io/acme/app??????", Some(Effect::Wider)),
        ("ghcr.io/*A*", Some(Effect::Wider)),
        ("ghcr.io/ACME/*", Some(Effect::Other)),
        ("ghcr.io/a[b]/*", Some(Effect::Other)),
        ("ghcr.io/acme/app", Some(Effect::Other)),
        ("*:5000/x*", None),
    ] {
        assert_eq!(effect(names), wanted, "{names}");
    }
    let made = skipping("GHCR.IO/acme/*", "");
    assert!(made.report.findings.iter().any(|one| one.effect == Some(Effect::Stricter)), "{}", made.report.text());
}

/// What is made of an ImageValidatingPolicy about `reference`.
fn validating(reference: &str) -> Imported {
    text(&format!(
        "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  matchImageReferences: \
         [{{{reference}}}]\n  attestors: [{{name: ci, cosign: {{keyless: {{identities: [{{issuer: 'https://i.test', subject: 's'}}]}}}}}}]\n  \
         validations:\n  - expression: images.containers.map(i, verifyImageSignatures(i, [attestors.ci])).all(e, e > 0)\n"
    ))
}

/// What it says of names.
fn of_names(imported: &Imported) -> Vec<(Kind, Option<Effect>, Option<Lint>)> {
    let about = imported.report.findings.iter().filter(|one| one.path.contains("matchImageReferences"));
    about.map(|one| (one.kind, one.effect, one.lint)).collect()
}

#[test]
fn an_image_validating_policy_names_images_as_pods_write_them() {
    let folded = (Kind::Changed, Some(Effect::Stricter), Some(Lint::I12));
    let tagged = (Kind::Changed, Some(Effect::Stricter), Some(Lint::I11));
    for (glob, lines, said) in [
        ("nginx*", &["docker.io/library/nginx*", "docker.io/nginx*/**", "nginx*.*/**"][..], &[folded][..]),
        ("acme*/**", &["docker.io/acme*/**/**"], &[folded]),
        ("acme/app", &["docker.io/acme/app"], &[tagged, folded]),
        ("ghcr.io/acme/app", &["ghcr.io/acme/app"], &[tagged]),
        ("ghcr.io/acme/*", &["ghcr.io/acme/**"], &[]),
        ("*", &["*/**"], &[]),
    ] {
        let made = validating(&format!("glob: '{glob}'"));
        for line in lines {
            assert!(made.policies.replace('\'', "").contains(&format!("  - {line}\n")), "{glob}: {line}\n{}", made.policies);
        }
        assert_eq!(of_names(&made), said, "{glob}: {}", made.report.text());
        assert!(!made.report.text().contains("matches no image of Docker Hub"), "{}", made.report.text());
    }
}

#[test]
fn an_image_validating_policy_names_a_registry_by_the_variable_it_has() {
    for (expression, images, said) in [
        ("image(ref).registry() == \"ghcr.io\"", Some("ghcr.io/**"), &[][..]),
        ("image(ref).registry() == \"index.docker.io\"", Some("docker.io/**"), &[]),
        ("image(ref).registry() == \"GHCR.IO\"", Some("ghcr.io/**"), &[(Kind::Changed, Some(Effect::Stricter), Some(Lint::I12))]),
        (
            "image(ref).registry() == \"docker.io\"",
            Some("docker.io/**"),
            &[(Kind::Changed, Some(Effect::Stricter), Some(Lint::I12))],
        ),
        ("image.registry() == \"ghcr.io\"", None, &[(Kind::Lost, Some(Effect::Wider), None)]),
        ("image(ref).registry() != \"ghcr.io\"", None, &[(Kind::Lost, Some(Effect::Wider), None)]),
        ("image(ref).registry() == \"*.io\"", None, &[(Kind::Lost, Some(Effect::Wider), None)]),
    ] {
        let made = validating(&format!("expression: '{expression}'"));
        assert_eq!(of_names(&made), said, "{expression}: {}", made.report.text());
        let found = made.policies.lines().find_map(|line| line.strip_prefix("  - ")).map(|line| line.trim_matches('\''));
        assert_eq!(found, images, "{expression}: {}", made.policies);
    }
}
