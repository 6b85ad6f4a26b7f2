//! What an exception does not waive: a package of the deny-list, in an SBOM that the policy would rely on (D4).

use super::{
    super::deny::{DenyList, parse_denials},
    *,
};

const NOW: &str = "2026-11-24T12:00:00Z";
const OLD: &str = "2026-11-01T00:00:00Z";
const NEW: &str = "2026-11-20T00:00:00Z";

/// A policy with one attestation entry of SPDX, and an exception for the image.
fn excepted(entry: &str) -> String {
    let exception = format!("exceptions: [{{digest: \"{}\", reason: JIRA-1, expires: 2026-12-01}}]\n", Digest::sha256(b"image"));
    format!("{STRICT}attestations: [{{predicate_type: {}{entry}}}]\n{exception}", spdx::TYPE)
}

fn without_exception(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("exceptions:")).map(|line| format!("{line}\n")).collect()
}

fn asked(text: &str, facts: &[Verified], platforms: Option<&[PlatformFacts]>, denied: &str) -> Result<Held, Unmet> {
    let mut problems = Vec::new();
    let deny = DenyList::new(parse_denials(Path::new("deny.yaml"), denied, &mut problems));
    assert!(problems.is_empty(), "{problems:?}");
    let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let subject = Digest::sha256(b"image");
    let case = Case { image: &image, subject: &subject, facts, platforms, denied: deny.packages(), now: time(NOW) };
    set(text).policies[0].judge(&case)
}

/// Why the image is refused although it is excepted, or nothing.
fn refused(entry: &str, facts: &[Verified], platforms: Option<&[PlatformFacts]>) -> Option<String> {
    let unmet = asked(&excepted(entry), facts, platforms, "- {package: {name: evil}, reason: INC-1}\n").err()?;
    assert_eq!(unmet.reason, Reason::Denied);
    Some(unmet.summary)
}

fn listing(subject: &str, package: &str) -> Verified {
    spdx_with(subject, &format!(r#"{{"SPDXID":"SPDXRef-b","name":"{package}"}}"#))
}

fn sbom(subject: &str, package: &str, when: &str) -> Verified {
    made(listing(subject, package), &[when])
}

fn platform(name: &str, facts: &[Verified]) -> PlatformFacts {
    PlatformFacts { digest: Digest::sha256(name.as_bytes()), platform: name.into(), facts: facts.to_vec() }
}

#[test]
fn d4_an_sbom_by_a_signer_of_the_image_refuses_and_nobody_elses_does() {
    let evil = [signature(MAIN), sbom(MAIN, "evil", NEW)];
    let why = refused("", &evil, None).unwrap();
    assert!(why.contains("INC-1") && why.contains("evil"), "{why}");
    // Nothing to find, or nobody to believe.
    for facts in [
        &[][..],
        &[signature(MAIN), sbom(MAIN, "good", NEW)],
        &[signature(FORK), sbom(FORK, "evil", NEW)],
        &[signature(MAIN), sbom(FORK, "evil", NEW)],
        &[sbom(MAIN, "evil", NEW)],
        // A signature of its bytes as a file is none of the image.
        &[fact(signer(MAIN), Proven::File), sbom(MAIN, "evil", NEW)],
        // Of another type; and what is no document says nothing.
        &[signature(MAIN), attestation(MAIN, "https://acme.test/v1", r#"{"packages":[{"name":"evil"}]}"#)],
        &[signature(MAIN), attestation(MAIN, spdx::TYPE, "{}")],
    ] {
        assert_eq!(refused("", facts, None), None, "{facts:?}");
        let held = asked(&excepted(""), facts, None, "- {package: {name: evil}, reason: INC-1}\n").unwrap();
        assert!(held.exception.is_some());
    }
    // Where nothing is denied nothing is read, be it denied by digest.
    assert!(asked(&excepted(""), &evil, None, "[]").is_ok());
    let each = excepted(", sbom_on: each_platform");
    assert!(asked(&each, &evil, None, "[]").is_ok());
    // What else it must say is waived: that makes an SBOM none to rely on, and no denial.
    let good = [signature(MAIN), sbom(MAIN, "good", NEW)];
    assert_eq!(refused(", suppliers: {allow: [Acme]}", &good, None), None);
    // How old it may be is waived with the rest; that it was found in these bytes is not.
    assert!(refused(", max_age: 1d", &evil, None).is_some());
}

/// A reusable workflow is one signer whoever calls it: another's call neither lifts a denial nor makes one (I7).
#[test]
fn d4_an_sbom_counts_with_the_claims_that_the_signature_had_to_have() {
    let called_by = |owner: &str, mut fact: Verified| {
        fact.signer.claims.insert("source_repository_owner_uri", format!("https://github.com/{owner}"));
        fact
    };
    let signed = called_by("acme", signature(MAIN));
    let sbom = |owner: &str, package: &str| called_by(owner, sbom(MAIN, package, NEW));
    let text = excepted("")
        .replace("      subject: ", "      claims: {source_repository_owner_uri: https://github.com/acme}\n      subject: ");
    let refuses = |facts: &[Verified]| asked(&text, facts, None, "- {package: {name: evil}, reason: INC-1}\n").is_err();
    assert!(refuses(&[signed.clone(), sbom("acme", "evil")]));
    assert!(refuses(&[signed.clone(), sbom("acme", "evil"), sbom("mallory", "good")]));
    assert!(!refuses(&[signed.clone(), sbom("mallory", "evil")]));
    assert!(!refuses(&[called_by("mallory", signature(MAIN)), sbom("mallory", "evil")]));
    // Nor does a signature by it.
    assert!(refuses(&[called_by("mallory", signature(MAIN)), signed, sbom("acme", "evil"), sbom("mallory", "good")]));
}

/// An exception must not lift what the deny-list refuses without it.
#[test]
fn d4_what_the_policy_would_not_rely_on_does_not_outweigh_an_sbom_that_lists_a_denied_package() {
    let (evil, good) = (sbom(MAIN, "evil", NEW), sbom(MAIN, "good", NEW));
    let by = |subject: &str| format!("keyless: {{issuer: {ISSUER}, subject: {subject:?}}}");
    let all_of = format!(", all_of: [{{{}}}, {{{}}}]", by(MAIN), by(BRANCH));
    let several = format!(", count: 1, of: [{{{}}}, {{all_of: [{{{}}}, {{{}}}]}}]", by(MAIN), by(BRANCH), by(FORK));
    let evil_wanted = ", require: \"predicate.packages.exists(p, p.name == 'evil')\"";
    let with = |statements: &[Verified]| [&[signature(MAIN)], statements].concat();
    for (entry, facts) in [
        // Each of two must attest, and one lists it.
        (&*all_of, with(&[evil.clone(), sbom(BRANCH, "good", NEW)])),
        // Another of whom two must attest, and one has.
        (&*several, with(&[evil.clone(), sbom(BRANCH, "good", NEW)])),
        // Too old, or both are.
        (", max_age: 10d", with(&[evil.clone(), sbom(MAIN, "good", OLD)])),
        (", max_age: 1d", with(&[evil.clone(), good.clone()])),
        (", match: newest, max_age: 1d", with(&[sbom(MAIN, "evil", OLD), good.clone()])),
        // It says not what else it must.
        (evil_wanted, with(&[evil.clone(), good.clone()])),
        // The signature that takes its signer over is not there.
        ("", vec![signature(FORK), signature(MAIN), evil.clone(), sbom(FORK, "good", NEW)]),
    ] {
        let excepted = excepted(entry);
        for text in [without_exception(&excepted), excepted] {
            assert!(asked(&text, &facts, None, "- {package: {name: evil}, reason: INC-1}\n").is_err(), "{text}: {facts:?}");
        }
    }
    // What was attested anew as the policy wants it does, with the exception as without.
    let mut old = signature(MAIN);
    old.times = vec![time(OLD)];
    let renewed = [old, sbom(MAIN, "evil", OLD), good.clone()];
    assert_eq!(refused(", max_age: 10d", &renewed, None), None);
    // By a signature that is waived for its age nobody is believed but who finds one.
    let aged = |max: &str| excepted("").replace("signatures:", &format!("max_signature_age: {max}\nsignatures:"));
    let judged = |text: &str| asked(text, &renewed, None, "- {package: {name: evil}, reason: INC-1}\n");
    assert!(judged(&aged("90d")).is_ok());
    assert_eq!(judged(&aged("10d")).unwrap_err().reason, Reason::Denied);
    // On either, one on the index that is too old to speak is left to the platforms, with the exception as without.
    let either = ", sbom_on: either, match: newest, max_age: 10d";
    let index = [signature(MAIN), sbom(MAIN, "evil", OLD)];
    assert_eq!(refused(either, &index, Some(&[platform("linux/amd64", std::slice::from_ref(&good))])), None);
    assert!(refused(either, &index, Some(&[platform("linux/amd64", &[])])).is_some());
}

#[test]
fn d4_an_exception_ends_before_its_time_when_what_outweighs_a_denial_does() {
    let denied = "- {package: {name: evil}, reason: INC-1}\n";
    let until = |entry: &str, facts: &[Verified], platforms: Option<&[PlatformFacts]>| {
        asked(&excepted(entry), facts, platforms, denied).unwrap().valid_until.unwrap()
    };
    let (evil, good, clean_until) = (sbom(MAIN, "evil", NEW), sbom(MAIN, "good", NEW), time("2026-11-30T00:00:00Z"));
    let both = [signature(MAIN), evil.clone(), good.clone()];
    let expires = time("2026-12-02T00:00:00Z");
    assert_eq!(until(", max_age: 10d", &both, None), clean_until);
    assert_eq!(until(", max_age: 90d", &both, None), expires);
    assert_eq!(until(", max_age: 10d, sbom_on: either", &both, None), clean_until);
    let platforms = [platform("linux/amd64", &[evil.clone(), good])];
    assert_eq!(until(", max_age: 10d, sbom_on: each_platform", &both[..1], Some(&platforms)), clean_until);
    assert_eq!(until(", max_age: 10d, sbom_on: either", &both[..2], Some(&platforms)), clean_until);
    // Where there is nothing to outweigh, when it says.
    assert_eq!(until(", max_age: 10d", &both[..1], None), expires);
}

/// What a document is about is no package of it, and may be what is denied: an empty document that is refused as such only would
/// be admitted by an exception, and served by a policy that watches.
#[test]
fn d4_a_package_is_denied_though_its_document_lists_nothing_else() {
    let about = |name: &str| {
        let component = format!(r#"{{"type":"application","name":"{name}"}}"#);
        let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":COMPONENT},"components":[]}"#;
        let cyclonedx = attestation(MAIN, "https://cyclonedx.org/bom", &text.replace("COMPONENT", &component));
        let image = format!(r#"{{"SPDXID":"SPDXRef-b","name":"{name}","primaryPackagePurpose":"CONTAINER"}}"#);
        let only = SPDX.replace(r#"{"SPDXID":"SPDXRef-a","name":"a"}"#, &image);
        [("https://cyclonedx.org/bom", cyclonedx), (spdx::TYPE, attestation(MAIN, spdx::TYPE, &only))]
    };
    for (name, reason) in [("evil", Reason::Denied), ("good", Reason::SbomEmpty)] {
        for (predicate_type, sbom) in about(name) {
            let text = excepted("").replace(spdx::TYPE, predicate_type);
            let facts = [signature(MAIN), sbom];
            let asked = |text: &str| asked(text, &facts, None, "- {package: {name: evil}, reason: INC-1}\n");
            assert_eq!(asked(&text).is_err(), reason == Reason::Denied, "{predicate_type} {name}");
            assert_eq!(asked(&without_exception(&text)).unwrap_err().reason, reason, "{predicate_type} {name}");
        }
    }
}

/// What is wrong with a document makes no package go away that it lists.
#[test]
fn d4_a_package_is_denied_though_its_document_is_of_another_version_or_breaks_off() {
    let evil = r#"{"name":"evil","version":"1"}"#;
    let cyclonedx = |version: &str, more: &str| {
        format!(r#"{{"bomFormat":"CycloneDX","specVersion":"{version}","components":[{evil}{more}]}}"#)
    };
    let long = format!(r#",{{"name":"{}"}}"#, "a".repeat(70_000));
    for (predicate_type, text) in [
        ("https://cyclonedx.org/bom/v1.5", cyclonedx("1.6", "")),
        ("https://cyclonedx.org/bom", cyclonedx("1.6", &long)),
        (
            "https://spdx.dev/Document/v2.2",
            SPDX.replace(r#"{"SPDXID":"SPDXRef-a","name":"a"}"#, r#"{"SPDXID":"SPDXRef-a","name":"evil"}"#),
        ),
    ] {
        let sbom = || attestation(MAIN, predicate_type, &text);
        let asked =
            |text: &str, denied: &str| asked(&text.replace(spdx::TYPE, predicate_type), &[signature(MAIN), sbom()], None, denied);
        let denied = "- {package: {name: evil}, reason: INC-1}\n";
        for policy in [excepted(""), without_exception(&excepted(""))] {
            assert_eq!(asked(&policy, denied).unwrap_err().reason, Reason::Denied, "{predicate_type}");
        }
        let other = "- {package: {name: other}, reason: INC-1}\n";
        assert!(asked(&excepted(""), other).is_ok_and(|held| !held.relied), "{predicate_type}");
        assert_eq!(asked(&without_exception(&excepted("")), other).unwrap_err().reason, Reason::AttestationMalformed);
    }
}

/// What the gate must see all of, and what not (A9).
#[test]
fn d4_beside_what_an_entry_is_met_by_no_other_sbom_refuses_where_any_will_do() {
    let denied = "- {package: {name: evil}, reason: INC-1}\n";
    let good = [signature(MAIN), sbom(MAIN, "good", NEW)];
    let relied = |entry: &str, facts: &[Verified], platforms: Option<&[PlatformFacts]>| {
        asked(&excepted(entry), facts, platforms, denied).unwrap().relied
    };
    assert!(relied("", &good, None));
    assert!(!relied("", &[], None) && !relied("", &good[..1], None), "nothing is met");
    for how in ["newest", "all"] {
        assert!(!relied(&format!(", match: {how}, max_age: 30d"), &good, None), "{how}");
    }
    assert!(!asked(&excepted(""), &good, None, "[]").unwrap().relied, "nothing is denied");
    let each = ", sbom_on: each_platform";
    let (amd64, bare) = (platform("amd64", &good[1..]), platform("arm64", &[]));
    assert!(!relied(each, &good, Some(std::slice::from_ref(&bare))));
    assert!(!relied(each, &good, Some(&[amd64.clone(), bare])));
    assert!(relied(each, &good, Some(&[amd64])));
    let two = excepted("").replace("attestations: [", "attestations: [{predicate_type: https://cyclonedx.org/bom}, ");
    assert!(!asked(&two, &good, None, denied).unwrap().relied, "one of two is");
}

#[test]
fn d4_an_entry_with_signers_of_its_own_believes_those() {
    let entry = format!(", keyless: {{issuer: {ISSUER}, subject: {BRANCH:?}}}");
    assert!(refused(&entry, &[sbom(BRANCH, "evil", NEW)], None).is_some());
    assert_eq!(refused(&entry, &[signature(MAIN), sbom(MAIN, "evil", NEW)], None), None);
}

#[test]
fn d4_only_a_policy_that_asks_for_an_sbom_has_one_read() {
    let sbom_wanted = set(&excepted(""));
    let other = excepted("").replace(spdx::TYPE, "https://acme.test/v1");
    assert!(sbom_wanted.policies[0].asks_for_sbom());
    assert!(!set(&other).policies[0].asks_for_sbom());
    let denied = "- {package: {name: evil}, reason: INC-1}\n";
    let facts = [signature(MAIN), sbom(MAIN, "evil", NEW)];
    assert!(asked(&other, &facts, None, denied).is_ok());
    // Of several entries whichever finds it.
    let exception = excepted("").lines().last().unwrap().to_owned();
    let entries = "attestations: [{predicate_type: https://acme.test/v1}, {predicate_type: https://cyclonedx.org/bom}, \
                   {predicate_type: https://spdx.dev/Document}]";
    assert!(asked(&format!("{STRICT}{entries}\n{exception}\n"), &facts, None, denied).is_err());
}

#[test]
fn d4_which_of_several_sboms_counts_is_as_the_entry_says() {
    let evil = |when: &str| sbom(MAIN, "evil", when);
    let good = |when: &str| sbom(MAIN, "good", when);
    let with = |statements: [Verified; 2]| [vec![signature(MAIN)], statements.to_vec()].concat();
    for (entry, facts, refuses) in [
        // One clean one is what the policy would rely on.
        ("", with([evil(NEW), good(OLD)]), false),
        ("", with([evil(NEW), evil(OLD)]), true),
        (", match: all, max_age: 90d", with([good(NEW), evil(OLD)]), true),
        (", match: all, max_age: 90d", with([good(NEW), good(OLD)]), false),
        (", match: newest, max_age: 90d", with([evil(NEW), good(OLD)]), true),
        (", match: newest, max_age: 90d", with([good(NEW), evil(OLD)]), false),
        // Of the equally new each counts.
        (", match: newest, max_age: 90d", with([good(NEW), evil(NEW)]), true),
    ] {
        assert_eq!(refused(entry, &facts, None).is_some(), refuses, "{entry}: {facts:?}");
    }
    // Its time is the earliest that is proven: an old one stamped again is no newer.
    let restamped = made(listing(MAIN, "evil"), &[NEW, "2026-01-01T00:00:00Z"]);
    assert_eq!(refused(", match: newest, max_age: 90d", &with([good(OLD), restamped]), None), None);
    // One without any is of no age that the entry allows: it refuses where no other speaks, and outdates none.
    let timeless = made(listing(MAIN, "evil"), &[]);
    let newest = ", match: newest, max_age: 90d";
    assert!(refused(newest, &[signature(MAIN), timeless.clone()], None).is_some());
    assert_eq!(refused(newest, &with([good(NEW), timeless]), None), None);
}

#[test]
fn d4_on_each_platform_every_sbom_is_read() {
    let signed = [signature(MAIN)];
    let own = |package: &str| vec![sbom(MAIN, package, NEW)];
    let by_signer = |facts: &[Verified]| [&signed[..], facts].concat();
    let platforms = |amd64: &[Verified], arm64: &[Verified]| {
        [platform("linux/amd64", &by_signer(amd64)), platform("linux/arm64", &by_signer(arm64))]
    };
    let each = ", sbom_on: each_platform";
    // They have to be looked at first.
    let unseen = asked(&excepted(each), &signed, None, "- {package: {name: evil}, reason: INC-1}\n").unwrap_err();
    assert!(unseen.wants_platforms && unseen.reason == Reason::Denied, "{unseen:?}");
    assert!(unseen.summary.ends_with("on any platform; nobody has looked at them"), "{}", unseen.summary);
    let why = refused(each, &signed, Some(&platforms(&own("good"), &own("evil")))).unwrap();
    assert!(why.starts_with("platform linux/arm64: ") && why.contains("INC-1"), "{why}");
    assert_eq!(refused(each, &signed, Some(&platforms(&own("good"), &own("good")))), None);
    assert_eq!(refused(each, &signed, Some(&platforms(&own("good"), &[]))), None);
    // What the index has is not asked for there; of an index of nothing that runs it is all there is.
    let whole = by_signer(&own("evil"));
    assert_eq!(refused(each, &whole, Some(&platforms(&own("good"), &own("good")))), None);
    assert_eq!(refused(each, &whole, Some(&platforms(&[], &[]))), None);
    assert!(refused(each, &whole, Some(&[])).is_some());
    // Where the subject alone is asked about, no platform is.
    assert_eq!(refused("", &signed, Some(&platforms(&own("evil"), &own("evil")))), None);
    assert!(refused("", &whole, Some(&platforms(&own("good"), &own("good")))).is_some());
}

#[test]
fn d4_on_either_a_clean_one_of_the_index_will_do_or_a_clean_one_of_each_platform() {
    let signed = [signature(MAIN)];
    let own = |package: &str| vec![signature(MAIN), sbom(MAIN, package, NEW)];
    let either = ", sbom_on: either";
    let both = |amd64: &[Verified], arm64: &[Verified]| [platform("linux/amd64", amd64), platform("linux/arm64", arm64)];
    assert_eq!(refused(either, &own("good"), None), None);
    assert_eq!(refused(either, &own("good"), Some(&both(&own("evil"), &own("evil")))), None);
    let unseen = asked(&excepted(either), &own("evil"), None, "- {package: {name: evil}, reason: INC-1}\n").unwrap_err();
    assert!(unseen.wants_platforms);
    assert_eq!(refused(either, &own("evil"), Some(&both(&own("good"), &own("good")))), None);
    assert!(refused(either, &own("evil"), Some(&both(&own("good"), &signed))).is_some());
    assert!(refused(either, &own("evil"), Some(&both(&own("good"), &own("evil")))).is_some());
    assert!(refused(either, &signed, Some(&both(&own("good"), &own("evil")))).is_some());
    assert_eq!(refused(either, &signed, Some(&both(&own("good"), &signed))), None);
    // Where each statement or the newest speaks, no platform stands in for one on the index; without one they are asked.
    for matching in ["all", "newest"] {
        let speaks = format!("{either}, match: {matching}, max_age: 3650d");
        assert!(refused(&speaks, &own("evil"), Some(&both(&own("good"), &own("good")))).is_some(), "{matching}");
        assert!(refused(&speaks, &signed, Some(&both(&own("good"), &own("evil")))).is_some(), "{matching}");
        assert_eq!(refused(&speaks, &signed, Some(&both(&own("good"), &own("good")))), None, "{matching}");
    }
    // More platforms than are looked at are not clean each.
    let many: Vec<PlatformFacts> = (0..=MAX_PLATFORMS).map(|at| platform(&format!("linux/{at}"), &own("good"))).collect();
    assert_eq!(refused(either, &own("evil"), Some(&many[1..])), None);
    assert!(refused(either, &own("evil"), Some(&many)).is_some());
}
