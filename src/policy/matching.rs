//! Matching what attestors want to those who signed.
//!
//! Every attestor becomes a [`Need`]: a tree whose leaves list the signers who would do. Whether it is met is monotone in
//! those lists, so the times from which and until which it is met are found by trying a few.
//!
//! A `count` is a maximum bipartite matching of its entries to signers while each of its entries takes one signer: at
//! most entries × signers × offers steps. Where entries take several (an `all_of` or a `count` in a `count`), it is an exact
//! search over which signer each identity takes. Signers who would do for just the same identities are tried once, so that
//! search grows with the policy, of at most sixteen identities there, and not with how many signed. Should a policy be such
//! that [`MAX_STEPS`] are spent, the need counts as unmet.

use std::{cell::Cell, collections::BTreeSet};

use jiff::Timestamp;

/// Steps of one search.
const MAX_STEPS: u32 = 1 << 20;

/// When something stops to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Then: at that very time it does not hold any more.
    At(Timestamp),
    /// While its evidence stands.
    Never,
}

impl From<Option<Timestamp>> for End {
    fn from(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Never, Self::At)
    }
}

impl From<End> for Option<Timestamp> {
    fn from(end: End) -> Self {
        match end {
            End::At(at) => Some(at),
            End::Never => None,
        }
    }
}

/// A fact that would do for an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    /// Who made it, as an index of distinct signers.
    pub(super) signer: usize,
    /// Which fact, as an index.
    pub(super) fact: usize,
    /// Which place of the attestor it would fill, as an index of [`places`](super::Attestor::places).
    pub(super) place: usize,
    /// Since when there is proof of it.
    pub(super) since: Timestamp,
    /// Until when it does.
    pub(super) until: End,
}

/// What an attestor wants, and who offers it.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// One of these.
    One(Vec<Offer>),
    /// One of these needs.
    Any(Vec<Self>),
    /// All of these needs; they may share signers.
    All(Vec<Self>),
    /// So many of these needs, by signers of their own.
    Count { count: usize, of: Vec<Self> },
}

impl Need {
    /// Until when it is met; `None` if it is not.
    pub(super) fn met_until(&self) -> Option<End> {
        let ends: BTreeSet<End> = self.offers().iter().map(|offer| offer.until).collect();
        let ends: Vec<End> = ends.into_iter().collect();
        // Met by those that hold at least so long: true up to some end, false behind it.
        let met = ends.partition_point(|end| self.met(&|offer| offer.until >= *end));
        met.checked_sub(1).map(|last| ends[last])
    }

    /// Since when it is met: the earliest time by which enough was there. `None` if it is not.
    pub(super) fn met_since(&self) -> Option<Timestamp> {
        let times: BTreeSet<Timestamp> = self.offers().iter().map(|offer| offer.since).collect();
        let times: Vec<Timestamp> = times.into_iter().collect();
        let unmet = times.partition_point(|time| !self.met(&|offer| offer.since <= *time));
        times.get(unmet).copied()
    }

    /// Whether it is met by the offers that count.
    pub(super) fn met(&self, counts: &dyn Fn(&Offer) -> bool) -> bool {
        match self {
            Self::One(offers) => offers.iter().any(counts),
            Self::Any(needs) => needs.iter().any(|need| need.met(counts)),
            Self::All(needs) => needs.iter().all(|need| need.met(counts)),
            Self::Count { count, of } => met_by_different(*count, of, counts),
        }
    }

    /// How many of `of` are met by different signers, at most `count`: for a sentence.
    pub(super) fn most(count: usize, of: &[Self]) -> usize {
        (1..=count).rev().find(|count| met_by_different(*count, of, &|_| true)).unwrap_or_default()
    }

    /// The offers that count for it, each until it or what it is needed with ends: those of every part that is met.
    pub(super) fn contributing(&self) -> Vec<Offer> {
        let parts = match self {
            Self::One(offers) => return offers.clone(),
            Self::Any(needs) | Self::All(needs) | Self::Count { of: needs, .. } => needs,
        };
        let Some(end) = self.met_until() else { return Vec::new() };
        let parts = parts.iter().flat_map(Self::contributing);
        match self {
            // Alternatives: each stands for itself.
            Self::Any(_) => parts.collect(),
            Self::One(_) | Self::All(_) | Self::Count { .. } => {
                parts.map(|offer| Offer { until: offer.until.min(end), ..offer }).collect()
            }
        }
    }

    /// Every offer, whether it helps or not.
    pub(super) fn offers(&self) -> Vec<Offer> {
        match self {
            Self::One(offers) => offers.clone(),
            Self::Any(needs) | Self::All(needs) | Self::Count { of: needs, .. } => needs.iter().flat_map(Self::offers).collect(),
        }
    }
}

fn met_by_different(count: usize, of: &[Need], counts: &dyn Fn(&Offer) -> bool) -> bool {
    let simple: Option<Vec<&Vec<Offer>>> = of
        .iter()
        .map(|need| match need {
            Need::One(offers) => Some(offers),
            Need::Any(_) | Need::All(_) | Need::Count { .. } => None,
        })
        .collect();
    match simple {
        Some(lists) => {
            let signers = |offers: &&Vec<Offer>| offers.iter().filter(|offer| counts(offer)).map(|offer| offer.signer).collect();
            matched(&lists.iter().map(signers).collect::<Vec<Vec<usize>>>()) >= count
        }
        None => Search::new(of, counts).met(count, of),
    }
}

/// The size of a maximum matching of entries to signers: for each entry in turn, a signer nobody has, or one whose entry
/// can take another (Kuhn's augmenting paths).
fn matched(entries: &[Vec<usize>]) -> usize {
    fn place(entry: usize, entries: &[Vec<usize>], holder: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        for &signer in &entries[entry] {
            if std::mem::replace(&mut tried[signer], true) {
                continue;
            }
            let free = match holder[signer] {
                None => true,
                Some(other) => place(other, entries, holder, tried),
            };
            if free {
                holder[signer] = Some(entry);
                return true;
            }
        }
        false
    }
    let signers = entries.iter().flatten().max().map_or(0, |most| most + 1);
    let mut holder = vec![None; signers];
    (0..entries.len()).filter(|entry| place(*entry, entries, &mut holder, &mut vec![false; signers])).count()
}

/// The exact search below a `count` whose entries take several signers.
struct Search<'n> {
    counts: &'n dyn Fn(&Offer) -> bool,
    /// For each signer, the leaves it would do for, one bit each: signers with the same bits are the same to the search.
    kinds: Vec<u64>,
    steps: Cell<u32>,
}

/// What the rest of the search does with the signers taken so far.
type Then<'t> = &'t mut dyn FnMut(&mut Vec<usize>) -> bool;

impl<'n> Search<'n> {
    fn new(of: &[Need], counts: &'n dyn Fn(&Offer) -> bool) -> Self {
        fn leaves<'o>(needs: &'o [Need], found: &mut Vec<&'o Vec<Offer>>) {
            for need in needs {
                match need {
                    Need::One(offers) => found.push(offers),
                    Need::Any(needs) | Need::All(needs) | Need::Count { of: needs, .. } => leaves(needs, found),
                }
            }
        }
        let mut found = Vec::new();
        leaves(of, &mut found);
        let mut kinds = Vec::new();
        for (at, offers) in found.iter().enumerate() {
            for offer in offers.iter().filter(|offer| counts(offer)) {
                kinds.resize(kinds.len().max(offer.signer + 1), 0);
                // There are at most sixteen leaves; were there more, sharing a bit would only try more than it must.
                kinds[offer.signer] |= 1 << (at % 64);
            }
        }
        Self { counts, kinds, steps: Cell::new(0) }
    }

    fn met(&self, count: usize, of: &[Need]) -> bool {
        self.some(count, of, 0, &mut Vec::new(), &[], &mut |_| true)
    }

    /// Whether `need` can take signers, none of them `barred`, so that `then` succeeds. `taken`: all that are taken so far, by
    /// whomever; whoever among them is not barred may be shared.
    fn need(&self, need: &Need, taken: &mut Vec<usize>, barred: &[usize], then: Then<'_>) -> bool {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS {
            return false;
        }
        match need {
            Need::One(offers) => {
                let mut tried = BTreeSet::new();
                let mut tried_kinds = BTreeSet::new();
                for signer in offers.iter().filter(|offer| (self.counts)(offer)).map(|offer| offer.signer) {
                    // Of signers nobody has taken, those of one kind lead to the same.
                    let same = !taken.contains(&signer) && !tried_kinds.insert(self.kinds[signer]);
                    if barred.contains(&signer) || !tried.insert(signer) || same {
                        continue;
                    }
                    taken.push(signer);
                    let done = then(taken);
                    taken.pop();
                    if done {
                        return true;
                    }
                }
                false
            }
            Need::Any(needs) => needs.iter().any(|need| self.need(need, taken, barred, then)),
            Need::All(needs) => self.each(needs, taken, barred, then),
            Need::Count { count, of } => self.some(*count, of, taken.len(), taken, barred, then),
        }
    }

    fn each(&self, needs: &[Need], taken: &mut Vec<usize>, barred: &[usize], then: Then<'_>) -> bool {
        match needs.split_first() {
            None => then(taken),
            Some((first, rest)) => self.need(first, taken, barred, &mut |taken| self.each(rest, taken, barred, then)),
        }
    }

    /// `count` of `of`, each by signers that no earlier one took: those are in `taken` from `start` on.
    fn some(&self, count: usize, of: &[Need], start: usize, taken: &mut Vec<usize>, barred: &[usize], then: Then<'_>) -> bool {
        if count == 0 {
            return then(taken);
        }
        let Some((first, rest)) = of.split_first().filter(|_| of.len() >= count) else { return false };
        let mine = [barred, &taken[start..]].concat();
        self.need(first, taken, &mine, &mut |taken| self.some(count - 1, rest, start, taken, barred, then))
            || self.some(count, rest, start, taken, barred, then)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(signers: &[usize]) -> Need {
        Need::One(
            signers
                .iter()
                .map(|&signer| Offer { signer, fact: 0, place: 0, since: Timestamp::UNIX_EPOCH, until: End::Never })
                .collect(),
        )
    }

    fn met(need: &Need) -> bool {
        need.met(&|_| true)
    }

    /// Every set of signers with which a need is met, as bits: its meaning, written down.
    fn sets(need: &Need) -> BTreeSet<u32> {
        let all = |needs: &[&Need], disjoint: bool| {
            needs.iter().fold(BTreeSet::from([0_u32]), |sofar, need| {
                let more = sets(need);
                sofar.iter().flat_map(|a| more.iter().filter(move |b| !disjoint || a & **b == 0).map(move |b| a | b)).collect()
            })
        };
        match need {
            Need::One(offers) => offers.iter().map(|offer| 1 << offer.signer).collect(),
            Need::Any(needs) => needs.iter().flat_map(sets).collect(),
            Need::All(needs) => all(&needs.iter().collect::<Vec<_>>(), false),
            Need::Count { count, of } => (0_u32..1 << of.len())
                .filter(|chosen| chosen.count_ones() as usize == *count)
                .flat_map(|chosen| {
                    let chosen: Vec<&Need> =
                        of.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, n)| n).collect();
                    all(&chosen, true)
                })
                .collect(),
        }
    }

    fn leaf() -> impl Strategy<Value = Need> {
        prop::collection::vec((0_usize..5, 0_i64..4, 0_i64..5), 0..4).prop_map(|offers| {
            Need::One(
                offers
                    .into_iter()
                    .map(|(signer, since, until)| Offer {
                        signer,
                        fact: 0,
                        place: 0,
                        since: Timestamp::from_second(since).unwrap(),
                        until: if until == 4 { End::Never } else { End::At(Timestamp::from_second(until).unwrap()) },
                    })
                    .collect(),
            )
        })
    }

    fn count(of: Vec<Need>, seed: usize) -> Need {
        Need::Count { count: seed % of.len() + 1, of }
    }

    fn tree() -> impl Strategy<Value = Need> {
        leaf().prop_recursive(3, 9, 3, |inner| {
            let needs = || prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                needs().prop_map(Need::Any),
                needs().prop_map(Need::All),
                (needs(), any::<usize>()).prop_map(|(of, seed)| count(of, seed)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn a_count_of_identities_is_a_maximum_matching(of in prop::collection::vec(leaf(), 1..7), seed in any::<usize>()) {
            let need = count(of, seed);
            prop_assert_eq!(met(&need), !sets(&need).is_empty());
        }

        #[test]
        fn nested_needs_mean_what_is_written(need in tree()) {
            prop_assert_eq!(met(&need), !sets(&need).is_empty());
        }

        #[test]
        fn times_are_the_last_and_the_first_at_which_it_is_met(need in tree()) {
            let at = |until: End| need.met(&|offer| offer.until >= until);
            let all = (0..4).map(|s| End::At(Timestamp::from_second(s).unwrap())).chain([End::Never]);
            prop_assert_eq!(need.met_until(), all.filter(|end| at(*end)).max());
            let by = |time: &Timestamp| need.met(&|offer| offer.since <= *time);
            prop_assert_eq!(need.met_since(), (0..4).map(|s| Timestamp::from_second(s).unwrap()).find(by));
        }

        #[test]
        fn what_contributes_is_enough_by_itself_and_ends_in_time(need in tree()) {
            let contributing = need.contributing();
            prop_assert_eq!(met(&need), !contributing.is_empty());
            let alone = |offer: &Offer| contributing.iter().any(|other| other.signer == offer.signer && other.since == offer.since);
            prop_assert_eq!(met(&need), need.met(&alone));
        }
    }

    #[test]
    fn one_signer_serves_one_entry_of_a_count() {
        let two = |of| Need::Count { count: 2, of };
        assert!(!met(&two(vec![one(&[0]), one(&[0])])));
        assert!(met(&two(vec![one(&[0]), one(&[0, 1])])));
        // The greedy choice for the first entry would leave nothing to the second.
        assert!(met(&two(vec![one(&[0, 1]), one(&[0])])));
        assert!(met(&Need::Count { count: 3, of: vec![one(&[0, 1]), one(&[0, 2]), one(&[0])] }));
        assert!(!met(&Need::Count { count: 3, of: vec![one(&[0, 1]), one(&[0, 1]), one(&[0, 1])] }));
        // An `all_of` takes both of its signers, and may take one for both.
        assert!(!met(&two(vec![Need::All(vec![one(&[0]), one(&[1])]), one(&[1])])));
        assert!(met(&two(vec![Need::All(vec![one(&[0]), one(&[0, 1])]), one(&[1])])));
        assert_eq!(Need::most(3, &[one(&[0]), one(&[0]), one(&[1])]), 2);
    }

    #[test]
    fn a_thousand_signers_of_one_kind_are_searched_as_fast_as_a_few() {
        let many: Vec<usize> = (0..1000).collect();
        let pair = || Need::All(vec![one(&many), one(&many)]);
        let inner = || Need::Count { count: 2, of: vec![one(&many), one(&many)] };
        assert!(met(&Need::Count { count: 8, of: (0..4).flat_map(|_| [pair(), inner()]).collect() }));
        // Sixteen entries and fifteen who could do any of them: the pigeonholes are tried once each, not in every order.
        let few: Vec<usize> = (0..15).collect();
        let began = std::time::Instant::now();
        let of = vec![Need::Count { count: 8, of: vec![one(&few); 8] }, Need::Count { count: 8, of: vec![one(&few); 8] }];
        assert!(!met(&Need::Count { count: 2, of }));
        assert!(began.elapsed().as_secs() < 5);
    }

    /// Its evidence counts as long as what it is needed with.
    #[test]
    fn what_contributes_to_all_ends_with_the_first_of_it_to_end() {
        let until = |signer: usize, second| {
            let until = End::At(Timestamp::from_second(second).unwrap());
            Need::One(vec![Offer { signer, fact: signer, place: 0, since: Timestamp::UNIX_EPOCH, until }])
        };
        let ends = |need: Need| need.contributing().iter().map(|offer| offer.until).collect::<Vec<_>>();
        let at = |second| End::At(Timestamp::from_second(second).unwrap());
        assert_eq!(ends(Need::All(vec![until(0, 5), until(1, 9)])), [at(5), at(5)]);
        assert_eq!(ends(Need::Count { count: 2, of: vec![until(0, 9), until(1, 5)] }), [at(5), at(5)]);
        assert_eq!(ends(Need::Any(vec![until(0, 5), until(1, 9)])), [at(5), at(9)]);
    }

    /// Sixteen places and fifteen signers, each of a kind of its own: 15! orders, which nobody waits for (A9).
    #[test]
    fn a9_a_search_that_takes_too_many_steps_ends_and_is_unmet() {
        let place = |at: usize| one(&(0..15).filter(|signer| *signer != at).collect::<Vec<_>>());
        let pair = |at: usize| Need::Count { count: 2, of: vec![place(2 * at), place(2 * at + 1)] };
        let began = std::time::Instant::now();
        assert!(!met(&Need::Count { count: 8, of: (0..8).map(pair).collect() }));
        assert!(began.elapsed().as_secs() < 30);
    }
}
