//! The judgement: each requirement against each proven fact, and one clause for the person when it fails.
//!
//! Every identity asks whether *some* fact, on its own, is what it wants. So nothing that others add to an image can take an
//! admission away, and two half-right bundles never make a whole (I5, Kyverno #14500). Only `match: all` and `newest` look
//! at several statements together, and only at those by the identities they name.

mod account;
mod count;
mod excepted;
mod failure;
mod gap;
mod statements;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use self::gap::{Gap, Miss, Near, What};
use super::{
    Attestor, Case, Held, Policy, Signed, Unmet,
    identity::Identity,
    matching::{End, Need, Offer},
    sentence::short,
};
use crate::verify::{Proven, SanKind, Signer, Verified};

/// Bytes of [`Unmet::summary`].
const SUMMARY: usize = 200;
/// Bytes of one line of [`Unmet::details`], and how many there are.
const DETAIL: usize = 512;
const DETAILS: usize = 120;

/// A signer whose signature counted, as what, and until when it does.
#[derive(Debug, Clone)]
struct Voucher<'e, 'f> {
    signer: usize,
    subject: &'f str,
    /// The identities that the signature met, of the place that it fills.
    met: Vec<&'e Identity>,
    until: End,
}

impl<'e, 'f> Voucher<'e, 'f> {
    /// Of a signature that fills a place which one of `identities` fills.
    fn of(signer: usize, fact: &'f Verified, identities: &[&'e Identity], until: End) -> Self {
        let met = identities.iter().copied().filter(|identity| identity.check(&fact.signer).is_ok()).collect();
        Self { signer, subject: &fact.signer.subject, met, until }
    }
}

/// The distinct signers of all facts, numbered: the same trust root, issuer, kind of subject and subject is the same
/// signer, whatever else the certificates say.
struct Roll<'f>(BTreeMap<(&'f str, &'f str, SanKind, &'f str), usize>);

impl<'f> Roll<'f> {
    fn of(case: &Case<'f>) -> Self {
        let platforms = case.platforms.iter().flat_map(|platforms| platforms.iter()).flat_map(|platform| &platform.facts);
        let mut roll = BTreeMap::new();
        for fact in case.facts.iter().chain(platforms) {
            let next = roll.len();
            roll.entry(Self::name(&fact.signer)).or_insert(next);
        }
        Self(roll)
    }

    fn name(signer: &'f Signer) -> (&'f str, &'f str, SanKind, &'f str) {
        (&signer.trust_root, &signer.issuer, signer.san_kind, &signer.subject)
    }

    fn number(&self, signer: &'f Signer) -> usize {
        // Everyone is on it; were somebody not, they would be nobody else either.
        self.0.get(&Self::name(signer)).copied().unwrap_or(usize::MAX >> 1)
    }
}

impl Policy {
    /// Whether what is proven satisfies this policy. Each fact is judged alone: claims are never merged across bundles.
    /// Adding facts never turns a yes into a no, except where `match: all` or `newest` says so, and then only facts by the
    /// identities named there.
    ///
    /// An [exception](super::ExceptionUse) that stands answers for all evidence, unless an SBOM lists what the deny-list names.
    ///
    /// Reads documents, so this is CPU work as verification is: call it off the async threads.
    ///
    /// # Errors
    /// What is still wanted.
    pub fn judge(&self, case: &Case<'_>) -> Result<Held, Unmet> {
        if let Some(used) = self.excepted(case) {
            return match self.denied_all_the_same(case) {
                Ok((until, relied)) => {
                    let valid_until = until.min(End::At(used.expires)).into();
                    Ok(Held { valid_until, relied, exception: Some(used), ..Held::default() })
                }
                Err(gap) => Err(self.unmet(case, vec![gap], Vec::new())),
            };
        }
        let roll = Roll::of(case);
        let (mut gaps, mut details) = (Vec::new(), Vec::new());
        let (mut end, mut vouchers, mut held) = (End::Never, Vec::new(), Held::default());
        let (mut signed, mut attested) = (Vec::new(), Vec::new());
        for (i, attestor) in self.signatures.iter().enumerate() {
            let need = self.signature_need(attestor, case, &roll);
            let Some(until) = need.met_until() else {
                details.push(format!("signatures[{i}]: wants {attestor}"));
                gaps.push(self.signature_gap(attestor, &need, case));
                continue;
            };
            end = end.min(until);
            // Each entry is met from some time on; all of them from the last of those.
            held.signed_at = held.signed_at.max(need.met_since());
            for (fact, voucher) in vouchers_of(attestor, &need, case.facts) {
                vouchers.push(voucher);
                if self.tag_guard {
                    held.signed.extend(Some(Signed::of(fact)).filter(|counted| !held.signed.contains(counted)));
                }
            }
            signed.push((i, attestor, need));
        }
        for (i, rule) in self.attestations.iter().enumerate() {
            match self.attested(rule, case, &vouchers, &roll) {
                Ok(met) => {
                    end = end.min(met.until);
                    held.weighed.extend(met.weighed.into_iter().map(|(about, from)| ((i, about), from)));
                    attested.push((i, rule, met.since));
                }
                Err(gap) => {
                    let by = rule.signer.as_ref().map_or_else(|| "a signer of the image".to_owned(), ToString::to_string);
                    details.push(format!("attestations[{i}]: wants {} by {by}", rule.predicate_type));
                    gaps.push(gap);
                }
            }
        }
        if self.cools_from_attestations() {
            held.signed_at = statements::attested_at(&attested);
        }
        if gaps.is_empty() {
            return Ok(Held { valid_until: end.into(), ..held });
        }
        details.extend(signed.iter().map(|(i, attestor, need)| {
            let by: BTreeSet<String> =
                vouchers_of(attestor, need, case.facts).iter().map(|(fact, _)| words::told(fact)).collect();
            format!("signatures[{i}]: met by {}", by.into_iter().collect::<Vec<_>>().join("; "))
        }));
        details.extend(attested.iter().map(|(i, rule, _)| format!("attestations[{i}]: met, {}", rule.predicate_type)));
        Err(self.unmet(case, gaps, details))
    }

    fn unmet(&self, case: &Case<'_>, mut gaps: Vec<Gap>, mut details: Vec<String>) -> Unmet {
        // What is denied is told before what is wanting: behind it, an audit policy would only warn of it.
        gaps.sort_by_key(|gap| gap.reason != super::Reason::Denied);
        // Where something else is wanting too, looking at platforms would change nothing.
        let wants_platforms = gaps.iter().all(|gap| gap.wants_platforms);
        let (reason, summary) = gaps
            .first()
            .map_or((super::Reason::SignatureMissing, String::new()), |gap| (gap.reason, short(&gap.summary, SUMMARY)));
        for gap in gaps {
            details.push(gap.summary);
            details.extend(gap.details);
        }
        details.extend(self.exceptions_told(case));
        details.extend(case.facts.iter().map(|fact| format!("found about {}: {}", case.subject.short(), words::told(fact))));
        if case.facts.is_empty() {
            details.push(format!("found about {}: no verified signature or attestation", case.subject.short()));
        }
        details.truncate(DETAILS);
        let details = details.iter().map(|detail| short(detail, DETAIL)).collect();
        Unmet { policy: self.name.clone(), summary, reason, details, wants_platforms }
    }

    /// What an entry of `signatures` needs, and who offers it.
    fn signature_need(&self, attestor: &Attestor, case: &Case<'_>, roll: &Roll<'_>) -> Need {
        need(attestor, false, &mut |place, identities| self.signatures_by(place, identities, case, roll))
    }

    /// The signatures that one of `identities` made.
    fn signatures_by(&self, place: usize, identities: &[&Identity], case: &Case<'_>, roll: &Roll<'_>) -> Vec<Offer> {
        let signatures = case.facts.iter().enumerate().filter(|(_, fact)| matches!(fact.content, Proven::Signature));
        let offer = |(fact, signature): (usize, &Verified)| {
            let until = self.signed(identities, signature, case.now).ok()?;
            Some(Offer { signer: roll.number(&signature.signer), fact, place, since: Signed::of(signature).at, until })
        };
        signatures.filter_map(offer).collect()
    }

    /// Until when `fact` is a signature by one of `identities`.
    fn signed<'i, 'f>(&self, identities: &[&'i Identity], fact: &'f Verified, now: Timestamp) -> Result<End, Near<'i, 'f>> {
        let identity = who(identities, fact)?;
        let near = |miss| Near { fact, identity: Some(identity), miss };
        if !fact.log.meets(self.log) {
            return Err(near(Miss::Log));
        }
        young_enough(fact, self.max_signature_age, now).map_err(near)
    }

    fn signature_gap<'a, 'f>(&self, attestor: &'a Attestor, need: &Need, case: &Case<'f>) -> Gap {
        let signatures: Vec<&'f Verified> = case.facts.iter().filter(|fact| matches!(fact.content, Proven::Signature)).collect();
        let misses = |identities: &[&'a Identity]| -> Vec<Near<'a, 'f>> {
            signatures.iter().filter_map(|fact| self.signed(identities, fact, case.now).err()).collect()
        };
        gap::of_attestor(&What::Signature, attestor, need, &misses, case.facts)
    }
}

/// Finds the offers for a place, by its index, that one of some identities fills.
type Pick<'p> = &'p mut dyn FnMut(usize, &[&Identity]) -> Vec<Offer>;

/// What `attestor` needs, with the offers `pick` finds for each of its places that one signer fills. With `newest` those are of
/// the newest there is, and beside alternatives the newest of them all must be good: else an older one by another signer
/// would stand in for the newest that refuses, where an alternative is a group.
fn need(attestor: &Attestor, newest: bool, pick: Pick<'_>) -> Need {
    need_from(&mut 0, attestor, newest, pick)
}

/// The same, where its first place is the `next` one.
fn need_from(next: &mut usize, attestor: &Attestor, newest: bool, pick: Pick<'_>) -> Need {
    if attestor.takes_one() {
        let place = std::mem::replace(next, *next + 1);
        return Need::One(pick(place, &attestor.identities()));
    }
    let first = *next;
    let needs = attestor.entries().iter().map(|entry| need_from(next, entry, newest, pick)).collect();
    let need = match attestor {
        Attestor::Count { count, .. } => Need::Count { count: *count, of: needs },
        Attestor::AllOf(_) => Need::All(needs),
        // An identity takes one, so this is the last of them.
        Attestor::AnyOf(_) | Attestor::Keyless(_) => Need::Any(needs),
    };
    match attestor {
        Attestor::AnyOf(_) | Attestor::Count { count: 1, .. } if newest => {
            Need::Beside(pick(first, &attestor.identities()), Box::new(need))
        }
        _ => need,
    }
}

/// The signatures that count for a need that is met, and those who made them.
fn vouchers_of<'e, 'f>(attestor: &'e Attestor, need: &Need, facts: &'f [Verified]) -> Vec<(&'f Verified, Voucher<'e, 'f>)> {
    let places = attestor.places();
    let voucher = |offer: &Offer| {
        let fact = facts.get(offer.fact)?;
        let identities = places.get(offer.place).map(Vec::as_slice).unwrap_or_default();
        Some((fact, Voucher::of(offer.signer, fact, identities, offer.until)))
    };
    need.contributing().iter().filter_map(voucher).collect()
}

/// The first of `identities` that the signer of `fact` has, or the nearest miss.
fn who<'i, 'f>(identities: &[&'i Identity], fact: &'f Verified) -> Result<&'i Identity, Near<'i, 'f>> {
    let mut nearest: Option<Near<'i, 'f>> = None;
    for identity in identities {
        match identity.check(&fact.signer) {
            Ok(()) => return Ok(identity),
            Err(mismatch) => {
                let near = Near { fact, identity: Some(*identity), miss: Miss::Signer(mismatch) };
                if nearest.as_ref().is_none_or(|other| near.nearness() > other.nearness()) {
                    nearest = Some(near);
                }
            }
        }
    }
    Err(nearest.unwrap_or(Near { fact, identity: None, miss: Miss::NotTheSigner }))
}

/// Until when `fact` is at most `max_age` old. Its age is that of the *earliest* of its verified times: a later timestamp over
/// the same signature makes it no younger (I13).
fn young_enough<'f>(fact: &Verified, max_age: Option<Duration>, now: Timestamp) -> Result<End, Miss<'f>> {
    let Some(max_age) = max_age else { return Ok(End::Never) };
    let made = fact.times.iter().min().copied();
    let end = made
        .map(|made| made.checked_add(SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX));
    match end {
        Some(end) if end > now => Ok(End::At(end)),
        _ => Err(Miss::Old { max_age, made }),
    }
}
