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
                let chosen: Vec<&Need> = of.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, n)| n).collect();
                all(&chosen, true)
            })
            .collect(),
        Need::Beside(offers, need) => {
            if offers.is_empty() {
                BTreeSet::new()
            } else {
                sets(need)
            }
        }
    }
}

fn leaf() -> impl Strategy<Value = Need> {
    offers().prop_map(Need::One)
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec((0_usize..5, 0_i64..4, 0_i64..5), 0..4).prop_map(|offers| {
        offers
            .into_iter()
            .map(|(signer, since, until)| Offer {
                signer,
                fact: 0,
                place: 0,
                since: Timestamp::from_second(since).unwrap(),
                until: if until == 4 { End::Never } else { End::At(Timestamp::from_second(until).unwrap()) },
            })
            .collect()
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
            (offers(), inner.clone()).prop_map(|(offers, need)| Need::Beside(offers, Box::new(need))),
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
    let of = vec![Need::Count { count: 8, of: vec![one(&few); 8] }, Need::Count { count: 8, of: vec![one(&few); 8] }];
    assert!(!Need::gives_up(2, &of) && !met(&Need::Count { count: 2, of }));
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
    let of: Vec<Need> = (0..8).map(pair).collect();
    assert!(Need::gives_up(8, &of) && !met(&Need::Count { count: 8, of: of.clone() }));
    // What is looked through, to the end or until it is found, is not given up.
    assert!(!Need::gives_up(3, &of) && !Need::gives_up(3, &of[..2]) && !Need::gives_up(2, &[one(&[0]), one(&[0])]));
}
