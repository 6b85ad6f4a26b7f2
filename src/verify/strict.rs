//! The strict walk of [`oci::scan`](crate::oci::scan), with what it says turned into why a piece proves nothing.

use std::io::Read;

use super::{VerifyError, clean};
use crate::oci::scan::{self, Found, Path, Rules, ScanError};

/// Walks `source`, and finds what is wanted of it; each error begins with `what`.
///
/// # Errors
/// [`VerifyError::TooLarge`], [`VerifyError::Malformed`], or [`VerifyError::Unreadable`] if the source fails.
pub(super) fn scan(what: &str, source: impl Read, rules: Rules, wanted: &[Path]) -> Result<Vec<Option<Found>>, VerifyError> {
    let scanned = scan::scan(source, &rules, wanted).map_err(|error| match error {
        ScanError::Malformed(text) => VerifyError::Malformed(format!("{what}: {}", clean(&text))),
        ScanError::TooLarge(text) => VerifyError::TooLarge(format!("{what}: {}", clean(&text))),
        ScanError::Unreadable(text) => VerifyError::Unreadable(clean(&text)),
    })?;
    // `null` is a value that is not there.
    Ok(scanned.found.into_iter().map(|found| found.filter(|found| !found.null)).collect())
}
