//! Evidence that is looked for in one other place only.

use super::*;

/// A ClusterImagePolicy about `glob` with `authorities`.
fn controller_of(glob: &str, authorities: &str) -> String {
    format!(
        "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: x}}\nspec:\n  images: [{{glob: '{glob}'}}]\n  \
         authorities: [{authorities}]\n"
    )
}

/// A ClusterImagePolicy with `authorities`.
fn controller(authorities: &str) -> Imported {
    text(&controller_of("ghcr.io/acme/**", authorities))
}

/// An authority of `subject`, and what it has besides.
fn authority(subject: &str, rest: &str) -> String {
    format!(
        "{{keyless: {{url: https://fulcio.sigstore.dev, identities: [{{issuer: 'https://i.test', subject: {subject}}}]}}{rest}}}"
    )
}

fn is_nobody_s(imported: &Imported) -> bool {
    let nobody = imported.policies.contains("evidence in another place is not looked for");
    assert_eq!(nobody, effects(imported).contains(&(Kind::Lost, Effect::Refuses)), "{}", imported.report.text());
    nobody
}

#[test]
fn what_lies_beside_the_image_is_not_what_another_place_has() {
    let attested = ", attestations: [{name: a, predicateType: https://acme.test/review/v1}]";
    let (oci, tags) = (", source: [{oci: ghcr.io/acme/approved}]", ", source: [{tagPrefix: approved}]");
    for (rest, nobody) in [
        (oci.to_owned(), true),
        (tags.to_owned(), true),
        (format!("{attested}{oci}"), true),
        (", source: [{oci: ghcr.io/acme/approved}, {signaturePullSecrets: [{name: s}]}]".to_owned(), true),
        (", source: [{signaturePullSecrets: [{name: s}]}]".to_owned(), false),
        (", source: [{oci: '', tagPrefix: ''}]".to_owned(), false),
    ] {
        let made = controller(&authority("https://s.test", &rest));
        assert_eq!(is_nobody_s(&made), nobody, "{rest}\n{}", made.policies);
        assert_eq!(made.policies.contains("subject: https://s.test"), !nobody, "{rest}\n{}", made.policies);
    }
    // As an alternative it is left out, and the other one is asked.
    let either = controller(&[authority("https://s.test", oci), authority("https://t.test", "")].join(", "));
    assert!(!is_nobody_s(&either) && !either.policies.contains("https://s.test"), "{}", either.policies);
    assert!(either.policies.contains("subject: https://t.test") && !either.report.exact, "{}", either.policies);

    for (source, nobody) in [
        ("{repository: ghcr.io/acme/approved}", true),
        ("{tagPrefix: approved}", true),
        ("{PullSecrets: [{name: s}]}", false),
        ("{}", false),
    ] {
        let made = validating("", &format!("      source: {source}\n"), ALL_SIGNED);
        assert_eq!(is_nobody_s(&made), nobody, "{source}\n{}", made.policies);
    }
}

#[test]
fn a_repository_of_kyverno_s_is_another_place_but_of_a_bundle() {
    let place = "repository: ghcr.io/acme/approved";
    let of_entry = format!("          {place}\n          {KEYLESS}\n");
    let of_attestor = format!("          {}\n", KEYLESS.replace("{keyless:", &format!("{{{place}, keyless:")));
    let of_statement =
        of_attestor.replace("attestors:", "attestations: [{type: https://acme.test/review/v1, attestors:") + "          }]\n";
    for asked in [&of_entry, &of_attestor, &of_statement] {
        let made = verify(asked, "");
        assert!(is_nobody_s(&made), "{asked}\n{}", made.policies);
        let made = verify(&format!("          type: SigstoreBundle\n{asked}"), "");
        assert!(!is_nobody_s(&made) && made.policies.contains("subject: https://s.test"), "{asked}\n{}", made.policies);
        assert!(made.report.text().contains("`repository` is not evaluated for a SigstoreBundle"), "{}", made.report.text());
    }
    // Nothing is asked, so nothing is looked for there.
    let made = verify(&format!("          {place}\n          required: false\n"), "");
    assert!(made.report.exact && made.policies.contains("dangerous_no_signature: true"), "{}", made.policies);
}

#[test]
fn the_repository_that_all_images_are_in_is_no_other_place() {
    let told = |made: &Imported| made.report.text().contains("the image's own repository");
    let images = |images: &str, repository: &str| {
        let kyverno =
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  validationFailureAction: Enforce\n";
        let entry = format!("{{imageReferences: [{images}], repository: {repository}, {KEYLESS}}}");
        text(&format!("{kyverno}  rules: [{{name: r, verifyImages: [{entry}]}}]\n"))
    };
    for (names, repository) in [
        ("'ghcr.io/acme/app:*'", "ghcr.io/acme/app"),
        ("'ghcr.io/acme/app:*', 'GHCR.io/acme/app@*'", "ghcr.io/acme/app"),
        ("'docker.io/acme/app:*'", "index.docker.io/acme/app"),
    ] {
        let made = images(names, repository);
        assert!(!is_nobody_s(&made) && told(&made), "{names}\n{}", made.report.text());
        assert!(made.policies.contains("subject: https://s.test"), "{names}\n{}", made.policies);
    }
    for (names, repository) in [
        ("'ghcr.io/acme/app:*', 'ghcr.io/acme/api:*'", "ghcr.io/acme/app"),
        ("'ghcr.io/acme/app*'", "ghcr.io/acme/app"),
        // The images' pattern has that name, and no repository.
        ("'ghcr.io/acme/*'", "'ghcr.io/acme/*'"),
    ] {
        let made = images(names, repository);
        assert!(is_nobody_s(&made) && !told(&made), "{names}\n{}", made.report.text());
    }

    let source = ", source: [{oci: ghcr.io/acme/app}]";
    let own = controller_of("ghcr.io/acme/app:*", &authority("https://s.test", source));
    let made = text(&own);
    assert!(!is_nobody_s(&made) && told(&made) && made.policies.contains("subject: https://s.test"), "{}", made.report.text());
    // Under other tags it is another place, and what the policy before is about is not asked.
    let tags = ", source: [{oci: ghcr.io/acme/app, tagPrefix: approved}]";
    assert!(is_nobody_s(&text(&controller_of("ghcr.io/acme/app:*", &authority("https://s.test", tags)))));
    let wider = controller_of("ghcr.io/acme/**", &authority("https://t.test", source));
    let both = text(&format!("{own}---\n{wider}"));
    assert!(is_nobody_s(&both) && !both.policies.contains("https://t.test"), "{}", both.policies);
}

#[test]
fn what_is_settled_without_looking_looks_in_no_other_place() {
    let made = controller("{static: {action: pass}, source: [{oci: ghcr.io/acme/approved}]}");
    assert!(made.report.exact && made.policies.contains("dangerous_no_signature: true"), "{}", made.report.text());
}
