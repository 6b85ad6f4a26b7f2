//! Who must have signed and attested, said by flags: cosign's, or `gh attestation verify`'s. They become a policy's text, which
//! the one parser reads; so a flag can ask for nothing that a policy cannot.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::{
    import,
    policy::{PolicySet, Unmatched},
};

/// What GitHub Actions' tokens are issued by: `gh`'s default.
const GITHUB_ACTIONS: &str = "https://token.actions.githubusercontent.com";
const GITHUB: &str = "https://github.com";
const SPDX: &str = "https://spdx.dev/Document";

/// Identity, claims and attestations wanted.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "What is asked for, without --config or --policy")]
pub(super) struct Flags {
    /// The certificate's subject, exactly: a workflow's URI or an e-mail address.
    #[arg(long, value_name = "SUBJECT", alias = "cert-identity", group = "identity")]
    certificate_identity: Option<String>,
    /// A regular expression for all of the subject. It is anchored here, where cosign and gh look for it anywhere.
    #[arg(long, value_name = "REGEX", value_parser = import::of_go, alias = "cert-identity-regex", group = "identity")]
    certificate_identity_regexp: Option<String>,
    /// The OIDC issuer, exactly. With --owner or --repo it is GitHub Actions' unless given.
    #[arg(long, value_name = "URL", alias = "cert-oidc-issuer", group = "oidc_issuer")]
    certificate_oidc_issuer: Option<String>,
    /// A regular expression for all of the issuer, anchored here.
    #[arg(long, value_name = "REGEX", value_parser = import::of_go, alias = "cert-oidc-issuer-regex", group = "oidc_issuer")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// Exactly what started the workflow, as in `push`.
    #[arg(long, value_name = "EVENT")]
    certificate_github_workflow_trigger: Option<String>,
    /// Exactly the commit the workflow ran for.
    #[arg(long, value_name = "SHA")]
    certificate_github_workflow_sha: Option<String>,
    /// Exactly the workflow's name.
    #[arg(long, value_name = "NAME")]
    certificate_github_workflow_name: Option<String>,
    /// Exactly the repository the workflow ran in, as in `acme/app`.
    #[arg(long, value_name = "OWNER/REPO")]
    certificate_github_workflow_repository: Option<String>,
    /// Exactly the ref the workflow ran for, as in `refs/heads/main`.
    #[arg(long, value_name = "REF")]
    certificate_github_workflow_ref: Option<String>,
    /// The GitHub owner whose repository the image was built from. Compared exactly, as certificates have it: `Acme` is not `acme`.
    #[arg(long, value_name = "OWNER", conflicts_with = "repo")]
    owner: Option<String>,
    /// The GitHub repository the image was built from. Compared exactly, as the other names of GitHub's are.
    #[arg(long, short = 'R', value_name = "OWNER/REPO")]
    repo: Option<String>,
    /// The GitHub repository whose workflow signed, if another than the one built from: with --owner or --repo, since whoever
    /// likes can call that workflow.
    #[arg(long, value_name = "OWNER/REPO", conflicts_with = "signer_workflow", group = "identity")]
    signer_repo: Option<String>,
    /// The GitHub workflow that signed, at any ref: `acme/app/.github/workflows/release.yml`. With --owner or --repo too.
    #[arg(long, value_name = "OWNER/REPO/PATH", group = "identity")]
    signer_workflow: Option<String>,
    /// Refuse what was signed on a self-hosted runner.
    #[arg(long)]
    deny_self_hosted_runners: bool,
    /// An attestation that must be there, by the same signer. May be repeated. Default: an SPDX document.
    ///
    /// spdx, spdxjson, cyclonedx, slsaprovenance (0.2), slsaprovenance02, slsaprovenance1, vuln, openvex, link, custom, or a URI.
    #[arg(long = "type", value_name = "TYPE", visible_alias = "predicate-type")]
    types: Vec<String>,
    /// Ask for the signature alone, and for no attestation.
    #[arg(long, conflicts_with_all = ["types", "dangerous_no_signature"])]
    signature_only: bool,
    /// Ask for the attestations alone, as `gh attestation verify` does: nobody need have signed the image itself.
    #[arg(long)]
    dangerous_no_signature: bool,
    /// Ask for a log's inclusion proof where a promise (Rekor v1's SET) would do.
    #[arg(long)]
    log_proof: bool,
}

impl Flags {
    /// Whether any was given.
    pub(super) fn is_empty(&self) -> bool {
        let Self { deny_self_hosted_runners, types, signature_only, dangerous_no_signature, log_proof, .. } = self;
        let switches = *deny_self_hosted_runners || *signature_only || *dangerous_no_signature || *log_proof;
        !switches && types.is_empty() && self.texts().iter().all(Option::is_none)
    }

    fn texts(&self) -> [Option<&String>; 13] {
        [
            self.certificate_identity.as_ref(),
            self.certificate_identity_regexp.as_ref(),
            self.certificate_oidc_issuer.as_ref(),
            self.certificate_oidc_issuer_regexp.as_ref(),
            self.certificate_github_workflow_trigger.as_ref(),
            self.certificate_github_workflow_sha.as_ref(),
            self.certificate_github_workflow_name.as_ref(),
            self.certificate_github_workflow_repository.as_ref(),
            self.certificate_github_workflow_ref.as_ref(),
            self.owner.as_ref(),
            self.repo.as_ref(),
            self.signer_repo.as_ref(),
            self.signer_workflow.as_ref(),
        ]
    }

    /// A policy that any signer meets: not to admit anything, but to see who signed.
    ///
    /// # Errors
    /// None, unless patterns are read otherwise than they are.
    pub(super) fn anybody() -> Result<PolicySet, String> {
        let any = Some(".*".to_owned());
        Self { certificate_identity_regexp: any.clone(), certificate_oidc_issuer_regexp: any, ..Self::default() }.policies()
    }

    /// The policy the flags ask for, over every image.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(super) fn policies(&self) -> Result<PolicySet, String> {
        let policy = self.policy("command-line", &["*/**".to_owned()])?;
        // JSON is YAML: one reader of policies, and every text quoted as it must be.
        PolicySet::from_text(std::path::Path::new("command line"), &policy.to_string(), Unmatched::Deny)
            .map_err(|problems| problems.to_string())
    }

    /// The same as a document, named `name` and for `images`.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(super) fn policy(&self, name: &str, images: &[String]) -> Result<Value, String> {
        let keyless = self.keyless()?;
        let mut policy = Map::new();
        policy.insert("name".into(), name.into());
        policy.insert("images".into(), images.into());
        if self.log_proof {
            policy.insert("log".into(), "proof".into());
        }
        if self.dangerous_no_signature {
            policy.insert("dangerous_no_signature".into(), true.into());
        } else {
            policy.insert("signatures".into(), json!([{"keyless": keyless}]));
        }
        if self.signature_only {
            policy.insert("dangerous_no_attestation".into(), true.into());
            return Ok(policy.into());
        }
        let mut types: Vec<&str> = self.types.iter().map(|name| predicate_type(name)).collect();
        if types.is_empty() {
            types.push(SPDX);
        }
        // `spdx` and `spdxjson` are one type, which to ask for twice asks for nothing more.
        let mut seen = HashSet::new();
        types.retain(|name| seen.insert(*name));
        let attestations: Vec<Value> = types
            .into_iter()
            .map(|predicate_type| {
                // Any of them, as cosign means it; a policy would have to say how old a scan may be.
                let mut rule = json!({"predicate_type": predicate_type, "match": "any"});
                if self.dangerous_no_signature {
                    // Without a signature there is no signer to take over.
                    rule["keyless"] = keyless.clone();
                }
                rule
            })
            .collect();
        policy.insert("attestations".into(), attestations.into());
        Ok(policy.into())
    }

    fn keyless(&self) -> Result<Value, String> {
        self.well_formed()?;
        let mut keyless = Map::new();
        let mut claims = Map::new();
        let github = self.owner.is_some() || self.repo.is_some();
        // A certificate names the workflow that was called; who called it, and built what was signed, is in the claims. gh asks so too.
        if (self.signer_repo.is_some() || self.signer_workflow.is_some())
            && !github
            && self.certificate_github_workflow_repository.is_none()
        {
            return Err(BORROWED.into());
        }
        match (&self.certificate_oidc_issuer, &self.certificate_oidc_issuer_regexp) {
            (Some(issuer), _) => _ = keyless.insert("issuer".into(), issuer.as_str().into()),
            (None, Some(regex)) => _ = keyless.insert("issuer_regex".into(), regex.as_str().into()),
            (None, None) if github || self.signer_repo.is_some() || self.signer_workflow.is_some() => {
                keyless.insert("issuer".into(), GITHUB_ACTIONS.into());
            }
            (None, None) => return Err(MISSING.into()),
        }
        let (key, subject) = self.subject()?;
        keyless.insert(key.into(), subject.into());
        if let Some(owner) = &self.owner {
            claims.insert("source_repository_owner_uri".into(), format!("{GITHUB}/{owner}").into());
        }
        if let Some(repo) = &self.repo {
            claims.insert("source_repository_uri".into(), format!("{GITHUB}/{repo}").into());
        }
        if self.deny_self_hosted_runners {
            claims.insert("runner_environment".into(), "github-hosted".into());
        }
        for (claim, wanted) in [
            ("github_workflow_trigger", &self.certificate_github_workflow_trigger),
            ("github_workflow_sha", &self.certificate_github_workflow_sha),
            ("github_workflow_name", &self.certificate_github_workflow_name),
            ("github_workflow_repository", &self.certificate_github_workflow_repository),
            ("github_workflow_ref", &self.certificate_github_workflow_ref),
        ] {
            if let Some(wanted) = wanted {
                claims.insert(claim.into(), wanted.as_str().into());
            }
        }
        if !claims.is_empty() {
            keyless.insert("claims".into(), claims.into());
        }
        Ok(keyless.into())
    }

    /// The key of a policy and what it says of the subject.
    fn subject(&self) -> Result<(&'static str, String), String> {
        if let Some(subject) = &self.certificate_identity {
            return Ok(("subject", subject.clone()));
        }
        if let Some(regex) = &self.certificate_identity_regexp {
            return Ok(("subject_regex", regex.clone()));
        }
        if let Some(workflow) = self.workflow() {
            // The workflow is that very file, at whatever ref: gh would take every file whose name begins so.
            return Ok(("subject_regex", format!("{}@.+", regex::escape(&format!("{GITHUB}/{workflow}")))));
        }
        let below = [&self.signer_repo, &self.repo, &self.owner].into_iter().flatten().next().ok_or(MISSING)?;
        Ok(("subject_pattern", format!("{GITHUB}/{below}/**")))
    }

    /// `--signer-workflow` without the host, which gh takes too.
    fn workflow(&self) -> Option<&str> {
        let workflow = self.signer_workflow.as_deref()?;
        Some(workflow.strip_prefix("github.com/").unwrap_or(workflow))
    }

    /// That gh's flags have the form gh wants, whatever else is given: another form is a name that no certificate has. Hosts of
    /// GitHub's own but github.com have other issuers and other roots, which a policy says.
    fn well_formed(&self) -> Result<(), String> {
        const REPOSITORY: &str = "`owner/repository`, on github.com";
        let name =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        let owner = |part: &str| name(part) && !part.contains('.');
        let path = |part: &str| !part.is_empty() && !part.contains(['*', '@']);
        for (flag, text, wanted) in [
            ("--owner", self.owner.as_deref(), "the name of an owner on github.com, as in `acme`"),
            ("--repo", self.repo.as_deref(), REPOSITORY),
            ("--signer-repo", self.signer_repo.as_deref(), REPOSITORY),
            (
                "--signer-workflow",
                self.workflow(),
                "`owner/repository/path` on github.com, without a ref, as in `acme/app/.github/workflows/release.yml`",
            ),
        ] {
            let parts: Vec<&str> = text.iter().flat_map(|text| text.split('/')).collect();
            let good = match (flag, &parts[..]) {
                (_, []) => true,
                ("--owner", [one]) => owner(one),
                ("--repo" | "--signer-repo", [one, repository]) => owner(one) && name(repository),
                ("--signer-workflow", [one, repository, file @ ..]) => {
                    owner(one) && name(repository) && !file.is_empty() && file.iter().all(|part| path(part))
                }
                _ => false,
            };
            if !good {
                return Err(format!("{flag}: wants {wanted}"));
            }
        }
        Ok(())
    }

    /// Where a regular expression was given that this subject and issuer hold somewhere, though not as a whole: what to
    /// write for what cosign would have taken.
    pub(super) fn unanchored(&self, subject: &str, issuer: &str) -> Option<String> {
        let told = [
            ("--certificate-identity-regexp", &self.certificate_identity, &self.certificate_identity_regexp, subject),
            ("--certificate-oidc-issuer-regexp", &self.certificate_oidc_issuer, &self.certificate_oidc_issuer_regexp, issuer),
        ];
        let is_in = |regex: &str, text: &str| regex::Regex::new(regex).is_ok_and(|anywhere| anywhere.is_match(text));
        let taken = told.iter().all(|(_, exact, regex, text)| match (exact, regex) {
            (Some(exact), _) => exact == text,
            (None, Some(regex)) => is_in(regex, text),
            (None, None) => true,
        });
        told.into_iter().filter(|_| taken).find_map(|(flag, _, regex, text)| {
            let regex = regex.as_deref()?;
            let whole = regex::Regex::new(&format!(r"\A(?:{regex})\z")).is_ok_and(|whole| whole.is_match(text));
            let hint = || {
                format!(
                    "{flag} must match all of `{text}`, and matches a part of it only; cosign would have taken that, and with it \
                     every subject that holds such a part. Write the whole subject, or `.*` where anything may stand"
                )
            };
            (!whole).then(hint)
        })
    }
}

const MISSING: &str = "say who must have signed: --certificate-identity[-regexp] with --certificate-oidc-issuer[-regexp], or --owner or \
                       --repo for GitHub Actions; or a policy with --policy or --config";
const BORROWED: &str = "say whose repository the image is built from, with --owner or --repo: any repository can call the workflow that \
                        --signer-repo or --signer-workflow names";

/// cosign's short names for predicate types, and the URIs they stand for there.
fn predicate_type(name: &str) -> &str {
    match name {
        "spdx" | "spdxjson" => SPDX,
        "cyclonedx" => "https://cyclonedx.org/bom",
        "slsaprovenance" | "slsaprovenance02" => "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1" => "https://slsa.dev/provenance/v1",
        "vuln" => "https://cosign.sigstore.dev/attestation/vuln/v1",
        "openvex" => "https://openvex.dev/ns",
        "link" => "https://in-toto.io/Link/v1",
        "custom" => "https://cosign.sigstore.dev/attestation/v1",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        flags: Flags,
    }

    fn flags(typed: &[&str]) -> Flags {
        Typed::try_parse_from([&["x"], typed].concat()).unwrap().flags
    }

    fn keyless(typed: &[&str]) -> Value {
        let flags = flags(typed);
        flags.policies().unwrap();
        flags.policy("p", &[]).unwrap()["signatures"][0]["keyless"].clone()
    }

    #[test]
    fn cosigns_flags_become_a_policy() {
        let typed = ["--certificate-identity", "a@b.test", "--certificate-oidc-issuer", "https://i.test"];
        assert_eq!(keyless(&typed), json!({"issuer": "https://i.test", "subject": "a@b.test"}));
        let typed = [
            "--certificate-identity-regexp=.*@b\\.test",
            "--certificate-oidc-issuer-regexp=https://.*\\.i\\.test",
            "--certificate-github-workflow-trigger=push",
            "--certificate-github-workflow-sha=aa",
            "--certificate-github-workflow-name=Release",
            "--certificate-github-workflow-repository=acme/app",
            "--certificate-github-workflow-ref=refs/heads/main",
        ];
        let wanted = json!({
            "issuer_regex": "https://.*\\.i\\.test", "subject_regex": ".*@b\\.test",
            "claims": {
                "github_workflow_trigger": "push", "github_workflow_sha": "aa", "github_workflow_name": "Release",
                "github_workflow_repository": "acme/app", "github_workflow_ref": "refs/heads/main",
            },
        });
        assert_eq!(keyless(&typed), wanted);
    }

    #[test]
    fn ghs_flags_become_a_policy() {
        let claims = |typed: &[&str]| (keyless(typed)["subject_pattern"].clone(), keyless(typed)["claims"].clone());
        let owner = json!({"source_repository_owner_uri": "https://github.com/acme"});
        assert_eq!(claims(&["--owner", "acme"]), (json!("https://github.com/acme/**"), owner));
        let repo = json!({"source_repository_uri": "https://github.com/acme/app", "runner_environment": "github-hosted"});
        let typed = ["--repo", "acme/app", "--deny-self-hosted-runners"];
        assert_eq!(claims(&typed), (json!("https://github.com/acme/app/**"), repo));
        assert_eq!(keyless(&typed)["issuer"], GITHUB_ACTIONS);
        let workflow = keyless(&["--owner", "acme", "--signer-workflow", "github.com/acme/ci/x.yml"]);
        assert_eq!(workflow["subject_regex"], r"https://github\.com/acme/ci/x\.yml@.+");
        let signer = keyless(&["--owner", "acme", "--signer-repo", "acme/ci"]);
        assert_eq!(signer["subject_pattern"], "https://github.com/acme/ci/**");
        let workflow = keyless(&["--repo", "acme/app", "--signer-workflow", "acme/ci/.github/workflows/release.yml"]);
        assert_eq!(workflow["subject_regex"], r"https://github\.com/acme/ci/\.github/workflows/release\.yml@.+");
        for (wrong, why) in [
            (&["--repo", "acme"][..], "--repo: wants `owner/repository`"),
            (&["--owner", "acme/*"], "--owner: wants the name of an owner"),
            (&["--owner", "acme/app"], "--owner: wants the name of an owner"),
            (&["--owner", "ac*"], "--owner: wants the name of an owner"),
            (&["--owner", ""], "--owner: wants the name of an owner"),
            (&["--repo", "github.com/acme/app"], "--repo: wants `owner/repository`"),
            (&["--repo", "acme/app/x"], "--repo: wants `owner/repository`"),
            (&["--repo", "acme", "--certificate-identity", "a"], "--repo: wants `owner/repository`"),
            (&["--owner", "acme", "--signer-repo", "acme"], "--signer-repo: wants `owner/repository`"),
            (&["--signer-repo", "acme/ci"], "any repository can call the workflow"),
            (&["--signer-workflow", "acme/ci/.github/workflows/release.yml"], "any repository can call the workflow"),
            (&["--repo", "a/b", "--signer-workflow", "release.yml"], "--signer-workflow: wants `owner/repository/path`"),
            (&["--repo", "a/b", "--signer-workflow", "ghe.test/a/b/x.yml"], "--signer-workflow: wants `owner/repository/path`"),
            (
                &["--repo", "a/b", "--signer-workflow", "a/b/x.yml@refs/heads/main"],
                "--signer-workflow: wants `owner/repository/path`",
            ),
            (&["--certificate-identity", "a"], "say who must have signed"),
            (&["--certificate-oidc-issuer", "a"], "say who must have signed"),
            (&[], "say who must have signed"),
        ] {
            let error = flags(wrong).policies().unwrap_err();
            assert!(error.contains(why), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn attestations_are_asked_for_by_cosigns_names_or_by_uri() {
        let types = |typed: &[&str]| {
            let flags = flags(&[&["--owner", "acme"], typed].concat());
            flags.policies().unwrap();
            let policy = flags.policy("p", &[]).unwrap();
            let types =
                policy["attestations"].as_array().map(|rules| rules.iter().map(|rule| rule["predicate_type"].clone()).collect());
            types.unwrap_or_else(|| vec![policy["dangerous_no_attestation"].clone()])
        };
        assert_eq!(types(&[]), [SPDX]);
        assert_eq!(types(&["--type", "spdxjson", "--type", "vuln"]), [SPDX, "https://cosign.sigstore.dev/attestation/vuln/v1"]);
        assert_eq!(types(&["--type", "spdx", "--type", "link", "--type", "spdxjson"]), [SPDX, "https://in-toto.io/Link/v1"]);
        assert_eq!(types(&["--type", "custom"]), ["https://cosign.sigstore.dev/attestation/v1"]);
        assert_eq!(types(&["--predicate-type", "https://slsa.dev/provenance/v1"]), ["https://slsa.dev/provenance/v1"]);
        assert_eq!(types(&["--signature-only"]), [true]);
        let policy = flags(&["--owner", "acme", "--dangerous-no-signature"]).policy("p", &[]).unwrap();
        assert_eq!(policy["dangerous_no_signature"], true);
        assert_eq!(policy["attestations"][0]["keyless"]["issuer"], GITHUB_ACTIONS);
        assert!(policy.get("signatures").is_none());
    }

    #[test]
    fn a_regex_means_what_it_means_to_cosign() {
        let regex = |typed: &str| flags(&["--certificate-identity-regexp", typed]).certificate_identity_regexp.unwrap();
        assert_eq!(
            regex(r"https://github\.com/acme/(app|lib)/.*@refs/tags/v[0-9]+"),
            r"https://github\.com/acme/(app|lib)/.*@refs/tags/v[0-9]+"
        );
        let quoted = regex::Regex::new(&format!("^(?:{})$", regex(r"\Qhttps://github.com/acme/\E\d+"))).unwrap();
        assert!(quoted.is_match("https://github.com/acme/1"));
        assert!(!quoted.is_match("https://githubxcom/acme/1") && !quoted.is_match("https://github.com/acme/\u{661}"));
        let wrong = Typed::try_parse_from(["x", "--certificate-identity-regexp", r"a(?=b)"]).unwrap_err().to_string();
        assert!(wrong.contains("--certificate-identity-regexp"), "{wrong}");
    }

    #[test]
    fn i01_a_regex_that_only_matches_a_part_is_told() {
        let flags = flags(&["--certificate-identity-regexp=acme/app", "--certificate-oidc-issuer=https://i.test"]);
        let hint = flags.unanchored("https://github.com/acme/app/x", "https://i.test").unwrap();
        assert!(hint.contains("--certificate-identity-regexp must match all of `https://github.com/acme/app/x`"), "{hint}");
        assert_eq!(flags.unanchored("https://github.com/other", "https://i.test"), None);
        assert_eq!(flags.unanchored("acme/app", "https://i.test"), None);
        // Nor would cosign have taken another issuer.
        assert_eq!(flags.unanchored("https://github.com/acme/app/x", "https://j.test"), None);
        let flags = self::flags(&["--certificate-identity=acme/app", "--certificate-oidc-issuer-regexp=i.test"]);
        assert!(flags.unanchored("acme/app", "https://i.test").is_some());
        assert_eq!(flags.unanchored("acme/other", "https://i.test"), None);
        let flags = self::flags(&["--owner=acme", "--certificate-oidc-issuer-regexp=i.test"]);
        assert!(flags.unanchored("anybody", "https://i.test").is_some());
    }
}
