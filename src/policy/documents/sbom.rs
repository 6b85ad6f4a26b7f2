//! What SBOM formats have in common: packages, and the three ways a document is wrapped.

use std::{
    fmt,
    io::{self, Read},
};

use super::{DocumentError, Json, Kind, MAX_DOCUMENT, json::shown};
use crate::verify::Predicate;

/// A package or component, as far as the checks ask. What a document does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// A group or scope beside the name, where the format has one.
    pub(crate) group: Option<String>,
    /// Its version.
    pub(crate) version: Option<String>,
    /// Its package URLs, as written.
    pub(crate) purls: Vec<String>,
    /// Its licences; all of them hold. "Nothing stated" is absent.
    pub(crate) licenses: Vec<Licensing>,
    /// What the document says of its licences outside SPDX's list, where it keeps that elsewhere.
    pub(crate) foreign: Vec<Foreign>,
    /// Who supplied it; "nothing stated" is absent.
    pub(crate) supplier: Option<String>,
    /// The name within that, where the format writes what kind of agent it is of before it.
    pub(crate) supplier_name: Option<String>,
    /// It stands for the image itself, its operating system, or a file: none of its packages, so it is not counted, and what
    /// it does not state is not asked.
    pub(crate) is_frame: bool,
}

/// A licence outside SPDX's list, as a document describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// `LicenseRef-…`, or what else a package says of it; empty of a licence that the package leaves unnamed.
    pub(crate) reference: String,
    /// What it is called.
    pub(crate) names: Vec<String>,
    /// What is said of it beside a name, in a few words.
    pub(crate) texts: Vec<String>,
}

/// Bytes of a licence's text that is no more than a name, as tools write it that know no text.
pub(super) const MAX_TEXT_OF_A_NAME: usize = 256;

/// Package URLs of one package. Most have one, few have more than two or three; and each is compared with what a policy denies.
const MAX_PURLS: usize = 256;

/// Adds a package URL to those of one package.
pub(super) fn add_purl(purls: &mut Vec<String>, purl: String) -> Result<(), DocumentError> {
    if purls.len() == MAX_PURLS {
        return Err(DocumentError::Malformed(format!("has a package of more than {MAX_PURLS} package URLs")));
    }
    purls.push(purl);
    Ok(())
}

/// How a licence outside SPDX's list is referred to.
const REFERENCE: &str = "LicenseRef-";

/// The `LicenseRef-…` in a licence expression, or in what is none.
pub(crate) fn references_in(text: &str) -> impl Iterator<Item = &str> {
    let of_reference = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let words = text.split(move |c: char| !of_reference(c));
    words.filter(|word| word.get(..REFERENCE.len()).is_some_and(|start| start.eq_ignore_ascii_case(REFERENCE)))
}

/// One thing a document says of a package's licence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Licensing {
    /// Every one of these applies; at least one is there.
    All(Vec<Self>),
    /// One of these applies, at the receiver's choice; at least one is there.
    Any(Vec<Self>),
    /// A licence expression, or a name or text outside SPDX's list.
    Said(String),
    /// In a form that is not read, or a reference to what the document does not hold.
    Unread(String),
}

/// As an expression has it.
impl fmt::Display for Licensing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, word) = match self {
            Self::All(members) => (members, " AND "),
            Self::Any(members) => (members, " OR "),
            Self::Said(text) | Self::Unread(text) => return f.write_str(text),
        };
        for (i, member) in members.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { word })?;
            match member {
                Self::All(_) | Self::Any(_) => write!(f, "({member})"),
                Self::Said(_) | Self::Unread(_) => write!(f, "{member}"),
            }?;
        }
        Ok(())
    }
}

/// What a document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sbom {
    /// Format and version, such as `SPDX-2.3` or `CycloneDX 1.6`.
    pub(crate) version: &'static str,
    /// Packages or components that have an id or a name.
    pub(crate) packages: usize,
    /// Files that have an id or a name.
    pub(crate) files: usize,
}

/// Takes each package while the document streams past.
pub(crate) type EachPackage<'p> = &'p mut dyn FnMut(&Package);

/// A format's reader: gets its top-level values as they come.
pub(super) trait Format {
    /// The keys that decide; the first is `Data`, which no SBOM format has and the wrapper is told by.
    const KEYS: &'static [&'static str];

    /// Reads the value of `key`.
    fn field(&mut self, key: &'static str, json: &mut Json<'_>) -> Result<(), DocumentError>;

    /// Sees another key of the document, for a sentence, where it has some.
    fn other(&mut self, _key: String) {}
}

/// What is already around the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Nothing,
    Data,
    Text,
}

/// Reads `predicate` as `format`: plain, in a string, or either of them in cosign's `{"Data": …}` wrapper.
pub(super) fn read<F: Format>(predicate: &Predicate, format: &mut F) -> Result<(), DocumentError> {
    if predicate.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge);
    }
    let mut json = Json::new(predicate.open());
    value(&mut json, format, Around::Nothing)?;
    json.end()
}

fn value<F: Format>(json: &mut Json<'_>, format: &mut F, around: Around) -> Result<(), DocumentError> {
    match (json.kind()?, around) {
        (Kind::Object, _) => object(json, format, around),
        (Kind::Text, Around::Nothing | Around::Data) => json.inside(|string| text(string, format)),
        (Kind::Text, Around::Text) => Err(DocumentError::Malformed("wraps its document more than once".into())),
        (Kind::List | Kind::Null | Kind::Scalar, _) => Err(DocumentError::Malformed("is not a JSON document of its type".into())),
    }
}

fn object<F: Format>(json: &mut Json<'_>, format: &mut F, around: Around) -> Result<(), DocumentError> {
    let (mut data, mut own, mut other) = (false, None, None);
    let see = |name: &str| {
        other.get_or_insert_with(|| shown(name));
        Ok(())
    };
    json.every(F::KEYS, see, |json, key| match (key, around) {
        (None, _) => json.skip(),
        (Some("Data"), Around::Nothing) => {
            data = true;
            value(json, format, Around::Data)
        }
        (Some("Data"), Around::Data | Around::Text) => Err(DocumentError::Malformed("wraps its document more than once".into())),
        (Some(key), _) => {
            own = Some(key);
            if data { json.skip() } else { json.item(|json| format.field(key, json)) }
        }
    })?;
    // What stands beside `Data` is the wrapper's.
    other.into_iter().filter(|_| !data).for_each(|key| format.other(key));
    match own {
        // Two documents in one: of two lists of packages a reader would see one.
        Some(key) if data => Err(DocumentError::Malformed(format!("has `Data` beside `{key}`"))),
        _ => Ok(()),
    }
}

/// The document within a string.
fn text<F: Format>(string: &mut dyn Read, format: &mut F) -> Result<(), DocumentError> {
    let mut head = Vec::with_capacity(TAG_VALUE.len());
    string
        .take(TAG_VALUE.len() as u64)
        .read_to_end(&mut head)
        .map_err(|error| DocumentError::Malformed(format!("is not JSON: {error}")))?;
    if head == TAG_VALUE {
        return Err(DocumentError::TagValue);
    }
    let mut json = Json::new(io::Cursor::new(head).chain(string));
    value(&mut json, format, Around::Text)?;
    json.end()
}

/// How a document in SPDX's tag-value form begins.
const TAG_VALUE: &[u8] = b"SPDXVersion:";

/// What stands before the mail address in `Acme <mail>` or `Acme (mail)`: distributions and SPDX 2 write so, and trivy copies it
/// into every format. `Acme (Evil Corp)` has no mail, and is not Acme.
pub(in crate::policy) fn without_mail(agent: &str) -> Option<&str> {
    let open = agent.rfind(['(', '<'])?;
    let (name, mail) = agent.split_at(open);
    let mail =
        mail.strip_prefix('(').map_or_else(|| mail.strip_prefix('<')?.strip_suffix('>'), |mail| mail.strip_suffix(')'))?.trim();
    let is_mail = mail.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    (mail.is_empty() || is_mail && !mail.contains(char::is_whitespace)).then(|| name.trim_end())
}

/// Kind and name in `Organization: name`, as SPDX 2 writes an agent. In any capitals and with any white space: a denied supplier is no
/// other one where a tool writes `organization:`.
pub(in crate::policy) fn kind_and_name(agent: &str) -> Option<(&str, &str)> {
    let (kind, name) = agent.split_once(':')?;
    let kind = kind.trim();
    ["Organization", "Person", "Tool"].iter().any(|known| known.eq_ignore_ascii_case(kind)).then(|| (kind, name.trim()))
}

/// Whether a text is a package URL, whatever its type is said to be. Its scheme may be in any capitals.
pub(super) fn is_purl(text: &str) -> bool {
    has_start(text.trim_start(), "pkg:")
}

/// Whether a package URL is an image's.
pub(super) fn is_image(purl: &str) -> bool {
    ["pkg:oci/", "pkg:docker/"].iter().any(|kind| has_start(purl.trim_start(), kind))
}

fn has_start(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// `NOASSERTION`, in any capitals, says that nothing is said.
pub(super) fn is_asserted(text: &str) -> bool {
    !text.eq_ignore_ascii_case("NOASSERTION")
}

/// What is said, if anything is, without the white space around it.
pub(super) fn asserted(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| is_asserted(text))
}
