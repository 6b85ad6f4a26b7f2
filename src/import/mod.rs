//! Policies of other systems → ours: `pullgate policy import`.
//!
//! | source | apiVersion or form |
//! |---|---|
//! | Kyverno `ClusterPolicy`, `Policy` with `verifyImages` | `kyverno.io/*` |
//! | Kyverno `ImageValidatingPolicy` | `policies.kyverno.io/*` |
//! | Sigstore `ClusterImagePolicy`, `TrustRoot` | `policy.sigstore.dev/*` |
//! | OpenShift `ClusterImagePolicy`, `ImagePolicy` | `config.openshift.io/*` |
//! | containers `policy.json` | an object with `default` |
//! | `gh attestation verify` | its command line |
//!
//! An import never guesses. What our format says exactly is written so. What it cannot say is a finding with its place
//! and its direction, and a requirement among it becomes an attestor nobody can be: the policy then refuses what the
//! source might have admitted, until a person completes it. A field nobody here knows is a finding too.
//!
//! The result is read by our own parser before it is given out.

mod containers;
mod draft;
mod gh;
mod go_syntax;
mod images;
mod kyverno;
mod regex;
mod report;
mod roots;
mod settle;
mod sigstore;
mod source;
mod validating;
mod wildcard;
mod write;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

pub use self::report::{Effect, Finding, Kind, Lint, Report, Setting, Written};
use self::{
    draft::Draft,
    report::Findings,
    source::{Item, Map, Spot, Unreadable},
};
use crate::{
    policy::{PolicySet, Unmatched},
    yaml::{Problems, shown},
};

/// A regular expression of Go's, as its tools read it, in our syntax.
///
/// # Errors
/// What of it cannot be said here, or is none of Go's.
pub fn of_go(go: &str) -> Result<String, String> {
    go_syntax::translate(go).map(|(ours, _)| ours)
}

/// What the person importing decides.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How old a statement may be where every one of its type must satisfy a condition: our format wants such a bound, and
    /// the sources have none. `None`: [`DEFAULT_MAX_AGE`]. As a policy file has it: `90d`.
    pub max_age: Option<String>,
    /// The content of each of `registries.d`'s files, for a `policy.json`.
    pub registries_d: Vec<String>,
    /// Where files beside the policies are put, such as trust roots; `None`: there is no place for them.
    pub files: Option<PathBuf>,
}

/// [`Options::max_age`] when nothing is chosen: the longest our format takes, since what refuses there refuses for ever.
pub const DEFAULT_MAX_AGE: &str = "3650d";

/// What an import makes.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The policy file; comments only, when there is no policy to write.
    pub policies: String,
    /// Trust roots that could be built exactly: file name and JSON.
    pub trust_roots: Vec<(String, String)>,
    /// What is to be known about it.
    pub report: Report,
}

/// A policy and what it was made from.
struct Made {
    draft: Draft,
    document: String,
    at: Spot,
}

/// What an import collects.
#[derive(Default)]
struct Import {
    options: Options,
    findings: Findings,
    made: Vec<Made>,
    trust_roots: Vec<(String, String)>,
    /// Trust roots by the name they have in the source.
    roots: HashMap<String, sigstore::Root>,
    root_names: roots::Names,
    scopes: containers::Scopes,
    attachments: containers::Attachments,
    /// How many losses are of what this importer takes for no policy of its own: alone they make no import.
    foreign: usize,
    /// Whether something of Kyverno's that was lost may refuse images which no policy here names.
    refuses_others: bool,
    /// The images that the policy which is read names, as our patterns.
    named: Vec<String>,
    /// Whether it was said that policy-controller looks at labelled namespaces only.
    told_of_labels: bool,
}

/// Imports `text`, the content of `file`.
///
/// # Errors
/// The input cannot be read, or holds no policy of a known kind.
pub fn import(file: &Path, text: &str, options: &Options) -> Result<Imported, Problems> {
    let nodes = source::documents(file, text)?;
    let attachments = containers::Attachments::read(&options.registries_d)?;
    let mut import = Import { options: options.clone(), attachments, ..Import::default() };
    let unreadable = |error: Unreadable| Problems(vec![error.problem(file)]);
    let documents: Vec<Item<'_>> = nodes.iter().map(Item::root).collect();
    // Trust roots first: a policy that names one may stand before it.
    for pass in [Pass::TrustRoots, Pass::Policies] {
        for document in &documents {
            import.document(document, pass).map_err(unreadable)?;
        }
    }
    import.scoped();
    import.finish(&file.display().to_string(), "this input").map_err(|message| source::whole(file, message))
}

/// Imports the flags of `gh attestation verify`: `arguments` as they stand behind `verify`, for the images `images`, or the
/// `oci://` reference among them.
///
/// # Errors
/// What of them cannot be read.
pub fn import_gh(arguments: &[String], images: &[String], options: &Options) -> Result<Imported, String> {
    let mut import = Import { options: options.clone(), ..Import::default() };
    import.gh(arguments, images)?;
    import.finish("gh attestation verify", "this command line")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    TrustRoots,
    Policies,
}

/// What is said of a loss that may refuse images which no policy here names.
const NOT_ALLOWED: &str = "it may refuse images that no policy here names, so `unmatched: dangerous_allow` was not written";

/// The versions of each group whose kinds are read here.
const VERSIONS: [(&str, &[&str]); 4] = [
    ("config.openshift.io", &["v1", "v1alpha1"]),
    ("kyverno.io", &["v1", "v2", "v2alpha1", "v2beta1"]),
    ("policies.kyverno.io", &["v1", "v1alpha1", "v1beta1"]),
    ("policy.sigstore.dev", &["v1alpha1", "v1beta1"]),
];

/// Kinds that other projects call as one of these: they are about no image's evidence.
const OTHERS: [(&str, &str); 3] =
    [("audit.k8s.io", "Policy"), ("image.toolkit.fluxcd.io", "ImagePolicy"), ("nvidia.com", "ClusterPolicy")];

impl Import {
    fn document(&mut self, document: &Item<'_>, pass: Pass) -> Result<(), Unreadable> {
        let map = document.map()?;
        let (version, kind) = (map.text("apiVersion")?.unwrap_or_default(), map.text("kind")?.unwrap_or_default());
        if version.is_empty() && kind.is_empty() && map.has("default") {
            self.findings.document = "policy.json".into();
            return if pass == Pass::Policies { self.policy_json(&map) } else { Ok(()) };
        }
        let (group, of_group) = version.split_once('/').unwrap_or((version, ""));
        let name = match map.map("metadata")? {
            Some(metadata) => metadata.text("name")?.unwrap_or_default(),
            None => "",
        };
        self.findings.document = format!("{}/{}", shown(kind), shown(name));
        if pass == Pass::Policies && VERSIONS.iter().any(|(known, all)| *known == group && !all.contains(&of_group)) {
            let message = format!("`{}` is no version this importer knows: it was read as those that are", shown(version));
            self.findings.changed(map.spot(), Effect::Other, None, message);
        }
        match (group, kind, pass) {
            ("policy.sigstore.dev", "TrustRoot", Pass::TrustRoots) => self.trust_root(&map, name),
            (_, _, Pass::TrustRoots) | ("policy.sigstore.dev", "TrustRoot", _) => Ok(()),
            ("kyverno.io", "ClusterPolicy" | "Policy", _) => self.kyverno(&map, name, kind == "Policy"),
            ("policies.kyverno.io", "ImageValidatingPolicy" | "NamespacedImageValidatingPolicy", _) => {
                self.image_validating(&map, name, kind.starts_with("Namespaced"))
            }
            ("policy.sigstore.dev", "ClusterImagePolicy", _) => self.cluster_image_policy(&map, name),
            ("config.openshift.io", "ClusterImagePolicy" | "ImagePolicy", _) => self.openshift(&map, kind == "ImagePolicy"),
            ("kyverno.io" | "policies.kyverno.io", "PolicyException" | "CELPolicyException", _) => {
                let message =
                    "exceptions select requests, which a gate does not see; write `exceptions` by digest into the policy";
                self.findings.lost(map.spot(), Effect::Stricter, None, message);
                Ok(())
            }
            ("policies.kyverno.io", "ValidatingPolicy" | "NamespacedValidatingPolicy", _) if document.is_about_images() => {
                self.refuses_others = true;
                let message = format!("{} is no kind this importer knows: {NOT_ALLOWED}", shown(kind));
                self.findings.lost(map.spot(), Effect::Other, None, message);
                Ok(())
            }
            ("kyverno.io" | "policies.kyverno.io" | "policy.sigstore.dev" | "config.openshift.io", _, _) => {
                self.findings.lost(map.spot(), Effect::Other, None, format!("{} is no kind this importer knows", shown(kind)));
                Ok(())
            }
            (
                _,
                "ClusterImagePolicy"
                | "ClusterPolicy"
                | "ImagePolicy"
                | "ImageValidatingPolicy"
                | "NamespacedImageValidatingPolicy"
                | "Policy"
                | "TrustRoot",
                _,
            ) if !OTHERS.contains(&(group, kind)) => {
                // Perhaps a misspelt group: what it asks would be gone without a word.
                self.foreign += 1;
                let message =
                    format!("{} of `{}` is not known to this importer, and was not carried over", shown(kind), shown(version));
                self.findings.lost(map.spot(), Effect::Wider, None, message);
                Ok(())
            }
            (_, "", _) => {
                // A policy.json whose `default` is misspelt, or a policy that lost its head.
                self.foreign += 1;
                self.findings.document = "a document without `kind`".into();
                let message = "it has no `kind`, and no `default` as a policy.json has: whatever it asks was not carried over";
                self.findings.lost(map.spot(), Effect::Wider, None, message);
                Ok(())
            }
            _ => {
                self.findings.note(
                    map.spot(),
                    None,
                    format!("{} {} is no policy, and was passed over", shown(version), shown(kind)),
                );
                Ok(())
            }
        }
    }

    /// Adds a policy, unless it names no image.
    fn make(&mut self, at: &Spot, mut draft: Draft) {
        if draft.images.is_empty() {
            let message = "no image it names could be carried over, so no policy was written; `unmatched` decides";
            self.findings.lost(at, Effect::Other, None, message);
            return;
        }
        self.settle(at, &mut draft);
        if draft.audit {
            let message = "it only watches: `mode: audit`; what it would refuse is served";
            self.findings.note(at, Lint::I20, message);
        }
        let never = draft.attestations.iter().flat_map(|one| &one.require).any(|(expression, _)| expression == settle::NEVER);
        let nobody = draft.signatures.iter().chain(draft.attestations.iter().map(|one| &one.by)).find_map(|one| one.never());
        let nobody = nobody.or(never.then_some("a condition that has no form here"));
        if let Some(why) = nobody.map(str::to_owned).filter(|_| !draft.rejects) {
            let does = if draft.audit { "would refuse" } else { "refuses" };
            let message = format!("it {does} every image it names until a person completes it: {why}");
            // Nobody among alternatives is dropped where alternatives are made, so this one is required.
            self.findings.lost(at, Effect::Refuses, None, message);
        }
        self.made.push(Made { draft, document: self.findings.document.clone(), at: at.clone() });
    }

    /// Notes that evidence counts here in either form, where `setting` has its source look at one alone.
    fn either_form(&mut self, at: &Spot, setting: &str, bundle: bool) {
        let (there, here) = if bundle { ("bundles", "in cosign's older form") } else { ("cosign's older form", "by bundles") };
        let message = format!("`{setting}` looks there at {there} only; here what is signed and attested {here} counts too");
        self.findings.note(at, None, message);
    }

    /// Sees to it that one thing is said of images no policy names: where systems of one input differ in it, the stricter.
    fn one_default(&mut self) {
        let (deny, admit) = ("unmatched: deny", "unmatched: dangerous_allow");
        if self.refuses_others {
            self.findings.settings.retain(|setting| setting.write != admit);
        }
        if [deny, admit].iter().all(|write| self.findings.settings.iter().any(|setting| setting.write == *write)) {
            self.findings.settings.retain(|setting| setting.write != admit);
            self.findings.document.clear();
            let message = "one of these systems admits images no policy names, and another refuses them: `unmatched: deny` was written, so those that only the first one sees are refused";
            self.findings.changed(&Spot { path: String::new(), line: 0 }, Effect::Stricter, None, message);
        }
    }

    fn finish(mut self, source: &str, what: &str) -> Result<Imported, String> {
        let lost = self.findings.list.iter().filter(|finding| finding.kind != Kind::Note).count();
        let settles_nothing = self.roots.is_empty() && self.findings.settings.is_empty();
        if self.made.is_empty() && lost == self.foreign && settles_nothing {
            return Err(format!(
                "{what} holds no policy this importer knows: Kyverno's with verifyImages, ImageValidatingPolicy, ClusterImagePolicy, policy.json"
            ));
        }
        if self.options.files.is_none() && !self.trust_roots.is_empty() {
            let names: Vec<_> = self.trust_roots.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("{} were not written: there is no directory for them, give --output-dir", names.join(", "));
            self.findings.document.clear();
            self.findings.lost(&Spot { path: String::new(), line: 0 }, Effect::Refuses, None, message);
        }
        self.one_default();
        if self.made.is_empty() && lost == self.foreign {
            self.findings.document.clear();
            let message = "it asks nothing of any image: there is no policy to write, only what is said of pullgate.yaml";
            self.findings.note(&Spot { path: String::new(), line: 0 }, None, message);
        }
        name_uniquely(&mut self.made);
        let drafts: Vec<Draft> = self.made.iter().map(|made| made.draft.clone()).collect();
        let written = self.made.iter().map(|Made { draft, document, at }| Written {
            name: draft.name.clone(),
            document: document.clone(),
            path: at.path.clone(),
            line: at.line,
        });
        let policies = written.collect();
        let mut head = vec![format!("Made by `pullgate policy import` from {source}.")];
        head.extend(self.findings.settings.iter().map(|Setting { write, why }| format!("pullgate.yaml: {write} ({why})")));
        let text = write::file(&head, &drafts);
        if !drafts.is_empty() {
            // What does not pass our own parser is no policy, whatever made it.
            PolicySet::from_text(Path::new("imported"), &text, Unmatched::Deny).map_err(|problems| {
                format!(
                    "a bug of the importer: what it wrote does not pass `policy check`; please report it:\n{problems}\n{text}"
                )
            })?;
        }
        let findings = self.findings.list;
        let exact = findings.iter().all(|finding| finding.kind == Kind::Note);
        let report =
            Report { version: 1, source: source.to_owned(), exact, policies, settings: self.findings.settings, findings };
        Ok(Imported { policies: text, trust_roots: self.trust_roots, report })
    }
}

/// Makes names that our format takes, each once. Whoever is first of a name keeps it, so that what is numbered makes way
/// for a name that reads like its number.
fn name_uniquely(made: &mut [Made]) {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/') { c } else { '-' };
    for Made { draft, .. } in made.iter_mut() {
        let name: String = draft.name.chars().map(plain).take(58).collect();
        draft.name = if name.is_empty() { "imported".to_owned() } else { name };
    }
    let mut taken: HashSet<String> = made.iter().map(|made| made.draft.name.clone()).collect();
    let mut seen: HashSet<String> = HashSet::new();
    for Made { draft, .. } in made {
        if seen.insert(draft.name.clone()) {
            continue;
        }
        let numbered = (2..).map(|number: usize| format!("{}-{number}", draft.name)).find(|name| !taken.contains(name));
        draft.name = numbered.unwrap_or_default();
        taken.insert(draft.name.clone());
    }
}

/// The text of every entry of `map`, such as labels.
fn pairs<'n>(map: &Map<'n>) -> Result<Vec<(&'n str, Item<'n>)>, Unreadable> {
    map.entries().into_iter().map(|(key, item)| item.text().map(|_| (key, item.clone()))).collect()
}

#[cfg(test)]
mod tests;
