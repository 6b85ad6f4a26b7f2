//! Provenance: who built, from which repository, how.
//!
//! A source is compared as the repository it is of: `git+`, a ref, `.git` and a closing slash do not count, capitals do.
//! Where provenance names several sources, each must be as wanted, and one in a form that is not read is none that is.

use super::{CheckFailure, Form, Reason, short, texts};
use crate::{
    policy::{
        documents::provenance::{Provenance, repository},
        pattern::Glob,
        sentence::any_of,
    },
    yaml::{Cursor, Fields},
};

/// `provenance`.
#[derive(Debug, Clone)]
pub(crate) struct ProvenanceCheck {
    builder: Option<Wanted>,
    source: Option<Wanted>,
    build_type: Option<Wanted>,
}

/// Any of these.
#[derive(Debug, Clone)]
enum Wanted {
    Exact(Vec<String>),
    Pattern(Vec<Glob>),
}

impl Wanted {
    /// One of `exact` and `pattern`, or neither.
    fn parse(fields: &Fields<'_>, exact: &'static str, pattern: &'static str) -> Option<Option<Self>> {
        let given = fields.given(&[exact, pattern]);
        match &given[..] {
            [] => Some(None),
            [(key, cursor)] if *key == exact => {
                let values = texts(cursor, "the exact text")?;
                if values.iter().any(|value| value.contains('*')) {
                    cursor.wrong(format!("is compared exactly; for a pattern write `{pattern}`"));
                    return None;
                }
                Some(Some(Self::Exact(values)))
            }
            [(_, cursor)] => {
                texts(cursor, "a pattern")?;
                let globs: Vec<_> = cursor.one_or_list().iter().map(|item| item.parse("a pattern", Glob::new)).collect();
                globs.into_iter().collect::<Option<_>>().map(|globs| Some(Self::Pattern(globs)))
            }
            [.., (_, cursor)] => {
                cursor.wrong(format!("wants exactly one of {exact}, {pattern}"));
                None
            }
        }
    }

    fn values(&self) -> Vec<&str> {
        match self {
            Self::Exact(values) => values.iter().map(String::as_str).collect(),
            Self::Pattern(globs) => globs.iter().map(Glob::as_str).collect(),
        }
    }

    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Exact(values) => values.iter().any(|value| value == text),
            Self::Pattern(globs) => globs.iter().any(|glob| glob.matches(text)),
        }
    }

    fn told(&self) -> String {
        any_of(&self.values().into_iter().map(str::to_owned).collect::<Vec<_>>(), 70)
    }

    /// The first that is more than a source is compared as, so that it would match none and refuse every image; and what is
    /// left of it as a repository.
    fn more_than_a_repository(&self) -> Option<(&str, String)> {
        /// A pattern's `?` is a character and no query.
        const ONE: &str = "\u{fffc}";
        let bare = |value: &str| match self {
            Self::Exact(_) => repository(value),
            Self::Pattern(_) => repository(&value.replace('?', ONE)).replace(ONE, "?"),
        };
        self.values().into_iter().map(|value| (value, bare(value))).find(|(value, bare)| value != bare)
    }

    fn form(&self, form: &mut Form) {
        match self {
            Self::Exact(values) => {
                form.text("exact");
                form.list(values, |form, value| form.text(value));
            }
            Self::Pattern(globs) => {
                form.text("pattern");
                form.list(globs, |form, glob| form.text(glob.as_str()));
            }
        }
    }
}

impl ProvenanceCheck {
    pub(super) const fn asks_who_built(&self) -> bool {
        self.builder.is_some() || self.source.is_some()
    }

    pub(super) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        let fields = cursor
            .fields(&["builder", "builder_pattern", "source", "source_pattern", "build_type", "build_type_pattern"], &[])?;
        let builder = Wanted::parse(&fields, "builder", "builder_pattern");
        let source = Wanted::parse(&fields, "source", "source_pattern");
        let build_type = Wanted::parse(&fields, "build_type", "build_type_pattern");
        let (builder, source, build_type) = (builder?, source?, build_type?);
        if let (Some(wanted), Some((_, cursor))) = (&source, fields.given(&["source", "source_pattern"]).first())
            && let Some((value, bare)) = wanted.more_than_a_repository()
        {
            cursor.wrong(format!("`{}` names more than a repository; write {bare}", short(value, 70)));
            return None;
        }
        if builder.is_none() && source.is_none() && build_type.is_none() {
            cursor.wrong("asks for nothing; write `builder`, `source` or `build_type`");
            return None;
        }
        Some(Self { builder, source, build_type })
    }

    pub(super) fn judge(&self, said: &Provenance) -> Result<(), CheckFailure> {
        check("builder", self.builder.as_ref(), &said.builder)?;
        check("build type", self.build_type.as_ref(), &said.build_type)?;
        said.sources.iter().try_for_each(|source| check("source", self.source.as_ref(), &repository(source)))?;
        match &self.source {
            Some(wanted) if said.unread_source => Err(mismatch("source", wanted, "none in a form that is read")),
            Some(wanted) if said.sources.is_empty() => Err(mismatch("source", wanted, "none")),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn form(&self, form: &mut Form) {
        let Self { builder, source, build_type } = self;
        for wanted in [builder, source, build_type] {
            form.list(wanted.as_slice(), |form, wanted| wanted.form(form));
        }
    }
}

fn check(what: &str, wanted: Option<&Wanted>, found: &str) -> Result<(), CheckFailure> {
    match wanted {
        // What is not said meets no pattern, not even `**`.
        Some(wanted) if found.is_empty() => Err(mismatch(what, wanted, "none")),
        Some(wanted) if !wanted.accepts(found) => Err(mismatch(what, wanted, &short(found, 70))),
        Some(_) | None => Ok(()),
    }
}

fn mismatch(what: &str, wanted: &Wanted, found: &str) -> CheckFailure {
    let summary = format!("wants {what} {}; found {found}", short(&wanted.told(), 70));
    CheckFailure { reason: Reason::ProvenanceMismatch, summary }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::parsed, *};

    const BUILDER: &str = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v1.9.0";

    fn said(sources: &[&str]) -> Provenance {
        Provenance {
            builder: BUILDER.into(),
            build_type: "https://github.com/slsa-framework/slsa-github-generator/container@v1".into(),
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
            unread_source: false,
        }
    }

    #[test]
    fn a_source_is_the_repository_it_is_of() {
        for (written, is) in [
            ("git+https://github.com/acme/app@refs/tags/v1.0", "https://github.com/acme/app"),
            ("https://github.com/acme/app.git#main:sub", "https://github.com/acme/app"),
            ("https://github.com/acme/app", "https://github.com/acme/app"),
            ("https://github.com/acme/app/?x=y", "https://github.com/acme/app"),
            ("https://token@github.com/acme/app", "https://github.com/acme/app"),
            ("git+https://gitlab.com/acme/group/app.git@refs/heads/a@b", "https://gitlab.com/acme/group/app"),
            ("https://github.com/ACME/app", "https://github.com/ACME/app"),
            ("https://github.com/acme/../mallory/app", "https://github.com/mallory/app"),
            ("https://github.com/acme/./x/../app", "https://github.com/acme/app"),
            ("https://github.com/acme/%2e%2E/mallory/app", "https://github.com/mallory/app"),
            ("https://github.com/acme/.%2e/%2E/mallory/%2eapp", "https://github.com/mallory/%2eapp"),
            ("https://github.com/../../acme//app", "https://github.com/acme//app"),
            ("", ""),
        ] {
            assert_eq!(repository(written), is, "{written}");
        }
    }

    #[test]
    fn a_source_of_more_than_a_repository_is_a_mistake_and_a_pattern_is_too() {
        for (key, written, write) in [
            ("source", "git+https://github.com/acme/app", "https://github.com/acme/app"),
            ("source", "https://github.com/acme/app.git", "https://github.com/acme/app"),
            ("source", "https://github.com/acme/app?x=y", "https://github.com/acme/app"),
            ("source_pattern", "git+https://github.com/acme/*", "https://github.com/acme/*"),
            ("source_pattern", "https://github.com/acme/*@refs/tags/*", "https://github.com/acme/*"),
            ("source_pattern", "https://github.com/acme/*.git", "https://github.com/acme/*"),
            ("source_pattern", "https://github.com/acme/app-?/", "https://github.com/acme/app-?"),
        ] {
            let yaml = format!("{{{key}: [https://github.com/acme/b, \"{written}\"]}}");
            let told = parsed(&yaml, ProvenanceCheck::parse).unwrap_err();
            assert!(told[0].ends_with(&format!(" {key}: `{written}` names more than a repository; write {write}")), "{told:?}");
        }
        for (pattern, source) in [
            ("https://github.com/acme/app-?", "git+https://github.com/acme/app-1.git@refs/tags/v1"),
            ("https://{github,gitlab}.com/**", "https://gitlab.com/acme/group/app"),
            ("**", "https://github.com/acme/app"),
            ("*", "app"),
        ] {
            let check = parsed(&format!("{{source_pattern: \"{pattern}\"}}"), ProvenanceCheck::parse).unwrap();
            check.judge(&said(&[source])).unwrap();
        }
    }

    #[test]
    fn builder_source_and_build_type_are_each_as_wanted() {
        let good = said(&["git+https://github.com/acme/app@refs/tags/v1.0"]);
        for (yaml, fits) in [
            (format!("{{builder: \"{BUILDER}\"}}"), true),
            ("{builder: [https://a, https://b]}".into(), false),
            ("{builder_pattern: \"https://github.com/slsa-framework/slsa-github-generator/.github/workflows/*@refs/tags/v1.*\"}".into(), true),
            ("{builder_pattern: \"https://github.com/acme/**\"}".into(), false),
            ("{source: https://github.com/acme/app}".into(), true),
            ("{source: [https://github.com/acme/other, https://github.com/acme/app]}".into(), true),
            ("{source: https://github.com/acme/ap}".into(), false),
            ("{source_pattern: \"https://github.com/acme/*\"}".into(), true),
            ("{source_pattern: \"https://github.com/mallory/*\"}".into(), false),
            ("{build_type: https://github.com/slsa-framework/slsa-github-generator/container@v1}".into(), true),
            (format!("{{builder: \"{BUILDER}\", source: https://github.com/acme/other}}"), false),
        ] {
            let check = parsed(&yaml, ProvenanceCheck::parse).unwrap();
            assert_eq!(check.judge(&good).is_ok(), fits, "{yaml}");
        }
        let check = parsed("{source_pattern: \"https://github.com/acme/*\"}", ProvenanceCheck::parse).unwrap();
        assert!(
            check.judge(&said(&["https://github.com/acme/a", "https://github.com/mallory/b"])).is_err(),
            "every source counts"
        );
        for (nothing, found) in [
            (said(&[]), "none"),
            (said(&[""]), "none"),
            (Provenance { unread_source: true, ..said(&["https://github.com/acme/app"]) }, "none in a form that is read"),
            (Provenance { unread_source: true, ..said(&[]) }, "none in a form that is read"),
        ] {
            let failure = parsed("{source_pattern: \"**\"}", ProvenanceCheck::parse).unwrap().judge(&nothing).unwrap_err();
            assert_eq!(
                (failure.reason, failure.summary),
                (Reason::ProvenanceMismatch, format!("wants source **; found {found}"))
            );
            let of_others = parsed("{builder_pattern: \"**\"}", ProvenanceCheck::parse).unwrap();
            assert!(of_others.judge(&nothing).is_ok(), "nobody asks for its source");
        }
    }
}
