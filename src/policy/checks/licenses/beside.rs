//! What a document says of a package's licences beside what it calls them: names of what is outside SPDX's list, texts of a few
//! words, and URLs. All of it can deny; of it only names can allow.

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use percent_encoding::percent_decode_str;
use spdx::{Expression, LicenseItem, LicenseReq};

use super::{
    CUSTOM, Entry, Licenses, MODE, What,
    list::{self, License, canonical},
    prose::Prose,
};
use crate::policy::documents::sbom::{Foreign, references_in};

/// What is known of a package's licences. Each text is judged once, however often the package states its licence, which may be as
/// often as the document has room for.
pub(super) struct Beside<'f> {
    /// By reference in small letters.
    known: HashMap<String, Known<'f>>,
    /// References by the `LicenseRef-…` at their end (`DocumentRef-x:LicenseRef-1`), in small letters.
    of_documents: HashMap<String, OfDocuments<'f>>,
    /// Licences of the list, each with its exception, beside which a denied one is named.
    listed: HashSet<(License, String)>,
}

/// References to what each of several documents calls the same.
#[derive(Default)]
struct OfDocuments<'f> {
    references: Vec<&'f str>,
    /// Whether one of them is denied, once that is asked: each of thousands of texts may mean all of them.
    is_denied: OnceCell<bool>,
}

/// What is denied of what stands beside the licences of one document. Each text is judged once: a licence's name may be that of
/// thousands of packages, and to look in it for each takes longer than to read it.
#[derive(Default)]
pub(in crate::policy::checks) struct Judged {
    /// Keyed at random: no document is made of texts that fall together with denied ones.
    keys: RandomState,
    /// By hash, and whether it is a name.
    denied: HashMap<(u64, bool), bool>,
}

/// How many texts are remembered; what comes behind is judged as often as it stands there.
const MAX_JUDGED: usize = 1 << 15;

impl Judged {
    fn once(&mut self, text: &str, is_name: bool, judge: impl FnOnce(&str) -> bool) -> bool {
        let key = (self.keys.hash_one(text), is_name);
        if let Some(denied) = self.denied.get(&key) {
            return *denied;
        }
        let denied = judge(text);
        if self.denied.len() < MAX_JUDGED {
            self.denied.insert(key, denied);
        }
        denied
    }
}

/// What is known of one licence.
#[derive(Default)]
pub(super) struct Known<'f> {
    pub(super) names: Vec<&'f str>,
    /// One of its names is that of a denied licence.
    is_called: bool,
    /// What is said of it that names a denied licence.
    told: Option<&'f str>,
}

impl<'f> Beside<'f> {
    pub(super) fn of(licenses: &Licenses, foreign: &'f [Foreign], judged: &mut Judged) -> Self {
        let (mut known, mut of_documents) = (HashMap::<_, Known<'_>>::new(), HashMap::<_, OfDocuments<'_>>::new());
        for Foreign { reference, names, texts } in foreign {
            let lower = reference.to_ascii_lowercase();
            if let Some(own) = lower.rsplit(':').next().filter(|own| own.starts_with("licenseref-")) {
                of_documents.entry(own.to_owned()).or_default().references.push(reference.as_str());
            }
            let one = known.entry(lower).or_default();
            one.names.extend(names.iter().map(String::as_str));
            one.is_called |= names.iter().any(|name| judged.once(name, true, |name| licenses.denies_name(name)));
            let mut denies_said = |text: &&str| judged.once(text, false, |text| licenses.denies_said(text));
            one.told = one.told.or_else(|| texts.iter().map(String::as_str).find(&mut denies_said));
        }
        let told = known.iter().filter(|(_, known)| known.told.is_some());
        let listed = told.filter_map(|(reference, _)| {
            let expression = Expression::parse_mode(&canonical(reference), MODE).ok()?;
            let mut requirements = expression.requirements();
            requirements.next().filter(|_| requirements.next().is_none()).and_then(|only| listed(&only.req))
        });
        Self { listed: listed.collect(), known, of_documents }
    }

    pub(super) fn get(&self, reference: &str) -> Option<&Known<'f>> {
        self.known.get(&reference.to_ascii_lowercase())
    }

    /// Whether a denied licence is named beside one licence of an expression, with its exception or without.
    pub(super) fn tells_of(&self, requirement: &LicenseReq) -> bool {
        let tells = |(license, exception): (License, String)| {
            self.listed.contains(&(license, String::new())) || self.listed.contains(&(license, exception))
        };
        !self.listed.is_empty() && listed(requirement).is_some_and(tells)
    }

    /// What is said beside `text` that names a denied licence. Whatever the name is: a denied licence would pass as `MIT`, or as none.
    pub(super) fn told_of(&self, text: &str) -> Option<&'f str> {
        self.get(text)?.told
    }
}

impl Licenses {
    /// Whether a licence that `text` means, which is no expression, is denied: none of the package's other ones, among which there
    /// may be a choice.
    pub(super) fn denies_meant(&self, text: &str, beside: &Beside<'_>) -> bool {
        let denies = |reference: &str| beside.get(reference).is_some_and(|known| self.denies_foreign(reference, Some(known)));
        let denies_one_of = |of: &OfDocuments<'_>| *of.is_denied.get_or_init(|| of.references.iter().copied().any(denies));
        let references: HashSet<String> = references_in(text).map(str::to_ascii_lowercase).collect();
        let mut within = references.iter().filter_map(|reference| beside.of_documents.get(reference));
        denies(text) || within.any(denies_one_of)
    }

    /// Whether a licence outside SPDX's list is denied, by its reference or by what the document says of it.
    pub(super) fn denies_foreign(&self, reference: &str, known: Option<&Known<'_>>) -> bool {
        // `LicenseRef-AGPL-3.0-only` was made of an id.
        let own = reference.rsplit_once("LicenseRef-").map_or(reference, |(_, own)| own);
        self.deny.iter().any(|entry| entry.is_text(reference) || entry.is_spelled_in(reference))
            || self.denies_text(own)
            || known.is_some_and(|known| known.is_called || known.told.is_some())
    }

    /// Whether what is said beside a name, a text or a URL, denies it: as an expression it leaves its choice, as a name would.
    fn denies_said(&self, text: &str) -> bool {
        if is_url(text) { self.denies_url(text) } else { self.denies_words(text) }
    }

    fn denies_words(&self, text: &str) -> bool {
        match Expression::parse_mode(&canonical(text), MODE) {
            Ok(expression) => !expression.evaluate(|requirement| !self.denies_one(requirement)),
            Err(_) => self.denies_text(text),
        }
    }

    fn denies_one(&self, requirement: &LicenseReq) -> bool {
        let exception = requirement.addition.as_ref().map(ToString::to_string);
        match &requirement.license {
            LicenseItem::Spdx { id, or_later } => {
                let exception = exception.as_deref().or(list::built_in_exception(id.name));
                License::of(id.name, *or_later).choices().all(|choice| self.denies_listed(choice, exception))
            }
            LicenseItem::Other(reference) => self.denies_foreign(&reference.to_string(), None),
        }
    }

    /// Whether a text names a denied licence by one of its names, and not by an id that may be anything's name, or by words that
    /// may. An id that says a version is a name.
    fn denies_exactly(&self, text: &str) -> bool {
        self.names_one(text, |entry| !matches!(entry.what, What::Text(_)))
    }

    /// Whether a URL that is all a licence is called names a denied one as a whole, as `…/MPL/1.1/` does over two segments.
    pub(super) fn denies_url_as_name(&self, url: &str) -> bool {
        self.names_one(&decoded(url), |_| true)
    }

    fn names_one(&self, text: &str, of: impl Fn(&Entry) -> bool) -> bool {
        if self.deny.is_empty() {
            return false;
        }
        let mut text = Prose::of(text);
        text.ids.clear();
        self.deny.iter().any(|entry| of(entry) && entry.is_named_in(&text))
    }

    pub(super) fn denies_listed(&self, license: License, exception: Option<&str>) -> bool {
        let custom = exception.filter(|exception| exception.contains(CUSTOM));
        self.deny.iter().any(|entry| entry.covers(license, exception) || custom.is_some_and(|custom| entry.is_spelled_in(custom)))
    }

    /// Whether a URL names a denied licence. Most of one says where it is, not what: behind `…/openssl/openssl/blob/master/LICENSE`
    /// and `…/ruby/psych/…` may be any. So an id without a version counts only where a page is named. One longer than any is a text:
    /// each part of it would be looked into by itself.
    pub(super) fn denies_url(&self, url: &str) -> bool {
        if self.deny.is_empty() {
            return false;
        }
        if url.len() > MAX_URL {
            let url = decoded(url);
            return self.denies_text(&url) || self.denies_text(without_extension(&url));
        }
        let is_denied_page = |entry: &Entry| match &entry.what {
            What::Text(page) => is_url(page) && url.to_lowercase().contains(&page.to_lowercase()),
            What::Listed(..) | What::Nothing(_) | What::Ref(_) => false,
        };
        let denies_part = |(part, names_page): (Cow<'_, str>, bool)| {
            if names_page { self.denies_words(without_extension(&part)) } else { self.denies_exactly(&part) }
        };
        self.deny.iter().any(is_denied_page) || parts(url).any(denies_part)
    }
}

/// What a requirement is that is of SPDX's list: the licence, and its exception, if any, in small letters.
fn listed(requirement: &LicenseReq) -> Option<(License, String)> {
    let LicenseItem::Spdx { id, or_later } = &requirement.license else { return None };
    let exception = requirement.addition.as_ref().map(ToString::to_string);
    let exception = exception.as_deref().or(list::built_in_exception(id.name)).unwrap_or_default();
    Some((License::of(id.name, *or_later), exception.to_ascii_lowercase()))
}

/// Bytes of a URL that is read as one.
const MAX_URL: usize = 2_048;

pub(super) fn is_url(text: &str) -> bool {
    let begins = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    (begins("https://") || begins("http://")) && !text.contains(char::is_whitespace)
}

/// The host, each segment and each word behind the path of a URL, without percent-encoding (`MIT%20AND%20…`), and whether it is the
/// name of a page: the last segment, or what follows `/licenses/`.
fn parts(url: &str) -> impl Iterator<Item = (Cow<'_, str>, bool)> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (path, behind) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = path.trim_end_matches('/');
    let last = path.matches('/').count();
    let mut before = "";
    let segments = path.split('/').enumerate().map(move |(at, segment)| {
        let follows = std::mem::replace(&mut before, segment).eq_ignore_ascii_case("licenses");
        (segment, at > 0 && (at == last || follows))
    });
    let behind = behind.split(['?', '#', '&', '=', '/']).map(|word| (word, false));
    segments.chain(behind).map(|(part, names_page)| (decoded(part), names_page))
}

/// Without percent-encoding.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// `AGPL-3.0` of `AGPL-3.0.en.html`.
fn without_extension(mut page: &str) -> &str {
    let is_extension = |end: &str| (2..6).contains(&end.len()) && end.bytes().all(|b| b.is_ascii_alphabetic());
    while let Some((name, end)) = page.rsplit_once('.')
        && !name.is_empty()
        && is_extension(end)
    {
        page = name;
    }
    page
}

#[cfg(test)]
mod tests;
