//! `additionalExtensions` as claims.

use std::collections::BTreeMap;

use super::{
    super::{
        Import,
        draft::{Claim, Text},
        pairs,
        source::{Map, Unreadable},
        wildcard::{self, Token},
    },
    identity::{Wild, identity_text},
};
use crate::yaml::shown;

/// cosign's names of the six old GitHub extensions, by OID too, and ours. The first is the issuer.
const EXTENSIONS: [(&str, &str, &str); 6] = [
    ("oidcIssuer", "1.3.6.1.4.1.57264.1.1", ""),
    ("githubWorkflowTrigger", "1.3.6.1.4.1.57264.1.2", "github_workflow_trigger"),
    ("githubWorkflowSha", "1.3.6.1.4.1.57264.1.3", "github_workflow_sha"),
    ("githubWorkflowName", "1.3.6.1.4.1.57264.1.4", "github_workflow_name"),
    ("githubWorkflowRepository", "1.3.6.1.4.1.57264.1.5", "github_workflow_repository"),
    ("githubWorkflowRef", "1.3.6.1.4.1.57264.1.6", "github_workflow_ref"),
];

type Claims = Result<BTreeMap<&'static str, Claim>, String>;

/// `additionalExtensions` as claims; the issuer among them narrows `issuer`. The inner error was reported.
pub(in crate::import) fn claims(import: &mut Import, map: &Map<'_>, issuer: &mut Text) -> Result<Claims, Unreadable> {
    let mut found = BTreeMap::new();
    for (key, item) in pairs(map)? {
        let Some((.., name)) = EXTENSIONS.iter().find(|(name, oid, _)| *name == key || *oid == key) else {
            let why = format!("the extension `{}` is unknown there too: an error at run time", shown(key));
            import.nobody(item.spot(), why.clone());
            return Ok(Err(why));
        };
        // An extension that a certificate lacks is empty text there, which a star matches too.
        if wildcard::kyverno(item.text()?) == [Token::Across] {
            let message = format!("`{}` may be anything there, and may be absent: it asks for nothing, so nor here", shown(key));
            import.findings.note(item.spot(), None, message);
            continue;
        }
        let Some(Ok(text)) = identity_text(import, &item, Wild::Active)? else {
            let why = format!("the extension `{}` has a value that cannot be carried over", shown(key));
            import.nobody(item.spot(), why.clone());
            return Ok(Err(why));
        };
        if name.is_empty() {
            if *issuer == Text::anything() || *issuer == text {
                *issuer = text;
                continue;
            }
            let why = "an issuer and another `oidcIssuer` cannot both be said here".to_owned();
            import.nobody(item.spot(), why.clone());
            return Ok(Err(why));
        }
        let claim = match text {
            Text::Exact(exact) => Claim::Exact(exact),
            Text::Regex(_) => match claim_globs(&wildcard::kyverno(item.text()?)) {
                Ok(globs) => Claim::Patterns(globs),
                Err(why) => {
                    import.nobody(item.spot(), why.clone());
                    return Ok(Err(why));
                }
            },
        };
        // By name and by OID it can be there twice, and each must hold.
        if found.insert(*name, claim.clone()).is_some_and(|other| other != claim) {
            let why = format!("the extension `{}` is wanted twice, with two values, which cannot be said here", shown(key));
            import.nobody(item.spot(), why.clone());
            return Ok(Err(why));
        }
    }
    Ok(Ok(found))
}

/// Globs of our format for a wildcard that crosses `/`.
fn claim_globs(tokens: &[Token]) -> Result<Vec<String>, String> {
    if let Some(Token::Char(c)) = tokens.iter().find(|token| matches!(token, Token::Char('[' | ']' | '{' | '}'))) {
        return Err(format!("`{c}` in a claim's wildcard cannot be said here"));
    }
    wildcard::globs(tokens, false, 16).ok_or("a claim's wildcard would be too many patterns".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::pattern::{AnchoredRegex, Glob};

    proptest! {
        #[test]
        fn a_claims_globs_match_what_the_wildcard_matches(theirs in "[ab/*?]{1,6}", text in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            let tokens = wildcard::kyverno(&theirs);
            let Ok(globs) = claim_globs(&tokens) else { return Ok(()) };
            let wanted = AnchoredRegex::new(&wildcard::regex(&tokens)).unwrap().matches(&text);
            let ours = globs.iter().any(|glob| Glob::new(glob).unwrap().matches(&text));
            prop_assert_eq!(ours, wanted, "{} {:?} {}", theirs, globs, text);
        }
    }
}
