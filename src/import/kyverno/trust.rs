//! Roots and keys that an entry has of its own, and what it leaves out of the verification.

use super::super::{
    Effect, Import, Lint,
    source::{Map, Unreadable},
};
use crate::yaml::shown;

/// The Rekor of the public-good Sigstore, whose key is in the default trust root.
const PUBLIC_REKOR: &str = "https://rekor.sigstore.dev";

impl Import {
    /// The trust root an entry names by its keys, and what it leaves out of the verification.
    pub(super) fn trust(&mut self, map: &Map<'_>, bundle: bool) -> Result<Option<String>, Unreadable> {
        let mut own = Vec::from_iter(map.get("roots"));
        let mut log = None;
        if let Some(rekor) = map.map("rekor")? {
            if let Some(url) = rekor.get("url")
                && url.text()?.trim_end_matches('/') != PUBLIC_REKOR
                && !url.text()?.is_empty()
            {
                let message = format!("the log {} must be in the trust root that pullgate.yaml names", shown(url.text()?));
                self.findings.changed(url.spot(), Effect::Other, None, message);
                log = Some(url);
            }
            own.extend(rekor.get("pubkey"));
            if rekor.flag("ignoreTlog")? == Some(true) {
                let message = "the log is always asked for here: without it a keyless certificate has no trusted time";
                self.findings.changed(rekor.spot(), Effect::Stricter, Lint::I16, message);
            }
            self.findings.unread(&rekor);
        }
        if let Some(ctlog) = map.map("ctlog")? {
            own.extend(["pubkey", "tsaCertChain"].iter().filter_map(|key| ctlog.get(key)));
            if ctlog.flag("ignoreSCT")? == Some(true) {
                let (lint, message) = if bundle {
                    (
                        Some(Lint::I17),
                        "for a SigstoreBundle `ignoreSCT` switches the timestamp off; here both are always asked for",
                    )
                } else {
                    (None, "the certificate's SCT is always asked for here")
                };
                self.findings.changed(ctlog.spot(), Effect::Stricter, lint, message);
            }
            self.findings.unread(&ctlog);
        }
        let Some(at) = own.first().map(|item| item.spot().clone()) else { return Ok(None) };
        if bundle {
            self.findings.note(&at, None, "roots and keys of an entry are not used for a SigstoreBundle there, so nor here");
            return Ok(None);
        }
        own.extend(log);
        let name = self.own_root_name(&own);
        let message = format!(
            "roots and keys of its own: make a trusted_root.json of them (`cosign trusted-root create`) and name it `{name}` in pullgate.yaml"
        );
        self.findings.lost(&at, Effect::Refuses, None, message);
        self.findings
            .setting(format!("trust_roots: {{{name}: {{path: {name}.json}}}}"), "an entry has roots and keys of its own");
        Ok(Some(name))
    }
}
