//! OpenVEX: whether it is a document of the format. What it says of vulnerabilities is for conditions to ask.

use super::{DocumentError, object};
use crate::verify::Predicate;

/// The predicate type without a version.
pub(crate) const TYPE: &str = "https://openvex.dev/ns";
/// The predicate type of version 0.2.0.
pub(crate) const TYPE_0_2: &str = "https://openvex.dev/ns/v0.2.0";

/// What a statement may say of a vulnerability: <https://github.com/openvex/spec>, "Status Labels".
const STATUSES: [&str; 4] = ["affected", "fixed", "not_affected", "under_investigation"];

/// Reads `predicate`, of whatever version its `@context` says.
///
/// # Errors
/// Why it is no document of this format.
pub(crate) fn read(predicate: &Predicate) -> Result<(), DocumentError> {
    version(predicate).map(drop)
}

/// Reads `predicate`, which must be of 0.2.0.
///
/// # Errors
/// Why it is no document of this format, or of this version.
pub(crate) fn read_0_2(predicate: &Predicate) -> Result<(), DocumentError> {
    let found = version(predicate)?;
    if found == TYPE_0_2 { Ok(()) } else { Err(DocumentError::version("@context", &found, "its type says another")) }
}

/// Reads `predicate`: its `@context`.
fn version(predicate: &Predicate) -> Result<String, DocumentError> {
    let (mut context, mut statements) = (None, None);
    let mut named = [("@id", false), ("author", false), ("timestamp", false)];
    object(predicate, &["@context", "@id", "author", "timestamp", "statements"], |json, key| {
        match key {
            "@context" => context = json.text_or_null()?,
            "statements" => {
                let mut count = 0_usize;
                json.items(|json| {
                    json.object(&["status"], |json, _| match json.text_or_null()? {
                        Some(status) if !STATUSES.contains(&&*status) => {
                            Err(DocumentError::version("status", &status, "it is none of OpenVEX"))
                        }
                        status => {
                            count += usize::from(status.is_some());
                            Ok(())
                        }
                    })
                })?;
                statements = Some(count);
            }
            key => {
                let said = json.text_or_null()?.is_some();
                for (name, seen) in &mut named {
                    *seen |= *name == key && said;
                }
            }
        }
        Ok(())
    })?;
    let context = context.ok_or(DocumentError::Missing("@context"))?;
    if context != TYPE && !context.strip_prefix(TYPE).is_some_and(|rest| rest.starts_with("/v0.")) {
        return Err(DocumentError::version("@context", &context, "https://openvex.dev/ns is wanted"));
    }
    if let Some((name, _)) = named.iter().find(|(_, seen)| !seen) {
        return Err(DocumentError::Missing(name));
    }
    match statements {
        Some(1..) => Ok(context),
        Some(0) | None => Err(DocumentError::Missing("statements with a status")),
    }
}
