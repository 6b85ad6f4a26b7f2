//! What came of each requirement of a policy, piece by piece: for a person who asks why, and made for nobody else.

use serde::Serialize;

use crate::oci::Digest;

/// Why a policy answers as it does. `P` is what is told of a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account<P> {
    /// Each of its requirements, also where an exception stands in for all of them.
    pub requirements: Vec<Requirement<P>>,
    /// Its exceptions for the image: the one that stands, and those that ended, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
}

/// One entry of a policy, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement<P> {
    /// Its place in the policy: `signatures[0]`, `attestations[1]`.
    pub entry: String,
    /// What it asks for.
    pub wants: String,
    /// Whether it is met on every manifest that must meet it.
    pub met: bool,
    /// The manifests it was asked of: the image itself, or the platforms of an index. Empty where nobody looked at those.
    pub on: Vec<On<P>>,
}

/// A requirement, asked of what is proven about one manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct On<P> {
    /// The manifest.
    pub digest: Digest,
    /// `os/architecture[/variant]`, where it is a child of the index that is judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whether it meets the requirement.
    pub met: bool,
    /// Why not, as a code from a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why not, in a clause: what was wanted, and the nearest that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What counts towards it; where it is not met, then what does not, the nearest first. What is of another type is among
    /// them only where nothing is of the type wanted.
    pub evidence: Vec<Weighed<P>>,
    /// How many more do not count and are not told, being less near.
    pub left_out: usize,
}

/// A piece of evidence beside a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weighed<P> {
    /// The piece.
    #[serde(flatten)]
    pub piece: P,
    /// Whether it counts towards the requirement.
    pub counts: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failure>,
}

/// Why a piece does not count: the first thing about it that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which thing.
    pub part: Part,
    /// The claim's name, where the thing is a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<&'static str>,
    /// What it should be; of a document or a condition, `why` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What it is; absent where there is none, such as a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// All of it in a clause.
    pub why: String,
}

/// What about a piece is not as wanted, as a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// How old it is.
    Age,
    /// A claim of the certificate.
    Claim,
    /// What its document says: a built-in check or a condition is not satisfied.
    Content,
    /// Its predicate is no document of its type.
    Document,
    /// The issuer.
    Issuer,
    /// How the log vouches for it.
    Log,
    /// A newer one speaks in its place.
    Newest,
    /// The entry takes those who signed the image, and this signer is none of them.
    Signer,
    /// The certificate's name.
    Subject,
    /// The trust root that the certificate chains to.
    TrustRoot,
    /// A signature where an attestation is wanted, or the other way round, or an attestation of another type.
    Type,
}

impl Part {
    /// The name it has in JSON, as words.
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Claim => "claim",
            Self::Content => "content",
            Self::Document => "document",
            Self::Issuer => "issuer",
            Self::Log => "log",
            Self::Newest => "newest",
            Self::Signer => "signer",
            Self::Subject => "subject",
            Self::TrustRoot => "trust root",
            Self::Type => "type",
        }
    }
}

impl<P> Account<P> {
    /// The same, where something else is told of each piece.
    pub fn map<Q>(self, tell: &impl Fn(P) -> Q) -> Account<Q> {
        let weighed = |Weighed { piece, counts, failed }| Weighed { piece: tell(piece), counts, failed };
        let on = |On { digest, platform, met, reason, summary, evidence, left_out }: On<P>| {
            let evidence = evidence.into_iter().map(weighed).collect();
            On { digest, platform, met, reason, summary, evidence, left_out }
        };
        let requirement = |Requirement { entry, wants, met, on: each }| {
            let on = each.into_iter().map(on).collect();
            Requirement { entry, wants, met, on }
        };
        Account { requirements: self.requirements.into_iter().map(requirement).collect(), exceptions: self.exceptions }
    }

    /// Takes over what the same policy says with another platform of the same index: a requirement is met where it is met with
    /// each. What was asked of a manifest both times is told once.
    pub fn absorb(&mut self, other: Self) {
        for (mine, theirs) in self.requirements.iter_mut().zip(other.requirements) {
            mine.met &= theirs.met;
            for on in theirs.on {
                if mine.on.iter().all(|known| known.digest != on.digest) {
                    mine.on.push(on);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_name_in_words_that_it_has_in_json() {
        for part in [
            Part::Age,
            Part::Claim,
            Part::Content,
            Part::Document,
            Part::Issuer,
            Part::Log,
            Part::Newest,
            Part::Signer,
            Part::Subject,
            Part::TrustRoot,
            Part::Type,
        ] {
            assert_eq!(serde_json::to_value(part).unwrap(), part.as_words().replace(' ', "_"));
        }
    }

    #[test]
    fn of_two_platforms_a_requirement_must_be_met_with_both_and_each_manifest_is_told_once() {
        let on = |name: &str| -> On<()> {
            let digest = Digest::sha256(name.as_bytes());
            On { digest, platform: None, met: true, reason: None, summary: None, evidence: Vec::new(), left_out: 0 }
        };
        let account = |met: bool, names: &[&str]| {
            let on = names.iter().map(|name| on(name)).collect();
            let requirement = Requirement { entry: "attestations[0]".into(), wants: "an SBOM".into(), met, on };
            Account { requirements: vec![requirement], exceptions: Vec::new() }
        };
        let mut both = account(true, &["index", "amd64"]);
        both.absorb(account(false, &["index", "arm64"]));
        assert_eq!(both, account(false, &["index", "amd64", "arm64"]));
        let mut both = account(true, &["index"]);
        both.absorb(account(true, &["index"]));
        assert_eq!(both, account(true, &["index"]));
    }
}
