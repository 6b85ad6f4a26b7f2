//! Text that others wrote, made fit for a terminal, a file of Markdown, a table (threats J1–J3).

/// `text` on one line: control characters, marks that turn text around, and what XML cannot carry are escaped, everything else is
/// as it is.
pub(super) fn line(text: &str) -> String {
    let escapes = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if escapes(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A path on one line: who names files may not be who reads of them, in a CI system for which a line can be a command.
pub(super) fn path(path: &std::path::Path) -> String {
    line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j3_what_would_move_a_terminal_or_turn_text_around_is_escaped() {
        assert_eq!(line("a\u{1b}[31m\r\nb\u{202e}é\u{fffe}"), "a\\u{1b}[31m\\r\\nb\\u{202e}é\\u{fffe}");
    }
}
