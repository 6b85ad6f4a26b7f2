//! Which trust root an authority is about, and what of it the authority does not ask for.

use super::{
    super::{
        Effect, Import, Lint,
        roots::{Ignored, Without},
        source::{Map, Unreadable},
    },
    Root,
};
use crate::yaml::shown;

/// The public-good instances, which the default trust root is about.
const PUBLIC_FULCIO: &str = "https://fulcio.sigstore.dev";
const PUBLIC_REKOR: &str = "https://rekor.sigstore.dev";

/// Why a log is asked where a timestamp is in its place.
const STAMPED: (Option<Lint>, &str) = (None, "a timestamp replaces the log there; here the log is always asked for");

impl Import {
    /// The name of the trust root an authority is about; the inner error is why it has none.
    pub(super) fn named_root(
        &mut self,
        authority: &Map<'_>,
        map: &Map<'_>,
        bundle: bool,
    ) -> Result<Result<Option<String>, String>, Unreadable> {
        let by_keyless = map.text("trustRootRef")?;
        let (mut by_log, mut by_time, mut logged) = (None, None, false);
        if let Some(url) = map.text("url")?
            && by_keyless.is_none()
            && url.trim_end_matches('/') != PUBLIC_FULCIO
        {
            let message = format!("{} must be in the trust root that pullgate.yaml names", shown(url));
            self.findings.changed(map.spot(), Effect::Other, None, message);
        }
        let log = authority.map("ctlog")?;
        if let Some(log) = &log {
            by_log = log.text("trustRootRef")?;
            let url = log.text("url")?;
            logged = by_log.is_some() || url.is_some();
            if let Some(url) = url
                && by_log.is_none()
                && url.trim_end_matches('/') != PUBLIC_REKOR
            {
                let message = format!("the log {} must be in the trust root that pullgate.yaml names", shown(url));
                self.findings.changed(log.spot(), Effect::Other, None, message);
            }
            self.findings.unread(log);
        }
        let time = authority.map("rfc3161timestamp")?;
        if let Some(time) = &time {
            by_time = time.text("trustRootRef")?;
            self.findings.unread(time);
        }
        // In cosign's older form a timestamp authority is one of a TrustRoot, or none.
        let stamped = time.as_ref().filter(|_| bundle || by_time.is_some()).map(|time| time.spot().clone());
        let ignored = Ignored { log: stamped, sct: map.says("insecureIgnoreSCT")? };
        if !bundle && !logged && ignored.log.is_none() && (by_keyless.is_some() || log.is_some()) {
            // No log is asked there, and no timestamp, which leaves the time of the pull.
            let message = "`ctlog` names neither a TrustRoot nor a URL: there nothing says when an image was signed, and it is refused once its certificate has run out, after ten minutes; here the log says when";
            self.findings.changed(log.as_ref().map_or(map.spot(), Map::spot), Effect::Wider, None, message);
        }
        if let Some(certificate) = map.get("ca-cert") {
            // The log it is used with is a part of that root.
            let parts: Vec<_> = [Some(certificate.clone()), authority.get("ctlog"), authority.get("rfc3161timestamp")].into();
            let without = Without { log: false, sct: ignored.sct.is_some() };
            self.asked_all_the_same(&ignored, without, STAMPED);
            let name = self.own_root_name(&parts.into_iter().flatten().collect::<Vec<_>>(), without);
            let message = format!(
                "`ca-cert`: make a trusted_root.json with it (`cosign trusted-root create`){} and name it `{name}` in pullgate.yaml",
                without.said()
            );
            self.findings.lost(certificate.spot(), Effect::Refuses, None, message);
            self.root_setting(&name, without, "an authority has a CA of its own");
            return Ok(Ok(Some(name)));
        }
        let named: Vec<&str> = [by_keyless, by_log, by_time].into_iter().flatten().collect();
        let Some(first) = named.first() else {
            self.asked_all_the_same(&ignored, Without::default(), STAMPED);
            return Ok(Ok(None));
        };
        if by_keyless.is_none() || named.iter().any(|other| other != first) {
            let why =
                "the CA of one trust root with the log or the time of another: make one trusted_root.json of them".to_owned();
            self.findings.lost(map.spot(), Effect::Refuses, None, why.clone());
            return Ok(Err(why));
        }
        if by_log.is_none() && (logged || bundle && log.is_some()) {
            let why =
                "the CA of a TrustRoot with the log of the public-good Sigstore: make one trusted_root.json of them".to_owned();
            self.findings.lost(map.spot(), Effect::Refuses, None, why.clone());
            return Ok(Err(why));
        }
        Ok(self.root_of_authority(map, first, &ignored))
    }

    /// The trust root that is the TrustRoot `named`, less what the authority ignores of it. The error is why it is met by nobody.
    fn root_of_authority(&mut self, map: &Map<'_>, named: &str, ignored: &Ignored) -> Result<Option<String>, String> {
        let why = "an authority names this TrustRoot";
        let mut name = self.trust_root_name(named);
        let missing = match self.roots.get(named).cloned() {
            Some(Root::Built(mut root)) => {
                let has = |kind: &str| root[kind].as_array().is_some_and(|list| !list.is_empty());
                let (logs, ct_logs) = (has("tlogs"), has("ctlogs"));
                // What it lacks and the authority asks for, nothing meets, there and here.
                for (lacks, asked, kind) in [(!logs, ignored.log.is_none(), "tLogs"), (!ct_logs, ignored.sct.is_none(), "ctLogs")]
                {
                    if lacks && asked {
                        let why = format!(
                            "TrustRoot `{}` has no {kind}, and this authority asks for them: nobody meets it",
                            shown(named)
                        );
                        self.findings.lost(map.spot(), Effect::Refuses, None, why.clone());
                        return Err(why);
                    }
                }
                let without = Without { log: !logs, sct: ignored.sct.is_some() };
                self.asked_all_the_same(ignored, without, STAMPED);
                if let (Some(at), false) = (&ignored.log, logs) {
                    let message = "a timestamp replaces the log there; here too, and a signature with an entry of a log, which this trust root could not check, is refused";
                    self.findings.changed(at, Effect::Stricter, None, message);
                }
                if without.sct && ct_logs {
                    root["ctlogs"] = serde_json::json!([]);
                    name = self.name_without_ct(named);
                    self.root_file(&name, || serde_json::to_string_pretty(&root).unwrap_or_default());
                }
                self.root_setting(&name, without, why);
                return Ok(Some(name));
            }
            Some(Root::Missing(why)) => why,
            None => "is not in this input".into(),
        };
        let without = Without { log: false, sct: ignored.sct.is_some() };
        self.asked_all_the_same(ignored, without, STAMPED);
        if without.sct {
            name = self.name_without_ct(named);
        }
        let message = format!(
            "TrustRoot `{}` {missing}: give pullgate.yaml a trusted_root.json{} under the name `{name}`",
            shown(named),
            without.said()
        );
        self.findings.lost(map.spot(), Effect::Refuses, None, message);
        self.root_setting(&name, without, why);
        Ok(Some(name))
    }

    /// Our name of the TrustRoot `named` without its CT logs: another root.
    fn name_without_ct(&mut self, named: &str) -> String {
        self.root_name(&format!("{named}-no-sct"), &format!("TrustRoot {named}, without CT logs"))
    }
}
