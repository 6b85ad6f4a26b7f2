//! A job summary in Markdown, as GitHub shows below a run.

use std::fmt::Write as _;

use super::{Outcome, Report};
use crate::command::text::line;

/// The report as a table.
pub(in crate::command) fn markdown(report: &Report) -> String {
    let count = |outcome| report.count(outcome);
    let mut out = format!(
        "### pullgate: {} admitted, {} refused, {} undecided\n\n| | image | digest | why |\n|---|---|---|---|\n",
        count(Outcome::Admitted),
        count(Outcome::Refused),
        count(Outcome::Undecided)
    );
    for judged in &report.images {
        let mark = match judged.outcome {
            Outcome::Admitted => "✅",
            Outcome::Refused => "❌",
            Outcome::Undecided => "❔",
        };
        let outcome = judged.outcome.as_str();
        let digest = judged.digest.as_deref().unwrap_or_default();
        let (image, digest, message) = (cell(&judged.image), cell(digest), cell(&judged.message));
        let _ = writeln!(out, "| {mark} {outcome} | {image} | {digest} | {message} |");
    }
    out.push('\n');
    out
}

/// Text of others in a table's cell: on one line, and no Markdown or HTML of its own.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // With the colon no address becomes a link by itself; with the rest nothing is emphasis, code, a mention.
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~' | '@' | ':' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
