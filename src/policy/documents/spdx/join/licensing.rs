//! The licences of a package of SPDX 3, put together of the elements that say them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::super::sbom::{Foreign, Licensing, asserted, is_asserted, references_in},
    DocumentError, Gathered, Licenses, Referred, second_of,
};

/// How deep sets of licences may nest, operators counted.
const MAX_DEPTH: usize = 16;
/// Parts of what all packages have from elsewhere in the document: licences put together, names, package URLs. Of a
/// text each [`PART`] bytes are one, and what is left over: 64 MiB of all texts, or a million short ones.
const MAX_PARTS: usize = 1 << 20;
const PART: usize = 64;

/// What is said of licences beside what a package says, by what it says of them in small letters.
type Beside = BTreeMap<String, Foreign>;

impl Gathered {
    /// What the document says of the licences of the package `id`.
    pub(in super::super) fn licenses(&self, id: &str) -> Licenses {
        let of_package = second_of(&self.licensed, self.hash(id));
        let stated = of_package
            .filter(|license| !matches!(self.referred.get(license), Some(Referred::License(text)) if !is_asserted(text)));
        let mut beside = Beside::new();
        let mut licenses: Vec<_> = stated.map(|license| self.put_together(license, MAX_DEPTH, &mut beside)).collect();
        // They come in the order of a keyed hash, and a sentence about them must read the same every time.
        licenses.sort_unstable();
        (licenses, beside.into_values().collect())
    }

    /// The licence that the element `license` is.
    fn put_together(&self, license: u64, depth: usize, beside: &mut Beside) -> Licensing {
        self.parts.set(self.parts.get().saturating_add(1));
        if depth == 0 {
            return Licensing::Unread(format!("sets of licences nested more than {MAX_DEPTH} deep"));
        }
        if self.is_beyond() {
            return beyond();
        }
        match self.referred.get(&license) {
            Some(Referred::License(text)) => self.said(license, text.as_ref().to_owned(), beside),
            Some(Referred::Set { every, .. }) => {
                let members: Vec<Licensing> =
                    second_of(&self.members, license).map(|member| self.put_together(member, depth - 1, beside)).collect();
                match (members.is_empty(), every) {
                    // All of nothing would hold of every licence.
                    (true, _) => Licensing::Unread("a set of no licences".to_owned()),
                    (false, true) => Licensing::All(members),
                    (false, false) => Licensing::Any(members),
                }
            }
            Some(Referred::OrLater(_) | Referred::With(..)) => match self.expression(license) {
                Some((of, expression)) => self.said(of, expression, beside),
                None => Licensing::Unread("an operator on what is not of SPDX's list".to_owned()),
            },
            Some(Referred::Addition(text) | Referred::Agent(text) | Referred::Identifier(text) | Referred::Unread(text)) => {
                Licensing::Unread(text.as_ref().to_owned())
            }
            None => Licensing::Unread("an element that is no licence in the document".to_owned()),
        }
    }

    /// What the element `license` says, with what the document says beside it.
    fn said(&self, license: u64, text: String, beside: &mut Beside) -> Licensing {
        match self.describe(license, &text, beside) {
            true => Licensing::Said(text),
            false if self.is_beyond() => beyond(),
            false => Licensing::Unread("a LicenseRef- of what is not one licence".to_owned()),
        }
    }

    /// Adds what the document says beside `text`, which the element `license` says: its text, if that is short, and what its
    /// `LicenseRef-…` are. What one is that is not there, or has a long text alone, stays unknown, as in SPDX 2. Gives whether that
    /// is all there is: a set of licences behind a name would pass unseen, or a `LicenseRef-…` that an expression behind it has.
    fn describe(&self, license: u64, text: &str, beside: &mut Beside) -> bool {
        if !self.take(text) {
            return false;
        }
        if let Some(words) = self.beside.get(&license) {
            described(text, beside).texts.push(words.as_ref().to_owned());
        }
        let custom = self.custom_of(license);
        if custom.is_empty() {
            return true;
        }
        // Each also with the document it is of (`DocumentRef-x:LicenseRef-1`).
        let of_documents = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.' | ':'));
        let of_documents = of_documents.filter(|word| references_in(word).next().is_some());
        for reference in references_in(text).chain(of_documents).collect::<BTreeSet<_>>() {
            let hash = self.hash(&reference.to_ascii_lowercase());
            let from = custom.partition_point(|(_, other, _)| *other < hash);
            for (.., target) in custom.iter().skip(from).take_while(|(_, other, _)| *other == hash) {
                // What is not there was looked for all the same: each package may look for all of the list.
                let words = self.beside.get(target).map(AsRef::as_ref);
                if !self.take(words.unwrap_or_default()) {
                    return false;
                }
                match self.referred.get(target) {
                    Some(Referred::License(name)) if self.custom_of(*target).is_empty() && self.take(name) => {
                        let name = asserted(Some(name.as_ref().to_owned()));
                        described(reference, beside).names.extend(name);
                    }
                    Some(Referred::Unread(_)) | None => {}
                    Some(_) => return false,
                }
                described(reference, beside).texts.extend(words.map(str::to_owned));
            }
        }
        true
    }

    /// What the `LicenseRef-…` of the expression `license` are.
    fn custom_of(&self, license: u64) -> &[(u64, u64, u64)] {
        let from = self.custom.partition_point(|(other, ..)| *other < license);
        let custom = self.custom.get(from..).unwrap_or_default();
        &custom[..custom.partition_point(|(other, ..)| *other == license)]
    }

    /// Counts a text; says whether it is within the bound.
    pub(super) fn take(&self, text: &str) -> bool {
        self.parts.set(self.parts.get().saturating_add(1 + text.len() / PART));
        !self.is_beyond()
    }

    /// Counts a text that a package refers to: one in the document, it is copied for each.
    pub(super) fn charge(&self, text: &str) -> Result<(), DocumentError> {
        if self.take(text) {
            return Ok(());
        }
        let bytes = MAX_PARTS * PART;
        Err(DocumentError::Malformed(format!("has packages that refer to more than {bytes} bytes of names and package URLs")))
    }

    fn is_beyond(&self) -> bool {
        self.parts.get() > MAX_PARTS
    }

    /// One licence, and it perhaps or later, perhaps with an exception, as an expression; `None` of what is no id, so that what a
    /// document calls a licence cannot become another one by what is written behind it.
    fn expression(&self, license: u64) -> Option<(u64, String)> {
        match self.referred.get(&license)? {
            Referred::License(id) => is_id(id).then(|| (license, id.as_ref().to_owned())),
            Referred::OrLater(of) => match self.referred.get(of)? {
                Referred::License(id) if is_id(id) => Some((*of, or_later(id))),
                _ => None,
            },
            Referred::With(of, addition) => {
                let Some(Referred::Addition(exception)) = self.referred.get(addition) else { return None };
                if matches!(self.referred.get(of)?, Referred::With(..)) || !is_id(exception) {
                    return None;
                }
                let (of, expression) = self.expression(*of)?;
                Some((of, format!("{expression} WITH {exception}")))
            }
            Referred::Addition(_) | Referred::Agent(_) | Referred::Identifier(_) | Referred::Set { .. } | Referred::Unread(_) => {
                None
            }
        }
    }
}

/// What a package has that is beyond the bound.
pub(in super::super) fn beyond() -> Licensing {
    Licensing::Unread(format!("more than {MAX_PARTS} licences and names"))
}

/// What is said beside `said`.
fn described<'b>(said: &str, beside: &'b mut Beside) -> &'b mut Foreign {
    let said = said.trim();
    let new = || Foreign { reference: said.to_owned(), ..Foreign::default() };
    beside.entry(said.to_ascii_lowercase()).or_insert_with(new)
}

/// Whether it has the form of an id of SPDX's list.
fn is_id(text: &str) -> bool {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let other = ["LicenseRef-", "DocumentRef-", "AdditionRef-"].iter().any(|prefix| text.starts_with(prefix));
    plain && !other && !matches!(text, "NOASSERTION" | "NONE")
}

/// The expression for a licence or a later one.
fn or_later(id: &str) -> String {
    match id.strip_suffix("-only") {
        Some(family) => format!("{family}-or-later"),
        None if id.ends_with("-or-later") => id.to_owned(),
        None => format!("{id}+"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a11_sets_that_name_each_other_and_sets_of_sets_end() {
        let mut gathered = Gathered::default();
        let id = |at: usize| format!("urn:{at}");
        // Each set has the next twice, which would be two to the twentieth licences.
        for at in 0..20 {
            gathered.set(&id(at), true, &[id(at + 1), format!("urn:again:{}", at + 1)]).unwrap();
            gathered.set(&format!("urn:again:{at}"), false, &[id(at + 1), format!("urn:again:{}", at + 1)]).unwrap();
        }
        gathered.set("urn:loop", true, &["urn:loop".into()]).unwrap();
        for (package, license) in [("a", "urn:0"), ("b", "urn:0"), ("c", "urn:loop"), ("d", "urn:nowhere")] {
            let license = gathered.hash(license);
            gathered.license(package, license).unwrap();
        }
        let gathered = gathered.sorted();
        let mut end = &gathered.licenses("c").0[0];
        while let Licensing::All(members) = end {
            end = &members[0];
        }
        assert_eq!(*end, Licensing::Unread("sets of licences nested more than 16 deep".into()));
        for _ in 0..40 {
            gathered.licenses("a");
        }
        // The bound is the document's: what comes behind it is not read, and no work is made of it.
        assert!(gathered.parts.get() > MAX_PARTS && gathered.parts.get() < MAX_PARTS + 8 * 1_000);
        let beyond = [Licensing::Unread(format!("more than {MAX_PARTS} licences and names"))];
        assert_eq!(gathered.licenses("b").0[..], beyond);
        gathered.parts.set(MAX_PARTS - 1);
        assert_ne!(gathered.licenses("d").0[..], beyond);
        assert_eq!(gathered.licenses("d").0[..], beyond);
    }

    #[test]
    fn licences_are_told_in_one_order_each_once() {
        let mut gathered = Gathered::default();
        let names = ["c", "a", "e", "b", "d"];
        for (at, name) in names.iter().chain(&names).enumerate() {
            if at < names.len() {
                gathered.note(name, Referred::License, name).unwrap();
            }
            let license = gathered.hash(name);
            gathered.license("p", license).unwrap();
            gathered.license("q", license).unwrap();
        }
        let told = gathered.sorted().licenses("p").0;
        assert_eq!(told, ["a", "b", "c", "d", "e"].map(|name| Licensing::Said(name.to_owned())));
    }

    /// A long name is one text in the document, and would be one in memory for each that refers to it.
    #[test]
    fn a11_names_of_custom_licences_are_bounded_by_their_length() {
        let mut gathered = Gathered::default();
        gathered.note("urn:l", Referred::License, &"x".repeat(60_000)).unwrap();
        let references: Vec<String> = (0..2_000).map(|at| format!("LicenseRef-{at}")).collect();
        let custom = |references: &[String]| -> Vec<_> {
            references.iter().map(|of| (gathered.hash(&of.to_lowercase()), gathered.hash("urn:l"))).collect()
        };
        let (some, all) = (custom(&references[..1_000]), custom(&references));
        for (id, license, custom) in [("some", "urn:some", some), ("all", "urn:all", all)] {
            gathered.note(license, Referred::License, &references.join(" AND ")).unwrap();
            gathered.custom(license, &custom).unwrap();
            let license = gathered.hash(license);
            gathered.license(id, license).unwrap();
        }
        let gathered = gathered.sorted();
        let (read, foreign) = gathered.licenses("some");
        assert!(matches!(read[..], [Licensing::Said(_)]) && foreign.len() == 1_000);
        let (read, foreign) = gathered.licenses("all");
        assert_eq!(read, [beyond()]);
        assert!(foreign.len() < 200);
    }

    #[test]
    fn a_reference_to_a_set_of_licences_is_not_read() {
        let mut gathered = Gathered::default();
        gathered.note("urn:e", Referred::License, "LicenseRef-1").unwrap();
        gathered.set("urn:set", true, &["urn:l".into()]).unwrap();
        gathered.custom("urn:e", &[(gathered.hash("licenseref-1"), gathered.hash("urn:set"))]).unwrap();
        let expression = gathered.hash("urn:e");
        gathered.license("a", expression).unwrap();
        let unread = Licensing::Unread("a LicenseRef- of what is not one licence".into());
        assert_eq!(gathered.sorted().licenses("a").0, [unread]);
    }

    /// Each package that has the expression looks for all of them, and copies what is said of them.
    #[test]
    fn a11_custom_licences_are_counted_there_or_not_with_what_is_said_of_them() {
        let mut gathered = Gathered::default();
        gathered.note("urn:e", Referred::License, "LicenseRef-1").unwrap();
        let reference = gathered.hash("licenseref-1");
        let custom: Vec<_> = (0..100).map(|at| (reference, gathered.hash(&format!("urn:{at}")))).collect();
        gathered.custom("urn:e", &custom).unwrap();
        gathered.beside("urn:0", &"x".repeat(2 * PART)).unwrap();
        let expression = gathered.hash("urn:e");
        gathered.license("a", expression).unwrap();
        let gathered = gathered.sorted();
        let said = [Licensing::Said("LicenseRef-1".to_owned())];
        let (read, foreign) = gathered.licenses("a");
        assert!(read == said && foreign.len() == 1 && foreign[0].texts.len() == 1);
        // The licence, its text, each that was looked for, and two of what is said.
        let parts = 1 + 1 + 100 + 2;
        assert_eq!(gathered.parts.get(), parts);
        for (before, read) in [(MAX_PARTS - parts, said), (MAX_PARTS - parts + 1, [beyond()]), (MAX_PARTS - 1, [beyond()])] {
            gathered.parts.set(before);
            assert_eq!(gathered.licenses("a").0, read, "{before}");
        }
    }
}
