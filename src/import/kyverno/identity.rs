//! A keyless identity: wildcards, and Go's regexes.

use std::collections::BTreeMap;

use super::{
    super::{
        Effect, Import, Lint,
        draft::{Attestor, Keyless, Text},
        regex,
        source::{Item, Map, Spot, Unreadable},
        wildcard,
        write::NOBODY,
    },
    claims::claims,
};
use crate::{policy::pattern::AnchoredRegex, yaml::shown};

/// How an issuer's or subject's plain form is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wild {
    /// `*` and `?` are wildcards.
    Active,
    /// They are themselves: no certificate has them.
    Literal,
}

impl Import {
    /// A keyless identity, from the keys of `map` that make one, and what its certificate must say besides.
    pub(super) fn keyless(&mut self, map: &Map<'_>, extensions: Option<Map<'_>>, bundle: bool) -> Result<Attestor, Unreadable> {
        let trust_root = self.trust(map, bundle)?;
        let wild = if bundle { Wild::Literal } else { Wild::Active };
        let (issuer, issuer_regex) = (map.get("issuer"), map.get("issuerRegExp"));
        let (subject, subject_regex) = (map.get("subject"), map.get("subjectRegExp"));
        // An empty map is none.
        let extensions = extensions.filter(|map| !map.entries().is_empty());
        let given =
            |items: [&Option<Item<'_>>; 2]| items.iter().any(|item| item.as_ref().is_some_and(|item| item.text() != Ok("")));
        let (has_issuer, has_subject) = (given([&issuer, &issuer_regex]), given([&subject, &subject_regex]));
        // Extensions make no identity of a bundle: they are not evaluated there.
        if !has_issuer && !has_subject && bundle {
            return Ok(self.nobody(map.spot(), "a SigstoreBundle entry without an identity".into()));
        }
        if !has_issuer && !has_subject && extensions.is_none() {
            self.findings.note(map.spot(), Lint::I04, "no issuer and no subject: any certificate is accepted, there and here");
        }
        if bundle && has_issuer != has_subject {
            let why = "the identity is dropped there unless issuer and subject are both written; write both";
            self.findings.lost(map.spot(), Effect::Refuses, Lint::I05, why);
            return Ok(Attestor::Never(why.into()));
        }
        let issuers = self.issuer(issuer.as_ref(), issuer_regex.as_ref(), wild)?;
        let subjects = self.subjects(subject.as_ref(), subject_regex.as_ref(), wild)?;
        let (Ok(issuer), Ok(subjects)) = (issuers, subjects) else {
            return Ok(Attestor::Never("an issuer or subject that cannot be carried over".into()));
        };
        let mut found = BTreeMap::new();
        let mut issuer = issuer;
        if let Some(extensions) = &extensions {
            let before = issuer.clone();
            let claims = claims(self, extensions, &mut issuer)?;
            // One that may be anything asks for nothing, here neither.
            if bundle && !(claims.as_ref().is_ok_and(BTreeMap::is_empty) && issuer == before) {
                let message = "additionalExtensions are not evaluated for a SigstoreBundle there; here they are";
                self.findings.changed(extensions.spot(), Effect::Stricter, Lint::I06, message);
            }
            match claims {
                Ok(all) => found = all,
                Err(why) => return Ok(Attestor::Never(why)),
            }
        }
        let one = |subject| {
            Attestor::Keyless(Keyless { issuer: issuer.clone(), subject, claims: found.clone(), trust_root: trust_root.clone() })
        };
        Ok(Attestor::any(subjects.into_iter().map(one).collect()))
    }

    /// The issuer: its plain form *and* its regex. The inner error was reported.
    fn issuer(&mut self, plain: Option<&Item<'_>>, go: Option<&Item<'_>>, wild: Wild) -> Result<Result<Text, ()>, Unreadable> {
        let plain = plain.map(|item| identity_text(self, item, wild)).transpose()?.flatten();
        let go = go.map(|item| self.go_regex(item)).transpose()?.flatten();
        Ok(match (plain, go) {
            (None, None) => Ok(Text::anything()),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(Ok(Text::Exact(exact))), Some(Ok(Text::Regex(regex)))) => {
                // Both must hold: of an exact one it can be said here and now whether they do.
                let holds = AnchoredRegex::new(&regex).is_ok_and(|regex| regex.matches(&exact));
                Ok(if holds { Text::Exact(exact) } else { Text::Regex(NOBODY.into()) })
            }
            (Some(Ok(_)), Some(Ok(_))) => {
                let at = Spot { path: "issuer".into(), line: 0 };
                self.nobody(&at, "an issuer by wildcard and by regex at once cannot be said here".into());
                Err(())
            }
            (Some(Err(())), _) | (_, Some(Err(()))) => Err(()),
        })
    }

    /// The subjects: the plain form *or* the regex; for a bundle both.
    fn subjects(
        &mut self,
        plain: Option<&Item<'_>>,
        go: Option<&Item<'_>>,
        wild: Wild,
    ) -> Result<Result<Vec<Text>, ()>, Unreadable> {
        if wild == Wild::Literal {
            return Ok(self.issuer(plain, go, wild)?.map(|text| vec![text]));
        }
        let plain = plain.map(|item| identity_text(self, item, wild)).transpose()?.flatten();
        let go = go.map(|item| self.go_regex(item)).transpose()?.flatten();
        let given: Vec<_> = plain.into_iter().chain(go).collect();
        if given.is_empty() {
            return Ok(Ok(vec![Text::anything()]));
        }
        // Alternatives: one that cannot be said leaves the others.
        let good: Vec<Text> = given.into_iter().filter_map(Result::ok).collect();
        Ok(if good.is_empty() { Err(()) } else { Ok(good) })
    }

    /// Go's regex in ours, with its lints. `None`: empty text. The inner error was reported.
    pub(in crate::import) fn go_regex(&mut self, item: &Item<'_>) -> Result<Option<Result<Text, ()>>, Unreadable> {
        let go = item.text()?;
        if go.is_empty() {
            return Ok(None);
        }
        if let Some(why) = not_static(go) {
            self.nobody(item.spot(), why);
            return Ok(Some(Err(())));
        }
        match regex::translate(go) {
            Ok(translated) => {
                if translated.unanchored {
                    let message = format!("`{}` matches anywhere in the name; carried over as it is, anchor it", shown(go));
                    self.findings.note(item.spot(), Lint::I01, message);
                }
                if translated.loose_host {
                    let message = format!("`{}`: a dot in the host stands for any character; write `\\.`", shown(go));
                    self.findings.note(item.spot(), Lint::I02, message);
                }
                Ok(Some(Ok(translated.text)))
            }
            Err(why) => {
                self.nobody(item.spot(), format!("the regex `{}` {why}", shown(go)));
                Ok(Some(Err(())))
            }
        }
    }
}

/// An issuer's or subject's plain form. `None`: empty text. The inner error was reported.
pub(super) fn identity_text(import: &mut Import, item: &Item<'_>, wild: Wild) -> Result<Option<Result<Text, ()>>, Unreadable> {
    let text = item.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(why) = not_static(text) {
        import.nobody(item.spot(), why);
        return Ok(Some(Err(())));
    }
    let tokens = wildcard::kyverno(text);
    if !wildcard::is_wild(&tokens) {
        return Ok(Some(Ok(Text::Exact(text.to_owned()))));
    }
    Ok(Some(match wild {
        Wild::Active => {
            let message = format!("`{}` is a wildcard there, `*` crosses `/`; written as the regex of the same", shown(text));
            import.findings.note(item.spot(), Lint::I03, message);
            Ok(Text::Regex(wildcard::regex(&tokens)))
        }
        Wild::Literal => {
            let message = format!("`{}` is compared literally there, so nobody can be meant", shown(text));
            import.findings.note(item.spot(), Lint::I03, message);
            Ok(Text::Regex(NOBODY.into()))
        }
    }))
}

/// Why `text` cannot be known now, if it holds a variable or what no certificate has.
fn not_static(text: &str) -> Option<String> {
    if text.contains("{{") {
        return Some(format!("`{}` is a variable, which only a cluster can resolve", shown(text)));
    }
    (text.chars().any(char::is_control) || text.trim() != text)
        .then(|| format!("`{}` holds white space around it or control characters", shown(text)))
}
