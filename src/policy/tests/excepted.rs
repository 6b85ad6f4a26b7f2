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
    // One without any would be the newest there is.
    let timeless = made(listing(MAIN, "evil"), &[]);
    assert!(refused(", match: newest, max_age: 90d", &with([good(NEW), timeless]), None).is_some());
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
