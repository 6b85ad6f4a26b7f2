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

/// Claims that say in whose repository a workflow ran, or which workflow it was, and whether they are URLs.
const OWNER: [(&str, bool); 8] = [
    ("build_config_uri", true),
    ("build_signer_uri", true),
    ("github_workflow_repository", false),
    ("source_repository_identifier", false),
    ("source_repository_owner_identifier", false),
    ("source_repository_owner_uri", true),
    ("source_repository_uri", true),
    ("token_subject", false),
];

/// Where everybody is an owner of their own.
const FORGES: [&str; 2] = ["https://github.com/", "https://gitlab.com/"];

/// What some way to meet a regex leaves open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::policy) struct Openings {
    /// It names a forge where anybody may have a repository, and not whose.
    pub(in crate::policy) owner: bool,
    /// A dot of the host part stands for any one character.
    pub(super) dot: bool,
    /// It begins with anything, or its host is anything, and paths of others with it.
    pub(in crate::policy) start: bool,
    /// The same, and it is not about an e-mail address. Those have no part that others choose; a workflow's subject has
    /// slashes, and behind its `@` a branch that may be called anything.
    pub(super) start_of_path: bool,
    /// A domain begins with anything directly before a part of a word, as evil-acme.test does for `*acme.test`. Of a URL's host, and of
    /// what has no path.
    pub(super) start_in_word: bool,
    /// It goes on with anything directly behind a part of a word: at its end, or of the host or owner, wherever else it goes. Not
    /// behind a workflow's `@refs/`: which tags begin with `v` is decided in the repository that is named before it.
    pub(super) end: bool,
}

impl Openings {
    /// An exact text has none; nor has a regex that cannot be read, but those were compiled.
    pub(in crate::policy) fn of(matcher: &Matcher) -> Self {
        Self::of_branches(matcher, |branch| branch, |branch| ends_open(branch) || leaves_owner_unended(branch))
    }

    /// The same of a claim that says in whose repository a workflow ran, or which workflow it was; `None` of another claim. Which
    /// repositories and workflows there are behind an owner is decided by that owner.
    pub(in crate::policy) fn of_claim(name: &str, matcher: &Matcher) -> Option<Self> {
        let (_, is_url) = OWNER.iter().find(|(claim, _)| *claim == name)?;
        Some(Self::of_branches(matcher, if *is_url { |branch| branch } else { at_a_forge }, leaves_owner_unended))
    }

    fn of_branches(matcher: &Matcher, placed: fn(Branch) -> Branch, ends_open: fn(&[Piece]) -> bool) -> Self {
        let text = match matcher {
            Matcher::Exact(_) => return Self::default(),
            Matcher::Pattern(glob) => of_glob(glob.as_str()),
            Matcher::Regex(regex) => regex.as_str().to_owned(),
        };
        let mut open = Self::default();
        let Ok(hir) = regex_syntax::parse(&text) else { return open };
        for branch in branches(&hir).into_iter().map(placed) {
            let start = starts_open(&branch);
            open.owner |= leaves_owner_open(&branch);
            open.dot |= has_open_dot(&branch);
            open.start |= start;
            open.start_of_path |= start && !is_of_mail(&branch);
            open.start_in_word |= begins_in_word(&branch);
            open.end |= ends_open(&branch);
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
    let open = if max.is_none_or(|max| max > 1 && max > *min) { goes_on(sub) } else { None };
    match (open, *max) {
        (Some(paths), _) => vec![vec![Piece::Open { paths }]],
        // At most once is either there or not: just once is no repetition.
        (None, Some(1)) => [vec![Vec::new()], branches(sub)].concat(),
        (None, _) => vec![vec![Piece::Other]],
    }
}

fn is_dot(hir: &Hir) -> bool {
    [Dot::AnyCharExceptLF, Dot::AnyChar].into_iter().any(|dot| *hir == Hir::dot(dot))
}

/// Whether a word may go on with any number of these, and nothing is said that must be among them; and whether paths of others may.
fn goes_on(hir: &Hir) -> Option<bool> {
    match hir.kind() {
        HirKind::Class(class) => opening(class),
        HirKind::Capture(capture) => goes_on(&capture.sub),
        HirKind::Repetition(repetition) => goes_on(&repetition.sub),
        HirKind::Alternation(all) => all.iter().filter_map(goes_on).reduce(|some, other| some || other),
        HirKind::Concat(parts) => {
            let may_lack = |part: &Hir| goes_on(part).is_some() || part.properties().minimum_len() == Some(0);
            let open = parts.iter().filter_map(goes_on).reduce(|some, other| some || other);
            open.filter(|_| parts.iter().all(may_lack))
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => None,
    }
}

/// Whether a word may go on with characters of a class; and whether paths of others may.
fn opening(class: &Class) -> Option<bool> {
    let class = match class {
        Class::Unicode(class) => class.clone(),
        Class::Bytes(class) => class.to_unicode_class()?,
    };
    let has = |wanted: char| class.iter().any(|range| range.start() <= wanted && wanted <= range.end());
    has('x').then(|| has('/') && has(':'))
}

/// The texts that it begins with.
fn lead(branch: &[Piece]) -> Vec<&str> {
    branch.iter().map_while(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None }).collect()
}

/// A claim that is no URL, as one: what names an owner there is an owner at a forge. A token's subject says first what it names
/// (`repo:acme/app:ref:refs/heads/main`), and behind a `:` what is decided in that repository.
fn at_a_forge(branch: Branch) -> Branch {
    let texts = lead(&branch);
    let (count, said) = (texts.len(), texts.concat());
    let own = ["repo:", "project_path:"].iter().find_map(|kind| said.strip_prefix(kind)).unwrap_or(&said);
    let has_ended = own.contains(':');
    let begins = Piece::Text(format!("{}{own}", FORGES[0]));
    let behind = branch.into_iter().skip(count).map(|piece| if has_ended { Piece::Other } else { piece });
    std::iter::once(begins).chain(behind).collect()
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
    let texts = lead(branch);
    let mut behind = branch.iter().skip(texts.len()).take_while(|piece| !matches!(piece, Piece::Text(_)));
    FORGES.contains(&texts.concat().as_str()) && behind.any(|piece| matches!(piece, Piece::Open { .. }))
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

fn begins_in_word(branch: &[Piece]) -> bool {
    let text_has = |of: char| move |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(of));
    let of_url = lead(branch);
    let domain = match branch.iter().rposition(text_has('@')) {
        _ if of_url.concat().ends_with("://") => &branch[of_url.len()..],
        _ if branch.iter().any(text_has('/')) => return false,
        Some(at) if matches!(&branch[at], Piece::Text(text) if text.ends_with('@')) => &branch[at + 1..],
        Some(_) => return false,
        None => branch,
    };
    let begins = |pair: &[Piece]| matches!(pair, [Piece::Open { .. }, Piece::Text(text)] if text.starts_with(in_word));
    let before = domain.iter().take_while(|piece| !matches!(piece, Piece::Text(_))).count();
    domain.get(before.saturating_sub(1)..=before).is_some_and(begins)
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
    text.ends_with(in_word)
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
