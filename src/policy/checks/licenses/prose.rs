//! Texts that are no expressions.

use super::list::{self, License};

/// A text that is no expression, as names are looked for in it.
pub(super) struct Prose {
    /// In small letters.
    pub(super) lower: String,
    /// Its words, see [`spelled`].
    pub(super) words: String,
    /// Its words and versions, where something else stands there too.
    plain: Option<String>,
    /// The licences whose id is in it.
    pub(super) ids: Vec<License>,
}

impl Prose {
    pub(super) fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let plain = Some(list::words_alone(&lower)).filter(|plain| *plain != lower);
        Self { words: spelled(&lower), plain, ids: list::ids_in(&lower), lower }
    }

    /// In which names of licences are looked for.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.lower.as_str()).chain(self.plain.as_deref())
    }
}

/// The words of a text in small letters, each between spaces, whatever stands between them in it.
pub(super) fn spelled(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase);
    format!(" {} ", words.collect::<Vec<_>>().join(" "))
}
