//! A policy being written: what an importer says, in the words of our own format.

use std::collections::BTreeMap;

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// Its name, before it is made fit and unique.
    pub(super) name: String,
    /// Where it came from, and what a reader of the file should know; a comment line each.
    pub(super) comments: Vec<String>,
    /// Image patterns. A draft without any is not written.
    pub(super) images: Vec<String>,
    /// Image patterns it does not name after all.
    pub(super) exclude: Vec<String>,
    /// Whether refusing all of them is what the source says: then nothing is left to complete.
    pub(super) rejects: bool,
    /// Whether it only watches.
    pub(super) audit: bool,
    /// Who must have signed: each must hold; empty means nobody.
    pub(super) signatures: Vec<Attestor>,
    /// What must be attested: each must hold; empty means nothing.
    pub(super) attestations: Vec<Attestation>,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attestor {
    /// All of them, by whomever each.
    All(Vec<Self>),
    /// Any of them.
    Any(Vec<Self>),
    /// So many distinct signers of them.
    Count(usize, Vec<Self>),
    /// One identity.
    Keyless(Keyless),
    /// Nobody: what the source wants cannot be said, for this reason. It refuses rather than being left out, so that
    /// nothing is admitted that the source would refuse.
    Never(String),
}

/// An identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keyless {
    pub(super) issuer: Text,
    pub(super) subject: Text,
    /// Claims and what each must be: any of these.
    pub(super) claims: BTreeMap<&'static str, Claim>,
    /// The name of its trust root; `None`: the default.
    pub(super) trust_root: Option<String>,
}

/// How a claim is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Exactly.
    Exact(String),
    /// By any of these globs.
    Patterns(Vec<String>),
}

/// How an issuer or a subject is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// Exactly.
    Exact(String),
    /// By a regex that our format anchors.
    Regex(String),
}

/// A statement that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attestation {
    pub(super) comments: Vec<String>,
    pub(super) predicate_type: String,
    pub(super) by: Attestor,
    /// Whether every statement must meet the conditions, and how old the oldest may be.
    pub(super) all: Option<String>,
    /// CEL expressions, each with what it was made from.
    pub(super) require: Vec<(String, String)>,
    /// The oldest scan, of a vulnerability attestation.
    pub(super) scan_max_age: Option<String>,
}

/// How many ways of choosing `k` signers are written out.
const MAX_WAYS: usize = 20;

impl Keyless {
    /// Whoever it is, of the default trust root.
    pub(super) fn anybody() -> Self {
        Self { issuer: Text::anything(), subject: Text::anything(), claims: BTreeMap::new(), trust_root: None }
    }
}

impl Attestation {
    /// One statement of the type by `by` is enough.
    pub(super) fn new(predicate_type: String, by: Attestor) -> Self {
        Self { comments: Vec::new(), predicate_type, by, all: None, require: Vec::new(), scan_max_age: None }
    }
}

impl Text {
    /// Whatever it is.
    pub(super) fn anything() -> Self {
        Self::Regex("(?s:.*)".into())
    }
}

impl Attestor {
    /// Any of `list`, without those that are nobody.
    pub(super) fn any(list: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        let mut why = String::from("no attestor is left");
        for one in list {
            match one {
                Self::Any(inner) => inner.into_iter().for_each(|one| push(&mut flat, one)),
                Self::Never(reason) => why = reason,
                other => push(&mut flat, other),
            }
        }
        match flat.len() {
            0 => Self::Never(why),
            1 => flat.remove(0),
            _ => Self::Any(flat),
        }
    }

    /// All of `list`; nobody, if one is.
    pub(super) fn all(list: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for one in list {
            match one {
                Self::All(inner) => inner.into_iter().for_each(|one| push(&mut flat, one)),
                Self::Never(reason) => return Self::Never(reason),
                other => push(&mut flat, other),
            }
        }
        match flat.len() {
            0 => Self::Never("no attestor is left".into()),
            1 => flat.remove(0),
            _ => Self::All(flat),
        }
    }

    /// `count` of `list`, each counted by itself as the source does: one signer may meet several of them. Our own
    /// `count` wants distinct signers, so it is written only where no signer can meet two. `None`: there are too many
    /// ways to write out.
    pub(super) fn quorum(count: usize, list: Vec<Self>) -> Option<Self> {
        if count >= list.len() {
            return Some(if count > list.len() {
                Self::Never(format!("wants {count} of {} attestors", list.len()))
            } else {
                Self::all(list)
            });
        }
        if count <= 1 {
            return Some(Self::any(list));
        }
        let met: Vec<Self> = list.into_iter().filter(|one| !matches!(one, Self::Never(_))).collect();
        if met.len() <= count {
            return Self::quorum(count, met);
        }
        if disjoint(&met) {
            return Some(Self::Count(count, met));
        }
        let mut ways = Vec::new();
        choose(count, &met, &mut Vec::new(), &mut ways);
        (ways.len() <= MAX_WAYS).then(|| Self::any(ways.into_iter().map(Self::all).collect()))
    }

    /// Whether not everybody it names must have signed.
    pub(super) fn has_alternatives(&self) -> bool {
        match self {
            Self::All(list) => list.iter().any(Self::has_alternatives),
            Self::Any(_) | Self::Count(..) => true,
            Self::Keyless(_) | Self::Never(_) => false,
        }
    }

    /// The reason, if it or a part of it is nobody.
    pub(super) fn never(&self) -> Option<&str> {
        match self {
            Self::All(list) | Self::Any(list) | Self::Count(_, list) => list.iter().find_map(Self::never),
            Self::Keyless(_) => None,
            Self::Never(reason) => Some(reason),
        }
    }
}

fn push(list: &mut Vec<Attestor>, one: Attestor) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// Whether no signer can be two of them: all are identities that differ in an exact issuer or subject.
fn disjoint(list: &[Attestor]) -> bool {
    let differ = |a: &Text, b: &Text| matches!((a, b), (Text::Exact(a), Text::Exact(b)) if a != b);
    list.iter().enumerate().all(|(i, one)| {
        list[..i].iter().all(|other| match (one, other) {
            (Attestor::Keyless(a), Attestor::Keyless(b)) => {
                differ(&a.issuer, &b.issuer) || differ(&a.subject, &b.subject) || a.trust_root != b.trust_root
            }
            _ => false,
        })
    })
}

fn choose(count: usize, from: &[Attestor], chosen: &mut Vec<Attestor>, ways: &mut Vec<Vec<Attestor>>) {
    if count == 0 {
        ways.push(chosen.clone());
        return;
    }
    for (i, one) in from.iter().enumerate() {
        if from.len() - i < count || ways.len() > MAX_WAYS {
            return;
        }
        chosen.push(one.clone());
        choose(count - 1, &from[i + 1..], chosen, ways);
        chosen.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(subject: &str) -> Attestor {
        Attestor::Keyless(Keyless {
            issuer: Text::Exact("https://i".into()),
            subject: Text::Exact(subject.into()),
            claims: BTreeMap::new(),
            trust_root: None,
        })
    }

    fn wide() -> Attestor {
        Attestor::Keyless(Keyless {
            issuer: Text::Exact("https://i".into()),
            subject: Text::Regex("a.*".into()),
            claims: BTreeMap::new(),
            trust_root: None,
        })
    }

    #[test]
    fn alternatives_are_flat_and_nobody_is_no_alternative() {
        let nobody = || Attestor::Never("a key".into());
        assert_eq!(Attestor::any(vec![exact("a"), nobody(), Attestor::any(vec![exact("b"), exact("a")])]), {
            Attestor::Any(vec![exact("a"), exact("b")])
        });
        assert_eq!(Attestor::any(vec![nobody()]), nobody());
        assert_eq!(Attestor::all(vec![exact("a"), nobody()]), nobody());
        assert_eq!(Attestor::all(vec![exact("a"), exact("a")]), exact("a"));
    }

    #[test]
    fn a_count_is_a_count_only_where_no_signer_can_be_two_entries() {
        let three = vec![exact("a"), exact("b"), exact("c")];
        assert_eq!(Attestor::quorum(2, three.clone()), Some(Attestor::Count(2, three.clone())));
        assert_eq!(Attestor::quorum(3, three.clone()), Some(Attestor::All(three.clone())));
        assert_eq!(Attestor::quorum(1, three.clone()), Some(Attestor::Any(three)));
        assert!(matches!(Attestor::quorum(3, vec![exact("a"), exact("b")]), Some(Attestor::Never(_))));
        // `a` is also what `a.*` means: there one signer counts twice.
        let overlapping = vec![exact("a"), exact("b"), wide()];
        let Some(Attestor::Any(ways)) = Attestor::quorum(2, overlapping) else { panic!() };
        assert_eq!(ways.len(), 3);
        assert_eq!(ways[1], Attestor::All(vec![exact("a"), wide()]));
        // An entry that cannot be carried over never verifies: two of two others are left.
        let with_key = vec![exact("a"), exact("b"), Attestor::Never("a key".into())];
        assert_eq!(Attestor::quorum(2, with_key), Some(Attestor::All(vec![exact("a"), exact("b")])));
        let too_few = vec![exact("a"), Attestor::Never("a key".into()), Attestor::Never("a key".into())];
        assert!(matches!(Attestor::quorum(2, too_few), Some(Attestor::Never(_))));
        let many: Vec<_> = (0..12).map(|_| wide()).collect();
        assert_eq!(Attestor::quorum(6, many), None);
    }
}
