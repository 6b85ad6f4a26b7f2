//! The flags of `gh attestation verify` → a policy that asks for the attestation they ask for.
//!
//! It verifies a provenance attestation and no signature of the image.

use std::collections::BTreeMap;

use super::{
    Effect, Import, Lint,
    draft::{Attestation, Attestor, Claim, Draft, Keyless, Text},
    regex,
    roots::Without,
    source::Spot,
};
use crate::{policy::image::ImagePattern, yaml::shown};

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// Flags with a value, each with its short form.
const VALUES: [(&str, &str); 18] = [
    ("--bundle", "-b"),
    ("--cert-identity", ""),
    ("--cert-identity-regex", "-i"),
    ("--cert-oidc-issuer", ""),
    ("--custom-trusted-root", ""),
    ("--digest-alg", "-d"),
    ("--format", ""),
    ("--hostname", ""),
    ("--jq", "-q"),
    ("--limit", "-L"),
    ("--owner", "-o"),
    ("--predicate-type", ""),
    ("--repo", "-R"),
    ("--signer-digest", ""),
    ("--signer-repo", ""),
    ("--signer-workflow", ""),
    ("--source-digest", ""),
    ("--template", "-t"),
];
const SOURCE_REF: &str = "--source-ref";
const SWITCHES: [&str; 3] = ["--bundle-from-oci", "--deny-self-hosted-runners", "--no-public-good"];

/// The flags that were given.
#[derive(Default)]
struct Given {
    values: BTreeMap<&'static str, String>,
    switches: Vec<&'static str>,
    images: Vec<String>,
}

impl Given {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut given = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let known = VALUES.iter().find(|(long, short)| *long == flag || (!short.is_empty() && *short == flag));
            // `-Racme/app`, `-R=acme/app`: a short flag may have its value behind it.
            let attached = || {
                let (flag, value) = flag.split_at_checked(2)?;
                let (long, _) = VALUES.iter().find(|(_, short)| *short == flag)?;
                Some((*long, value.strip_prefix('=').unwrap_or(value).to_owned()))
            };
            let (known, inline) = match (known.map(|(long, _)| *long).or((flag == SOURCE_REF).then_some(SOURCE_REF)), attached())
            {
                (None, Some((long, value))) => (Some(long), Some(value)),
                (known, _) => (known, inline),
            };
            if let Some(name) = known {
                let value = match inline {
                    Some(value) => value,
                    None => rest.next().cloned().ok_or_else(|| format!("`{flag}` wants a value"))?,
                };
                if value.is_empty() || value.chars().any(char::is_control) || value.trim() != value {
                    return Err(format!("`{flag}` has a value that cannot be meant: `{}`", shown(&value)));
                }
                if given.values.insert(name, value).is_some() {
                    return Err(format!("`{flag}` is given twice"));
                }
            } else if let Some(name) = SWITCHES.iter().find(|name| **name == flag) {
                match inline.as_deref() {
                    None | Some("true") => given.switches.push(name),
                    Some("false") => {}
                    Some(other) => return Err(format!("`{flag}` wants true or false, found `{}`", shown(other))),
                }
            } else if argument.starts_with('-') {
                return Err(format!("`{}` is no flag of `gh attestation verify` known here", shown(argument)));
            } else if let Some(image) = argument.strip_prefix("oci://") {
                given.images.push(image.to_owned());
            } else if !matches!(argument.as_str(), "gh" | "attestation" | "verify") {
                return Err(format!("`{}` is a file; a policy is about images: give oci://… or --image", shown(argument)));
            }
        }
        let exclusive = |names: &[&str]| {
            let given: Vec<_> = names.iter().filter(|name| given.values.contains_key(**name)).collect();
            if given.len() > 1 { Err(format!("`{}` and `{}` exclude each other", given[0], given[1])) } else { Ok(given.len()) }
        };
        if exclusive(&["--owner", "--repo"])? == 0 {
            return Err("wants --owner or --repo, as gh does".into());
        }
        exclusive(&["--cert-identity", "--cert-identity-regex", "--signer-repo", "--signer-workflow"])?;
        Ok(given)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.switches.contains(&name)
    }
}

impl Import {
    pub(super) fn gh(&mut self, arguments: &[String], images: &[String]) -> Result<(), String> {
        let given = Given::parse(arguments)?;
        self.findings.document = "gh attestation verify".into();
        let at = |flag: &str| Spot { path: flag.to_owned(), line: 0 };
        let patterns = patterns(images, &given.images)?;
        let host = given.value("--hostname").unwrap_or("github.com");
        if host != "github.com" && !host.ends_with(".ghe.com") {
            return Err(format!("`--hostname {}`: only github.com and ghe.com have attestations", shown(host)));
        }
        let tenant = host.strip_suffix(".ghe.com");
        let mut claims = BTreeMap::new();
        let mut claim = |name, value: String| _ = claims.insert(name, Claim::Exact(value));
        let owner = match (given.value("--repo"), given.value("--owner")) {
            (Some(repository), _) => {
                let (owner, name) = repository.split_once('/').ok_or("`--repo` wants OWNER/REPO")?;
                if owner.is_empty() || name.is_empty() || name.contains('/') {
                    return Err("`--repo` wants OWNER/REPO".into());
                }
                claim("source_repository_uri", format!("https://{host}/{repository}"));
                owner
            }
            (None, owner) => owner.unwrap_or_default(),
        };
        claim("source_repository_owner_uri", format!("https://{host}/{owner}"));
        let message =
            "owner, repository and issuer are compared without regard to case there; here exactly, as certificates have them";
        self.findings.changed(&at("--owner"), Effect::Stricter, None, message);
        if given.has("--deny-self-hosted-runners") {
            claim("runner_environment", "github-hosted".into());
        }
        for (flag, name) in [
            ("--source-ref", "source_repository_ref"),
            ("--source-digest", "source_repository_digest"),
            ("--signer-digest", "build_signer_digest"),
        ] {
            if let Some(value) = given.value(flag) {
                claim(name, value.to_owned());
            }
        }
        let issuer = match (given.value("--cert-oidc-issuer"), tenant) {
            (Some(issuer), _) if issuer != ISSUER => issuer.to_owned(),
            (_, Some(tenant)) => format!("https://token.actions.{tenant}.ghe.com"),
            _ => ISSUER.into(),
        };
        let subject = self.gh_subject(&given, host)?;
        let trust_root = self.gh_trust(&given, tenant.is_some());
        let kind = given.value("--predicate-type").unwrap_or(PROVENANCE);
        let kind = self.predicate_type(&at("--predicate-type"), kind, false)?;
        let by = Attestor::Keyless(Keyless { issuer: Text::Exact(issuer), subject, claims, trust_root });
        let mut entry = Attestation::new(kind, by);
        entry.comments.push("One attestation by this identity is enough.".into());
        self.findings.note(&at(""), Lint::I09, "`gh attestation verify` looks at no signature of the image: none is asked for");
        self.either_form(&at(""), "gh attestation verify", true);
        let message = "there, an attestation of the type by another owner refuses; here it is set aside";
        self.findings.changed(&at("--owner"), Effect::Wider, None, message);
        for flag in ["--bundle", "--bundle-from-oci"] {
            if given.value(flag).is_some() || given.has(flag) {
                self.findings.note(&at(flag), None, "evidence is looked for in the image's registry");
            }
        }
        if !given.has("--bundle-from-oci") {
            let message =
                "attestations come from GitHub's API there, here from the registry: attest with `push-to-registry: true`";
            self.findings.changed(&at("--bundle-from-oci"), Effect::Stricter, None, message);
        }
        let draft = Draft {
            name: format!("gh/{}", given.value("--repo").unwrap_or(owner)),
            comments: vec![format!("From gh attestation verify {}", arguments.join(" "))],
            images: patterns,
            exclude: Vec::new(),
            rejects: false,
            audit: false,
            signatures: Vec::new(),
            attestations: vec![entry],
        };
        self.make(&at(""), draft);
        Ok(())
    }

    /// Who signs: as a flag says, or else gh's own rule, a workflow of the owner or of the repository.
    fn gh_subject(&mut self, given: &Given, host: &str) -> Result<Text, String> {
        let at = |flag: &str| Spot { path: flag.to_owned(), line: 0 };
        let (flag, go) = if let Some(exact) = given.value("--cert-identity") {
            if exact.contains('*') {
                return Err("`--cert-identity` is compared exactly; for a pattern use --cert-identity-regex".into());
            }
            return Ok(Text::Exact(exact.to_owned()));
        } else if let Some(regex) = given.value("--cert-identity-regex") {
            ("--cert-identity-regex", regex.to_owned())
        } else if let Some(repository) = given.value("--signer-repo") {
            ("--signer-repo", format!("(?i)^https://{host}/{repository}/"))
        } else if let Some(workflow) = given.value("--signer-workflow") {
            return Ok(self.signer_workflow(workflow, host));
        } else {
            // The claims say who called a workflow, and not whose it is: another's reusable one signs as itself, and gh
            // refuses it unless it is named.
            let (flag, owner) = match given.value("--repo") {
                Some(repository) => ("--repo", repository),
                None => ("--owner", given.value("--owner").unwrap_or_default()),
            };
            let workflows = format!("https://{host}/{owner}/");
            let message = format!("no flag says who signs: as gh has it, a workflow below {}", shown(&workflows));
            self.findings.note(&at(flag), None, message);
            return Ok(Text::Regex(format!("(?i:{})(?s:.*)", ::regex::escape(&workflows))));
        };
        let at = at(flag);
        let translated = regex::translate(&go).map_err(|why| format!("`{flag}` {why}"))?;
        if translated.unanchored {
            let message = format!("`{}` matches longer names too; carried over as it is, anchor it", shown(&go));
            self.findings.note(&at, Lint::I01, message);
        }
        if translated.loose_host {
            let message = format!("`{}`: a dot in the host stands for any character; write `\\.`", shown(&go));
            self.findings.note(&at, Lint::I02, message);
        }
        Ok(translated.text)
    }

    /// A workflow's file, which gh takes for the beginning of a name, as a regex.
    fn signer_workflow(&mut self, workflow: &str, host: &str) -> Text {
        let at = Spot { path: "--signer-workflow".into(), line: 0 };
        let first = workflow.split('/').next().unwrap_or_default();
        let url = if first.contains('.') { format!("https://{workflow}") } else { format!("https://{host}/{workflow}") };
        if workflow.contains('@') {
            let message = format!("`{}` matches longer refs too; carried over as it is", shown(&url));
            self.findings.note(&at, Lint::I01, message);
            return Text::Regex(format!("{}(?s:.*)", ::regex::escape(&url)));
        }
        let message = format!(
            "there, every file whose name begins as `{}` does is meant, and a dot is any character; here it is this file, at whatever ref",
            shown(&url)
        );
        self.findings.changed(&at, Effect::Stricter, Lint::I01, message);
        Text::Regex(format!("{}@(?s:.+)", ::regex::escape(&url)))
    }

    fn gh_trust(&mut self, given: &Given, tenant: bool) -> Option<String> {
        let at = |flag: &str| Spot { path: flag.to_owned(), line: 0 };
        if let Some(path) = given.value("--custom-trusted-root") {
            let message =
                format!("name a trusted_root.json of {} `gh` in pullgate.yaml; JSON lines are one file each", shown(path));
            self.findings.lost(&at("--custom-trusted-root"), Effect::Refuses, None, message);
            self.root_setting("gh", Without::default(), "--custom-trusted-root");
            if given.has("--no-public-good") {
                let message = "certificates of the public-good Sigstore are refused there whatever root is given; here that root decides: leave its CA out";
                self.findings.changed(&at("--no-public-good"), Effect::Wider, None, message);
            }
            return Some("gh".into());
        }
        if tenant || given.has("--no-public-good") {
            let message = "GitHub's own Sigstore has no log and no SCT: name its trusted_root.json `github` in pullgate.yaml";
            self.findings.lost(&at("--no-public-good"), Effect::Refuses, None, message);
            self.root_setting("github", Without { log: true, sct: true }, "attestations of private repositories");
            return Some("github".into());
        }
        let message = "attestations of private repositories, by GitHub's own Sigstore, are accepted there too; here the default trust root's only";
        self.findings.changed(&at("--no-public-good"), Effect::Stricter, None, message);
        None
    }
}

/// The images the policy is for: patterns as they are, or the repositories of references.
fn patterns(images: &[String], references: &[String]) -> Result<Vec<String>, String> {
    let mut patterns = images.to_vec();
    for reference in references {
        let name = reference.split('@').next().unwrap_or_default();
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        let last = last.split(':').next().unwrap_or_default();
        let name = if folder.is_empty() { format!("docker.io/{last}") } else { format!("{folder}/{last}") };
        let first = name.split('/').next().unwrap_or_default();
        let has_host = first.contains(['.', ':']) || first == "localhost";
        patterns.push(if has_host { name } else { format!("docker.io/{name}") });
    }
    if patterns.is_empty() {
        return Err("says nothing of images: give oci://IMAGE behind `--`, or --image PATTERN before it".into());
    }
    let canonical = |pattern: &String| {
        ImagePattern::new(pattern)
            .map(|pattern| pattern.as_str().to_owned())
            .map_err(|error| format!("`{}` {error}", shown(pattern)))
    };
    patterns.iter().map(canonical).collect()
}
