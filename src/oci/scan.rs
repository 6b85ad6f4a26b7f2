//! A streaming check that JSON has one meaning, for documents too large to hold.
//!
//! [`json`](super::json) holds what it checks, which suits manifests. Evidence may be 96 MiB of SBOM, and one string of
//! it may be all of that; here it is walked once, as it is read, and nothing is kept but a hash of each key of the objects
//! still open. What is wanted of it is found by its place, to be read afterwards.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::HashSet,
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
    io::{self, Read},
    ops::Range,
};

use struson::reader::{JsonReader as _, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

/// What a document may look like.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How deep it may nest; at most 128.
    pub depth: usize,
    /// Elements of one array.
    pub items: usize,
    /// Keys of one object.
    pub keys: usize,
    /// What of it is somebody else's format. There arrays may be of any length, objects may have [`FREE_KEYS`] keys, and
    /// keys may differ by case alone (a build's environment variables do). Duplicates are refused there too.
    pub free: Free,
}

/// The part of a document that is somebody else's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Free {
    /// None.
    Nothing,
    /// The value of this key at the top.
    Under(&'static str),
    /// The value of every key at the top.
    Values,
}

/// Keys inside the free part of all the objects open at once, one within the other: what is remembered to find duplicates
/// must stay bounded too, and a bound for each of 64 nested ones would be 200 MiB.
pub const FREE_KEYS: usize = 65_536;
/// A key in the free part, in bytes. One is held while it is looked at.
const FREE_KEY: u64 = 64 << 10;
/// A key elsewhere.
const KEY: u64 = 4 << 10;
/// A number. JSON has them of any size (`1e999`); what a reader makes of one is for whoever asks for it.
const NUMBER: u64 = 1 << 10;
/// What struson reads ahead.
const AHEAD: u64 = 1 << 10;

/// A key at the top, or one in the object that is its value.
pub type Path = (&'static str, Option<&'static str>);

/// A value that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where its text lies, in bytes from the document's beginning; with its quotes, where it is a string.
    pub range: Range<u64>,
    /// What there is to say of it without holding it, where it is a string.
    pub string: Option<Text>,
    /// It is `null`.
    pub null: bool,
}

/// A string that was walked over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// Its bytes, without quotes and with its escapes read.
    pub len: u64,
    /// How many `=` it ends with.
    pub padding: u64,
    /// Whether it has `-` or `_`, which only one alphabet of base64 has.
    pub url_safe: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Scan {
    /// The wanted values, in the order they were asked for.
    pub found: Vec<Option<Found>>,
    /// It is an object.
    pub is_object: bool,
    /// The keys at the top, as readers see them that ignore case.
    pub keys: Vec<String>,
}

/// Why a document was not walked to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It has no one meaning, or none at all.
    #[error("{0}")]
    Malformed(String),
    /// It exceeds a rule.
    #[error("{0}")]
    TooLarge(String),
    /// It could not be read, which says nothing of it.
    #[error("{0}")]
    Unreadable(String),
}

/// Walks `source`: one JSON document, nothing behind it, no duplicate keys, within `rules`, read to its end. An
/// [`InvalidData`](io::ErrorKind::InvalidData) error of the source is the document's fault.
///
/// # Errors
/// [`ScanError`].
pub fn scan<R: Read>(source: R, rules: &Rules, wanted: &[Path]) -> Result<Scan, ScanError> {
    let guard = Guard { fuse: Cell::new(u64::MAX), failed: Cell::new(None) };
    let settings = ReaderSettings { track_path: false, restrict_number_values: false, ..ReaderSettings::default() };
    let json = JsonStreamReader::new_custom(Guarded { source, guard: &guard }, settings);
    let scan = Scan { found: vec![None; wanted.len()], is_object: false, keys: Vec::new() };
    let hashes = [RandomState::new(), RandomState::new()];
    let walked = Walk { json, guard: &guard, rules, wanted, scan, free_keys: 0, hashes }.document();
    walked.map_err(|error| match (guard.failed.get(), error) {
        (None, error) => error,
        (Some(kind), ScanError::Malformed(text) | ScanError::TooLarge(text) | ScanError::Unreadable(text)) => match kind {
            io::ErrorKind::FileTooLarge => ScanError::TooLarge(text),
            io::ErrorKind::InvalidData => ScanError::Malformed(text),
            _ => ScanError::Unreadable(text),
        },
    })
}

/// How readers that ignore case see a key (Go's encoding/json): `ſ` and the Kelvin sign are the two that meet ASCII.
fn fold(key: &str) -> Cow<'_, str> {
    if key.is_ascii() {
        // As most keys are written.
        let folded = key.bytes().all(|byte| !byte.is_ascii_uppercase());
        return if folded { key.into() } else { key.to_ascii_lowercase().into() };
    }
    key.replace('\u{17f}', "s").replace('\u{212a}', "k").to_lowercase().into()
}

impl From<ReaderError> for ScanError {
    fn from(error: ReaderError) -> Self {
        match &error {
            ReaderError::MaxNestingDepthExceeded { .. } => Self::TooLarge(error.to_string()),
            // Whatever else it says, or will say, it is about the document; what the source says is told apart by `Guard`.
            _ => Self::Malformed(error.to_string()),
        }
    }
}

/// What the source tells past struson, which has no bound of its own for the keys it holds and wraps the source's errors.
struct Guard {
    /// How many bytes more it lets through.
    fuse: Cell<u64>,
    /// How the source failed.
    failed: Cell<Option<io::ErrorKind>>,
}

struct Guarded<'g, R> {
    source: R,
    guard: &'g Guard,
}

impl<R: Read> Read for Guarded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.guard.fuse.get();
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = if left == 0 {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, "a key or a number is too long"))
        } else {
            self.source.read(&mut buffer[..len])
        };
        match &read {
            Ok(read) => self.guard.fuse.set(left - *read as u64),
            // Not a failure: whoever reads asks again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.guard.failed.set(Some(error.kind())),
        }
        read
    }
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place {
    /// How much deeper it may nest.
    depth: usize,
    free: bool,
    level: Level,
}

#[derive(Clone, Copy)]
enum Level {
    Document,
    /// Under this key at the top, if it is one whose inside is wanted.
    Top(Option<&'static str>),
    Deeper,
}

struct Walk<'a, R: Read> {
    json: JsonStreamReader<Guarded<'a, R>>,
    guard: &'a Guard,
    rules: &'a Rules,
    wanted: &'a [Path],
    scan: Scan,
    /// Keys remembered of the free objects open now.
    free_keys: usize,
    /// Keyed by chance, so that nobody can write two keys that look like one. 128 bits, so that none do.
    hashes: [RandomState; 2],
}

impl<R: Read> Walk<'_, R> {
    fn document(mut self) -> Result<Scan, ScanError> {
        self.scan.is_object = self.json.peek()? == ValueType::Object;
        self.value(Place { depth: self.rules.depth, free: false, level: Level::Document })?;
        self.json.consume_trailing_whitespace()?;
        Ok(self.scan)
    }

    fn value(&mut self, place: Place) -> Result<(), ScanError> {
        match self.json.peek()? {
            ValueType::Array => self.array(place),
            ValueType::Object => self.object(place),
            ValueType::Boolean | ValueType::Null | ValueType::String => Ok(self.json.skip_value()?),
            ValueType::Number => {
                self.guard.fuse.set(AHEAD + NUMBER);
                self.json.next_number_as_str()?;
                self.guard.fuse.set(u64::MAX);
                Ok(())
            }
        }
    }

    fn deeper(&self, place: Place) -> Result<usize, ScanError> {
        let exceeds = || ScanError::TooLarge(format!("nested more than {} deep", self.rules.depth));
        place.depth.checked_sub(1).ok_or_else(exceeds)
    }

    fn array(&mut self, place: Place) -> Result<(), ScanError> {
        let inner = Place { depth: self.deeper(place)?, level: Level::Deeper, ..place };
        self.json.begin_array()?;
        let mut items = 0_usize;
        while self.json.has_next()? {
            items += 1;
            if !place.free && items > self.rules.items {
                return Err(ScanError::TooLarge(format!("an array has more than {} elements", self.rules.items)));
            }
            self.value(inner)?;
        }
        Ok(self.json.end_array()?)
    }

    fn object(&mut self, place: Place) -> Result<(), ScanError> {
        let depth = self.deeper(place)?;
        let outside = self.free_keys;
        let mut seen = Seen::default();
        self.json.begin_object()?;
        while self.json.has_next()? {
            let next = self.key(place, &mut seen)?;
            if place.free {
                self.free_keys = outside + seen.len();
                if self.free_keys > FREE_KEYS {
                    return Err(ScanError::TooLarge(format!("an object and those around it have more than {FREE_KEYS} keys")));
                }
            } else if seen.len() > self.rules.keys {
                return Err(ScanError::TooLarge(format!("an object has more than {} keys", self.rules.keys)));
            }
            let inner = Place { depth, free: place.free || next.free, level: next.level };
            match next.wanted {
                None => self.value(inner)?,
                Some(at) => {
                    let found = self.found(inner)?;
                    self.scan.found[at] = Some(found);
                }
            }
        }
        self.free_keys = outside;
        Ok(self.json.end_object()?)
    }

    /// The next key, which must not be among those `seen`: what it means for its value.
    fn key(&mut self, place: Place, seen: &mut Seen) -> Result<Next, ScanError> {
        self.guard.fuse.set(AHEAD + if place.free { FREE_KEY } else { KEY });
        let key = self.json.next_name()?;
        self.guard.fuse.set(u64::MAX);
        let hash = |key: &str| {
            let [high, low] = [&self.hashes[0], &self.hashes[1]].map(|state| u128::from(state.hash_one(key)));
            high << 64 | low
        };
        if place.free {
            // Most keys of a large document come this way.
            return match seen.insert(hash(key)) {
                true => Ok(Next { free: true, level: Level::Deeper, wanted: None }),
                false => Err(ScanError::Malformed("key appears twice".into())),
            };
        }
        let folded = fold(key);
        if !seen.insert(hash(&folded)) {
            let shown: String = key.chars().take(80).collect();
            return Err(ScanError::Malformed(format!("key `{}` appears twice", shown.escape_default())));
        }
        let position = |path: &dyn Fn(&Path) -> bool| self.wanted.iter().position(path);
        let (free, level, wanted) = match place.level {
            Level::Document => {
                let known = self.wanted.iter().map(|(top, _)| *top).find(|known| *known == key);
                let free = match self.rules.free {
                    Free::Nothing => false,
                    Free::Under(free) => free == key,
                    Free::Values => true,
                };
                (free, Level::Top(known), position(&|(top, below)| *top == key && below.is_none()))
            }
            Level::Top(Some(parent)) => (false, Level::Deeper, position(&|(top, below)| *top == parent && *below == Some(key))),
            Level::Top(None) | Level::Deeper => (false, Level::Deeper, None),
        };
        if matches!(place.level, Level::Document) {
            self.scan.keys.push(folded.into_owned());
        }
        Ok(Next { free, level, wanted })
    }

    /// Walks over a value that is wanted.
    fn found(&mut self, place: Place) -> Result<Found, ScanError> {
        let kind = self.json.peek()?;
        let start = self.position();
        let mut string = None;
        if kind == ValueType::String {
            let mut text = Text::default();
            let mut reader = self.json.next_string_reader()?;
            let mut piece = [0; 4 << 10];
            loop {
                let len = reader.read(&mut piece).map_err(|error| ScanError::Malformed(error.to_string()))?;
                if len == 0 {
                    break;
                }
                text.add(&piece[..len]);
            }
            drop(reader);
            string = Some(text);
        } else {
            self.value(place)?;
        }
        Ok(Found { range: start..self.position(), string, null: kind == ValueType::Null })
    }

    fn position(&self) -> u64 {
        // This reader always knows.
        self.json.current_position(false).data_pos.unwrap_or_default()
    }
}

impl Text {
    fn add(&mut self, piece: &[u8]) {
        self.len += piece.len() as u64;
        let padding = piece.iter().rev().take_while(|byte| **byte == b'=').count();
        self.padding = if padding == piece.len() { self.padding + padding as u64 } else { padding as u64 };
        self.url_safe |= piece.contains(&b'-') || piece.contains(&b'_');
    }
}

/// What a key means for its value.
struct Next {
    free: bool,
    level: Level,
    wanted: Option<usize>,
}

/// The keys of an object so far.
type Seen = HashSet<u128, BuildHasherDefault<Hashed>>;

/// What is a keyed hash already needs no other.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    // One of the two hashes that make it up.
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
