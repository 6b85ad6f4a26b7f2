//! Whether patterns of images can name the same ones: for lints, so where it is unsure it says what leads to none.

use super::image::ImagePattern;
use crate::oci::ImageName;

/// Patterns that braces stand for; beyond, nobody looks.
const MAX_ALTERNATIVES: usize = 256;

/// Whether some image may be named by both.
pub(super) fn meet(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (alternatives(a), alternatives(b)) else { return true };
    let one = |a: &str, b: &str| {
        let (a, b): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
        both(&a, &b, &|segment| *segment == "**", &|a, b| {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            both(&a, &b, &|c| *c == '*', &|a, b| a == b || [a, b].contains(&&'?'))
        })
    };
    a.iter().any(|a| b.iter().any(|b| one(a, b)))
}

/// Whether `wide` names all that `narrow` names, as far as examples say: what no policy would name stands for each wildcard.
pub(super) fn covers(wide: &ImagePattern, narrow: &ImagePattern) -> bool {
    let Some(alternatives) = alternatives(narrow.as_str()) else { return false };
    let image = |text: String| {
        let (host, repository) = text.split_once('/')?;
        Some(ImageName::new(host.parse().ok()?, repository.parse().ok()?))
    };
    let example = |pattern: &String, deep: &str| {
        let (host, repository) = pattern.split_once('/')?;
        let host = host.replace('*', "h7f0c.invalid").replace('?', "7");
        let segment = |segment: &str| match segment {
            "**" => deep.to_owned(),
            other => other.replace('*', "7f0c").replace('?', "7"),
        };
        image(format!("{host}/{}", repository.split('/').map(segment).collect::<Vec<_>>().join("/")))
    };
    alternatives.iter().all(|pattern| {
        ["7f0c", "7f0c/b2", "7f0c/b2/c8/d1"].iter().all(|deep| example(pattern, deep).is_some_and(|image| wide.matches(&image)))
    })
}

/// The patterns without braces that one with them stands for.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once('{') {
        let (choices, behind) = behind.split_once('}')?;
        let choices: Vec<&str> = choices.split(',').collect();
        if all.len() * choices.len() > MAX_ALTERNATIVES {
            return None;
        }
        all = all.iter().flat_map(|start| choices.iter().map(move |choice| format!("{start}{before}{choice}"))).collect();
        rest = behind;
    }
    Some(all.into_iter().map(|start| start + rest).collect())
}

/// Whether some sequence is one of both, where a star stands for any number of things: a table from the ends, so that no
/// pattern takes long.
fn both<T>(a: &[T], b: &[T], star: &impl Fn(&T) -> bool, same: &impl Fn(&T, &T) -> bool) -> bool {
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(x), Some(y)) if !star(x) && !star(y) => same(x, y) && below[j + 1],
                (x, y) => {
                    x.is_some_and(star) && (below[j] || j < b.len() && row[j + 1])
                        || y.is_some_and(star) && (row[j + 1] || i < a.len() && below[j])
                }
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_at_most_so_many_without_braces() {
        let of = |each: &[usize]| {
            let braces = |count: &usize| format!("{{{}}}", vec!["x"; *count].join(","));
            alternatives(&each.iter().map(braces).collect::<String>()).map(|all| all.len())
        };
        assert_eq!((of(&[]), of(&[2, 3]), of(&[16, 16]), of(&[256])), (Some(1), Some(6), Some(256), Some(256)));
        assert_eq!((of(&[16, 17]), of(&[257]), of(&[2, 129])), (None, None, None));
        let written = ["a/x-b", "a/x-c", "a/y-b", "a/y-c"].map(str::to_owned).to_vec();
        assert_eq!(alternatives("a/{x,y}-{b,c}"), Some(written));
        assert_eq!(alternatives("a/{x,y"), None);
    }

    #[test]
    fn two_with_stars_meet_if_one_text_is_both() {
        for (a, b, meet) in [
            ("", "", true),
            ("", "*", true),
            ("", "x", false),
            ("*", "*", true),
            ("x", "x", true),
            ("x", "y", false),
            ("*x", "", false),
            ("*x", "x", true),
            ("*x", "ax", true),
            ("*x", "xa", false),
            ("*x", "*y", false),
            ("*x", "y*", true),
            ("x*", "y*", false),
            ("a*c", "*b*", true),
            ("a*c", "b*c", false),
            ("*x*", "y*z", true),
            ("ab", "a*b", true),
            ("a", "a*b", false),
            ("**", "x", true),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(both(&chars(a), &chars(b), &|c| *c == '*', &|a, b| a == b), meet, "{a} {b}");
            }
        }
    }
}
