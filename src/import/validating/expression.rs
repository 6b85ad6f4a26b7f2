//! The shapes of CEL that are recognised.

use std::sync::LazyLock;

use ::regex::Regex;

use super::{
    super::{
        Effect, Import,
        draft::{Attestation, Attestor, Draft},
        source::Spot,
    },
    Named,
};
use crate::yaml::shown;

/// What a validation asks.
pub(super) enum Asked {
    Attested { name: String, by: Attestor },
    Content { name: String, expression: String },
    Signed(Attestor),
}

/// Where images stand in a pod.
const KINDS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

macro_rules! shape {
    ($visible:vis $name:ident, $pattern:expr) => {
        $visible static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    };
}
shape!(
    OVER_ALL,
    r"\A\(?(images\.(?:containers|initContainers|ephemeralContainers)(?: \+ images\.(?:containers|initContainers|ephemeralContainers))*)\)?\.(?:map\((\w+), (.+)\)\.all\((\w+), (.+)\)|all\((\w+), (.+)\))\z"
);
shape!(SIGNED, r"\AverifyImageSignatures\((\w+), \[(.*)\]\)(?: (>|>=|==|!=) (\d+))?\z");
shape!(ATTESTED, r"\AverifyAttestationSignatures\((\w+), attestations\.(\w+), \[(.*)\]\)(?: (>|>=|==|!=) (\d+))?\z");
shape!(
    CONTENT,
    r#"\AextractPayload\((\w+), attestations\.(\w+)\)\.predicate((?:\.\w+|\["[^"\\]+"\]|\[\d+\])+) (==|!=|<=|>=|<|>) ('[^'\\]*'|"[^"\\]*"|-?\d+|true|false)\z"#
);
shape!(PRESENT, r"\Ahas\(extractPayload\((\w+), attestations\.(\w+)\)\.predicate((?:\.\w+)+)\)\z");
shape!(pub(super) REGISTRY, r#"\Aimage\(ref\)\.registry\(\) == (?:'([^'\\]+)'|"([^"\\]+)")\z"#);
shape!(COUNTED, r"\A\w+ (>|>=|==|!=) (\d+)\z");

impl Import {
    /// What one validation asks; nothing, for `true`.
    pub(super) fn validation(&mut self, at: &Spot, text: &str, named: &Named) -> Result<Option<Asked>, String> {
        if text == "true" {
            return Ok(None);
        }
        let shape = |shape: &'static LazyLock<Option<Regex>>, text: &str| -> Option<Vec<String>> {
            let found = shape.as_ref()?.captures(text)?;
            Some(found.iter().map(|group| group.map(|group| group.as_str().to_owned()).unwrap_or_default()).collect())
        };
        let over = shape(&OVER_ALL, text).ok_or("it is not about all images")?;
        let kinds: Vec<_> = over[1].split(" + ").filter_map(|list| list.strip_prefix("images.")).collect();
        let others: Vec<_> = KINDS.into_iter().filter(|kind| !kinds.contains(kind)).collect();
        if !others.is_empty() {
            let message = format!(
                "it is about {} there, and not about {}: a gate sees pulls and not what they are for, so here it is about every one",
                kinds.join(" and "),
                others.join(" and ")
            );
            // Once, however many validations say the same.
            let findings = &mut self.findings;
            if !findings.list.iter().any(|one| one.document == findings.document && one.message == message) {
                findings.note(at, None, message);
            }
        }
        // `map(i, X).all(e, e > 0)` and `all(i, X > 0)` are one.
        let (variable, inner) = if over[6].is_empty() {
            let (mapped, result, last) = (&over[3], &over[4], &over[5]);
            let inner = match shape(&COUNTED, last) {
                Some(counted) if last.starts_with(&format!("{result} ")) => format!("{mapped} {} {}", counted[1], counted[2]),
                None if last == result => mapped.clone(),
                _ => return Err("its result is used in a form unknown here".into()),
            };
            (&over[2], inner)
        } else {
            (&over[6], over[7].clone())
        };
        if let Some(found) = shape(&SIGNED, &inner) {
            let by = self.counted(at, &found[2], &found[3], &found[4], named)?;
            return (found[1] == *variable).then_some(Some(Asked::Signed(by))).ok_or_else(|| "it is about another image".into());
        }
        if let Some(found) = shape(&ATTESTED, &inner) {
            let by = self.counted(at, &found[3], &found[4], &found[5], named)?;
            let name = found[2].clone();
            return (found[1] == *variable)
                .then_some(Some(Asked::Attested { name, by }))
                .ok_or_else(|| "it is about another image".into());
        }
        if let Some(found) = shape(&CONTENT, &inner) {
            let expression = format!("predicate{} {} {}", found[3], found[4], found[5]);
            return Ok(Some(Asked::Content { name: found[2].clone(), expression }));
        }
        if let Some(found) = shape(&PRESENT, &inner) {
            return Ok(Some(Asked::Content { name: found[2].clone(), expression: format!("has(predicate{})", found[3]) }));
        }
        Err("it is none of the forms known here".into())
    }

    /// `[attestors.a, attestors.b] > 0`: each that verifies counts one.
    fn counted(&mut self, at: &Spot, list: &str, operator: &str, number: &str, named: &Named) -> Result<Attestor, String> {
        let mut attestors = Vec::new();
        for one in list.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let name = one.strip_prefix("attestors.").ok_or_else(|| format!("`{}` is no attestor", shown(one)))?;
            attestors.push(named.attestors.get(name).cloned().ok_or_else(|| format!("no attestor is called `{}`", shown(name)))?);
        }
        let number: usize = number.parse().map_err(|_| "its result is not compared with a number")?;
        let count = match operator {
            ">" => number.checked_add(1).ok_or("no image has so many signatures")?,
            ">=" => number,
            "==" => {
                if number < attestors.len() {
                    let message =
                        format!("exactly {number} of {} attestors are asked there; here at least so many", attestors.len());
                    self.findings.changed(at, Effect::Wider, None, message);
                }
                number
            }
            "!=" if number == 0 => 1,
            _ => return Err("its result is not compared with a number".into()),
        };
        if count == 0 {
            return Err("it is true of every image".into());
        }
        Ok(self.quorum(at, count, attestors))
    }

    /// Signatures, and statements each with the conditions on its content.
    pub(super) fn put_together(&mut self, asked: Vec<(Asked, Spot)>, named: &Named, draft: &mut Draft) {
        let (mut contents, mut verified) = (Vec::new(), Vec::new());
        for (one, at) in asked {
            match one {
                Asked::Signed(by) => {
                    if by.never().is_none() {
                        let message = "where an image has bundles, they alone are looked at there, and an attestation by these attestors counts as their signature; here a signature is asked for, in either form";
                        self.findings.changed(&at, Effect::Other, None, message);
                    }
                    draft.signatures.push(by);
                }
                Asked::Content { name, expression } => contents.push((verified.contains(&name), name, expression, at)),
                Asked::Attested { name, by } => match named.attestations.get(&name) {
                    Some(Ok(kind)) => {
                        let message = "where an image has bundles, they alone are looked at there; here what is attested in cosign's older form counts too";
                        self.findings.note(&at, None, message);
                        let mut entry = Attestation::new(kind.clone(), by);
                        entry.comments.push(format!("From {}: attestations.{name}.", at.path));
                        draft.attestations.push(entry);
                        verified.push(name);
                    }
                    other => {
                        let why = match other {
                            Some(Err(why)) => why.clone(),
                            _ => format!("no attestation is called `{}`", shown(&name)),
                        };
                        self.findings.lost(&at, Effect::Refuses, None, why.clone());
                        draft.signatures.push(Attestor::Never(why));
                    }
                },
            }
        }
        for (readable, name, expression, at) in contents {
            let kind = named.attestations.get(&name).and_then(|kind| kind.as_ref().ok());
            let mark = format!(": attestations.{name}.");
            let entries = draft.attestations.iter_mut().filter(|entry| entry.comments.iter().any(|line| line.ends_with(&mark)));
            let mut found = false;
            for entry in entries {
                entry.require.push((expression.clone(), at.path.clone()));
                found = true;
            }
            if found && readable {
                let message = "there, one statement of several is read, whichever comes first; here one statement must be signed and meet this";
                self.findings.changed(&at, Effect::Other, None, message);
            } else {
                let why = match kind {
                    // Validations are evaluated in their order, and a payload is there once its signature was verified.
                    Some(_) if found => {
                        "content of an attestation before it is verified, which cannot be read there: put it behind that validation"
                    }
                    Some(_) => "content of an attestation whose signer no validation asks for",
                    None => "content of something that is no statement",
                };
                self.findings.lost(&at, Effect::Refuses, None, why);
                draft.signatures.push(Attestor::Never(why.into()));
            }
        }
    }
}
