//! `pullgate policy check`: whether policy files can be read, and what about them is weak.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    command::{
        Exit,
        judge::Unusable,
        streams::{answer, tell},
        text::line,
    },
    policy::{self, PolicySet, Unmatched},
    yaml::{self, Problem},
};

/// Read policies, and say what is wrong with them and what is weak.
///
/// Every problem is told with file, line, column and key. A finding has an id: warnings are what relaxes a rule (any_identity,
/// audit, dangerous_no_attestation, dangerous_no_signature, dangerous_repository), notes what is probably not meant
/// (condition_open_pattern, every_image, exception_expired, exception_unreachable, exclude_all, provenance_open_signer,
/// regex_open_end, regex_open_start, regex_unescaped_dot, withholding). A finding is no error unless --deny says so.
///
/// Exit codes: 0 all can be used; 1 a finding that `--deny` names; 64 a problem.
#[derive(Debug, clap::Args)]
pub(in crate::command) struct Arguments {
    /// Policy files, and directories whose `*.yaml` are policy files, as `policies: [DIR/*.yaml]` takes them: not those of the
    /// directories below, such as tests/, and no `*.yml`, which are told.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Make a finding of this id an error; `all` for any finding, `warning` for what relaxes a rule, `note` for the others. May be
    /// repeated.
    #[arg(long, value_name = "ID", value_parser = denied)]
    deny: Vec<String>,
    /// What standard output has.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What `--deny` may name: both levels, and every id.
const DENIED: [&str; 18] = [
    "all",
    "any_identity",
    "audit",
    "condition_open_pattern",
    "dangerous_no_attestation",
    "dangerous_no_signature",
    "dangerous_repository",
    "every_image",
    "exception_expired",
    "exception_unreachable",
    "exclude_all",
    "note",
    "provenance_open_signer",
    "regex_open_end",
    "regex_open_start",
    "regex_unescaped_dot",
    "warning",
    "withholding",
];

/// One of these: a word misspelt would deny nothing, and whoever wrote it would go on believing that it does.
fn denied(text: &str) -> Result<String, String> {
    if DENIED.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(match yaml::closest(text, DENIED) {
        Some(meant) => format!("no finding has this id; did you mean `{meant}`?"),
        None => format!("no finding has this id; known: {}", DENIED.join(", ")),
    })
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Output {
    /// A line for each problem and finding, as compilers write them.
    #[default]
    Text,
    /// One object: `version`, `policies`, `problems`, `findings`.
    Json,
}

/// The report of `policy check`.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    policies: Vec<Named>,
    problems: Vec<Told>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Named {
    file: String,
    name: String,
    mode: &'static str,
}

#[derive(Debug, Serialize)]
struct Told {
    /// As it is shown: a file's name need not be UTF-8, and a report is.
    file: String,
    line: u64,
    column: u64,
    key: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct Finding {
    /// `warning` for what relaxes a rule, `note` for what is probably not meant.
    level: &'static str,
    id: &'static str,
    policy: String,
    message: String,
}

impl Arguments {
    /// Checks and reports.
    pub(in crate::command) fn run(self) -> Exit {
        let files = match files(&self.paths) {
            Ok(files) => files,
            Err(why) => {
                tell(&line(&why));
                return Exit::Usage;
            }
        };
        let report = check(&files);
        let written = match self.output {
            Output::Text => Ok(text(&report)),
            Output::Json => serde_json::to_string_pretty(&report).map(|text| text + "\n"),
        };
        if let Err(error) = written.map_err(|error| Unusable::Failed(error.to_string())).and_then(|text| answer(&text)) {
            return error.tell();
        }
        if self.output == Output::Text {
            let (policies, problems, findings) = (report.policies.len(), report.problems.len(), report.findings.len());
            let files = files.len();
            tell(&format_args!("{files} files, {policies} policies, {problems} problems, {findings} findings"));
        }
        let denied = |finding: &Finding| self.deny.iter().any(|id| id == "all" || id == finding.level || id == finding.id);
        if !report.problems.is_empty() {
            Exit::Usage
        } else if report.findings.iter().any(denied) {
            Exit::Refused
        } else {
            Exit::Done
        }
    }
}

/// The policy files that `paths` name: files as they are, of a directory those that end in `.yaml`, sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| format!("{} cannot be listed: {error}", path.display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            // A link to nothing is told when it is read: left out in silence, a policy that must hold would not.
            let is_policy = entry.is_file() || !entry.exists();
            let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden || !is_policy {
                continue;
            }
            match entry.extension().and_then(|kind| kind.to_str()) {
                Some("yaml") => found.push(entry),
                // A gate would not have it: what it refuses would be served, by a policy that was checked.
                Some("yml") => {
                    let (file, path) = (entry.display(), path.display());
                    return Err(format!(
                        "{file}: `policies: [{path}/*.yaml]` does not name it; call it .yaml, or check it as a file"
                    ));
                }
                Some(_) | None => {}
            }
        }
        if found.is_empty() {
            return Err(format!("{} holds no *.yaml", path.display()));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn check(files: &[PathBuf]) -> Report {
    let mut problems: Vec<Problem> = Vec::new();
    let mut parsed = Vec::new();
    for file in files {
        match yaml::read_file(file) {
            Ok(text) => {
                parsed.extend(policy::parse(file, &text, &mut problems).into_iter().map(|policy| (file.clone(), policy)));
            }
            Err(problem) => problems.push(problem),
        }
    }
    let policies = parsed.iter().map(|(file, parsed)| named(file, &parsed.policy)).collect();
    let now = Timestamp::now();
    let mut findings = Vec::new();
    for (_, parsed) in &parsed {
        let policy = &parsed.policy;
        for (level, told) in [("warning", policy.weaknesses()), ("note", policy.lints(now))] {
            findings.extend(told.into_iter().map(|(id, message)| Finding { level, id, policy: policy.name.clone(), message }));
        }
    }
    // Names used twice are known only once all are read.
    if let Err(twice) = PolicySet::new(parsed, Unmatched::Deny) {
        problems.extend(twice.0);
    }
    let problems = problems.into_iter().map(|Problem { file, line, column, key, message }| Told {
        file: shown(&file),
        line,
        column,
        key,
        message,
    });
    Report { version: 1, policies, problems: problems.collect(), findings }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

fn named(file: &Path, policy: &policy::Policy) -> Named {
    let mode = match policy.mode() {
        policy::Mode::Audit => "audit",
        policy::Mode::Enforce => "enforce",
    };
    Named { file: shown(file), name: policy.name.clone(), mode }
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    for Told { file, line, column, key, message } in &report.problems {
        let problem = Problem { file: file.into(), line: *line, column: *column, key: key.clone(), message: message.clone() };
        out += &(self::line(&problem.to_string()) + "\n");
    }
    for Finding { level, id, message, .. } in &report.findings {
        out += &format!("{level}[{id}]: {}\n", line(message));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_finding_can_be_denied_by_its_id_and_nothing_else() {
        // An id stands alone: first in a pair, or on a line of its own.
        let told = |text: &'static str| {
            let text = text.split("#[cfg(test)]").next().unwrap();
            text.split("push((").skip(1).map(|rest| rest.split('"').nth(1).unwrap())
        };
        let mut known: BTreeSet<&str> = told(include_str!("../../policy/lint.rs")).collect();
        known.extend(told(include_str!("../../policy/weakness.rs")));
        known.extend(["all", "note", "warning"]);
        assert_eq!(known, BTreeSet::from(DENIED));
        assert_eq!(denied("audit"), Ok("audit".to_owned()));
        assert!(denied("dangerous_no_signatures").unwrap_err().contains("did you mean `dangerous_no_signature`?"));
    }
}
