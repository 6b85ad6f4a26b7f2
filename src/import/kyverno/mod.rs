//! Kyverno's `verifyImages`: `ClusterPolicy` and `Policy` of `kyverno.io`.
//!
//! Each entry of `verifyImages` is a policy of its own, since each is enforced on its own. All sets of `attestors` must
//! pass, and all `attestations`.

mod attestor;
mod claims;
mod compare;
mod condition;
mod identity;
mod names;
mod selection;
mod statement;
mod trust;

use self::attestor::Of;
pub(super) use self::{claims::claims, compare::quoted, condition::is_sbom};

use super::{
    Effect, Import, Lint, NOT_ALLOWED,
    draft::{Attestor, Draft},
    source::{Item, Map, Spot, Unreadable},
};
use crate::yaml::shown;

/// What made an attestor before there were `attestors`, each by itself.
const MAKING: [&str; 3] = ["annotations", "issuer", "key"];
/// What belonged to such an attestor, and makes none.
const BELONGING: [&str; 3] = ["additionalExtensions", "roots", "subject"];

/// What of a policy holds for all of its entries.
struct Around<'a> {
    name: &'a str,
    rule: &'a str,
    /// The rule does not enforce.
    audit: bool,
    /// No admission asks the policy.
    watches: bool,
    /// What the rule gives names to.
    taken: Vec<String>,
}

impl Import {
    pub(super) fn kyverno(&mut self, document: &Map<'_>, name: &str, namespaced: bool) -> Result<(), Unreadable> {
        let Some(spec) = document.map("spec")? else { return Err(Unreadable::at(document.spot(), "has no `spec`")) };
        let action = spec.text("validationFailureAction")?;
        let overridden = enforces_somewhere(&spec, "validationFailureActionOverrides")?;
        if let Some(item) = spec.given("validationFailureActionOverrides") {
            let message = "overrides by namespace cannot be carried over: a gate sees no namespaces";
            self.findings.changed(item.spot(), Effect::Other, Lint::I21, message);
        }
        if namespaced {
            let message = "a Policy applies to its own namespace; a gate sees none, so this applies to every pull";
            self.findings.changed(document.spot(), Effect::Stricter, Lint::I21, message);
        }
        let webhook = spec.map("webhookConfiguration")?;
        if let Some(webhook) = &webhook {
            webhook.get("timeoutSeconds");
            if webhook.given("matchConditions").is_some() {
                let message = "conditions on requests cannot be carried over: this applies to every pull";
                self.findings.changed(webhook.spot(), Effect::Stricter, Lint::I21, message);
            }
        }
        let failure = match &webhook {
            Some(webhook) => webhook.text("failurePolicy")?.or(spec.text("failurePolicy")?),
            None => spec.text("failurePolicy")?,
        };
        if failure == Some("Ignore") {
            let message = "`failurePolicy: Ignore` admits what could not be checked; a gate answers that it could not tell";
            self.findings.changed(spec.spot(), Effect::Stricter, None, message);
        }
        // Deadlines, scans of what runs already, and the status they write: nothing of a pull.
        for key in [
            "webhookTimeoutSeconds",
            "background",
            "emitWarning",
            "schemaValidation",
            "generateExisting",
            "mutateExistingOnPolicyUpdate",
            "generateExistingOnPolicyUpdate",
            "useServerSideApply",
        ] {
            spec.get(key);
        }
        let watches = spec.flag("admission")? == Some(false);
        if watches {
            let message = "`admission: false`: no admission asks it there, it is for scans of what runs; here it only watches";
            self.findings.note(spec.spot(), Lint::I20, message);
        }
        let mut verifying = 0;
        for rule in spec.list("rules")? {
            let rule = rule.map()?;
            if rule.list("verifyImages")?.is_empty() {
                self.passed_over(&rule, action, overridden, watches)?;
            } else {
                verifying += 1;
                self.kyverno_rule(&rule, name, action, watches)?;
            }
        }
        if let Some(apply) = spec.get("applyRules")
            && apply.text()? == "One"
            && verifying > 1
        {
            let message =
                "`applyRules: One` stops there behind the first rule that names an image of the pod; here each asks for itself";
            self.findings.changed(apply.spot(), Effect::Stricter, None, message);
        }
        if let Some(webhook) = &webhook {
            self.findings.unread(webhook);
        }
        self.findings.unread(&spec);
        Ok(())
    }

    fn kyverno_rule(&mut self, rule: &Map<'_>, name: &str, action: Option<&str>, watches: bool) -> Result<(), Unreadable> {
        let rule_name = rule.text("name")?.unwrap_or_default();
        let entries = rule.list("verifyImages")?;
        self.selection(rule, "match")?;
        self.selection(rule, "exclude")?;
        for key in ["preconditions", "celPreconditions", "imageExtractors"] {
            if let Some(item) = rule.given(key) {
                let message = format!("`{key}` selects requests, which a gate does not see: this applies to every pull");
                self.findings.changed(item.spot(), Effect::Stricter, Lint::I21, message);
            }
        }
        let mut taken = Vec::new();
        if let Some(context) = rule.get("context") {
            let message = "`context` needs an API server; whatever uses it refuses, and is told apart";
            self.findings.note(context.spot(), None, message);
            taken = names(&context.list()?)?;
        }
        for key in ["skipBackgroundRequests", "reportProperties"] {
            rule.get(key);
        }
        let around = Around { name, rule: rule_name, audit: watches || audits(&entries, action)?, watches, taken };
        for (i, entry) in entries.iter().enumerate() {
            let suffix = if entries.len() > 1 { format!("/{i}") } else { String::new() };
            self.verify_images(entry, &around, &suffix)?;
        }
        self.findings.unread(rule);
        let message = "Kyverno admits images no rule names; pullgate refuses them unless told otherwise";
        self.findings.setting("unmatched: dangerous_allow", message);
        Ok(())
    }

    /// A rule that verifies no images. One that validates something of them refuses some there, as by their registry or tag,
    /// be it in some namespaces only: `overridden` says whether the policy enforces there what it else only watches. Which of
    /// that and the rule's own action is followed depends on Kyverno's version.
    fn passed_over(&mut self, rule: &Map<'_>, action: Option<&str>, overridden: bool, watches: bool) -> Result<(), Unreadable> {
        let (mut asked, mut enforces) = (rule.entries(), false);
        if let Some(validate) = rule.map("validate")? {
            let action = validate.text("failureAction")?.or(action);
            let overridden = overridden || enforces_somewhere(&validate, "failureActionOverrides")?;
            enforces = !watches && (overridden || action.is_some_and(|action| !audit(action)));
            asked.extend(validate.entries());
        }
        // `validate` counts by what is in it, of which the message asks nothing.
        asked.retain(|(key, _)| !["message", "name", "validate"].contains(key));
        let name = shown(rule.text("name")?.unwrap_or_default());
        if enforces && asked.iter().any(|(_, item)| item.is_about_images()) {
            self.foreign += 1;
            self.refuses_others = true;
            let message = format!("rule `{name}` validates something of images, which was not carried over: {NOT_ALLOWED}");
            self.findings.lost(rule.spot(), Effect::Wider, None, message);
        } else {
            self.findings.note(rule.spot(), None, format!("rule `{name}` verifies no images, and was passed over"));
        }
        Ok(())
    }

    fn verify_images(&mut self, item: &Item<'_>, around: &Around<'_>, suffix: &str) -> Result<(), Unreadable> {
        let entry = item.map()?;
        if let Some(action) = entry.get("failureAction")
            && audit(action.text()?) != around.audit
            && !around.watches
        {
            let does = if around.audit { "only watches" } else { "enforces" };
            let message = format!("a rule has one `failureAction` there: by another entry's it {does}, and so does this one");
            self.findings.note(action.spot(), None, message);
        }
        let sets = entry.list("attestors")?;
        let attestations = entry.list("attestations")?;
        let asks = !sets.is_empty() || !attestations.is_empty() || MAKING.iter().any(|key| entry.given(key).is_some());
        let refuses = !asks && entry.flag("required")?.unwrap_or(true);
        let bundle = match entry.text("type")? {
            None | Some("Cosign") => false,
            Some("SigstoreBundle") => true,
            Some("Notary") => {
                let message = "Notary signatures are not verified by pullgate";
                self.findings.lost(entry.spot(), Effect::Refuses, None, message);
                let draft = self.entry_draft(&entry, around, suffix, refuses)?;
                ["attestors", "attestations", "validate"].iter().for_each(|key| _ = entry.get(key));
                let nobody = Attestor::Never("Notary signatures are not verified by pullgate".into());
                self.make(entry.spot(), Draft { signatures: vec![nobody], ..draft });
                return Ok(());
            }
            Some(other) => return Err(Unreadable::at(entry.spot(), format!("`type: {}` is unknown", shown(other)))),
        };
        let mut draft = self.entry_draft(&entry, around, suffix, refuses)?;
        draft.signatures.extend(self.entry_rest(&entry)?);
        // Without anything that is asked, nothing is looked for in there.
        if entry.given("repository").is_some() && asks {
            draft.signatures.extend(self.repository(&entry, bundle));
        }
        let deprecated = self.deprecated(&entry, bundle)?;
        if deprecated.is_some() && !attestations.is_empty() {
            let message = "an attestor of the entry itself is dropped there where it has attestations, which any signer meets; here it is asked of each";
            self.findings.changed(entry.spot(), Effect::Stricter, None, message);
        }
        for set in &sets {
            draft.signatures.push(self.attestor_set(set, bundle, Of::Image)?);
        }
        if let Some(one) = &deprecated
            && attestations.is_empty()
        {
            draft.signatures.push(one.clone());
        }
        // An attestation with a name is a variable of that name there.
        let taken = [around.taken.as_slice(), &names(&attestations)?].concat();
        for one in &attestations {
            match self.attestation(one, bundle, deprecated.as_ref(), &taken)? {
                Ok(one) => draft.attestations.push(one),
                Err(why) => draft.signatures.push(Attestor::Never(why)),
            }
        }
        self.asks_nothing(
            entry.spot(),
            refuses,
            &mut draft,
            "it names images and asks nothing of them: they are admitted, as there",
        );
        if asks {
            self.either_form(entry.spot(), if bundle { "type: SigstoreBundle" } else { "type: Cosign" }, bundle);
        }
        if bundle && draft.signatures.iter().any(|one| one.never().is_none()) {
            let message = "bundles alone are looked at there, and an attestation by these attestors counts as their signature; here a signature is asked for, in either form";
            self.findings.changed(entry.spot(), Effect::Other, None, message);
        }
        self.findings.unread(&entry);
        self.make(entry.spot(), draft);
        Ok(())
    }

    /// The older spelling of one attestor, in the entry itself.
    fn deprecated(&mut self, entry: &Map<'_>, bundle: bool) -> Result<Option<Attestor>, Unreadable> {
        let attestor = if let Some(key) = entry.given("key") {
            Some(self.nobody(key.spot(), "`key`: pullgate verifies keyless signatures only".into()))
        } else if entry.given("issuer").is_some() {
            Some(self.keyless(entry, None, bundle)?)
        } else {
            None
        };
        for item in BELONGING.iter().filter_map(|key| entry.given(key)) {
            let key = item.place();
            let key = key.rsplit('.').next().unwrap_or_default();
            // As its `Convert` has it: an issuer takes its subject and roots along, and extensions are never copied.
            if key == "additionalExtensions" || entry.given("issuer").is_none() {
                self.findings.note(item.spot(), None, format!("`{key}` of the entry itself is not evaluated there, so nor here"));
            }
        }
        Ok(match entry.given("annotations") {
            Some(item) => Some(self.nobody(item.spot(), "annotations of a signature cannot be required here".into())),
            None => attestor,
        })
    }

    /// What of an entry is neither image nor evidence. A requirement among it that cannot be said is nobody.
    fn entry_rest(&mut self, entry: &Map<'_>) -> Result<Option<Attestor>, Unreadable> {
        let mutate = entry.flag("mutateDigest")?.unwrap_or(true);
        let verify = entry.flag("verifyDigest")?.unwrap_or(true);
        let required = entry.flag("required")?.unwrap_or(true);
        self.digests(entry.spot(), mutate, verify, required);
        if entry.flag("useCache")? == Some(false) {
            let message = "`useCache: false`: a gate remembers verdicts for `verdict_ttl`";
            self.findings.note(entry.spot(), None, message);
        }
        entry.flag("cosignOCI11")?;
        if let Some(credentials) = entry.get("imageRegistryCredentials") {
            let message = "credentials belong into pullgate.yaml, `upstreams[].credentials`";
            self.findings.note(credentials.spot(), None, message);
        }
        let mut nobody = None;
        if let Some(validate) = entry.map("validate")? {
            validate.get("message");
            if let Some(deny) = validate.get("deny") {
                let why = "`validate.deny` relates several documents to each other, which cannot be said here";
                self.findings.lost(deny.spot(), Effect::Refuses, None, why);
                nobody = Some(Attestor::Never(why.into()));
            }
            self.findings.unread(&validate);
        }
        Ok(nobody)
    }

    /// Where a draft asks for nothing: its validating webhook looks for the mark of a verification where that is `required`,
    /// and here nothing makes one; else `admitted` is said.
    pub(super) fn asks_nothing(&mut self, at: &Spot, required: bool, draft: &mut Draft, admitted: &str) {
        if !draft.signatures.is_empty() || !draft.attestations.is_empty() {
            return;
        }
        if required {
            let why = "nothing is asked, and `required` refuses an image that nothing verified; where other policies verify these, leave this one out and write `unmatched: deny`";
            draft.signatures.push(Attestor::Never(why.into()));
        } else {
            self.findings.note(at, Lint::I20, admitted);
        }
    }

    /// `mutateDigest`, `verifyDigest`, `required`: what a gate does by resolving a tag once.
    pub(super) fn digests(&mut self, at: &Spot, mutate: bool, verify: bool, required: bool) {
        if verify && !mutate {
            let message = "`verifyDigest` without `mutateDigest` refuses images named by tag; a gate resolves the tag and judges the digest";
            self.findings.changed(at, Effect::Wider, Lint::I22, message);
        } else if mutate || required {
            let message = "`mutateDigest`, `verifyDigest` and `required` see to it that what runs is what was verified; a gate resolves a tag once and judges that digest";
            self.findings.note(at, Lint::I22, message);
        }
    }
}

fn audit(action: &str) -> bool {
    !action.eq_ignore_ascii_case("enforce")
}

/// Whether some of the overrides under `key` enforces.
fn enforces_somewhere(map: &Map<'_>, key: &'static str) -> Result<bool, Unreadable> {
    for item in map.list(key)? {
        if item.map()?.text("action")?.is_some_and(|action| !audit(action)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a rule of these entries only watches. It has one action, whichever of them fails: enforcing if any of them says
/// so, else the first that one says, else the policy's.
fn audits(entries: &[Item<'_>], action: Option<&str>) -> Result<bool, Unreadable> {
    let mut said = Vec::new();
    for entry in entries {
        said.extend(entry.map()?.text("failureAction")?.map(audit));
    }
    Ok(if said.is_empty() { action.is_none_or(audit) } else { !said.contains(&false) })
}

/// The names of `list`'s items, as variables begin with them.
fn names(list: &[Item<'_>]) -> Result<Vec<String>, Unreadable> {
    let mut names = Vec::new();
    for item in list {
        if let Some(name) = item.map()?.text("name")? {
            names.push(name.split('.').next().unwrap_or_default().to_owned());
        }
    }
    Ok(names)
}
