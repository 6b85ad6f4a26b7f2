//! The long story of a judgement, as data: what was looked at, what each piece proved, what could not be had.

use std::time::Duration;

use serde::Serialize;

use crate::{
    evidence::{Evidence, Found, Look, Origin, Piece},
    oci::Digest,
    verify::{Proven, Verified, VerifyError},
};

/// How many lines of each kind are kept: an attacker who attaches a thousand pieces writes no thousand lines (B11).
const MAX_LINES: usize = 32;

/// What a judgement rests on. Serialises to the `detail` of a denial.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Explanation {
    /// Each place looked at.
    pub looks: Vec<Looked>,
    /// Each piece considered, at most 32.
    pub pieces: Vec<Considered>,
    /// What could not be had.
    pub missing: Vec<String>,
    /// Which limits ended the search.
    pub limits_hit: Vec<String>,
    /// What was found and cannot be evidence.
    pub set_aside: Vec<String>,
    /// How old the listing is, in seconds, where the upstream could not be asked.
    pub stale_seconds: Option<u64>,
    /// How many pieces are about another digest: copied from another image, or left by a moved tag.
    #[serde(skip)]
    pub about_others: usize,
    /// How many pieces the deny-list makes absent.
    #[serde(skip)]
    pub denied: usize,
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
    /// Where it was found.
    pub place: Origin,
    /// The manifest that carries it.
    pub manifest: Digest,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a piece.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It proves something about the digest.
    Proved {
        /// Who signed.
        subject: String,
        /// Who vouches for them.
        issuer: String,
        /// `signature`, or the attestation's predicate type.
        what: String,
    },
    /// It proves nothing, for this reason.
    SetAside {
        /// The reason.
        why: String,
    },
}

impl Explanation {
    /// Takes in what a search found.
    pub(super) fn searched(&mut self, evidence: &Evidence) {
        self.looks.extend(evidence.trace.iter().map(Looked::from));
        for (lines, more) in [
            (&mut self.missing, &evidence.missing),
            (&mut self.limits_hit, &evidence.limits_hit),
            (&mut self.set_aside, &evidence.set_aside),
        ] {
            let room = MAX_LINES.saturating_sub(lines.len());
            lines.extend(more.iter().take(room).cloned());
        }
        self.stale_seconds = self.stale_seconds.or(evidence.stale.map(|age| age.as_secs()));
    }

    /// Takes in what came of a piece.
    pub(super) fn considered(&mut self, piece: &Piece, outcome: Outcome) {
        if self.pieces.len() < MAX_LINES {
            self.pieces.push(Considered { place: piece.origin, manifest: piece.manifest, outcome });
        }
    }

    /// The notes of a refusal: limits hit, and why pieces were set aside.
    pub(super) fn notes(&self) -> Vec<String> {
        let pieces = self.pieces.iter().filter_map(|piece| match &piece.outcome {
            Outcome::Proved { .. } => None,
            Outcome::SetAside { why } => Some(format!("{} {}: {why}", piece.place.as_str(), piece.manifest.short())),
        });
        self.limits_hit.iter().cloned().chain(pieces).chain(self.set_aside.iter().cloned()).collect()
    }
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
        Self::Proved {
            subject: fact.signer.subject.clone(),
            issuer: fact.signer.issuer.clone(),
            what: match &fact.content {
                Proven::Attestation(statement) => statement.predicate_type.clone(),
                Proven::File => "signature of a file".into(),
                Proven::Signature => "signature".into(),
            },
        }
    }
}

impl From<&VerifyError> for Outcome {
    fn from(error: &VerifyError) -> Self {
        Self::SetAside { why: error.to_string() }
    }
}

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
