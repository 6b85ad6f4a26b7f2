//! SARIF 2.1.0, for code scanning: a result for each image that was not admitted, a rule for each code.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Judged, Outcome, Report};
use crate::oci::Digest;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

#[derive(Serialize)]
struct Log<'r> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'r>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'r> {
    tool: Tool<'r>,
    results: Vec<Finding<'r>>,
    column_kind: &'static str,
}

#[derive(Serialize)]
struct Tool<'r> {
    driver: Driver<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver<'r> {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'r> {
    id: &'r str,
    short_description: Text<String>,
}

#[derive(Serialize)]
struct Text<T> {
    text: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'r> {
    rule_id: &'r str,
    rule_index: usize,
    level: &'static str,
    message: Text<String>,
    locations: [Location<'r>; 1],
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'r> {
    physical_location: Physical,
    logical_locations: [Logical<'r>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical<'r> {
    fully_qualified_name: &'r str,
    kind: &'static str,
}

pub(super) fn render(report: &Report) -> Result<String, String> {
    let found: Vec<&Judged> = report.images.iter().filter(|judged| judged.outcome != Outcome::Admitted).collect();
    let mut codes: Vec<&str> = found.iter().map(|judged| judged.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    let results = found.iter().map(|judged| finding(judged, &codes)).collect();
    let rules = codes.iter().map(|id| Rule { id, short_description: Text { text: id.replace('_', " ") } }).collect();
    let driver = Driver { name: "pullgate", semantic_version: env!("CARGO_PKG_VERSION"), rules };
    let run = Run { tool: Tool { driver }, results, column_kind: "utf16CodeUnits" };
    let log = Log { schema: SCHEMA, version: "2.1.0", runs: [run] };
    serde_json::to_string_pretty(&log).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn finding<'r>(judged: &'r Judged, codes: &[&str]) -> Finding<'r> {
    let mut message = judged.message.clone();
    for line in judged.unmet.iter().flat_map(|unmet| &unmet.details).chain(&judged.notes) {
        message.push('\n');
        message.push_str(line);
    }
    // The same finding in the next run, whatever digest the tag means then.
    let fingerprint = Digest::sha256(format!("{}\n{}", judged.image, judged.code).as_bytes()).to_hex();
    Finding {
        rule_id: &judged.code,
        rule_index: codes.iter().position(|code| *code == judged.code).unwrap_or_default(),
        level: if judged.outcome == Outcome::Refused { "error" } else { "warning" },
        message: Text { text: braces(&message) },
        locations: [Location {
            // Code scanning wants a file and a line; an image has neither, so its name stands for them, as with other scanners.
            physical_location: Physical {
                artifact_location: Artifact { uri: uri(&judged.name) },
                region: Region { start_line: 1 },
            },
            logical_locations: [Logical {
                fully_qualified_name: judged.reference.as_deref().unwrap_or(&judged.image),
                kind: "module",
            }],
        }],
        partial_fingerprints: BTreeMap::from([("pullgateImageAndCode/v1", fingerprint)]),
    }
}

/// Braces and brackets mean something in a SARIF message: placeholders and links.
fn braces(text: &str) -> String {
    text.replace('\\', "\\\\").replace('{', "{{").replace('}', "}}").replace('[', "\\[").replace(']', "\\]")
}

/// A name as a relative URI: a host's port would read as a scheme.
fn uri(name: &str) -> String {
    name.replace('%', "%25").replace(':', "%3A").replace('[', "%5B").replace(']', "%5D")
}
