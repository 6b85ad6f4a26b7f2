//! A package of SPDX 2.x.

use super::{
    super::sbom::{Licensing, Package, asserted},
    DocumentError, Json,
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

/// Reads a package, and whether it has an id.
///
/// Concluded and declared licence both hold; what was found in its files (`licenseInfoFromFiles`) is not the package's.
pub(super) fn read(json: &mut Json<'_>) -> Result<(Package, bool), DocumentError> {
    let mut package = Package::default();
    let mut has_id = false;
    json.object(PACKAGE, |json, key| {
        match key {
            "SPDXID" => has_id = json.text_or_null()?.is_some(),
            "name" => package.name = json.text_or_null()?.unwrap_or_default(),
            "versionInfo" => package.version = json.text_or_null()?,
            "supplier" => package.supplier = asserted(json.text_or_null()?),
            "primaryPackagePurpose" => {
                package.is_frame = matches!(json.text_or_null()?.as_deref(), Some("CONTAINER" | "OPERATING-SYSTEM"));
            }
            "externalRefs" => json.list(|json| purl(json, &mut package.purls))?,
            _ => package.licenses.extend(asserted(json.text_or_null()?).map(Licensing::Said)),
        }
        Ok(())
    })?;
    Ok((package, has_id))
}

fn purl(json: &mut Json<'_>, purls: &mut Vec<String>) -> Result<(), DocumentError> {
    let (mut is_purl, mut locator) = (false, None);
    json.object(&["referenceType", "referenceLocator"], |json, key| {
        if key == "referenceType" {
            is_purl = json.text_or_null()?.is_some_and(|kind| kind.eq_ignore_ascii_case("purl"));
        } else {
            locator = json.text_or_null()?;
        }
        Ok(())
    })?;
    // A locator that is one counts whatever its type says.
    purls.extend(locator.filter(|locator| is_purl || locator.starts_with("pkg:")));
    Ok(())
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
