//! Kyverno's `ImageValidatingPolicy`: its meaning is its CEL, of which the shapes people write are recognised.
//!
//! `verifyImageSignatures(image, [attestors.a, …]) > 0`, `verifyAttestationSignatures(image, attestations.x, […]) > 0`,
//! and a comparison of a static path of `extractPayload(image, attestations.x)` with a literal; over any of
//! `images.containers`, `initContainers`, `ephemeralContainers`, which are all pulls to a gate. Everything else refuses.

mod attestor;
mod expression;

use std::collections::HashMap;

use self::expression::REGISTRY;
use super::{
    Effect, Import, Lint,
    draft::{Attestor, Draft},
    images::Hub,
    source::{Item, Map, Unreadable},
    wildcard,
};
use crate::{policy::image::ImagePattern, yaml::shown};

/// What the policy calls by name.
#[derive(Default)]
struct Named {
    attestors: HashMap<String, Attestor>,
    /// Statements' types; the error is why one cannot be asked for.
    attestations: HashMap<String, Result<String, String>>,
}

impl Import {
    pub(super) fn image_validating(&mut self, document: &Map<'_>, name: &str, namespaced: bool) -> Result<(), Unreadable> {
        let Some(spec) = document.map("spec")? else { return Err(Unreadable::at(document.spot(), "has no `spec`")) };
        if namespaced {
            let message = "it applies to its own namespace; a gate sees none, so this applies to every pull";
            self.findings.changed(document.spot(), Effect::Stricter, Lint::I21, message);
        }
        let actions: Result<Vec<_>, _> = spec.list("validationActions")?.iter().map(|item| item.text()).collect();
        let actions = actions?;
        let audit = !actions.is_empty() && !actions.contains(&"Deny");
        let mut draft = Draft {
            name: name.to_owned(),
            comments: vec![format!("From Kyverno {}, line {}.", self.findings.document, document.spot().line)],
            images: self.references(&spec)?,
            exclude: Vec::new(),
            rejects: false,
            audit,
            signatures: Vec::new(),
            attestations: Vec::new(),
        };
        self.named.clone_from(&draft.images);
        let required = self.requests(&spec, &mut draft)?;
        let validations = spec.list("validations")?;
        let mut expressions = Vec::new();
        for item in &validations {
            expressions.push(item.map()?.text("expression")?.map(normal).unwrap_or_default());
        }
        let named = self.named(&spec, &expressions)?;
        let mut asked = Vec::new();
        for (item, normal) in validations.iter().zip(&expressions) {
            let map = item.map()?;
            for key in ["message", "messageExpression", "reason"] {
                map.get(key);
            }
            let text = map.text("expression")?.unwrap_or_default();
            match self.validation(map.spot(), normal, &named) {
                Ok(Some(one)) => asked.push((one, map.spot().clone())),
                Ok(None) => {}
                Err(why) => {
                    let why =
                        format!("`{}` cannot be said here: {why}", shown(&text.split_whitespace().collect::<Vec<_>>().join(" ")));
                    self.findings.lost(map.spot(), Effect::Refuses, None, why.clone());
                    draft.signatures.push(Attestor::Never(why));
                }
            }
            self.findings.unread(&map);
        }
        if validations.is_empty() {
            return Err(Unreadable::at(spec.spot(), "has no `validations`"));
        }
        self.put_together(asked, &named, &mut draft);
        let admitted = "it asks for nothing that is verified: these images are admitted, as there";
        self.asks_nothing(spec.spot(), required, &mut draft, admitted);
        self.findings.unread(&spec);
        self.findings.setting(
            "unmatched: dangerous_allow",
            "Kyverno admits images no policy names; pullgate refuses them unless told otherwise",
        );
        self.make(spec.spot(), draft);
        Ok(())
    }

    /// Which images.
    fn references(&mut self, spec: &Map<'_>) -> Result<Vec<String>, Unreadable> {
        let mut images = Vec::new();
        let references = spec.list("matchImageReferences")?;
        if references.is_empty() {
            images.push("*/**".to_owned());
        }
        for item in &references {
            let map = item.map()?;
            if let Some(glob) = map.get("glob") {
                match wildcard::image_validating(glob.text()?) {
                    Ok(ways) => images.extend(self.image_pattern(&glob, &ways, Hub::AsWritten, true)?),
                    Err(why) => {
                        let message =
                            format!("`{}`: {why} cannot be said here; the images it names are not named", shown(glob.text()?));
                        self.findings.lost(glob.spot(), Effect::Wider, None, message);
                    }
                }
            } else if let Some(expression) = map.get("expression") {
                images.extend(self.registry(&expression)?);
            }
            self.findings.unread(&map);
        }
        let mut unique = Vec::new();
        images.into_iter().for_each(|image| {
            if !unique.contains(&image) {
                unique.push(image)
            }
        });
        Ok(unique)
    }

    /// The images of one registry, where an expression says so.
    fn registry(&mut self, expression: &Item<'_>) -> Result<Option<String>, Unreadable> {
        let text = expression.text()?;
        let found = REGISTRY.as_ref().and_then(|shape| shape.captures(text.trim()));
        let host = found.as_ref().and_then(|found| found.get(1).or(found.get(2))).map(|host| host.as_str());
        // Text there, of which a wildcard here would be more.
        let host = host.filter(|host| !host.contains(['*', '?', '{', '}']));
        let pattern = host.and_then(|host| ImagePattern::new(&format!("{host}/**")).ok());
        let (Some(host), Some(pattern)) = (host, pattern) else {
            let message = format!("`{}` cannot be said here; the images it names are not named", shown(text));
            self.findings.lost(expression.spot(), Effect::Wider, None, message);
            return Ok(None);
        };
        let ours = pattern.as_str();
        if host == "docker.io" {
            // Its documentation says otherwise, and naming them is the stricter.
            let message = "the registry of Docker Hub's images is `index.docker.io` there, so it names none; here it names them";
            self.findings.changed(expression.spot(), Effect::Stricter, Lint::I12, message);
        } else if host != "index.docker.io" && ours.strip_suffix("/**") != Some(host) {
            let message = format!("`{}` is compared there with names as they are written; here it is {ours}", shown(host));
            self.findings.changed(expression.spot(), Effect::Stricter, Lint::I12, message);
        }
        Ok(Some(ours.to_owned()))
    }

    /// Whether every pod that is made is among them: a gate sees the pulls of them all.
    fn resource_rules(&mut self, constraints: &Map<'_>) -> Result<(), Unreadable> {
        let Some(rules) = constraints.get("resourceRules") else { return Ok(()) };
        let mut every_pod = false;
        for rule in rules.list()? {
            let rule = rule.map()?;
            let mut includes = true;
            for (key, wanted) in [
                ("apiGroups", &["", "*"][..]),
                ("apiVersions", &["v1", "*"]),
                ("operations", &["CREATE", "*"]),
                ("resources", &["pods", "*", "*/*"]),
            ] {
                let texts: Result<Vec<_>, _> = rule.list(key)?.iter().map(|item| item.text()).collect();
                includes &= texts?.iter().any(|text| wanted.contains(text));
            }
            let named = !rule.list("resourceNames")?.is_empty();
            let scoped = rule.text("scope")? == Some("Cluster");
            every_pod |= includes && !named && !scoped;
            self.findings.unread(&rule);
        }
        if !every_pod {
            let message = "`resourceRules` select some requests only; a gate sees pulls, so this applies to every one";
            self.findings.changed(rules.spot(), Effect::Stricter, Lint::I21, message);
        }
        Ok(())
    }

    /// What is about requests, and not about images, and whether `draft` only watches. Answers whether an image that nothing verified is refused.
    fn requests(&mut self, spec: &Map<'_>, draft: &mut Draft) -> Result<bool, Unreadable> {
        if let Some(constraints) = spec.map("matchConstraints")? {
            let narrowing = ["namespaceSelector", "objectSelector", "excludeResourceRules"];
            for key in narrowing {
                if let Some(item) = constraints.given(key) {
                    let message = format!("`{key}` selects requests, which a gate does not see: this applies to every pull");
                    self.findings.changed(item.spot(), Effect::Stricter, Lint::I21, message);
                }
            }
            constraints.get("matchPolicy");
            self.resource_rules(&constraints)?;
            self.findings.unread(&constraints);
        }
        for item in spec.list("matchConditions")? {
            let message = "a condition on the object, which a gate does not see: this applies to every pull";
            self.findings.changed(item.spot(), Effect::Stricter, Lint::I21, message);
        }
        for key in ["images", "imageExtractors"] {
            if let Some(item) = spec.get(key) {
                self.findings.note(
                    item.spot(),
                    None,
                    "where images stand in an object means nothing to a gate: it sees every pull",
                );
            }
        }
        if let Some(item) = spec.get("variables") {
            self.findings.note(item.spot(), None, "variables are not read; a validation that uses one refuses");
        }
        if let Some(credentials) = spec.get("credentials") {
            self.findings.note(credentials.spot(), None, "credentials belong into pullgate.yaml, `upstreams[].credentials`");
        }
        if let Some(evaluation) = spec.map("evaluation")? {
            if let Some(mode) = evaluation.text("mode")?
                && mode != "Kubernetes"
            {
                let message = format!("`mode: {}` judges documents, not pulls", shown(mode));
                self.findings.changed(evaluation.spot(), Effect::Other, None, message);
            }
            evaluation.get("background");
            if let Some(admission) = evaluation.map("admission")? {
                if admission.flag("enabled")? == Some(false) {
                    draft.audit = true;
                    let message = "no admission asks it there, it is for scans of what runs; here it only watches";
                    self.findings.note(admission.spot(), Lint::I20, message);
                }
                self.findings.unread(&admission);
            }
            self.findings.unread(&evaluation);
        }
        if spec.text("failurePolicy")? == Some("Ignore") {
            let message = "`failurePolicy: Ignore` admits what could not be checked; a gate answers that it could not tell";
            self.findings.changed(spec.spot(), Effect::Stricter, None, message);
        }
        let digests = spec.map("validationConfigurations")?;
        let flag = |key| digests.as_ref().map_or(Ok(None), |map: &Map<'_>| map.flag(key)).map(|flag| flag.unwrap_or(true));
        let (mutate, verify, required) = (flag("mutateDigest")?, flag("verifyDigest")?, flag("required")?);
        self.digests(spec.spot(), mutate, verify, required);
        ["webhookConfiguration", "autogen", "auditAnnotations"].iter().for_each(|key| _ = spec.get(key));
        Ok(required)
    }
}

/// An expression with its white space as the shapes have it, whoever wrote it; what stands in quotes stays as it is.
fn normal(text: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let pair = ["==", "!=", "<=", ">=", "&&", "||"].into_iter().find(|pair| rest.starts_with(pair));
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            _ => pair.map_or(first.len_utf8(), str::len),
        };
        let (token, behind) = rest.split_at(length);
        match token {
            "," => out.push_str(", "),
            "<" | ">" | "+" => out.push_str(&format!(" {token} ")),
            _ if pair.is_some() => out.push_str(&format!(" {token} ")),
            _ => {
                // Two words would be one.
                if word(first) && out.ends_with(word) {
                    out.push(' ');
                }
                out.push_str(token);
            }
        }
        rest = behind.trim_start();
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn white_space_is_one_space_but_in_quotes() {
        for (text, made) in [
            ("  a\n  .b == 'x'  ", "a.b == 'x'"),
            ("f( a ,[b])", "f(a, [b])"),
            ("m(i,f(i,[ a ])).all(e ,e>0)", "m(i, f(i, [a])).all(e, e > 0)"),
            ("a>=-1&&b!=c||d in  e+f", "a >= -1 && b != c || d in e + f"),
            ("a == 'b ,c  d' ", "a == 'b ,c  d'"),
            (r#"a=="b  ,[ 'c" &&  d == ' e'"#, r#"a == "b  ,[ 'c" && d == ' e'"#),
            ("a == 'open  ", "a == 'open"),
        ] {
            assert_eq!(normal(text), made);
        }
    }
}
