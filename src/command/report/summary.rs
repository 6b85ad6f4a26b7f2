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

/// Text of others in a table's cell, on one line. As code, where nothing is emphasis, a link, a mention or HTML: elsewhere GitHub
/// makes links of addresses without a word of Markdown in them, and an escaped one is an address all the same.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let mut code = String::new();
    for c in line(text).chars() {
        // Between two pieces of code: a pipe would end the cell within code, too, and a backtick the code.
        let apart = match c {
            '`' => "&#96;",
            '|' => "&#124;",
            c => {
                code.push(c);
                continue;
            }
        };
        push(&mut out, &mut code);
        out.push_str(apart);
    }
    push(&mut out, &mut code);
    out
}

/// Adds what was gathered as a piece of code, if anything was.
fn push(out: &mut String, code: &mut String) {
    // One space at each end is not shown, so where there is one it takes another.
    let pad = if code.starts_with(' ') || code.ends_with(' ') { " " } else { "" };
    if !code.is_empty() {
        out.push_str(&format!("`{pad}{code}{pad}`"));
        code.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j1_nothing_of_others_stands_outside_of_code() {
        for text in [
            "plain",
            "www.evil.example/x",
            "dev@acme.test",
            "mailto:a@b.cd",
            "xmpp:a@b.cd/x",
            "https://evil.example",
            "`www.evil.example`",
            "|www.evil.example|",
            "\\|www.evil.example\\`a@b.cd",
            " a ",
            "<img src=x> &amp; **b** [c](d) @someone #1",
            &"`".repeat(200),
            "",
        ] {
            let cell = cell(text);
            let (mut shown, mut in_code) = (String::new(), false);
            for part in cell.split('`') {
                if in_code {
                    assert!(!part.contains('|') && !part.is_empty(), "{cell}");
                    let is_padded = part.starts_with(' ') && part.ends_with(' ') && part.trim() != "";
                    shown += if is_padded { &part[1..part.len() - 1] } else { part };
                } else {
                    let rest = part.replace("&#96;", "").replace("&#124;", "");
                    assert_eq!(rest, "", "{cell}");
                    shown += &part.replace("&#96;", "`").replace("&#124;", "|");
                }
                in_code = !in_code;
            }
            assert!(in_code, "every piece of code ends: {cell}");
            assert_eq!(shown, text);
        }
    }
}
