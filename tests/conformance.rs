//! sigstore-conformance's bundle-verify cases through `pullgate verify-bundle`, each with the artifact and with its digest;
//! and what that suite does not ask: who signed.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use sha2::{Digest as _, Sha256};

/// The identity a case has that names none.
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Cases that come out otherwise than the suite says, with the reason. One of them that comes out right fails too.
const XFAILS: &[(&str, &str)] = &[];

/// What each case that must fail is refused for: the category, not merely that it is refused (threats B1).
const REFUSED_FOR: [(&str, &str); 49] = [
    ("bundle-empty-certificate-chain_fail", "malformed: verificationMaterial: the certificate chain is empty"),
    ("bundle-from-wrong-instance_fail", "transparency log: invalid inclusion promise: No log key"),
    ("bundle-invalid-base64-signature_fail", "malformed: messageSignature"),
    ("bundle-malformed-json_fail", "malformed: bundle"),
    ("bundle-negative-log-index_fail", "malformed: verificationMaterial: negative log index"),
    ("bundle-unknown-version_fail", "not supported: bundle of type"),
    // The root certificate in it is never looked at: of a chain only the leaf is taken.
    ("bundle-with-root-cert_fail", "transparency log: Bundle error: inclusion proof has no checkpoint"),
    ("checkpoint-bad-keyhint_fail", "transparency log: invalid checkpoint: No matching"),
    ("checkpoint-wrong-roothash_fail", "transparency log: Bundle error: inclusion proof root hash does not match"),
    ("dsse-invalid-sig_fail", "signature: "),
    ("dsse-mismatch-envelope_fail", "transparency log: log entry does not match the bundle"),
    ("dsse-mismatch-sig_fail", "transparency log: log entry does not match the bundle"),
    ("inclusion-proof-corrupted-hash_fail", "transparency log: invalid inclusion proof"),
    ("incorrect-public-key_fail", "transparency log: invalid inclusion promise: SET"),
    ("integrated-time-in-future_fail", "certificate: certificate chain is invalid"),
    ("intoto-expired-certificate_fail", "certificate: certificate chain is invalid"),
    ("intoto-log-entry-mismatch_fail", "transparency log: malformed log entry"),
    ("intoto-missing-inclusion-proof_fail", "transparency log: Bundle error"),
    ("intoto-set-outside-signing-cert-validity_fail", "certificate: certificate chain is invalid"),
    ("intoto-tsa-timestamp-outside-cert-validity_fail", "certificate: certificate chain is invalid"),
    ("invalid-checkpoint-signature_fail", "transparency log: invalid checkpoint: No valid"),
    ("invalid-ct-key_fail", "certificate: invalid signed certificate timestamp"),
    ("invalid-inclusion-proof_fail", "transparency log: Bundle error: inclusion proof has no checkpoint"),
    ("managed-key-no-key_fail", "not supported: signed with a managed key"),
    // Its `key.pub` is no key at all.
    ("managed-key-wrong-key_fail", "managed-key-wrong-key_fail/key.pub: malformed: public key"),
    ("message-digest-mismatch_fail", "it is about sha256:"),
    ("rekor2-checkpoint-missing-log-signature_fail", "malformed: verificationMaterial: Invalid checkpoint"),
    ("rekor2-checkpoint-missing-origin_fail", "malformed: verificationMaterial: Invalid checkpoint"),
    ("rekor2-checkpoint-missing-root-hash_fail", "malformed: verificationMaterial: Invalid checkpoint"),
    ("rekor2-checkpoint-missing-size_fail", "malformed: verificationMaterial: Invalid checkpoint"),
    ("rekor2-checkpoint-no-matching-signature_fail", "transparency log: invalid checkpoint: No valid"),
    ("rekor2-dsse-invalid-sig_fail", "signature: "),
    ("rekor2-dsse-mismatch-envelope_fail", "transparency log: "),
    ("rekor2-dsse-mismatch-sig_fail", "transparency log: log entry does not match the bundle"),
    ("rekor2-no-inclusion-proof_fail", "transparency log: an entry has neither inclusion proof nor promise"),
    ("rekor2-no-timestamp_fail", "timestamp: no verified timestamp"),
    ("rekor2-timestamp-outside-trust-root-tsa-validity_fail", "timestamp: RFC 3161 timestamp"),
    ("rekor2-timestamp-outside-tsa-cert-validity_fail", "timestamp: invalid RFC 3161 timestamp"),
    ("rekor2-timestamp-payload-mismatch_fail", "timestamp: invalid RFC 3161 timestamp"),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", "timestamp: invalid RFC 3161 timestamp"),
    ("rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail", "timestamp: invalid RFC 3161 timestamp"),
    // Its timestamp is broken over lines, which base64 in JSON is not.
    ("rekor2-timestamp-with-incorrect-time_fail", "malformed: verificationMaterial: Invalid encoding"),
    ("set-invalid-signature_fail", "transparency log: invalid inclusion promise: SET"),
    ("signature-mismatch_fail", "signature: "),
    ("trust-root-tlog-missing-validity-start_fail", "trust root: tlogs[1].publicKey.validFor.start: it is missing"),
    ("wrong-hashedrekord-artifact_fail", "it is about "),
    ("wrong-hashedrekord-cert-and-sig_fail", "transparency log: log entry does not match the bundle"),
    ("wrong-hashedrekord-entry_fail", "it is about "),
    ("wrong-material_fail", "it is about sha256:"),
];

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance/bundle-verify")
}

/// What `verify-bundle` said of these arguments, in the cases' directory: its exit code and its words.
fn verify_bundle(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
    let output = command.arg("verify-bundle").args(arguments).current_dir(cases()).output().unwrap();
    let words = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().expect("it ends by itself"), String::from_utf8(words).unwrap())
}

/// The arguments the suite gives for a case, without the artifact.
fn arguments(case: &str) -> Vec<String> {
    let there = |name: &str| cases().join(case).join(name).exists();
    let text = |name: &str, otherwise: &str| {
        fs::read_to_string(cases().join(case).join(name)).map_or_else(|_| otherwise.to_owned(), |text| text.trim().to_owned())
    };
    let mut arguments = vec!["--bundle".to_owned(), format!("{case}/bundle.sigstore.json")];
    if there("key.pub") {
        arguments.extend(["--key".to_owned(), format!("{case}/key.pub")]);
    } else {
        arguments.extend(["--certificate-identity".to_owned(), text("identity", IDENTITY)]);
        arguments.extend(["--certificate-oidc-issuer".to_owned(), text("issuer", ISSUER)]);
    }
    if there("trusted_root.json") {
        arguments.extend(["--trusted-root".to_owned(), format!("{case}/trusted_root.json")]);
    }
    arguments
}

fn artifact(case: &str) -> String {
    let own = format!("{case}/artifact");
    if cases().join(&own).exists() { own } else { "a.txt".to_owned() }
}

fn digest(artifact: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(fs::read(cases().join(artifact)).unwrap())))
}

/// What is wrong with how a case came out, if anything is.
fn wrong(case: &str) -> Option<String> {
    let reasons: BTreeMap<&str, &str> = REFUSED_FOR.into();
    for artifact in [artifact(case), digest(&artifact(case))] {
        let mut arguments = arguments(case);
        arguments.push(artifact.clone());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, words) = verify_bundle(&arguments);
        let good = match reasons.get(case) {
            Some(reason) => matches!(code, 1 | 64) && words.starts_with(reason),
            None => code == 0 && words.starts_with(&digest(&self::artifact(case))),
        };
        if !good {
            return Some(format!("{case} with {artifact}: exit {code}: {words}"));
        }
    }
    None
}

#[test]
fn b1_every_case_of_the_suite_comes_out_as_it_says_and_for_its_own_reason() {
    let mut names: Vec<String> = fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 70);
    let failing: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.ends_with("_fail")).collect();
    assert_eq!(failing, REFUSED_FOR.map(|(name, _)| name));

    let found: Vec<(&str, Option<String>)> = thread::scope(|scope| {
        let halves: Vec<_> = names
            .chunks(names.len().div_ceil(2))
            .map(|half| scope.spawn(|| half.iter().map(|name| (name.as_str(), wrong(name))).collect::<Vec<_>>()))
            .collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    let mut problems = Vec::new();
    for (name, wrong) in found {
        match (wrong, XFAILS.iter().any(|(xfail, _)| *xfail == name)) {
            (Some(wrong), false) => problems.push(wrong),
            (None, true) => problems.push(format!("{name} comes out right and is among the XFAILS")),
            (Some(_), true) | (None, false) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn i1_i4_another_identity_or_issuer_is_refused_though_all_else_verifies() {
    let ask = |identity: &str, issuer: &str| {
        let bundle = "happy-path-v0.3/bundle.sigstore.json";
        verify_bundle(&["--bundle", bundle, "--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "a.txt"])
    };
    let (code, words) = ask(IDENTITY, ISSUER);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains(&format!("signed by {IDENTITY} of issuer {ISSUER} at 2024-03-19T17:26:26Z")), "{words}");
    assert!(words.ends_with("(log proof)\n"), "{words}");
    for (identity, issuer) in [
        (&*format!("{IDENTITY}x"), ISSUER),
        (&IDENTITY[..IDENTITY.len() - 1], ISSUER),
        (&*IDENTITY.to_uppercase(), ISSUER),
        (".*", ISSUER),
        ("", ISSUER),
        (IDENTITY, "https://token.actions.githubusercontent.com/"),
        (IDENTITY, "https://accounts.google.com"),
        (IDENTITY, ""),
    ] {
        let (code, words) = ask(identity, issuer);
        assert_eq!(code, 1, "{identity} {issuer}: {words}");
        assert!(words.starts_with(&format!("signed by {IDENTITY} of issuer {ISSUER}, wanted {identity}")), "{words}");
    }
}

#[test]
fn the_staging_root_is_another_than_the_public_one() {
    let case = "bundle-from-wrong-instance_fail";
    let mut with = arguments(case);
    with.extend(["--staging".to_owned(), artifact(case)]);
    let with: Vec<&str> = with.iter().map(String::as_str).collect();
    let (code, words) = verify_bundle(&with);
    assert_eq!(code, 0, "{words}");
    // And under staging, what the public instance signed is nothing.
    let mut other = arguments("happy-path-v0.3");
    other.extend(["--staging".to_owned(), "a.txt".to_owned()]);
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    assert_eq!(verify_bundle(&other).0, 1);
}

#[test]
fn a_bundle_signed_by_a_key_is_no_keyless_one_and_the_other_way() {
    let key = "managed-key-happy-path/key.pub";
    let (code, words) = verify_bundle(&["--bundle", "happy-path-v0.3/bundle.sigstore.json", "--key", key, "a.txt"]);
    assert_eq!((code, words.as_str()), (1, "not supported: signed with a certificate, not with a managed key\n"));
    let managed = "managed-key-happy-path/bundle.sigstore.json";
    let (code, words) = verify_bundle(&["--bundle", managed, "--key", key, "a.txt"]);
    assert_eq!(code, 0, "{words}");
    // A key that is one, and not the one.
    let home = tempfile::tempdir().unwrap();
    let other = home.path().join("other.pub");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    fs::write(&other, pair.public_key_pem()).unwrap();
    let (code, words) = verify_bundle(&["--bundle", managed, "--key", other.to_str().unwrap(), "a.txt"]);
    assert!(code == 1 && words.starts_with("signature: "), "{code}: {words}");
}

#[test]
fn what_looks_like_a_digest_is_a_file_where_there_is_one() {
    let home = tempfile::tempdir().unwrap();
    let name = digest("a.txt");
    fs::write(home.path().join(&name), "something else").unwrap();
    let bundle = cases().join("happy-path-v0.3/bundle.sigstore.json");
    let run = |directory: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
        command.arg("verify-bundle").arg("--bundle").arg(&bundle).args(["--certificate-identity", IDENTITY]);
        command.args(["--certificate-oidc-issuer", ISSUER, &name]).current_dir(directory).output().unwrap().status.code()
    };
    assert_eq!(run(home.path()), Some(1));
    assert_eq!(run(&cases()), Some(0));
    // Not a digest's length, or another algorithm's: a file that is not there.
    for odd in ["sha256:abc", &format!("sha512:{}", "0".repeat(128))] {
        let mut with = arguments("happy-path-v0.3");
        with.push((*odd).to_owned());
        let with: Vec<&str> = with.iter().map(String::as_str).collect();
        assert_eq!(verify_bundle(&with).0, 64, "{odd}");
    }
}

#[test]
fn a_command_line_or_a_file_that_cannot_be_used_is_64_and_names_what() {
    let bundle = ["--bundle", "happy-path-v0.3/bundle.sigstore.json"];
    let identity = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER];
    let key = ["--key", "managed-key-happy-path/key.pub"];
    for (arguments, said) in [
        ([&bundle[..], &["a.txt"]].concat(), "--certificate-identity"),
        ([&bundle[..], &identity[..2], &["a.txt"]].concat(), "--certificate-oidc-issuer"),
        ([&bundle[..], &identity[..], &key[..], &["a.txt"]].concat(), "--key"),
        ([&bundle[..], &identity[..]].concat(), "FILE_OR_DIGEST"),
        ([&identity[..], &["a.txt"]].concat(), "--bundle"),
        ([&bundle[..], &identity[..], &["none.txt"]].concat(), "none.txt: "),
        ([&["--bundle", "none.json"], &identity[..], &["a.txt"]].concat(), "none.json: "),
        ([&bundle[..], &identity[..], &["--trusted-root", "a.txt", "a.txt"]].concat(), "trust root: "),
        ([&bundle[..], &["--key", "a.txt", "a.txt"]].concat(), "a.txt: malformed: public key"),
    ] {
        let (code, words) = verify_bundle(&arguments);
        assert_eq!(code, 64, "{arguments:?}: {words}");
        assert!(words.contains(said), "{arguments:?}: {words}");
    }
}
