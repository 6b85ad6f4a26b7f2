//! CycloneDX in JSON, 1.2 to 1.7.
//!
//! Components nest, and each counts, but for those of type `container`, `file` and `operating-system` and those with an image's
//! package URL. `metadata.component` is what the document is about. These are shown to the checks and not counted, or every
//! document would have a package. A component's own licences count; what stands under `evidence` was found in its files and does not.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    DocumentError, Json, Kind,
    sbom::{self, EachPackage, Foreign, Format, Licensing, MAX_TEXT_OF_A_NAME, Package, Sbom, asserted, is_image, references_in},
};
use crate::verify::Predicate;

/// The predicate type without a version; `/v1.2` to `/v1.7` may follow.
pub(crate) const TYPE: &str = "https://cyclonedx.org/bom";

/// What the first tools called it, before in-toto's list of predicates had it.
pub(crate) const OLD_TYPE: &str = "https://cyclonedx.org/schema";

/// `specVersion`, how it is called, and its predicate type.
pub(crate) const VERSIONS: [(&str, &str, &str); 6] = [
    ("1.2", "CycloneDX 1.2", "https://cyclonedx.org/bom/v1.2"),
    ("1.3", "CycloneDX 1.3", "https://cyclonedx.org/bom/v1.3"),
    ("1.4", "CycloneDX 1.4", "https://cyclonedx.org/bom/v1.4"),
    ("1.5", "CycloneDX 1.5", "https://cyclonedx.org/bom/v1.5"),
    ("1.6", "CycloneDX 1.6", "https://cyclonedx.org/bom/v1.6"),
    ("1.7", "CycloneDX 1.7", "https://cyclonedx.org/bom/v1.7"),
];

/// Reads `predicate`; `each` sees every component.
///
/// # Errors
/// Why it is no document of this format. A document without components is none of these.
pub(crate) fn read(predicate: &Predicate, each: EachPackage<'_>) -> Result<Sbom, DocumentError> {
    let mut reader = Reader { each, format: None, version: None, components: 0, files: 0 };
    sbom::read(predicate, &mut reader)?;
    match reader.format.as_deref() {
        Some("CycloneDX") => {}
        Some(other) => return Err(DocumentError::version("bomFormat", other, "CycloneDX is wanted")),
        None => return Err(DocumentError::Missing("bomFormat")),
    }
    let found = reader.version.ok_or(DocumentError::Missing("specVersion"))?;
    match VERSIONS.iter().find(|(version, ..)| *version == found) {
        Some((_, version, _)) => Ok(Sbom { version, packages: reader.components, files: reader.files }),
        None => Err(DocumentError::version("specVersion", &found, "1.2 to 1.7 are supported")),
    }
}

struct Reader<'p> {
    each: EachPackage<'p>,
    format: Option<String>,
    version: Option<String>,
    components: usize,
    files: usize,
}

impl Format for Reader<'_> {
    const KEYS: &'static [&'static str] = &["Data", "bomFormat", "specVersion", "metadata", "components"];

    fn field(&mut self, key: &'static str, json: &mut Json<'_>) -> Result<(), DocumentError> {
        match key {
            "bomFormat" => self.format = json.text_or_null()?,
            "specVersion" => self.version = json.text_or_null()?,
            "metadata" => json.object(&["component"], |json, _| json.item(|json| self.component(json, true)))?,
            _ => self.components(json)?,
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn components(&mut self, json: &mut Json<'_>) -> Result<(), DocumentError> {
        json.items(|json| self.component(json, false))
    }

    fn component(&mut self, json: &mut Json<'_>, is_about: bool) -> Result<(), DocumentError> {
        let mut package = Package { is_frame: is_about, ..Package::default() };
        let (mut named, mut is_file) = (false, false);
        json.object(COMPONENT, |json, key| {
            match key {
                "type" => {
                    let kind = json.text_or_null()?;
                    is_file = kind.as_deref() == Some("file");
                    package.is_frame |= matches!(kind.as_deref(), Some("container" | "file" | "operating-system"));
                }
                "bom-ref" => named |= json.text_or_null()?.is_some(),
                "name" => package.name = json.text_or_null()?.unwrap_or_default(),
                "group" => package.group = json.text_or_null()?,
                "version" => package.version = json.text_or_null()?,
                "purl" => package.purls.extend(json.text_or_null()?),
                "supplier" => package.supplier = supplier(json)?,
                "licenses" => licenses(json, &mut package)?,
                _ => self.components(json)?,
            }
            Ok(())
        })?;
        named |= !package.name.is_empty();
        package.is_frame |= package.purls.iter().any(|purl| is_image(purl));
        self.files += usize::from(named && is_file);
        self.components += usize::from(named && !package.is_frame);
        (self.each)(&package);
        Ok(())
    }
}

const COMPONENT: &[&str] = &["type", "bom-ref", "name", "group", "version", "purl", "supplier", "licenses", "components"];

fn supplier(json: &mut Json<'_>) -> Result<Option<String>, DocumentError> {
    let mut name = None;
    if json.kind()? == Kind::Null {
        json.skip()?;
        return Ok(None);
    }
    json.object(&["name"], |json, _| json.text_or_null().map(|text| name = asserted(text)))?;
    Ok(name)
}

/// `[{"license": {"id": …} | {"name": …}}, {"expression": …}]`: each of them holds. Of one with an id the name and the URL are what
/// tools write besides, and where neither id nor name stands there, as syft writes it, its URL is what is said. Beside a name it is
/// said of that: CycloneDX for .NET calls `Unknown - See URL` what has a URL alone. So is a text of a few words, beside an id too.
/// Of one called `NOASSERTION` that has a URL, nothing is stated, and the URL can deny. One of a text alone states a licence that is
/// not read; an empty one, as trivy writes it, states nothing.
fn licenses(json: &mut Json<'_>, package: &mut Package) -> Result<(), DocumentError> {
    let mut described = Described::default();
    json.list(|json| {
        let mut stated = false;
        json.object(&["license", "expression", "expressionDetails"], |json, key| {
            match key {
                "license" => license(json, package, &mut described)?,
                "expression" => package.licenses.extend(asserted(json.text_or_null()?).map(Licensing::Said)),
                _ => return json.list(|json| details(json, package, &mut described)),
            }
            stated = true;
            Ok(())
        })?;
        if !stated {
            package.licenses.push(Licensing::Unread("an entry without license or expression".to_owned()));
        }
        Ok(())
    })
}

/// What has been said so far beside the licences of a component, which may have the same any number of times.
#[derive(Default)]
struct Described {
    places: HashMap<String, usize>,
    said: HashSet<(usize, String)>,
}

impl Described {
    fn add(&mut self, package: &mut Package, reference: &str, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            let new = package.foreign.len();
            let at = *self.places.entry(reference.to_owned()).or_insert(new);
            if at == new {
                package.foreign.push(Foreign { reference: reference.to_owned(), ..Foreign::default() });
            }
            if self.said.insert((at, text.clone()))
                && let Some(foreign) = package.foreign.get_mut(at)
            {
                foreign.texts.push(text);
            }
        }
    }
}

/// One of these, with what is said beside what it is called.
fn license(json: &mut Json<'_>, package: &mut Package, described: &mut Described) -> Result<(), DocumentError> {
    let (mut id, mut name, mut url, mut has_text, mut words) = (None, None, None, false, None);
    json.object(&["id", "name", "url", "text"], |json, key| {
        match key {
            "id" => id = json.text_or_null()?,
            "name" => name = json.text_or_null()?,
            "url" => url = asserted(json.text_or_null()?),
            _ => {
                has_text = json.kind()? != Kind::Null;
                words = few_words(json)?;
            }
        }
        Ok(())
    })?;
    let is_called = id.is_some() || name.is_some();
    let (said, url) = match (asserted(id), asserted(name)) {
        (Some(id), _) => (Some(id), None),
        (None, Some(name)) => (Some(name), url),
        // `NOASSERTION`.
        (None, None) if is_called => (None, url),
        (None, None) => (url, None),
    };
    let is_read = said.is_some() || url.is_some();
    if is_read {
        described.add(package, said.as_deref().unwrap_or_default(), url.into_iter().chain(words));
    } else if has_text {
        package.licenses.push(Licensing::Unread("a licence of a text alone".to_owned()));
    }
    package.licenses.extend(said.map(Licensing::Said));
    Ok(())
}

/// What 1.7 says of a licence in an expression. A URL is of an id as its page is, see [`licenses`].
fn details(json: &mut Json<'_>, package: &mut Package, described: &mut Described) -> Result<(), DocumentError> {
    let (mut id, mut url, mut words) = (None, None, None);
    json.object(&["licenseIdentifier", "url", "text"], |json, key| {
        match key {
            "licenseIdentifier" => id = asserted(json.text_if_any()?),
            "url" => url = asserted(json.text_if_any()?),
            _ => words = few_words(json)?,
        }
        Ok(())
    })?;
    if let Some(id) = id {
        let url = url.filter(|_| references_in(&id).next().is_some());
        described.add(package, &id, url.into_iter().chain(words));
    }
    Ok(())
}

/// A licence's text, where it is so short that it is a name.
fn few_words(json: &mut Json<'_>) -> Result<Option<String>, DocumentError> {
    if json.kind()? != Kind::Object {
        return json.text_up_to(MAX_TEXT_OF_A_NAME).map(asserted);
    }
    let (mut content, mut is_encoded) = (None, false);
    json.object(&["content", "encoding"], |json, key| {
        if key == "content" {
            content = json.text_up_to(MAX_TEXT_OF_A_NAME)?;
        } else {
            is_encoded = json.text_if_any()?.is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
        }
        Ok(())
    })?;
    // MIME's base64 goes over lines.
    let plain = |text: String| text.split_whitespace().collect::<String>();
    let decoded = |text: String| STANDARD.decode(plain(text)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(asserted(if is_encoded { content.and_then(decoded) } else { content }))
}
