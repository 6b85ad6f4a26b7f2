//! Why a `count` is not met: what is wrong with the evidence that is there, or else that there is too little.

use super::{
    gap::{Gap, NAME, NAME_OF_SEVERAL, Near, WHOLE, What, lines, nearest, of_one, signers_of},
    words::{named, signers_in},
};
use crate::{
    policy::{
        Attestor, Reason,
        identity::Identity,
        matching::Need,
        sentence::{any_of, apart, short},
    },
    verify::Verified,
};

/// Of `count` of `entries` by different signers; `needs` is what each needs.
///
/// Evidence that is there and does not do is told as it is told of a single signer, with its own code: a claim that is absent
/// (I11), an age, a document. That others signed hides none of it, and nobody who could sign once more would mend it.
pub(super) fn of_count<'a, 'f>(
    what: &What<'_>,
    count: usize,
    entries: &'a [Attestor],
    needs: &[Need],
    misses: &dyn Fn(&[&'a Identity]) -> Vec<Near<'a, 'f>>,
    facts: &[Verified],
) -> Gap {
    let identities: Vec<&Identity> = entries.iter().flat_map(Attestor::identities).collect();
    let all = misses(&identities);
    let met = Need::most(count, needs);
    let given_up = Need::gives_up(count, needs);
    let (found, reason) = match (met, all.is_empty()) {
        _ if given_up => (format!("{met} before the search was given up: simpler entries are wanted"), Reason::SignersTooFew),
        (0, true) => ("none".to_owned(), what.missing()),
        (0, false) => (short(&signers_of(&all), 64), what.mismatch()),
        _ => (format!("{met}: {}", short(&signers_in(needs, facts), 60)), Reason::SignersTooFew),
    };
    let names: Vec<String> = entries.iter().map(|entry| named(entry, WHOLE)).collect();
    let names = any_of(&apart(&names, NAME_OF_SEVERAL - 4), NAME_OF_SEVERAL);
    let wants = match what {
        What::Attestation(kind) => format!("wants attestations of type {}", short(kind, 30)),
        What::Signature => "wants signatures".to_owned(),
    };
    let summary = format!("{wants} by {count} different signers of {names}; found {found}");
    let details = lines(&all);
    let Some((entry, misses)) = worst(entries, needs, misses).filter(|_| !given_up) else {
        return Gap { details, ..Gap::new(reason, summary) };
    };
    let gap = of_one(what, &named(entry, NAME), &misses, facts);
    let by = match what {
        What::Attestation(_) => nearest(&misses).map(|near| format!("by {}: ", who(near, &identities))).unwrap_or_default(),
        // Whose it is, is in the clause.
        What::Signature => String::new(),
    };
    let told = format!("found {met} of {count} signers; {by}{}", gap.summary);
    Gap { summary: told, details: [vec![summary], details].concat(), ..gap }
}

/// The entry whose evidence comes nearest to what it wants and does not do, with why not. Not one that is met, unless what it has
/// is denied; not one of whose signers there is nothing.
fn worst<'a, 'f>(
    entries: &'a [Attestor],
    needs: &[Need],
    misses: &dyn Fn(&[&'a Identity]) -> Vec<Near<'a, 'f>>,
) -> Option<(&'a Attestor, Vec<Near<'a, 'f>>)> {
    let near = |(entry, need): (&'a Attestor, &Need)| {
        let met = need.met(&|_| true);
        let misses: Vec<_> = misses(&entry.identities()).into_iter().filter(|near| !met || near.is_denied()).collect();
        let nearness = nearest(&misses)?.nearness();
        (nearness > 0).then_some((nearness, (entry, misses)))
    };
    let (_, worst) = entries.iter().zip(needs).filter_map(near).rev().max_by_key(|(nearness, _)| *nearness)?;
    Some(worst)
}

/// Whose a piece is, told apart from the others who may sign.
fn who(near: &Near<'_, '_>, identities: &[&Identity]) -> String {
    let others = identities.iter().map(|identity| identity.subject.to_string());
    let subjects: Vec<String> = [near.fact.signer.subject.clone()].into_iter().chain(others).collect();
    apart(&subjects, 40).into_iter().next().unwrap_or_default()
}
