//! What was written, read by our own parser piece by piece: a piece it refuses, such as an expression over a field that no
//! document of that type has or a tree of attestors past its bounds, is a loss with that reason, and refuses.

use std::path::Path;

use super::{
    Effect, Import,
    draft::{Attestation, Attestor, Draft, Keyless},
    source::Spot,
    write,
};
use crate::policy::{PolicySet, Unmatched};

impl Import {
    /// Makes every piece of `draft` one that our format takes.
    pub(super) fn settle(&mut self, at: &Spot, draft: &mut Draft) {
        let mut signatures: Vec<Attestor> = Vec::new();
        for one in std::mem::take(&mut draft.signatures) {
            let one = match refused(draft, Some(one.clone()), None) {
                None => one,
                Some(why) => self.nobody(at, format!("an attestor has no form here: {why}")),
            };
            // Nobody is nobody, for whatever reason: the findings have them all.
            let known = |other: &Attestor| *other == one || (other.never().is_some() && one.never().is_some());
            if !signatures.iter().any(known) {
                signatures.push(one);
            }
        }
        let mut attestations: Vec<Attestation> = Vec::new();
        for mut one in std::mem::take(&mut draft.attestations) {
            self.settle_content(at, draft, &mut one);
            let bare = Attestation { require: Vec::new(), scan_max_age: None, all: None, ..one.clone() };
            if let Some(why) = refused(draft, None, Some(bare)) {
                one.by = self.nobody(at, format!("an attestor has no form here: {why}"));
            }
            if !attestations.iter().any(|other| same(other, &one)) {
                attestations.push(one);
            }
        }
        (draft.signatures, draft.attestations) = (signatures, attestations);
    }

    fn settle_content(&mut self, at: &Spot, draft: &Draft, one: &mut Attestation) {
        let probe = |require: Vec<(String, String)>, all: Option<String>, scan_max_age: Option<String>| {
            let by = Attestor::Keyless(Keyless::anybody());
            refused(draft, None, Some(Attestation { by, require, all, scan_max_age, ..one.clone() }))
        };
        let mut stuck = None;
        if let Some(why) = one.all.as_ref().and_then(|all| probe(Vec::new(), Some(all.clone()), None)) {
            stuck = Some(format!("`match: all` has no form here: {why}"));
        }
        if let Some(why) = one.scan_max_age.as_ref().and_then(|age| probe(Vec::new(), None, Some(age.clone()))) {
            stuck = Some(format!("a scan's age has no form here: {why}"));
        }
        let mut require: Vec<(String, String)> = Vec::new();
        for (expression, from) in &one.require {
            let mut expression = expression.clone();
            if expression != NEVER
                && let Some(why) = probe(vec![(expression.clone(), from.clone())], None, None)
            {
                let message = format!("the condition `{expression}` has no form here: {why}; write another");
                self.findings.lost(at, Effect::Refuses, None, message);
                expression = NEVER.to_owned();
            }
            // Asked twice, it would be an error.
            match require.iter_mut().find(|(other, _)| *other == expression) {
                Some((_, said)) => *said = format!("{said}; and {from}"),
                None => require.push((expression, from.clone())),
            }
        }
        if let Some(why) = probe(require.clone(), None, None).filter(|_| !require.is_empty()) {
            stuck = Some(format!("its conditions have no form here: {why}"));
        }
        one.require = require;
        if let Some(why) = stuck {
            one.by = self.nobody(at, why);
            (one.require, one.scan_max_age, one.all) = (Vec::new(), None, None);
        }
    }
}

/// The expression that refuses: no repository has such a name, and the refusal shows what is missing.
pub(super) const NEVER: &str = r#"image.repository == "write this condition""#;

/// Whether our parser takes `expression` over documents of `predicate_type`.
pub(super) fn fits(predicate_type: &str, expression: &str) -> bool {
    let by = Attestor::Keyless(Keyless::anybody());
    let mut one = Attestation::new(predicate_type.to_owned(), by);
    one.require.push((expression.to_owned(), String::new()));
    let draft = Draft {
        name: String::new(),
        comments: Vec::new(),
        images: vec!["registry.example/app".into()],
        exclude: Vec::new(),
        rejects: false,
        audit: false,
        signatures: Vec::new(),
        attestations: Vec::new(),
    };
    refused(&draft, None, Some(one)).is_none()
}

/// Why our parser refuses a policy of these pieces; `None`: it takes it.
fn refused(draft: &Draft, signature: Option<Attestor>, attestation: Option<Attestation>) -> Option<String> {
    let probe = Draft {
        name: "probe".into(),
        comments: Vec::new(),
        signatures: signature.into_iter().collect(),
        attestations: attestation.into_iter().collect(),
        ..draft.clone()
    };
    let problems = PolicySet::from_text(Path::new("probe"), &write::file(&[], &[probe]), Unmatched::Deny).err()?;
    Some(problems.0.first().map(|problem| problem.message.clone()).unwrap_or_default())
}

/// Whether two entries ask the same, wherever they came from.
fn same(a: &Attestation, b: &Attestation) -> bool {
    let expressions = |one: &Attestation| one.require.iter().map(|(expression, _)| expression.clone()).collect::<Vec<_>>();
    a.predicate_type == b.predicate_type
        && a.by == b.by
        && a.all == b.all
        && a.scan_max_age == b.scan_max_age
        && expressions(a) == expressions(b)
}
