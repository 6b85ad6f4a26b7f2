//! Several trust roots, and such as have no log: what each proves by itself, and that none lends another anything.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{
    forge::{Forge, Leaf, Logged},
    *,
};
use crate::verify::trust_root::document::{self, Document};

const LAX: Relaxed = Relaxed { no_log: true, no_sct: true };

fn under(name: &str, relaxed: Relaxed, root: &Value) -> Arc<Sigstore> {
    let document = document::parse(root.to_string().as_bytes(), relaxed).unwrap();
    Arc::new(Sigstore::new(name.into(), relaxed, document).unwrap())
}

fn acme() -> Value {
    serde_json::from_slice(&trusted_root()).unwrap()
}

/// The recorded root as an instance without logs has it: authorities only.
fn private(keep: &[&str]) -> Value {
    let mut root = acme();
    for kind in ["tlogs", "ctlogs"] {
        if !keep.contains(&kind) {
            root[kind] = json!([]);
        }
    }
    root
}

/// The recorded bundle of `acme/app` as such an instance makes it: signed and timestamped, logged nowhere.
fn unlogged(kind: &str) -> (Digest, Value) {
    let (subject, mut bundle) = bundle("acme/app", kind);
    bundle["verificationMaterial"].as_object_mut().unwrap().remove("tlogEntries");
    (subject, bundle)
}

fn ask(verifier: &impl Verifier, subject: &Digest, bundle: &Value) -> Result<Vec<(String, LogEvidence)>, VerifyError> {
    let facts = Verifier::verify(verifier, subject, &Content::Bundle(bundle.to_string().into()))?;
    Ok(facts.into_iter().map(|fact| (fact.signer.trust_root.to_string(), fact.log)).collect())
}

fn statement(subject: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": SPDX, "predicate": {},
        "subject": [{"digest": {"sha256": subject.to_hex()}}],
    })
}

#[test]
fn every_root_under_which_a_piece_verifies_gives_a_fact_whatever_the_order() {
    let forge = Forge::new();
    let (subject, recorded) = bundle("acme/app", "signature");
    let forged = forge.bundle(&statement(&subject), &Leaf::default(), &Logged::default());
    let make = |names: [&str; 3]| {
        let [one, two, other] = names;
        let roots = vec![
            under(one, Relaxed::default(), &acme()),
            under(two, Relaxed::default(), &acme()),
            under(other, Relaxed::default(), &forge.root()),
        ];
        Roots::new(roots, Vec::new()).unwrap()
    };
    for names in [["default", "zeta", "mine"], ["zeta", "default", "mine"], ["b", "c", "a"]] {
        let roots = make(names);
        let mut both = [names[0], names[1]].map(|name| (name.to_owned(), LogEvidence::Proof));
        both.sort();
        assert_eq!(ask(&roots, &subject, &recorded).unwrap(), both);
        let facts = Verifier::verify(&roots, &subject, &forged).unwrap();
        assert_eq!(facts.iter().map(|fact| &*fact.signer.trust_root).collect::<Vec<_>>(), [names[2]]);
    }
}

#[test]
fn what_no_root_proves_is_told_by_the_root_that_came_furthest() {
    let forge = Forge::new();
    let roots =
        Roots::new(vec![under("a", Relaxed::default(), &forge.root()), under("b", Relaxed::default(), &acme())], Vec::new());
    let roots = roots.unwrap();
    let (subject, mut broken) = bundle("acme/app", "signature");
    let entry = &mut broken["verificationMaterial"]["tlogEntries"][0];
    let mut proof = bundle::base64("proof", entry["inclusionProof"]["hashes"][0].as_str().unwrap()).unwrap();
    proof[0] ^= 1;
    entry["inclusionProof"]["hashes"][0] = json!(BASE64.encode(proof));
    let error = ask(&roots, &subject, &broken).unwrap_err();
    assert!(matches!(&error, VerifyError::Log(text) if text.ends_with("(trust root b)")), "{error}");
    // What is wrong before any root is asked is told as it is.
    let other = Digest::sha256(b"another");
    assert!(matches!(ask(&roots, &other, &broken), Err(VerifyError::OtherSubject { .. })));
    // One root alone needs no name.
    let alone = Roots::new(vec![under("b", Relaxed::default(), &acme())], Vec::new()).unwrap();
    assert!(!ask(&alone, &subject, &broken).unwrap_err().to_string().contains("trust root"));
}

#[test]
fn c9_the_epoch_is_of_names_documents_and_what_is_relaxed() {
    let strict = Relaxed::default();
    let epoch = |roots: Vec<Arc<Sigstore>>| Roots::new(roots, Vec::new()).unwrap().epoch();
    let (a, b) = (acme(), Forge::new().root());
    let one = epoch(vec![under("default", strict, &a)]);
    assert_eq!(one, VERIFIER.epoch(), "one root is the same alone and in a set");
    let two = epoch(vec![under("default", strict, &a), under("more", strict, &b)]);
    assert_eq!(two, epoch(vec![under("more", strict, &b), under("default", strict, &a)]), "order is none of it");
    let lax = |relaxed, keep: &[&str]| epoch(vec![under("default", relaxed, &private(keep))]);
    let all = [
        one,
        two,
        epoch(vec![under("other", strict, &a)]),
        epoch(vec![under("default", strict, &b)]),
        epoch(vec![under("default", strict, &b), under("more", strict, &a)]),
        lax(LAX, &[]),
        lax(Relaxed { no_log: true, no_sct: false }, &["ctlogs"]),
        lax(Relaxed { no_log: false, no_sct: true }, &["tlogs"]),
    ];
    for (at, epoch) in all.iter().enumerate() {
        assert!(!all[..at].contains(epoch), "{at}");
    }
    // The document says what is relaxed already, and should it ever not: two roots that differ in the flag alone.
    let document = |relaxed| {
        let Document { root, digest } = document::parse(private(&[]).to_string().as_bytes(), LAX).unwrap();
        Roots::new(vec![Arc::new(Sigstore::new("default".into(), relaxed, Document { root, digest }).unwrap())], Vec::new())
    };
    assert_ne!(document(LAX).unwrap().epoch(), document(Relaxed { no_log: false, no_sct: true }).unwrap().epoch());
}

#[test]
fn without_a_log_a_timestamped_bundle_counts_and_is_of_the_weakest_kind() {
    let root = under("github", LAX, &private(&[]));
    for kind in ["signature", SPDX] {
        let (subject, bundle) = unlogged(kind);
        assert_eq!(ask(&*root, &subject, &bundle).unwrap(), [("github".to_owned(), LogEvidence::Absent)]);
        let fact = root.prove(&subject, &Content::Bundle(bundle.to_string().into())).unwrap();
        assert!(fact.entries.is_empty() && fact.times.len() == 1);
        // Under the root that has a log it counts for nothing.
        assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Log(_))));
    }
    assert!(LogEvidence::Absent < LogEvidence::Promise && LogEvidence::Promise < LogEvidence::Proof);
    assert!(LogEvidence::Absent.meets(LogEvidence::Promise) && !LogEvidence::Absent.meets(LogEvidence::Proof));
    assert!(!LogEvidence::Promise.meets(LogEvidence::Proof) && LogEvidence::Proof.meets(LogEvidence::Proof));
}

#[test]
fn without_a_log_all_else_still_holds() {
    let root = under("github", LAX, &private(&[]));
    let (subject, good) = unlogged("signature");
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        assert_ne!(bundle, good);
        ask(&*root, &subject, &bundle).unwrap_err()
    };
    let (_, theirs) = unlogged(SPDX);
    // No time but a timestamp authority's.
    let untimed =
        refused(&|bundle| _ = bundle["verificationMaterial"].as_object_mut().unwrap().remove("timestampVerificationData"));
    assert!(matches!(untimed, VerifyError::Malformed(_) | VerifyError::Timestamp(_)), "{untimed}");
    for path in
        ["/verificationMaterial/timestampVerificationData", "/dsseEnvelope/signatures", "/verificationMaterial/certificate"]
    {
        refused(&|bundle| *bundle.pointer_mut(path).unwrap() = theirs.pointer(path).unwrap().clone());
    }
    // A log entry that nothing here could check is not carried along (CVE-2022-36056).
    let (_, logged) = bundle("acme/app", "signature");
    let carried = ask(&*root, &subject, &logged).unwrap_err();
    assert!(matches!(&carried, VerifyError::Log(text) if text.contains("no log to check it by")), "{carried}");
    // Another authority, and another image.
    let mut elsewhere = private(&[]);
    elsewhere["certificateAuthorities"] = Forge::new().root()["certificateAuthorities"].clone();
    assert!(matches!(ask(&*under("github", LAX, &elsewhere), &subject, &good), Err(VerifyError::Certificate(_))));
    assert!(matches!(ask(&*root, &Digest::sha256(b"another"), &good), Err(VerifyError::OtherSubject { .. })));
    // And a certificate that was not valid when it signed.
    let expired = root.prove(&subject, &Content::Bundle(good.to_string().into())).unwrap().times[0];
    let before = json!({"start": "2026-11-01T00:00:00Z", "end": (expired - jiff::SignedDuration::from_secs(1)).to_string()});
    for kind in ["certificateAuthorities", "timestampAuthorities"] {
        let mut narrow = private(&[]);
        // Its certificates begin on the day itself.
        narrow[kind][0]["validFor"] = before.clone();
        assert!(ask(&*under("github", LAX, &narrow), &subject, &good).is_err(), "{kind}");
    }
}

#[test]
fn b14_giving_up_the_log_does_not_give_up_the_sct_nor_the_other_way() {
    let (subject, unlogged) = unlogged("signature");
    let no_log = Relaxed { no_log: true, no_sct: false };
    let kept = under("github", no_log, &private(&["ctlogs"]));
    assert!(ask(&*kept, &subject, &unlogged).is_ok());
    let mut other_ct = private(&["ctlogs"]);
    other_ct["ctlogs"] = Forge::new().root()["ctlogs"].clone();
    assert!(matches!(ask(&*under("github", no_log, &other_ct), &subject, &unlogged), Err(VerifyError::Certificate(_))));

    let no_sct = under("github", Relaxed { no_log: false, no_sct: true }, &private(&["tlogs"]));
    assert!(matches!(ask(&*no_sct, &subject, &unlogged), Err(VerifyError::Log(_))));
    let (_, logged) = bundle("acme/app", "signature");
    assert_eq!(ask(&*no_sct, &subject, &logged).unwrap(), [("github".to_owned(), LogEvidence::Proof)]);
}

#[test]
fn a_relaxed_root_relaxes_no_other() {
    let forge = Forge::new();
    let roots = vec![under("default", Relaxed::default(), &acme()), under("github", LAX, &private(&[]))];
    let roots = Roots::new(roots, Vec::new()).unwrap();
    // The same authorities under both: what was logged counts under the one, what was not under the other.
    let (subject, logged) = bundle("acme/app", "signature");
    assert_eq!(ask(&roots, &subject, &logged).unwrap(), [("default".to_owned(), LogEvidence::Proof)]);
    let (_, unlogged) = unlogged("signature");
    assert_eq!(ask(&roots, &subject, &unlogged).unwrap(), [("github".to_owned(), LogEvidence::Absent)]);
    // And one that belongs to neither is none's: what is said is what the root with a log says of it.
    let foreign = forge.bundle(&statement(&subject), &Leaf::default(), &Logged::default());
    let error = Verifier::verify(&roots, &subject, &foreign).unwrap_err();
    assert!(error.to_string().ends_with("(trust root default)"), "{error}");
}

/// A real attestation of a release by GitHub's own instance. All of it verifies under the root the crate carries for that
/// instance; what is missing is the OIDC issuer, which GitHub's release certificates do not name and every policy asks for.
#[test]
fn githubs_own_release_attestation_verifies_but_names_no_issuer() {
    let github = sigstore_trust_root::SigstoreInstance::GitHub.embedded_trusted_root_json();
    let root = under("github", LAX, &serde_json::from_str(github).unwrap());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/github/release.sigstore.json");
    let mut release: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let subject = "sha256:b958c6046bab52febf958c94974e1ffcc450bff78c28d7233e179bfd73828912".parse().unwrap();
    let error = ask(&*root, &subject, &release).unwrap_err();
    assert_eq!(error.to_string(), "certificate: it names no OIDC issuer");
    // That is the last of the steps: with another signature it does not come so far.
    let (_, acme) = bundle("acme/app", "signature");
    release["dsseEnvelope"]["signatures"] = acme["dsseEnvelope"]["signatures"].clone();
    assert!(matches!(ask(&*root, &subject, &release), Err(VerifyError::Timestamp(_))));
}
