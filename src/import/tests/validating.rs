//! ImageValidatingPolicy's expressions, and what they use.

use super::*;

#[test]
fn expressions_are_known_however_they_are_spaced() {
    let plain = validating("", "", ALL_SIGNED).policies;
    assert!(plain.contains("subject: s\n") && !plain.contains("nobody"), "{plain}");
    for same in [
        "images.containers.map(image, verifyImageSignatures(image, [attestors.a])).all(e ,e > 0)",
        "images.containers.map(image,verifyImageSignatures(image,[attestors.a])).all(e, e>0)",
        "images.containers.map(image, verifyImageSignatures(image, [ attestors.a ])).all( e, e != 0 )",
        "images.containers.all(i, verifyImageSignatures(i, [attestors.a])>=1)",
    ] {
        let made = validating("", "", same);
        assert!(made.policies.contains("subject: s\n") && !made.policies.contains("nobody"), "{same}\n{}", made.policies);
        let told = "it is about containers there, and not about initContainers and ephemeralContainers";
        assert_eq!(made.report.text().matches(told).count(), 1, "{}", made.report.text());
    }
    assert!(!validating("", "", ALL_SIGNED).report.text().contains("it is about containers there"));
    for unlike in [
        "images.containers.all(i, verifyImageSignatures(i, [attestors.a]) != 1)",
        "images.containers.all(i, verifyImageSignatures(i, [attestors.a]))",
    ] {
        assert!(validating("", "", unlike).policies.contains("nobody"), "{unlike}");
    }
}

#[test]
fn what_no_validation_uses_asks_for_nothing() {
    let report = validating("", "      annotations: {a: b}\n", "true").report;
    assert!(
        !report.text().contains("annotations of a signature") && report.text().contains("no validation uses `attestors.a`"),
        "{}",
        report.text()
    );
    let report = validating("", "", ALL_SIGNED).report;
    let unused =
        ["`attestations.scan`", "`attestations.other`"].map(|name| format!("no validation uses {name}, so it asks for nothing"));
    assert!(unused.iter().all(|line| report.text().contains(line.as_str())), "{}", report.text());
    // By its whole name: `attestors.ab` is another.
    let report = validating("", "", &ALL_SIGNED.replace("attestors.a]", "attestors.ab]")).report;
    assert!(report.text().contains("no validation uses `attestors.a`"), "{}", report.text());
    let scanned = "images.containers.all(i, verifyAttestationSignatures(i, attestations.scan, [attestors.a]) > 0)";
    let made = validating("", "", scanned).policies;
    assert!(made.contains("predicate_type: https://cosign.sigstore.dev/attestation/vuln/v1"), "{made}");
}

#[test]
fn content_is_read_behind_its_verification_only() {
    let every = "(images.containers + images.initContainers + images.ephemeralContainers)";
    let verifies = |name: &str| format!("{every}.all(i, verifyAttestationSignatures(i, attestations.{name}, [attestors.a]) > 0)");
    let reads = |path: &str| format!("{every}.all(i, extractPayload(i, attestations.scan).predicate.{path} == 'x')");
    let made = |expressions: &[String]| validating("", "", &expressions.join("\"\n  - expression: \""));
    for (expressions, asked, refuses) in [
        (vec![verifies("scan"), reads("a"), reads("b")], 2, false),
        // Verified twice, of which one stands before it.
        (vec![verifies("scan"), reads("a"), verifies("scan")], 1, false),
        (vec![reads("a"), verifies("scan")], 1, true),
        (vec![reads("a"), verifies("scan"), reads("b")], 2, true),
        // Another that is verified has another payload.
        (vec![verifies("other"), reads("a"), verifies("scan")], 1, true),
    ] {
        let made = made(&expressions);
        let told = made.report.text().contains("before it is verified, which cannot be read there");
        let nobody = made.policies.contains("# nobody: content of an attestation before it is verified")
            || made.policies.contains("# nobody: an attestation that is no in-toto statement");
        assert_eq!((told, nobody, required(&made).len()), (refuses, refuses, asked), "{expressions:?}\n{}", made.policies);
        assert_eq!(effects(&made).contains(&(Kind::Lost, Effect::Refuses)), refuses, "{}", made.report.text());
    }
}
