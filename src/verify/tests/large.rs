//! Large attestations, read as streams from their files, prove what they prove when they are held, and nothing else.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use proptest::prelude::*;

use super::{
    tampered::{AUTHENTICATED, BUNDLES},
    *,
};
use crate::evidence::Document;

/// As large as what is read as a stream, by padding.
fn padded(json: &[u8]) -> Vec<u8> {
    let mut padded = json.to_vec();
    padded.resize(padded.len().max(bundle::LEAN_FROM as usize), b' ');
    padded
}

fn filed(bytes: &[u8]) -> Content {
    Content::Bundle(Document::in_a_file(bytes))
}

/// The lean reading of large bundles, held and in a file, forced upon all recorded small ones.
#[test]
fn lean_and_full_reading_prove_the_same() {
    assert!(BUNDLES.len() >= 30);
    for (subject, json) in BUNDLES.iter() {
        let full = VERIFIER.prove(subject, &Content::Bundle(json.clone().into())).unwrap();
        let padded = padded(json);
        assert!(matches!(bundle::read(&json.clone().into(), subject).unwrap().message, bundle::Message::Envelope));
        let document = Document::in_a_file(&padded);
        assert!(matches!(bundle::read(&document, subject).unwrap().message, bundle::Message::Lean(..)));
        for content in [Content::Bundle(document), Content::Bundle(padded.into())] {
            let lean = VERIFIER.prove(subject, &content).unwrap();
            assert!(same(&full, &lean));
        }
    }
}

#[test]
fn b2_the_lean_reading_refuses_what_the_full_one_refuses() {
    for (subject, json) in BUNDLES.iter() {
        for path in AUTHENTICATED {
            let mut bundle: Value = serde_json::from_slice(json).unwrap();
            let Some(field) = bundle.pointer_mut(path) else { continue };
            let mut bytes = BASE64.decode(field.as_str().unwrap()).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            *field = json!(BASE64.encode(bytes));
            let padded = padded(&serde_json::to_vec(&bundle).unwrap());
            assert!(VERIFIER.prove(subject, &filed(&padded)).is_err(), "{path}");
        }
    }
}

/// cosign's older form, in a file: its Rekor v1 entries go the crate's way.
#[test]
fn an_older_attestation_in_a_file_proves_the_same() {
    let mut seen = 0;
    for piece in recorded() {
        let mut content = piece.content.clone();
        let Content::CosignAttestation { envelope, .. } = &mut content else { continue };
        *envelope = Document::in_a_file(&padded(envelope.held().unwrap()));
        let (held, filed) = (VERIFIER.prove(&piece.subject, &piece.content), VERIFIER.prove(&piece.subject, &content));
        assert!(same(&held.unwrap(), &filed.unwrap()));
        seen += 1;
    }
    assert!(seen > 0);
}

/// Of an attestation it says what it would be: nobody can have it be another, or younger, and still be verified.
#[test]
fn an_entry_of_a_form_that_cannot_be_verified_says_so() {
    let (subject, json) = &BUNDLES[0];
    let genuine = VERIFIER.prove(subject, &Content::Bundle(json.clone().into())).unwrap();
    let Proven::Attestation(Statement { predicate_type: kind, .. }) = &genuine.content else { panic!("{genuine:?}") };
    let text = String::from_utf8(json.to_vec()).unwrap();
    let from = r#""kindVersion":{"kind":"hashedrekord","version":"0.0.2"}"#;
    assert!(text.contains(from));
    for (to, logged) in [
        (r#""kindVersion":{"kind":"intoto","version":"0.0.1"},"integratedTime":"1700000000""#, Some(1_700_000_000)),
        (r#""kindVersion":{"kind":"rfc3161","version":"0.0.1"}"#, None),
        // Protobuf's JSON reads a number too; and whatever it is, the statement is there.
        (r#""kindVersion":{"kind":"intoto","version":"0.0.1"},"integratedTime":1700000000"#, Some(1_700_000_000)),
        (r#""kindVersion":{"kind":"intoto","version":"0.0.1"},"integratedTime":["1700000000"]"#, None),
        (r#""kindVersion":{"kind":"intoto","version":"0.0.1"},"integratedTime":"yesterday""#, None),
        (r#""kindVersion":{"kind":"intoto","version":"0.0.1"},"integratedTime":99999999999999999999"#, None),
    ] {
        let text = text.replacen(from, to, 1);
        let of = |subject: &Digest| VERIFIER.prove(subject, &Content::Bundle(text.clone().into())).unwrap_err();
        let error = of(subject);
        assert!(error.to_string().starts_with("unsupported_log_entry"));
        let VerifyError::UnsupportedLogEntry { predicate_type, logged_at, .. } = error else { panic!("{error}") };
        assert_eq!((predicate_type.as_ref(), logged_at.map(jiff::Timestamp::as_second)), (Some(kind), logged));
        let of_another = of(&Digest::sha256(b"another"));
        assert!(matches!(of_another, VerifyError::OtherSubject { .. }), "{of_another}");
    }
}

#[test]
fn escapes_in_base64_are_read_as_json_reads_them_and_either_alphabet_but_not_both() {
    let (subject, json) = &BUNDLES[0];
    let text = String::from_utf8(json.to_vec()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let payload = value["dsseEnvelope"]["payload"].as_str().unwrap();
    let with = |other: &str| {
        let changed = padded(text.replacen(payload, other, 1).as_bytes());
        VERIFIER.prove(subject, &filed(&changed)).map(|verified| verified.signer)
    };
    let genuine = with(payload).unwrap();
    let escaped: String = payload.chars().map(|symbol| format!("\\u{:04x}", symbol as u32)).collect();
    let unpadded = payload.trim_end_matches('=');
    for other in [&*escaped, &payload.replace('/', "\\/"), unpadded, &payload.replace('+', "-").replace('/', "_")] {
        assert_eq!(with(other).unwrap(), genuine, "{other:.20}");
    }
    for other in ["", "\\n", "A", "====", &format!("{payload}="), &format!("{payload}===="), &format!("{unpadded}\\u00e9")] {
        let outcome = with(other);
        assert!(matches!(outcome, Err(VerifyError::Malformed(_))), "{other:.20}: {outcome:?}");
    }
    let both = format!("-+{}", &payload[2..]);
    assert!(matches!(with(&both), Err(VerifyError::Malformed(_))));
}

#[test]
fn c5_a_file_that_changes_after_it_was_hashed_is_undecided_and_never_believed() {
    use std::os::unix::fs::FileExt as _;
    let (subject, json) = &BUNDLES[0];
    let bytes = padded(json);
    // Somebody who writes to the file that is read.
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all_at(&bytes, 0).unwrap();
    let document = Document::of_file(std::fs::File::open(file.path()).unwrap(), &bytes);
    let content = Content::Bundle(document);
    let Proven::Attestation(statement) = VERIFIER.prove(subject, &content).unwrap().content else {
        panic!("the first recorded bundle is an attestation")
    };
    let read = || std::io::read_to_string(statement.predicate.open());
    assert!(read().is_ok() && statement.predicate.damage().is_none());
    let at = bytes.windows(11).position(|window| window == b"\"payload\":\"").unwrap() as u64 + 400;
    file.as_file().write_all_at(b"A", at).unwrap();
    file.as_file().write_all_at(b"B", at + 1).unwrap();
    assert!(read().is_err());
    assert!(statement.predicate.damage().unwrap().contains("changed"));
    assert!(matches!(VERIFIER.prove(subject, &content), Err(VerifyError::Unreadable(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever is changed about a bundle, read as a stream it is believed if and only if it is believed when held.
    #[test]
    fn a6_streamed_and_held_agree_on_every_changed_bundle(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..3),
        cut in 0_usize..3,
    ) {
        let (subject, json) = which.get(BUNDLES.as_slice());
        let mut changed = json.to_vec();
        let at = at.index(changed.len());
        changed.splice(at..(at + cut).min(changed.len()), with);
        let held = VERIFIER.prove(subject, &Content::Bundle(changed.clone().into()));
        let streamed = VERIFIER.prove(subject, &filed(&padded(&changed)));
        match (held, streamed) {
            (Ok(held), Ok(streamed)) => prop_assert!(same(&held, &streamed)),
            (Err(_), Err(_)) => {}
            (held, streamed) => prop_assert!(false, "{held:?} {streamed:?}"),
        }
    }

    /// The same for statements, whose payload is read at every place a reader could begin.
    #[test]
    fn a6_streamed_and_held_agree_on_every_changed_statement(
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["", "\"", "{", "}", ",", "\"subject\":[],", "\"Subject\":[],", "\"a\":1,\"a\":2,", "[[[[", "\u{e9}"]),
        cut in 0_usize..3,
    ) {
        let subject = Digest::sha256(b"image");
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}}}}],"predicateType":"t","predicate":{{"a":["x",1]}}}}"#,
            subject.to_hex()
        );
        let mut changed = text.into_bytes();
        let at = at.index(changed.len());
        changed.splice(at..(at + cut).min(changed.len()), with.bytes());
        let held = statement::read(&payload::Payload::from(Bytes::from(changed.clone())), &subject);
        let document = Document::in_a_file(format!("{{\"payload\":\"{}\"}}", BASE64.encode(&changed)).as_bytes());
        let rules = crate::oci::scan::Rules { depth: 2, items: 2, keys: 2, free: crate::oci::scan::Free::Nothing };
        let found = strict::scan("envelope", document.open(), rules, &[("payload", None)]).unwrap().remove(0).unwrap();
        let payload = payload::Payload::at(&found, &document, false).unwrap();
        let streamed = statement::read(&payload, &subject);
        match (held, streamed) {
            (Ok((held, hash)), Ok((streamed, same))) => {
                prop_assert_eq!(hash, same);
                prop_assert_eq!(held.predicate.whole(1_000), streamed.predicate.whole(1_000));
                prop_assert_eq!(held.predicate_type, streamed.predicate_type);
            }
            (Err(held), Err(streamed)) => prop_assert_eq!(held.to_string(), streamed.to_string()),
            (held, streamed) => prop_assert!(false, "{held:?} {streamed:?}"),
        }
    }
}
