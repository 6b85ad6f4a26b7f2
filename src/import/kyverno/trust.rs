//! Roots and keys that an entry has of its own, and what it leaves out of the verification.

use super::super::{
    Effect, Import, Lint,
    roots::{Ignored, NO_TIME, Without},
    source::{Map, Unreadable},
};
use crate::yaml::shown;

/// The Rekor of the public-good Sigstore, whose key is in the default trust root.
const PUBLIC_REKOR: &str = "https://rekor.sigstore.dev";

impl Import {
    /// The trust root an entry names by its keys, and what it leaves out of the verification.
    pub(super) fn trust(&mut self, map: &Map<'_>, bundle: bool) -> Result<Option<String>, Unreadable> {
        let mut own = Vec::from_iter(map.given("roots"));
        let (mut log, mut ignored) = (None, Ignored::default());
        if let Some(rekor) = map.map("rekor")? {
            if let Some(url) = rekor.get("url")
                && url.text()?.trim_end_matches('/') != PUBLIC_REKOR
                && !url.text()?.is_empty()
            {
                let message = format!("the log {} must be in the trust root that pullgate.yaml names", shown(url.text()?));
                self.findings.changed(url.spot(), Effect::Other, None, message);
                log = Some(url);
            }
            own.extend(rekor.given("pubkey"));
            ignored.log = rekor.says("ignoreTlog")?;
            self.findings.unread(&rekor);
        }
        if let Some(ctlog) = map.map("ctlog")? {
            own.extend(["pubkey", "tsaCertChain"].iter().filter_map(|key| ctlog.given(key)));
            ignored.sct = ctlog.says("ignoreSCT")?;
            self.findings.unread(&ctlog);
        }
        // A root of its own may lack what is ignored, the default one has both; a log that is ignored wants a timestamp for it.
        let own_root = !bundle && !own.is_empty();
        let has = |place: &str| own.iter().any(|item| item.place() == place);
        let stamped = has("ctlog.tsaCertChain") && !has("rekor.pubkey");
        let without = Without { log: own_root && stamped && ignored.log.is_some(), sct: own_root && ignored.sct.is_some() };
        // Of a bundle it is not the SCT that is ignored.
        let timestamp = ignored.sct.take_if(|_| bundle);
        self.asked_all_the_same(&ignored, without, NO_TIME);
        if let Some(at) = timestamp {
            let message = "for a SigstoreBundle `ignoreSCT` switches the timestamp off; here both are always asked for";
            self.findings.changed(&at, Effect::Stricter, Lint::I17, message);
        }
        let Some(first) = own.first().map(|item| item.spot().clone()) else { return Ok(None) };
        if bundle {
            self.findings.note(&first, None, "roots and keys of an entry are not used for a SigstoreBundle there, so nor here");
            return Ok(None);
        }
        own.extend(log);
        let name = self.own_root_name(&own, without);
        let message = format!(
            "roots and keys of its own: make a trusted_root.json of them (`cosign trusted-root create`){} and name it `{name}` in pullgate.yaml",
            without.said()
        );
        self.findings.lost(&first, Effect::Refuses, None, message);
        self.root_setting(&name, without, "an entry has roots and keys of its own");
        Ok(Some(name))
    }
}
