//! What refers to a digest: the pages of the referrers API, and the index under the referrers tag.

use std::collections::HashSet;

use serde_json::Value;

use crate::oci::{Descriptor, json, media_type};

/// The entries of an index of referrers.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    /// Those that can be read, in the index's order, at most as many as asked for.
    pub descriptors: Vec<Descriptor>,
    /// How many the index lists.
    pub listed: usize,
}

/// Reads an index of referrers, from the API or from the referrers tag, at most `limit` entries of it.
///
/// An entry that cannot be read is passed over; the others still count (B11). The specification wants an image index,
/// so anything else is an error: with the API it is a wrong answer, under the tag it is content that lists nothing (X14).
///
/// # Errors
/// Says what is wrong with the document.
pub fn entries(bytes: &[u8], limit: usize) -> Result<Entries, String> {
    let document = json::parse(bytes).map_err(|error| error.to_string())?;
    let object = document.as_object().ok_or("it is not an object")?;
    if object.get("mediaType").and_then(Value::as_str).is_some_and(|name| name != media_type::OCI_INDEX) {
        return Err("it is not an image index".into());
    }
    let list = match object.get("manifests") {
        Some(Value::Array(list)) => list.as_slice(),
        // Go writes a nil slice as null.
        Some(Value::Null) => &[],
        None | Some(_) => return Err("it has no list of manifests".into()),
    };
    let mut descriptors: Vec<Descriptor> = list.iter().filter_map(|entry| Descriptor::from_value(entry).ok()).collect();
    // Each once, before they are cut: one listed a hundred times would hide whatever comes behind it, and no limit would be said
    // to have been hit.
    let mut seen = HashSet::new();
    descriptors.retain(|descriptor| seen.insert(descriptor.digest));
    order(&mut descriptors);
    descriptors.truncate(limit);
    Ok(Entries { descriptors, listed: list.len() })
}

/// Bundles first. A hint that only orders the reading: cosign's fallback indexes may carry no type, and some registries
/// report the config's.
pub fn order(descriptors: &mut [Descriptor]) {
    descriptors.sort_by_key(|descriptor| !says_bundle(descriptor));
}

pub(super) fn says_bundle(descriptor: &Descriptor) -> bool {
    let by_type = descriptor.artifact_type.as_deref().is_some_and(|name| name.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX));
    by_type || descriptor.annotations.keys().any(|key| key.starts_with("dev.sigstore."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn index(entries: &[String]) -> String {
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media_type::OCI_INDEX, entries.join(","))
    }

    fn entry(seed: &str, artifact_type: &str) -> String {
        let digest = Digest::sha256(seed.as_bytes());
        format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2,"artifactType":"{artifact_type}"}}"#, media_type::OCI_MANIFEST)
    }

    #[test]
    fn x3_bundles_are_read_first_and_the_rest_up_to_the_limit() {
        let mut all: Vec<String> = (0..50).map(|at| entry(&at.to_string(), "text/plain")).collect();
        all.push(entry("bundle", "application/vnd.dev.sigstore.bundle.v0.3+json"));
        let entries = entries(index(&all).as_bytes(), 10).unwrap();
        assert_eq!((entries.listed, entries.descriptors.len()), (51, 10));
        assert_eq!(entries.descriptors[0].digest, Digest::sha256(b"bundle"));
    }

    #[test]
    fn x3_what_is_listed_a_hundred_times_hides_nothing() {
        let mut all = vec![entry("junk", "application/vnd.dev.sigstore.bundle.v0.3+json"); 50];
        all.push(entry("bundle", "application/vnd.dev.sigstore.bundle.v0.3+json"));
        let entries = entries(index(&all).as_bytes(), 10).unwrap();
        assert_eq!((entries.listed, entries.descriptors.len()), (51, 2));
        assert_eq!(entries.descriptors[1].digest, Digest::sha256(b"bundle"));
    }

    #[test]
    fn b11_an_unreadable_entry_does_not_hide_the_others() {
        let all = [r#"{"digest":"sha256:zz"}"#.to_owned(), "7".to_owned(), entry("good", "x")];
        let entries = entries(index(&all).as_bytes(), 10).unwrap();
        assert_eq!((entries.listed, entries.descriptors.len()), (3, 1));
    }

    #[test]
    fn x14_what_is_no_index_lists_nothing() {
        for text in [
            r#"{"schemaVersion":2,"config":{},"layers":[]}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
            r#"{"manifests":[],"manifests":[]}"#,
            "[]",
            "<html>",
        ] {
            assert!(entries(text.as_bytes(), 10).is_err(), "{text}");
        }
        assert!(entries(br#"{"manifests":null}"#, 10).unwrap().descriptors.is_empty());
    }
}
