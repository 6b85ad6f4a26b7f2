//! For people at a terminal.

use std::fmt::Write as _;

use super::{Judged, Outcome, Report};
use crate::command::text::line;

/// What was admitted, pinned, a line each: for the next command of a script.
pub(super) fn references(report: &Report) -> String {
    let admitted = report.images.iter().filter(|judged| judged.outcome == Outcome::Admitted);
    admitted.filter_map(|judged| judged.reference.as_deref()).map(|reference| line(reference) + "\n").collect()
}

/// What a `Warning` header says: its code and its quotes are for HTTP.
pub(in crate::command) fn warned(warning: &str) -> &str {
    let text = warning.split_once(" - \"").and_then(|(_, text)| text.strip_suffix('"'));
    text.unwrap_or(warning)
}

/// What came of an image, in a few lines.
pub(in crate::command) fn lines(judged: &Judged) -> String {
    let mut out = String::new();
    let Judged { image, outcome, message, notes, warnings, .. } = judged;
    // The first word is ours, so that nothing of others ever begins a line (CI systems read commands there).
    let _ = writeln!(out, "{:<9} {}: {}", outcome.as_str(), line(image), line(message));
    for warning in warnings {
        let _ = writeln!(out, "          warning: {}", line(warned(warning)));
    }
    if *outcome == Outcome::Admitted {
        return out;
    }
    for note in notes {
        let _ = writeln!(out, "          note: {}", line(note));
    }
    out
}
