//! What is said to a person: short, and of characters that cannot deceive one.

use crate::oci::{Digest, ImageName};

/// Bytes of a message and of a reason phrase. kubelet events are cut at 1,024, and the same text appears twice in them.
pub(super) const MAX_SENTENCE: usize = 300;
/// `image@digest` and what is said of it, within [`MAX_SENTENCE`]: the whole digest if it fits, else its beginning, and
/// what is said is cut last.
pub(super) struct Sentence<'a> {
    pub(super) image: &'a ImageName,
    pub(super) digest: &'a Digest,
    pub(super) says: &'a str,
}

impl Sentence<'_> {
    pub(super) fn fit(&self) -> String {
        let Self { image, digest, says } = self;
        let whole = format!("{image}@{digest} {says}");
        if whole.len() <= MAX_SENTENCE {
            return whole;
        }
        let image = plain(&image.to_string(), 120);
        plain(&format!("{image}@{} {says}", digest.short()), MAX_SENTENCE)
    }
}

/// Printable ASCII of at most `limit` bytes: any other character becomes `?`, a cut shows as `...`.
///
/// What is in certificates and manifests is an attacker's: control characters and bidirectional marks must not reach
/// terminals, events or header lines (J2).
pub(super) fn plain(text: &str, limit: usize) -> String {
    let mut plain: String =
        text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).take(limit + 1).collect();
    if plain.len() > limit {
        plain.truncate(limit.saturating_sub(3));
        plain.push_str("...");
    }
    plain
}
