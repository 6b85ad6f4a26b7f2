//! A predicate as it was signed: raw JSON that is read as a stream, because an SBOM may have 50 MiB.

use std::{io::Read, ops::Range};

use bytes::Bytes;

use super::payload::Payload;

/// A statement's predicate, raw. Cheap to clone. What reads it makes no tree of it unless it is small.
///
/// A large one is read from its file anew each time it is opened, after its signature was verified. It is what was signed
/// all the same: no block of the file is given out that does not hash as it did when the whole was checked (see
/// [`Document`](crate::evidence::Document)).
#[derive(Debug, Clone)]
pub struct Predicate(Form);

#[derive(Debug, Clone)]
enum Form {
    /// In the statement that is this payload, at this place.
    Part(Payload, Range<u64>),
    Text(Bytes),
}

impl Predicate {
    pub(super) const fn part(payload: Payload, range: Range<u64>) -> Self {
        Self(Form::Part(payload, range))
    }

    /// One whose file is gone bad.
    #[cfg(test)]
    pub(crate) fn unreadable() -> Self {
        let document = crate::evidence::Document::of_file(tempfile::tempfile().unwrap(), br#"{"payload":"e30K"}"#);
        let found = crate::oci::scan::Found { range: 11..17, string: Some(Default::default()), null: false };
        Self::part(Payload::at(&found, &document, false).unwrap(), 0..3)
    }

    /// The raw JSON from its beginning. May be opened any number of times. An error of it says nothing of the predicate; see
    /// [`damage`](Self::damage).
    #[must_use]
    pub fn open(&self) -> Box<dyn Read + Send + '_> {
        match &self.0 {
            Form::Part(payload, range) => payload.range(range.clone()),
            Form::Text(text) => Box::new(&**text),
        }
    }

    /// How many bytes of JSON it is.
    #[must_use]
    pub const fn len(&self) -> u64 {
        match &self.0 {
            Form::Part(_, range) => range.end.saturating_sub(range.start),
            Form::Text(text) => text.len() as u64,
        }
    }

    /// Whether there is nothing: a statement without predicate has `null`, so this is never so.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, where that is at most `limit` bytes and can be read.
    #[must_use]
    pub fn whole(&self, limit: usize) -> Option<Bytes> {
        if self.len() > limit as u64 {
            return None;
        }
        match &self.0 {
            Form::Part(payload, range) => payload.slice(range.clone()).ok(),
            Form::Text(text) => Some(text.clone()),
        }
    }

    /// Why it could not be read, if that happened: what was concluded from it is void then, and the outcome undecided.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        match &self.0 {
            Form::Part(payload, _) => payload.damage(),
            Form::Text(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Predicate {
    fn from(text: T) -> Self {
        Self(Form::Text(text.into()))
    }
}
