//! The built-in checks of an attestation's content: what a policy asks of a document without writing an expression.
//!
//! They read the predicate as a stream ([`Predicate::open`](crate::verify::Predicate::open)), so a document of any size
//! the verifier accepts is judged in bounded memory.

use jiff::Timestamp;

use super::{Reason, fingerprint::Form, predicate::PredicateType};
use crate::{verify::Statement, yaml::Fields};

/// The keys of an attestation entry that are checks.
pub(super) const KEYS: &[&str] = &[];

/// The checks of one attestation entry; all must pass, by one statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {}

/// A statement passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Until when, where a check is about age: the scan may be so old. `None`: for good.
    pub(crate) valid_until: Option<Timestamp>,
}

/// A statement does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckFailure {
    /// The code.
    pub(crate) reason: Reason,
    /// What was wanted and what was found: a clause such as `wants no package pkg:npm/x; found 1.2`. Whoever shows it makes
    /// it printable and short.
    pub(crate) summary: String,
}

impl Checks {
    /// Reads the [`KEYS`] among an entry's `fields`. Without any: no checks. `None` after noting what is wrong, such as a
    /// check that documents of `predicate_type` cannot meet.
    pub(super) fn parse(_fields: &Fields<'_>, _predicate_type: &PredicateType) -> Option<Self> {
        Some(Self {})
    }

    /// Whether `statement`, found to be of `predicate_type`, passes at `now`. CPU work that may read a whole document.
    ///
    /// # Errors
    /// The first check that fails.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "every check reads its own part of the entry")]
    pub(crate) fn judge(
        &self,
        _predicate_type: &PredicateType,
        _statement: &Statement,
        _now: Timestamp,
    ) -> Result<Checked, CheckFailure> {
        Ok(Checked::default())
    }

    /// Adds all that can change an answer to a policy's fingerprint.
    pub(super) fn form(&self, _form: &mut Form) {
        let Self {} = self;
    }
}
