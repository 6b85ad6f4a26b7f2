//! Where a regex leaves open what it looks as if it said. Each alternative is looked at alone: whoever signs chooses which to meet.

use regex_syntax::hir::{Class, Dot, Hir, HirKind, Repetition};

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
pub(super) struct Openings {
    /// A dot of the host part stands for any one character.
    pub(super) dot: bool,
    /// It begins with anything.
    pub(super) start: bool,
    /// The same, and it is not about an e-mail address. Those have no part that others choose; a workflow's subject has
    /// slashes, and behind its `@` a branch that may be called anything.
    pub(super) start_of_path: bool,
    /// It goes on with anything directly behind a part of a word. Not behind a workflow's `@refs/`: which tags begin with `v`
    /// is decided in the repository that is named before it.
    pub(super) end: bool,
}

impl Openings {
    /// Of a regex that was compiled: one that cannot be read has none.
    pub(super) fn of(text: &str) -> Self {
        let mut open = Self::default();
        let Ok(hir) = regex_syntax::parse(text) else { return open };
        for branch in branches(&hir) {
            let start = matches!(branch.first(), Some(Piece::Open { paths: true }));
            open.dot |= has_open_dot(&branch);
            open.start |= start;
            open.start_of_path |= start && !is_of_mail(&branch);
            open.end |= ends_open(&branch);
        }
        open
    }
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
    text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && !in_refs
}
