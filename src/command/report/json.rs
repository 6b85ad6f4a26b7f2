//! JSON: the report as it is. `deploy/schemas/verify-report.schema.json` describes it, and a test holds the two together.

use super::Report;

pub(super) fn render(report: &Report) -> Result<String, String> {
    serde_json::to_string_pretty(report).map(|text| text + "\n").map_err(|error| error.to_string())
}
