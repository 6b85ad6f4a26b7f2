//! Each requirement with the evidence beside it: what was decided, for a person who asks why.
//!
//! Made of the judgement's own steps, so that the two cannot differ. It tells of every piece and may read documents again, so
//! nobody makes it who needs the answer only.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    DETAIL, Roll, SUMMARY, Voucher,
    failure::{Failed, OF_ANOTHER_TYPE},
    gap::{Gap, What},
    statements::{Candidate, Entry},
    vouchers_of,
    words::named,
};
use crate::{
    policy::{
        About, AttestationRule, Attestor, Case, MAX_PLATFORMS, Match, PlatformFacts, Policy, Reason, SbomOn,
        matching::Need,
        requirement::{Account, On, Requirement, Weighed},
        sentence::{any_of, short},
    },
    verify::{Proven, Verified},
};

/// How many pieces that do not count are told beside one requirement: an attacker who attaches a thousand writes no thousand
/// lines (B11).
const NEAREST: usize = 8;
/// Bytes of who may have signed, and of each of several.
const WHO: usize = 200;
const EACH: usize = 100;

impl Policy {
    /// Why [`judge`](Self::judge) answers about this case as it does: without an exception that stands, with `Ok` if and only if
    /// every requirement is met.
    ///
    /// CPU work as that is, and more of it.
    #[must_use]
    pub fn account<'f>(&self, case: &Case<'f>) -> Account<&'f Verified> {
        let roll = Roll::of(case);
        let (mut vouchers, mut requirements) = (Vec::new(), Vec::new());
        for (i, attestor) in self.signatures.iter().enumerate() {
            let need = self.signature_need(attestor, case, &roll);
            vouchers.extend(vouchers_of(attestor, &need, case.facts).into_iter().map(|(_, voucher)| voucher));
            let on = self.signed_on(attestor, &need, case);
            requirements.push(requirement(format!("signatures[{i}]"), &format!("a signature by {attestor}"), on.met, vec![on]));
        }
        for (i, rule) in self.attestations.iter().enumerate() {
            let (met, on) = self.attested_on(rule, case, &vouchers, &roll);
            requirements.push(requirement(format!("attestations[{i}]"), &wants(rule), met, on));
        }
        let exceptions = self.exceptions_told(case).map(|line| short(&line, DETAIL)).collect();
        Account { requirements, exceptions }
    }

    fn signed_on<'f>(&self, attestor: &Attestor, need: &Need, case: &Case<'f>) -> On<&'f Verified> {
        let gap = need.met_until().is_none().then(|| self.signature_gap(attestor, need, case));
        let offers = if gap.is_none() { need.contributing() } else { need.offers() };
        let counts: BTreeSet<usize> = offers.iter().map(|offer| offer.fact).collect();
        let (identities, who) = (attestor.identities(), named(attestor, WHO));
        let failed = |(at, fact): (usize, &'f Verified)| {
            if gap.is_none() || counts.contains(&at) {
                None
            } else if matches!(fact.content, Proven::Signature) {
                let near = self.signed(&identities, fact, case.now).err()?;
                Some(Failed::of(&What::Signature, &who, &near))
            } else {
                Some(Failed::of_type(fact, "a signature of the image"))
            }
        };
        let failed = case.facts.iter().enumerate().filter_map(failed).collect();
        on(case, gap, &counts, failed)
    }

    /// An attestation entry on each manifest that it asks about, in the order in which [`attested`](Self::attested) asks.
    fn attested_on<'f>(
        &self,
        rule: &AttestationRule,
        case: &Case<'f>,
        vouchers: &[Voucher<'_, 'f>],
        roll: &Roll<'f>,
    ) -> (bool, Vec<On<&'f Verified>>) {
        let of = |case: &Case<'f>| Entry::new(self, rule, case, vouchers, roll).told();
        let platforms = match (rule.sbom_on, case.platforms) {
            (SbomOn::Subject, _) | (_, Some([])) | (SbomOn::Either, None) => &[],
            (SbomOn::EachPlatform | SbomOn::Either, Some(platforms)) if platforms.len() <= MAX_PLATFORMS => platforms,
            // Nobody has looked at the platforms, or they are too many: there is nothing to tell of but that.
            (SbomOn::EachPlatform | SbomOn::Either, _) => {
                let gap = self.attested(rule, case, vouchers, roll).err();
                let on = on(case, gap, &BTreeSet::new(), Vec::new());
                return (on.met, vec![on]);
            }
        };
        let mut all = Vec::new();
        if platforms.is_empty() || rule.sbom_on == SbomOn::Either {
            let subject = Entry::new(self, rule, case, vouchers, roll);
            let on = subject.told();
            if on.met || platforms.is_empty() || !subject.is_left_to_platforms() {
                return (on.met, vec![on]);
            }
            all.push(on);
        }
        let mut met = true;
        for PlatformFacts { digest, platform, facts } in platforms {
            let on = of(&Case { subject: digest, facts, platforms: None, ..*case });
            met &= on.met;
            all.push(On { platform: Some(short(platform, 60)), ..on });
        }
        (met, all)
    }
}

impl<'f> Entry<'_, 'f> {
    /// What comes of it, with the evidence beside it.
    fn told(&self) -> On<&'f Verified> {
        let gap = self.judge(About::Image).err();
        let everyone = self.everyone();
        let everyone = everyone.as_deref();
        let mut counts: BTreeSet<usize> = BTreeSet::new();
        if gap.is_none() {
            counts.extend(self.need().contributing().iter().map(|offer| offer.fact));
        }
        // Where every statement must be good, each is what it rests on; where it is not met, what is good is told all the same.
        if gap.is_some() || self.rule.matching == Match::All {
            let good = |candidate: &&Candidate<'f>| {
                self.allowed(everyone, candidate).is_ok() && matches!(candidate.meets.get(), Some(Ok(_)))
            };
            counts.extend(self.candidates.iter().filter(good).map(|candidate| candidate.at));
        }
        let kind = self.rule.predicate_type.to_string();
        let failed = |(at, fact): (usize, &'f Verified)| {
            if gap.is_none() || counts.contains(&at) {
                return None;
            }
            let Some(candidate) = self.candidates.iter().find(|candidate| candidate.at == at) else {
                return Some(Failed::of_type(fact, &format!("an attestation {kind}")));
            };
            match self.miss(everyone, candidate) {
                Some(near) => Some(Failed::of(&What::Attestation(&kind), &self.signers(), &near)),
                None => (self.rule.matching == Match::Newest).then(|| Failed::outdated(fact)),
            }
        };
        let failed = self.case.facts.iter().enumerate().filter_map(failed).collect();
        on(self.case, gap, &counts, failed)
    }

    /// Who may have signed.
    fn signers(&self) -> String {
        match &self.rule.signer {
            Some(attestor) => named(attestor, WHO),
            None if self.vouchers.is_empty() => "a signer of the image, and there is none".to_owned(),
            None => {
                let signers: BTreeSet<&str> = self.vouchers.iter().map(|voucher| voucher.subject).collect();
                any_of(&signers.into_iter().map(str::to_owned).collect::<Vec<_>>(), EACH)
            }
        }
    }
}

/// What comes of a requirement about the subject of `case`; those of `failed` that came nearest go first.
fn on<'f>(case: &Case<'f>, gap: Option<Gap>, counts: &BTreeSet<usize>, mut failed: Vec<Failed<'f>>) -> On<&'f Verified> {
    failed.sort_by_key(|failed| Reverse(failed.nearness));
    // What is of another type says something only where nothing is of the type wanted.
    let typed = failed.iter().any(|failed| failed.nearness > OF_ANOTHER_TYPE);
    let near = failed.iter().filter(|failed| !typed || failed.nearness > OF_ANOTHER_TYPE).count().min(NEAREST);
    let left_out = failed.len() - near;
    let counting = counts.iter().filter_map(|at| case.facts.get(*at));
    let counting = counting.map(|piece| Weighed { piece, counts: true, failed: None });
    let failed = failed.into_iter().take(near);
    let failed = failed.map(|failed| Weighed { piece: failed.fact, counts: false, failed: Some(failed.failure) });
    On {
        digest: *case.subject,
        platform: None,
        met: gap.is_none(),
        reason: gap.as_ref().map(|gap| Reason::as_str(gap.reason)),
        summary: gap.map(|gap| short(&gap.summary, SUMMARY)),
        evidence: counting.chain(failed).collect(),
        left_out,
    }
}

/// What an attestation entry asks for, in words.
fn wants(rule: &AttestationRule) -> String {
    let by = rule.signer.as_ref().map_or_else(|| "a signer of the image".to_owned(), ToString::to_string);
    let which = match rule.matching {
        Match::All => ", each there is",
        Match::Any => "",
        Match::Newest => ", the newest there is",
    };
    let on = match rule.sbom_on {
        SbomOn::EachPlatform => ", on each platform",
        SbomOn::Either => ", on the image or else on each platform",
        SbomOn::Subject => "",
    };
    format!("an attestation {} by {by}{which}{on}", rule.predicate_type)
}

fn requirement<P>(entry: String, wants: &str, met: bool, on: Vec<On<P>>) -> Requirement<P> {
    Requirement { entry, wants: short(wants, DETAIL), met, on }
}
