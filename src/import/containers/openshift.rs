//! OpenShift's `ClusterImagePolicy` and `ImagePolicy`: scopes and requirements of a `policy.json` it makes of them.

use super::{
    super::{
        Effect, Import, Lint,
        draft::Attestor,
        source::{Map, Unreadable},
    },
    Reach,
};
use crate::yaml::shown;

impl Import {
    pub(in crate::import) fn openshift(&mut self, document: &Map<'_>, namespaced: bool) -> Result<(), Unreadable> {
        let Some(spec) = document.map("spec")? else { return Err(Unreadable::at(document.spot(), "has no `spec`")) };
        if namespaced {
            let message = "an ImagePolicy applies to its own namespace; a gate sees no namespaces, so this applies to every pull, beside what other policies ask";
            self.findings.changed(document.spot(), Effect::Stricter, Lint::I21, message);
        }
        let message = "images no scope names get what `default` in the nodes' policy.json says, which is not in this input";
        self.findings.note(document.spot(), None, message);
        let Some(policy) = spec.map("policy")? else { return Err(Unreadable::at(spec.spot(), "has no `policy`")) };
        let Some(root) = policy.map("rootOfTrust")? else { return Err(Unreadable::at(policy.spot(), "has no `rootOfTrust`")) };
        let identity = match policy.map("signedIdentity")? {
            Some(identity) => {
                let kind = identity.text("matchPolicy")?.unwrap_or_default().to_owned();
                ["exactRepository", "remapIdentity"].iter().for_each(|key| _ = identity.get(key));
                self.findings.unread(&identity);
                kind
            }
            None => "MatchRepoDigestOrExact".into(),
        };
        self.signed_identity(policy.spot(), &identity);
        let attestor = match root.text("policyType")? {
            Some("FulcioCAWithRekor") => self.fulcio_with_rekor(&root)?,
            Some("PublicKey") => {
                root.get("publicKey");
                self.nobody(root.spot(), "`publicKey`: pullgate verifies keyless signatures only".into())
            }
            Some("PKI") => {
                root.get("pki");
                self.nobody(root.spot(), "`pki`: certificates of another PKI are not verified by pullgate".into())
            }
            other => {
                return Err(Unreadable::at(
                    root.spot(),
                    format!("`policyType: {}` is unknown", shown(other.unwrap_or_default())),
                ));
            }
        };
        for map in [&root, &policy] {
            self.findings.unread(map);
        }
        let reach = match (namespaced, document.map("metadata")?) {
            (false, _) => Reach::Everywhere,
            (true, Some(metadata)) => Reach::Namespace(metadata.text("namespace")?.map(str::to_owned)),
            (true, None) => Reach::Namespace(None),
        };
        for scope in spec.list("scopes")? {
            self.scope(scope.text()?, reach.clone(), scope.spot(), vec![attestor.clone()]);
        }
        self.findings.unread(&spec);
        Ok(())
    }

    fn fulcio_with_rekor(&mut self, root: &Map<'_>) -> Result<Attestor, Unreadable> {
        let Some(fulcio) = root.map("fulcioCAWithRekor")? else {
            return Err(Unreadable::at(root.spot(), "has no `fulcioCAWithRekor`"));
        };
        let Some(subject) = fulcio.map("fulcioSubject")? else {
            return Err(Unreadable::at(fulcio.spot(), "has no `fulcioSubject`"));
        };
        let (Some(issuer), Some(email)) = (subject.text("oidcIssuer")?, subject.text("signedEmail")?) else {
            return Err(Unreadable::at(subject.spot(), "wants `oidcIssuer` and `signedEmail`"));
        };
        let (Some(ca), Some(log)) = (fulcio.get("fulcioCAData"), fulcio.get("rekorKeyData")) else {
            return Err(Unreadable::at(fulcio.spot(), "wants `fulcioCAData` and `rekorKeyData`"));
        };
        let inline = [
            ("fulcioCAData", ca.text()?.to_owned(), ca.spot().clone()),
            ("rekorKeyData", log.text()?.to_owned(), log.spot().clone()),
        ];
        let trust_root = self.root_of(fulcio.spot(), &inline, &[])?;
        for map in [&fulcio, &subject] {
            self.findings.unread(map);
        }
        Ok(self.mailed(subject.spot(), issuer, email, trust_root))
    }
}
