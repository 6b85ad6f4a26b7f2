//! Pieces that might have been what is missing, had they been of a form that is read.

use jiff::Timestamp;

use super::Scales;
use crate::{
    policy::{Reason, Unmet},
    verify::VerifyError,
};

/// Whether there were any, and of which form. Whose they are and what they say is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread {
    pub(super) too_large: bool,
    pub(super) unsupported_log_entry: bool,
    pub(super) unproven: Vec<Unproven>,
}

/// An attestation that is logged in a form that cannot be verified.
#[derive(Debug, Clone)]
pub(super) struct Unproven {
    /// The form.
    pub(super) entry: String,
    /// What it would be, and when it would have been logged at the latest, as it says itself.
    pub(super) predicate_type: String,
    pub(super) logged_at: Option<Timestamp>,
}

impl Unread {
    /// Takes in why a piece proves nothing.
    pub(super) fn see(&mut self, why: &VerifyError) {
        match why {
            VerifyError::TooLarge(_) => self.too_large = true,
            VerifyError::UnsupportedLogEntry { entry, predicate_type, logged_at } => {
                self.unsupported_log_entry = true;
                let unproven = |predicate_type: &String| Unproven {
                    entry: entry.clone(),
                    predicate_type: predicate_type.clone(),
                    logged_at: *logged_at,
                };
                self.unproven.extend(predicate_type.as_ref().map(unproven));
            }
            VerifyError::Certificate(_)
            | VerifyError::Clock { .. }
            | VerifyError::Log(_)
            | VerifyError::Malformed(_)
            | VerifyError::OtherSubject { .. }
            | VerifyError::Signature(_)
            | VerifyError::Timestamp(_)
            | VerifyError::Unreadable(_)
            | VerifyError::Unsupported(_) => {}
        }
    }

    /// The code that says more than that something is missing; the same in whatever order the pieces came (X2).
    const fn reason(&self) -> Option<Reason> {
        match self {
            Self { too_large: true, .. } => Some(Reason::EvidenceTooLarge),
            Self { unsupported_log_entry: true, .. } => Some(Reason::UnsupportedLogEntry),
            Self { .. } => None,
        }
    }
}

impl Scales {
    /// Gives what is missing the code of what was set aside instead. The answer stays what it is: who attaches something
    /// that nobody can read changes which no it is, and none of a yes (what weighs every statement aside, see `limits`).
    pub(super) fn code_unread(&mut self) {
        let Some(reason) = self.unread.reason() else { return };
        let missing = |unmet: &&mut Unmet| matches!(unmet.reason, Reason::AttestationMissing | Reason::SignatureMissing);
        for unmet in self.unmet.iter_mut().chain(&mut self.audit).filter(missing) {
            unmet.reason = reason;
        }
    }
}
