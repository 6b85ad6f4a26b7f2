//! Sigstore's policy-controller: `ClusterImagePolicy` and `TrustRoot` of `policy.sigstore.dev`.
//!
//! Authorities are alternatives, and one with `attestations` looks at no signature of the image. Alternatives of
//! different kinds cannot be said in our format; all of them together can, which is stricter, and is reported.

mod authority;
mod chains;
mod cue;
mod named_root;
mod over_all;
mod trust_root;

use self::authority::Authority;
pub(super) use self::trust_root::{Root, anchors, log_of};
use super::{
    Effect, Import, Lint,
    draft::{Attestation, Attestor, Draft},
    images::Hub,
    source::{Item, Map, Unreadable},
    wildcard,
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
        if !std::mem::replace(&mut self.told_of_labels, true) {
            let message = "policy-controller looks at namespaces labelled `policy.sigstore.dev/include: true` only; a gate sees none, so these policies apply to every pull";
            self.findings.note(document.spot(), None, message);
        }
        let audit = match spec.text("mode")? {
            None | Some("enforce") => false,
            Some("warn") => true,
            Some(other) => return Err(Unreadable::at(spec.spot(), format!("`mode: {}` is unknown", shown(other)))),
        };
        let mut images = Vec::new();
        for item in spec.list("images")? {
            images.extend(self.glob(&item)?);
        }
        self.named.clone_from(&images);
        if let Some(filters) = spec.given("match") {
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
        if draft.signatures.is_empty() && !draft.attestations.is_empty() {
            let message = "an authority with `attestations` looks at no signature of the image: none is asked for";
            self.findings.note(spec.spot(), Lint::I09, message);
        }
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

    /// The CUE of a policy; the inner error is why there is none to read.
    fn cue_text<'n>(&mut self, policy: &Map<'n>) -> Result<Result<&'n str, String>, Unreadable> {
        let kind = policy.text("type")?.unwrap_or("cue");
        let data = policy.text("data")?;
        let mut elsewhere = false;
        for key in ["remote", "configMapRef"] {
            if let Some(item) = policy.get(key) {
                elsewhere = true;
                let message = format!("`{key}` is not there for a gate: write its content into `data`");
                self.findings.note(item.spot(), None, message);
            }
        }
        Ok(match data {
            // Its webhook takes no such policy, so nobody knows which of them would be asked: not one of them alone.
            Some(_) if elsewhere => Err("policy-controller takes only one of `data`, `remote` and `configMapRef`".into()),
            Some(data) if kind == "cue" => Ok(data),
            _ => Err("only CUE in `data` can be read here".into()),
        })
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
        for Authority { name, part, .. } in authorities {
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
