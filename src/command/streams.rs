//! The two streams. That nobody reads them any more, or that the disk behind them is full, is an error like others.

use std::{fmt::Display, io::Write as _};

use super::judge::Unusable;

/// Writes the answer to standard output.
///
/// # Errors
/// It cannot be written.
pub(super) fn answer(text: &str) -> Result<(), Unusable> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Unusable::Failed(format!("standard output cannot be written: {error}")))
}

/// Tells the person, on standard error. Where that cannot be written nobody can be told so; what the command ends with stands.
pub(super) fn tell(text: &dyn Display) {
    let text = text.to_string();
    let _ = writeln!(std::io::stderr(), "{}", text.strip_suffix('\n').unwrap_or(&text));
}
