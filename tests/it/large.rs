//! A9: an SBOM of 50 MiB, attested as cosign does with Rekor v2, costs the gate at most 32 MiB of anonymous memory above idle.

use std::{
    fmt::Write as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pullgate::{evidence::Content, oci::Digest, verify::Sigstore};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::forge::{Forge, Leaf, Logged, Proof, SIGNED};
use crate::support::{
    client::get,
    gate::{HOST, Process, Setup},
};

#[expect(dead_code, reason = "what this test does not forge, others do")]
#[path = "../../src/verify/tests/forge.rs"]
mod forge;

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SIZE: usize = 50 << 20;
const ALLOWED: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a9_an_sbom_of_50_mib_costs_at_most_32_mib_however_it_is_wrapped() {
    let (forge, authority) = (Forge::new(), Authority::new());
    let document = sbom();
    let text = serde_json::to_string(&document).unwrap();
    let wrapped = format!("{{\"Data\":{text},\"Timestamp\":\"2026-11-22T12:00:00Z\"}}");
    for (what, predicate) in [("plain", &document), ("a string", &text), ("Data", &wrapped)] {
        let folder = TempDir::new().unwrap();
        let image = layout(folder.path(), &forge, &authority, predicate);
        let root = folder.path().join("root.json");
        std::fs::write(&root, authority.trusted_by(forge.root()).to_string()).unwrap();
        let setup =
            Setup::layout(folder.path()).identity("https://github.com/acme/app/ci").trust_root(&root.display().to_string());
        let config = setup.write(folder.path());
        // A debug build on a busy machine may need longer than a judgement may take.
        let patient = std::fs::read_to_string(&config).unwrap() + "limits: {response_timeout: 15m}\n";
        std::fs::write(&config, patient).unwrap();
        let process = Process::start(&config);
        // The first answers settle what a process has once and for all.
        assert_eq!(get(process.addr, "/v2/").await.status, 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let idle = process.anonymous();
        let (peak, done) = (AtomicU64::new(idle), AtomicBool::new(false));
        let began = Instant::now();
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    peak.fetch_max(process.anonymous(), Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            let path = format!("/v2/{HOST}/acme/app/manifests/{image}");
            let answer = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(get(process.addr, &path)));
            done.store(true, Ordering::SeqCst);
            answer
        });
        let above = peak.load(Ordering::SeqCst) - idle;
        println!("{what}: {} KiB above {} KiB, in {:?}", above >> 10, idle >> 10, began.elapsed());
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert!(above < ALLOWED, "{what}: {} KiB above idle", above >> 10);
    }
}

/// SPDX 2.3 with some hundred thousand packages.
fn sbom() -> String {
    let mut text = String::from(
        r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"a","documentNamespace":"https://a","creationInfo":{"created":"2026-11-22T12:00:00Z","creators":["Tool: a"]},"packages":["#,
    );
    let mut number = 0;
    while text.len() < SIZE {
        let filler = "Copyright (c) the authors \\u00e9\\n".repeat(24);
        write!(
            text,
            r#"{{"SPDXID":"SPDXRef-{number}","name":"package-{number}","versionInfo":"1.{number}","downloadLocation":"NOASSERTION","licenseConcluded":"MIT","copyrightText":"{filler}"}},"#
        )
        .unwrap();
        number += 1;
    }
    text.pop();
    text.push_str("]}");
    text
}

/// An image, signed and attested, in an OCI layout; its digest.
fn layout(root: &Path, forge: &Forge, authority: &Authority, predicate: &str) -> Digest {
    let blobs = root.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        std::fs::write(blobs.join(digest.to_hex()), bytes).unwrap();
        (digest, bytes.len())
    };
    let (manifest_type, empty) = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.empty.v1+json");
    let describe = |kind: &str, (digest, size): (Digest, usize)| json!({"mediaType": kind, "digest": digest, "size": size});
    let config = describe("application/vnd.oci.image.config.v1+json", put(br#"{"architecture":"amd64","os":"linux"}"#));
    let image = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": []}).to_string();
    let image = put(image.as_bytes());
    let about = |kind: &str| {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}}}}],"predicateType":"{kind}","predicate":"#,
            image.0.to_hex()
        )
    };
    let statements =
        [format!("{}{{}}}}", about("https://sigstore.dev/cosign/sign/v1")), about("https://spdx.dev/Document") + predicate + "}"];
    let referrers: Vec<Value> = statements
        .iter()
        .map(|statement| {
            let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
            let layer = describe(bundle, put(attested(forge, authority, statement).as_bytes()));
            let manifest = json!({
                "schemaVersion": 2, "mediaType": manifest_type, "artifactType": bundle, "layers": [layer],
                "config": describe(empty, put(b"{}")), "subject": describe(manifest_type, image),
            });
            describe(manifest_type, put(manifest.to_string().as_bytes()))
        })
        .collect();
    let index_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": referrers}).to_string();
    let named = |kind: &str, tag: &str, put: (Digest, usize)| {
        let mut entry = describe(kind, put);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": format!("acme/app:{tag}")});
        entry
    };
    let entries =
        [named(manifest_type, "1", image), named(index_type, &format!("sha256-{}", image.0.to_hex()), put(index.as_bytes()))];
    std::fs::write(root.join("index.json"), json!({"schemaVersion": 2, "manifests": entries}).to_string()).unwrap();
    std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    image.0
}

/// A v0.3 bundle as cosign makes it with Rekor v2 and a timestamp authority.
fn attested(forge: &Forge, authority: &Authority, statement: &str) -> String {
    const KIND: &str = "application/vnd.in-toto+json";
    let (certificate, signer) = forge.issue(&Leaf::default());
    let encoding = [format!("DSSEv1 {} {KIND} {} ", KIND.len(), statement.len()).as_bytes(), statement.as_bytes()].concat();
    let signature = signer.sign(&encoding).unwrap();
    let body = json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
        "data": {"algorithm": "SHA2_256", "digest": BASE64.encode(Digest::sha256(&encoding).as_bytes())},
        "signature": {"content": BASE64.encode(&signature), "verifier": {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": BASE64.encode(&certificate)},
        }},
    }}});
    let mut entry = forge.entry(&body.to_string(), &Logged { promise: false, proof: Proof::Genuine, ..Logged::default() });
    entry.as_object_mut().unwrap().remove("integratedTime");
    entry["kindVersion"] = json!({"kind": "hashedrekord", "version": "0.0.2"});
    let material = json!({
        "certificate": {"rawBytes": BASE64.encode(&certificate)}, "tlogEntries": [entry],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": BASE64.encode(authority.stamp(&signature))}]},
    });
    format!(
        r#"{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{material},"dsseEnvelope":{{"payloadType":"{KIND}","payload":"{}","signatures":[{{"sig":"{}"}}]}}}}"#,
        BASE64.encode(statement),
        BASE64.encode(&signature)
    )
}

/// A timestamp authority.
struct Authority {
    key: KeyPair,
    leaf: Vec<u8>,
    root: Vec<u8>,
    key_id: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let moment = |at: i64| (std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(at.unsigned_abs())).into();
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "forged authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params.not_before, params.not_after) = (moment(SIGNED - 86_400), moment(SIGNED + 10 * 365 * 86_400));
        let root = params.self_signed(&root_key).unwrap().der().to_vec();
        let issuer = rcgen::Issuer::from_params(&params, &root_key);
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "forged stamper");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        (leaf.not_before, leaf.not_after) = (params.not_before, params.not_after);
        let key_id = Digest::sha256(&key.subject_public_key_info()).as_bytes()[..20].to_vec();
        let subject_key = tlv(0x04, &[&key_id]);
        leaf.custom_extensions.push(rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 14], subject_key));
        let leaf = leaf.signed_by(&key, &issuer).unwrap().der().to_vec();
        Self { key, leaf, root, key_id }
    }

    /// `root`, trusting it too.
    fn trusted_by(&self, mut root: Value) -> Value {
        let certificates = [&self.leaf, &self.root].map(|der| json!({"rawBytes": BASE64.encode(der)}));
        root["timestampAuthorities"] = json!([{
            "uri": "https://tsa.test", "certChain": {"certificates": certificates}, "validFor": {"start": "2026-01-01T00:00:00Z"},
        }]);
        root
    }

    /// RFC 3161's token over `signature`, when everything is signed.
    fn stamp(&self, signature: &[u8]) -> Vec<u8> {
        let oid = |body: &[u8]| tlv(0x06, &[body]);
        let sha256 = tlv(0x30, &[&oid(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]), &[5, 0]]);
        let pkcs = |rest: &[u8]| oid(&[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1], rest].concat());
        let info_type = pkcs(&[9, 16, 1, 4]);
        let imprint = tlv(0x30, &[&sha256, &tlv(0x04, &[Digest::sha256(signature).as_bytes()])]);
        let info = tlv(0x30, &[&[2, 1, 1], &oid(&[0x2a, 3, 4]), &imprint, &[2, 1, 1], &tlv(0x18, &[b"20261122120000Z"])]);
        let attribute = |kind: Vec<u8>, value: Vec<u8>| tlv(0x30, &[&kind, &tlv(0x31, &[&value])]);
        let attributes = [
            attribute(pkcs(&[9, 3]), info_type.clone()),
            attribute(pkcs(&[9, 4]), tlv(0x04, &[Digest::sha256(&info).as_bytes()])),
        ]
        .concat();
        let signed = self.key.sign(&tlv(0x31, &[&attributes])).unwrap();
        let ecdsa = tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
        let signer = tlv(
            0x30,
            &[&[2, 1, 3], &tlv(0x80, &[&self.key_id]), &sha256, &tlv(0xa0, &[&attributes]), &ecdsa, &tlv(0x04, &[&signed])],
        );
        let content = tlv(0x30, &[&info_type, &tlv(0xa0, &[&tlv(0x04, &[&info])])]);
        let data = tlv(0x30, &[&[2, 1, 3], &tlv(0x31, &[&sha256]), &content, &tlv(0x31, &[&signer])]);
        tlv(0x30, &[&pkcs(&[7, 2]), &tlv(0xa0, &[&data])])
    }
}

/// DER: a tag, a length, and the parts.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = match u8::try_from(body.len()) {
        Ok(short @ ..0x80) => vec![short],
        Ok(long) => vec![0x81, long],
        Err(_) => [&[0x82][..], &u16::try_from(body.len()).unwrap().to_be_bytes()].concat(),
    };
    [&[tag][..], &length, &body].concat()
}
