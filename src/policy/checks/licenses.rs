//! Licences, by the meaning of SPDX licence expressions.
//!
//! An entry is one licence of SPDX's list, `LicenseRef-…`, `{text: …}` for a name outside the list, `NOASSERTION` (a package
//! whose licence is not stated) or `NONE`, these two in any capitals and within expressions too. What a document says of a
//! package is evaluated: `OR` leaves the choice, so one side that passes suffices; `AND` does not. Everything a document states of
//! a package must pass.
//!
//! - *Or later* stands for any published version from there on. A denied `AGPL-3.0-only` denies `AGPL-3.0-or-later` too, as
//!   long as there is no later version to choose.
//! - *WITH* gives permissions on top: an entry without it covers the licence with any exception, an entry with it only that.
//!   A custom addition (`WITH AdditionRef-Commons-Clause`) may take away as well: only an entry of `allow` that says it allows it.
//! - Deprecated ids mean what replaced them (`GPL-2.0+` is `GPL-2.0-or-later`), and ids are compared in any capitals.
//! - A text that is no expression of known licences is allowed only by an entry that says it, in any capitals; it is denied
//!   where it names a denied licence anywhere, by id, by SPDX's full name as people shorten it (`GNU Affero General Public
//!   License v3`), or as they call it (`AGPLv3`), or the words of a denied text, whatever stands between them. Whatever else it may
//!   be called, `deny` does not see; `allow` need not.
//! - A `LicenseRef-…` is itself and what the document calls it (`hasExtractedLicensingInfos`, `customIdToUri`): allowed by an entry
//!   that says either, denied where its name, or a text of a few words, names a denied licence as above, or where it is itself made of
//!   the words of a denied text or of a denied licence's name (`LicenseRef-Commons-Clause`, `LicenseRef-MIT-License`).
//! - In SPDX 3 and CycloneDX any licence may have a text of a few words beside its name: where that names a denied licence it is
//!   denied too, also under the name of one of SPDX's list. So is one whose URL does: in CycloneDX beside a name that is no id, and
//!   of a `LicenseRef-…`; in SPDX 2 in `seeAlsos` and `crossRefs`. A text that is an expression is evaluated, and so is the last
//!   segment of a URL; elsewhere in a URL only an id with a version counts, or a name: `/openssl/` says where, not what. So it is
//!   where a URL is all that a licence is called.
//! - With `allow`, a package whose licence is not stated is refused unless `NOASSERTION` is allowed. What stands for
//!   the image itself, its operating system or a file need not state one.
//! - SPDX 3's sets of licences are the `AND` and `OR` of their members, each evaluated as what it is: a custom licence whose
//!   name is no expression does not make one of the whole set.
//! - A licence in a form that is not read (a reference to what the document does not hold, a long text without a name, SPDX 3's
//!   custom additions) is refused by `allow` and by `deny`.

mod beside;
mod list;
mod prose;

pub(super) use self::beside::Judged;

use spdx::{AdditionItem, Expression, LicenseItem, LicenseReq, ParseMode};

use self::{
    beside::{Beside, is_url},
    list::{License, canonical},
    prose::{Prose, spelled},
};
use super::{CheckFailure, Form, Package, Reason, named, pattern, short};
use crate::{
    policy::{documents::sbom::Licensing, sentence::any_of},
    yaml::{Cursor, Value, closest, shown},
};

/// Ids as SPDX has them, deprecated ones too; no other spellings, which would let `bsd` be a licence nobody allowed.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};
/// How an addition outside SPDX's list is written.
const CUSTOM: &str = "AdditionRef-";
const NOASSERTION: &str = "NOASSERTION";
const NONE: &str = "NONE";

/// `licenses`.
#[derive(Debug, Clone)]
pub(crate) struct Licenses {
    allow: Option<Vec<Entry>>,
    deny: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    written: String,
    what: What,
    /// What people call what it covers, in small letters; of a text its words, see [`spelled`].
    names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Of SPDX's list, perhaps with an exception.
    Listed(License, Option<String>),
    /// `NOASSERTION` or `NONE`.
    Nothing(&'static str),
    /// `LicenseRef-…`.
    Ref(String),
    Text(String),
}

impl Entry {
    fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        if matches!(cursor.value(), Value::Map(_)) {
            let fields = cursor.fields(&["text"], &[])?;
            let text = fields.need("text", "write the licence's name as documents have it")?.text("a licence's name")?;
            if let Some(id) = nothing(text).or_else(|| list::id_of_name(text)) {
                cursor.wrong(format!("is no name outside SPDX's list; write {id}"));
                return None;
            }
            // Documents that say it are evaluated, and not compared with a text.
            if Expression::parse_mode(&canonical(text), MODE).is_ok() {
                let what = listed(cursor, text)?;
                if !matches!(what, What::Ref(_)) {
                    cursor.wrong(format!("is no name outside SPDX's list; write {}", shown(text)));
                    return None;
                }
                return Some(Self { written: text.to_owned(), what, names: Vec::new() });
            }
            if text.contains('*') {
                cursor.wrong("is compared as it is written; `*` is no pattern here");
                return None;
            }
            // The `c` of `C++` is a word of many texts.
            let names = Some(spelled(text)).filter(|words| words.trim().chars().count() > 1);
            return Some(Self {
                written: text.to_owned(),
                what: What::Text(text.to_owned()),
                names: names.into_iter().collect(),
            });
        }
        let text = cursor.text("a licence such as AGPL-3.0-only")?;
        let what = match nothing(text) {
            Some(nothing) => What::Nothing(nothing),
            None => listed(cursor, text)?,
        };
        let names = match &what {
            What::Listed(license, _) => list::spellings(*license),
            What::Nothing(_) | What::Ref(_) | What::Text(_) => Vec::new(),
        };
        Some(Self { written: text.to_owned(), what, names })
    }

    /// Whether it covers this licence. `None` is no exception.
    fn covers(&self, license: License, exception: Option<&str>) -> bool {
        match &self.what {
            What::Listed(own, own_exception) => {
                own.covers(license)
                    && own_exception.as_ref().is_none_or(|own| exception.is_some_and(|found| own.eq_ignore_ascii_case(found)))
            }
            What::Nothing(_) | What::Ref(_) | What::Text(_) => false,
        }
    }

    /// Whether it covers `text`, which is no expression, as a whole.
    fn is_text(&self, text: &str) -> bool {
        match &self.what {
            What::Ref(own) | What::Text(own) => own.eq_ignore_ascii_case(text),
            What::Listed(..) | What::Nothing(_) => false,
        }
    }

    /// Whether the words of a name are words of `reference`, as tools make one of a name.
    fn is_spelled_in(&self, reference: &str) -> bool {
        match &self.what {
            What::Text(_) => {
                let words = spelled(reference);
                self.names.iter().any(|name| words.contains(name))
            }
            What::Listed(..) => {
                let reference = reference.to_lowercase().replace('-', " ");
                self.names.iter().any(|name| list::mentions(&reference, name))
            }
            What::Nothing(_) | What::Ref(_) => false,
        }
    }

    /// Whether a text, which is no expression, names it somewhere. A denied text is no other one where a tool writes
    /// `Commons-Clause`, nor a denied licence where its name goes over two lines.
    fn is_named_in(&self, text: &Prose) -> bool {
        match &self.what {
            What::Listed(own, _) => {
                text.ids.iter().any(|found| found.choices().any(|choice| own.covers(choice)))
                    || self.names.iter().any(|name| text.forms().any(|form| list::mentions(form, name)))
            }
            What::Ref(own) => text.lower.contains(&own.to_lowercase()),
            What::Text(own) => {
                let of_several = |name: &&String| name.trim().contains(' ');
                text.lower.contains(&own.to_lowercase())
                    || self.names.iter().filter(of_several).any(|name| text.words.contains(name))
            }
            What::Nothing(_) => false,
        }
    }
}

/// Which of the two words for no licence this is, which SPDX's list does not have.
fn nothing(text: &str) -> Option<&'static str> {
    [NOASSERTION, NONE].into_iter().find(|nothing| nothing.eq_ignore_ascii_case(text))
}

/// What is wrong with an entry that is no licence.
fn unknown(text: &str) -> String {
    let is_known = |text: &str| Expression::parse_mode(&canonical(text), MODE).is_ok();
    let with = text.to_ascii_lowercase().find(" with ");
    if let Some((license, exception)) = with.and_then(|at| Some((text.get(..at)?.trim(), text.get(at + 6..)?.trim()))) {
        if !is_known(license) {
            return unknown(license);
        }
        let shown = shown(exception);
        return match closest(exception, list::exceptions()) {
            Some(meant) => format!("`{shown}` is no exception of SPDX's list; did you mean `{meant}`?"),
            None => format!("`{shown}` is no exception of SPDX's list; write one of it, or {CUSTOM}… as documents have it"),
        };
    }
    if let Some(mark) = pattern(text) {
        return format!("is compared as a whole; `{mark}` is no pattern here, write each licence");
    }
    let colloquial = || spdx::imprecise_license_id(text).filter(|(_, length)| *length == text.len()).map(|(id, _)| id.name);
    let meant = list::id_of_name(text).or_else(colloquial).or_else(|| closest(text, list::ids()));
    let shown = shown(text);
    match meant {
        Some(meant) => format!("`{shown}` is no licence of SPDX's list; did you mean `{meant}`?"),
        None => format!("`{shown}` is no licence of SPDX's list; for a name outside it write {{text: {shown}}}"),
    }
}

fn listed(cursor: &Cursor<'_>, text: &str) -> Option<What> {
    let Ok(expression) = Expression::parse_mode(&canonical(text), MODE) else {
        cursor.wrong(unknown(text));
        return None;
    };
    let mut requirements = expression.requirements();
    match (requirements.next(), requirements.next()) {
        (Some(only), None) => {
            let exception = only.req.addition.as_ref().map(ToString::to_string);
            Some(match &only.req.license {
                LicenseItem::Spdx { id, .. } if id.name == NOASSERTION => {
                    cursor.wrong(format!("wants one licence an entry; write {NOASSERTION}, or {NONE}, alone"));
                    return None;
                }
                LicenseItem::Spdx { id, or_later } => {
                    let exception = exception.or_else(|| list::built_in_exception(id.name).map(str::to_owned));
                    What::Listed(License::of(id.name, *or_later), exception)
                }
                // Of a licence whose words nobody here knows, it says nothing that an addition is allowed or denied beside it.
                LicenseItem::Other(reference) if exception.is_some() => {
                    cursor.wrong(format!("has `WITH` behind a licence outside SPDX's list; write {reference}"));
                    return None;
                }
                LicenseItem::Other(reference) => What::Ref(reference.to_string()),
            })
        }
        (None | Some(_), _) => {
            cursor.wrong("wants one licence an entry; `AND` and `OR` are for documents");
            None
        }
    }
}

impl Licenses {
    pub(super) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        let fields = cursor.fields(&["allow", "deny"], &[])?;
        let entries = |key| {
            super::optional(fields.get(key), |cursor| {
                let items = cursor.list()?;
                if items.is_empty() {
                    cursor.wrong("an empty list matches nothing; leave it out, or write the licences");
                    return None;
                }
                let entries: Vec<_> = items.iter().map(Entry::parse).collect();
                entries.into_iter().collect::<Option<Vec<_>>>()
            })
        };
        let (allow, deny) = (entries("allow")?, entries("deny")?);
        if allow.is_none() && deny.is_none() {
            cursor.wrong("asks for nothing; write `allow` or `deny`");
            return None;
        }
        Some(Self { allow, deny: deny.unwrap_or_default() })
    }

    pub(super) fn judge(&self, package: &Package, judged: &mut Judged) -> Result<(), CheckFailure> {
        let fail = |summary| Err(CheckFailure { reason: Reason::LicenseDenied, summary });
        let beside = Beside::of(self, &package.foreign, judged);
        // What is said of no licence that is named is said of the package.
        if let Some(told) = beside.told_of("") {
            return fail(format!("wants {}; found {} in {}", self.told(), short(told, 60), named(package)));
        }
        if package.licenses.is_empty() && !package.is_frame && !self.nothing(NOASSERTION) {
            return fail(format!("wants {}; found no stated licence of {}", self.told(), named(package)));
        }
        let Some(license) = package.licenses.iter().find_map(|license| self.first_refused(license, &beside)) else {
            return Ok(());
        };
        let wants = match license {
            Licensing::Said(text) if self.allow.is_none() && text.contains(CUSTOM) => {
                format!("{}, and no custom addition to one", self.told())
            }
            Licensing::All(_) | Licensing::Any(_) | Licensing::Said(_) => self.told(),
            Licensing::Unread(_) => "licences in a form that is read".to_owned(),
        };
        fail(format!("wants {wants}; found {} in {}", short(&license.to_string(), 60), named(package)))
    }

    /// The first part that does not pass where all must; all of them where one would do.
    fn first_refused<'l>(&self, license: &'l Licensing, beside: &Beside<'_>) -> Option<&'l Licensing> {
        match license {
            Licensing::All(members) => members.iter().find_map(|member| self.first_refused(member, beside)),
            Licensing::Any(members) => {
                members.iter().all(|member| self.first_refused(member, beside).is_some()).then_some(license)
            }
            Licensing::Said(text) => {
                let text = text.trim();
                (beside.told_of(text).is_some() || !self.passes(text, beside)).then_some(license)
            }
            Licensing::Unread(_) => Some(license),
        }
    }

    /// Whether "nothing stated" or "no licence" passes.
    fn nothing(&self, nothing: &'static str) -> bool {
        let lists = |entries: &[Entry]| entries.iter().any(|entry| entry.what == What::Nothing(nothing));
        !lists(&self.deny) && self.allow.as_ref().is_none_or(|allow| lists(allow))
    }

    fn passes(&self, text: &str, beside: &Beside<'_>) -> bool {
        if let Some(nothing) = nothing(text) {
            return self.nothing(nothing);
        }
        if let Ok(expression) = Expression::parse_mode(&canonical(text), MODE) {
            // Tools write both words within expressions, against the specification; as the one that can be parsed.
            let within: Vec<_> = list::words(text).filter_map(|(_, word)| nothing(word)).collect();
            return expression.evaluate(|requirement| match &requirement.license {
                LicenseItem::Spdx { id, .. } if id.name == NOASSERTION => within.iter().all(|nothing| self.nothing(nothing)),
                LicenseItem::Spdx { .. } | LicenseItem::Other(_) => self.passes_one(requirement, beside),
            });
        }
        if let Some(id) = list::id_of_name(text) {
            let exception = list::built_in_exception(id);
            return License::of(id, false).choices().any(|choice| self.passes_listed(choice, exception));
        }
        !self.denies_name(text)
            && !self.denies_meant(text, beside)
            && self.allow.as_ref().is_none_or(|allow| allow.iter().any(|entry| entry.is_text(text)))
    }

    fn passes_one(&self, requirement: &LicenseReq, beside: &Beside<'_>) -> bool {
        // One of several in an expression may be told of by itself (CycloneDX 1.7's `expressionDetails`).
        if beside.tells_of(requirement) {
            return false;
        }
        let exception = requirement.addition.as_ref().map(ToString::to_string);
        match &requirement.license {
            LicenseItem::Spdx { id, or_later } => {
                let license = License::of(id.name, *or_later);
                license
                    .choices()
                    .any(|choice| self.passes_listed(choice, exception.as_deref().or(list::built_in_exception(id.name))))
            }
            LicenseItem::Other(_) if matches!(requirement.addition, Some(AdditionItem::Other(_))) => false,
            LicenseItem::Other(reference) => {
                let reference = reference.to_string();
                let known = beside.get(&reference);
                !self.denies_foreign(&reference, known)
                    && self.allow.as_ref().is_none_or(|allow| {
                        let says = |text: &str| allow.iter().any(|entry| entry.is_text(text));
                        // Called two things, it is allowed where both are.
                        let names = known.map(|known| known.names.as_slice()).unwrap_or_default();
                        says(&reference) || !names.is_empty() && names.iter().all(|name| says(name))
                    })
            }
        }
    }

    /// Whether what a licence is called, which is no expression, names a denied one.
    fn denies_name(&self, text: &str) -> bool {
        if is_url(text) { self.denies_url(text) || self.denies_url_as_name(text) } else { self.denies_text(text) }
    }

    fn denies_text(&self, text: &str) -> bool {
        if self.deny.is_empty() {
            return false;
        }
        let text = Prose::of(text);
        self.deny.iter().any(|entry| entry.is_named_in(&text))
    }

    fn passes_listed(&self, license: License, exception: Option<&str>) -> bool {
        if self.denies_listed(license, exception) {
            return false;
        }
        let mut allowed = self.allow.iter().flatten().filter(|entry| entry.covers(license, exception));
        match exception.filter(|exception| exception.contains(CUSTOM)) {
            Some(_) => allowed.any(|entry| matches!(entry.what, What::Listed(_, Some(_)))),
            None => self.allow.is_none() || allowed.next().is_some(),
        }
    }

    fn told(&self) -> String {
        let written = |entries: &[Entry]| any_of(&entries.iter().map(|entry| entry.written.clone()).collect::<Vec<_>>(), 30);
        match &self.allow {
            Some(allow) if self.deny.is_empty() => format!("licences {}", written(allow)),
            Some(allow) => format!("licences {}, not {}", written(allow), written(&self.deny)),
            None => format!("no licence {}", written(&self.deny)),
        }
    }

    pub(super) fn form(&self, form: &mut Form) {
        let Self { allow, deny } = self;
        form.list(allow.as_slice(), |form, allow| form.list(allow, |form, entry| entry.form(form)));
        form.list(deny, |form, entry| entry.form(form));
    }
}

impl Entry {
    fn form(&self, form: &mut Form) {
        // `{text: X}` and `X` differ.
        form.flag(matches!(self.what, What::Text(_)));
        form.text(&self.written);
    }
}

#[cfg(test)]
mod tests;
