//! JUnit XML: an image is a test case; a refusal is a failure, what could not be told an error.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{Outcome, Report};

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
                status.set_type(judged.code.as_str()).set_message(judged.message.as_str());
                status.set_description(details.cloned().collect::<Vec<_>>().join("\n"));
                status
            }
        };
        let mut case = TestCase::new(judged.image.as_str(), status);
        case.set_classname(judged.name.as_str()).set_time(Duration::from_millis(judged.took_ms));
        if let Some(reference) = &judged.reference {
            case.set_system_out(reference.as_str());
        }
        suite.add_test_case(case);
    }
    junit.add_test_suite(suite);
    junit.to_string().map_err(|error| error.to_string())
}
