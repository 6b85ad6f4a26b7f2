//! The statements an entry wants.

use super::{
    super::{
        DEFAULT_MAX_AGE, Effect, Import, Lint,
        draft::{Attestation, Attestor, Keyless},
        source::{Item, Spot, Unreadable},
    },
    attestor::Of,
};
use crate::{
    policy::{predicate::PredicateType, spdx},
    yaml::shown,
};

impl Import {
    /// A statement that must be there; the inner error is why it cannot be said. `taken`: names that mean something else in
    /// its conditions.
    pub(super) fn attestation(
        &mut self,
        item: &Item<'_>,
        bundle: bool,
        deprecated: Option<&Attestor>,
        taken: &[String],
    ) -> Result<Result<Attestation, String>, Unreadable> {
        let map = item.map()?;
        map.get("name");
        let predicate_type = map.text("type")?;
        let Some(predicate_type) = predicate_type.or(map.text("predicateType")?) else {
            return Err(Unreadable::at(map.spot(), "has no `type`"));
        };
        let mut sets = Vec::new();
        for set in map.list("attestors")? {
            sets.push(self.attestor_set(&set, bundle, Of::Statement)?);
        }
        sets.extend(deprecated.cloned());
        let by = if sets.is_empty() && bundle {
            // Its verifier takes no policy without an identity.
            self.nobody(map.spot(), "an attestation of a SigstoreBundle entry without attestors".into())
        } else if sets.is_empty() {
            self.findings.note(map.spot(), Lint::I08, "no attestors: any signer is accepted, there and here");
            Attestor::Keyless(Keyless::anybody())
        } else {
            Attestor::all(sets)
        };
        let written = match self.predicate_type(map.spot(), predicate_type, true) {
            Ok(written) => written,
            Err(why) => return Ok(Err(why)),
        };
        let mut one = Attestation::new(written, by);
        for condition in map.list("conditions")? {
            self.condition(&condition, taken, &mut one)?;
        }
        if !bundle {
            let message = "there, a statement of this type by another signer refuses; here it is set aside";
            self.findings.changed(map.spot(), Effect::Wider, None, message);
        }
        let every = if one.require.is_empty() && one.scan_max_age.is_none() {
            "there are none, so one statement is enough."
        } else {
            one.all = Some(self.max_age(map.spot()));
            // It takes attestors one by one, and asks the conditions of what that one alone attested.
            if bundle && one.by.has_alternatives() {
                let message = "each attestor's statements are asked by themselves there, and those of `count` attestors suffice; here every statement of any of them must satisfy the conditions";
                self.findings.changed(map.spot(), Effect::Stricter, None, message);
            }
            "all of them are asked."
        };
        one.comments =
            vec![format!("From {}. Kyverno asks every statement of the type to meet the conditions: {every}", map.spot().path)];
        self.findings.unread(&map);
        Ok(Ok(one))
    }

    /// A predicate type as our format has it.
    ///
    /// # Errors
    /// It has none, and no statement can be asked for.
    pub(in crate::import) fn predicate_type(&mut self, at: &Spot, text: &str, kyverno: bool) -> Result<String, String> {
        if let Some(new) = PredicateType::renamed(text) {
            let message = format!(
                "the predicate type `{}` is {new} by now; statements of either count here, and the predicate must really be a document of that type",
                shown(text)
            );
            self.findings.changed(at, Effect::Other, None, message);
            return Ok(new.to_owned());
        }
        match text.parse::<PredicateType>() {
            Ok(PredicateType::Exact(_)) => Ok(text.to_owned()),
            Ok(_) => {
                let unversioned = text == spdx::TYPE;
                let also = if unversioned { " The versioned types are accepted too." } else { "" };
                let lint = (unversioned && kyverno).then_some(Lint::I13);
                let message = format!("the predicate must really be a document of that type here, with something in it.{also}");
                self.findings.changed(at, Effect::Other, lint, message);
                Ok(text.to_owned())
            }
            Err(error) => {
                let why = format!("the predicate type `{}`: {error}", shown(text));
                self.findings.lost(at, Effect::Refuses, None, why.clone());
                Err(why)
            }
        }
    }

    /// The bound our format wants where every statement must satisfy something.
    fn max_age(&mut self, at: &Spot) -> String {
        let (age, how) = match &self.options.max_age {
            Some(age) => (age.as_str(), "as chosen"),
            None => (DEFAULT_MAX_AGE, "the longest that can be said; choose with --max-age"),
        };
        let message = format!(
            "every statement must satisfy the conditions, however old it is there; here one older than {age} counts neither for the image nor against it ({how})"
        );
        let age = age.to_owned();
        self.findings.changed(at, Effect::Other, None, message);
        age
    }
}
