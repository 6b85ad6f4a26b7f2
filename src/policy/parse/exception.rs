//! Entries of `exceptions`.

use crate::{
    oci::{Algorithm, Digest},
    policy::{
        exception::{Excepted, Exception, end},
        image::ImagePattern,
    },
    yaml::Cursor,
};

pub(super) const EXCEPTION: &[&str] = &["digest", "dangerous_repository", "reason", "expires"];
/// Bytes of a reason.
const MAX_REASON: usize = 200;

pub(super) fn exception(cursor: &Cursor<'_>) -> Option<Exception> {
    let told = [("repository", "is called `dangerous_repository`: whoever can push there needs no evidence")];
    let fields = cursor.fields_telling(EXCEPTION, &told)?;
    let of = fields.exactly_one(&["digest", "dangerous_repository"]).and_then(|(key, cursor)| match key {
        "digest" => digest(&cursor).map(Excepted::Digest),
        _ => cursor.parse("an image pattern", ImagePattern::new).map(Excepted::Repository),
    });
    let reason = fields.need("reason", "write why, as in JIRA-1; each use is logged with it").and_then(|cursor| {
        let text = cursor.text("a reason")?;
        if text.len() > MAX_REASON {
            cursor.wrong(format!("has {} bytes, at most {MAX_REASON}", text.len()));
            return None;
        }
        Some(text.to_owned())
    });
    let expires = fields.need("expires", "every exception ends; write when, as in 2027-01-31");
    let expires = expires.and_then(|cursor| cursor.parse("a date such as 2027-01-31", end));
    Some(Exception { of: of?, reason: reason?, expires: expires? })
}

fn digest(cursor: &Cursor<'_>) -> Option<Digest> {
    let digest: Digest = cursor.parse("a digest", str::parse)?;
    if digest.algorithm() != Algorithm::Sha256 {
        // Manifests are judged under their SHA-256 digest, however they are asked for.
        cursor.wrong("wants the manifest's sha256 digest");
        return None;
    }
    Some(digest)
}
