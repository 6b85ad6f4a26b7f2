//! Sigstore's policy-controller: `ClusterImagePolicy` and `TrustRoot` of `policy.sigstore.dev`.
//!
//! Authorities are alternatives, and one with `attestations` looks at no signature of the image. Alternatives of
//! different kinds cannot be said in our format; all of them together can, which is stricter, and is reported.

mod authority;
mod cue;
mod trust_root;

pub(super) use self::trust_root::{Root, certificates, log_of};
use self::{authority::Authority, cue::Cue};
use super::{
    Effect, Import, Lint,
    draft::{Attestation, Attestor, Claim, Draft, Keyless, Text},
    images::Hub,
    source::{Item, Map, Unreadable},
    wildcard,
    write::NOBODY,
};
use crate::yaml::shown;

/// What an authority comes to.
enum Part {
    Attested(Vec<Attestation>),
    Fail,
    Nobody(String),
    Pass,
    Signed(Attestor),
}

impl Import {
    pub(super) fn cluster_image_policy(&mut self, document: &Map<'_>, name: &str) -> Result<(), Unreadable> {
        let Some(spec) = document.map("spec")? else { return Err(Unreadable::at(document.spot(), "has no `spec`")) };
        let audit = match spec.text("mode")? {
            None | Some("enforce") => false,
            Some("warn") => true,
            Some(other) => return Err(Unreadable::at(spec.spot(), format!("`mode: {}` is unknown", shown(other)))),
        };
        let mut images = Vec::new();
        for item in spec.list("images")? {
            images.extend(self.glob(&item)?);
        }
        if let Some(filters) = spec.get("match") {
            let message = "`match` selects some resources only; a gate sees pulls, so this applies to every one";
            self.findings.changed(filters.spot(), Effect::Stricter, Lint::I21, message);
        }
        let mut authorities = Vec::new();
        for (i, item) in spec.list("authorities")?.iter().enumerate() {
            authorities.push(self.authority(item, i)?);
        }
        let mut draft = Draft {
            name: name.to_owned(),
            comments: vec![format!("From {}, line {}.", self.findings.document, document.spot().line)],
            images,
            exclude: Vec::new(),
            rejects: false,
            audit,
            signatures: Vec::new(),
            attestations: Vec::new(),
        };
        let required = match spec.map("policy")? {
            Some(policy) => self.over_all(&policy, &mut authorities)?,
            None => Vec::new(),
        };
        self.findings.unread(&spec);
        self.findings.setting(
            "unmatched: deny",
            "policy-controller refuses images no policy matches, unless its no-match-policy says otherwise; so does pullgate",
        );
        self.combine(&spec, authorities, &required, &mut draft);
        self.make(spec.spot(), draft);
        Ok(())
    }

    fn glob(&mut self, item: &Item<'_>) -> Result<Vec<String>, Unreadable> {
        let map = item.map()?;
        let Some(glob) = map.get("glob") else {
            self.findings.unread(&map);
            return Err(Unreadable::at(map.spot(), "has no `glob`"));
        };
        let text = glob.text()?;
        let first = text.split('/').next().unwrap_or_default();
        let spelled = match text {
            "*" => "index.docker.io/library/*".to_owned(),
            "*/*" => "index.docker.io/*/*".to_owned(),
            _ if !text.contains('/') && !text.contains("**") => format!("docker.io/library/{text}"),
            _ if !first.contains(['.', ':', '*']) && first != "localhost" => format!("docker.io/{text}"),
            _ => text.to_owned(),
        };
        if matches!(text, "*" | "*/*") {
            let message = format!("`{text}` means `{spelled}` there: Docker Hub alone");
            self.findings.note(glob.spot(), Lint::I12, message);
        } else if spelled != text || text.starts_with("docker.io/") {
            let message = format!(
                "`{}` is met there only by a name written so; here all spellings of Docker Hub's names are one",
                shown(text)
            );
            self.findings.changed(glob.spot(), Effect::Stricter, Lint::I12, message);
        }
        self.findings.unread(&map);
        self.image_pattern(&glob, &[wildcard::policy_controller(&spelled)], Hub::PolicyController, true)
    }

    /// The policy over all authorities: which of them must have matched, and what else it says of their signers.
    fn over_all(&mut self, policy: &Map<'_>, authorities: &mut [Authority]) -> Result<Vec<String>, Unreadable> {
        let wider = ["includeSpec", "includeObjectMeta", "includeTypeMeta"];
        for key in wider {
            if policy.flag(key)? == Some(true) {
                let message = format!("`{key}`: the object is not there for a gate");
                self.findings.lost(policy.spot(), Effect::Refuses, Lint::I21, message);
            }
        }
        policy.flag("fetchConfigFile")?;
        let understood = match self.cue_text(policy)? {
            Some(text) => cue::parse(text).and_then(|cue| required(&cue, authorities)),
            None => Err("only CUE in `data` can be read here".into()),
        };
        self.findings.unread(policy);
        match understood {
            Ok((required, notes)) => {
                for note in notes {
                    self.findings.changed(policy.spot(), Effect::Wider, None, note);
                }
                Ok(required)
            }
            Err(why) => {
                let why = format!("the policy over all authorities cannot be said here: {why}");
                self.findings.lost(policy.spot(), Effect::Refuses, None, why.clone());
                authorities.iter_mut().for_each(|authority| authority.part = Part::Nobody(why.clone()));
                Ok(Vec::new())
            }
        }
    }

    /// The CUE of a policy; anything else is told apart by the caller.
    fn cue_text<'n>(&mut self, policy: &Map<'n>) -> Result<Option<&'n str>, Unreadable> {
        let kind = policy.text("type")?.unwrap_or("cue");
        for key in ["remote", "configMapRef"] {
            if let Some(item) = policy.get(key) {
                let message = format!("`{key}` is not there for a gate: write its content into `data`");
                self.findings.note(item.spot(), None, message);
            }
        }
        let data = policy.text("data")?;
        Ok(if kind == "cue" { data } else { None })
    }

    fn combine(&mut self, spec: &Map<'_>, authorities: Vec<Authority>, required: &[String], draft: &mut Draft) {
        let at = spec.spot();
        if authorities.is_empty() {
            let message = "no authorities: policy-controller rejects such a policy by default";
            self.findings.lost(at, Effect::Refuses, None, message);
            draft.signatures.push(Attestor::Never(message.into()));
            return;
        }
        let several = authorities.len() > 1;
        let mut parts = Vec::new();
        let mut why = None;
        for Authority { name, part } in authorities {
            let must = required.contains(&name);
            match part {
                Part::Pass if must || required.is_empty() => {
                    self.findings.note(at, Lint::I20, format!("authority `{}` passes without looking", shown(&name)));
                    if required.is_empty() {
                        // One alternative that always holds: nothing is asked.
                        draft.comments.push("`static: pass`: nothing is asked of these images.".into());
                        return;
                    }
                }
                Part::Nobody(reason) if must => {
                    draft.signatures.push(Attestor::Never(reason));
                    return;
                }
                Part::Fail if must => {
                    draft.rejects = true;
                    draft.signatures.push(Attestor::Never("`static: fail` refuses these images".into()));
                    return;
                }
                Part::Nobody(reason) => why = Some(reason),
                Part::Fail | Part::Pass => {}
                Part::Attested(_) | Part::Signed(_) if !required.is_empty() && !must => {}
                part @ (Part::Attested(_) | Part::Signed(_)) => parts.push(part),
            }
        }
        if !required.is_empty() {
            draft.comments.push("The policy over all authorities requires each of these.".into());
            return together(parts, draft);
        }
        if several {
            self.findings.note(at, Lint::I10, "several authorities are alternatives: any one of them suffices there");
        }
        if parts.is_empty() {
            draft.rejects = why.is_none();
            draft.signatures.push(Attestor::Never(why.unwrap_or("`static: fail` refuses these images".into())));
            return;
        }
        self.alternatives(spec, parts, draft);
    }

    /// Any one of `parts` suffices.
    fn alternatives(&mut self, spec: &Map<'_>, parts: Vec<Part>, draft: &mut Draft) {
        let at = spec.spot();
        let signers: Vec<Attestor> =
            parts.iter().filter_map(|part| if let Part::Signed(one) = part { Some(one.clone()) } else { None }).collect();
        if signers.len() == parts.len() {
            draft.signatures.push(Attestor::any(signers));
            return;
        }
        if signers.is_empty() {
            self.findings.note(
                at,
                Lint::I09,
                "an authority with `attestations` looks at no signature of the image: none is asked for",
            );
        }
        // One statement of one type, by this or that signer, is one entry.
        if let Some(one) = merged(&parts) {
            draft.attestations.push(one);
            return;
        }
        if parts.len() > 1 {
            let message = "alternatives of different kinds cannot be said here: all of them were written, which is stricter";
            self.findings.changed(at, Effect::Stricter, Lint::I10, message);
            draft.comments.push("There any one of these suffices; here all are asked.".into());
        }
        together(parts, draft);
    }
}

/// All of `parts` are asked.
fn together(parts: Vec<Part>, draft: &mut Draft) {
    for part in parts {
        match part {
            Part::Attested(list) => draft.attestations.extend(list),
            Part::Signed(one) => draft.signatures.push(one),
            Part::Fail | Part::Nobody(_) | Part::Pass => {}
        }
    }
}

/// One entry that says them all, if they differ in their signer only.
fn merged(parts: &[Part]) -> Option<Attestation> {
    let mut one: Option<Attestation> = None;
    for part in parts {
        let Part::Attested(list) = part else { return None };
        let [only] = list.as_slice() else { return None };
        one = Some(match one {
            None => only.clone(),
            Some(first) => {
                let same = first.predicate_type == only.predicate_type
                    && first.require.iter().map(|(cel, _)| cel).eq(only.require.iter().map(|(cel, _)| cel));
                if !same {
                    return None;
                }
                Attestation { by: Attestor::any(vec![first.by, only.by.clone()]), ..first }
            }
        });
    }
    one
}

/// The authorities that must have matched, as `cue` says, with what it says of their signers put into them.
fn required(cue: &Cue, authorities: &mut [Authority]) -> Result<(Vec<String>, Vec<String>), String> {
    let Cue::Struct(root) = cue else { return Err("it is no struct".into()) };
    let mut names = Vec::new();
    let mut notes = Vec::new();
    for (key, value) in root {
        let ("authorityMatches", Cue::Struct(matches)) = (key.as_str(), value) else {
            return Err(format!("`{}` is not about authorityMatches", shown(key)));
        };
        for (name, wanted) in matches {
            let authority = authorities.iter_mut().find(|one| one.name == *name);
            let authority = authority.ok_or_else(|| format!("no authority is called `{}`", shown(name)))?;
            let Cue::Struct(fields) = wanted else { return Err(format!("`{}` is no struct", shown(name))) };
            for (field, constraint) in fields {
                let must = match field.as_str() {
                    "signatures" => signatures(constraint, authority, &mut notes)?,
                    "attestations" => attestations(constraint, authority)?,
                    other => return Err(format!("`{}` of an authority", shown(other))),
                };
                if must && !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
    }
    Ok((names, notes))
}

const AT_MOST: &str = "a greatest number of signatures cannot be asked for: whoever may add one could then take an image away";

/// Whether there must be a signature. A list that says who, says it into the authority.
fn signatures(cue: &Cue, authority: &mut Authority, notes: &mut Vec<String>) -> Result<bool, String> {
    if !matches!(authority.part, Part::Signed(_) | Part::Nobody(_)) {
        return Err(format!("authority `{}` verifies no signatures", shown(&authority.name)));
    }
    match cue {
        Cue::And(list) => list.iter().try_fold(false, |must, one| Ok(signatures(one, authority, notes)? || must)),
        Cue::Call(call, 0) if call == "list.MinItems" => Ok(false),
        Cue::Call(call, 1) if call == "list.MinItems" => Ok(true),
        Cue::Call(call, number) if call == "list.MaxItems" && *number >= 1 => {
            notes.push(AT_MOST.into());
            Ok(false)
        }
        Cue::List(items, open) => {
            let [Cue::Struct(fields)] = items.as_slice() else { return Err("more than one signature by one authority".into()) };
            notes.push(if *open { "the first signature is meant there; here any" } else { AT_MOST }.into());
            if let Part::Signed(attestor) = &mut authority.part {
                let narrowed = attestor.clone();
                *attestor = narrow(narrowed, fields)?;
            }
            Ok(true)
        }
        other => Err(format!("`signatures: {}`", other.kind())),
    }
}

/// Whether the attestations must be there: an authority matches with all of its own or not at all.
fn attestations(cue: &Cue, authority: &Authority) -> Result<bool, String> {
    let own = match &authority.part {
        Part::Attested(list) => list.len(),
        Part::Nobody(_) => usize::MAX,
        Part::Fail | Part::Pass | Part::Signed(_) => {
            return Err(format!("authority `{}` has no attestations", shown(&authority.name)));
        }
    };
    match cue {
        Cue::And(list) => list.iter().try_fold(false, |must, one| Ok(attestations(one, authority)? || must)),
        Cue::Call(call, number) if call == "struct.MinFields" && *number <= own => Ok(*number > 0),
        Cue::Call(call, number) if call == "struct.MaxFields" && *number >= own.min(64) => Ok(false),
        Cue::Struct(fields) => {
            let one = |value: &Cue| match value {
                Cue::Call(call, 0 | 1) if call == "list.MinItems" => Ok(()),
                other => Err(format!("`attestations: {{…: {}}}`", other.kind())),
            };
            fields.iter().try_for_each(|(_, value)| one(value))?;
            Ok(!fields.is_empty())
        }
        other => Err(format!("`attestations: {}`", other.kind())),
    }
}

/// What policy-controller calls the fields of a signature, and our claims.
const FIELDS: [(&str, &str); 5] = [
    ("githubWorkflowTrigger", "github_workflow_trigger"),
    ("githubWorkflowSha", "github_workflow_sha"),
    ("githubWorkflowName", "github_workflow_name"),
    ("githubWorkflowRepo", "github_workflow_repository"),
    ("githubWorkflowRef", "github_workflow_ref"),
];

/// `attestor` with each identity narrowed to the literals of `fields`.
fn narrow(attestor: Attestor, fields: &[(String, Cue)]) -> Result<Attestor, String> {
    let all = |list: Vec<Attestor>| list.into_iter().map(|one| narrow(one, fields)).collect::<Result<Vec<_>, _>>();
    Ok(match attestor {
        Attestor::All(list) => Attestor::all(all(list)?),
        Attestor::Any(list) => Attestor::any(all(list)?),
        Attestor::Count(count, list) => Attestor::Count(count, all(list)?),
        Attestor::Keyless(keyless) => Attestor::Keyless(narrowed(keyless, fields)?),
        never @ Attestor::Never(_) => never,
    })
}

fn narrowed(mut keyless: Keyless, fields: &[(String, Cue)]) -> Result<Keyless, String> {
    for (field, value) in fields {
        let Cue::Text(text) = value else { return Err(format!("`{}: {}` of a signature", shown(field), value.kind())) };
        let exactly = |old: &Text| {
            let meets = match old {
                Text::Exact(exact) => exact == text,
                Text::Regex(regex) => crate::policy::pattern::AnchoredRegex::new(regex).is_ok_and(|regex| regex.matches(text)),
            };
            if meets { Text::Exact(text.clone()) } else { Text::Regex(NOBODY.into()) }
        };
        match (field.as_str(), FIELDS.iter().find(|(name, _)| name == field)) {
            ("issuer", _) => keyless.issuer = exactly(&keyless.issuer),
            ("subject", _) => keyless.subject = exactly(&keyless.subject),
            (_, Some((_, claim))) => _ = keyless.claims.insert(*claim, Claim::Exact(text.clone())),
            _ => return Err(format!("`{}` of a signature", shown(field))),
        }
    }
    Ok(keyless)
}
