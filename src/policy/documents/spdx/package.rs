//! A package of SPDX 2.x, and what the document says of licences outside SPDX's list.

use super::{
    super::sbom::{
        Licensing, MAX_TEXT_OF_A_NAME, Package, add_purl, asserted, is_asserted, is_image, is_purl, kind_and_name, references_in,
        without_mail,
    },
    DocumentError, Gathered, Json, Kind,
};

const PACKAGE: &[&str] = &[
    "SPDXID",
    "name",
    "versionInfo",
    "supplier",
    "licenseConcluded",
    "licenseDeclared",
    "externalRefs",
    "primaryPackagePurpose",
];

/// How the ids begin that buildx and syft give to what they looked at.
const ROOT: &str = "SPDXRef-DocumentRoot-";

/// Reads a package, and whether it has an id.
///
/// What stands for the image itself is no package in it: SPDX 2.3 says so by a purpose, before it a tool's own signs do. A
/// document that lists nothing else would pass for one of an image whose packages are known.
///
/// Concluded and declared licence both hold; what was found in its files (`licenseInfoFromFiles`) is not the package's.
pub(super) fn read(json: &mut Json<'_>) -> Result<(Package, bool), DocumentError> {
    let mut package = Package::default();
    let (mut id, mut purpose) = (None, None);
    json.object(PACKAGE, |json, key| {
        match key {
            "SPDXID" => id = json.text_or_null()?,
            "name" => package.name = json.text_or_null()?.unwrap_or_default(),
            "versionInfo" => package.version = json.text_or_null()?,
            "supplier" => (package.supplier, package.supplier_name) = supplied_by(json.text_or_null()?),
            "primaryPackagePurpose" => purpose = json.text_or_null()?,
            "externalRefs" => json.list(|json| purl(json, &mut package.purls))?,
            _ => package.licenses.extend(asserted(json.text_or_null()?).map(Licensing::Said)),
        }
        Ok(())
    })?;
    // The specification's table has the hyphen, its JSON schema the other.
    package.is_frame = matches!(purpose.as_deref(), Some("CONTAINER" | "FILE" | "OPERATING-SYSTEM" | "OPERATING_SYSTEM"))
        || id.as_ref().is_some_and(|id| id.starts_with(ROOT))
        || package.purls.iter().any(|purl| is_image(purl));
    Ok((package, id.is_some()))
}

/// A supplier, and the name in it. Microsoft's sbom-tool names those of SPDX 3 as this version does.
pub(super) fn supplied_by(agent: Option<String>) -> (Option<String>, Option<String>) {
    let supplier = asserted(agent);
    let name = supplier.as_deref().and_then(name_of).map(str::to_owned);
    // A kind of agent without a name, or with what stands for none, says of nobody that he supplied it.
    if name.as_deref().is_some_and(|name| name.is_empty() || !is_asserted(name)) { (None, None) } else { (supplier, name) }
}

/// The name in `Organization: name (mail)`, as this version writes an agent.
fn name_of(agent: &str) -> Option<&str> {
    let (_, name) = kind_and_name(agent)?;
    Some(without_mail(name).unwrap_or(name))
}

/// The `LicenseRef-…` in what a package says of its licences.
pub(super) fn references(package: &Package) -> Vec<&str> {
    let texts = package.licenses.iter().filter_map(|license| match license {
        Licensing::Said(text) => Some(text),
        Licensing::All(_) | Licensing::Any(_) | Licensing::Unread(_) => None,
    });
    let mut found: Vec<&str> = texts.flat_map(|text| references_in(text)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Reads an entry of `hasExtractedLicensingInfos`. Its text, which may be a whole licence, counts where it is so short that
/// it is a name. So do the URLs that it has beside: the name may say nothing (`See URL`).
pub(super) fn extracted(json: &mut Json<'_>, gathered: &mut Gathered) -> Result<(), DocumentError> {
    let (mut id, mut name, mut text, mut urls) = (None, None, None, Vec::new());
    json.object(&["licenseId", "name", "extractedText", "seeAlsos", "crossRefs"], |json, key| {
        match key {
            "licenseId" => id = json.text_or_null()?,
            "name" => name = asserted(json.text_or_null()?),
            "extractedText" => text = asserted(json.text_up_to(MAX_TEXT_OF_A_NAME)?),
            "crossRefs" => json.one_or_list(|json| {
                if json.kind()? != Kind::Object {
                    return json.skip();
                }
                json.object(&["url"], |json, _| json.text_up_to(MAX_TEXT_OF_A_NAME).map(|url| urls.extend(asserted(url))))
            })?,
            _ => json.one_or_list(|json| json.text_up_to(MAX_TEXT_OF_A_NAME).map(|url| urls.extend(asserted(url))))?,
        }
        Ok(())
    })?;
    let Some(id) = id else { return Ok(()) };
    let is_name = name.is_none();
    name.map_or(Ok(()), |name| gathered.foreign(&id, true, &name))?;
    text.map_or(Ok(()), |text| gathered.foreign(&id, is_name, &text))?;
    urls.iter().try_for_each(|url| gathered.foreign(&id, false, url))
}

fn purl(json: &mut Json<'_>, purls: &mut Vec<String>) -> Result<(), DocumentError> {
    let (mut is_typed, mut locator) = (false, None);
    json.object(&["referenceType", "referenceLocator"], |json, key| {
        if key == "referenceType" {
            is_typed = json.text_or_null()?.is_some_and(|kind| kind.eq_ignore_ascii_case("purl"));
        } else {
            locator = json.text_or_null()?;
        }
        Ok(())
    })?;
    // A locator that is one counts whatever its type says.
    locator.filter(|locator| is_typed || is_purl(locator)).map_or(Ok(()), |locator| add_purl(purls, locator))
}

/// Reads a file; says whether it has an id or a name.
pub(super) fn file(json: &mut Json<'_>) -> Result<bool, DocumentError> {
    let mut named = false;
    json.object(&["SPDXID", "fileName"], |json, _| {
        named |= json.text_or_null()?.is_some();
        Ok(())
    })?;
    Ok(named)
}
