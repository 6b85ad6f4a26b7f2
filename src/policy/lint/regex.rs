//! Where a regex, or a pattern, leaves open what it looks as if it said. Each alternative is looked at alone: whoever signs
//! chooses which to meet.

use regex_syntax::hir::{Class, Dot, Hir, HirKind, Repetition};

use crate::policy::identity::Matcher;

/// Alternatives that are looked at. A regex with more is one that no person reads either.
const MAX_BRANCHES: usize = 64;

/// A way to meet a regex, as a row of these.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A dot, once: it may be meant to be one.
    Dot,
    /// Anything of any length. With `paths`, whole paths of others too.
    Open {
        paths: bool,
    },
    Other,
}

type Branch = Vec<Piece>;

/// What some way to meet a regex leaves open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::policy) struct Openings {
    /// It names a forge where anybody may have a repository, and not whose.
    pub(in crate::policy) owner: bool,
    /// A dot of the host part stands for any one character.
    pub(super) dot: bool,
    /// It begins with anything, or its host is anything, and paths of others with it.
    pub(super) start: bool,
    /// The same, and it is not about an e-mail address. Those have no part that others choose; a workflow's subject has
    /// slashes, and behind its `@` a branch that may be called anything.
    pub(super) start_of_path: bool,
    /// It goes on with anything directly behind a part of a word: at its end, or of the host or owner, wherever else it goes. Not
    /// behind a workflow's `@refs/`: which tags begin with `v` is decided in the repository that is named before it.
    pub(super) end: bool,
}

impl Openings {
    /// An exact text has none; nor has a regex that cannot be read, but those were compiled.
    pub(in crate::policy) fn of(matcher: &Matcher) -> Self {
        let text = match matcher {
            Matcher::Exact(_) => return Self::default(),
            Matcher::Pattern(glob) => of_glob(glob.as_str()),
            Matcher::Regex(regex) => regex.as_str().to_owned(),
        };
        let mut open = Self::default();
        let Ok(hir) = regex_syntax::parse(&text) else { return open };
        for branch in branches(&hir) {
            let start = starts_open(&branch);
            open.owner |= leaves_owner_open(&branch);
            open.dot |= has_open_dot(&branch);
            open.start |= start;
            open.start_of_path |= start && !is_of_mail(&branch);
            open.end |= ends_open(&branch) || leaves_owner_unended(&branch);
        }
        open
    }
}

/// The regex of a glob that was read.
fn of_glob(glob: &str) -> String {
    let (mut regex, mut chars, mut within) = (String::new(), glob.chars().peekable(), false);
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => regex.push_str(".*"),
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '{' => regex.push_str("(?:"),
            '}' => regex.push(')'),
            ',' if within => regex.push('|'),
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
        within = c == '{' || within && c != '}';
    }
    regex
}

/// The ways to meet a regex, at most [`MAX_BRANCHES`] of them.
fn branches(hir: &Hir) -> Vec<Branch> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![Vec::new()],
        HirKind::Literal(literal) => vec![vec![Piece::Text(String::from_utf8_lossy(&literal.0).into_owned())]],
        HirKind::Class(_) if is_dot(hir) => vec![vec![Piece::Dot]],
        HirKind::Class(_) => vec![vec![Piece::Other]],
        HirKind::Capture(capture) => branches(&capture.sub),
        HirKind::Alternation(all) => all.iter().flat_map(branches).take(MAX_BRANCHES).collect(),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Concat(parts) => parts.iter().fold(vec![Vec::new()], |before, part| {
            let behind = branches(part);
            let joined = before.iter().flat_map(|before| behind.iter().map(|behind| [before.as_slice(), behind].concat()));
            joined.take(MAX_BRANCHES).collect()
        }),
    }
}

fn repeated(repetition: &Repetition) -> Vec<Branch> {
    let Repetition { min, max, sub, .. } = repetition;
    let open = match sub.kind() {
        HirKind::Class(class) if max.is_none_or(|max| max > 1 && max > *min) => opening(class),
        _ => None,
    };
    match (open, *max) {
        (Some(open), _) => vec![vec![open]],
        // At most once is either there or not: just once is no repetition.
        (None, Some(1)) => [vec![Vec::new()], branches(sub)].concat(),
        (None, _) => vec![vec![Piece::Other]],
    }
}

fn is_dot(hir: &Hir) -> bool {
    [Dot::AnyCharExceptLF, Dot::AnyChar].into_iter().any(|dot| *hir == Hir::dot(dot))
}

/// What any number of characters of a class is, if a word may go on with them.
fn opening(class: &Class) -> Option<Piece> {
    let class = match class {
        Class::Unicode(class) => class.clone(),
        Class::Bytes(class) => class.to_unicode_class()?,
    };
    let has = |wanted: char| class.iter().any(|range| range.start() <= wanted && wanted <= range.end());
    has('x').then(|| Piece::Open { paths: has('/') && has(':') })
}

/// Whether anything may stand there before a host is named.
fn starts_open(branch: &[Piece]) -> bool {
    let Some(before) = branch.iter().position(|piece| *piece == Piece::Open { paths: true }).and_then(|at| branch.get(..at))
    else {
        return false;
    };
    before.iter().all(|piece| match piece {
        Piece::Text(text) => ["", "http:", "https:"].contains(&text.trim_matches('/')),
        Piece::Open { .. } => true,
        Piece::Dot | Piece::Other => false,
    })
}

/// Whether whatever stands behind the host of a forge, where everybody is an owner of their own, may be anything.
fn leaves_owner_open(branch: &[Piece]) -> bool {
    const FORGES: [&str; 2] = ["https://github.com/", "https://gitlab.com/"];
    let texts = branch.iter().map_while(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None });
    let texts: Vec<&str> = texts.collect();
    FORGES.contains(&texts.concat().as_str()) && matches!(branch.get(texts.len()), Some(Piece::Open { .. }))
}

fn has_open_dot(branch: &[Piece]) -> bool {
    let texts = branch.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
    let mut before_host = texts.into_iter().any(|text| text.contains("://"));
    for piece in branch {
        match piece {
            Piece::Text(text) => {
                let host = match text.split_once("://") {
                    Some((_, rest)) if before_host => {
                        before_host = false;
                        rest
                    }
                    Some(_) | None => text,
                };
                if !before_host && host.contains('/') {
                    return false;
                }
            }
            Piece::Dot if !before_host => return true,
            Piece::Dot | Piece::Open { .. } | Piece::Other => {}
        }
    }
    false
}

fn is_of_mail(branch: &[Piece]) -> bool {
    let text_has = |of: char| move |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(of));
    let domain = branch.iter().rposition(text_has('@')).and_then(|at| branch.get(at..));
    !branch.iter().any(text_has('/'))
        && domain.is_some_and(|domain| !domain.iter().any(|piece| matches!(piece, Piece::Open { .. })))
}

fn ends_open(branch: &[Piece]) -> bool {
    let [before @ .., Piece::Text(text), Piece::Open { .. }] = branch else { return false };
    let in_refs = before
        .iter()
        .chain([&Piece::Text(text.clone())])
        .any(|piece| matches!(piece, Piece::Text(text) if text.contains("@refs/")));
    ends_in_word(text) && !in_refs
}

/// Whether an owner only begins with what is said of it, as acme-evil does with `https://github.com/acme[^/]*/app`; or a host, and
/// nothing is said of its end.
fn leaves_owner_unended(branch: &[Piece]) -> bool {
    let said = branch.iter().map_while(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Dot => Some("."),
        Piece::Open { .. } | Piece::Other => None,
    });
    let said: Vec<&str> = said.collect();
    let Some((Piece::Open { paths }, behind)) = branch.get(said.len()..).and_then(<[Piece]>::split_first) else { return false };
    let said = said.concat();
    let begins_path = |piece: &Piece| matches!(piece, Piece::Text(text) if text.starts_with('/'));
    let unended = match said.split_once("://").map(|(_, name)| name.matches('/').count()) {
        Some(0) => *paths || behind.first().is_none_or(begins_path),
        Some(1) => true,
        Some(_) | None => false,
    };
    unended && ends_in_word(&said)
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}
