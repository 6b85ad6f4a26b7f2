//! What a person reads. One sentence of printable ASCII, at most about 300 bytes: it is an HTTP/1.1 reason phrase.

use std::fmt;

use super::{
    tags::{Move, TagMoved, command},
    verdict::{Absent, Faulty, NoVerdict, Refusal, RefusalReason, Undecided, UndecidedReason},
};
use crate::{oci::ImageName, policy::Reason};

/// How long a sentence may be, in bytes.
pub const MAX_SENTENCE: usize = 300;

impl Refusal {
    /// The whole sentence: `image@digest: policy, what was wanted, what was found`.
    #[must_use]
    pub fn sentence(&self) -> String {
        if let RefusalReason::TagMoved(moved) = &self.reason {
            return with_command(&command(&self.image, &moved.tag, &self.digest), |room| moved.within(room));
        }
        let (why, aside) = (self.reason.to_string(), self.aside());
        let full = format!("{}@{}: {why}{aside}", self.image, self.digest);
        if full.len() <= MAX_SENTENCE {
            return printable(&full);
        }
        // What was set aside is short and tells cases apart, so the middle gives way.
        let cut = cut(&format!("{}@{}: {why}", short_name(&self.image), self.digest.short()), MAX_SENTENCE - aside.len());
        printable(&(cut + &aside))
    }

    /// What was found though the policy found none of it: signatures copied from another image read otherwise than no
    /// signatures, and a search that a limit ended otherwise than a whole one.
    fn aside(&self) -> String {
        let RefusalReason::Unmet { unmet, .. } = &self.reason else { return String::new() };
        let reason = unmet.first().map(|first| first.reason);
        let missing = matches!(reason, Some(Reason::SignatureMissing | Reason::AttestationMissing));
        if reason == Some(Reason::EvidenceTooLarge) {
            " (set aside: one too large, or nested too deep, to be read)".into()
        } else if reason == Some(Reason::UnsupportedLogEntry) {
            " (set aside: one logged in a form that is not verified)".into()
        } else if missing && self.explanation.denied > 0 {
            format!(" (set aside: {} denied by the deny-list)", self.explanation.denied)
        } else if missing && self.explanation.about_others > 0 {
            format!(" (set aside: {} about another digest)", self.explanation.about_others)
        } else if missing && !self.explanation.limits_hit.is_empty() {
            " (a limit was hit; not everything was read)".into()
        } else {
            String::new()
        }
    }

    /// A code from a closed list, for metrics and for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.reason {
            RefusalReason::Content(_) => "content",
            RefusalReason::Denied(_) => "denied",
            RefusalReason::NoPolicy => "no_policy",
            RefusalReason::NotEvidence => "not_evidence",
            RefusalReason::TagMoved(moved) => moved.code(),
            RefusalReason::Unmet { unmet, .. } => unmet.first().map_or("unmet", |first| first.reason.as_str()),
        }
    }
}

/// What was told in so many bytes, and a command. That is to be copied, so it stays whole. It names the image, which is not told
/// twice: what differs needs the room.
pub(super) fn with_command(command: &str, told: impl FnOnce(usize) -> String) -> String {
    let room = MAX_SENTENCE.saturating_sub(command.len() + 2).max(60);
    printable(&format!("{}; {command}", cut(&told(room), room)))
}

/// The end of a long name, which tells images apart: a name may take 255 bytes, and the reason must not be pushed out by it.
fn short_name(image: &ImageName) -> String {
    const MOST: usize = 90;
    let name = image.to_string();
    // A name is ASCII, so any byte is a boundary.
    if name.len() <= MOST { name } else { format!("...{}", &name[name.len() - MOST..]) }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(error) => write!(f, "{error}"),
            Self::Denied(reason) => write!(f, "denied by the deny-list: {reason}"),
            Self::NoPolicy => f.write_str("no policy names this image"),
            Self::NotEvidence => f.write_str("this tag serves signatures and attestations only, and what it names is neither"),
            Self::TagMoved(moved) => moved.fmt(f),
            Self::Unmet { unmet, .. } => match unmet.as_slice() {
                [] => f.write_str("a policy does not hold"),
                [first, rest @ ..] => {
                    write!(f, "policy {} {}", first.policy, first.summary)?;
                    if rest.is_empty() { Ok(()) } else { write!(f, " (and {} more policies do not hold)", rest.len()) }
                }
            },
        }
    }
}

impl fmt::Display for TagMoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, was) = (&self.policy, self.was.short());
        match &self.how {
            Move::Back { was: signed, is } => {
                write!(f, "policy {policy} guards tags, and this one went back: signed {is}, before it {was} signed {signed}")
            }
            Move::ToAnotherSigner { was: signer, is } => {
                write!(f, "policy {policy} guards tags, and this one is by another signer: {is}; before it {was} by {signer}")
            }
        }
    }
}

impl TagMoved {
    /// The same in so many bytes, if that can be: of two signers that are too long the ends are told, which tell them apart.
    fn within(&self, most: usize) -> String {
        let (policy, tag, before) = (&self.policy, &self.tag, self.was.short());
        match &self.how {
            Move::Back { was, is } => {
                format!("policy {policy}: tag {tag} went back: signed {is}, before it {before} signed {was}")
            }
            Move::ToAnotherSigner { was, is } => {
                let told =
                    |was: &str, is: &str| format!("policy {policy}: tag {tag} is by another signer: {is}; before it by {was}");
                let room = most.saturating_sub(told("", "").len());
                let (was, is) = (whole(was), whole(is));
                let of_was = was.len().min((room / 2).max(room.saturating_sub(is.len())));
                told(&end(&was, of_was), &end(&is, room - of_was))
            }
        }
    }
}

impl NoVerdict {
    /// A code from a closed list, for metrics and for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Absent(_) => "absent",
            Self::CredentialsRefused(_) => "credentials_refused",
            Self::Faulty(_) => "faulty",
            Self::Undecided(undecided) => match &undecided.reason {
                UndecidedReason::Clock(_) => "clock",
                UndecidedReason::EvidenceUnavailable(_) => "evidence_unavailable",
                UndecidedReason::NoTrustRoot(_) => "no_trust_root",
                UndecidedReason::Overloaded => "overloaded",
                UndecidedReason::TagHistory { .. } => "tag_history",
                UndecidedReason::TimedOut => "timed_out",
            },
        }
    }
}

impl fmt::Display for NoVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(absent) => absent.fmt(f),
            Self::CredentialsRefused(error) => f.write_str(&printable(&error.to_string())),
            Self::Faulty(faulty) => faulty.fmt(f),
            Self::Undecided(undecided) => undecided.fmt(f),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream has no such manifest")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)
    }
}

impl fmt::Display for UndecidedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::Clock(why) => format!("it cannot be told yet: {why}"),
            Self::EvidenceUnavailable(why) => format!("it cannot be told now: {why}"),
            Self::NoTrustRoot(why) => format!("it cannot be told without a trust root: {why}"),
            Self::Overloaded => "it cannot be told now: too much work is waiting".into(),
            Self::TagHistory { told, error } => format!("{told} ({error})"),
            Self::TimedOut => "it cannot be told now: judging took longer than there is time".into(),
        };
        f.write_str(&printable(&sentence))
    }
}

/// Printable ASCII, cut to [`MAX_SENTENCE`]: what an upstream or a certificate wrote must not break out of a status line
/// or a header.
#[must_use]
pub fn printable(text: &str) -> String {
    cut(text, MAX_SENTENCE)
}

/// Printable ASCII, at most `most` bytes.
fn cut(text: &str, most: usize) -> String {
    let mut out: String = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    if out.len() > most {
        out.truncate(most.saturating_sub(3));
        out.push_str("...");
    }
    out
}

/// Printable ASCII, however long: for the log.
pub(super) fn whole(text: &str) -> String {
    cut(text, usize::MAX)
}

/// The end of a printable text, at most `most` bytes.
fn end(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let from = text.len() - most.saturating_sub(3);
    format!("...{}", text.get(from..).unwrap_or_default())
}

/// A `Warning` header's value: `299 - "…"`.
#[must_use]
pub fn warning(code: u16, text: &str) -> String {
    format!("{code} - \"{}\"", printable(text).replace(['"', '\\'], "'"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::explain::Explanation, *};
    use crate::{
        oci::{Digest, ImageName},
        policy::Unmet,
    };

    fn refusal(repository: &str, summary: &str) -> Refusal {
        let image = ImageName::new("ghcr.io".parse().unwrap(), repository.parse().unwrap());
        let unmet = Unmet {
            policy: "acme-release".into(),
            summary: summary.into(),
            reason: Reason::SignatureMissing,
            details: Vec::new(),
            wants_platforms: false,
        };
        let reason = RefusalReason::Unmet { unmet: vec![unmet], notes: Vec::new() };
        Refusal { image, digest: Digest::sha256(b"x"), reason, explanation: Arc::default() }
    }

    #[test]
    fn a_refusal_names_image_digest_policy_and_reason() {
        let sentence = refusal("acme/app", "wants a signature by release.yml; found none").sentence();
        let digest = Digest::sha256(b"x");
        let wanted = format!("ghcr.io/acme/app@{digest}: policy acme-release wants a signature by release.yml; found none");
        assert_eq!(sentence, wanted);
    }

    #[test]
    fn b4_copied_signatures_are_told_from_none_and_a_limit_from_the_end() {
        let told = |repository: &str, about_others, limits_hit: &[&str]| {
            let mut refusal = refusal(repository, "wants a signature by release.yml; found none");
            let limits_hit = limits_hit.iter().map(|limit| (*limit).to_owned()).collect();
            refusal.explanation = Arc::new(Explanation { about_others, limits_hit, ..Explanation::default() });
            refusal.sentence()
        };
        assert!(told("acme/app", 0, &[]).ends_with("; found none"));
        for repository in ["acme/app", &"a".repeat(255)] {
            let copied = told(repository, 2, &["pages"]);
            assert!(
                copied.ends_with("found none (set aside: 2 about another digest)") && copied.len() <= MAX_SENTENCE,
                "{copied}"
            );
        }
        assert!(told("acme/app", 0, &["pages"]).ends_with("found none (a limit was hit; not everything was read)"));
        // The clause stays where the policy's own words are cut.
        let mut long = refusal(&"a".repeat(255), &"wants much ".repeat(40));
        long.explanation = Arc::new(Explanation { about_others: 1, ..Explanation::default() });
        let sentence = long.sentence();
        assert!(sentence.ends_with("... (set aside: 1 about another digest)") && sentence.len() <= MAX_SENTENCE, "{sentence}");
    }

    #[test]
    fn a_sentence_is_short_and_printable_whatever_was_found() {
        let long = "wants \r\nX-Evil: 1 \u{202e} ".repeat(40);
        for repository in ["acme/app", &"a".repeat(255)] {
            let sentence = refusal(repository, &long).sentence();
            assert!(sentence.len() <= MAX_SENTENCE && sentence.bytes().all(|b| (b' '..=b'~').contains(&b)), "{sentence}");
        }
        assert_eq!(warning(299, "say \"no\"\n"), "299 - \"say 'no'?\"");
    }

    fn moved(repository: &str, how: Move) -> Refusal {
        let image = ImageName::new("ghcr.io".parse().unwrap(), repository.parse().unwrap());
        let was = Digest::sha256(b"was");
        let moved = TagMoved { tag: "v1".parse().unwrap(), policy: "release".into(), how, was };
        let reason = RefusalReason::TagMoved(Box::new(moved));
        Refusal { image, digest: Digest::sha256(b"is"), reason, explanation: Arc::default() }
    }

    #[test]
    fn a_tags_refusal_tells_who_and_what_was_before_it_and_then_the_whole_command_that_accepts_it() {
        let (digest, ci) = (Digest::sha256(b"is"), "https://ci.acme.test/");
        let command = format!("; to accept it: pullgate policy tag accept ghcr.io/acme/app:v1@{digest} --config FILE");
        let short = || (format!("{ci}nightly.yml"), format!("{ci}\u{202e}.yml"));
        let long = |name: &str| format!("{ci}{}/{name}.yml", "x".repeat(400));
        for (is, was, ends) in [
            (short().0, short().1, [format!("{ci}nightly.yml"), format!("{ci}?.yml")]),
            (long("nightly"), short().1, ["x/nightly.yml".to_owned(), format!("{ci}?.yml")]),
            (short().0, long("release"), [format!("{ci}nightly.yml"), "x/release.yml".to_owned()]),
            (long("nightly"), long("release"), ["x/nightly.yml".to_owned(), "x/release.yml".to_owned()]),
        ] {
            let refusal = moved("acme/app", Move::ToAnotherSigner { was, is });
            let sentence = refusal.sentence();
            assert_eq!(refusal.code(), "tag_signer_changed");
            assert!(sentence.starts_with("policy release: tag v1 is by another signer: "), "{sentence}");
            assert!(sentence.contains(&format!("{}; before it by ", ends[0])), "{sentence}");
            assert!(sentence.ends_with(&format!("{}{command}", ends[1])), "{sentence}");
            assert!(sentence.len() <= MAX_SENTENCE && sentence.bytes().all(|b| (b' '..=b'~').contains(&b)), "{sentence}");
            // What gives way gives no more than it must.
            assert_eq!(sentence.len() == MAX_SENTENCE, sentence.contains("..."), "{sentence}");
        }
        let at = |text: &str| text.parse().unwrap();
        let back = Move::Back { was: at("2026-02-01T00:00:00Z"), is: at("2026-01-01T00:00:00Z") };
        let before = Digest::sha256(b"was").short();
        let what = format!(
            "policy release: tag v1 went back: signed 2026-01-01T00:00:00Z, before it {before} signed 2026-02-01T00:00:00Z{command}"
        );
        assert_eq!(moved("acme/app", back.clone()).sentence(), what);
        assert!(moved(&"a".repeat(255), back).sentence().len() <= MAX_SENTENCE);
    }

    #[test]
    fn of_a_long_name_the_end_is_told_which_tells_images_apart() {
        let sentence = refusal(&format!("{}/the-app", "a".repeat(240)), "wants a signature; found none").sentence();
        let digest = Digest::sha256(b"x").short();
        assert!(sentence.starts_with("...aaa") && sentence.contains(&format!("aaa/the-app@{digest}: policy")), "{sentence}");
        let whole = refusal(&format!("{}/the-app", "a".repeat(74)), &"wants much ".repeat(40)).sentence();
        assert!(whole.starts_with("ghcr.io/aaa"), "ninety bytes are not too many: {whole}");
    }

    #[test]
    fn a_sentence_of_three_hundred_bytes_is_whole() {
        let fits = "x".repeat(MAX_SENTENCE);
        assert_eq!(printable(&fits), fits);
        assert_eq!(printable(&format!("{fits}y")), format!("{}...", "x".repeat(MAX_SENTENCE - 3)));
    }

    #[test]
    fn every_answer_is_told_in_a_sentence_that_moves_no_terminal() {
        let undecided = |reason| NoVerdict::Undecided(Undecided { reason, retry_after: std::time::Duration::from_secs(5) });
        for (answer, code, sentence) in [
            (NoVerdict::Absent(Absent), "absent", "the upstream has no such manifest"),
            (NoVerdict::Faulty(Faulty("it lied\r\n".into())), "faulty", "it lied??"),
            (undecided(UndecidedReason::Clock("x".into())), "clock", "it cannot be told yet: x"),
            (
                undecided(UndecidedReason::EvidenceUnavailable("\u{1b}x".into())),
                "evidence_unavailable",
                "it cannot be told now: ?x",
            ),
            (undecided(UndecidedReason::NoTrustRoot("x".into())), "no_trust_root", "it cannot be told without a trust root: x"),
            (undecided(UndecidedReason::Overloaded), "overloaded", "it cannot be told now: too much work is waiting"),
            (undecided(UndecidedReason::TagHistory { told: "x\n".into(), error: "y".into() }), "tag_history", "x? (y)"),
            (undecided(UndecidedReason::TimedOut), "timed_out", "it cannot be told now: judging took longer than there is time"),
        ] {
            assert_eq!((answer.code(), &*answer.to_string()), (code, sentence));
        }
        let refusal = refusal("acme/app", "wants a signature; found none");
        assert_eq!(refusal.to_string(), refusal.sentence());
    }
}
