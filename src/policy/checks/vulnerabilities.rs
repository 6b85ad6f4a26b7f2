//! Vulnerabilities: a ceiling of severity, exceptions by id, and how old a scan may be.
//!
//! A severity nobody stated, or no known word, is above every ceiling but `critical`: what is not rated may be anything. With
//! `ignore_unfixed`, only what a scanner says is fixed in some version counts. The age is of `metadata.scanFinishedOn`, which
//! the signer states; a scan from the future by more than five minutes is refused.
//!
//! An exception is by a finding's own id or one that vendors have for it. A vendor's advisory (`ALAS2-…`) may be about many
//! vulnerabilities, which grype relates to it: it is excepted where all their CVEs are, or who accepts one accepts the others unseen.
//! Where they have one CVE between them it is about that one, and any id of it will do.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{CheckFailure, Checked, Form, Reason, short, texts};
use crate::{
    policy::documents::vuln::{Finding, Scan, Severity},
    yaml::{Cursor, Fields, as_written},
};

/// How far a scanner's clock may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The longest age that can be asked for: ten years.
const MAX_AGE: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// `vulnerabilities`.
#[derive(Debug, Clone)]
pub(crate) struct Vulnerabilities {
    /// The worst that passes; `None` within: nothing does.
    ceiling: Option<Option<Severity>>,
    ignore: Vec<String>,
    ignore_unfixed: bool,
    scan_max_age: Option<Duration>,
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Found<'c> {
    check: &'c Vulnerabilities,
    worst: Option<(Severity, Finding)>,
    count: usize,
}

const CEILINGS: [(&str, Option<Severity>); 6] = [
    ("none", None),
    ("negligible", Some(Severity::Negligible)),
    ("low", Some(Severity::Low)),
    ("medium", Some(Severity::Medium)),
    ("high", Some(Severity::High)),
    // Passes what is not rated too.
    ("critical", Some(Severity::Unknown)),
];

impl Vulnerabilities {
    pub(super) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        let fields = cursor.fields(&["max_severity", "ignore", "ignore_unfixed", "scan_max_age"], &[])?;
        let ceiling = super::optional(fields.get("max_severity"), |cursor| cursor.word(&CEILINGS));
        let ignore = super::optional(fields.get("ignore"), ids);
        let ignore_unfixed = super::optional(fields.get("ignore_unfixed"), |cursor| cursor.boolean());
        let age = super::optional(fields.get("scan_max_age"), |cursor| cursor.duration(Duration::from_secs(60)..=MAX_AGE));
        let (ceiling, ignore, ignore_unfixed, scan_max_age) = (ceiling?, ignore?, ignore_unfixed?, age?);
        if !asks_for_something(&fields, ceiling.is_some()) {
            return None;
        }
        Some(Self { ceiling, ignore: ignore.unwrap_or_default(), ignore_unfixed: ignore_unfixed.unwrap_or(false), scan_max_age })
    }

    /// Whether a scan passes for a time only.
    pub(super) const fn bounds_age(&self) -> bool {
        self.scan_max_age.is_some()
    }

    fn ignores(&self, finding: &Finding) -> bool {
        let Finding { id, aliases, related, .. } = finding;
        let ignored = |id: &String| self.ignore.iter().any(|ignored| ignored.eq_ignore_ascii_case(id));
        let is_cve = |id: &String| id.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("CVE-"));
        // Beside CVEs, other ids are the same vulnerabilities once more: beside a single one, each of them is that one.
        let mut cves = related.iter().filter(|id| is_cve(id));
        let related_ignored = match cves.next() {
            Some(only) if cves.all(|cve| cve.eq_ignore_ascii_case(only)) => related.iter().any(ignored),
            Some(_) => related.iter().filter(|id| is_cve(id)).all(ignored),
            None => !related.is_empty() && related.iter().all(ignored),
        };
        ignored(id) || aliases.iter().any(ignored) || related_ignored
    }

    pub(super) const fn begin(&self) -> Found<'_> {
        Found { check: self, worst: None, count: 0 }
    }

    pub(super) fn form(&self, form: &mut Form) {
        let Self { ceiling, ignore, ignore_unfixed, scan_max_age } = self;
        form.list(ceiling.as_slice(), |form, ceiling| form.text(ceiling.map_or("none", Severity::as_str)));
        form.list(ignore, |form, id| form.text(id));
        form.flag(*ignore_unfixed);
        form.duration(*scan_max_age);
    }
}

fn asks_for_something(fields: &Fields<'_>, ceiling: bool) -> bool {
    if ceiling {
        return true;
    }
    let loose = fields.given(&["ignore", "ignore_unfixed"]);
    for (key, cursor) in &loose {
        cursor.wrong(format!("without `max_severity` nothing is refused that `{key}` could accept"));
    }
    if loose.is_empty() && fields.get("scan_max_age").is_none() {
        fields.at().wrong("asks for nothing; write `max_severity` or `scan_max_age`");
        return false;
    }
    loose.is_empty()
}

fn ids(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let ids = texts(cursor, "a vulnerability's id such as CVE-2021-44228")?;
    let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'.' | b'_'));
    match ids.iter().find(|id| !plain(id)) {
        Some(_) => {
            cursor.wrong("wants vulnerabilities' ids such as CVE-2021-44228; they are compared exactly");
            None
        }
        None => Some(ids),
    }
}

impl Found<'_> {
    /// Notes a finding.
    pub(super) fn see(&mut self, finding: &Finding) {
        let severity = finding.severity.unwrap_or(Severity::Unknown);
        let Some(ceiling) = self.check.ceiling else { return };
        let passes = ceiling.is_some_and(|ceiling| severity <= ceiling);
        if passes || self.check.ignore_unfixed && !finding.fixed || self.check.ignores(finding) {
            return;
        }
        self.count += 1;
        if self.worst.as_ref().is_none_or(|(worst, _)| rank(severity) > rank(*worst)) {
            self.worst = Some((severity, Finding { aliases: Vec::new(), related: Vec::new(), ..finding.clone() }));
        }
    }

    /// Whether the scan passes at `now`.
    pub(super) fn judge(self, scan: &Scan, now: Timestamp) -> Result<Checked, CheckFailure> {
        let fail = |reason, summary| Err(CheckFailure { reason, summary });
        if let Some(ceiling) = self.check.ceiling {
            let ceiling = ceiling.map_or("of any severity".to_owned(), |ceiling| {
                format!("above {}", if ceiling == Severity::Unknown { "critical" } else { ceiling.as_str() })
            });
            if !scan.read {
                return fail(
                    Reason::ScanUnreadable,
                    "wants a scan result of grype or trivy; found one of another form".to_owned(),
                );
            }
            if let Some((severity, finding)) = self.worst {
                let more = if self.count > 1 { format!(" and {} more", self.count - 1) } else { String::new() };
                let fix = if finding.fixed { "" } else { ", no fix" };
                return fail(
                    Reason::VulnerabilityFound,
                    format!(
                        "wants no vulnerability {ceiling}; found {} ({}{fix}) in {} {}{more}",
                        short(&finding.id, 30),
                        severity.as_str(),
                        short(&finding.package, 40),
                        short(&finding.version, 24)
                    ),
                );
            }
        }
        let Some(age) = self.check.scan_max_age else { return Ok(Checked::default()) };
        let wanted = as_written(age);
        let Some(finished) = scan.finished else {
            let found = scan.unread.as_deref().map_or_else(
                || "none that says when it ended".to_owned(),
                |text| format!("one that ended at `{}`, which is no time with its zone", short(text, 40)),
            );
            return fail(Reason::ScanTooOld, format!("wants a scan of at most {wanted}; found {found}"));
        };
        let until = SignedDuration::try_from(age).ok().and_then(|age| finished.checked_add(age).ok());
        match until {
            _ if finished.duration_since(now) > SKEW => fail(
                Reason::ScanTooOld,
                format!("wants a scan of at most {wanted}; found one that ends in the future, {finished}"),
            ),
            Some(until) if now < until => Ok(Checked { valid_until: Some(until) }),
            Some(_) | None => fail(Reason::ScanTooOld, format!("wants a scan of at most {wanted}; found one of {finished}")),
        }
    }
}

/// What a person wants to hear of first: a critical one before one that is not rated.
const fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Unknown => 0,
        Severity::Negligible => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::parsed, *};

    fn finding(id: &str, severity: &str, fixed: bool) -> Finding {
        Finding {
            id: id.into(),
            severity: Some(Severity::of(severity)),
            fixed,
            package: "log4j-core".into(),
            version: "2.14.1".into(),
            ..Finding::default()
        }
    }

    fn judge(yaml: &str, findings: &[Finding]) -> Result<Checked, (Reason, String)> {
        let check = parsed(yaml, Vulnerabilities::parse).unwrap();
        let mut found = check.begin();
        findings.iter().for_each(|finding| found.see(finding));
        let scan = Scan { finished: "2026-11-22T00:00:00Z".parse().ok(), read: true, unread: None };
        found.judge(&scan, "2026-11-24T00:00:00Z".parse().unwrap()).map_err(|failure| (failure.reason, failure.summary))
    }

    #[test]
    fn nothing_above_the_ceiling_passes() {
        let words = ["negligible", "low", "medium", "high", "critical"];
        for (i, ceiling) in ["none"].iter().chain(&words).enumerate() {
            for (j, severity) in words.iter().enumerate() {
                let outcome = judge(&format!("{{max_severity: {ceiling}}}"), &[finding("CVE-1", &severity.to_uppercase(), true)]);
                assert_eq!(outcome.is_ok(), j < i, "{ceiling} {severity}");
            }
            let unrated = [
                Finding { severity: None, ..finding("CVE-1", "", true) },
                finding("CVE-1", "UNKNOWN", true),
                finding("CVE-1", "fatal", true),
            ];
            for finding in unrated {
                assert_eq!(judge(&format!("{{max_severity: {ceiling}}}"), &[finding]).is_ok(), *ceiling == "critical");
            }
        }
    }

    #[test]
    fn the_worst_is_told_with_how_many_there_are() {
        let all = [
            finding("CVE-1", "unknown", false),
            finding("CVE-2", "high", false),
            finding("CVE-3", "critical", true),
            finding("CVE-4", "low", true),
        ];
        assert_eq!(
            judge("{max_severity: medium}", &all),
            Err((
                Reason::VulnerabilityFound,
                "wants no vulnerability above medium; found CVE-3 (critical) in log4j-core 2.14.1 and 2 more".into()
            ))
        );
        let twice = [finding("CVE-5", "critical", true), finding("CVE-6", "critical", true)];
        let told = judge("{max_severity: none}", &twice).unwrap_err().1;
        assert!(told.ends_with("found CVE-5 (critical) in log4j-core 2.14.1 and 1 more"), "of equals the first: {told}");
        let told = judge("{max_severity: none}", &all[1..2]).unwrap_err().1;
        assert_eq!(told, "wants no vulnerability of any severity; found CVE-2 (high, no fix) in log4j-core 2.14.1");
    }

    #[test]
    fn ignored_and_unfixed_ones_pass() {
        let aliased = Finding { related: vec!["CVE-2021-44228".into()], ..finding("GHSA-jfh8-c2jp-5v3q", "critical", true) };
        for id in ["cve-2021-44228", "GHSA-jfh8-c2jp-5v3q"] {
            assert!(judge(&format!("{{max_severity: low, ignore: [{id}]}}"), std::slice::from_ref(&aliased)).is_ok());
        }
        assert!(judge("{max_severity: low, ignore: [CVE-2021-4422]}", &[aliased]).is_err());
        assert!(judge("{max_severity: low, ignore_unfixed: true}", &[finding("CVE-1", "critical", false)]).is_ok());
        assert!(judge("{max_severity: low, ignore_unfixed: true}", &[finding("CVE-1", "critical", true)]).is_err());
    }

    /// Amazon's and Oracle's advisories have one id for all that they fix.
    #[test]
    fn one_vulnerability_of_an_advisory_ignored_is_not_all_of_them() {
        let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        for (related, ignore, passes) in [
            (&["CVE-1", "CVE-2"][..], "CVE-1", false),
            (&["CVE-1", "CVE-2"], "CVE-2, cve-1", true),
            (&["CVE-1", "cve-1"], "CVE-1", true),
            (&["CVE-1", "CVE-2"], "ALAS2-77", true),
            (&["CVE-1", "GHSA-1"], "CVE-1", true),
            (&["CVE-1", "GHSA-1"], "GHSA-1", true),
            (&["CVE-1", "GHSA-1", "cve-1"], "ghsa-1", true),
            (&["CVE-1", "GHSA-1"], "GHSA-2", false),
            (&["CVE-1", "CVE-2", "GHSA-1"], "GHSA-1", false),
            (&["CVE-1", "CVE-2", "GHSA-1"], "CVE-1, GHSA-1", false),
            (&["CVE-1", "CVE-2", "GHSA-1"], "CVE-1, CVE-2", true),
            (&["GHSA-1"], "GHSA-1", true),
            (&["GHSA-1", "GHSA-2"], "GHSA-1", false),
            (&[], "CVE-1", false),
        ] {
            let advisory = Finding { related: own(related), ..finding("ALAS2-77", "critical", true) };
            let outcome = judge(&format!("{{max_severity: low, ignore: [{ignore}]}}"), &[advisory]);
            assert_eq!(outcome.is_ok(), passes, "{related:?} {ignore}");
        }
        // What a vendor calls one vulnerability is another name of it.
        let one = Finding { aliases: own(&["RHSA-1", "RHSA-2"]), ..finding("CVE-1", "critical", true) };
        assert!(judge("{max_severity: low, ignore: [RHSA-2]}", &[one]).is_ok());
    }

    #[test]
    fn a_scan_ages_and_says_until_when_it_counts() {
        let until = |text: &str| Checked { valid_until: Some(text.parse().unwrap()) };
        assert_eq!(judge("{scan_max_age: 7d}", &[]), Ok(until("2026-11-29T00:00:00Z")));
        assert_eq!(judge("{scan_max_age: 2d}", &[]).unwrap_err().0, Reason::ScanTooOld, "the last moment is over");
        assert_eq!(judge("{max_severity: low}", &[]), Ok(Checked::default()));
        let check = parsed("{scan_max_age: 7d}", Vulnerabilities::parse).unwrap();
        let at = |finished: Option<&str>, now: &str| {
            let scan = Scan { finished: finished.map(|text| text.parse().unwrap()), ..Scan::default() };
            check.begin().judge(&scan, now.parse().unwrap()).map_err(|failure| failure.reason)
        };
        let scan = Scan { unread: Some("2026-11-23T00:00:00".into()), ..Scan::default() };
        let told = check.begin().judge(&scan, "2026-11-24T00:00:00Z".parse().unwrap()).unwrap_err().summary;
        assert_eq!(
            told,
            "wants a scan of at most 7d; found one that ended at `2026-11-23T00:00:00`, which is no time with its zone"
        );
        assert_eq!(at(None, "2026-11-24T00:00:00Z"), Err(Reason::ScanTooOld));
        assert_eq!(at(Some("2026-11-24T00:05:01Z"), "2026-11-24T00:00:00Z"), Err(Reason::ScanTooOld));
        assert!(at(Some("2026-11-24T00:05:00Z"), "2026-11-24T00:00:00Z").is_ok());
    }

    #[test]
    fn a_result_that_is_not_read_may_hold_anything() {
        let check = parsed("{max_severity: critical}", Vulnerabilities::parse).unwrap();
        let failure = check.begin().judge(&Scan::default(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(failure.reason, Reason::ScanUnreadable);
    }
}
