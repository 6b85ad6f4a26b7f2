//! What an import says about itself: every loss, every changed meaning, every lint, each with its place.

use std::fmt::Write as _;

use serde::Serialize;

use super::source::{Map, Spot};
use crate::yaml::shown;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something could not be carried over.
    Lost,
    /// It was carried over, and means something else than there.
    Changed,
    /// The same is asked of the same images; a person should know of it all the same. Three differences are notes too, since
    /// nearly every policy of their source has them: most sources look at evidence in one form, where every form counts here;
    /// policy-controller looks at labelled namespaces only, and an ImageValidatingPolicy at some of a pod's containers, where a
    /// gate sees every pull.
    Note,
}

/// In which direction a loss or a change moves the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Both, or it cannot be said.
    Other,
    /// Every image the policy names is refused until a person completes it.
    Refuses,
    /// What the source admits can be refused.
    Stricter,
    /// What the source refuses can be admitted.
    Wider,
}

macro_rules! lints {
    ($($id:ident $title:literal;)*) => {
        /// A thing about a source that its writer may not know. A closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[expect(missing_docs, reason = "each has its title")]
        pub enum Lint { $($id,)* }

        impl Lint {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$id,)*];

            /// What it says, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$id => $title,)* }
            }
        }
    };
}
lints! {
    I01 "a regex without ^ and $ matches longer names too";
    I02 "an unescaped dot in a regex's host matches look-alike hosts";
    I03 "an issuer or subject with * or ? is a wildcard there";
    I04 "a keyless entry without issuer and subject accepts any certificate";
    I05 "a SigstoreBundle entry drops its identity unless issuer and subject are both there";
    I06 "additionalExtensions are never evaluated there";
    I07 "subjectExpression is never evaluated there";
    I08 "an attestation without attestors accepts any signer";
    I09 "an authority with attestations does not check the image's signature";
    I10 "several authorities are alternatives, not all required";
    I11 "a pattern with a tag does not match a pull by digest there";
    I12 "Docker Hub's names are normalised differently there";
    I13 "a predicate type without version misses versioned documents there";
    I14 "a path through cosign's data wrapper: two spellings occur";
    I15 "more than one identity on a bundle fails there";
    I16 "a keyless certificate without the log has no trusted time";
    I17 "ignoreSCT with SigstoreBundle switches off the timestamp instead";
    I18 "matchRepository allows another tag's signed image";
    I19 "without use-sigstore-attachments in registries.d every pull is refused there";
    I20 "an accepted risk: something is admitted without being enforced";
    I21 "the source applies to fewer requests than a gate sees";
    I22 "mutateDigest, verifyDigest and required are replaced by pinning digests";
}

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Where it moves the policy; absent for a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// The lint it raises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lint: Option<Lint>,
    /// `ClusterPolicy/check-images`.
    pub document: String,
    /// Line in the source, from 1; 0 for a command line.
    pub line: u64,
    /// Key path in that document.
    pub path: String,
    /// What is found, and what was made of it.
    pub message: String,
}

/// A policy that was written, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// `ClusterPolicy/check-images`.
    pub document: String,
    /// Key path of what it was made from.
    pub path: String,
    /// Line in the source, from 1.
    pub line: u64,
}

/// A setting for `pullgate.yaml` that goes with the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// What to write there.
    pub write: String,
    /// What the source says.
    pub why: String,
}

/// The report of an import: `--report json` prints it as it is here, and as `deploy/schemas/import-report.schema.json` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// What was read.
    pub source: String,
    /// Whether nothing was lost and no meaning changed: every finding is a note. It is about what is asked of an image, and
    /// not about the three differences that [`Kind::Note`] names.
    pub exact: bool,
    /// What was written.
    pub policies: Vec<Written>,
    /// What `pullgate.yaml` needs beside them.
    pub settings: Vec<Setting>,
    /// All findings, in the order of the source.
    pub findings: Vec<Finding>,
}

impl Report {
    /// One object, for machines.
    #[must_use]
    pub fn json(&self) -> String {
        // A struct of strings and numbers cannot fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// A line for each finding, losses first, and what to do with the result.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.kind);
        for Finding { kind, effect, lint, document, line, path, message } in findings {
            let kind = match kind {
                Kind::Lost => "lost",
                Kind::Changed => "changed",
                Kind::Note => "note",
            };
            let effect = match effect {
                Some(Effect::Other) => " (differs)",
                Some(Effect::Refuses) => " (refuses)",
                Some(Effect::Stricter) => " (stricter)",
                Some(Effect::Wider) => " (wider)",
                None => "",
            };
            let lint = lint.map(|lint| format!("[{lint:?}]")).unwrap_or_default();
            let place = if *line > 0 { format!("{}:{line}", self.source) } else { self.source.clone() };
            let of = [document.as_str(), path.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            let of = if of.is_empty() { of } else { format!("{of}: ") };
            let _ = writeln!(out, "{kind}{effect}{lint}: {place}: {of}{message}");
        }
        for Setting { write, why } in &self.settings {
            let _ = writeln!(out, "pullgate.yaml: {write}  # {why}");
        }
        let count = |kind| self.findings.iter().filter(|finding| finding.kind == kind).count();
        let _ = writeln!(
            out,
            "{} policies; {} lost, {} changed, {} notes",
            self.policies.len(),
            count(Kind::Lost),
            count(Kind::Changed),
            count(Kind::Note)
        );
        out
    }
}

/// Collects what is found about one input.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    pub(super) settings: Vec<Setting>,
    /// The document being read.
    pub(super) document: String,
}

impl Findings {
    fn add(&mut self, kind: Kind, effect: Option<Effect>, lint: Option<Lint>, at: &Spot, message: String) {
        let finding =
            Finding { kind, effect, lint, document: self.document.clone(), line: at.line, path: at.path.clone(), message };
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    /// Notes what is neither, as [`Kind::Note`] says.
    pub(super) fn note(&mut self, at: &Spot, lint: impl Into<Option<Lint>>, message: impl Into<String>) {
        self.add(Kind::Note, None, lint.into(), at, message.into());
    }

    /// Notes what means something else than in the source.
    pub(super) fn changed(&mut self, at: &Spot, effect: Effect, lint: impl Into<Option<Lint>>, message: impl Into<String>) {
        self.add(Kind::Changed, Some(effect), lint.into(), at, message.into());
    }

    /// Notes what could not be carried over.
    pub(super) fn lost(&mut self, at: &Spot, effect: Effect, lint: impl Into<Option<Lint>>, message: impl Into<String>) {
        self.add(Kind::Lost, Some(effect), lint.into(), at, message.into());
    }

    /// Notes every key of `map` nobody asked for.
    pub(super) fn unread(&mut self, map: &Map<'_>) {
        for spot in map.unread() {
            let key = shown(spot.path.rsplit('.').next().unwrap_or_default());
            self.lost(&spot, Effect::Other, None, format!("`{key}` is not known to this importer and was not carried over"));
        }
    }

    /// Notes a setting for `pullgate.yaml`, once.
    pub(super) fn setting(&mut self, write: impl Into<String>, why: impl Into<String>) {
        let setting = Setting { write: write.into(), why: why.into() };
        if !self.settings.iter().any(|other| other.write == setting.write) {
            self.settings.push(setting);
        }
    }
}
