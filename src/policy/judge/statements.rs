//! One attestation entry: first the identity and the type, then the age, then which of what is left must meet the conditions.

use std::{cell::OnceCell, cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use super::{Gap, Miss, Near, Roll, Voucher, What, gap, need, who, words, young_enough};
use crate::{
    policy::{
        About, AttestationRule, Attestor, Case, MAX_PLATFORMS, Match, PlatformFacts, Policy, Reason, SbomOn,
        checks::Unfit,
        identity::Identity,
        matching::{End, Need, Offer},
        sentence::short,
    },
    verify::{Proven, Statement, Verified},
};

/// A statement of the wanted type.
pub(super) struct Candidate<'f> {
    pub(super) at: usize,
    pub(super) fact: &'f Verified,
    statement: &'f Statement,
    /// Whether its content meets the entry's conditions, and until when; asked once, and only of an allowed signer's.
    pub(super) meets: OnceCell<Result<End, Miss<'f>>>,
}

impl Candidate<'_> {
    /// When it was made: the earliest time that is proven. One without any would be the newest there is.
    fn made(&self) -> Timestamp {
        self.fact.times.iter().min().copied().unwrap_or(Timestamp::MAX)
    }
}

/// One entry, asked of what is proven about one digest.
pub(super) struct Entry<'e, 'f> {
    policy: &'e Policy,
    pub(super) rule: &'e AttestationRule,
    pub(super) case: &'e Case<'f>,
    pub(super) vouchers: &'e [Voucher<'e, 'f>],
    roll: &'e Roll<'f>,
    pub(super) candidates: Vec<Candidate<'f>>,
}

/// An entry is met.
pub(super) struct Met {
    pub(super) until: End,
    /// The earliest time by which it was. Where no cooldown asks, of what was read only.
    pub(super) since: Option<Timestamp>,
    /// As [`Held::weighed`](crate::policy::Held::weighed).
    pub(super) weighed: BTreeMap<About, Option<Timestamp>>,
}

impl Met {
    /// While the evidence stands, and since nothing was made.
    const ALWAYS: Self = Self { until: End::Never, since: None, weighed: BTreeMap::new() };

    fn and(self, other: Self) -> Self {
        let mut weighed = self.weighed;
        for (about, from) in other.weighed {
            // None, which is any time, is before every time.
            weighed.entry(about).and_modify(|known| *known = from.min(*known)).or_insert(from);
        }
        Self { until: self.until.min(other.until), since: self.since.max(other.since), weighed }
    }
}

/// When the last attestation that was needed was there. A scan is attested anew each day, and an image must cool down all the
/// same: so entries whose statements outdate each other count only where there is no other.
pub(super) fn attested_at(met: &[(usize, &AttestationRule, Option<Timestamp>)]) -> Option<Timestamp> {
    let lasting = met.iter().filter(|(_, rule, _)| !rule.outdates()).filter_map(|(.., since)| *since).max();
    lasting.or_else(|| met.iter().filter_map(|(.., since)| *since).max())
}

impl Policy {
    /// Since when and until when `rule` is met, on the manifests it asks about.
    pub(super) fn attested<'f>(
        &self,
        rule: &AttestationRule,
        case: &Case<'f>,
        vouchers: &[Voucher<'_, 'f>],
        roll: &Roll<'f>,
    ) -> Result<Met, Gap> {
        let of = |case: &Case<'f>| Entry::new(self, rule, case, vouchers, roll).judge(About::Platform);
        let subject = Entry::new(self, rule, case, vouchers, roll);
        let platforms = match (rule.sbom_on, case.platforms) {
            // An image, or an index of nothing that runs: itself is all there is.
            (SbomOn::Subject, _) | (_, Some([])) => return subject.judge(About::Image),
            (SbomOn::EachPlatform, None) => {
                let kind = short(&rule.predicate_type.to_string(), 60);
                let summary = format!("wants an attestation of type {kind} on each platform; nobody has looked at them");
                return Err(Gap { wants_platforms: true, ..Gap::new(Reason::AttestationMissing, summary) });
            }
            (SbomOn::Either, None) => {
                let wants_platforms = subject.is_left_to_platforms();
                return subject.judge(About::Image).map_err(|gap| Gap { wants_platforms, ..gap });
            }
            (SbomOn::EachPlatform | SbomOn::Either, Some(platforms)) => platforms,
        };
        let (mut all, mut subject_gap) = (Met::ALWAYS, None);
        if rule.sbom_on == SbomOn::Either {
            match subject.judge(About::Image) {
                Err(gap) if subject.is_left_to_platforms() => subject_gap = Some(gap.summary),
                answer => return answer,
            }
            // Whatever were there would speak before any platform.
            all.weighed.insert(About::Image, None);
        }
        if platforms.len() > MAX_PLATFORMS {
            let summary = format!("wants attestations on each platform, of at most {MAX_PLATFORMS}; it has {}", platforms.len());
            return Err(Gap::new(Reason::AttestationMissing, summary));
        }
        for PlatformFacts { digest, platform, facts } in platforms {
            match of(&Case { subject: digest, facts, platforms: None, ..*case }) {
                Ok(met) => all = all.and(met),
                Err(mut gap) => {
                    gap.details.push(format!("platform {} is {digest}", short(platform, 60)));
                    gap.details.extend(facts.iter().map(|fact| format!("found about {}: {}", digest.short(), words::told(fact))));
                    gap.details.extend(subject_gap.map(|summary| format!("the index itself: {summary}")));
                    gap.summary = format!("platform {}: {}", short(platform, 30), gap.summary);
                    return Err(gap);
                }
            }
        }
        Ok(all)
    }
}

impl<'e, 'f> Entry<'e, 'f> {
    pub(super) fn new(
        policy: &'e Policy,
        rule: &'e AttestationRule,
        case: &'e Case<'f>,
        vouchers: &'e [Voucher<'e, 'f>],
        roll: &'e Roll<'f>,
    ) -> Self {
        let of_type = |(at, fact): (usize, &'f Verified)| match &fact.content {
            Proven::Attestation(statement) if rule.predicate_type.covers(&statement.predicate_type) => {
                Some(Candidate { at, fact, statement, meets: OnceCell::new() })
            }
            Proven::Attestation(_) | Proven::File | Proven::Signature => None,
        };
        let candidates = case.facts.iter().enumerate().filter_map(of_type).collect();
        Self { policy, rule, case, vouchers, roll, candidates }
    }

    /// Since when and until when it is met.
    pub(super) fn judge(&self, about: About) -> Result<Met, Gap> {
        let need = self.need();
        let Some(mut end) = need.met_until() else { return Err(self.gap(Some(&need))) };
        if self.rule.matching == Match::All {
            for candidate in
                self.candidates.iter().filter(|candidate| self.allowed(self.everyone().as_deref(), candidate).is_ok())
            {
                match self.meets(candidate) {
                    Ok(until) => end = end.min(*until),
                    // Enough others would do; this one is why not.
                    Err(_) => return Err(self.gap(None)),
                }
            }
        }
        // What is older than the newest by each signer that counts is not among those that speak, whoever signed it.
        let newest = need.offers().iter().map(|offer| offer.since).min();
        let from = newest.filter(|_| self.rule.matching == Match::Newest);
        Ok(Met { until: end, since: need.met_since(), weighed: BTreeMap::from([(about, from)]) })
    }

    /// Whether each platform may stand in for the subject where that does not meet it. Not for a statement that speaks: where
    /// every one or the newest must be good, one that refuses on the index would be got round by what its platforms carry.
    pub(super) fn is_left_to_platforms(&self) -> bool {
        let everyone = self.everyone();
        self.rule.matching == Match::Any
            || !self.candidates.iter().any(|candidate| self.allowed(everyone.as_deref(), candidate).is_ok())
    }

    /// What it needs, and which statements offer it.
    pub(super) fn need(&self) -> Need {
        match &self.rule.signer {
            Some(attestor) => {
                let newest = self.rule.matching == Match::Newest;
                need(attestor, newest, &mut |place, identities| self.pick(place, Some(identities)))
            }
            None => Need::One(self.pick(0, None)),
        }
    }

    /// Every identity the entry names; `None` where it takes the image's signers.
    pub(super) fn everyone(&self) -> Option<Vec<&'e Identity>> {
        self.rule.signer.as_ref().map(Attestor::identities)
    }

    /// The statements that will do for a place that one of `identities` fills.
    fn pick(&self, place: usize, identities: Option<&[&Identity]>) -> Vec<Offer> {
        let mut allowed: Vec<(&Candidate<'f>, End)> =
            self.candidates.iter().filter_map(|candidate| Some((candidate, self.allowed(identities, candidate).ok()?))).collect();
        // What holds longest first: where one is enough, no other document need be read.
        allowed.sort_by_key(|(candidate, until)| Reverse((*until, candidate.made())));
        let mut all_good = End::Never;
        if self.rule.matching == Match::Newest {
            allowed.sort_by_key(|(candidate, _)| Reverse(candidate.made()));
            let newest = allowed.first().map(|(candidate, _)| candidate.made());
            allowed.retain(|(candidate, _)| Some(candidate.made()) == newest);
            for (candidate, _) in &allowed {
                // Of those that are equally new every one must be good, so none counts for longer than the first that ends.
                let Ok(until) = self.meets(candidate) else { return Vec::new() };
                all_good = all_good.min(*until);
            }
        }
        let offer = |(candidate, until): (&Candidate<'f>, End)| {
            let until = until.min(all_good).min(*self.meets(candidate).as_ref().ok()?);
            let signer = self.roll.number(&candidate.fact.signer);
            Some(Offer { signer, fact: candidate.at, place, since: candidate.made(), until })
        };
        // Where a cooldown asks since when, the first of them says it: a copy attested today makes no image younger.
        let enough = self.rule.matching == Match::Any
            && self.rule.signer.as_ref().is_none_or(Attestor::takes_one)
            && !self.policy.cools_from_attestations();
        allowed.into_iter().filter_map(offer).take(if enough { 1 } else { usize::MAX }).collect()
    }

    /// Until when it counts, whatever it says: who signed it, how the log vouches for it, how old it is.
    pub(super) fn allowed<'i>(&self, identities: Option<&[&'i Identity]>, candidate: &Candidate<'f>) -> Result<End, Near<'i, 'f>>
    where
        'e: 'i,
    {
        let fact = candidate.fact;
        let (identity, until) = match identities {
            Some(identities) => (Some(who(identities, fact)?), End::Never),
            None => (None, self.vouched(self.vouchers, fact)?),
        };
        let near = |miss| Near { fact, identity, miss };
        if !fact.log.meets(self.policy.log) {
            return Err(near(Miss::Log));
        }
        Ok(until.min(young_enough(fact, self.rule.max_age, self.case.now).map_err(near)?))
    }

    /// Until when it is by one of `vouchers`: by a signer of the image, who signed it as what the image's signer had to be.
    ///
    /// Literally one who signed this digest and met an entry of `signatures`: meeting the pattern again is not enough, for a
    /// pattern may cover many workflows, and only this one vouched for the image (A1). And with the claims that its signature
    /// had to have: a reusable workflow is one signer whoever calls it, and another's call of it says nothing for us (I7).
    pub(super) fn vouched(&self, vouchers: &[Voucher<'e, 'f>], fact: &'f Verified) -> Result<End, Near<'e, 'f>> {
        let number = self.roll.number(&fact.signer);
        let (mut until, mut nearest) = (None, Near { fact, identity: None, miss: Miss::NotTheSigner });
        for voucher in vouchers.iter().filter(|voucher| voucher.signer == number) {
            match who(&voucher.met, fact) {
                Ok(_) => until = until.max(Some(voucher.until)),
                Err(near) if near.nearness() > nearest.nearness() => nearest = near,
                Err(_) => {}
            }
        }
        until.ok_or(nearest)
    }

    /// Until when its content meets every condition. Only asked of an allowed signer's statement, so that nobody else can make
    /// us read a large document.
    pub(super) fn meets<'c>(&self, candidate: &'c Candidate<'f>) -> &'c Result<End, Miss<'f>> {
        candidate.meets.get_or_init(|| {
            let AttestationRule { predicate_type, checks, condition, .. } = self.rule;
            let Candidate { fact, statement, .. } = candidate;
            let checked =
                checks.judge(predicate_type, statement, self.case.now, self.case.denied).map_err(|unfit| match unfit {
                    Unfit::Failed(failure) => Miss::Failed(failure),
                    Unfit::Malformed(error) => Miss::Malformed(error),
                })?;
            condition.judge(self.case, fact, statement).map_err(Miss::Failed)?;
            Ok(checked.valid_until.into())
        })
    }

    /// Why the entry is not met: what its `need` lacks, or, where that is met, the one statement that should not be there.
    fn gap(&self, need: Option<&Need>) -> Gap {
        let kind = self.rule.predicate_type.to_string();
        let what = What::Attestation(&kind);
        match (&self.rule.signer, need) {
            (Some(attestor), Some(need)) => {
                let misses = |identities: &[&'e Identity]| self.misses(Some(identities));
                gap::of_attestor(&what, attestor, need, &misses, self.case.facts)
            }
            _ => {
                let who = self.vouchers.first().map_or("the image's signer", |voucher| voucher.subject);
                gap::of_one(&what, who, &self.misses(self.everyone().as_deref()), self.case.facts)
            }
        }
    }

    /// Why each statement does not do; those that were not asked about their content are left out.
    fn misses<'i>(&self, identities: Option<&[&'i Identity]>) -> Vec<Near<'i, 'f>>
    where
        'e: 'i,
    {
        self.candidates.iter().filter_map(|candidate| self.miss(identities, candidate)).collect()
    }

    /// The same of one.
    pub(super) fn miss<'i>(&self, identities: Option<&[&'i Identity]>, candidate: &Candidate<'f>) -> Option<Near<'i, 'f>>
    where
        'e: 'i,
    {
        if let Err(near) = self.allowed(identities, candidate) {
            return Some(near);
        }
        let miss = candidate.meets.get()?.as_ref().err()?.clone();
        let identity = identities.and_then(|identities| who(identities, candidate.fact).ok());
        Some(Near { fact: candidate.fact, identity, miss })
    }
}
