//! Ages, and which of several statements must meet the conditions.

use super::*;

const NOW: &str = "2026-11-24T12:00:00Z";
const OLD: &str = "2026-11-01T00:00:00Z";
const NEW: &str = "2026-11-20T00:00:00Z";

fn entry(lines: &str) -> String {
    format!("{STRICT}attestations: [{{predicate_type: {}, {lines}}}]\n", spdx::TYPE)
}

fn sbom(when: &str, good: bool) -> Verified {
    made(attestation(MAIN, spdx::TYPE, if good { SPDX } else { "{}" }), &[when])
}

fn with_signature(statements: &[Verified]) -> Vec<Verified> {
    [&[signature(MAIN)], statements].concat()
}

fn outcome(lines: &str, statements: &[Verified]) -> Result<Held, Reason> {
    judge_at(&entry(lines), &with_signature(statements), NOW).map_err(|unmet| unmet.reason)
}

#[test]
fn i13_a_signature_is_as_old_as_the_earliest_of_its_times() {
    let text = format!("{STRICT}max_signature_age: 30d\ndangerous_no_attestation: true\n");
    let young = made(signature(MAIN), &[OLD]);
    let held = judge_at(&text, std::slice::from_ref(&young), NOW).unwrap();
    assert_eq!(held.valid_until, Some(time("2026-12-01T00:00:00Z")));
    assert!(judge_at(&text, std::slice::from_ref(&young), "2026-11-30T23:59:59Z").is_ok());
    let unmet = judge_at(&text, std::slice::from_ref(&young), "2026-12-01T00:00:00Z").unwrap_err();
    assert_eq!(unmet.reason, Reason::SignatureTooOld);
    assert!(unmet.summary.ends_with(", at most 30d old; found one made 2026-11-01T00:00:00Z"), "{}", unmet.summary);
    assert!(unmet.details.iter().any(|line| line.ends_with(": older than 30d")), "{unmet:?}");
    // A new timestamp over an old signature makes it no younger.
    let stamped = made(signature(MAIN), &[NEW, "2026-01-01T00:00:00Z"]);
    assert_eq!(judge_at(&text, &[stamped], NOW).unwrap_err().reason, Reason::SignatureTooOld);
    // One without a time is of no known age.
    assert_eq!(judge_at(&text, &[made(signature(MAIN), &[])], NOW).unwrap_err().reason, Reason::SignatureTooOld);
    // Of two signatures the younger counts, and until its own end.
    let younger = made(signature(MAIN), &[NEW]);
    let held = judge_at(&text, &[young, younger], NOW).unwrap();
    assert_eq!(held.valid_until, Some(time("2026-12-20T00:00:00Z")));
}

#[test]
fn an_attester_counts_for_as_long_as_the_signature_that_made_it_one() {
    let text = format!(
        "name: acme\nimages: [\"ghcr.io/acme/**\"]\nmax_signature_age: 30d\nsignatures: [{{any_of: \
         [{{keyless: {{issuer: {ISSUER}, subject: {MAIN:?}}}}}, {{keyless: {{issuer: {ISSUER}, subject: {BRANCH:?}}}}}]}}]\n"
    );
    let facts = [made(signature(MAIN), &[OLD]), made(signature(BRANCH), &[NEW]), spdx_by(MAIN)];
    let held = judge_at(&text, &facts, NOW).unwrap();
    assert_eq!(held.valid_until, Some(time("2026-12-01T00:00:00Z")));
    assert_eq!(judge_at(&text, &facts, "2026-12-02T00:00:00Z").unwrap_err().reason, Reason::AttestationIdentityMismatch);
}

#[test]
fn any_is_met_by_one_good_statement_whatever_the_others_say() {
    assert!(outcome("match: any", &[sbom(NEW, false), sbom(OLD, true)]).is_ok());
    assert!(outcome("match: any", &[sbom(OLD, false), sbom(NEW, true)]).is_ok());
    assert_eq!(outcome("match: any", &[sbom(OLD, false)]), Err(Reason::AttestationMalformed));
}

#[test]
fn the_newest_speaks_alone_and_of_equally_new_ones_every_one() {
    let newest = "match: newest, max_age: 30d";
    assert_eq!(outcome(newest, &[sbom(NEW, false), sbom(OLD, true)]), Err(Reason::AttestationMalformed));
    assert!(outcome(newest, &[sbom(OLD, false), sbom(NEW, true)]).is_ok());
    assert_eq!(outcome(newest, &[sbom(NEW, true), sbom(NEW, false)]), Err(Reason::AttestationMalformed));
    // It is as new as the earliest of its times: a later timestamp does not bring an old one to the front.
    let stamped = made(sbom(OLD, true), &[OLD, "2026-11-23T00:00:00Z"]);
    assert_eq!(outcome(newest, &[sbom(NEW, false), stamped]), Err(Reason::AttestationMalformed));
    // Others' statements are not looked at, nor those of another type.
    let others = [
        made(attestation(FORK, spdx::TYPE, "{}"), &["2026-11-22T00:00:00Z"]),
        made(attestation(MAIN, "https://cyclonedx.org/bom", "{}"), &["2026-11-22T00:00:00Z"]),
    ];
    assert!(outcome(newest, &[&others[..], &[sbom(NEW, true)]].concat()).is_ok());
}

/// For whoever knows of one that was not seen when it was made.
#[test]
fn from_the_newest_on_one_more_would_be_among_those_that_speak_and_of_others_whenever_it_was_made() {
    let from = |lines: &str| {
        let held = outcome(lines, &[sbom(OLD, true), sbom(NEW, true)]).unwrap();
        held.weighed.into_values().collect::<Vec<_>>()
    };
    assert_eq!(from("match: newest, max_age: 30d"), [Some(time(NEW))]);
    assert_eq!((from("match: all, max_age: 30d"), from("match: any")), (vec![None], vec![None]));
}

#[test]
fn all_wants_every_statement_of_the_named_and_one_at_least() {
    let all = "match: all, max_age: 30d";
    assert!(outcome(all, &[sbom(NEW, true), sbom(OLD, true)]).is_ok());
    assert_eq!(outcome(all, &[sbom(NEW, true), sbom(OLD, false)]), Err(Reason::AttestationMalformed));
    assert_eq!(outcome(all, &[]), Err(Reason::AttestationMissing));
    let other = made(attestation(FORK, spdx::TYPE, "{}"), &[NEW]);
    assert!(outcome(all, &[other, sbom(NEW, true)]).is_ok());
    // What is too old is not among them.
    assert!(outcome(all, &[sbom(NEW, true), sbom("2026-01-01T00:00:00Z", false)]).is_ok());
}

#[test]
fn a_statement_may_be_too_old_for_every_quantifier() {
    for quantifier in ["any", "all", "newest"] {
        let lines = format!("match: {quantifier}, max_age: 20d");
        assert_eq!(outcome(&lines, &[sbom(OLD, true)]), Err(Reason::AttestationTooOld), "{quantifier}");
        let held = outcome(&lines, &[sbom(OLD, true), sbom(NEW, true)]).unwrap();
        assert_eq!(held.valid_until, Some(time("2026-12-10T00:00:00Z")), "{quantifier}");
    }
}

#[test]
fn where_several_must_attest_the_newest_of_each_entry_speaks() {
    let entry = format!(
        "match: newest, max_age: 30d, count: 2, of: [{{keyless: {{issuer: {ISSUER}, subject: {MAIN:?}}}}}, \
         {{keyless: {{issuer: {ISSUER}, subject: {FORK:?}}}}}]"
    );
    let by_fork = |when: &str, good: bool| made(attestation(FORK, spdx::TYPE, if good { SPDX } else { "{}" }), &[when]);
    assert!(outcome(&entry, &[sbom(NEW, true), by_fork(OLD, true)]).is_ok());
    assert!(outcome(&entry, &[sbom(NEW, true), by_fork(OLD, true), by_fork(NEW, false)]).is_err());
    assert!(outcome(&entry, &[sbom(NEW, true), by_fork(OLD, false), by_fork(NEW, true)]).is_ok());
    // Either of two is one place: the newest of both speaks.
    let either = entry.replace("count: 2, of:", "any_of:");
    assert!(outcome(&either, &[sbom(OLD, true), by_fork(NEW, false)]).is_err());
}

#[test]
fn the_newest_of_alternatives_speaks_also_where_one_of_them_is_a_group() {
    let keyless = |subject: &str| format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}}}}}");
    let group = format!("{{all_of: [{}, {}]}}", keyless(FORK), keyless(BRANCH));
    let any_of = |entries: &str| format!("match: newest, max_age: 30d, any_of: [{entries}]");
    let by = |who: &str, when: &str, good: bool| made(attestation(who, spdx::TYPE, if good { SPDX } else { "{}" }), &[when]);
    let entries = [any_of(&format!("{}, {group}", keyless(MAIN))), any_of(&format!("{group}, {}", keyless(MAIN)))];
    for entry in [&entries[0].replace("any_of:", "count: 1, of:"), &entries[0], &entries[1]] {
        // What the group says is old and good; the newest is neither.
        let outcome = |statements: &[Verified]| outcome(entry, statements);
        let group = [by(FORK, OLD, true), by(BRANCH, OLD, true)];
        assert!(outcome(&group).is_ok());
        assert_eq!(outcome(&[&group[..], &[by(MAIN, NEW, false)]].concat()), Err(Reason::AttestationMalformed));
        assert!(outcome(&[&group[..], &[by(MAIN, NEW, true)]].concat()).is_ok());
        // The newest by one of the group, whether or not the others are there.
        let main = by(MAIN, OLD, true);
        assert_eq!(outcome(&[main.clone(), by(FORK, NEW, false)]), Err(Reason::AttestationMalformed));
        assert!(outcome(&[main.clone(), by(FORK, NEW, true)]).is_ok());
        assert!(outcome(&[main, by(FORK, NEW, true), by(BRANCH, NEW, true)]).is_ok());
        assert_eq!(outcome(&[]), Err(Reason::AttestationMissing));
        let unmet = judge(&self::entry(entry), &with_signature(&[])).unwrap_err();
        assert_eq!(unmet.summary, "wants an attestation of type https://spdx.dev/Document; found none");
        assert!(outcome(&[by(FORK, NEW, true)]).is_err());
    }
    // No alternative is met: what the group still lacks is told.
    assert_eq!(outcome(&entries[0], &[by(FORK, NEW, true)]), Err(Reason::AttestationIdentityMismatch));
    // Beside them its signer may serve an entry of his own.
    for other in [keyless(FORK), format!("{{keyless: {{issuer: {ISSUER}, subject_pattern: 'https://github.com/**'}}}}")] {
        let alternatives = format!("{{any_of: [{}, {group}]}}", keyless(MAIN));
        let entry = format!("match: newest, max_age: 30d, count: 2, of: [{alternatives}, {other}]");
        assert!(outcome(&entry, &[by(MAIN, OLD, true), by(FORK, NEW, true)]).is_ok(), "{other}");
        assert!(outcome(&entry, &[by(MAIN, OLD, true), by(FORK, NEW, false)]).is_err(), "{other}");
        assert!(outcome(&entry, &[by(FORK, OLD, true), by(FORK, NEW, true)]).is_err(), "one signer is one, {other}");
    }
    // In alternatives within alternatives, too.
    let inner = format!("{{any_of: [{}, {group}]}}", keyless(MAIN));
    let entry = any_of(&format!("{{all_of: [{inner}, {}]}}, {}", keyless(MAIN), keyless("https://acme.test/other")));
    let facts = [by(MAIN, OLD, true), by(FORK, NEW, false)];
    assert_eq!(outcome(&entry, &facts), Err(Reason::AttestationMalformed));
}

#[test]
fn where_all_must_be_good_the_one_that_is_not_is_told() {
    let entry = format!(
        "match: all, max_age: 30d, count: 1, of: [{{all_of: [{{keyless: {{issuer: {ISSUER}, subject: {MAIN:?}}}}}, \
         {{keyless: {{issuer: {ISSUER}, subject: {FORK:?}}}}}]}}]"
    );
    let by_fork = made(attestation(FORK, spdx::TYPE, SPDX), &[NEW]);
    assert!(outcome(&entry, &[sbom(NEW, true), by_fork.clone()]).is_ok());
    assert_eq!(outcome(&entry, &[sbom(NEW, true), by_fork, sbom(OLD, false)]), Err(Reason::AttestationMalformed));
}

#[test]
fn of_scans_the_newest_speaks_unless_the_entry_says_otherwise() {
    let scan = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let text = |lines: &str| format!("{STRICT}attestations: [{{predicate_type: {scan}{lines}}}]\n");
    let by = |when: &str, predicate: &str| made(attestation(MAIN, scan, predicate), &[when]);
    let facts = with_signature(&[by(OLD, include_str!("../documents/testdata/grype-vuln.json")), by(NEW, "null")]);
    assert!(judge_at(&text(", max_age: 30d"), &facts, NOW).is_err());
    assert!(judge_at(&text(", match: any"), &facts, NOW).is_ok());
    // Bounded by the scan's own age it needs no other bound; by neither it is refused as a file.
    assert!(judge_at(&text(", vulnerabilities: {scan_max_age: 30d}"), &facts, NOW).is_err());
    for unbounded in ["", ", vulnerabilities: {max_severity: low}"] {
        let mut problems = Vec::new();
        parse(Path::new("p.yaml"), &text(unbounded), &mut problems);
        assert_eq!(problems[0].key, "attestations[0].max_age", "{unbounded}");
    }
}

#[test]
fn of_equally_new_scans_the_one_that_is_too_old_first_ends_the_answer() {
    let scan = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let text = format!("{STRICT}attestations: [{{predicate_type: {scan}, vulnerabilities: {{scan_max_age: 30d}}}}]\n");
    let ended = |day: &str| {
        let predicate = include_str!("../documents/testdata/grype-vuln.json").replace("2026-11-22T00:00:10Z", day);
        made(attestation(MAIN, scan, &predicate), &[NEW])
    };
    for days in [["2026-11-10T00:00:00Z", "2026-11-20T00:00:00Z"], ["2026-11-20T00:00:00Z", "2026-11-10T00:00:00Z"]] {
        let facts = with_signature(&days.map(ended));
        let held = judge_at(&text, &facts, NOW).unwrap();
        assert_eq!(held.valid_until, Some(time("2026-12-10T00:00:00Z")));
        assert_eq!(judge_at(&text, &facts, "2026-12-10T00:00:00Z").unwrap_err().reason, Reason::ScanTooOld);
    }
}

#[test]
fn one_statement_must_meet_all_of_an_entry() {
    // The right type by another, and a hollow one by the right signer, are no SBOM together (I5).
    let facts = with_signature(&[attestation(FORK, spdx::TYPE, SPDX), sbom(NEW, false)]);
    assert_eq!(judge_at(&entry("match: any"), &facts, NOW).unwrap_err().reason, Reason::AttestationMalformed);
}

/// Else a release made with stolen keys would wait for nothing where a policy asks for attestations only.
#[test]
fn without_signatures_a_cooldown_is_counted_from_the_attestations_that_were_needed() {
    let scan = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let keyless = |subject: &str| format!("keyless: {{issuer: {ISSUER}, subject: {subject:?}}}");
    let spdx_entry = |more: &str| format!("{{predicate_type: {}, {}{more}}}", spdx::TYPE, keyless(MAIN));
    let scan_entry = |more: &str| format!("{{predicate_type: {scan}, {}, {more}}}", keyless(MAIN));
    let text = |entries: &[String]| {
        format!(
            "name: acme\nimages: [\"ghcr.io/acme/**\"]\ndangerous_no_signature: true\ncooldown: 90d\nattestations: [{}]\n",
            entries.join(", ")
        )
    };
    let since = |text: &str, facts: &[Verified]| judge_at(text, facts, NOW).unwrap().signed_at;
    let scanned = |when: &str| made(attestation(MAIN, scan, include_str!("../documents/testdata/grype-vuln.json")), &[when]);
    let only = text(&[spdx_entry("")]);
    assert_eq!(since(&only, &[sbom(OLD, true)]), Some(time(OLD)));
    // Who attests again makes nothing younger; what does not count makes nothing older.
    assert_eq!(since(&only, &[sbom(NEW, true), sbom(OLD, true)]), Some(time(OLD)));
    assert_eq!(since(&only, &[sbom(NEW, true), sbom(OLD, false)]), Some(time(NEW)));
    let by_fork = made(attestation(FORK, spdx::TYPE, SPDX), &[OLD]);
    assert_eq!(since(&only, &[sbom(NEW, true), by_fork]), Some(time(NEW)));
    // Of several entries the last; what is attested anew each day only where there is nothing else.
    for more in [
        "max_age: 30d",
        "match: any, max_age: 30d",
        "vulnerabilities: {scan_max_age: 3650d}",
        "match: any, vulnerabilities: {scan_max_age: 3650d}",
    ] {
        let both = text(&[scan_entry(more), spdx_entry("")]);
        assert_eq!(since(&both, &[scanned(NEW), sbom(OLD, true)]), Some(time(OLD)), "{more}");
        assert_eq!(since(&text(&[scan_entry(more)]), &[scanned(NEW)]), Some(time(NEW)), "{more}");
    }
    for more in ["match: any", "match: any, vulnerabilities: {max_severity: critical}"] {
        let both = text(&[scan_entry(more), spdx_entry("")]);
        assert_eq!(since(&both, &[scanned(NEW), sbom(OLD, true)]), Some(time(NEW)), "{more}");
    }
    // Of platforms the last, too.
    let each = set(&text(&[spdx_entry(", sbom_on: each_platform")]));
    let platform = |name: &str, when: &str| PlatformFacts {
        digest: Digest::sha256(name.as_bytes()),
        platform: name.into(),
        facts: vec![sbom(when, true)],
    };
    let platforms = [platform("linux/amd64", OLD), platform("linux/arm64", NEW), platform("linux/s390x", OLD)];
    let held = ask_with(&each.policies[0], &[], Some(&platforms), time(NOW)).unwrap();
    assert_eq!(held.signed_at, Some(time(NEW)));
    // With signatures they alone count, and nobody asks where nothing cools.
    let signed = format!("{STRICT}cooldown: 90d\n");
    assert_eq!(since(&signed, &with_signature(&[sbom(NEW, true)])), Some(jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(since(&only.replace("cooldown: 90d\n", ""), &[sbom(NEW, true)]), None);
}

#[test]
fn an_exception_answers_for_evidence_until_it_ends() {
    let digest = Digest::sha256(b"image");
    let text = format!(
        "{STRICT}exceptions:\n  - {{digest: \"{digest}\", reason: JIRA-1, expires: 2026-11-24}}\n  - {{dangerous_repository: \
         ghcr.io/acme/app, reason: JIRA-2, expires: 2026-11-24T18:00:00Z}}\n  - {{dangerous_repository: ghcr.io/acme/other, reason: \
         JIRA-3, expires: 2027-01-01}}\n"
    );
    let held = judge_at(&text, &[], NOW).unwrap();
    let midnight = time("2026-11-25T00:00:00Z");
    assert_eq!(
        (held.valid_until, held.exception),
        (
            Some(midnight),
            Some(ExceptionUse { policy: "acme".into(), what: ExceptionFor::Digest, reason: "JIRA-1".into(), expires: midnight })
        )
    );
    assert!(held.signed.is_empty() && held.signed_at.is_none());
    let unmet = judge_at(&text, &[], "2026-11-25T00:00:00Z").unwrap_err();
    assert_eq!(unmet.reason, Reason::SignatureMissing);
    assert!(unmet.details.iter().filter(|line| line.starts_with("the exception for it ended at")).count() == 2, "{unmet:?}");
    // Having ended, they do nothing; what the policy asks for is enough again.
    let held = judge_at(&text, &[signature(MAIN), spdx_by(MAIN)], "2026-11-25T00:00:00Z").unwrap();
    assert_eq!((held.valid_until, held.exception), (None, None));
    assert_eq!(set(&text).policies[0].weaknesses_at(jiff::Timestamp::UNIX_EPOCH).len(), 2);
}

/// The sentence is cut in its middle, and what became of the condition is not what it may lose.
#[test]
fn what_a_condition_took_too_much_of_is_in_the_sentence() {
    let kind = "https://acme.test/review";
    let grows = "predicate.a.map(a, predicate.text + 'x').filter(t, t.startsWith('a rather long text to look for')).size() == 0";
    let text = format!("{STRICT}attestations: [{{predicate_type: {kind}, require: \"{grows}\"}}]\n");
    let review = format!(r#"{{"a": {:?}, "text": "{}"}}"#, [0; 20], "x".repeat(1 << 20));
    let (reason, sentence) = refusal(&text, &with_signature(&[attestation(MAIN, kind, &review)]));
    assert_eq!(reason, Reason::ConditionBudget);
    let wants = "attestation https://acme.test/review: wants a condition that makes at most 16777216 bytes of lists and texts";
    assert!(sentence.starts_with(wants) && sentence.contains(" and predicate.text is \"xxx"), "{sentence}");
}
