//! The long story of a judgement, as data: what was looked at, what each piece proved, what could not be had.

use std::{
    collections::{BTreeMap, btree_map},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    evidence::{Evidence, Found, Look, Origin, Piece, Source},
    policy::{Account, Mode, Reason, Unmet},
    verify::{LogEvidence, Proven, SanKind, Verified, VerifyError},
};

/// How many lines of each kind are kept: an attacker who attaches a thousand pieces writes no thousand lines (B11).
const MAX_LINES: usize = 32;
/// The same where somebody asked for all of it: a search's own bounds are below this.
const MAX_WHOLE: usize = 256;

/// What a judgement rests on: the long story for whoever asks why.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Explanation {
    /// Each place looked at.
    pub looks: Vec<Looked>,
    /// Each piece considered, at most 32; in an answer to [`Gate::explain`](super::Gate::explain) every one.
    pub pieces: Vec<Considered>,
    /// Each policy that names the image and what came of it; in an answer to [`Gate::explain`](super::Gate::explain) only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Asked>,
    /// What could not be had.
    pub missing: Vec<String>,
    /// Which limits ended the search.
    pub limits_hit: Vec<String>,
    /// What was found and cannot be evidence.
    pub set_aside: Vec<String>,
    /// How old the listing is, in seconds, where the upstream could not be asked.
    pub stale_seconds: Option<u64>,
    /// Why each policy answers as it does, by its name; where somebody asked for all of it.
    #[serde(skip)]
    pub(super) accounts: BTreeMap<String, Account<Told>>,
    /// How many pieces are about another digest: copied from another image, or left by a moved tag.
    #[serde(skip)]
    pub about_others: usize,
    /// How many pieces the deny-list makes absent.
    #[serde(skip)]
    pub denied: usize,
    /// Somebody asked for all of it.
    #[serde(skip)]
    pub(super) whole: bool,
}

/// A policy and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// Its name.
    pub policy: String,
    /// `enforce` or `audit`.
    pub mode: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why not, as a code from a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why not, in a clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What was wanted and what was found, line by line, where the policy does not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// Each requirement, and which piece of evidence met it, or came nearest.
    #[serde(flatten)]
    pub account: Option<Account<Told>>,
}

/// A piece of evidence beside a requirement; [`Explanation::pieces`] has all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Where it was found, and in what.
    #[serde(flatten)]
    pub source: Option<Box<Source>>,
    /// `signature`, `signature of a file`, or the attestation's predicate type.
    pub what: String,
    /// Who signed: the certificate's single name.
    pub subject: String,
    /// Who vouches for them.
    pub issuer: String,
    /// The name of the trust root the certificate chains to.
    pub trust_root: String,
    /// The times that a log or a timestamp authority vouches for, the earliest first.
    pub times: Vec<Timestamp>,
    /// How the log vouches for it: `absent`, `promise` or `proof`.
    pub log: &'static str,
}

/// A place looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Looked {
    /// Where.
    pub place: Origin,
    /// What was found there.
    pub found: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A piece considered.
#[derive(Debug, Clone, Serialize)]
pub struct Considered {
    /// Where it was found, and in what.
    #[serde(flatten)]
    pub source: Source,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a piece.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It proves something about the digest.
    Proved(Box<Proof>),
    /// It proves nothing, for this reason.
    SetAside {
        /// The reason.
        why: String,
    },
}

/// What a piece proves.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// `signature`, `signature of a file`, or the attestation's predicate type.
    pub what: String,
    /// Who signed: the certificate's single name.
    pub subject: String,
    /// What kind of name that is: `email`, `other`, `uri`.
    pub subject_kind: &'static str,
    /// Who vouches for them.
    pub issuer: String,
    /// The name of the trust root the certificate chains to.
    pub trust_root: String,
    /// The certificate's claims, by the names policies have for them.
    pub claims: BTreeMap<&'static str, String>,
    /// The times that a log or a timestamp authority vouches for.
    pub times: Vec<Timestamp>,
    /// How the log vouches for it: `absent`, `promise` or `proof`.
    pub log: &'static str,
    /// Its entries: the log's id and the index in it.
    pub entries: Vec<Entry>,
}

/// Where a log has an entry.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The log's id in hex.
    pub log: String,
    /// The index in it, where something signed that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
}

impl Explanation {
    /// Takes in what the policies said: those that do not hold are in `unmet`.
    pub(super) fn asked<'p>(&mut self, policies: impl Iterator<Item = (&'p str, Mode)>, unmet: &[&Unmet]) {
        self.policies.extend(policies.map(|(policy, mode)| {
            let why = unmet.iter().find(|unmet| unmet.policy == policy);
            Asked {
                policy: policy.to_owned(),
                mode: match mode {
                    Mode::Audit => "audit",
                    Mode::Enforce => "enforce",
                },
                holds: why.is_none(),
                reason: why.map(|why| Reason::as_str(why.reason)),
                summary: why.map(|why| why.summary.clone()),
                details: why.map(|why| why.details.clone()).unwrap_or_default(),
                account: self.accounts.get(policy).cloned(),
            }
        }));
    }

    /// Takes in what a search found.
    pub(super) fn searched(&mut self, evidence: &Evidence) {
        let most = self.most();
        self.looks.extend(evidence.trace.iter().map(Looked::from));
        for (lines, more) in [
            (&mut self.missing, &evidence.missing),
            (&mut self.limits_hit, &evidence.limits_hit),
            (&mut self.set_aside, &evidence.set_aside),
        ] {
            let room = most.saturating_sub(lines.len());
            lines.extend(more.iter().take(room).cloned());
        }
        self.stale_seconds = self.stale_seconds.or(evidence.stale.map(|age| age.as_secs()));
    }

    /// Takes in what came of a piece.
    pub(super) fn considered(&mut self, piece: &Piece, outcome: Outcome) {
        if self.pieces.len() < self.most() {
            self.pieces.push(Considered { source: piece.source(), outcome });
        }
    }

    const fn most(&self) -> usize {
        if self.whole { MAX_WHOLE } else { MAX_LINES }
    }

    /// Takes in the story of a platform.
    pub(super) fn absorb(&mut self, other: Self) {
        let Self { looks, pieces, missing, limits_hit, set_aside, stale_seconds, about_others, denied, .. } = other;
        let most = self.most();
        extend(&mut self.looks, looks, most);
        extend(&mut self.pieces, pieces, most);
        extend(&mut self.missing, missing, most);
        extend(&mut self.limits_hit, limits_hit, most);
        extend(&mut self.set_aside, set_aside, most);
        self.stale_seconds = self.stale_seconds.max(stale_seconds);
        self.about_others += about_others;
        self.denied += denied;
        for (policy, account) in other.accounts {
            match self.accounts.entry(policy) {
                btree_map::Entry::Vacant(place) => drop(place.insert(account)),
                btree_map::Entry::Occupied(mut known) => known.get_mut().absorb(account),
            }
        }
    }

    /// The notes of a refusal: limits hit, and why pieces were set aside.
    pub(super) fn notes(&self) -> Vec<String> {
        let pieces = self.pieces.iter().filter_map(|piece| match &piece.outcome {
            Outcome::Proved(_) => None,
            Outcome::SetAside { why } => {
                Some(format!("{} {}: {why}", piece.source.place.as_str(), piece.source.manifest.short()))
            }
        });
        self.limits_hit.iter().cloned().chain(pieces).chain(self.set_aside.iter().cloned()).collect()
    }
}

fn extend<T>(lines: &mut Vec<T>, more: Vec<T>, most: usize) {
    let room = most.saturating_sub(lines.len());
    lines.extend(more.into_iter().take(room));
}

impl From<&Look> for Looked {
    fn from(look: &Look) -> Self {
        let found = match &look.found {
            Found::Absent => "nothing".into(),
            Found::Failed(why) => format!("could not be asked: {why}"),
            Found::NoApi => "no such API".into(),
            Found::Pieces { listed, kept } => format!("{listed} listed, {kept} pieces"),
        };
        Self { place: look.origin, found, took_ms: millis(look.took) }
    }
}

impl From<&Verified> for Outcome {
    fn from(fact: &Verified) -> Self {
        Self::Proved(Box::new(fact.into()))
    }
}

impl From<&VerifyError> for Outcome {
    fn from(error: &VerifyError) -> Self {
        Self::SetAside { why: error.to_string() }
    }
}

impl From<&Verified> for Proof {
    fn from(fact: &Verified) -> Self {
        let Verified { signer, content, times, log, entries, source: _ } = fact;
        Self {
            what: what(content),
            subject: signer.subject.clone(),
            subject_kind: match signer.san_kind {
                SanKind::Email => "email",
                SanKind::Other => "other",
                SanKind::Uri => "uri",
            },
            issuer: signer.issuer.clone(),
            trust_root: signer.trust_root.to_string(),
            claims: signer.claims.clone(),
            times: times.clone(),
            log: logged(*log),
            entries: entries.iter().map(|entry| Entry { log: entry.log.clone(), index: entry.index }).collect(),
        }
    }
}

impl From<&Verified> for Told {
    fn from(fact: &Verified) -> Self {
        let Verified { signer, content, times, log, entries: _, source } = fact;
        let mut times = times.clone();
        times.sort_unstable();
        Self {
            source: source.clone(),
            what: what(content),
            subject: signer.subject.clone(),
            issuer: signer.issuer.clone(),
            trust_root: signer.trust_root.to_string(),
            times,
            log: logged(*log),
        }
    }
}

fn what(content: &Proven) -> String {
    match content {
        Proven::Attestation(statement) => statement.predicate_type.clone(),
        Proven::File => "signature of a file".into(),
        Proven::Signature => "signature".into(),
    }
}

const fn logged(log: LogEvidence) -> &'static str {
    match log {
        LogEvidence::Absent => "absent",
        LogEvidence::Promise => "promise",
        LogEvidence::Proof => "proof",
    }
}

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
