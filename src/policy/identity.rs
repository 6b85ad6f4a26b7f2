//! Who may sign: one issuer form, one subject form, and the claims a certificate must carry.
//!
//! Issuer and subject are compared byte by byte as the certificate has them: no case folding, no trailing slash
//! forgiven, no percent or punycode decoding (I3). The kind of the subject alternative name is not compared: an e-mail
//! address, a URI and a user name each have a form the others cannot have.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::pattern::{AnchoredRegex, Glob};
use crate::verify::{DEFAULT_TRUST_ROOT, Signer};

/// One way to say what a text must be.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// Exactly this.
    Exact(String),
    /// A whole-string glob.
    Pattern(Glob),
    /// A regex, anchored by us.
    Regex(AnchoredRegex),
}

/// An identity that may sign.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The OIDC issuer.
    pub issuer: Matcher,
    /// The subject alternative name.
    pub subject: Matcher,
    /// Claims by name; each must be there and match one of these, which are exact or patterns.
    pub claims: BTreeMap<&'static str, Vec<Matcher>>,
    /// The trust root its certificate must chain to, by its name in the configuration.
    pub trust_root: Arc<str>,
}

/// The first thing about a signer that is not as wanted, the nearest miss last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch<'s> {
    /// Another subject.
    Subject,
    /// The subject's regex matches a part of it only; regexes here match the whole text.
    SubjectInPart,
    /// The subject is right, the issuer is not.
    Issuer,
    /// The subject is right, and the issuer's regex matches a part of the issuer only.
    IssuerInPart,
    /// Both are right, under another trust root.
    TrustRoot,
    /// All that is right, a claim is not.
    Claim {
        /// Which.
        name: &'static str,
        /// What it is; `None` when the certificate has none.
        found: Option<&'s str>,
    },
}

impl Matcher {
    /// Whether all of `text` is as wanted.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Pattern(glob) => glob.matches(text),
            Self::Regex(regex) => regex.matches(text),
        }
    }

    /// Whether it is a regex that matches a part of `text` only.
    #[must_use]
    pub fn matches_a_part_only(&self, text: &str) -> bool {
        match self {
            Self::Exact(_) | Self::Pattern(_) => false,
            Self::Regex(regex) => regex.matches_a_part_only(text),
        }
    }

    /// Whether it lets pass whatever there is of some kind: a URI, an issuer or an e-mail address nobody would name
    /// matches. Every issuer is an https URL and every workflow is one, so `https://.*` names nobody either.
    #[must_use]
    pub fn is_anything(&self) -> bool {
        ["https://7f0c.invalid", "https://7f0c.invalid/b2/c8/.d1/e6/e9.yml@refs/heads/4d", "1b93!5a@c6.invalid", "5a@c6.invalid"]
            .iter()
            .any(|nobody| self.matches(nobody))
    }

    /// The exact text, where only that matches.
    fn canonical(&self) -> Self {
        let exact = match self {
            Self::Exact(_) => None,
            Self::Pattern(glob) => Some(glob.as_str()).filter(|text| !text.contains(['*', '?', '{'])).map(str::to_owned),
            Self::Regex(regex) => regex.literal(),
        };
        exact.map_or_else(|| self.clone(), Self::Exact)
    }

    /// The form's name in a policy file, without `issuer` or `subject`.
    pub(super) const fn form(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Pattern(_) => "pattern",
            Self::Regex(_) => "regex",
        }
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(exact) => exact,
            Self::Pattern(glob) => glob.as_str(),
            Self::Regex(regex) => regex.as_str(),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Pattern(glob) => f.write_str(glob.as_str()),
            Self::Regex(regex) => write!(f, "/{}/", regex.as_str()),
        }
    }
}

impl Identity {
    /// Whether this very signer is wanted. A claim that is wanted and absent refuses.
    ///
    /// # Errors
    /// The first thing that is not as wanted.
    pub fn check<'s>(&self, signer: &'s Signer) -> Result<(), Mismatch<'s>> {
        self.check_name(signer)?;
        if *self.trust_root != *signer.trust_root {
            return Err(Mismatch::TrustRoot);
        }
        self.check_claims(signer)
    }

    /// The same, whichever trust root vouches for the signer.
    ///
    /// # Errors
    /// The first thing that is not as wanted.
    pub fn check_under_any_root<'s>(&self, signer: &'s Signer) -> Result<(), Mismatch<'s>> {
        self.check_name(signer)?;
        self.check_claims(signer)
    }

    /// The same for two that ask the same: values of a claim in one order and each once, and what has no wildcards as the exact
    /// text that it is.
    pub(super) fn canonical(&self) -> Self {
        let claims = self.claims.iter().map(|(name, wanted)| {
            let mut wanted: Vec<Matcher> = wanted.iter().map(Matcher::canonical).collect();
            wanted.sort_by(|a, b| (a.form(), a.as_str()).cmp(&(b.form(), b.as_str())));
            wanted.dedup_by(|a, b| (a.form(), a.as_str()) == (b.form(), b.as_str()));
            (*name, wanted)
        });
        Self {
            issuer: self.issuer.canonical(),
            subject: self.subject.canonical(),
            claims: claims.collect(),
            trust_root: Arc::clone(&self.trust_root),
        }
    }

    fn check_name<'s>(&self, signer: &Signer) -> Result<(), Mismatch<'s>> {
        if !self.subject.matches(&signer.subject) {
            let in_part = self.subject.matches_a_part_only(&signer.subject);
            return Err(if in_part { Mismatch::SubjectInPart } else { Mismatch::Subject });
        }
        if !self.issuer.matches(&signer.issuer) {
            let in_part = self.issuer.matches_a_part_only(&signer.issuer);
            return Err(if in_part { Mismatch::IssuerInPart } else { Mismatch::Issuer });
        }
        Ok(())
    }

    fn check_claims<'s>(&self, signer: &'s Signer) -> Result<(), Mismatch<'s>> {
        for (name, any_of) in &self.claims {
            let found = signer.claims.get(name).map(String::as_str);
            if !found.is_some_and(|found| any_of.iter().any(|wanted| wanted.matches(found))) {
                return Err(Mismatch::Claim { name, found });
            }
        }
        Ok(())
    }
}

/// `subject of issuer, claim value, trust root name`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of issuer {}", self.subject, self.issuer)?;
        for (name, any_of) in &self.claims {
            write!(f, ", {name} ")?;
            for (i, wanted) in any_of.iter().enumerate() {
                write!(f, "{}{wanted}", if i == 0 { "" } else { " or " })?;
            }
        }
        if *self.trust_root == *DEFAULT_TRUST_ROOT { Ok(()) } else { write!(f, ", trust root {}", self.trust_root) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::SanKind;

    const ISSUER: &str = "https://token.actions.githubusercontent.com";
    const SUBJECT: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

    fn signer(issuer: &str, subject: &str, claims: &[(&'static str, &str)]) -> Signer {
        Signer {
            trust_root: "default".into(),
            issuer: issuer.into(),
            san_kind: SanKind::Uri,
            subject: subject.into(),
            claims: claims.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        }
    }

    fn exact() -> Identity {
        Identity {
            issuer: Matcher::Exact(ISSUER.into()),
            subject: Matcher::Exact(SUBJECT.into()),
            claims: BTreeMap::from([(
                "runner_environment",
                vec![Matcher::Exact("github-hosted".into()), Matcher::Pattern(Glob::new("acme-*").unwrap())],
            )]),
            trust_root: "default".into(),
        }
    }

    #[test]
    fn i1_i4_the_nearest_miss_is_told() {
        let hosted = [("runner_environment", "github-hosted")];
        assert_eq!(exact().check(&signer(ISSUER, SUBJECT, &hosted)), Ok(()));
        assert_eq!(exact().check(&signer(ISSUER, SUBJECT, &[("runner_environment", "acme-hosted")])), Ok(()));
        assert_eq!(exact().check(&signer(ISSUER, "https://x", &hosted)), Err(Mismatch::Subject));
        assert_eq!(exact().check(&signer("https://oidc.evil", SUBJECT, &hosted)), Err(Mismatch::Issuer));
        let found = Some("self-hosted");
        assert_eq!(
            exact().check(&signer(ISSUER, SUBJECT, &[("runner_environment", "self-hosted")])),
            Err(Mismatch::Claim { name: "runner_environment", found })
        );
    }

    #[test]
    fn i11_a_claim_that_is_wanted_and_absent_refuses() {
        assert_eq!(
            exact().check(&signer(ISSUER, SUBJECT, &[("source_repository_ref", "github-hosted")])),
            Err(Mismatch::Claim { name: "runner_environment", found: None })
        );
    }

    #[test]
    fn a_claims_pattern_matches_the_whole_claim() {
        for (found, good) in [("acme-hosted", true), ("acme-", true), ("xacme-hosted", false), ("acme-a/b", false)] {
            assert_eq!(exact().check(&signer(ISSUER, SUBJECT, &[("runner_environment", found)])).is_ok(), good, "{found}");
        }
    }

    #[test]
    fn i14_another_trust_root_vouches_for_nobody_of_this_one() {
        let mut other = signer(ISSUER, SUBJECT, &[("runner_environment", "github-hosted")]);
        other.trust_root = "github".into();
        assert_eq!(exact().check(&other), Err(Mismatch::TrustRoot));
        let wanted = Identity { trust_root: "github".into(), ..exact() };
        assert_eq!(wanted.check(&other), Ok(()));
    }

    #[test]
    fn i2_a_regex_that_matches_a_part_only_is_told_from_one_that_does_not_match() {
        let regex = |text: &str| Matcher::Regex(AnchoredRegex::new(text).unwrap());
        let wanted = Identity { subject: regex("release.yml@refs/heads/main"), claims: BTreeMap::new(), ..exact() };
        assert_eq!(wanted.check(&signer(ISSUER, SUBJECT, &[])), Err(Mismatch::SubjectInPart));
        assert_eq!(wanted.check(&signer(ISSUER, "https://x", &[])), Err(Mismatch::Subject));
        let wanted = Identity { issuer: regex("githubusercontent"), claims: BTreeMap::new(), ..exact() };
        assert_eq!(wanted.check(&signer(ISSUER, SUBJECT, &[])), Err(Mismatch::IssuerInPart));
        assert_eq!(wanted.check(&signer("https://x", SUBJECT, &[])), Err(Mismatch::Issuer));
    }

    #[test]
    fn i3_issuer_and_subject_are_compared_byte_by_byte() {
        let hosted = [("runner_environment", "github-hosted")];
        for issuer in [
            "https://token.actions.githubusercontent.com/",
            "https://Token.actions.githubusercontent.com",
            "http://token.actions.githubusercontent.com",
            "https://token-actions.githubusercontent.com",
            "https://token.actions.githubusercontent.com:443",
            "https://token.\u{430}ctions.githubusercontent.com",
            "",
        ] {
            assert_eq!(exact().check(&signer(issuer, SUBJECT, &hosted)), Err(Mismatch::Issuer), "{issuer}");
        }
        for subject in [
            "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main ",
            "https://github.com/Acme/app/.github/workflows/release.yml@refs/heads/main",
            "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main2",
            "https://github.com/acme%2Fapp/.github/workflows/release.yml@refs/heads/main",
            "",
        ] {
            assert_eq!(exact().check(&signer(ISSUER, subject, &hosted)), Err(Mismatch::Subject), "{subject}");
        }
    }

    #[test]
    fn matchers_that_let_anyone_pass_are_recognised() {
        for (matcher, anything) in [
            (Matcher::Pattern(Glob::new("**").unwrap()), true),
            (Matcher::Pattern(Glob::new("https://github.com/**").unwrap()), false),
            (Matcher::Regex(AnchoredRegex::new(".*").unwrap()), true),
            (Matcher::Regex(AnchoredRegex::new(".+@.+").unwrap()), true),
            (Matcher::Regex(AnchoredRegex::new("https://.*").unwrap()), true),
            (Matcher::Regex(AnchoredRegex::new(".*@refs/heads/.*").unwrap()), true),
            (Matcher::Pattern(Glob::new("https://**").unwrap()), true),
            (Matcher::Pattern(Glob::new("https://*").unwrap()), true),
            (Matcher::Pattern(Glob::new("*@*").unwrap()), true),
            (Matcher::Pattern(Glob::new("*@acme.test").unwrap()), false),
            (Matcher::Pattern(Glob::new("https://*.acme.test").unwrap()), false),
            (Matcher::Regex(AnchoredRegex::new(".*@acme\\.test").unwrap()), false),
            (Matcher::Exact(SUBJECT.into()), false),
        ] {
            assert_eq!(matcher.is_anything(), anything, "{matcher}");
        }
    }
}
