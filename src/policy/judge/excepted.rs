//! What an exception does not waive: the deny-list comes before it. Where that names packages, SBOMs are read all the same; what
//! asks for none, or finds none, is admitted by the exception.
//!
//! An exception waives how old evidence may be, how it must be logged and what else it must say: none of that makes a package
//! go away which an allowed signer has found in these very bytes. So an SBOM that lists one refuses for all of that, and is
//! outweighed by what outweighs it without the exception only: an entry that is met. What is waived outweighs nothing, else an
//! exception would lift what the deny-list refuses.

use super::{
    Gap, Miss, Roll, Voucher,
    statements::{Entry, Met},
    vouchers_of, who,
};
use crate::{
    policy::{
        About, AttestationRule, Attestor, Case, MAX_PLATFORMS, Match, PlatformFacts, Policy, Reason, SbomOn,
        checks::CheckFailure, matching::End, sentence::short,
    },
    verify::{Proven, Verified},
};

/// What the SBOMs about one manifest say of the packages that are denied.
enum Listed {
    /// The entry is met, until then: what the policy would rely on lists none.
    Clean(End),
    /// It is not, and one lists such a package.
    Denied(CheckFailure),
    /// Neither.
    Nothing,
}

/// Whose SBOMs count, where an exception stands.
struct Sboms<'e, 'f> {
    policy: &'e Policy,
    roll: &'e Roll<'f>,
    /// Those whom an entry takes over without the exception.
    vouchers: Vec<Voucher<'e, 'f>>,
    /// And those with it.
    signers: Vec<Voucher<'e, 'f>>,
}

impl Policy {
    /// Whether it asks for a document that lists packages.
    #[must_use]
    pub fn asks_for_sbom(&self) -> bool {
        self.attestations.iter().any(|rule| rule.predicate_type.is_sbom())
    }

    /// Until when an exception admits as far as the deny-list goes, and whether on SBOMs beside which no other refuses; or why that
    /// refuses.
    pub(super) fn denied_all_the_same(&self, case: &Case<'_>) -> Result<(End, bool), Gap> {
        if case.denied.is_empty() || !self.asks_for_sbom() {
            return Ok((End::Never, false));
        }
        let roll = Roll::of(case);
        let vouchers = self.signatures.iter().flat_map(|attestor| {
            let need = self.signature_need(attestor, case, &roll);
            vouchers_of(attestor, &need, case.facts).into_iter().map(|(_, voucher)| voucher)
        });
        let vouchers = vouchers.collect();
        let sboms = Sboms { policy: self, roll: &roll, vouchers, signers: self.signers(case, &roll) };
        let rules = self.attestations.iter().filter(|rule| rule.predicate_type.is_sbom());
        let (mut until, mut relied) = (End::Never, true);
        for rule in rules {
            let met = sboms.asked(rule, case)?;
            relied &= met.is_some() && rule.matching == Match::Any;
            until = until.min(met.unwrap_or(End::Never));
        }
        Ok((until, relied))
    }

    /// Those who signed the image as `signatures` names them. How old a signature is, how it is logged and who else must sign is
    /// waived; not as what it was signed: another's call of a reusable workflow says nothing for us (I7).
    fn signers<'f>(&self, case: &Case<'f>, roll: &Roll<'f>) -> Vec<Voucher<'_, 'f>> {
        let signatures: Vec<&'f Verified> = case.facts.iter().filter(|fact| matches!(fact.content, Proven::Signature)).collect();
        let mut signers = Vec::new();
        for identities in self.signatures.iter().flat_map(Attestor::places) {
            let signed = signatures.iter().filter(|fact| who(&identities, fact).is_ok());
            signers.extend(signed.map(|fact| Voucher::of(roll.number(&fact.signer), fact, &identities, End::Never)));
        }
        signers
    }
}

impl<'f> Sboms<'_, 'f> {
    /// One entry, on the manifests it asks about: until when what it is met by stands, if it is met.
    fn asked(&self, rule: &AttestationRule, case: &Case<'f>) -> Result<Option<End>, Gap> {
        let refuse = |failure: CheckFailure| Err(Gap::new(Reason::Denied, failure.summary));
        let subject = self.entry(rule, case);
        let on_subject = self.listed(&subject);
        let platforms = match (rule.sbom_on, case.platforms, &on_subject) {
            (SbomOn::Subject, ..) | (_, Some([]), _) => {
                return match on_subject {
                    Listed::Clean(until) => Ok(Some(until)),
                    Listed::Denied(failure) => refuse(failure),
                    Listed::Nothing => Ok(None),
                };
            }
            (SbomOn::Either, _, Listed::Clean(until)) => return Ok(Some(*until)),
            (SbomOn::Either, _, Listed::Denied(failure)) if !subject.is_left_to_platforms() => return refuse(failure.clone()),
            (SbomOn::EachPlatform | SbomOn::Either, None, _) => {
                let summary = "wants no package of the deny-list on any platform; nobody has looked at them".to_owned();
                return Err(Gap { wants_platforms: true, ..Gap::new(Reason::Denied, summary) });
            }
            (SbomOn::EachPlatform | SbomOn::Either, Some(platforms), _) => platforms,
        };
        let (mut clean, mut end) = (platforms.len() <= MAX_PLATFORMS, End::Never);
        for PlatformFacts { digest, platform, facts } in platforms {
            let on_platform = Case { subject: digest, facts, platforms: None, ..*case };
            match self.listed(&self.entry(rule, &on_platform)) {
                Listed::Clean(until) => end = end.min(until),
                Listed::Denied(CheckFailure { reason, summary }) => {
                    let summary = format!("platform {}: {summary}", short(platform, 30));
                    return refuse(CheckFailure { reason, summary });
                }
                Listed::Nothing => clean = false,
            }
        }
        match on_subject {
            // As without the exception: what each platform has stands in for what the index has.
            Listed::Denied(failure) if rule.sbom_on == SbomOn::Either && !clean => refuse(failure),
            Listed::Clean(_) | Listed::Denied(_) | Listed::Nothing => Ok(Some(end).filter(|_| clean)),
        }
    }

    fn entry<'a>(&'a self, rule: &'a AttestationRule, case: &'a Case<'f>) -> Entry<'a, 'f> {
        Entry::new(self.policy, rule, case, &self.vouchers, self.roll)
    }

    /// What those about one manifest say that are of the entry's type, by whom it allows.
    fn listed(&self, entry: &Entry<'_, 'f>) -> Listed {
        if let Ok(Met { until, .. }) = entry.judge(About::Image) {
            return Listed::Clean(until);
        }
        let identities = entry.everyone();
        let allowed = |fact: &'f Verified| match &identities {
            Some(identities) => who(identities, fact).is_ok(),
            None => entry.vouched(&self.signers, fact).is_ok(),
        };
        let denied = entry.candidates.iter().filter(|candidate| allowed(candidate.fact)).find_map(|candidate| {
            match entry.meets(candidate) {
                Err(Miss::Failed(failure)) if failure.reason == Reason::Denied => Some(failure.clone()),
                // What else it must say is waived.
                Ok(_) | Err(_) => None,
            }
        });
        denied.map_or(Listed::Nothing, Listed::Denied)
    }
}
