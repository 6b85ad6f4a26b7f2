//! A file of cases: images recorded with their evidence, and what policies must say of them, at a given time.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::{
    app,
    command::reference::Image,
    config::{Config, Files},
    evidence,
    policy::{self, PolicySet},
    upstream,
    verify::{DEFAULT_TRUST_ROOT, Relaxed, TrustRootConfig, TrustRootSource, trust_root::RootConfig},
    yaml::{self, Cursor, Fields, Problems, Sink, Value},
};

const KEYS: &[&str] = &["config", "policies", "trust_root", "layout", "at", "cases"];
const CASE: &[&str] = &["name", "image", "at", "admit", "refuse"];

/// A file of cases, read.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) policies: PolicySet,
    pub(super) trust: TrustRootConfig,
    /// Where the configuration that the file names says images are.
    pub(super) upstreams: Vec<upstream::Config>,
    /// Its bounds of one search for evidence, or the gate's own: what the gate would not read is not there for a case either.
    pub(super) limits: evidence::Limits,
    /// The OCI layout with the images and their evidence.
    pub(super) layout: PathBuf,
    pub(super) cases: Vec<Case>,
}

/// A case.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) image: Image,
    /// When it is judged.
    pub(super) at: Timestamp,
    pub(super) expected: Expected,
}

/// What must come of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    Admit,
    /// Refused, with this code.
    Refuse(String),
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Admit => f.write_str("admitted"),
            Self::Refuse(code) => write!(f, "refused [{code}]"),
        }
    }
}

impl Suite {
    /// One that is not written yet.
    pub(super) fn draft(policies: PolicySet, source: TrustRootSource, layout: PathBuf) -> Self {
        let limits = evidence::Limits::default();
        Self { policies, trust: under(source), upstreams: Vec::new(), limits, layout, cases: Vec::new() }
    }
}

/// Reads a file of cases and the policies it names.
///
/// # Errors
/// Every problem.
pub(super) fn read(file: &Path) -> Result<Suite, Problems> {
    parse(file, &yaml::read_file(file).map_err(|problem| Problems(vec![problem]))?)
}

/// Reads `text` as that of `file`, and the policies it names.
///
/// # Errors
/// Every problem.
pub(super) fn parse(file: &Path, text: &str) -> Result<Suite, Problems> {
    let sink = Sink::new(file);
    let documents = yaml::documents(text, &sink);
    let root = match documents.as_deref() {
        None => return Err(Problems(sink.into_problems())),
        Some([root]) if !matches!(root.value, Value::Null) => root,
        Some(_) => {
            sink.report(Default::default(), "", format!("wants one document with the keys {}", KEYS.join(", ")));
            return Err(Problems(sink.into_problems()));
        }
    };
    let suite = suite(&Cursor::new(root, &sink), file);
    let problems = sink.into_problems();
    let (by, layout, cases) = match suite {
        Some(suite) if problems.is_empty() => suite,
        _ => return Err(Problems(problems)),
    };
    let (policies, trust, upstreams, limits) = match by {
        By::Config(file) => {
            let config = Config::elsewhere(&file)?;
            let trust = app::trust_roots(&config);
            (config.policies, trust, config.upstreams, config.gate.limits)
        }
        By::Files(files, trust) => (Config::policies(&files, &trust.roots)?, trust, Vec::new(), evidence::Limits::default()),
    };
    Ok(Suite { policies, trust, upstreams, limits, layout, cases })
}

type Parts = (By, PathBuf, Vec<Case>);

/// By what is judged.
enum By {
    /// A gate's configuration: its policies, deny-lists and trust roots.
    Config(PathBuf),
    /// Policy files, under one trust root.
    Files(Vec<PathBuf>, TrustRootConfig),
}

fn suite(cursor: &Cursor<'_>, file: &Path) -> Option<Parts> {
    let fields = cursor.fields(KEYS, &[])?;
    let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = |cursor: Cursor<'_>| cursor.text("a path").map(|text| base.join(text));
    let by = match fields.get("config") {
        Some(config) => {
            for (key, cursor) in fields.given(&["policies", "trust_root"]) {
                cursor.wrong(format!("`{key}` is the configuration's; leave it out beside `config`"));
            }
            path(config).map(By::Config)
        }
        None => by_files(&fields, file, base),
    };
    let layout = fields.need("layout", "write the directory of the recorded images").and_then(path);
    // One that is given and wrong is told once, and not by every case that relies on it.
    let at = match fields.get("at") {
        Some(cursor) => time(&cursor).map(Some),
        None => Some(None),
    };
    let cases = fields.need("cases", "write what must come of which image").and_then(|cursor| {
        let cases: Vec<_> = cursor.list()?.iter().map(|item| case(item, at)).collect();
        cases.into_iter().collect::<Option<Vec<_>>>()
    });
    at?;
    Some((by?, layout?, cases?))
}

fn by_files(fields: &Fields<'_>, file: &Path, base: &Path) -> Option<By> {
    // As a configuration names them, `*` and all.
    let beside = Files::elsewhere(file);
    let files = fields.need("policies", "write which files, as in [acme.yaml]").and_then(|cursor| {
        let files: Vec<_> = cursor.one_or_list().iter().map(|item| beside.matching(item)).collect();
        if files.is_empty() {
            cursor.wrong("names no file: no policy would be tested");
            return None;
        }
        Some(files.into_iter().collect::<Option<Vec<_>>>()?.concat())
    });
    let source = fields.need("trust_root", "write `sigstore`, or the path of a trusted_root.json").and_then(|cursor| {
        let text = cursor.text("`sigstore`, or the path of a trusted_root.json")?;
        Some(if text == "sigstore" { TrustRootSource::Sigstore } else { TrustRootSource::File(base.join(text)) })
    });
    Some(By::Files(files?, under(source?)))
}

/// One trust root, as it is now for ever.
fn under(source: TrustRootSource) -> TrustRootConfig {
    let roots = [(DEFAULT_TRUST_ROOT.into(), RootConfig { source, relaxed: Relaxed::default() })];
    let forever = std::time::Duration::MAX;
    TrustRootConfig { roots: roots.into(), cache_dir: PathBuf::new(), refresh: forever, retry: forever, hard_stale: forever }
}

fn case(cursor: &Cursor<'_>, default: Option<Option<Timestamp>>) -> Option<Case> {
    let fields = cursor.fields(CASE, &[])?;
    let image = fields.need("image", "write which, as in ghcr.io/acme/app:v1").and_then(|cursor| {
        let image = cursor.parse("an image", str::parse::<Image>)?;
        if image.name.is_none() || image.place != crate::command::reference::Place::Registry {
            cursor.wrong("wants an image by the name policies match; `layout` says where it is");
            return None;
        }
        Some(image)
    });
    let name = match fields.get("name") {
        Some(cursor) => cursor.text("a name").map(|name| Some(name.to_owned())),
        None => Some(None),
    };
    let at = match fields.get("at") {
        Some(cursor) => time(&cursor),
        None => {
            if default == Some(None) {
                cursor.wrong("wants `at`, the time at which it is judged, here or for all cases");
            }
            default.flatten()
        }
    };
    let expected = fields.exactly_one(&["admit", "refuse"]).and_then(|(key, cursor)| match key {
        "admit" => match cursor.boolean()? {
            true => Some(Expected::Admit),
            false => {
                cursor.wrong("write `refuse:` and the code of the reason instead");
                None
            }
        },
        _ => cursor.parse("the code of a reason", code).map(Expected::Refuse),
    });
    let image = image?;
    let name = name?.unwrap_or_else(|| image.text.clone());
    Some(Case { name, image, at: at?, expected: expected? })
}

fn time(cursor: &Cursor<'_>) -> Option<Timestamp> {
    cursor.parse("a time such as 2026-11-22T18:00:00Z", |text| {
        text.parse::<Timestamp>().map_err(|_| format!("wants a time such as 2026-11-22T18:00:00Z, found `{}`", yaml::shown(text)))
    })
}

/// One of the closed list of reasons.
fn code(text: &str) -> Result<String, String> {
    let known = || policy::Reason::ALL.iter().map(|reason| reason.as_str()).chain(OTHERS);
    if known().any(|code| code == text) {
        return Ok(text.to_owned());
    }
    Err(match yaml::closest(text, known()) {
        Some(meant) => format!("`{}` is no reason's code; did you mean `{meant}`?", yaml::shown(text)),
        None => format!("`{}` is no reason's code; known: {}", yaml::shown(text), known().collect::<Vec<_>>().join(", ")),
    })
}

/// Codes of refusals that are no policy's.
const OTHERS: [&str; 4] = ["content", "evidence", "no_policy", "not_evidence"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_that_a_case_may_name_is_documented_and_no_other() {
        let page = include_str!("../../../deploy/codes.md");
        let of = |section: &str| page.split(section).nth(1).unwrap().split("\n## ").next().unwrap();
        let first = |row: &'static str| row.strip_prefix("| `").and_then(|row| row.split('`').next());
        let mut documented: BTreeSet<&str> = of("## Refused: a policy does not hold").lines().filter_map(first).collect();
        documented.extend(of("## Refused: not by a policy").lines().filter(|row| row.ends_with("| yes |")).filter_map(first));
        let known: BTreeSet<&str> = policy::Reason::ALL.iter().map(|reason| reason.as_str()).chain(OTHERS).collect();
        assert_eq!(documented, known);
        assert!(known.iter().all(|known| code(known).is_ok()) && code("tag_rolled_back").is_err());
    }
}
