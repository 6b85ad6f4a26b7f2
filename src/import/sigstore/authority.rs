//! One authority: an identity and a place in which trust root it is looked for, and the statements it wants.

use super::{
    super::{
        Effect, Import, Lint,
        draft::{Attestation, Attestor, Keyless, Text},
        kyverno::is_sbom,
        settle::NEVER,
        source::{Item, Map, Spot, Unreadable},
        write::NOBODY,
    },
    Part,
    cue::{self, Cue},
};
use crate::{
    policy::{
        pattern::AnchoredRegex,
        predicate::{PredicateType, PredicateTypeError},
    },
    yaml::shown,
};

/// An authority by its name.
pub(super) struct Authority {
    pub(super) name: String,
    pub(super) part: Part,
    /// What its attestations are called, each once.
    pub(super) attestations: Vec<String>,
    /// What the policy over all authorities says of a signature of it.
    pub(super) said: Vec<(String, Cue)>,
}

impl Authority {
    const fn new(name: String, part: Part, attestations: Vec<String>) -> Self {
        Self { name, part, attestations, said: Vec::new() }
    }
}

/// What cosign's `custom` is.
const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";

impl Import {
    pub(super) fn authority(&mut self, item: &Item<'_>, index: usize) -> Result<Authority, Unreadable> {
        let map = item.map()?;
        let name = map.text("name")?.map_or_else(|| format!("authority-{index}"), str::to_owned);
        let sources = map.list("source")?;
        let bundle = map.text("signatureFormat")? == Some("bundle");
        if let Some(fixed) = map.map("static")? {
            let pass = fixed.text("action")? == Some("pass");
            fixed.get("message");
            self.findings.unread(&fixed);
            self.findings.unread(&map);
            return Ok(Authority::new(name, if pass { Part::Pass } else { Part::Fail }, Vec::new()));
        }
        let mut elsewhere = None;
        for source in &sources {
            let source = source.map()?;
            elsewhere = self.source(&source, "oci", "signaturePullSecrets").or(elsewhere);
            self.findings.unread(&source);
        }
        let signer = if let Some(key) = map.map("key")? {
            if let Some(secret) = key.get("secretRef") {
                self.findings.note(secret.spot(), None, "a secret of the cluster is not there for a gate");
            }
            ["ctlog", "rfc3161timestamp"].iter().for_each(|key| _ = map.get(key));
            self.nobody(key.spot(), "`key`: pullgate verifies keyless signatures only".into())
        } else if let Some(keyless) = map.map("keyless")? {
            self.keyless_authority(&map, &keyless, bundle)?
        } else {
            return Err(Unreadable::at(map.spot(), "has none of `key`, `keyless`, `static`"));
        };
        let signer = elsewhere.unwrap_or(signer);
        let statements = map.list("attestations")?;
        let mut names = Vec::new();
        for one in &statements {
            let name = one.map()?.text("name")?.unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut attested = Vec::new();
        for one in &statements {
            match self.statement(one, &signer)? {
                Ok(one) => attested.push(one),
                Err(why) => return Ok(Authority::new(name, Part::Nobody(why), names)),
            }
        }
        if !bundle || !statements.is_empty() {
            self.either_form(map.spot(), if bundle { "signatureFormat: bundle" } else { "signatureFormat: legacy" }, bundle);
        } else {
            let message = "a signature in a bundle is not verified there, so that this authority is met by no image (but perhaps with `enable-oci11`); here it is";
            self.findings.changed(map.spot(), Effect::Wider, None, message);
        }
        self.findings.unread(&map);
        let part = match signer {
            Attestor::Never(why) => Part::Nobody(why),
            signer if attested.is_empty() => Part::Signed(signer),
            _ => Part::Attested(attested),
        };
        Ok(Authority::new(name, part, names))
    }

    /// Nobody, where `source` has evidence looked for in another repository, or under other tags than cosign's.
    pub(in crate::import) fn source<'n>(&mut self, source: &Map<'n>, repository: &'n str, secrets: &'n str) -> Option<Attestor> {
        if let Some(secrets) = source.get(secrets) {
            self.findings.note(secrets.spot(), None, "credentials belong into pullgate.yaml, `upstreams[].credentials`");
        }
        let mut nobody = None;
        for key in [repository, "tagPrefix"] {
            if let Some(item) = source.given(key)
                && (key != repository || !self.is_their_own(&item))
            {
                nobody = Some(self.elsewhere(&item));
            }
        }
        nobody
    }

    fn keyless_authority(&mut self, authority: &Map<'_>, map: &Map<'_>, bundle: bool) -> Result<Attestor, Unreadable> {
        let trust_root = match self.named_root(authority, map, bundle)? {
            Ok(trust_root) => trust_root,
            Err(why) => return Ok(Attestor::Never(why)),
        };
        let identities = map.list("identities")?;
        if bundle && identities.len() > 1 {
            let message = "several identities with bundles fail there; here any of them is accepted";
            self.findings.changed(map.spot(), Effect::Wider, Lint::I15, message);
        }
        let mut all = Vec::new();
        for item in &identities {
            let identity = item.map()?;
            // Its webhook takes no policy with such an identity: nobody was ever met by it.
            let missing = ["issuer", "subject"]
                .into_iter()
                .zip(["issuerRegExp", "subjectRegExp"])
                .find(|(exact, regex)| [exact, regex].iter().all(|key| matches!(identity.text(key), Ok(None))));
            all.push(match missing {
                Some((exact, _)) => self.nobody(identity.spot(), format!("policy-controller takes no identity without {exact}")),
                None => self.plain_identity(item, trust_root.clone(), ["issuerRegExp", "subjectRegExp"])?,
            });
        }
        self.findings.unread(map);
        if all.is_empty() {
            return Ok(self.nobody(map.spot(), "no identities".into()));
        }
        Ok(Attestor::any(all))
    }

    /// An identity of exact texts and Go's regexes, as policy-controller and ImageValidatingPolicy have it.
    pub(in crate::import) fn plain_identity(
        &mut self,
        item: &Item<'_>,
        trust_root: Option<String>,
        regexes: [&'static str; 2],
    ) -> Result<Attestor, Unreadable> {
        let map = item.map()?;
        let mut texts = Vec::new();
        for (key, regex) in ["issuer", "subject"].into_iter().zip(regexes) {
            let exact = map.text(key)?;
            let regex = map.get(regex).map(|item| self.go_regex(&item)).transpose()?.flatten();
            texts.push(match (exact, regex) {
                (Some(text), _) if text.contains('*') || text.chars().any(char::is_control) || text.trim() != text => {
                    let message = format!("`{}` is compared exactly, and no certificate has it", shown(text));
                    self.findings.note(map.spot(), None, message);
                    Text::Regex(NOBODY.into())
                }
                (Some(text), None) => Text::Exact(text.to_owned()),
                (None, Some(Ok(regex))) => regex,
                (None, None) => {
                    self.findings.note(map.spot(), Lint::I04, format!("no {key}: any is accepted, there and here"));
                    Text::anything()
                }
                (Some(text), Some(Ok(Text::Regex(regex)))) => {
                    let meets = AnchoredRegex::new(&regex).is_ok_and(|regex| regex.matches(text));
                    if meets { Text::Exact(text.to_owned()) } else { Text::Regex(NOBODY.into()) }
                }
                _ => return Ok(Attestor::Never(format!("a {key} that cannot be carried over"))),
            });
        }
        if let Some(expression) = map.get("subjectExpression") {
            let message = "`subjectExpression` is never evaluated there, so nor here";
            self.findings.note(expression.spot(), Lint::I07, message);
        }
        self.findings.unread(&map);
        let (Some(subject), Some(issuer)) = (texts.pop(), texts.pop()) else {
            return Ok(Attestor::Never("no identity".into()));
        };
        Ok(Attestor::Keyless(Keyless { issuer, subject, claims: Default::default(), trust_root }))
    }

    /// A predicate type as cosign takes it: a URI, or the short name of one.
    pub(in crate::import) fn cosign_type<'t>(&mut self, at: &Spot, written: &'t str) -> &'t str {
        let uri = match (written, written.parse::<PredicateType>()) {
            ("custom", _) => CUSTOM,
            (_, Err(PredicateTypeError::Short(uri))) => uri,
            (other, _) => other,
        };
        if uri != written {
            self.findings.note(at, None, format!("`{written}` is {uri}"));
        }
        uri
    }

    /// A statement an authority wants; the inner error is why it cannot be said.
    fn statement(&mut self, item: &Item<'_>, by: &Attestor) -> Result<Result<Attestation, String>, Unreadable> {
        let map = item.map()?;
        map.get("name");
        let written = map.text("predicateType")?.unwrap_or(CUSTOM);
        let uri = self.cosign_type(map.spot(), written);
        let uri = match self.predicate_type(map.spot(), uri, false) {
            Ok(uri) => uri,
            Err(why) => return Ok(Err(why)),
        };
        let mut one = Attestation::new(uri.clone(), by.clone());
        one.comments.push(format!("From {}. policy-controller asks for one such statement.", map.spot().path));
        if let Some(policy) = map.map("policy")? {
            let understood = self.cue_text(&policy)?.and_then(cue::parse).and_then(|cue| cue::conditions(&cue, &uri));
            match understood {
                Ok(conditions) => {
                    if conditions.iter().any(|(_, from)| from.contains("Data.")) {
                        self.wrapped(policy.spot(), is_sbom(&uri));
                    }
                    if !conditions.is_empty() {
                        let message = "CUE fills in a field the statement lacks; here a statement without it is refused";
                        self.findings.changed(policy.spot(), Effect::Stricter, None, message);
                    }
                    one.require = conditions;
                }
                Err(why) => {
                    let message = format!("the policy cannot be said here: {why}: write it in CEL");
                    self.findings.lost(policy.spot(), Effect::Refuses, None, message);
                    one.require = vec![(NEVER.into(), format!("{}: {why}", policy.spot().path))];
                }
            }
            self.findings.unread(&policy);
        }
        self.findings.unread(&map);
        Ok(Ok(one))
    }
}
