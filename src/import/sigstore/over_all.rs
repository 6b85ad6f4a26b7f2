//! The policy over all authorities of a `ClusterImagePolicy`: which of them must have matched, and what it says of who
//! signed.
//!
//! There, the CUE is unified with what matched, and an error alone refuses (cosign's `policy.EvaluatePolicyAgainstJSON`,
//! which does not ask for concrete values). So `signatures: list.MaxItems(5)` and `list.MinItems(0)` ask for nothing, and
//! `list.MinItems(1)` refuses nothing either where the authority did not match at all. Its writers mean that it must have.

use super::{
    super::{
        Effect, Import, Lint,
        draft::{Attestor, Claim, Keyless, Text},
        source::{Map, Unreadable},
        write::NOBODY,
    },
    Part,
    authority::Authority,
    cue::{self, Cue},
};
use crate::yaml::shown;

impl Import {
    /// The policy over all authorities: which of them must have matched, and what else it says of their signers.
    pub(super) fn over_all(&mut self, policy: &Map<'_>, authorities: &mut [Authority]) -> Result<Vec<String>, Unreadable> {
        let wider = ["includeSpec", "includeObjectMeta", "includeTypeMeta"];
        for key in wider {
            if policy.flag(key)? == Some(true) {
                let message = format!("`{key}`: the object is not there for a gate");
                self.findings.lost(policy.spot(), Effect::Refuses, Lint::I21, message);
            }
        }
        policy.flag("fetchConfigFile")?;
        let understood = self.cue_text(policy)?.and_then(cue::parse).and_then(|cue| required(&cue, authorities));
        self.findings.unread(policy);
        match understood {
            Ok((required, notes)) => {
                for (effect, note) in notes {
                    self.findings.changed(policy.spot(), effect, None, note);
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
}

/// What means something else here, and in which direction.
type Notes = Vec<(Effect, &'static str)>;

/// The authorities that must have matched, as `cue` says, with what it says of their signers put into them.
fn required(cue: &Cue, authorities: &mut [Authority]) -> Result<(Vec<String>, Notes), String> {
    let Cue::Struct(root) = cue else { return Err("it is no struct".into()) };
    for (i, Authority { name, .. }) in authorities.iter().enumerate() {
        if authorities[..i].iter().any(|other| other.name == *name) {
            return Err(format!("two authorities are called `{}`", shown(name)));
        }
    }
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
                    notes.push((Effect::Stricter, ABSENT));
                }
            }
        }
    }
    Ok((names, notes))
}

const ABSENT: &str =
    "an authority that did not match at all is not missed there: its CUE is not asked to be complete; here it must match";
const AT_MOST: &str = "a greatest number of signatures cannot be asked for: whoever may add one could then take an image away";

/// Whether there must be a signature. A list that says who, says it into the authority.
fn signatures(cue: &Cue, authority: &mut Authority, notes: &mut Notes) -> Result<bool, String> {
    if !matches!(authority.part, Part::Signed(_) | Part::Nobody(_)) {
        return Err(format!("authority `{}` verifies no signatures", shown(&authority.name)));
    }
    match cue {
        Cue::And(list) => list.iter().try_fold(false, |must, one| Ok(signatures(one, authority, notes)? || must)),
        Cue::Call(call, 0) if call == "list.MinItems" => Ok(false),
        Cue::Call(call, 1) if call == "list.MinItems" => Ok(true),
        Cue::Call(call, number) if call == "list.MaxItems" && *number >= 1 => {
            notes.push((Effect::Wider, AT_MOST));
            Ok(false)
        }
        Cue::List(items, open) => {
            let [Cue::Struct(fields)] = items.as_slice() else { return Err("more than one signature by one authority".into()) };
            notes.push((Effect::Wider, if *open { "the first signature is meant there; here any" } else { AT_MOST }));
            for (field, value) in fields {
                if authority.said.iter().any(|(other, said)| other == field && said != value) {
                    return Err(format!("`{}` of a signature is to be two things at once", shown(field)));
                }
                authority.said.push((field.clone(), value.clone()));
            }
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
        Part::Attested(_) => authority.attestations.len(),
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
            for (name, value) in fields {
                if !authority.attestations.contains(name) {
                    let authority = shown(&authority.name);
                    return Err(format!("authority `{authority}` has no attestation called `{}`", shown(name)));
                }
                one(value)?;
            }
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
