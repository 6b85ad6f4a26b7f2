//! Text that others wrote, made fit for a sentence: printable ASCII, short, with both ends kept (J2).

/// `text` in printable ASCII, everything else escaped, at most `max` bytes: what is too long loses its middle, because
/// a fork differs at the beginning of a subject and a branch at its end.
pub(super) fn short(text: &str, max: usize) -> String {
    // Most texts are fit as they are.
    if text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    // An escape is at most ten bytes, so this much text decides both ends; the rest of a megabyte is not escaped for nothing.
    let keep = max.saturating_mul(2);
    let chars = text.chars().count();
    let escaped: String = if chars <= keep {
        printable(text.chars())
    } else {
        printable(text.chars().take(max)) + &printable(text.chars().skip(chars - max))
    };
    if chars <= keep && escaped.len() <= max {
        return escaped;
    }
    let head = max.saturating_sub(3) * 3 / 5;
    let tail = max.saturating_sub(3) - head;
    format!("{}...{}", &escaped[..head.min(escaped.len())], &escaped[escaped.len() - tail.min(escaped.len())..])
}

fn printable(chars: impl Iterator<Item = char>) -> String {
    chars
        .flat_map(|c| {
            let escaped = (!matches!(c, ' '..='~')).then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// `a`, `a or b`, `a, b or c`; all but a few counted.
pub(super) fn any_of(items: &[String], max_each: usize) -> String {
    const SHOWN: usize = 3;
    let texts: Vec<String> = items.iter().take(SHOWN).map(|item| short(item, max_each)).collect();
    match (texts.split_last(), items.len() - texts.len()) {
        (None, _) => "nothing".to_owned(),
        (Some((last, [])), 0) => last.clone(),
        (Some((last, rest)), 0) => format!("{} or {last}", rest.join(", ")),
        (Some(_), more) => format!("{} or {more} more", texts.join(", ")),
    }
}

/// Each of `items` in at most `max` bytes. Those that would be cut to the same text, because they differ in the middle only,
/// are told from where they differ on.
pub(super) fn apart(items: &[String], max: usize) -> Vec<String> {
    let texts: Vec<String> = items.iter().map(|item| short(item, usize::MAX)).collect();
    let cut: Vec<String> = texts.iter().map(|text| short(text, max)).collect();
    let told = |(at, text): (usize, &String)| {
        let alike = || texts.iter().zip(&cut).filter(|(other, other_cut)| Some(*other_cut) == cut.get(at) && *other != text);
        let Some(same) = alike().map(|(other, _)| common(text, other)).min() else { return short(text, max) };
        let room = max.saturating_sub(3);
        // A whole word, where the difference is still seen.
        let word = text[..same].rfind('/').map_or(0, |slash| slash + 1);
        let from = if same - word < room.saturating_sub(3) * 3 / 5 { word } else { same };
        format!("...{}", short(&text[from..], room))
    };
    texts.iter().enumerate().map(told).collect()
}

/// Bytes that two texts of ASCII begin with both.
fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j2_control_characters_bidi_marks_and_megabytes_become_short_ascii() {
        assert_eq!(short("https://x", 20), "https://x");
        assert_eq!(short("a\r\nb\u{1b}[31m\u{202e}\0é", 99), "a\\r\\nb\\u{1b}[31m\\u{202e}\\u{0}\\u{e9}");
        for text in ["\u{202e}".repeat(1 << 20), "x".repeat(1 << 20), "é\n".repeat(99), "a".repeat(21)] {
            let short = short(&text, 20);
            assert!(short.len() == 20 && short.bytes().all(|b| (0x20..0x7f).contains(&b)), "{short}");
        }
        assert_eq!(short("0123456789abcdefghijXYZ", 13), "012345...jXYZ");
    }

    #[test]
    fn texts_that_differ_in_the_middle_are_told_apart() {
        let workflow = |name: &str| format!("https://github.com/acme/app/.github/workflows/{name}.yml@refs/heads/main");
        let of = |names: &[&str]| apart(&names.iter().map(|name| workflow(name)).collect::<Vec<_>>(), 24);
        assert_eq!(of(&["release", "review"]), ["...release.ym...ads/main", "...review.yml...ads/main"]);
        assert_eq!(of(&["release", "release"]), ["https://gith...eads/main"; 2]);
        assert_eq!(
            of(&["a-very-long-name-of-a-workflow", "a-very-long-name-of-another"]),
            ["...-workflow....ads/main", "...nother.yml...ads/main"]
        );
        // The word is begun with as long as what differs in it is among what is kept of its beginning.
        assert_eq!(of(&["release-a", "release-b"]), ["...release-a....ads/main", "...release-b....ads/main"]);
        assert_eq!(of(&["release-vv1", "release-vv2"]), ["...1.yml@refs/heads/main", "...2.yml@refs/heads/main"]);
        assert_eq!(apart(&["a".into(), "b\n".into()], 24), ["a", "b\\n"]);
        let evil = ["\u{202e}".repeat(1 << 10), "\u{202e}".repeat((1 << 10) + 1)];
        assert!(apart(&evil, 24).iter().all(|text| text.len() <= 24 && text.is_ascii()));
    }

    #[test]
    fn lists_are_counted_when_long() {
        let items = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        for (n, text) in [(0, "nothing"), (1, "0"), (2, "0 or 1"), (3, "0, 1 or 2"), (5, "0, 1, 2 or 2 more")] {
            assert_eq!(any_of(&items(n), 9), text);
        }
    }
}
