//! `match` and `exclude`: which requests a rule is about. A gate sees pulls, which are those of every pod.

use super::super::{
    Effect, Import, Lint,
    source::{Map, Unreadable},
};

impl Import {
    /// Tells of `match` and `exclude` what a gate cannot see.
    pub(super) fn selection(&mut self, rule: &Map<'_>, key: &'static str) -> Result<(), Unreadable> {
        // An `exclude` with nothing in it excludes nothing; a `match` must select something.
        let Some(item) = (if key == "exclude" { rule.given(key) } else { rule.get(key) }) else { return Ok(()) };
        let map = item.map()?;
        let (any, all) = (map.list("any")?, map.list("all")?);
        // The older form has a filter's keys beside them; with neither, it selects nothing at all.
        let mut every_pod = any.is_empty() && all.is_empty() && self.every_new_pod(&map)?;
        let (mut some, mut each) = (false, !all.is_empty());
        for filter in &any {
            some |= self.every_new_pod(&filter.map()?)?;
        }
        for filter in &all {
            each &= self.every_new_pod(&filter.map()?)?;
        }
        every_pod |= (some || any.is_empty()) && (each || all.is_empty()) && (some || each);
        self.findings.unread(&map);
        if key == "exclude" {
            let message = "`exclude` selects requests, which a gate does not see: this applies to every pull";
            self.findings.changed(item.spot(), Effect::Stricter, Lint::I21, message);
        } else if !every_pod {
            let message = "`match` selects some requests only; a gate sees pulls, so this applies to every one";
            self.findings.changed(item.spot(), Effect::Stricter, Lint::I21, message);
        }
        Ok(())
    }

    /// Whether a filter selects every pod that is made.
    fn every_new_pod(&mut self, filter: &Map<'_>) -> Result<bool, Unreadable> {
        let (mut pods, mut narrowed) = (false, false);
        for key in ["subjects", "roles", "clusterRoles"] {
            narrowed |= filter.given(key).is_some();
        }
        if let Some(resources) = filter.map("resources")? {
            for key in ["name", "names", "namespaces", "annotations", "selector", "namespaceSelector"] {
                narrowed |= resources.given(key).is_some();
            }
            let (mut kinds, mut operations) = (false, resources.list("operations")?.is_empty());
            for kind in resources.list("kinds")? {
                kinds |= is_pod(kind.text()?);
            }
            for operation in resources.list("operations")? {
                operations |= operation.text()? == "CREATE";
            }
            self.findings.unread(&resources);
            pods = kinds && operations;
        }
        self.findings.unread(filter);
        Ok(pods && !narrowed)
    }
}

/// Whether a kind such as `v1/Pod` or `*` is or includes pods. `Pod/exec` is something else.
fn is_pod(kind: &str) -> bool {
    match kind.rsplit_once('/') {
        Some((before, "Pod")) => before.split('/').all(|part| matches!(part, "*" | "v1")),
        Some((before, "*")) => before.split('/').all(|part| part == "*"),
        Some(_) => false,
        None => matches!(kind, "Pod" | "*"),
    }
}
