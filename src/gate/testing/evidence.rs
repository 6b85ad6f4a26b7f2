//! Evidence, whose script says what it proves.

use serde_json::{Value, json};

use super::BUNDLE;
use crate::oci::Digest;

/// A signature made at a time.
pub(in crate::gate) fn signature_at(subject: Digest, by: &str, at: &str) -> Value {
    bundle(json!({"about": subject, "by": by, "proves": "signature", "at": at}))
}

/// A bundle in shape, whose script says what it proves.
pub(in crate::gate) fn bundle(script: Value) -> Value {
    let mut bundle = json!({"mediaType": BUNDLE, "verificationMaterial": {}});
    for (key, value) in script.as_object().unwrap() {
        bundle[key] = value.clone();
    }
    bundle
}

pub(in crate::gate) fn signature(subject: Digest, by: &str) -> Value {
    bundle(json!({"about": subject, "by": by, "proves": "signature"}))
}

pub(in crate::gate) fn attestation(subject: Digest, by: &str) -> Value {
    bundle(json!({"about": subject, "by": by, "proves": "https://spdx.dev/Document", "predicate": spdx()}))
}

pub(in crate::gate) fn spdx() -> Value {
    json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
        "documentNamespace": "https://acme.test/app", "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: x"]},
        "packages": [{"name": "openssl", "SPDXID": "SPDXRef-openssl", "downloadLocation": "NOASSERTION"}]
    })
}
