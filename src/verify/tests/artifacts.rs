//! Bundles about files: by the file, by its digest, by a key.

use super::{
    forge::{Forge, Leaf},
    *,
};
use crate::verify::artifact::{Artifact, ManagedKey};

static FORGE: LazyLock<Forge> = LazyLock::new(Forge::new);

fn json_of(content: Content) -> Bytes {
    let Content::Bundle(json) = content else { unreachable!() };
    json.held().unwrap().clone()
}

#[test]
fn b15_a_key_that_signs_no_digest_proves_the_file_and_not_its_digest() {
    let home = tempfile::tempdir().unwrap();
    let (file, other) = (home.path().join("file"), home.path().join("other"));
    std::fs::write(&file, b"image").unwrap();
    std::fs::write(&other, b"imagf").unwrap();
    let (file, other) = (Artifact::open(&file).unwrap(), Artifact::open(&other).unwrap());
    let digest = Artifact::of(Digest::sha256(b"image"));
    assert_eq!(file.digest(), digest.digest());
    let verifier = FORGE.verifier();
    for (key, by_digest) in
        [(&rcgen::PKCS_ECDSA_P256_SHA256, true), (&rcgen::PKCS_ECDSA_P384_SHA384, false), (&rcgen::PKCS_ED25519, false)]
    {
        let json = json_of(FORGE.message(b"image", false, &Leaf { key, ..Leaf::default() }));
        assert!(matches!(verifier.prove_artifact(&json, &file).unwrap().content, Proven::File), "{key:?}");
        assert!(verifier.prove_artifact(&json, &other).is_err(), "{key:?}");
        let outcome = verifier.prove_artifact(&json, &digest);
        if by_digest {
            assert!(outcome.is_ok(), "{outcome:?}");
        } else {
            assert!(matches!(outcome, Err(VerifyError::Unsupported(_))), "{key:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_file_that_changed_between_two_readings_is_not_the_one_that_was_asked_about() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    std::fs::write(&path, b"another").unwrap();
    let artifact = Artifact::open(&path).unwrap();
    std::fs::write(&path, b"image").unwrap();
    let json = json_of(FORGE.message(b"image", false, &Leaf { key: &rcgen::PKCS_ED25519, ..Leaf::default() }));
    let outcome = FORGE.verifier().prove_artifact(&json, &artifact);
    assert!(matches!(&outcome, Err(VerifyError::Malformed(why)) if why.contains("changed while it was read")), "{outcome:?}");
}

#[test]
fn an_attestation_is_about_the_file_its_statement_names() {
    let (subject, attestation) = bundle("acme/app", SPDX);
    let json = attestation.to_string();
    let fact = VERIFIER.prove_artifact(json.as_bytes(), &Artifact::of(subject)).unwrap();
    assert!(same(&fact, &verify(&subject, &attestation).unwrap()));
    let outcome = VERIFIER.prove_artifact(json.as_bytes(), &Artifact::of(Digest::sha256(b"another")));
    assert!(matches!(outcome, Err(VerifyError::OtherSubject { .. })));
}

#[test]
fn r8_a_clock_in_1970_proves_no_file_either() {
    let verifier = FORGE.verifier().with_clock(|| Timestamp::from_second(60).unwrap());
    let json = json_of(FORGE.message(b"image", true, &Leaf::default()));
    let outcome = verifier.prove_artifact(&json, &Artifact::of(Digest::sha256(b"image")));
    assert!(matches!(outcome, Err(VerifyError::Clock { .. })));
}

#[test]
fn a_managed_key_is_one_public_key_and_nothing_else() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.public_key_pem();
    assert!(ManagedKey::from_pem(&pem).is_ok());
    for wrong in ["", "no key", &pair.serialize_pem(), &format!("{pem}{pem}"), &pem.replace("PUBLIC KEY", "CERTIFICATE")] {
        assert!(matches!(ManagedKey::from_pem(wrong), Err(VerifyError::Malformed(_))), "{wrong}");
    }
    let huge = format!("{pem}{}", " ".repeat(1 << 17));
    assert!(matches!(ManagedKey::from_pem(&huge), Err(VerifyError::TooLarge(_))));
}
