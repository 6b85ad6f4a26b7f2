//! A predicate as it was signed: raw JSON that is read as a stream, because an SBOM may have 50 MiB.

use std::io::Read;

use bytes::Bytes;

/// A statement's predicate, raw. Cheap to clone. What reads it makes no tree of it unless it is small.
#[derive(Debug, Clone)]
pub struct Predicate {
    text: Bytes,
}

impl Predicate {
    /// The raw JSON from its beginning. May be opened any number of times.
    #[must_use]
    pub fn open(&self) -> Box<dyn Read + Send + '_> {
        Box::new(&*self.text)
    }

    /// How many bytes of JSON it is.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.text.len() as u64
    }

    /// Whether there is nothing: a statement without predicate has `null`, so this is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, where that is at most `limit` bytes.
    #[must_use]
    pub fn whole(&self, limit: usize) -> Option<Bytes> {
        (self.text.len() <= limit).then(|| self.text.clone())
    }
}

impl<T: Into<Bytes>> From<T> for Predicate {
    fn from(text: T) -> Self {
        Self { text: text.into() }
    }
}
