//! Which piece of evidence met each requirement of a policy, or why the nearest did not: as branches of a tree.

use super::tree::Tree;
use crate::{
    gate::explain::Told,
    policy::{
        Account,
        requirement::{Failure, On, Requirement, Weighed},
    },
};

/// Hangs `account` below the line of its policy.
pub(super) fn hang(account: &Account<Told>, policy: &mut Tree) {
    let Account { requirements, exceptions } = account;
    policy.branches.extend(exceptions.iter().map(|exception| Tree::leaf(exception)));
    policy.branches.extend(requirements.iter().map(requirement));
}

fn requirement(requirement: &Requirement<Told>) -> Tree {
    let Requirement { entry, wants, met, on } = requirement;
    let mut tree = Tree::leaf(&format!("{entry} is {}: wants {wants}", if *met { "met" } else { "not met" }));
    match &on[..] {
        // The image itself: its evidence needs no line that says so.
        [only @ On { platform: None, .. }] => {
            tree.branches.extend(why_not(only).map(|why| Tree::leaf(&why)));
            evidence(only, &mut tree);
        }
        on => tree.branches.extend(on.iter().map(manifest)),
    }
    tree
}

fn manifest(on: &On<Told>) -> Tree {
    let what = on.platform.as_ref().map_or_else(|| "the index itself".to_owned(), |platform| format!("platform {platform}"));
    let why = why_not(on).map_or_else(|| "met".to_owned(), |why| format!("not met {why}"));
    let mut tree = Tree::leaf(&format!("{what} ({}): {why}", on.digest));
    evidence(on, &mut tree);
    tree
}

fn why_not(on: &On<Told>) -> Option<String> {
    Some(format!("[{}] {}", on.reason?, on.summary.as_deref()?))
}

fn evidence(on: &On<Told>, tree: &mut Tree) {
    tree.branches.extend(on.evidence.iter().map(weighed));
    if on.left_out > 0 {
        tree.branches.push(Tree::leaf(&format!("and {} more, less near", on.left_out)));
    }
}

fn weighed(weighed: &Weighed<Told>) -> Tree {
    let Weighed { piece, counts, failed } = weighed;
    let Told { source, what, subject, issuer, trust_root, times, log } = piece;
    let made = times.first().map(|made| format!(", made {made:.0}")).unwrap_or_default();
    let does = if *counts { "counts" } else { "does not count" };
    let mut tree = Tree::leaf(&format!("{does}: {what} by {subject} of issuer {issuer}{made}"));
    if let Some(failed) = failed {
        tree.branches.push(failure(failed));
    }
    if let Some(source) = source {
        tree.branches.push(Tree::leaf(&format!("in {} ({}), layer {}", source.manifest, source.place.as_str(), source.layer)));
    }
    tree.branches.push(Tree::leaf(&format!("log {log}, trust root {trust_root}")));
    tree
}

fn failure(failure: &Failure) -> Tree {
    let Failure { part, claim, wanted, found, why } = failure;
    let part = claim.map_or_else(|| part.as_words().to_owned(), |claim| format!("{} {claim}", part.as_words()));
    let told = match (wanted, found) {
        (Some(wanted), Some(found)) => format!("wanted {wanted}, found {found}"),
        (Some(wanted), None) => format!("wanted {wanted}, found none"),
        (None, _) => why.clone(),
    };
    Tree::leaf(&format!("{part}: {told}"))
}
