//! Mutations of genuine evidence: what is authenticated cannot be changed, and what is not changes no fact.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use proptest::prelude::*;

use super::*;

/// Every field of a bundle that something signs, as base64.
pub(super) const AUTHENTICATED: [&str; 5] = [
    "/dsseEnvelope/payload",
    "/dsseEnvelope/signatures/0/sig",
    "/verificationMaterial/certificate/rawBytes",
    "/verificationMaterial/tlogEntries/0/canonicalizedBody",
    "/verificationMaterial/tlogEntries/0/inclusionProof/hashes/0",
];

pub(super) static BUNDLES: LazyLock<Vec<(Digest, Bytes)>> = LazyLock::new(|| {
    let genuine = recorded().into_iter().filter_map(|piece| match &piece.content {
        Content::Bundle(json) if VERIFIER.prove(&piece.subject, &piece.content).is_ok() => {
            Some((piece.subject, json.held().unwrap().clone()))
        }
        Content::Bundle(_) | Content::CosignAttestation { .. } | Content::CosignSignature { .. } => None,
    });
    genuine.collect()
});

static OLDER: LazyLock<Vec<Recorded>> =
    LazyLock::new(|| recorded().into_iter().filter(|piece| !matches!(piece.content, Content::Bundle(_))).collect());

fn flip(bytes: &mut [u8], at: prop::sample::Index, bit: u8) {
    let at = at.index(bytes.len());
    bytes[at] ^= 1 << bit;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn b2_a_flipped_bit_in_anything_signed_never_verifies(
        which in any::<prop::sample::Index>(),
        path in prop::sample::select(AUTHENTICATED.as_slice()),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (subject, json) = which.get(BUNDLES.as_slice());
        let mut bundle: Value = serde_json::from_slice(json).unwrap();
        // The first entry of a log has an empty proof.
        if let Some(field) = bundle.pointer_mut(path) {
            let mut bytes = BASE64.decode(field.as_str().unwrap()).unwrap();
            flip(&mut bytes, at, bit);
            *field = json!(BASE64.encode(bytes));
            prop_assert!(super::verify(subject, &bundle).is_err(), "{path}");
        }
    }

    #[test]
    fn b2_a_changed_byte_anywhere_in_a_bundle_changes_no_fact(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (subject, json) = which.get(BUNDLES.as_slice());
        let genuine = VERIFIER.prove(subject, &Content::Bundle(json.clone().into())).unwrap();
        let mut changed = json.to_vec();
        let at = at.index(changed.len());
        changed[at] = byte;
        if let Ok(verified) = VERIFIER.prove(subject, &Content::Bundle(changed.into())) {
            prop_assert!(same(&verified, &genuine), "byte {at} as {byte}");
        }
    }

    #[test]
    fn b2_a_changed_byte_anywhere_in_cosigns_older_form_changes_no_fact(
        which in any::<prop::sample::Index>(),
        part in 0_u8..4,
        at in any::<prop::sample::Index>(),
        bit in 0_u8..7,
    ) {
        let piece = which.get(OLDER.as_slice());
        let genuine = VERIFIER.prove(&piece.subject, &piece.content).unwrap();
        let text = |text: &mut String| {
            let mut bytes = std::mem::take(text).into_bytes();
            flip(&mut bytes, at, bit);
            *text = String::from_utf8(bytes).unwrap_or_default();
        };
        let blob = |bytes: &mut Bytes| {
            let mut changed = bytes.to_vec();
            flip(&mut changed, at, bit);
            *bytes = changed.into();
        };
        let mut content = piece.content.clone();
        match (&mut content, part) {
            (Content::CosignAttestation { certificate, .. } | Content::CosignSignature { certificate, .. }, 0) => text(certificate),
            (Content::CosignAttestation { rekor_bundle, .. } | Content::CosignSignature { rekor_bundle, .. }, 1) => {
                text(rekor_bundle.as_mut().unwrap());
            }
            (Content::CosignSignature { signature, .. }, 2) => text(signature),
            (Content::CosignSignature { payload, .. }, _) => blob(payload),
            (Content::CosignAttestation { envelope, .. }, _) => {
                let mut bytes = envelope.held().unwrap().clone();
                blob(&mut bytes);
                *envelope = bytes.into();
            }
            (Content::Bundle(_), _) => unreachable!(),
        }
        if let Ok(verified) = VERIFIER.prove(&piece.subject, &content) {
            prop_assert!(same(&verified, &genuine), "part {part}");
        }
    }
}
