//! A private Sigstore in memory: authority, CT log and a Rekor v1 log, each able to sign exactly one thing wrong.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, SignatureAlgorithm, SigningKey as _,
};
use x509_cert::der::{Decode as _, Encode as _};

use super::*;

const FULCIO: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];
const SCT_LIST: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
/// 2026-11-22T12:00:00Z, when everything is signed unless a test says otherwise.
pub(super) const SIGNED: i64 = 1_795_348_800;

/// The keys of it all.
pub(super) struct Forge {
    authority: KeyPair,
    authority_params: CertificateParams,
    ct: KeyPair,
    rekor: KeyPair,
}

/// A leaf certificate to be issued.
pub(super) struct Leaf {
    pub(super) names: Vec<SanType>,
    /// Fulcio's extensions by their last number, as raw content.
    pub(super) extensions: Vec<(u64, Vec<u8>)>,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) sct: Sct,
    pub(super) key: &'static SignatureAlgorithm,
}

/// What the CT log does.
pub(super) enum Sct {
    Missing,
    OtherLog,
    Signed,
    /// Over another certificate.
    Stolen,
    Twice,
}

/// What is logged of a DSSE envelope.
pub(super) struct Logged {
    pub(super) at: i64,
    /// `integratedTime` as the bundle says it, where it is not what the SET covers.
    pub(super) claimed: Option<i64>,
    /// With a promise, a proof in a tree of one, or both.
    pub(super) promise: bool,
    pub(super) proof: Proof,
}

/// How inclusion is proven.
#[derive(PartialEq)]
pub(super) enum Proof {
    None,
    /// By the log's own checkpoint.
    Genuine,
    /// A consistent tree under a checkpoint the attacker signed (CVE-2024-54140).
    SelfMade,
}

impl Default for Logged {
    fn default() -> Self {
        Self { at: SIGNED, claimed: None, promise: true, proof: Proof::None }
    }
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            names: vec![uri("https://github.com/acme/app/ci")],
            extensions: vec![(8, der_utf8(ISSUER))],
            from: SIGNED - 300,
            to: SIGNED + 300,
            sct: Sct::Signed,
            key: &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(super) fn email(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

/// A DER UTF8String.
pub(super) fn der_utf8(text: &str) -> Vec<u8> {
    x509_cert::der::asn1::Utf8StringRef::new(text).unwrap().to_der().unwrap()
}

fn moment(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn key_id(key: &KeyPair) -> [u8; 32] {
    Digest::sha256(&key.subject_public_key_info()).as_bytes().try_into().unwrap()
}

impl Forge {
    pub(super) fn new() -> Self {
        Self::valid_until(SIGNED + 10 * 365 * 86_400)
    }

    /// One whose authority's certificate ends then.
    pub(super) fn valid_until(end: i64) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "forged fulcio");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = moment(SIGNED - 86_400).into();
        params.not_after = moment(end).into();
        Self { authority: key(), authority_params: params, ct: key(), rekor: key() }
    }

    /// Its `trusted_root.json`, with open windows.
    pub(super) fn root(&self) -> Value {
        let authority = self.authority_params.self_signed(&self.authority).unwrap();
        let log = |key: &KeyPair| {
            json!({
                "baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256", "logId": {"keyId": BASE64.encode(key_id(key))},
                "publicKey": {
                    "rawBytes": BASE64.encode(key.subject_public_key_info()), "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": "2026-01-01T00:00:00Z"},
                },
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.rekor)],
            "ctlogs": [log(&self.ct)],
            "certificateAuthorities": [{
                "uri": "https://fulcio.test", "validFor": {"start": "2026-01-01T00:00:00Z"},
                "certChain": {"certificates": [{"rawBytes": BASE64.encode(authority.der())}]},
            }],
        })
    }

    pub(super) fn verifier(&self) -> Sigstore {
        Sigstore::from_trusted_root(self.root().to_string().as_bytes()).unwrap()
    }

    fn params(leaf: &Leaf) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(7_u64));
        params.subject_alt_names.clone_from(&leaf.names);
        params.is_ca = IsCa::NoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.not_before = moment(leaf.from).into();
        params.not_after = moment(leaf.to).into();
        for (number, content) in &leaf.extensions {
            let oid: Vec<u64> = FULCIO.into_iter().chain([*number]).collect();
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, content.clone()));
        }
        params
    }

    pub(super) fn issue(&self, leaf: &Leaf) -> (Vec<u8>, KeyPair) {
        let issuer = Issuer::from_params(&self.authority_params, &self.authority);
        let signer = KeyPair::generate_for(leaf.key).unwrap();
        let mut params = Self::params(leaf);
        let precertificate = params.signed_by(&signer, &issuer).unwrap();
        let body = |der: &[u8]| x509_cert::Certificate::from_der(der).unwrap().tbs_certificate.to_der().unwrap();
        let stolen = Self::params(&Leaf::default()).signed_by(&key(), &issuer).unwrap();
        let scts = match leaf.sct {
            Sct::Missing => vec![],
            Sct::OtherLog => vec![self.sct(&key(), leaf.from, &body(precertificate.der()))],
            Sct::Signed => vec![self.sct(&self.ct, leaf.from, &body(precertificate.der()))],
            Sct::Stolen => vec![self.sct(&self.ct, leaf.from, &body(stolen.der()))],
            Sct::Twice => vec![self.sct(&self.ct, leaf.from, &body(precertificate.der())); 2],
        };
        if !scts.is_empty() {
            let list: Vec<u8> = scts.iter().flat_map(|sct| prefixed(sct)).collect();
            let list = x509_cert::der::asn1::OctetString::new(prefixed(&list)).unwrap().to_der().unwrap();
            params.custom_extensions.push(CustomExtension::from_oid_content(&SCT_LIST, list));
        }
        (params.signed_by(&signer, &issuer).unwrap().der().to_vec(), signer)
    }

    /// RFC 6962 §3.2.
    fn sct(&self, log: &KeyPair, at: i64, body: &[u8]) -> Vec<u8> {
        let at = (at * 1_000).to_be_bytes();
        let mut signed = vec![0, 0];
        signed.extend(at);
        signed.extend([0, 1]);
        signed.extend(key_id(&self.authority));
        signed.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        signed.extend(body);
        signed.extend([0, 0]);
        let mut sct = vec![0];
        sct.extend(key_id(log));
        sct.extend(at);
        sct.extend([0, 0, 4, 3]);
        sct.extend(prefixed(&log.sign(&signed).unwrap()));
        sct
    }

    /// A v0.1 bundle around `statement`, signed by `leaf` and logged as `dsse` 0.0.1.
    pub(super) fn bundle(&self, statement: &Value, leaf: &Leaf, logged: &Logged) -> Content {
        let payload = statement.to_string();
        let (certificate, signer) = self.issue(leaf);
        let signature = signer.sign(&sigstore_types::pae("application/vnd.in-toto+json", payload.as_bytes())).unwrap();
        let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": "00".repeat(32)},
            "payloadHash": {"algorithm": "sha256", "value": Digest::sha256(payload.as_bytes()).to_hex()},
            "signatures": [{"signature": BASE64.encode(&signature), "verifier": pem(&certificate)}],
        }});
        let content = json!({
            "payloadType": "application/vnd.in-toto+json", "payload": BASE64.encode(payload),
            "signatures": [{"sig": BASE64.encode(signature)}],
        });
        self.wrap(&certificate, &body, logged, ("dsseEnvelope", content))
    }

    /// A v0.1 bundle that signs `message` itself, with or without the hint what its digest is, logged as `hashedrekord` 0.0.1.
    pub(super) fn message(&self, message: &[u8], hint: bool, leaf: &Leaf) -> Content {
        let (certificate, signer) = self.issue(leaf);
        let signature = BASE64.encode(signer.sign(message).unwrap());
        let digest = Digest::sha256(message);
        let body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.to_hex()}},
            "signature": {"content": signature, "publicKey": {"content": pem(&certificate)}},
        }});
        let mut content = json!({ "signature": signature });
        if hint {
            content["messageDigest"] = json!({"algorithm": "SHA2_256", "digest": BASE64.encode(digest.as_bytes())});
        }
        self.wrap(&certificate, &body, &Logged::default(), ("messageSignature", content))
    }

    fn wrap(&self, certificate: &[u8], body: &Value, logged: &Logged, (name, content): (&str, Value)) -> Content {
        let mut entry = self.entry(&body.to_string(), logged);
        entry["kindVersion"] = json!({"kind": body["kind"], "version": body["apiVersion"]});
        let version = if logged.promise { "0.1" } else { "0.2" };
        let bundle = json!({
            "mediaType": format!("application/vnd.dev.sigstore.bundle+json;version={version}"),
            "verificationMaterial": {
                "x509CertificateChain": {"certificates": [{"rawBytes": BASE64.encode(certificate)}]},
                "tlogEntries": [entry],
            },
            (name): content,
        });
        Content::Bundle(bundle.to_string().into())
    }

    /// The log's entry of `body`, without its kind.
    pub(super) fn entry(&self, body: &str, logged: &Logged) -> Value {
        let body64 = BASE64.encode(body);
        let id = key_id(&self.rekor);
        // Keys in order and no spaces: RFC 8785 of these four fields.
        let promised =
            format!(r#"{{"body":"{body64}","integratedTime":{},"logID":"{}","logIndex":0}}"#, logged.at, hex::encode(id));
        let mut entry = json!({
            "logIndex": "0", "logId": {"keyId": BASE64.encode(id)}, "canonicalizedBody": body64,
            "integratedTime": logged.claimed.unwrap_or(logged.at).to_string(),
        });
        if logged.promise {
            let set = self.rekor.sign(promised.as_bytes()).unwrap();
            entry["inclusionPromise"] = json!({"signedEntryTimestamp": BASE64.encode(set)});
        }
        if logged.proof != Proof::None {
            let leaf = Digest::sha256(&[&[0], body.as_bytes()].concat());
            let root = BASE64.encode(leaf.as_bytes());
            let note = format!("log.test\n1\n{root}\n");
            let stranger = key();
            let log = if logged.proof == Proof::Genuine { &self.rekor } else { &stranger };
            let signature = [&key_id(&self.rekor)[..4], &log.sign(note.as_bytes()).unwrap()].concat();
            let envelope = format!("{note}\n\u{2014} log.test {}\n", BASE64.encode(signature));
            entry["inclusionProof"] =
                json!({"logIndex": "0", "treeSize": "1", "rootHash": root, "hashes": [], "checkpoint": {"envelope": envelope}});
        }
        entry
    }
}

/// As Rekor v1 logs a certificate: PEM in base64.
fn pem(certificate: &[u8]) -> String {
    BASE64.encode(sigstore_types::DerCertificate::from_bytes(certificate).to_pem())
}

/// With its length in two bytes before it.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}
