//! Genuine material where it does not belong: entries, SETs, proofs, certificates and timestamps of other signatures.

use super::*;

#[test]
fn b3_a_foreign_entry_proof_certificate_signature_or_timestamp_never_verifies() {
    let (subject, mine) = bundle("acme/app", "signature");
    assert!(verify(&subject, &mine).is_ok());
    // Genuine material of the same log, signed by the same identity, about another image and about the same one.
    for (repository, kind) in [("acme/docker", "signature"), ("acme/app", SPDX), ("acme/fork", "signature")] {
        let (_, theirs) = bundle(repository, kind);
        for path in [
            "/verificationMaterial/tlogEntries",
            "/verificationMaterial/tlogEntries/0/canonicalizedBody",
            "/verificationMaterial/tlogEntries/0/inclusionProof",
            "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint",
            "/verificationMaterial/certificate",
            "/verificationMaterial/timestampVerificationData",
            "/dsseEnvelope/signatures",
            "/dsseEnvelope/payload",
        ] {
            let mut spliced = mine.clone();
            *spliced.pointer_mut(path).unwrap() = theirs.pointer(path).unwrap().clone();
            let outcome = verify(&subject, &spliced);
            // Another genuine checkpoint of the same log may be of the same tree; then nothing was replaced.
            assert!(spliced == mine || outcome.is_err(), "{path} of {repository}: {outcome:?}");
        }
        // Beside the right entry a foreign one is no better (threats B8).
        let mut spliced = mine.clone();
        let entries = spliced.pointer_mut("/verificationMaterial/tlogEntries").unwrap().as_array_mut().unwrap();
        entries.push(theirs.pointer("/verificationMaterial/tlogEntries/0").unwrap().clone());
        assert!(matches!(verify(&subject, &spliced), Err(VerifyError::Log(_))));
    }
}

#[test]
fn b3_a_foreign_set_or_certificate_in_cosigns_older_form_never_verifies() {
    let mut sets = Vec::new();
    let older: Vec<Recorded> = recorded().into_iter().filter(|piece| !matches!(piece.content, Content::Bundle(_))).collect();
    assert_eq!(older.len(), 3, "legacy .sig and .att, mixed .sig");
    for piece in &older {
        match &piece.content {
            Content::CosignAttestation { certificate, rekor_bundle, .. }
            | Content::CosignSignature { certificate, rekor_bundle, .. } => {
                sets.push((certificate.clone(), rekor_bundle.clone().unwrap()));
            }
            Content::Bundle(_) => unreachable!(),
        }
    }
    let swap_set = |into: &str, from: &str| {
        let (mut into, from): (Value, Value) = (serde_json::from_str(into).unwrap(), serde_json::from_str(from).unwrap());
        into["SignedEntryTimestamp"] = from["SignedEntryTimestamp"].clone();
        into.to_string()
    };
    for (at, piece) in older.iter().enumerate() {
        assert!(VERIFIER.prove(&piece.subject, &piece.content).is_ok());
        for (from, (their_certificate, their_bundle)) in sets.iter().enumerate().filter(|(from, _)| *from != at) {
            let spliced = |certificate: Option<&String>, bundle: Option<String>| {
                let mut content = piece.content.clone();
                match &mut content {
                    Content::CosignAttestation { certificate: mine, rekor_bundle, .. }
                    | Content::CosignSignature { certificate: mine, rekor_bundle, .. } => {
                        *mine = certificate.unwrap_or(mine).clone();
                        *rekor_bundle = bundle.or(rekor_bundle.take());
                    }
                    Content::Bundle(_) => unreachable!(),
                }
                VERIFIER.prove(&piece.subject, &content)
            };
            // CVE-2022-23649: the SET of another signature. CVE-2026-22703: another valid entry altogether.
            let set = swap_set(&sets[at].1, their_bundle);
            assert!(matches!(spliced(None, Some(set)), Err(VerifyError::Log(_))), "{at} {from}");
            assert!(spliced(None, Some(their_bundle.clone())).is_err(), "{at} {from}");
            assert!(spliced(Some(their_certificate), None).is_err(), "{at} {from}");
            assert!(spliced(Some(their_certificate), Some(their_bundle.clone())).is_err(), "{at} {from}");
        }
    }
}

#[test]
fn cosigns_older_form_without_a_rekor_entry_is_not_believed() {
    for piece in pieces("acme/legacy") {
        let mut content = piece.content.clone();
        match &mut content {
            Content::CosignAttestation { rekor_bundle, .. } | Content::CosignSignature { rekor_bundle, .. } => {
                *rekor_bundle = None
            }
            Content::Bundle(_) => unreachable!(),
        }
        assert!(matches!(VERIFIER.prove(&piece.subject, &content), Err(VerifyError::Log(_))));
    }
}

#[test]
fn b6_an_entry_with_neither_proof_nor_promise_or_without_a_verified_time_is_refused() {
    let (subject, good) = bundle("acme/app", "signature");
    let entry = good.pointer("/verificationMaterial/tlogEntries/0").unwrap().clone();
    let mut bare = entry.clone();
    bare.as_object_mut().unwrap().remove("inclusionProof");
    let with = |entries: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut("/verificationMaterial/tlogEntries").unwrap() = entries;
        verify(&subject, &bundle)
    };
    assert!(with(json!([entry, entry])).is_ok(), "the same entry twice proves what it proves once");
    assert!(matches!(with(json!([bare])), Err(VerifyError::Log(_))));
    // B8: the crate is content with one proof in the bundle.
    assert!(matches!(with(json!([entry, bare])), Err(VerifyError::Log(_))));
    assert!(matches!(with(json!([bare, entry])), Err(VerifyError::Log(_))));
    assert!(matches!(with(json!([])), Err(VerifyError::Log(_))));
    // CVE-2024-55655, CVE-2026-48816: an unsigned integration time is no time.
    let mut timed = good.clone();
    timed.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap()["integratedTime"] = json!("1795364841");
    timed["verificationMaterial"].as_object_mut().unwrap().remove("timestampVerificationData");
    assert!(matches!(verify(&subject, &timed), Err(VerifyError::Timestamp(_))));
}
