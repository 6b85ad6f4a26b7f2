//! JUnit XML: an image is a test case; a refusal is a failure, what could not be told an error.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{Outcome, Report};
use crate::command::text::line;

pub(super) fn render(report: &Report) -> Result<String, String> {
    let mut junit = Junit::new("pullgate");
    let mut suite = TestSuite::new("pullgate verify");
    for judged in &report.images {
        let kind = match judged.outcome {
            Outcome::Admitted => None,
            Outcome::Refused => Some(NonSuccessKind::Failure),
            Outcome::Undecided => Some(NonSuccessKind::Error),
        };
        let status = match kind {
            None => TestCaseStatus::success(),
            Some(kind) => {
                let details = judged.unmet.iter().flat_map(|unmet| &unmet.details).chain(&judged.notes);
                let mut status = TestCaseStatus::non_success(kind);
                status.set_type(judged.code.as_str()).set_message(line(&judged.message));
                // Nothing of others begins a line, where CI systems read commands.
                status.set_description(details.map(|detail| format!("- {}", line(detail))).collect::<Vec<_>>().join("\n"));
                status
            }
        };
        let mut case = TestCase::new(line(&judged.image), status);
        case.set_classname(line(&judged.name)).set_time(Duration::from_millis(judged.took_ms));
        if let Some(reference) = &judged.reference {
            case.set_system_out(line(reference));
        }
        suite.add_test_case(case);
    }
    junit.add_test_suite(suite);
    junit.to_string().map_err(|error| error.to_string())
}
