//! A DSSE payload: decoded in memory while it is small, left as base64 text in the document it came in where it is not.

use std::{
    io::{self, BufRead, Read},
    ops::Range,
};

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    read::DecoderReader,
};
use bytes::Bytes;
use sigstore_types::PayloadBytes;

use super::{VerifyError, clean};
use crate::{
    evidence::{Document, DocumentReader},
    oci::scan::Found,
};

/// As ProtoJSON reads bytes, and with it the crate: either alphabet, padded or not; but never both, and never bits left over.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// A payload, decoded. Cheap to clone; may be opened any number of times, and is the same each time: a [`Document`] sees to
/// that.
#[derive(Debug, Clone)]
pub(super) struct Payload(Form);

#[derive(Debug, Clone)]
enum Form {
    Filed(Filed),
    Held(Bytes),
}

#[derive(Debug, Clone)]
struct Filed {
    document: Document,
    /// The base64 text, between its quotes.
    text: Range<u64>,
    /// It has escapes, which JSON allows and some writers use for `=` and `/`.
    escaped: bool,
    engine: &'static GeneralPurpose,
    /// What it decodes to.
    len: u64,
}

impl Payload {
    /// The payload at `found` in `document`; decoded now if `hold`, else as it is read.
    ///
    /// # Errors
    /// It is no string, or plainly no base64. What is decoded later may turn out to be none then.
    pub(super) fn at(found: &Found, document: &Document, hold: bool) -> Result<Self, VerifyError> {
        let malformed = |why: &str| VerifyError::Malformed(format!("DSSE payload: {}", clean(why)));
        let Some(string) = &found.string else { return Err(malformed("want a string")) };
        if hold {
            let text = read(document, found.range.clone())?;
            let text: String = serde_json::from_slice(&text).map_err(|error| malformed(&error.to_string()))?;
            let payload = PayloadBytes::from_base64(&text).map_err(|error| malformed(&error.to_string()))?;
            return Ok(Self(Form::Held(payload.into_bytes().into())));
        }
        let symbols = string.len.saturating_sub(string.padding);
        let rest = match symbols % 4 {
            0 => 0,
            1 => return Err(malformed("a symbol is left over")),
            more => more - 1,
        };
        let text = found.range.start + 1..found.range.end.saturating_sub(1);
        Ok(Self(Form::Filed(Filed {
            document: document.clone(),
            escaped: text.end.saturating_sub(text.start) != string.len,
            text,
            engine: if string.url_safe { &URL_SAFE } else { &STANDARD },
            len: symbols / 4 * 3 + rest,
        })))
    }

    /// How many bytes it has, known before it is decoded.
    pub(super) const fn len(&self) -> u64 {
        match &self.0 {
            Form::Filed(filed) => filed.len,
            Form::Held(bytes) => bytes.len() as u64,
        }
    }

    /// Reads all of it, and should its text go on beyond [`len`](Self::len) that too. Base64 that is none is
    /// [`InvalidData`](io::ErrorKind::InvalidData).
    pub(super) fn open(&self) -> Box<dyn Read + Send + '_> {
        match &self.0 {
            Form::Filed(filed) => Box::new(filed.from(0)),
            Form::Held(bytes) => Box::new(&**bytes),
        }
    }

    /// Reads the bytes of `range`.
    pub(super) fn range(&self, range: Range<u64>) -> Box<dyn Read + Send + '_> {
        let len = range.end.saturating_sub(range.start);
        match &self.0 {
            Form::Filed(filed) => Box::new(filed.from(range.start).take(len)),
            Form::Held(bytes) => {
                let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Box::new(&bytes[at(range.start)..at(range.end).max(at(range.start))])
            }
        }
    }

    /// The bytes of `range`, which must be few enough to hold: the caller's bound.
    ///
    /// # Errors
    /// As reading it.
    pub(super) fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        if let Form::Held(bytes) = &self.0 {
            return Document::from(bytes.clone()).slice(range);
        }
        let mut slice = Vec::new();
        self.range(range).read_to_end(&mut slice)?;
        Ok(slice.into())
    }

    /// What went wrong when its document was read, if anything did.
    pub(super) fn damage(&self) -> Option<&str> {
        match &self.0 {
            Form::Filed(filed) => filed.document.damage(),
            Form::Held(_) => None,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Form::Held(bytes))
    }
}

impl Filed {
    /// Decodes from `at` on: four symbols are three bytes, so the beginning need not be read, unless escapes hide where it is.
    fn from(&self, at: u64) -> Skipping<DecoderReader<'static, GeneralPurpose, Symbols>> {
        let Range { start, end } = self.text;
        let (from, skip) = if self.escaped { (start, at) } else { ((start + at / 3 * 4).min(end), at % 3) };
        let symbols = Symbols { text: self.document.range(from..end), escaped: self.escaped };
        Skipping { source: DecoderReader::new(symbols, self.engine), left: skip }
    }
}

/// The bytes of `range` in `document`, within the caller's bound.
pub(super) fn read(document: &Document, range: Range<u64>) -> Result<Bytes, VerifyError> {
    document.slice(range).map_err(|error| unreadable(&error))
}

/// The document could not be read: no word about what it says.
pub(super) fn unreadable(error: &io::Error) -> VerifyError {
    match error.kind() {
        io::ErrorKind::InvalidData => VerifyError::Malformed(format!("DSSE payload: {}", clean(&error.to_string()))),
        _ => VerifyError::Unreadable(clean(&error.to_string())),
    }
}

/// Base64 text out of a JSON string whose form was checked when it was walked.
struct Symbols {
    text: DocumentReader,
    escaped: bool,
}

impl Read for Symbols {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.escaped {
            return self.text.read(buffer);
        }
        let mut len = 0;
        while len < buffer.len() {
            let Some(symbol) = self.symbol()? else { break };
            buffer[len] = symbol;
            len += 1;
        }
        Ok(len)
    }
}

impl Symbols {
    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.text.fill_buf()?.first().copied();
        self.text.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// The next symbol. Only `\/` and `\u00..` can mean one.
    fn symbol(&mut self) -> io::Result<Option<u8>> {
        let none = || io::Error::new(io::ErrorKind::InvalidData, "an escape that is no symbol");
        match self.byte()? {
            Some(b'\\') => match self.byte()? {
                Some(b'/') => Ok(Some(b'/')),
                Some(b'u') => {
                    let mut code = [0; 4];
                    for digit in &mut code {
                        *digit = self.byte()?.ok_or_else(none)?;
                    }
                    let code = std::str::from_utf8(&code).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
                    code.filter(u8::is_ascii).map(Some).ok_or_else(none)
                }
                _ => Err(none()),
            },
            other => Ok(other),
        }
    }
}

/// Leaves out the first bytes.
struct Skipping<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Skipping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left > 0 {
            self.left -= io::copy(&mut self.source.by_ref().take(self.left), &mut io::sink())?;
        }
        self.source.read(buffer)
    }
}

#[cfg(test)]
mod tests;
