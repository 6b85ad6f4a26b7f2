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
