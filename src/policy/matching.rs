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
    /// A need that counts only where one of these is there. It takes no signer: one who is among these may serve another need.
    Beside(Vec<Offer>, Box<Self>),
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
            Self::Count { count, of } => by_different(*count, of, counts) == Found::Enough,
            Self::Beside(offers, need) => offers.iter().any(counts) && need.met(counts),
        }
    }

    /// How many of `of` are met by different signers, at most `count`: for a sentence.
    pub(super) fn most(count: usize, of: &[Self]) -> usize {
        (1..=count).rev().find(|count| by_different(*count, of, &|_| true) == Found::Enough).unwrap_or_default()
    }

    /// Whether there may be `count` of `of` all the same, by different signers, and the search for them was given up.
    pub(super) fn gives_up(count: usize, of: &[Self]) -> bool {
        by_different(count, of, &|_| true) == Found::GaveUp
    }

    /// The offers that count for it, each until it or what it is needed with ends: those of every part that is met.
    pub(super) fn contributing(&self) -> Vec<Offer> {
        let Some(end) = self.met_until() else { return Vec::new() };
        let until_then = |offer: Offer| Offer { until: offer.until.min(end), ..offer };
        match self {
            Self::One(offers) => offers.clone(),
            // Alternatives: each stands for itself.
            Self::Any(needs) => needs.iter().flat_map(Self::contributing).collect(),
            Self::All(needs) | Self::Count { of: needs, .. } => {
                needs.iter().flat_map(Self::contributing).map(until_then).collect()
            }
            Self::Beside(offers, need) => offers.iter().copied().chain(need.contributing()).map(until_then).collect(),
        }
    }

    /// Every offer, whether it helps or not.
    pub(super) fn offers(&self) -> Vec<Offer> {
        match self {
            Self::One(offers) => offers.clone(),
            Self::Any(needs) | Self::All(needs) | Self::Count { of: needs, .. } => needs.iter().flat_map(Self::offers).collect(),
            Self::Beside(offers, need) => [offers.clone(), need.offers()].concat(),
        }
    }
}

/// What comes of a search for so many needs that are met by different signers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Enough,
    /// [`MAX_STEPS`] were spent.
    GaveUp,
    TooFew,
}

fn by_different(count: usize, of: &[Need], counts: &dyn Fn(&Offer) -> bool) -> Found {
    let simple: Option<Vec<&Vec<Offer>>> = of
        .iter()
        .map(|need| match need {
            Need::One(offers) => Some(offers),
            Need::Any(_) | Need::All(_) | Need::Count { .. } | Need::Beside(..) => None,
        })
        .collect();
    let Some(lists) = simple else {
        let search = Search::new(of, counts);
        return if search.met(count, of) {
            Found::Enough
        } else if search.gave_up.get() {
            Found::GaveUp
        } else {
            Found::TooFew
        };
    };
    let signers = |offers: &&Vec<Offer>| offers.iter().filter(|offer| counts(offer)).map(|offer| offer.signer).collect();
    let enough = matched(&lists.iter().map(signers).collect::<Vec<Vec<usize>>>()) >= count;
    if enough { Found::Enough } else { Found::TooFew }
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
    gave_up: Cell<bool>,
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
                    Need::Beside(_, need) => leaves(std::slice::from_ref(need), found),
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
        Self { counts, kinds, steps: Cell::new(0), gave_up: Cell::new(false) }
    }

    fn met(&self, count: usize, of: &[Need]) -> bool {
        self.some(count, of, 0, &mut Vec::new(), &[], &mut |_| true)
    }

    /// Whether `need` can take signers, none of them `barred`, so that `then` succeeds. `taken`: all that are taken so far, by
    /// whomever; whoever among them is not barred may be shared.
    fn need(&self, need: &Need, taken: &mut Vec<usize>, barred: &[usize], then: Then<'_>) -> bool {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS {
            self.gave_up.set(true);
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
            Need::Beside(offers, need) => offers.iter().any(self.counts) && self.need(need, taken, barred, then),
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
mod tests;
