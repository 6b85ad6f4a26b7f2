//! The deny-list: what is refused whatever policies and exceptions say. It comes before both, because deleting a signature
//! is no reliable way to stop an image, and an incident does not wait for one (threats D4).
//!
//! A denied digest is refused itself: as an image, as a child, as a parent, as evidence. A denied signer or log entry only
//! makes that evidence absent: else anyone who can attach a signature could block an image by signing it badly.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use super::{
    checks::{Denied, Index},
    fingerprint::Form,
    identity::Identity,
    parse,
};
use crate::{
    oci::{Algorithm, Digest},
    verify::{LogEntry, Verified},
    yaml::{self, Cursor, Problem, Sink, Value},
};

const ENTRY: &[&str] = &["digest", "identity", "log_entry", "package", "reason"];
/// Bytes of one file: 16 MiB. More than of a policy: a feed of what is denied grows, and of a file that is too large nothing can be
/// denied.
pub const MAX_FILE: u64 = 16 << 20;
/// Bytes of a large file for each node that it may have, aliases followed: the shortest entries have five in some thirty. By its size,
/// since a small file of aliases would become a large list.
const BYTES_OF_A_NODE: usize = 5;
/// Hex digits of a log's id, which is a SHA-256.
const LOG_ID: usize = 64;

/// All that is denied, immutable; part of a [`PolicySet`](super::PolicySet), so that a change of it makes every remembered
/// verdict unreachable at once.
#[derive(Debug, Clone, Default)]
pub struct DenyList {
    digests: HashMap<Digest, Arc<str>>,
    algorithms: HashSet<Algorithm>,
    identities: Vec<(Identity, Arc<str>)>,
    log_entries: HashMap<LogEntry, Arc<str>>,
    packages: DeniedPackages,
    /// What it says, sorted: the order of entries and files means nothing.
    forms: BTreeSet<Vec<u8>>,
    /// The hash of that, `None` of nothing: each name that is asked for has it in its fingerprint, also one that is made up.
    hash: Option<Digest>,
}

/// One thing that is denied, and why.
#[derive(Debug, Clone)]
pub struct Denial {
    what: What,
    reason: Arc<str>,
}

#[derive(Debug, Clone)]
enum What {
    Digest(Digest),
    Identity(Box<Identity>),
    LogEntry(LogEntry),
    Package(Denied),
}

/// A package that no image's SBOM may list, and why.
#[derive(Debug, Clone)]
pub struct DeniedPackage {
    pub(super) what: Denied,
    pub(super) reason: Arc<str>,
}

impl Borrow<Denied> for DeniedPackage {
    fn borrow(&self) -> &Denied {
        &self.what
    }
}

/// Packages that no image's SBOM may list.
#[derive(Debug, Clone, Default)]
pub struct DeniedPackages {
    pub(super) all: Vec<DeniedPackage>,
    /// Of all of them.
    pub(super) index: Index,
}

impl DeniedPackages {
    /// Whether none is denied.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Why evidence counts as absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedEvidence {
    /// By what: `identity` or `log_entry`, for a metric's label.
    pub by: &'static str,
    /// A clause for a person: what is denied, and the entry's reason.
    pub why: String,
}

impl DenyList {
    /// The list of these.
    #[must_use]
    pub fn new(denials: Vec<Denial>) -> Self {
        Self::default().and(denials)
    }

    /// This list with these besides.
    #[must_use]
    pub fn and(mut self, denials: Vec<Denial>) -> Self {
        for Denial { what, reason } in denials {
            if !self.forms.insert(form(&what, &reason)) {
                continue;
            }
            // Of two reasons for one thing the first is told.
            match what {
                What::Digest(digest) => {
                    self.algorithms.insert(digest.algorithm());
                    self.digests.entry(digest).or_insert(reason);
                }
                What::Identity(identity) => self.identities.push((*identity, reason)),
                What::LogEntry(entry) => _ = self.log_entries.entry(entry).or_insert(reason),
                What::Package(what) => self.packages.all.push(DeniedPackage { what, reason }),
            }
        }
        self.packages.index = Index::of(&self.packages.all);
        let mut all = Form::default();
        all.list(&self.forms.iter().collect::<Vec<_>>(), |form, denial| form.bytes(denial));
        self.hash = (!self.is_empty()).then(|| Digest::sha256(&all.into_bytes()));
        self
    }

    /// How many things are denied.
    #[must_use]
    pub fn len(&self) -> usize {
        self.forms.len()
    }

    /// Whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Whether both deny the same, for the same reasons.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.forms == other.forms
    }

    /// Why `digest` is denied, if it is. One look-up.
    #[must_use]
    pub fn digest(&self, digest: &Digest) -> Option<&Arc<str>> {
        self.digests.get(digest)
    }

    /// Whether any digest is denied.
    #[must_use]
    pub fn has_digests(&self) -> bool {
        !self.digests.is_empty()
    }

    /// Why content is denied, if it is, under `digest` or under another name it has: asked for by SHA-512, an image is the
    /// one that was denied by SHA-256. Hashes `bytes` only where that can matter.
    #[must_use]
    pub fn content(&self, digest: &Digest, bytes: &[u8]) -> Option<&Arc<str>> {
        self.digest(digest).or_else(|| self.digest(&Digest::of(self.other_algorithm(digest)?, bytes)))
    }

    /// By which algorithm content called `digest` must be hashed to know whether it is denied under its other name; `None` where
    /// no digest of that algorithm is denied.
    #[must_use]
    pub fn other_algorithm(&self, digest: &Digest) -> Option<Algorithm> {
        Some(digest.algorithm().other()).filter(|other| self.algorithms.contains(other))
    }

    /// Why what `fact` proves counts as absent, if it does: its signer is denied, or one of its log entries.
    #[must_use]
    pub fn evidence(&self, fact: &Verified) -> Option<DeniedEvidence> {
        // Whichever trust root vouches for it: a name that is denied is denied under all of them.
        let denied = |identity: &Identity| identity.check_under_any_root(&fact.signer).is_ok();
        if let Some((_, reason)) = self.identities.iter().find(|(identity, _)| denied(identity)) {
            let why = format!("signer {} is denied: {reason}", fact.signer.subject);
            return Some(DeniedEvidence { by: "identity", why });
        }
        let (entry, reason) = fact.entries.iter().find_map(|entry| Some((entry, self.log_entry(entry)?)))?;
        let index = entry.index.map_or_else(|| "without a signed index".to_owned(), |index| index.to_string());
        let why = format!("log entry {index} of log {} is denied: {reason}", entry.log.get(..12).unwrap_or(&entry.log));
        Some(DeniedEvidence { by: "log_entry", why })
    }

    /// Why `entry` is denied, or may be: where nothing signed which index it has, it may be any of its log.
    fn log_entry(&self, entry: &LogEntry) -> Option<&Arc<str>> {
        match entry.index {
            Some(_) => self.log_entries.get(entry),
            None => self.log_entries.iter().find(|(denied, _)| denied.log == entry.log).map(|(_, reason)| reason),
        }
    }

    /// What no SBOM that a policy relies on may list, nor one that it would rely on but for an exception. An image that no
    /// policy asks for an SBOM is not looked into: its digest can be denied.
    #[must_use]
    pub const fn packages(&self) -> &DeniedPackages {
        &self.packages
    }

    /// Adds all that can change an answer to a fingerprint.
    pub(super) fn form(&self, form: &mut Form) {
        form.text(&self.hash.map(|hash| hash.to_string()).unwrap_or_default());
    }
}

fn form(what: &What, reason: &str) -> Vec<u8> {
    let mut form = Form::default();
    match what {
        What::Digest(digest) => {
            form.text("digest");
            form.text(&digest.to_string());
        }
        What::Identity(identity) => {
            form.text("identity");
            form.identity(identity);
        }
        What::LogEntry(LogEntry { log, index }) => {
            form.text("log_entry");
            form.text(log);
            form.text(&index.map(|index| index.to_string()).unwrap_or_default());
        }
        What::Package(package) => {
            form.text("package");
            package.form(&mut form);
        }
    }
    form.text(reason);
    form.into_bytes()
}

/// The text of a file, for [`parse_denials`].
///
/// # Errors
/// The file as a whole: not there, not readable, too large, not UTF-8.
pub fn read_file(path: &Path) -> Result<String, Problem> {
    yaml::read_file_within(path, MAX_FILE, ", so nothing in it is denied: write several files, which `deny` names by a pattern")
}

/// Reads the text of `file`: a list of entries. What cannot be understood is added to `problems`.
pub fn parse_denials(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Denial> {
    let sink = Sink::new(file);
    let mut denials = Vec::new();
    let nodes = yaml::MAX_NODES.max(text.len() / BYTES_OF_A_NODE);
    match yaml::documents_within(text, &sink, nodes).as_deref() {
        None => {}
        // A file that a writer has just emptied must not lift what it denied.
        Some([]) => sink.report(Default::default(), "", "is empty; write [] to deny nothing"),
        Some([document]) if matches!(document.value, Value::Null) => {
            sink.report(document.place, "", "is empty; write [] to deny nothing");
        }
        Some([document]) => {
            let items = Cursor::new(document, &sink).list().unwrap_or_default();
            denials.extend(items.iter().filter_map(denial));
        }
        Some([_, second, ..]) => sink.report(second.place, "", "a second document; this file is one list"),
    }
    problems.extend(sink.into_problems());
    denials
}

fn denial(cursor: &Cursor<'_>) -> Option<Denial> {
    let fields = cursor.fields(ENTRY, &[])?;
    let reason = fields.need("reason", "write why: whoever is refused reads it").and_then(|cursor| cursor.text("a reason"));
    let (key, what) = fields.exactly_one(&["digest", "identity", "log_entry", "package"])?;
    let what = match key {
        "digest" => what.parse("a digest", str::parse).map(What::Digest),
        "identity" => parse::identity_of_any_root(&what).map(|identity| What::Identity(Box::new(identity))),
        "log_entry" => log_entry(&what).map(What::LogEntry),
        _ => Denied::parse(&what).map(What::Package),
    };
    Some(Denial { what: what?, reason: reason?.into() })
}

fn log_entry(cursor: &Cursor<'_>) -> Option<LogEntry> {
    let fields = cursor.fields(&["log", "index"], &[])?;
    let log = fields.need("log", "write the log's id, 64 hex digits").and_then(|cursor| {
        cursor.parse("a log's id", |text| {
            let hex = text.len() == LOG_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let wants = "wants the log's id as 64 hex digits (the trust root's logId.keyId, which it has in base64)";
            if hex { Ok(text.to_ascii_lowercase()) } else { Err(wants) }
        })
    });
    let index = fields.need("index", "write the entry's index").and_then(|cursor| cursor.integer(0..=u64::MAX));
    Some(LogEntry { log: log?, index: Some(index?) })
}
