//! The trust root of a `fulcio` requirement: a CA and the keys of a log, and no log of certificates.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::super::{
    Effect, Import,
    roots::Without,
    source::{Map, Spot, Unreadable},
};

impl Import {
    /// The name of the trust root that `fulcio` and the log keys beside it make.
    pub(super) fn fulcio_root(&mut self, fulcio: &Map<'_>, requirement: &Map<'_>) -> Result<String, Unreadable> {
        let mut inline = Vec::new();
        let mut paths = Vec::new();
        // Answers whether there was any.
        let mut take = |map: &Map<'_>, data: &'static str, path: &'static str| -> Result<bool, Unreadable> {
            let before = inline.len() + paths.len();
            if let Some(item) = map.given(data) {
                let all = if item.is_list() { item.list()? } else { vec![item] };
                for one in all {
                    inline.push((data, one.text()?.to_owned(), one.spot().clone()));
                }
            }
            if let Some(item) = map.given(path) {
                let all = if item.is_list() { item.list()? } else { vec![item] };
                for one in all {
                    paths.push(one.text()?.to_owned());
                }
            }
            Ok(inline.len() + paths.len() > before)
        };
        let authority = take(fulcio, "caData", "caPath")?;
        let key = take(requirement, "rekorPublicKeyData", "rekorPublicKeyPath")?;
        let keys = take(requirement, "rekorPublicKeyDatas", "rekorPublicKeyPaths")?;
        // containers/image takes no policy without either. A root without a log would be one that is not asked, or none at all.
        if !authority {
            return Err(Unreadable::at(fulcio.spot(), "wants `caPath` or `caData`"));
        }
        if !key && !keys {
            return Err(Unreadable::at(requirement.spot(), "has `fulcio`, which wants a `rekorPublicKey…` beside it"));
        }
        self.root_of(fulcio.spot(), &inline, &paths)
    }

    /// A trust root of certificates and keys, given or in files that are not here.
    pub(super) fn root_of(
        &mut self,
        at: &Spot,
        inline: &[(&'static str, String, Spot)],
        paths: &[String],
    ) -> Result<String, Unreadable> {
        // What they are, and not where each stands: scopes with the same keys have one trust root.
        let keys: Vec<_> =
            inline.iter().map(|(key, text, _)| (is_ca(key), text.split_whitespace().collect::<String>())).collect();
        let content = format!("{keys:?}{paths:?}");
        let wanted = format!("policy-json-{}", &crate::oci::Digest::sha256(content.as_bytes()).to_hex()[..8]);
        let name = self.root_name(&wanted, &content);
        let without = "the source never checks SCTs, so the trust root has no log of certificates";
        self.root_setting(&name, Without { sct: true, ..Without::default() }, without);
        if !paths.is_empty() {
            let message = format!(
                "make a trusted_root.json of {} (`cosign trusted-root create`) and name it `{name}` in pullgate.yaml",
                paths.join(", ")
            );
            self.findings.lost(at, Effect::Refuses, None, message);
            return Ok(name);
        }
        let mut authorities = Vec::new();
        let mut logs = Vec::new();
        for (key, text, spot) in inline {
            let wrong = |why: &str| Unreadable::at(spot, format!("`{key}` {why}"));
            let pem = STANDARD.decode(text.split_whitespace().collect::<String>()).map_err(|_| wrong("is not base64"))?;
            if is_ca(key) {
                // As its certificate pool: each is a root.
                authorities.extend(super::super::sigstore::anchors(&pem).map_err(|why| wrong(&why))?);
            } else {
                match super::super::sigstore::log_of(&pem, "SHA2_256", "") {
                    Ok(log) => logs.push(log),
                    Err(why) => {
                        let message =
                            format!("the trust root could not be built exactly: {key} {why}; name one `{name}` in pullgate.yaml");
                        self.findings.lost(at, Effect::Refuses, None, message);
                        return Ok(name);
                    }
                }
            }
        }
        self.root_file(&name, || {
            let root = json!({
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": logs,
                "certificateAuthorities": authorities,
                "ctlogs": [],
                "timestampAuthorities": [],
            });
            serde_json::to_string_pretty(&root).unwrap_or_default()
        });
        Ok(name)
    }
}

/// Whether a key is about a CA; the others are about a log.
fn is_ca(key: &str) -> bool {
    matches!(key, "caData" | "fulcioCAData")
}
