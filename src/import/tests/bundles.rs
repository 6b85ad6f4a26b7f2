//! In which form evidence counts, and what of it is anybody's.

use super::*;

#[test]
fn a_bundle_entry_counts_what_its_verifier_counts() {
    let bundle = |rest: &str| verify(&format!("          type: SigstoreBundle\n          {rest}\n"), "");
    let type_and = |rest: &str| format!("attestations: [{{type: https://acme.test/review/v1{rest}}}]");
    // A signature there is any bundle by its signer, and nothing else.
    assert_eq!(effects(&bundle(KEYLESS)), [(Kind::Changed, Effect::Other)]);
    // A bundle by another signer is set aside, there too.
    let made = bundle(&type_and(&format!(", {KEYLESS}")));
    assert!(made.report.exact && made.policies.contains("subject: https://s.test"), "{}", made.report.text());
    // Nobody is named, and a bundle's verifier wants somebody.
    let made = bundle(&type_and(""));
    assert!(made.policies.contains("# nobody: ") && !made.policies.contains("(?s:.*)"), "{}", made.policies);
    assert_eq!(effects(&made), [(Kind::Lost, Effect::Stricter), (Kind::Lost, Effect::Refuses)], "{}", made.report.text());
    // cosign's own form: any signer, and one that does not verify refuses.
    let made = verify(&format!("          {}\n", type_and("")), "");
    assert_eq!(effects(&made), [(Kind::Changed, Effect::Wider)], "{}", made.report.text());
}

#[test]
fn signatures_in_bundles_are_met_by_no_image_of_policy_controller() {
    let authority = |rest: &str| {
        text(&format!(
            "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: x}}\nspec:\n  images: [{{glob: 'ghcr.io/acme/**'}}]\n  \
             authorities: [{{{rest}keyless: {{url: https://fulcio.sigstore.dev, identities: [{{issuer: 'https://i.test', subject: 'https://s.test'}}]}}}}]\n"
        ))
    };
    assert_eq!(effects(&authority("signatureFormat: bundle, ")), [(Kind::Changed, Effect::Wider)]);
    assert!(authority("").report.exact && authority("signatureFormat: legacy, ").report.exact);
    let attested = "attestations: [{name: a, predicateType: https://acme.test/review/v1}], ";
    assert!(authority(&format!("signatureFormat: bundle, {attested}")).report.exact);
    // In which form evidence counts is told, whichever it is there.
    for (rest, told) in [
        (attested.to_owned(), "`signatureFormat: legacy` looks there at cosign's older form only"),
        (format!("signatureFormat: bundle, {attested}"), "`signatureFormat: bundle` looks there at bundles only"),
        ("signatureFormat: legacy, ".to_owned(), "`signatureFormat: legacy` looks there at cosign's older form only"),
    ] {
        let report = authority(&rest).report.text();
        assert!(report.contains(told) && report.matches(" looks there at ").count() == 1, "{rest}\n{report}");
    }
    assert!(!authority("signatureFormat: bundle, ").report.text().contains(" looks there at "));
}

#[test]
fn every_source_that_looks_at_one_form_of_evidence_alone_is_said_to() {
    let bundles = verify(&format!("          type: SigstoreBundle\n          {KEYLESS}\n"), "");
    let statement = "images.containers.all(i, verifyAttestationSignatures(i, attestations.scan, [attestors.a]) > 0)";
    let gh = ["--owner", "acme", "--bundle-from-oci"].map(str::to_owned);
    let (older, bundle) = ("looks there at cosign's older form only; here", "looks there at bundles only; here");
    for (imported, told) in [
        (example("kyverno/keyless-exact"), older),
        (bundles, bundle),
        (validating("", "", statement), "where an image has bundles, they alone are looked at there; here what is attested"),
        (validating("", "", ALL_SIGNED), "where an image has bundles, they alone are looked at there, and an attestation"),
        (example("containers/policy"), older),
        (example("containers/openshift"), older),
        (import_gh(&gh, &["ghcr.io/acme/*".into()], &Options::default()).unwrap(), bundle),
    ] {
        assert!(imported.report.text().contains(told), "{told}\n{}", imported.report.text());
    }
}

#[test]
fn a_nested_attestor_of_a_statement_is_anybody_there_and_of_a_bundle_nobody() {
    let identity = |subject: &str| {
        format!("{{keyless: {{issuer: 'https://i.test', subject: {subject}, rekor: {{url: 'https://rekor.sigstore.dev'}}}}}}")
    };
    let nested = |inner: &str| format!("{{attestor: {{entries: [{inner}]}}}}");
    let made = |kind: &str, count: usize, entries: &[String]| {
        let set = format!("{{count: {count}, entries: [{}]}}", entries.join(", "));
        let one = format!("{{type: https://acme.test/review/v1, attestors: [{set}]}}");
        verify(&format!("          type: {kind}\n          attestations: [{one}]\n"), "")
    };
    let told = |imported: &Imported| imported.report.text().matches("is not looked into there").count();
    // What is in it is asked here, however deep; it is told once.
    let deep = made("Cosign", 1, &[nested(&nested(&identity("a")))]);
    let effects_of = effects(&deep);
    assert!(effects_of.contains(&(Kind::Changed, Effect::Stricter)) && told(&deep) == 1, "{}", deep.report.text());
    assert!(deep.policies.contains("subject: a\n") && !deep.policies.contains("nobody"), "{}", deep.policies);
    // Of a bundle it is met by nobody there, so that only another alternative is left.
    let alone = made("SigstoreBundle", 1, &[nested(&identity("a"))]);
    assert!(alone.policies.contains("# nobody: ") && !alone.policies.contains("subject: a\n"), "{}", alone.policies);
    let beside = made("SigstoreBundle", 1, &[nested(&identity("a")), identity("b")]);
    assert!(beside.policies.contains("subject: b\n") && !beside.policies.contains("subject: a\n"), "{}", beside.policies);
    assert_eq!((told(&alone) > 0, told(&beside)), (true, 1), "{}", beside.report.text());
    // Of an image it is followed.
    let set = format!("[{{entries: [{}]}}]", nested(&identity("a")));
    let signature = verify(&format!("          attestors: {set}\n"), "");
    assert!(signature.report.exact && signature.policies.contains("subject: a\n"), "{}", signature.report.text());
}

#[test]
fn alternatives_to_a_bundle_s_statement_are_asked_by_themselves_there() {
    let made = |kind: &str, count: usize, conditions: &str| {
        let by = |subject: &str| format!("{{keyless: {{issuer: 'https://i.test', subject: {subject}}}}}");
        let set = format!("{{count: {count}, entries: [{}, {}]}}", by("a"), by("b"));
        let one = format!("{{type: https://acme.test/review/v1, attestors: [{set}], conditions: {conditions}}}");
        effects(&verify(&format!("          type: {kind}\n          attestations: [{one}]\n"), ""))
    };
    let reviewed = "[{all: [{key: '{{ a }}', operator: Equals, value: true}]}]";
    let stricter = (Kind::Changed, Effect::Stricter);
    assert!(made("SigstoreBundle", 1, reviewed).contains(&stricter));
    // Both must attest there too, or nothing is asked of what they say, or a statement by another refuses.
    assert!(!made("SigstoreBundle", 2, reviewed).contains(&stricter));
    assert!(!made("SigstoreBundle", 1, "[]").contains(&stricter));
    assert!(!made("Cosign", 1, reviewed).contains(&stricter));
}
