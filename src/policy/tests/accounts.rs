//! Which piece met each requirement, and why those that came near did not.

use super::{
    super::requirement::{Account, Failure, On, Part, Requirement, Weighed},
    *,
};

const NOW: &str = "2026-11-24T12:00:00Z";
const OLD: &str = "2026-11-01T00:00:00Z";
const NEW: &str = "2026-11-20T00:00:00Z";
const CYCLONEDX: &str = "https://cyclonedx.org/bom";
const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const SLSA: &str = "https://slsa.dev/provenance/v1";

/// Why the policy says what it says about an image; each piece is called by its place among `facts`.
fn account(text: &str, facts: &[Verified], platforms: Option<&[PlatformFacts]>) -> Account<String> {
    let policy = &set(text).policies[0];
    let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let subject = Digest::sha256(b"image");
    let case = Case { image: &image, subject: &subject, facts, platforms, denied: &DeniedPackages::default(), now: time(NOW) };
    let account = policy.account(&case);
    let said = policy.judge(&case);
    assert_eq!(account.requirements.iter().all(|requirement| requirement.met), said.is_ok(), "{account:#?}");
    let call = |fact: &Verified| {
        let at = |facts: &[Verified]| facts.iter().position(|other| std::ptr::eq(other, fact));
        let platform = platforms.into_iter().flatten().find_map(|on| Some(format!("{}/{}", on.platform, at(&on.facts)?)));
        at(facts).map(|at| at.to_string()).or(platform).unwrap()
    };
    account.map(&call)
}

/// An entry of a policy with these attestations, about the image itself.
fn on(attestation: &str, facts: &[Verified]) -> On<String> {
    let text = format!("{STRICT}attestations: [{{{attestation}}}]\n");
    let facts = [&[made(signature(MAIN), &[NEW])], facts].concat();
    let mut account = account(&text, &facts, None);
    let Requirement { entry, on, .. } = account.requirements.remove(1);
    assert_eq!((entry.as_str(), on.len()), ("attestations[0]", 1));
    on.into_iter().next().unwrap()
}

fn by(subject: &str, kind: &str, predicate: &str) -> Verified {
    made(attestation(subject, kind, predicate), &[NEW])
}

fn counting(on: &On<String>) -> Vec<&str> {
    on.evidence.iter().filter(|weighed| weighed.counts).map(|weighed| weighed.piece.as_str()).collect()
}

fn failing(on: &On<String>) -> Vec<(&str, Part)> {
    on.evidence.iter().filter_map(|weighed| Some((weighed.piece.as_str(), weighed.failed.as_ref()?.part))).collect()
}

/// Why the only piece that does not count does not: the part, what was wanted, what was found.
fn failure(on: &On<String>) -> (Part, Option<&str>, Option<&str>) {
    let mut failures = on.evidence.iter().filter_map(|weighed| weighed.failed.as_ref());
    let Failure { part, wanted, found, .. } = failures.next().unwrap();
    assert_eq!(failures.next(), None);
    (*part, wanted.as_deref(), found.as_deref())
}

#[test]
fn what_met_a_requirement_is_named_and_nothing_else() {
    let facts = [signature(FORK), signature(MAIN), spdx_by(FORK), spdx_by(MAIN), attestation(MAIN, CYCLONEDX, "{}")];
    let account = account(STRICT, &facts, None);
    let [signed, attested] = &account.requirements[..] else { panic!("{account:?}") };
    assert_eq!(signed.wants, format!("a signature by {MAIN} of issuer {ISSUER}"));
    assert_eq!(attested.wants, "an attestation https://spdx.dev/Document by a signer of the image");
    for (requirement, piece) in [(signed, "1"), (attested, "3")] {
        let evidence = vec![Weighed { piece: piece.to_owned(), counts: true, failed: None }];
        let (reason, summary) = (None, None);
        let digest = Digest::sha256(b"image");
        let on = On { digest, platform: None, met: true, reason, summary, evidence, left_out: 0 };
        assert_eq!((requirement.met, &requirement.on), (true, &vec![on]), "{}", requirement.entry);
    }
}

#[test]
fn a_signature_that_is_not_wanted_is_told_with_what_was_wanted_of_it() {
    let claimed = |name: &'static str, value: &str| {
        let mut fact = signature(MAIN);
        fact.signer.claims.insert("source_repository_owner_uri", "https://github.com/acme".into());
        fact.signer.claims.insert(name, value.into());
        fact
    };
    let with = |change: &dyn Fn(&mut Verified)| {
        let mut fact = claimed("runner_environment", "github-hosted");
        change(&mut fact);
        fact
    };
    let logged = format!("{CLAIMS}log: proof\nmax_signature_age: 30d\n");
    let subject = "https://github.com/acme/*/.github/workflows/*@refs/heads/main";
    for (fact, part, wanted, found) in [
        (with(&|fact| fact.signer.subject = FORK.into()), Part::Subject, subject, Some(FORK)),
        (with(&|fact| fact.signer.issuer = "https://evil.test".into()), Part::Issuer, ISSUER, Some("https://evil.test")),
        (with(&|fact| fact.signer.trust_root = "github".into()), Part::TrustRoot, "default", Some("github")),
        (claimed("runner_environment", "self-hosted"), Part::Claim, "github-hosted", Some("self-hosted")),
        (claimed("build_trigger", "push"), Part::Claim, "github-hosted", None),
        (with(&|_| {}), Part::Log, "an inclusion proof", Some("a promise (SET) only")),
        (
            with(&|fact| (fact.log, fact.times) = (LogEvidence::Proof, vec![time("2026-10-01T00:00:00Z")])),
            Part::Age,
            "at most 30d old",
            Some("made 2026-10-01T00:00:00Z"),
        ),
        (spdx_by(MAIN), Part::Type, "a signature of the image", Some("an attestation https://spdx.dev/Document")),
        (fact(signer(MAIN), Proven::File), Part::Type, "a signature of the image", Some("a signature of its bytes as a file")),
    ] {
        let account = account(&logged, std::slice::from_ref(&fact), None);
        let on = &account.requirements[0].on[0];
        assert_eq!(failure(on), (part, Some(wanted), found));
        let failed = on.evidence[0].failed.as_ref().unwrap();
        assert_eq!(failed.claim, (part == Part::Claim).then_some("runner_environment"));
        assert!(failed.why.contains("wants") && !on.met && on.reason.is_some(), "{on:?}");
    }
}

#[test]
fn an_attestation_that_is_not_wanted_is_told_with_the_values_of_its_condition() {
    let condition = r#"predicate_type: https://spdx.dev/Document, require: 'predicate.name == "b"'"#;
    let unmet = on(condition, &[by(MAIN, spdx::TYPE, SPDX), by(FORK, spdx::TYPE, SPDX), by(MAIN, CYCLONEDX, "{}")]);
    assert_eq!(unmet.reason, Some("condition_false"));
    // The nearest first; what is of another type is only counted.
    assert_eq!((failing(&unmet), unmet.left_out), (vec![("1", Part::Content), ("2", Part::Signer)], 2));
    let why = |at: usize| unmet.evidence[at].failed.as_ref().unwrap();
    assert_eq!(why(0).why, r#"attestation https://spdx.dev/Document: wants predicate.name == 'b'; found predicate.name is "a""#);
    assert_eq!((why(1).wanted.as_deref(), why(1).found.as_deref()), (Some(MAIN), Some(FORK)));
    let other = on("predicate_type: https://spdx.dev/Document", &[by(MAIN, CYCLONEDX, "{}")]);
    assert_eq!(failing(&other), [("0", Part::Type), ("1", Part::Type)]);
    let why = other.evidence[1].failed.as_ref().unwrap();
    assert_eq!(
        (why.wanted.as_deref(), why.found.as_deref()),
        (Some("an attestation https://spdx.dev/Document"), Some("an attestation https://cyclonedx.org/bom"))
    );
    let unsigned = account(STRICT, &[spdx_by(MAIN)], None);
    let nobody = Some("a signer of the image, and there is none");
    assert_eq!(failure(&unsigned.requirements[1].on[0]), (Part::Signer, nobody, Some(MAIN)));
    let hollow = on("predicate_type: https://spdx.dev/Document", &[by(MAIN, spdx::TYPE, "{}")]);
    assert_eq!(failing(&hollow)[0], ("1", Part::Document));
    assert!(hollow.evidence[0].failed.as_ref().unwrap().why.ends_with("its predicate has no spdxVersion"), "{hollow:?}");
}

#[test]
fn documents_of_every_kind_are_told_alike() {
    let bom = include_str!("../documents/testdata/syft-cyclonedx-1.6.json");
    let scan = include_str!("../documents/testdata/grype-vuln.json");
    let slsa = include_str!("../documents/testdata/github-slsa-1.json");
    for (kind, entry, document, lacks) in [
        (CYCLONEDX, "suppliers: {allow: [ACME]}", bom, "wants"),
        (VULN, "max_age: 30d, vulnerabilities: {max_severity: low}", scan, "wants no vulnerability"),
        (SLSA, "provenance: {builder: https://github.com/acme/other}", slsa, "wants builder https://github.com/acme/other"),
    ] {
        let good = on(&format!("predicate_type: {kind}, match: any"), &[by(MAIN, kind, document)]);
        assert_eq!((good.met, counting(&good)), (true, vec!["1"]), "{kind}");
        let bad = on(&format!("predicate_type: {kind}, match: any, {entry}"), &[by(MAIN, kind, document)]);
        assert_eq!((failing(&bad), bad.left_out), (vec![("1", Part::Content)], 1), "{kind}");
        let why = &bad.evidence[0].failed.as_ref().unwrap().why;
        assert!(why.starts_with("attestation https://") && why.contains(lacks), "{why}");
    }
}

#[test]
fn any_all_and_newest_tell_what_each_rests_on() {
    let sbom = |when: &str, good: bool| made(attestation(MAIN, spdx::TYPE, if good { SPDX } else { "{}" }), &[when]);
    let entry = |matching: &str| format!("predicate_type: https://spdx.dev/Document, max_age: 30d, match: {matching}");
    let (good, mixed) = ([sbom(OLD, true), sbom(NEW, true)], [sbom(OLD, true), sbom(NEW, false)]);
    // What holds longest is read first, and is enough.
    assert_eq!(counting(&on(&entry("any"), &good)), ["2"]);
    assert_eq!(counting(&on(&entry("any"), &mixed)), ["1"]);
    assert_eq!(counting(&on(&entry("newest"), &good)), ["2"]);
    assert_eq!(counting(&on(&entry("all"), &good)), ["1", "2"]);
    let all = on(&entry("all"), &mixed);
    assert_eq!((counting(&all), failing(&all)[0]), (vec!["1"], ("2", Part::Document)));
    let newest = on(&entry("newest"), &mixed);
    assert_eq!((counting(&newest).len(), failing(&newest)), (0, vec![("1", Part::Newest), ("2", Part::Document)]));
    let outdated = newest.evidence[0].failed.as_ref().unwrap();
    assert_eq!((outdated.wanted.as_deref(), outdated.found.as_deref()), (None, Some("made 2026-11-01T00:00:00Z")));
}

#[test]
fn of_several_attesters_those_who_did_attest_are_told_and_under_all_every_one_named() {
    let keyless = |subject: &str| format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}}}}}");
    let of = |matching: &str, who: String| format!("predicate_type: {}, max_age: 30d, match: {matching}, {who}", spdx::TYPE);
    let facts = [by(MAIN, spdx::TYPE, SPDX), by(BRANCH, spdx::TYPE, SPDX)];
    // The second alone is not enough, and yet under `all` it must be good.
    let either = || format!("any_of: [{}, {{all_of: [{}, {}]}}]", keyless(MAIN), keyless(BRANCH), keyless(FORK));
    assert_eq!(counting(&on(&of("any", either()), &facts)), ["1"]);
    assert_eq!(counting(&on(&of("all", either()), &facts)), ["1", "2"]);
    let both = format!("all_of: [{}, {}]", keyless(BRANCH), keyless(FORK));
    let unmet = on(&of("any", both), &facts);
    assert_eq!((unmet.met, counting(&unmet), failing(&unmet)), (false, vec!["2"], vec![("1", Part::Subject)]));
}

#[test]
fn of_several_signers_those_who_did_sign_are_told_beside_those_who_do_not_count() {
    let keyless = |subject: &str| format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}}}}}");
    let text = format!(
        "name: acme\nimages: [\"ghcr.io/acme/**\"]\nsignatures: [{{count: 2, of: [{}, {}]}}]\ndangerous_no_attestation: true\n",
        keyless(MAIN),
        keyless(BRANCH)
    );
    let unmet = account(&text, &[signature(FORK), signature(MAIN), signature(MAIN)], None);
    let on = &unmet.requirements[0].on[0];
    assert_eq!((counting(on), failing(on)), (vec!["1", "2"], vec![("0", Part::Subject)]));
    assert_eq!(on.reason, Some("signers_too_few"));
    let met = account(&text, &[signature(FORK), signature(MAIN), signature(BRANCH)], None);
    assert_eq!(counting(&met.requirements[0].on[0]), ["1", "2"]);
}

#[test]
fn each_platform_is_told_with_what_it_carries() {
    let text = |on: &str| format!("{STRICT}attestations: [{{predicate_type: {}, sbom_on: {on}}}]\n", spdx::TYPE);
    let platform = |name: &str, facts: &[Verified]| PlatformFacts {
        digest: Digest::sha256(name.as_bytes()),
        platform: name.into(),
        facts: facts.to_vec(),
    };
    let signed = [signature(MAIN)];
    let platforms = [platform("linux/amd64", &[spdx_by(MAIN)]), platform("linux/arm64", &[spdx_by(FORK)])];
    let told = account(&text("each_platform"), &signed, Some(&platforms));
    let [_, attested] = &told.requirements[..] else { panic!("{told:?}") };
    let [amd64, arm64] = &attested.on[..] else { panic!("{attested:?}") };
    assert_eq!((amd64.platform.as_deref(), amd64.met, counting(amd64)), (Some("linux/amd64"), true, vec!["linux/amd64/0"]));
    assert_eq!((arm64.met, failing(arm64)), (false, vec![("linux/arm64/0", Part::Signer)]));
    assert_eq!((arm64.digest, attested.met), (Digest::sha256(b"linux/arm64"), false));

    // Where either will do, the index itself is told first.
    let told = account(&text("either"), &signed, Some(&platforms[..1]));
    let [index, amd64] = &told.requirements[1].on[..] else { panic!("{told:?}") };
    assert_eq!((index.platform.as_deref(), index.met, amd64.met, told.requirements[1].met), (None, false, true, true));
    // Where each statement must be good, one on the index that is not is all there is to tell.
    let all = format!("{STRICT}attestations: [{{predicate_type: {}, sbom_on: either, match: all, max_age: 30d}}]\n", spdx::TYPE);
    let (sbom, hollow) = (by(MAIN, spdx::TYPE, SPDX), by(MAIN, spdx::TYPE, "{}"));
    let told = account(&all, &[signature(MAIN), hollow], Some(&[platform("linux/amd64", &[sbom])]));
    let [index] = &told.requirements[1].on[..] else { panic!("{told:?}") };
    assert_eq!((index.platform.as_deref(), index.met, failing(index)), (None, false, vec![("1", Part::Document)]));
    // Nobody has looked, or there are too many.
    let many: Vec<_> = (0..65).map(|at| platform(&at.to_string(), &[])).collect();
    for (platforms, says) in [(None, "nobody has looked at them"), (Some(&many[..]), "of at most 64; it has 65")] {
        let told = account(&text("each_platform"), &signed, platforms);
        let [on] = &told.requirements[1].on[..] else { panic!("{told:?}") };
        assert!(!on.met && on.evidence.is_empty() && on.summary.as_ref().unwrap().ends_with(says), "{on:?}");
    }
}

#[test]
fn b11_of_many_pieces_the_nearest_are_told_and_the_others_counted() {
    let mut facts: Vec<_> = (0..100).map(|at| signature(&format!("https://other.test/{at}"))).collect();
    facts[77].signer.subject = MAIN.into();
    facts[77].signer.issuer = "https://oidc.evil.test".into();
    let told = account(STRICT, &facts, None);
    let on = &told.requirements[0].on[0];
    assert_eq!((on.evidence.len(), on.left_out, failing(on)[0]), (8, 92, ("77", Part::Issuer)));
}

#[test]
fn j2_what_others_wrote_is_escaped_and_cut_in_an_account_too() {
    let evil = format!("https://x\r\n\u{1b}[31m\u{202e}{}", "y".repeat(1 << 20));
    let mut issuer = signature(MAIN);
    issuer.signer.issuer = evil.clone();
    let facts = [signature(&evil), spdx_by(&evil), attestation(MAIN, &evil, "{}"), issuer, signature(MAIN)];
    for facts in [&facts[..4], &facts[4..], &[facts[4].clone(), facts[1].clone(), facts[2].clone()]] {
        let told = account(STRICT, facts, None);
        for on in told.requirements.iter().flat_map(|requirement| &requirement.on) {
            let failed = on.evidence.iter().filter_map(|weighed| weighed.failed.as_ref());
            let texts = failed.flat_map(|failed| [failed.wanted.as_ref(), failed.found.as_ref(), Some(&failed.why)]);
            for text in texts.chain([on.summary.as_ref()]).flatten() {
                assert!(text.len() <= 512 && text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text}");
            }
        }
    }
}

#[test]
fn an_exception_is_told_beside_the_requirements_it_stands_in_for() {
    let text = format!(
        "{STRICT}exceptions:\n  - {{dangerous_repository: ghcr.io/acme/app, reason: JIRA-1, expires: 2026-11-23}}\n  - {{digest: \
         \"{}\", reason: JIRA-2, expires: 2026-12-01}}\n",
        Digest::sha256(b"image")
    );
    let policy = &set(&text).policies[0];
    let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let subject = Digest::sha256(b"image");
    let case = Case {
        image: &image,
        subject: &subject,
        facts: &[],
        platforms: None,
        denied: &DeniedPackages::default(),
        now: time(NOW),
    };
    assert!(policy.judge(&case).is_ok());
    let told = policy.account(&case);
    assert!(told.requirements.iter().all(|requirement| !requirement.met));
    assert_eq!(
        told.exceptions,
        [
            "the exception for it ended at 2026-11-24T00:00:00Z (JIRA-1)",
            "an exception for it asks for no evidence until 2026-12-02T00:00:00Z (JIRA-2)"
        ]
    );
}
