//! `TrustRoot` → `trusted_root.json`, where it gives the keys themselves.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_cert::{
    der::Decode as _,
    spki::{ObjectIdentifier, SubjectPublicKeyInfoRef},
};

use super::{
    super::{
        Effect, Import,
        source::{Item, Map, Unreadable},
    },
    chains,
};
use crate::yaml::shown;

/// What became of a trust root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::import) enum Root {
    /// A file was made, of this.
    Built(Value),
    /// None could be, and why.
    Missing(String),
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// Curves, and how a trusted root calls a key on them.
const CURVES: [(ObjectIdentifier, &str); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), "PKIX_ECDSA_P256_SHA_256"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "PKIX_ECDSA_P384_SHA_384"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "PKIX_ECDSA_P521_SHA_512"),
];

impl Import {
    pub(in crate::import) fn trust_root(&mut self, document: &Map<'_>, name: &str) -> Result<(), Unreadable> {
        let Some(spec) = document.map("spec")? else { return Err(Unreadable::at(document.spot(), "has no `spec`")) };
        if self.roots.contains_key(name) {
            return Err(Unreadable::at(document.spot(), format!("TrustRoot `{}` stands twice in this input", shown(name))));
        }
        let root = if let Some(keys) = spec.map("sigstoreKeys")? {
            match self.keys_themselves(&keys)? {
                Ok(root) => {
                    let name = self.trust_root_name(name);
                    let file = self.root_file(&name, || serde_json::to_string_pretty(&root).unwrap_or_default());
                    let message = format!("written as {file}; its keys are good for all time, as there");
                    self.findings.note(document.spot(), None, message);
                    Root::Built(root)
                }
                Err(why) => Root::Missing(why),
            }
        } else {
            let key = ["remote", "repository"].into_iter().find(|key| spec.get(key).is_some());
            Root::Missing(match key {
                Some("remote") => "is fetched by TUF from its own mirror, which an importer does not do".into(),
                Some(_) => "holds a TUF repository, which an importer does not unpack".into(),
                None => "has no keys".into(),
            })
        };
        if let Root::Missing(why) = &root {
            let message = format!("the trust root {why}: make a trusted_root.json of it");
            self.findings.lost(document.spot(), Effect::Other, None, message);
        }
        self.findings.unread(&spec);
        self.roots.insert(name.to_owned(), root);
        Ok(())
    }

    /// Our name of the TrustRoot `name`, whatever it holds.
    pub(super) fn trust_root_name(&mut self, name: &str) -> String {
        self.root_name(name, &format!("TrustRoot {name}"))
    }

    /// The inner error is why it cannot be built exactly.
    fn keys_themselves(&mut self, keys: &Map<'_>) -> Result<Result<Value, String>, Unreadable> {
        let mut parts = Vec::new();
        for (key, log) in [("certificateAuthorities", false), ("tLogs", true), ("ctLogs", true), ("timestampAuthorities", false)]
        {
            let mut list = Vec::new();
            for item in keys.list(key)? {
                let one = if log { transparency_log(&item)? } else { authority(&item)? };
                match one {
                    Ok(one) => list.push(one),
                    Err(why) => return Ok(Err(format!("cannot be built exactly: {} {why}", item.spot().path))),
                }
            }
            parts.push(list);
        }
        self.findings.unread(keys);
        let [authorities, logs, ct_logs, timestamps] = parts.try_into().unwrap_or_default();
        let authorities = match chains::of(&authorities) {
            Ok(authorities) => authorities,
            Err(why) => return Ok(Err(format!("cannot be built exactly: {why}"))),
        };
        if authorities.is_empty() {
            return Ok(Err("cannot be used: none of its CAs has a certificate that signs itself".into()));
        }
        if logs.is_empty() && timestamps.is_empty() {
            return Ok(Err("cannot be used: nothing in it says when, neither a log nor a timestamp authority".into()));
        }
        Ok(Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": logs,
            "certificateAuthorities": authorities,
            "ctlogs": ct_logs,
            "timestampAuthorities": timestamps,
        })))
    }
}

/// As there: there is no beginning and no end.
fn always() -> Value {
    json!({"start": "1970-01-01T00:00:00Z"})
}

/// A field of PEM in base64, as Kubernetes has bytes.
fn pem(map: &Map<'_>, key: &'static str) -> Result<Result<Vec<u8>, String>, Unreadable> {
    let Some(text) = map.text(key)? else { return Ok(Err(format!("has no `{key}`"))) };
    let packed: String = text.split_whitespace().collect();
    Ok(STANDARD.decode(packed).map_err(|error| format!("`{key}` is not base64: {error}")))
}

fn authority(item: &Item<'_>) -> Result<Result<Value, String>, Unreadable> {
    let map = item.map()?;
    let mut authority = match pem(&map, "certChain")?.and_then(|chain| certificates(&chain)) {
        Ok(authority) => authority,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(subject) = map.map("subject")? {
        authority["subject"] = json!({
            "organization": subject.text("organization")?.unwrap_or_default(),
            "commonName": subject.text("commonName")?.unwrap_or_default(),
        });
    }
    authority["uri"] = map.text("uri")?.unwrap_or_default().into();
    Ok(Ok(authority))
}

/// Certificate authorities of certificates in PEM, where each of them ends a chain by itself.
pub(in crate::import) fn anchors(pem: &[u8]) -> Result<Vec<Value>, String> {
    let all = certificates(pem)?;
    let alone = |raw: &Value| {
        let mut one = all.clone();
        one["certChain"]["certificates"] = json!([raw]);
        one
    };
    Ok(all["certChain"]["certificates"].as_array().into_iter().flatten().map(alone).collect())
}

/// The certificate authority of a chain in PEM.
fn certificates(pem: &[u8]) -> Result<Value, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.ok().filter(|list| !list.is_empty()).ok_or("holds no certificates in PEM")?;
    let raw: Vec<_> = certificates.iter().map(|one| json!({"rawBytes": STANDARD.encode(one)})).collect();
    Ok(json!({
        "subject": {"organization": "", "commonName": ""},
        "uri": "",
        "certChain": {"certificates": raw},
        "validFor": always(),
    }))
}

fn transparency_log(item: &Item<'_>) -> Result<Result<Value, String>, Unreadable> {
    let map = item.map()?;
    let hash = match map.text("hashAlgorithm")? {
        Some("sha-256" | "sha256") => "SHA2_256",
        Some("sha-384" | "sha384") => "SHA2_384",
        Some("sha-512" | "sha512") => "SHA2_512",
        _ => return Ok(Err("has no known `hashAlgorithm`".into())),
    };
    let url = map.text("baseURL")?.unwrap_or_default();
    Ok(pem(&map, "publicKey")?.and_then(|key| log_of(&key, hash, url)))
}

/// The log of a public key in PEM.
pub(in crate::import) fn log_of(pem: &[u8], hash: &str, url: &str) -> Result<Value, String> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| "is no public key in PEM")?;
    let details = details(&der).ok_or("is a key that is not ECDSA, whose log id needs more than the key")?;
    Ok(json!({
        "baseUrl": url,
        "hashAlgorithm": hash,
        "publicKey": {"rawBytes": STANDARD.encode(&der), "keyDetails": details, "validFor": always()},
        // RFC 6962: the SHA-256 of the log's public key.
        "logId": {"keyId": STANDARD.encode(Sha256::digest(&der))},
    }))
}

fn details(der: &[u8]) -> Option<&'static str> {
    let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let curve = (info.algorithm.oid == EC).then(|| info.algorithm.parameters_oid().ok()).flatten()?;
    CURVES.iter().find(|(oid, _)| *oid == curve).map(|(_, details)| *details)
}
