//! JSON as a stream with bounds: nothing is a tree here, and what is kept of a document is kept by name.
//!
//! An SBOM may have 50 MiB, and all of it may stand in one string of another JSON document. So documents are read token
//! by token from whatever gives their bytes, and a string that holds a document is read through, not held.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use struson::reader::{JsonReader as _, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

use super::DocumentError;

/// Bytes of one text that is kept, as written; a licence's text in an SBOM has some ten thousand.
pub(super) const MAX_TEXT: usize = 64 << 10;
/// Bytes of all texts kept at one time: of one package or finding, and of those around it.
pub(super) const MAX_ITEM: usize = 1 << 20;
/// How deep a document may nest. SPDX stays below ten; CycloneDX components and JSON-LD nest further.
const MAX_DEPTH: u32 = 64;
/// No end in sight.
const UNBOUNDED: usize = usize::MAX;

/// One JSON text while it is read. Its readers are called in the order of the text.
pub(super) struct Json<'r> {
    inner: JsonStreamReader<Metered<'r>>,
    allowance: Rc<Cell<usize>>,
    kept: usize,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Null,
    Object,
    /// A number, `true` or `false`.
    Scalar,
    Text,
}

/// Gives out bytes while there is an allowance, so that what the JSON reader must hold in one piece is bounded.
struct Metered<'r> {
    source: Box<dyn Read + 'r>,
    allowance: Rc<Cell<usize>>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.get();
        if allowed == 0 {
            return Err(io::Error::other(format!("a key or text is longer than {MAX_TEXT} bytes")));
        }
        let most = buffer.len().min(allowed);
        let read = self.source.read(&mut buffer[..most])?;
        if allowed != UNBOUNDED {
            self.allowance.set(allowed.saturating_sub(read));
        }
        Ok(read)
    }
}

impl<'r> Json<'r> {
    pub(super) fn new(source: impl Read + 'r) -> Self {
        let allowance = Rc::new(Cell::new(UNBOUNDED));
        let metered = Metered { source: Box::new(source), allowance: Rc::clone(&allowance) };
        let settings = ReaderSettings { max_nesting_depth: Some(MAX_DEPTH), track_path: false, ..ReaderSettings::default() };
        Self { inner: JsonStreamReader::new_custom(metered, settings), allowance, kept: 0 }
    }

    pub(super) fn kind(&mut self) -> Result<Kind, DocumentError> {
        Ok(match self.inner.peek().map_err(malformed)? {
            ValueType::Array => Kind::List,
            ValueType::Boolean | ValueType::Number => Kind::Scalar,
            ValueType::Null => Kind::Null,
            ValueType::Object => Kind::Object,
            ValueType::String => Kind::Text,
        })
    }

    /// An object: `each` reads the value of every key that is among `keys`; other values are passed over.
    ///
    /// A second one of `keys`, or one in other capitals that is not itself among them, is an error: two readers would see two
    /// documents (A6).
    pub(super) fn object(
        &mut self,
        keys: &[&'static str],
        mut each: impl FnMut(&mut Self, &'static str) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        let each = |json: &mut Self, key| match key {
            Some(key) => each(json, key),
            None => json.skip(),
        };
        self.every(keys, |_| Ok(()), each)
    }

    /// As [`Json::object`], and `each` reads the values of other keys too, whose names `other` sees.
    pub(super) fn every(
        &mut self,
        keys: &[&'static str],
        mut other: impl FnMut(&str) -> Result<(), DocumentError>,
        mut each: impl FnMut(&mut Self, Option<&'static str>) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        let mut seen = 0_u64;
        self.inner.begin_object().map_err(malformed)?;
        while self.inner.has_next().map_err(malformed)? {
            self.allowance.set(MAX_TEXT);
            let name = self.inner.next_name().map_err(malformed)?;
            self.allowance.set(UNBOUNDED);
            let exactly = keys.iter().position(|key| *key == name);
            match exactly.or_else(|| keys.iter().position(|key| same(key, name))) {
                None => {
                    other(name)?;
                    each(self, None)?;
                }
                Some(at) if keys[at] != name => {
                    return Err(DocumentError::Malformed(format!("has key `{}` for `{}`", shown(name), keys[at])));
                }
                Some(at) if seen & (1 << at) != 0 => {
                    return Err(DocumentError::Malformed(format!("has key `{}` twice", keys[at])));
                }
                Some(at) => {
                    seen |= 1 << at;
                    each(self, Some(keys[at]))?;
                }
            }
        }
        self.inner.end_object().map_err(malformed)
    }

    /// A list; `each` reads one item. `null` is an empty one, as Go writes them.
    pub(super) fn list(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), DocumentError>) -> Result<(), DocumentError> {
        if self.kind()? == Kind::Null {
            return self.skip();
        }
        self.inner.begin_array().map_err(malformed)?;
        while self.inner.has_next().map_err(malformed)? {
            each(self)?;
        }
        self.inner.end_array().map_err(malformed)
    }

    /// A list, or one item that stands alone.
    pub(super) fn one_or_list(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        match self.kind()? {
            Kind::List | Kind::Null => self.list(each),
            Kind::Object | Kind::Scalar | Kind::Text => each(self),
        }
    }

    /// A text, kept: at most [`MAX_TEXT`] bytes, and [`MAX_ITEM`] with all that is kept beside it, see [`Json::item`].
    pub(super) fn text(&mut self) -> Result<String, DocumentError> {
        self.inner.peek().map_err(malformed)?;
        self.allowance.set(MAX_TEXT);
        let text = self.inner.next_string().map_err(malformed)?;
        self.allowance.set(UNBOUNDED);
        self.keep(&text)?;
        Ok(text)
    }

    fn keep(&mut self, text: &str) -> Result<(), DocumentError> {
        self.kept = self.kept.saturating_add(text.len());
        if self.kept > MAX_ITEM {
            let message = format!("has one package or finding of more than {MAX_ITEM} bytes, with those around it");
            return Err(DocumentError::Malformed(message));
        }
        Ok(())
    }

    /// A text that says something, or `None` for `null` and blanks.
    pub(super) fn text_or_null(&mut self) -> Result<Option<String>, DocumentError> {
        if self.kind()? == Kind::Null {
            return self.skip().map(|()| None);
        }
        Ok(Some(self.text()?).filter(|text| !text.trim().is_empty()))
    }

    /// A text where there is one; any other value is passed over.
    pub(super) fn text_if_any(&mut self) -> Result<Option<String>, DocumentError> {
        if self.kind()? == Kind::Text { self.text_or_null() } else { self.skip().map(|()| None) }
    }

    /// A text of at most `max` bytes, kept; a longer one is passed over, whatever its size, as any other value is.
    pub(super) fn text_up_to(&mut self, max: usize) -> Result<Option<String>, DocumentError> {
        if self.kind()? != Kind::Text {
            return self.skip().map(|()| None);
        }
        let broken = |error: io::Error| DocumentError::Malformed(format!("is not JSON: {error}"));
        let mut string = self.inner.next_string_reader().map_err(malformed)?;
        let mut text = Vec::new();
        (&mut string).take(max as u64 + 1).read_to_end(&mut text).map_err(broken)?;
        io::copy(&mut string, &mut io::sink()).map_err(broken)?;
        let text = Some(text).filter(|text| text.len() <= max).and_then(|text| String::from_utf8(text).ok());
        drop(string);
        let text = text.filter(|text| !text.trim().is_empty());
        self.keep(text.as_deref().unwrap_or_default())?;
        Ok(text)
    }

    /// Reads something of which nothing is kept once it is read, so that it counts only meanwhile: a document may have any
    /// number of items, beside each other or in one around them.
    pub(super) fn item<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, DocumentError>) -> Result<T, DocumentError> {
        let before = self.kept;
        let outcome = read(self)?;
        self.kept = before;
        Ok(outcome)
    }

    /// A list of such items.
    pub(super) fn items(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), DocumentError>) -> Result<(), DocumentError> {
        self.list(|json| json.item(&mut each))
    }

    /// Passes over a value, whatever its size.
    pub(super) fn skip(&mut self) -> Result<(), DocumentError> {
        self.inner.skip_value().map_err(malformed)
    }

    /// Reads the JSON text that a string holds, without holding it. `read` gets the string's characters as bytes, and reads all.
    pub(super) fn inside<T>(&mut self, read: impl FnOnce(&mut dyn Read) -> Result<T, DocumentError>) -> Result<T, DocumentError> {
        let mut string = self.inner.next_string_reader().map_err(malformed)?;
        let outcome = read(&mut string)?;
        // The string reader must see its own end before the outer document can go on.
        let mut rest = [0];
        match string.read(&mut rest) {
            Ok(0) => Ok(outcome),
            Ok(_) => Err(DocumentError::Malformed("has something behind the document in its string".into())),
            Err(error) => Err(DocumentError::Malformed(format!("is not JSON: {error}"))),
        }
    }

    /// The end: nothing but white space may follow.
    pub(super) fn end(self) -> Result<(), DocumentError> {
        self.inner.consume_trailing_whitespace().map_err(malformed)
    }
}

/// A key for a sentence, or its beginning.
pub(super) fn shown(key: &str) -> String {
    key.escape_default().take(40).collect()
}

fn malformed(error: ReaderError) -> DocumentError {
    DocumentError::Malformed(match error {
        ReaderError::UnexpectedValueType { expected, actual, location } => {
            format!("has {} where {} belongs, at {location}", named(actual), named(expected))
        }
        ReaderError::IoError { error, .. } => format!("is not JSON: {error}"),
        other => format!("is not JSON: {other}"),
    })
}

const fn named(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Array => "a list",
        ValueType::Boolean => "true or false",
        ValueType::Null => "null",
        ValueType::Number => "a number",
        ValueType::Object => "an object",
        ValueType::String => "text",
    }
}

/// Whether readers that ignore case see `name` as `key` (Go's encoding/json): `ſ` and the Kelvin sign meet ASCII too.
fn same(key: &str, name: &str) -> bool {
    if name.is_ascii() {
        return key.eq_ignore_ascii_case(name);
    }
    key.eq_ignore_ascii_case(&name.replace('\u{17f}', "s").replace('\u{212a}', "k"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a11_keys_texts_items_and_depth_are_bounded() {
        let read = |text: &str| {
            let mut json = Json::new(text.as_bytes());
            let mut kept = Vec::new();
            json.object(&["a", "b"], |json, _| json.list(|json| json.text().map(|text| kept.push(text.len()))))?;
            json.end().map(|()| kept)
        };
        assert_eq!(read(r#"{"a": ["x", ""], "c": [[{"d": 1e999}]], "b": null}"#), Ok(vec![1, 0]));
        let long = "x".repeat(MAX_TEXT + 2048);
        assert!(read(&format!(r#"{{"a": ["{long}"]}}"#)).unwrap_err().to_string().contains("longer than 65536 bytes"));
        assert!(read(&format!(r#"{{"{long}": 1}}"#)).unwrap_err().to_string().contains("longer than 65536 bytes"));
        assert_eq!(read(&format!(r#"{{"c": "{long}", "a": []}}"#)), Ok(vec![]), "what is passed over may have any length");
        let most = format!(r#""{}""#, "x".repeat(60_000));
        assert!(read(&format!(r#"{{"a": [{}]}}"#, vec![most; 18].join(","))).is_err());
        let whole = vec![format!(r#""{}""#, "x".repeat(MAX_ITEM / 32)); 32].join(",");
        assert!(read(&format!(r#"{{"a": [{whole}]}}"#)).is_ok() && read(&format!(r#"{{"a": [{whole}, "x"]}}"#)).is_err());
        assert!(read(&format!(r#"{{"c": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))).is_err());
    }

    #[test]
    fn a11_a_text_that_is_too_long_to_be_a_name_is_passed_over() {
        let mut json = Json::new(r#"["abc", "abcd", "éa", "éé\n", " ", null, {"a": []}, "x"]"#.as_bytes());
        let mut read = Vec::new();
        json.list(|json| json.text_up_to(3).map(|text| read.push(text))).unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read, [some("abc"), None, some("éa"), None, None, None, None, some("x")]);
        json.end().unwrap();
        let long = format!("[\"{}\", 1]", "x".repeat(MAX_TEXT * 4));
        assert_eq!(Json::new(long.as_bytes()).list(|json| json.text_up_to(3).map(drop)), Ok(()));
        assert!(Json::new(&b"[\"abcdef"[..]).list(|json| json.text_up_to(3).map(drop)).is_err());
        // What is kept counts as any other text that is.
        let many = format!("[{}]", vec!["\"abc\""; MAX_ITEM / 3 + 1].join(","));
        assert!(Json::new(many.as_bytes()).list(|json| json.text_up_to(3).map(drop)).is_err());
        assert_eq!(Json::new(many.as_bytes()).items(|json| json.text_up_to(3).map(drop)), Ok(()));
    }

    #[test]
    fn a6_keys_that_differ_in_capitals_alone_are_told_apart_where_both_are_known() {
        let mut read = Vec::new();
        let text = r#"{"results": 1, "Results": 2}"#;
        let each = |json: &mut Json<'_>, key| {
            read.push(key);
            json.skip()
        };
        assert_eq!(Json::new(text.as_bytes()).object(&["Results", "results"], each), Ok(()));
        assert_eq!(read, ["results", "Results"]);
    }

    #[test]
    fn a6_a_key_is_unique_in_any_capitals() {
        let read = |text: &str| Json::new(text.as_bytes()).object(&["name", "licenses"], |json, _| json.skip());
        assert!(read(r#"{"name": 1, "licenses": 2, "other": 3, "other": 4}"#).is_ok());
        for twice in [r#"{"name": 1, "name": 2}"#, r#"{"Name": 1}"#, "{\"licen\u{17f}es\": 1}", r#"{"n\u0061me": 1, "name": 1}"#]
        {
            assert!(matches!(read(twice), Err(DocumentError::Malformed(_))), "{twice}");
        }
    }
}
