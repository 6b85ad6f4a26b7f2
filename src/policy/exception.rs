//! Exceptions: for a time, a policy asks for no evidence of an image.
//!
//! They waive evidence and nothing else: bytes are hashed, lineage is kept, a denied digest stays denied. Each belongs to one
//! policy and says why and until when; one that has ended does nothing. While one stands it is what the policy answers
//! with, whether or not evidence is there, so that what it waives needs no registry to answer for it; but where the deny-list
//! names packages, which comes before it.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Case, ExceptionFor, ExceptionUse, Policy, condition::instant, fingerprint::Form, image::ImagePattern};
use crate::oci::Digest;

/// One exception.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    pub(crate) of: Excepted,
    /// Why, for whoever reads the log.
    pub(crate) reason: String,
    /// When it ends: from then on it does nothing.
    pub(crate) expires: Timestamp,
}

/// What an exception is for.
#[derive(Debug, Clone)]
pub(crate) enum Excepted {
    /// This manifest, wherever the policy names it.
    Digest(Digest),
    /// Every manifest of these repositories.
    Repository(ImagePattern),
}

impl Exception {
    /// The same for two that say the same.
    pub(super) fn canonical(&self) -> Vec<u8> {
        let mut form = Form::default();
        form.exception(self);
        form.into_bytes()
    }

    /// What it is for.
    pub(super) const fn kind(&self) -> ExceptionFor {
        match self.of {
            Excepted::Digest(_) => ExceptionFor::Digest,
            Excepted::Repository(_) => ExceptionFor::Repository,
        }
    }

    /// Whether it is for the subject of `case`, at whatever time.
    pub(super) fn is_for(&self, case: &Case<'_>) -> bool {
        match &self.of {
            Excepted::Digest(digest) => digest == case.subject,
            Excepted::Repository(pattern) => pattern.matches(case.image),
        }
    }
}

impl Policy {
    /// The exception that stands in for evidence about the subject of `case`; of several the one that ends last.
    pub(super) fn excepted(&self, case: &Case<'_>) -> Option<ExceptionUse> {
        let standing = self.exceptions.iter().filter(|exception| exception.expires > case.now && exception.is_for(case));
        standing.max_by_key(|exception| exception.expires).map(|exception| ExceptionUse {
            policy: self.name.clone(),
            what: exception.kind(),
            reason: exception.reason.clone(),
            expires: exception.expires,
        })
    }

    /// Every exception for the image of `case`, in words.
    pub(super) fn exceptions_told(&self, case: &Case<'_>) -> impl Iterator<Item = String> {
        self.exceptions.iter().filter(|exception| exception.is_for(case)).map(|Exception { reason, expires, .. }| {
            if *expires > case.now {
                format!("an exception for it asks for no evidence until {expires} ({reason})")
            } else {
                format!("the exception for it ended at {expires} ({reason})")
            }
        })
    }
}

/// When something ends that is said to end on a date, at 24:00 UTC, or at a timestamp.
///
/// # Errors
/// What to write.
pub(super) fn end(text: &str) -> Result<Timestamp, String> {
    let wanted = || "wants a date such as 2027-01-31, which ends at 24:00 UTC, or a time such as 2027-01-31T12:00:00Z".to_owned();
    if text.len() == "2027-01-31".len() {
        let date: Date = text.parse().map_err(|_| wanted())?;
        // Behind the last that there is comes none: of 9999-12-31, as many write "never", it is the end.
        let next = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
        return Ok(next.map_or(Timestamp::MAX, |zoned| zoned.timestamp()));
    }
    instant(text).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the log and in metrics it is called as it is written.
    #[test]
    fn an_exception_is_called_by_its_key() {
        let names = [ExceptionFor::Digest, ExceptionFor::Repository].map(ExceptionFor::as_str);
        assert_eq!(names, ["digest", "dangerous_repository"]);
    }

    #[test]
    fn a_date_ends_at_24_o_clock_utc() {
        for (text, when) in [
            ("2027-01-31", "2027-02-01T00:00:00Z"),
            ("2028-02-28", "2028-02-29T00:00:00Z"),
            ("2026-12-31", "2027-01-01T00:00:00Z"),
            ("2027-01-31T12:30:00Z", "2027-01-31T12:30:00Z"),
            ("2027-01-31T12:30:00+02:00", "2027-01-31T10:30:00Z"),
            ("9999-12-29", "9999-12-30T00:00:00Z"),
        ] {
            assert_eq!(end(text), Ok(when.parse().unwrap()), "{text}");
        }
        for never in ["9999-12-30", "9999-12-31", "9999-12-31T23:59:59Z"] {
            assert_eq!(end(never), Ok(Timestamp::MAX), "{never}");
        }
        for wrong in ["2027-02-30", "tomorrow", "31.01.2027", "2027-01-31T12:30:00", "2027-1-31", "9999-12-32", "20270131T1"] {
            assert!(end(wrong).unwrap_err().contains("2027-01-31"), "{wrong}");
        }
    }
}
