//! What is refused before any cryptography.

use super::*;

#[test]
fn a11_counts_are_bounded_before_any_cryptography() {
    let (subject, good) = bundle("acme/app", "signature");
    let repeat = |path: &str, count: usize| {
        let mut bundle = good.clone();
        let list = bundle.pointer_mut(path).unwrap().as_array_mut().unwrap();
        let one = list[0].clone();
        *list = vec![one; count];
        verify(&subject, &bundle)
    };
    let entries = "/verificationMaterial/tlogEntries";
    let timestamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    assert!(repeat(entries, 32).is_ok() && repeat(timestamps, 32).is_ok());
    assert!(matches!(repeat(entries, 33), Err(VerifyError::TooLarge(_))));
    assert!(matches!(repeat(timestamps, 33), Err(VerifyError::TooLarge(_))));
    assert!(matches!(repeat(timestamps, 1_000), Err(VerifyError::TooLarge(_))));
    assert!(matches!(repeat("/dsseEnvelope/signatures", 2), Err(VerifyError::Malformed(_))));
    assert!(matches!(repeat("/dsseEnvelope/signatures", 0), Err(VerifyError::Malformed(_))));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(VERIFIER.prove(&subject, &Content::Bundle(deep.into())), Err(VerifyError::TooLarge(_))));
}

#[test]
fn a9_sizes_are_bounded_by_what_the_piece_is() {
    let (subject, good) = bundle("acme/app", "signature");
    let padded = |bundle: &Value, bytes: usize| {
        let mut text = serde_json::to_vec(bundle).unwrap();
        text.resize(bytes, b' ');
        VERIFIER.prove(&subject, &Content::Bundle(text.into()))
    };
    let (_, attestation) = bundle("acme/app", SPDX);
    assert!(matches!(padded(&good, (16 << 20) + 1), Err(VerifyError::TooLarge(_))));
    assert!(padded(&attestation, (16 << 20) + 1).is_ok());
    assert!(matches!(padded(&attestation, (96 << 20) + 1), Err(VerifyError::TooLarge(_))));
}

#[test]
fn a9_what_is_not_payload_has_a_bound_of_its_own() {
    // An entry's body of 72 MiB would be held four times over, beside a payload of nothing.
    let (subject, attestation) = bundle("acme/app", SPDX);
    let padded = |bytes: usize| {
        let mut bundle = attestation.clone();
        bundle["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"] = json!("A".repeat(bytes));
        verify(&subject, &bundle)
    };
    assert!(matches!(padded(4 << 20), Err(VerifyError::TooLarge(_))));
    assert!(!matches!(padded(1 << 20), Err(VerifyError::TooLarge(_))));
}

#[test]
fn a6_a_bundle_with_duplicate_or_contradicting_keys_is_malformed() {
    let (subject, good) = bundle("acme/app", "signature");
    let text = good.to_string();
    for (from, to) in [
        ("\"mediaType\":", "\"mediaType\":\"x\",\"mediaType\":"),
        ("\"dsseEnvelope\":", "\"messageSignature\":{\"signature\":\"AAAA\"},\"dsseEnvelope\":"),
        ("\"payloadType\":", "\"PayloadType\":\"x\",\"payloadType\":"),
        ("\"certificate\":", "\"x509CertificateChain\":{\"certificates\":[]},\"certificate\":"),
    ] {
        assert!(text.contains(from), "{from}");
        let outcome = VERIFIER.prove(&subject, &Content::Bundle(text.replacen(from, to, 1).into()));
        assert!(matches!(outcome, Err(VerifyError::Malformed(_))), "{from}: {outcome:?}");
    }
}

#[test]
fn b9_only_the_leaf_of_a_chain_is_used_and_the_chain_is_bounded() {
    // A v0.3 bundle says `certificate`; v0.2 has a chain, which a signer may fill with anything.
    let (subject, mut bundle) = bundle("acme/app", "signature");
    let leaf = bundle["verificationMaterial"].as_object_mut().unwrap().remove("certificate").unwrap();
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let chain = |certificates: Vec<Value>| {
        let mut bundle = bundle.clone();
        bundle["verificationMaterial"]["x509CertificateChain"] = json!({ "certificates": certificates });
        verify(&subject, &bundle)
    };
    let root: Value = serde_json::from_slice(&trusted_root()).unwrap();
    let authority = root.pointer("/certificateAuthorities/0/certChain/certificates/0").unwrap();
    assert!(chain(vec![leaf.clone()]).is_ok());
    assert!(chain(vec![leaf.clone(), authority.clone()]).is_ok());
    assert!(chain(vec![authority.clone(), leaf.clone()]).is_err());
    assert!(matches!(chain(vec![leaf.clone(); 17]), Err(VerifyError::TooLarge(_))));
    assert!(matches!(chain(vec![leaf; 1_000]), Err(VerifyError::TooLarge(_))));
    assert!(matches!(chain(vec![]), Err(VerifyError::Malformed(_))));
}

#[test]
fn row_28_the_payload_type_is_signed_and_only_in_toto_is_read() {
    let (subject, mut bundle) = bundle("acme/app", "signature");
    for kind in ["application/vnd.in-toto+jsoń", "application/vnd.in-toto+json ", "text/plain", ""] {
        bundle["dsseEnvelope"]["payloadType"] = json!(kind);
        assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Unsupported(_))), "{kind}");
    }
}

#[test]
fn b17_garbage_of_the_right_type_proves_nothing() {
    let subject = Digest::sha256(b"image");
    for text in [
        "",
        "{}",
        "null",
        "[]",
        "\u{0}",
        "{\"mediaType\":1}",
        "not json",
        "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"}",
    ] {
        let outcome = VERIFIER.prove(&subject, &Content::Bundle(text.to_owned().into()));
        assert!(matches!(outcome, Err(VerifyError::Malformed(_))), "{text}: {outcome:?}");
    }
}

#[test]
fn b10_managed_keys_are_not_supported() {
    let (subject, mut bundle) = bundle("acme/app", "signature");
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    let certificate = material.remove("certificate").unwrap();
    material.insert("publicKey".into(), json!({"hint": "abc"}));
    assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Unsupported(_))));
    // With both, whichever a reader takes, the other is ignored: so neither.
    bundle["verificationMaterial"]["certificate"] = certificate;
    assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Malformed(_))));
}
