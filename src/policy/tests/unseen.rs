//! What a policy asks for, and which statement would count that nobody has seen: for the gate, when some could not be read.

use super::{super::case::About, *};

const NOW: &str = "2026-11-24T12:00:00Z";
const OLD: &str = "2026-11-01T00:00:00Z";
const NEW: &str = "2026-11-20T00:00:00Z";
const CYCLONEDX: &str = "https://cyclonedx.org/bom";

fn entry(lines: &str) -> String {
    format!("{STRICT}attestations: [{{predicate_type: {}{lines}}}]\n", spdx::TYPE)
}

/// Whether one more would count, logged then, about the image and about a platform: where the policy holds on two SBOMs.
fn might_count(text: &str, predicate_type: &str, logged_at: Option<&str>) -> (bool, bool) {
    let sboms = [OLD, NEW].map(|when| made(spdx_by(MAIN), &[when]));
    let facts = [&[signature(MAIN)], &sboms[..]].concat();
    of_which(text, &judge_at(text, &facts, NOW).unwrap(), predicate_type, logged_at)
}

/// The same where it holds on nothing but an exception.
fn might_count_excepted(text: &str, predicate_type: &str, logged_at: Option<&str>) -> (bool, bool) {
    let held = judge_at(text, &[], NOW).unwrap();
    assert!(held.exception.is_some());
    of_which(text, &held, predicate_type, logged_at)
}

fn of_which(text: &str, held: &Held, predicate_type: &str, logged_at: Option<&str>) -> (bool, bool) {
    let policy = &set(text).policies[0];
    let counts = |about| policy.might_count(held, about, predicate_type, logged_at.map(time), time(NOW));
    (counts(About::Image), counts(About::Platform))
}

#[test]
fn of_the_newest_one_more_counts_that_is_no_older_than_them() {
    let newest = entry(", match: newest, max_age: 30d");
    for (logged_at, counts) in [
        (Some(NEW), true),
        (Some("2026-11-19T23:59:59Z"), false),
        (Some("2026-11-24T11:59:59Z"), true),
        // Nobody knows when: it might be the newest.
        (None, true),
    ] {
        assert_eq!(might_count(&newest, spdx::TYPE, logged_at), (counts, false), "{logged_at:?}");
        assert_eq!(might_count(&newest, CYCLONEDX, logged_at), (false, false), "{logged_at:?}");
    }
}

#[test]
fn of_all_one_more_counts_until_it_is_too_old() {
    let all = entry(", match: all, max_age: 30d");
    for (logged_at, counts) in [
        (Some("2026-10-25T12:00:01Z"), true),
        (Some("2026-10-25T12:00:00Z"), false),
        (Some("2026-01-01T00:00:00Z"), false),
        (None, true),
    ] {
        assert_eq!(might_count(&all, spdx::TYPE, logged_at), (counts, false), "{logged_at:?}");
    }
}

#[test]
fn of_any_one_more_changes_nothing() {
    assert_eq!(might_count(&entry(""), spdx::TYPE, None), (false, false));
    // One entry that weighs them is enough.
    let both = format!(
        "{STRICT}attestations: [{{predicate_type: {0}}}, {{predicate_type: {0}, match: all, max_age: 30d}}]\n",
        spdx::TYPE
    );
    assert_eq!(might_count(&both, spdx::TYPE, None), (true, false));
}

#[test]
fn under_an_exception_one_more_counts_wherever_the_policy_would_look_and_however_old_it_is() {
    let subject = Digest::sha256(b"image");
    let excepted = |lines: &str| {
        let exception = format!("exceptions: [{{digest: \"{subject}\", reason: JIRA-1, expires: 2026-12-01}}]\n");
        entry(lines) + &exception
    };
    for logged_at in [None, Some("2020-01-01T00:00:00Z")] {
        let aged = excepted(", max_age: 30d");
        assert_eq!(might_count_excepted(&aged, spdx::TYPE, logged_at), (true, false));
        assert_eq!(might_count_excepted(&aged, CYCLONEDX, logged_at), (false, false));
        for sbom_on in ["each_platform", "either"] {
            let platforms = excepted(&format!(", sbom_on: {sbom_on}"));
            assert_eq!(might_count_excepted(&platforms, spdx::TYPE, logged_at), (true, true), "{sbom_on}");
        }
    }
}

#[test]
fn a_policy_asks_for_evidence_if_it_asks_for_a_signature_or_an_attestation() {
    let signature_only = format!("{STRICT}dangerous_no_attestation: true\n");
    let keyless = format!("{{keyless: {{issuer: {ISSUER}, subject: {MAIN:?}}}}}");
    let unsigned = "name: acme\nimages: [\"ghcr.io/acme/**\"]\ndangerous_no_signature: true\n";
    let attestation_only = format!("{unsigned}attestations: [{{predicate_type: {}, any_of: [{keyless}]}}]\n", spdx::TYPE);
    let neither = format!("{unsigned}dangerous_no_attestation: true\n");
    for (text, asks) in [(STRICT, true), (&signature_only, true), (&attestation_only, true), (&neither, false)] {
        assert_eq!(set(text).policies[0].asks_for_evidence(), asks, "{text}");
    }
}
