//! Problems: where, under which key, what is wrong and what to write.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

use super::Place;

/// How many problems are listed; a wrong file can have as many as it has nodes.
const MAX_PROBLEMS: usize = 200;

/// All that is wrong with a configuration, at once.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Which file.
    pub file: PathBuf,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// Column, from 1; 0 when the file as a whole is meant.
    pub column: u64,
    /// Key path: `upstreams[1].url`; empty for the document itself.
    pub key: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl fmt::Display for Problem {
    /// `pullgate.yaml:12:5: upstreams[1].url: …`, as compilers write it, so that editors can jump there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.file.display().to_string();
        if self.line > 0 {
            told += &format!(":{}:{}", self.line, self.column);
        }
        if !self.key.is_empty() {
            told += &format!(": {}", self.key);
        }
        told += &format!(": {}", self.message);
        // On one line, whatever files and keys are called: to a CI system a line can be a command.
        told.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub struct Sink {
    file: PathBuf,
    problems: RefCell<Vec<Problem>>,
}

impl Sink {
    /// A sink for problems of `file`.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), problems: RefCell::default() }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Notes a problem at `place`, under the key path `key`.
    pub fn report(&self, place: Place, key: &str, message: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            problems.push(Problem {
                file: self.file.clone(),
                line: place.line,
                column: place.column,
                key: key.to_owned(),
                message: message.into(),
            });
        }
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// What was noted, in the order of the file.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }
}

/// `text` for a sentence: without control characters, at most 80 characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    if escaped.chars().count() <= 80 { escaped } else { escaped.chars().take(77).chain("...".chars()).collect() }
}

/// The one of `known` that `written` was probably meant to be: one that it is the beginning of, before any other.
#[must_use]
pub fn closest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let meant = plain(written);
    if meant.len() > 80 {
        return None;
    }
    known
        .into_iter()
        .filter_map(|candidate| {
            let plain = plain(candidate);
            let (begins, distance) = (is_telling(&meant) && plain.starts_with(&meant), distance(&meant, &plain));
            (begins || distance <= 1 + candidate.len() / 4).then_some((!begins, distance, candidate))
        })
        .min_by_key(|(other, distance, _)| (*other, *distance))
        .map(|(.., candidate)| candidate)
}

/// Whether so much is written that what begins with it was meant: `s` begins many words.
const fn is_telling(written: &str) -> bool {
    written.len() >= 5
}

/// Levenshtein's distance, a swap of neighbours counting once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_guessed_and_far_ones_are_not() {
        let known = ["listen", "policies", "default_upstream", "max_size"];
        for (written, meant) in [
            ("lisen", Some("listen")),
            ("policy", Some("policies")),
            ("defaultUpstream", Some("default_upstream")),
            ("default-upstraem", Some("default_upstream")),
            ("maxsize", Some("max_size")),
            ("colour", None),
            ("defau", Some("default_upstream")),
            ("de", None),
        ] {
            assert_eq!(closest(written, known), meant, "{written}");
        }
    }

    #[test]
    fn what_is_begun_was_meant_before_what_is_near() {
        let known = ["source_repository_identifier", "source_repository_visibility_at_signing", "source_repository_ref"];
        assert_eq!(closest("source_repository_visibility", known), Some(known[1]));
        assert_eq!(closest("sourceRepositoryIdentifer", known), Some(known[0]));
        assert_eq!(closest("source_repository", known), Some(known[2]), "the nearest of several");
    }

    #[test]
    fn j2_shown_text_has_no_control_characters_and_is_short() {
        assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(shown(&"x".repeat(1 << 20)).len(), 80);
    }
}
