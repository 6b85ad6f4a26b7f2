//! Every byte that something signed, in every recorded bundle, by every root that is recorded for it: altered, it proves
//! nothing. Where a bundle is not signed, what is altered changes no fact.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use proptest::prelude::*;

use super::*;
use crate::verify::artifact::{Artifact, Instance, ManagedKey};

/// A bundle that verifies, and how to ask that of another.
struct Genuine {
    name: String,
    bundle: Value,
    proves: Box<dyn Fn(&Value) -> bool + Send + Sync>,
}

static ALL: LazyLock<Vec<Genuine>> = LazyLock::new(|| {
    let mut all: Vec<Genuine> = ["acme", "policy"].into_iter().flat_map(layout).collect();
    all.extend(conformance());
    for genuine in &all {
        assert!((genuine.proves)(&genuine.bundle), "{}", genuine.name);
    }
    assert!(all.len() > 100, "{}", all.len());
    all
});

fn text<'v>(bundle: &'v Value, pointer: &str) -> &'v str {
    bundle.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The bundles of a recorded layout, about what their statements say.
fn layout(set: &str) -> Vec<Genuine> {
    let home = fixtures().parent().unwrap().join(set);
    let root = Sigstore::from_trusted_root(&std::fs::read(home.join("trusted_root.json")).unwrap()).unwrap();
    let root = std::sync::Arc::new(root);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(home.join("registry/blobs/sha256")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let Ok(bundle) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let payload = BASE64.decode(text(&bundle, "/dsseEnvelope/payload")).unwrap();
        let Ok(statement) = serde_json::from_slice::<Value>(&payload) else { continue };
        let digest = text(&statement, "/subject/0/digest/sha256");
        let subject: Digest = format!("sha256:{digest}").parse().unwrap();
        let root = std::sync::Arc::clone(&root);
        let proves = move |bundle: &Value| root.prove(&subject, &Content::Bundle(bundle.to_string().into())).is_ok();
        if proves(&bundle) {
            found.push(Genuine { name: format!("{set} {}", &digest[..12]), bundle, proves: Box::new(proves) });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The suite's bundles that must verify: the public instance's, of every version, and one signed with a key.
fn conformance() -> Vec<Genuine> {
    let home = fixtures().parent().unwrap().join("conformance/bundle-verify");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&home).unwrap() {
        let case = entry.unwrap().path();
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        if !case.is_dir() || name.ends_with("_fail") {
            continue;
        }
        let root = match std::fs::read(case.join("trusted_root.json")) {
            Ok(json) => Sigstore::from_trusted_root(&json).unwrap(),
            Err(_) => Sigstore::built_in(Instance::Public).unwrap(),
        };
        let own = case.join("artifact");
        let artifact = Artifact::open(&if own.exists() { own } else { home.join("a.txt") }).unwrap();
        let key = std::fs::read_to_string(case.join("key.pub")).ok().map(|pem| ManagedKey::from_pem(&pem).unwrap());
        let proves = move |bundle: &Value| {
            let json = bundle.to_string();
            match &key {
                Some(key) => root.prove_artifact_by(key, json.as_bytes(), &artifact).is_ok(),
                None => root.prove_artifact(json.as_bytes(), &artifact).is_ok(),
            }
        };
        let bundle = serde_json::from_slice(&std::fs::read(case.join("bundle.sigstore.json")).unwrap()).unwrap();
        found.push(Genuine { name, bundle, proves: Box::new(proves) });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Something that is signed, and where in the bundle.
#[derive(Debug, Clone)]
enum Signed {
    /// Bytes in base64, all of them.
    Bytes(String),
    /// A decimal number in a string.
    Number(String),
    /// A checkpoint: its text up to the signatures.
    Note(String),
    /// These bytes of a DER token: what it is a timestamp of, and the time.
    Token(String, std::ops::Range<usize>),
}

fn signed(bundle: &Value) -> Vec<Signed> {
    let material = "/verificationMaterial";
    let mut found: Vec<Signed> = [
        "/dsseEnvelope/payload",
        "/dsseEnvelope/signatures/0/sig",
        "/messageSignature/signature",
        "/messageSignature/messageDigest/digest",
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/x509CertificateChain/certificates/0/rawBytes",
    ]
    .into_iter()
    .filter(|pointer| bundle.pointer(pointer).is_some())
    .map(|pointer| Signed::Bytes(pointer.to_owned()))
    .collect();
    let count = |pointer: &str| bundle.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
    for at in 0..count(&format!("{material}/tlogEntries")) {
        let entry = format!("{material}/tlogEntries/{at}");
        let there = |name: &str| bundle.pointer(&format!("{entry}/{name}")).is_some();
        let v2 = text(bundle, &format!("{entry}/kindVersion/version")) == "0.0.2"
            && text(bundle, &format!("{entry}/kindVersion/kind")) == "hashedrekord";
        // A number that is zero may be left out.
        let number = |name: &str| there(name).then(|| Signed::Number(format!("{entry}/{name}")));
        found.push(Signed::Bytes(format!("{entry}/canonicalizedBody")));
        if there("inclusionPromise") {
            // What a signed entry timestamp covers.
            found.push(Signed::Bytes(format!("{entry}/inclusionPromise/signedEntryTimestamp")));
            found.push(Signed::Bytes(format!("{entry}/logId/keyId")));
            found.extend(["logIndex", "integratedTime"].into_iter().filter_map(number));
        }
        if there("inclusionProof") {
            found.push(Signed::Note(format!("{entry}/inclusionProof/checkpoint/envelope")));
            let hashes = count(&format!("{entry}/inclusionProof/hashes"));
            found.extend((0..hashes).map(|hash| Signed::Bytes(format!("{entry}/inclusionProof/hashes/{hash}"))));
            if v2 {
                found.extend(number("logIndex"));
            } else {
                found.push(Signed::Bytes(format!("{entry}/inclusionProof/rootHash")));
                found.extend(["inclusionProof/logIndex", "inclusionProof/treeSize"].into_iter().filter_map(number));
            }
        }
    }
    let signature =
        ["/dsseEnvelope/signatures/0/sig", "/messageSignature/signature"].map(|pointer| text(bundle, pointer)).concat();
    let imprint = Digest::sha256(&BASE64.decode(signature).unwrap());
    for at in 0..count(&format!("{material}/timestampVerificationData/rfc3161Timestamps")) {
        let pointer = format!("{material}/timestampVerificationData/rfc3161Timestamps/{at}/signedTimestamp");
        let token = BASE64.decode(text(bundle, &pointer)).unwrap();
        let find = |wanted: &[u8]| token.windows(wanted.len()).position(|window| window == wanted);
        if let Some(start) = find(imprint.as_bytes()) {
            found.push(Signed::Token(pointer.clone(), start..start + 32));
        }
        // A GeneralizedTime of this century, as `genTime` is.
        if let Some(start) = find(&[0x18, 0x0f, b'2', b'0']) {
            found.push(Signed::Token(pointer, start + 2..start + 17));
        }
    }
    found
}

/// The bundle with one bit, digit or character of `part` another.
fn altered(bundle: &Value, part: &Signed, at: prop::sample::Index, bit: u8) -> Value {
    let mut altered = bundle.clone();
    let mut change = |pointer: &str, change: &dyn Fn(&str) -> String| {
        let field = altered.pointer_mut(pointer).unwrap();
        *field = json!(change(field.as_str().unwrap_or_else(|| panic!("{pointer}: {field}"))));
    };
    let flip = |bytes: &mut [u8]| bytes[at.index(bytes.len())] ^= 1 << bit;
    match part {
        Signed::Bytes(pointer) => change(pointer, &|text| {
            let mut bytes = BASE64.decode(text).unwrap();
            flip(&mut bytes);
            BASE64.encode(bytes)
        }),
        Signed::Token(pointer, range) => change(pointer, &|text| {
            let mut bytes = BASE64.decode(text).unwrap();
            flip(&mut bytes[range.clone()]);
            BASE64.encode(bytes)
        }),
        Signed::Number(pointer) => change(pointer, &|text| (text.parse::<u64>().unwrap() ^ (1 << bit)).to_string()),
        Signed::Note(pointer) => change(pointer, &|text| {
            let body = text.find("\n\n").unwrap();
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(body);
            characters[at] = if characters[at] == '7' { '8' } else { '7' };
            characters.into_iter().collect()
        }),
    }
    assert_ne!(&altered, bundle);
    altered
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1) })]

    #[test]
    // One case is more than two thousand: each signed part of each bundle, altered at one place.
    fn b2_no_bundle_proves_anything_with_a_signed_byte_altered(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        for genuine in ALL.iter() {
            for part in signed(&genuine.bundle) {
                let altered = altered(&genuine.bundle, &part, at, bit);
                prop_assert!(!(genuine.proves)(&altered), "{}: {part:?} {at:?} {bit}", genuine.name);
            }
        }
    }
}

#[test]
fn b2_every_form_of_log_time_and_signer_is_among_what_is_altered() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for part in ALL.iter().flat_map(|genuine| signed(&genuine.bundle)) {
        let (Signed::Bytes(pointer) | Signed::Number(pointer) | Signed::Note(pointer) | Signed::Token(pointer, _)) = part;
        let name = pointer.rsplit('/').find(|segment| segment.parse::<u8>().is_err()).unwrap().to_owned();
        *kinds.entry(name).or_default() += 1;
    }
    let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
    let expected = [
        "canonicalizedBody",
        "digest",
        "envelope",
        "hashes",
        "integratedTime",
        "keyId",
        "logIndex",
        "payload",
        "rawBytes",
        "rootHash",
        "sig",
        "signature",
        "signedEntryTimestamp",
        "signedTimestamp",
        "treeSize",
    ];
    assert_eq!(names, expected, "{kinds:?}");
}

/// What a bundle says its log is called is signed by nobody where there is only a proof; and a deny-list names log entries.
#[test]
fn the_log_of_an_entry_is_the_one_that_signed_whatever_the_bundle_calls_it() {
    let (subject, good) = bundle("acme/app", "signature");
    let entries = verify(&subject, &good).unwrap().entries;
    let root: Value = serde_json::from_slice(&trusted_root()).unwrap();
    let ids: Vec<&str> = (0..2).map(|at| text(&root, ["/tlogs/0/logId/keyId", "/tlogs/1/logId/keyId"][at])).collect();
    let own = text(&good, "/verificationMaterial/tlogEntries/0/logId/keyId");
    assert!(ids.contains(&own));
    assert_eq!(entries[0].log, hex::encode(BASE64.decode(own).unwrap()));
    assert!(entries[0].index.is_some());
    let mut names: Vec<String> = ids.iter().filter(|id| **id != own).map(|id| (*id).to_owned()).collect();
    names.push(BASE64.encode([7; 32]));
    for other in names {
        let mut renamed = good.clone();
        renamed["verificationMaterial"]["tlogEntries"][0]["logId"]["keyId"] = json!(other);
        match verify(&subject, &renamed) {
            Ok(fact) => assert_eq!(fact.entries, entries, "{other}"),
            Err(error) => assert!(matches!(error, VerifyError::Log(_)), "{error}"),
        }
        // With a line that hints at the other log, and is no signature.
        let mut hinted = renamed.clone();
        let envelope = &mut hinted["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]["envelope"];
        let line = BASE64.encode([&BASE64.decode(&other).unwrap()[..4], &[9; 64]].concat());
        *envelope = json!(format!("{}\u{2014} elsewhere {line}\n", envelope.as_str().unwrap()));
        match verify(&subject, &hinted) {
            Ok(fact) => assert_eq!(fact.entries, entries, "{other}"),
            Err(error) => assert!(matches!(error, VerifyError::Log(_)), "{error}"),
        }
    }
}

/// A Rekor v1 proof has an index of its own, within a shard; the entry's is under the promise alone.
#[test]
fn an_index_that_nothing_signed_is_none() {
    let forge = super::forge::Forge::new();
    let subject = Digest::sha256(b"image");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": SPDX, "predicate": {},
        "subject": [{"digest": {"sha256": subject.to_hex()}}],
    });
    let logged = super::forge::Logged { proof: super::forge::Proof::Genuine, ..Default::default() };
    let Content::Bundle(json) = forge.bundle(&statement, &super::forge::Leaf::default(), &logged) else { unreachable!() };
    let both: Value = serde_json::from_slice(json.held().unwrap()).unwrap();
    let index = |bundle: &Value| {
        let prepared = bundle::read(&bundle.to_string().into(), &subject).unwrap();
        let root = trust_root::document::parse(forge.root().to_string().as_bytes(), Relaxed::default()).unwrap().root;
        logged::Logs::of(&root).unwrap().entries(&prepared.bundle).unwrap()[0].index
    };
    assert_eq!(index(&both), Some(0));
    let mut proof = both.clone();
    proof["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionPromise");
    assert_eq!(index(&proof), None);
}
