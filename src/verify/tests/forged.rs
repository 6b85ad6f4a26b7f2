//! Evidence with exactly one thing wrong, forged by a private Sigstore.

use super::{
    forge::{Forge, Leaf, Logged, Proof, SIGNED, Sct, der_utf8, email, uri},
    *,
};

static FORGE: LazyLock<Forge> = LazyLock::new(Forge::new);

fn image() -> Digest {
    Digest::sha256(b"image")
}

fn about(subject: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": SPDX, "predicate": {"spdxVersion": "SPDX-2.3"},
        "subject": [{"name": "image", "digest": {(subject.algorithm().as_str()): subject.to_hex()}}],
    })
}

fn signed_by(leaf: &Leaf) -> Result<Verified, VerifyError> {
    FORGE.verifier().prove(&image(), &FORGE.bundle(&about(&image()), leaf, &Logged::default()))
}

fn logged(logged: &Logged) -> Result<Verified, VerifyError> {
    FORGE.verifier().prove(&image(), &FORGE.bundle(&about(&image()), &Leaf::default(), logged))
}

#[test]
fn the_control_verifies() {
    let verified = signed_by(&Leaf::default()).unwrap();
    assert_eq!((verified.log, verified.times.len(), verified.times[0].as_second()), (LogEvidence::Promise, 1, SIGNED));
    assert_eq!((&*verified.signer.issuer, &*verified.signer.subject), (ISSUER, "https://github.com/acme/app/ci"));
    assert!(verified.signer.claims.is_empty());
}

#[test]
fn i6_a_certificate_has_exactly_one_name() {
    let named = |names| signed_by(&Leaf { names, ..Leaf::default() });
    let (right, wrong) = ("https://github.com/acme/app/ci", "https://github.com/mallory/app/ci");
    for names in [
        vec![],
        vec![uri(right), uri(wrong)],
        vec![uri(wrong), uri(right)],
        vec![uri(right), email("mallory@example.com")],
        vec![email("mallory@example.com"), uri(right)],
        vec![rcgen::SanType::DnsName("acme.example".try_into().unwrap()), uri(right)],
        vec![rcgen::SanType::DnsName("acme.example".try_into().unwrap())],
    ] {
        let outcome = named(names.clone());
        assert!(matches!(outcome, Err(VerifyError::Certificate(_))), "{names:?}: {outcome:?}");
    }
}

#[test]
fn i6_the_kind_of_the_name_is_kept() {
    let named = |name| {
        signed_by(&Leaf { names: vec![name], ..Leaf::default() })
            .map(|verified| (verified.signer.san_kind, verified.signer.subject))
    };
    let other = |last: u64, text: &str| {
        rcgen::SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 57264, 1, last], rcgen::OtherNameValue::Utf8String(text.into())))
    };
    assert_eq!(named(email("a@example.com")).unwrap(), (SanKind::Email, "a@example.com".into()));
    assert_eq!(named(uri("a@example.com")).unwrap(), (SanKind::Uri, "a@example.com".into()));
    assert_eq!(named(other(7, "a!example.com")).unwrap(), (SanKind::Other, "a!example.com".into()));
    assert!(matches!(named(other(9, "a!example.com")), Err(VerifyError::Certificate(_))));
    assert!(matches!(named(uri("")), Err(VerifyError::Certificate(_))));
}

#[test]
fn i8_the_newer_issuer_wins_a_malformed_one_denies_and_none_denies() {
    let issued = |extensions| signed_by(&Leaf { extensions, ..Leaf::default() }).map(|verified| verified.signer.issuer);
    let old = |text: &str| (1, text.as_bytes().to_vec());
    let new = |text: &str| (8, der_utf8(text));
    assert_eq!(issued(vec![old("https://old"), new("https://new")]).unwrap(), "https://new");
    assert_eq!(issued(vec![new("https://new"), old("https://old")]).unwrap(), "https://new");
    assert_eq!(issued(vec![old("https://old")]).unwrap(), "https://old");
    for extensions in [
        vec![],
        vec![new("")],
        vec![old("https://old"), (8, b"https://raw".to_vec())],
        vec![old("https://old"), (8, vec![])],
        vec![new("https://new"), new("https://other")],
        vec![old("https://old"), old("https://other")],
    ] {
        let outcome = issued(extensions.clone());
        assert!(matches!(outcome, Err(VerifyError::Certificate(_))), "{extensions:?}: {outcome:?}");
    }
}

#[test]
fn i5_a_claim_stated_twice_is_no_claim() {
    let claim = |number: u64, text: &str| (number, der_utf8(text));
    let issuer = (8, der_utf8(ISSUER));
    let with = |extensions| signed_by(&Leaf { extensions, ..Leaf::default() });
    let once = with(vec![issuer.clone(), claim(12, "https://github.com/acme/app"), claim(25, "repo:acme/app")]).unwrap();
    assert_eq!(once.signer.claims, [("source_repository_uri", "https://github.com/acme/app".to_owned())].into());
    let twice = with(vec![issuer, claim(12, "https://github.com/mallory/app"), claim(12, "https://github.com/acme/app")]);
    assert!(matches!(twice, Err(VerifyError::Certificate(_))));
}

#[test]
fn b14_an_sct_is_present_single_from_a_known_log_and_about_this_certificate() {
    for sct in [Sct::Missing, Sct::OtherLog, Sct::Stolen, Sct::Twice] {
        assert!(matches!(signed_by(&Leaf { sct, ..Leaf::default() }), Err(VerifyError::Certificate(_))));
    }
    // Outside the CT log's window.
    let mut root = FORGE.root();
    root["ctlogs"][0]["publicKey"]["validFor"] = json!({"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"});
    let verifier = Sigstore::from_trusted_root(root.to_string().as_bytes()).unwrap();
    let content = FORGE.bundle(&about(&image()), &Leaf::default(), &Logged::default());
    assert!(matches!(verifier.prove(&image(), &content), Err(VerifyError::Certificate(_))));
}

#[test]
fn b13_an_authority_expired_at_signing_vouches_for_nothing_though_valid_for_is_open() {
    // CVE-2026-24122. The leaf's dates are fine; the authority's certificate ended an hour before.
    let expired = Forge::valid_until(SIGNED - 3_600);
    let content = expired.bundle(&about(&image()), &Leaf::default(), &Logged::default());
    assert!(matches!(expired.verifier().prove(&image(), &content), Err(VerifyError::Certificate(_))));
}

#[test]
fn i14_another_authority_with_the_same_name_is_not_trusted() {
    let content = Forge::new().bundle(&about(&image()), &Leaf::default(), &Logged::default());
    assert!(FORGE.verifier().prove(&image(), &content).is_err());
}

#[test]
fn r11_windows_include_both_their_ends() {
    let content = FORGE.bundle(&about(&image()), &Leaf::default(), &Logged::default());
    let within = |kind: &str, start: i64, end: i64| {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap().to_string();
        let mut root = FORGE.root();
        let entry = &mut root[kind][0];
        let holder = if entry.get("publicKey").is_some() { &mut entry["publicKey"] } else { entry };
        holder["validFor"] = json!({"start": at(start), "end": at(end)});
        Sigstore::from_trusted_root(root.to_string().as_bytes()).unwrap().verify(&image(), &content).is_ok()
    };
    for kind in ["tlogs", "certificateAuthorities"] {
        assert!(within(kind, SIGNED, SIGNED), "{kind}");
        assert!(!within(kind, SIGNED + 1, SIGNED + 9) && !within(kind, SIGNED - 9, SIGNED - 1), "{kind}");
    }
    let leaf = |from, to| signed_by(&Leaf { from, to, ..Leaf::default() }).is_ok();
    assert!(leaf(SIGNED, SIGNED) && !leaf(SIGNED + 1, SIGNED + 9) && !leaf(SIGNED - 9, SIGNED - 1));
}

#[test]
fn row_13_a_backdated_time_is_not_what_the_log_signed() {
    // TOB-SIGSTORE-3: within the certificate's life, but not the time under the SET.
    assert!(matches!(logged(&Logged { claimed: Some(SIGNED - 60), ..Logged::default() }), Err(VerifyError::Log(_))));
    assert!(logged(&Logged { at: SIGNED - 3_600, ..Logged::default() }).is_err(), "logged before the certificate");
    assert!(logged(&Logged { at: SIGNED + 3_600, ..Logged::default() }).is_err(), "logged after the certificate");
}

#[test]
fn row_14_every_verified_time_is_within_the_certificate_not_only_the_first_or_the_earliest() {
    // TOB-SIGSTORE-4: both entries are the log's own, about this signature, each with its genuine SET.
    let Content::Bundle(json) = FORGE.bundle(&about(&image()), &Leaf::default(), &Logged::default()) else { unreachable!() };
    let good: Value = serde_json::from_slice(json.held().unwrap()).unwrap();
    let first = &good["verificationMaterial"]["tlogEntries"][0];
    let body = bundle::base64("body", first["canonicalizedBody"].as_str().unwrap()).unwrap();
    let with_second = |at: i64, before: bool| {
        let mut second = FORGE.entry(std::str::from_utf8(&body).unwrap(), &Logged { at, ..Logged::default() });
        second["kindVersion"] = first["kindVersion"].clone();
        let mut bundle = good.clone();
        let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
        entries.insert(usize::from(!before), second);
        FORGE.verifier().prove(&image(), &Content::Bundle(bundle.to_string().into()))
    };
    for before in [true, false] {
        assert_eq!(with_second(SIGNED + 60, before).unwrap().times.len(), 2);
        for outside in [SIGNED - 3_600, SIGNED - 301, SIGNED + 301, SIGNED + 3_600] {
            let outcome = with_second(outside, before);
            assert!(matches!(outcome, Err(VerifyError::Certificate(_))), "{outside} {before}: {outcome:?}");
        }
    }
}

#[test]
fn b15_a_key_that_cannot_sign_a_given_digest_is_refused_there_and_good_elsewhere() {
    let by = |key| Leaf { key, ..Leaf::default() };
    let message = |key, hint| FORGE.verifier().prove(&image(), &FORGE.message(b"image", hint, &by(key)));
    let (edwards, p384) = (&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384);
    for (key, hint) in [(edwards, true), (edwards, false), (p384, false)] {
        let outcome = message(key, hint);
        assert!(matches!(outcome, Err(VerifyError::Unsupported(_))), "{key:?} {hint}: {outcome:?}");
    }
    // The hint says SHA-256, and it was SHA-384 that was signed.
    assert!(matches!(message(p384, true), Err(VerifyError::Signature(_))));
    assert!(signed_by(&by(edwards)).is_ok() && signed_by(&by(p384)).is_ok());
}

#[test]
fn b5_a_self_made_tree_proves_nothing_and_the_logs_own_does() {
    let with = |proof| logged(&Logged { proof, ..Logged::default() });
    assert_eq!(with(Proof::Genuine).unwrap().log, LogEvidence::Proof);
    assert!(matches!(with(Proof::SelfMade), Err(VerifyError::Log(_))));
}

#[test]
fn b6_a_proof_without_a_promise_gives_no_time() {
    let outcome = logged(&Logged { promise: false, proof: Proof::Genuine, ..Logged::default() });
    assert!(matches!(outcome, Err(VerifyError::Timestamp(_))), "{outcome:?}");
}

#[test]
fn r9_logged_half_a_minute_ahead_of_our_clock_is_undecided_and_an_hour_ahead_refused() {
    let now = Timestamp::now().as_second();
    let leaf = Leaf { from: now - 60, to: now + 7_200, ..Leaf::default() };
    let ahead = |seconds| {
        let logged = Logged { at: now + seconds, ..Logged::default() };
        FORGE.verifier().prove(&image(), &FORGE.bundle(&about(&image()), &leaf, &logged))
    };
    assert!(ahead(-30).is_ok());
    assert!(matches!(ahead(60), Err(VerifyError::Clock { ahead_seconds: 50..=60 })));
    assert!(matches!(ahead(3_600), Err(VerifyError::Log(_))));
}

#[test]
fn sha512_subjects_are_matched_as_sha512() {
    let long = Digest::of(Algorithm::Sha512, b"image");
    let content = FORGE.bundle(&about(&long), &Leaf::default(), &Logged::default());
    assert!(FORGE.verifier().prove(&long, &content).is_ok());
    assert!(matches!(FORGE.verifier().prove(&image(), &content), Err(VerifyError::OtherSubject { .. })));
    let short = FORGE.bundle(&about(&image()), &Leaf::default(), &Logged::default());
    assert!(matches!(FORGE.verifier().prove(&long, &short), Err(VerifyError::OtherSubject { .. })));
}

#[test]
fn a4_a_payload_that_is_no_statement_is_malformed_though_its_signature_is_right() {
    // CVE-2026-39395.
    let hex = image().to_hex();
    for payload in [
        json!("a string"),
        json!(null),
        json!({}),
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": null, "predicateType": "t"}),
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": 7}}], "predicateType": "t"}),
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": hex}}]}),
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": {"digest": {"sha256": hex}}, "predicateType": "t"}),
    ] {
        let content = FORGE.bundle(&payload, &Leaf::default(), &Logged::default());
        let outcome = FORGE.verifier().prove(&image(), &content);
        assert!(matches!(outcome, Err(VerifyError::Malformed(_))), "{payload}: {outcome:?}");
    }
}

#[test]
fn a9_a_large_attestation_logged_as_rekor_v1_is_held_up_to_its_own_bound_wherever_it_lies() {
    let about = |len: usize| {
        let mut statement = about(&image());
        statement["predicate"] = json!({"spdxVersion": "SPDX-2.3", "padding": "x".repeat(len)});
        let Content::Bundle(bundle) = FORGE.bundle(&statement, &Leaf::default(), &Logged::default()) else { unreachable!() };
        let filed = Content::Bundle(crate::evidence::Document::in_a_file(bundle.held().unwrap()));
        [Content::Bundle(bundle), filed]
    };
    for content in about(2 << 20) {
        let verified = FORGE.verifier().prove(&image(), &content).unwrap();
        let Proven::Attestation(statement) = verified.content else { panic!("{verified:?}") };
        assert!(statement.predicate.len() > 2 << 20);
    }
    for content in about(16 << 20) {
        let error = FORGE.verifier().prove(&image(), &content).unwrap_err();
        assert!(matches!(error, VerifyError::TooLarge(_)) && error.to_string().contains("not of Rekor v2"), "{error}");
    }
}

#[test]
fn a_message_signature_over_the_manifest_is_of_that_file_only_and_no_image_signature() {
    let verifier = FORGE.verifier();
    for hint in [true, false] {
        let content = FORGE.message(b"image", hint, &Leaf::default());
        assert!(matches!(verifier.prove(&image(), &content).unwrap().content, Proven::File));
        assert!(verifier.prove(&Digest::sha256(b"other"), &content).is_err());
        let long = Digest::of(Algorithm::Sha512, b"image");
        assert!(matches!(verifier.prove(&long, &content), Err(VerifyError::Unsupported(_))));
    }
    let hinted = verifier.prove(&Digest::sha256(b"other"), &FORGE.message(b"image", true, &Leaf::default()));
    assert!(matches!(hinted, Err(VerifyError::OtherSubject { .. })));
}
