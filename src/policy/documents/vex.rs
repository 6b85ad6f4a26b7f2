//! OpenVEX: whether it is a document of the format. What it says of vulnerabilities is for conditions to ask.

use super::{DocumentError, object};
use crate::verify::Predicate;

/// The predicate type without a version.
pub(crate) const TYPE: &str = "https://openvex.dev/ns";
/// The predicate type of version 0.2.0.
pub(crate) const TYPE_0_2: &str = "https://openvex.dev/ns/v0.2.0";

/// Reads `predicate`.
///
/// # Errors
/// Why it is no document of this format.
pub(crate) fn read(predicate: &Predicate) -> Result<(), DocumentError> {
    let (mut context, mut statements) = (None, None);
    let mut named = [("@id", false), ("author", false), ("timestamp", false)];
    object(predicate, &["@context", "@id", "author", "timestamp", "statements"], |json, key| {
        match key {
            "@context" => context = json.text_or_null()?,
            "statements" => {
                let mut count = 0_usize;
                json.list(|json| {
                    json.item(|json| {
                        json.object(&["status"], |json, _| {
                            count += usize::from(json.text_or_null()?.is_some());
                            Ok(())
                        })
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
    match context.as_deref() {
        Some(context) if context == TYPE || context.strip_prefix(TYPE).is_some_and(|rest| rest.starts_with("/v0.")) => {}
        Some(other) => return Err(DocumentError::version("@context", other, "https://openvex.dev/ns is wanted")),
        None => return Err(DocumentError::Missing("@context")),
    }
    if let Some((name, _)) = named.iter().find(|(_, seen)| !seen) {
        return Err(DocumentError::Missing(name));
    }
    match statements {
        Some(1..) => Ok(()),
        Some(0) | None => Err(DocumentError::Missing("statements with a status")),
    }
}
