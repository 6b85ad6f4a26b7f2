//! What an upstream said where the gate was not asked, as an answer; and what a client may know of it.

use std::borrow::Cow;

use http::StatusCode;

use super::{Error, ErrorCode, RETRY_AFTER};
use crate::{
    oci::{Digest, ImageName},
    store::{FetchError, FillError},
    upstream::{Lost, UpstreamError},
};

/// The upstream announces a blob of another size than the admitted manifest says.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the upstream announced {found} bytes, the manifest says {listed}")]
pub(in crate::registry) struct Disagrees {
    /// What the manifest says.
    pub(in crate::registry) listed: u64,
    /// What was announced.
    pub(in crate::registry) found: u64,
}

/// What was being asked of the upstream when it failed.
#[derive(Debug, Clone, Copy)]
pub(in crate::registry) enum Asking<'a> {
    /// A blob.
    Blob(&'a Digest),
    /// What refers to a digest.
    Referrers(&'a Digest),
    /// What a tag means.
    Tag(&'a crate::oci::Tag),
    /// The tags there are.
    Tags,
}

impl Error {
    /// What an upstream's error becomes. Its own words about addresses and certificates go to the log only (J7).
    pub(in crate::registry) fn upstream(asking: Asking<'_>, image: &ImageName, error: &UpstreamError) -> Self {
        let (what, absent) = match asking {
            Asking::Blob(digest) => (format!("blob {} of {image}", digest.short()), ErrorCode::BlobUnknown),
            Asking::Referrers(digest) => (format!("the referrers of {image}@{}", digest.short()), ErrorCode::ManifestUnknown),
            Asking::Tag(tag) => (format!("{image}:{tag}"), ErrorCode::ManifestUnknown),
            Asking::Tags => (format!("the tags of {image}"), ErrorCode::NameUnknown),
        };
        if !matches!(error, UpstreamError::NotFound) {
            tracing::warn!(%image, %what, %error, "the upstream did not give what was asked");
        }
        let said = |status, code| Self::new(status, code, &format_args!("{what} cannot be had: {}", public(error)));
        match error {
            // Evidence that may not be read is evidence not found out about: never "there is none", never a denial.
            UpstreamError::Denied { .. } => match asking {
                Asking::Referrers(_) => Self::unavailable(&format_args!("{what} cannot be had: {}", public(error))),
                Asking::Blob(_) | Asking::Tag(_) | Asking::Tags => said(StatusCode::FORBIDDEN, ErrorCode::Denied),
            },
            UpstreamError::Forbidden(_) => said(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable),
            UpstreamError::Lied { .. } => said(StatusCode::BAD_GATEWAY, ErrorCode::DigestInvalid),
            UpstreamError::NotFound => {
                Self::new(StatusCode::NOT_FOUND, absent, &format_args!("{what} is not known to the registry"))
            }
            UpstreamError::Throttled { retry_after, .. } => {
                let mut error = said(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable);
                error.0.retry_after = Some(retry_after.unwrap_or(RETRY_AFTER));
                error
            }
            UpstreamError::TooLarge { .. } => match asking {
                Asking::Tag(_) => said(StatusCode::FORBIDDEN, ErrorCode::Denied),
                Asking::Blob(_) | Asking::Referrers(_) | Asking::Tags => said(StatusCode::BAD_GATEWAY, ErrorCode::SizeInvalid),
            },
            UpstreamError::Failing { .. } | UpstreamError::Unreachable { .. } => {
                Self::unavailable(&format_args!("{what} cannot be had: {}", public(error)))
            }
        }
    }

    /// What a blob that could not be fetched becomes. The store hands our own error back as it was given to it.
    pub(in crate::registry) fn fetch(image: &ImageName, digest: &Digest, error: &FetchError) -> Self {
        if let Some(error) = error.downcast_ref::<UpstreamError>() {
            return Self::upstream(Asking::Blob(digest), image, error);
        }
        if let Some(Disagrees { listed, found }) = error.downcast_ref::<Disagrees>() {
            return Self::size_disagrees(digest, *listed, *found);
        }
        let said = |status, code| {
            tracing::warn!(%image, %digest, %error, "the upstream did not give what was asked");
            Self::new(status, code, &format_args!("blob {} of {image} cannot be had: {error}", digest.short()))
        };
        match error.downcast_ref::<FillError>() {
            Some(FillError::Longer { .. } | FillError::Shorter { .. }) => {
                return said(StatusCode::BAD_GATEWAY, ErrorCode::SizeInvalid);
            }
            Some(FillError::Mismatch(_)) => return said(StatusCode::BAD_GATEWAY, ErrorCode::DigestInvalid),
            Some(FillError::Stalled(_)) => {
                let mut error = said(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable);
                error.0.retry_after = Some(RETRY_AFTER);
                return error;
            }
            Some(FillError::Changed | FillError::Disk(_) | FillError::Lost | FillError::Unread | FillError::Upstream(_))
            | None => {}
        }
        tracing::error!(%image, %digest, %error, "the store could not take the blob in");
        Self::unavailable(&format_args!("blob {} of {image} cannot be stored at the moment", digest.short()))
    }
}

/// A complete `Warning` value without what the operating system said of a connection (J7): audit mode tells there why it
/// could not tell.
pub(in crate::registry) fn public_warning(warning: &str) -> Cow<'_, str> {
    without_source(warning).map_or(warning.into(), |public| format!("{public}\"").into())
}

/// What is said before the source of the first [`UpstreamError::Unreachable`] that is told of, if one is.
pub(super) fn without_source(said: &str) -> Option<String> {
    let before = |lost: Lost| said.split_once(&format!(" {lost}: ")).map(|(before, _)| format!("{before} {lost}"));
    Lost::ALL.into_iter().filter_map(before).min_by_key(String::len)
}

/// What a client may know of an upstream's error: no address, no certificate, no operating system's words (J7).
pub(super) fn public(error: &UpstreamError) -> String {
    match error {
        UpstreamError::Unreachable { host, lost, .. } => format!("upstream {host} {lost}"),
        UpstreamError::Denied { .. }
        | UpstreamError::Failing { .. }
        | UpstreamError::Forbidden(_)
        | UpstreamError::Lied { .. }
        | UpstreamError::NotFound
        | UpstreamError::Throttled { .. }
        | UpstreamError::TooLarge { .. } => error.to_string(),
    }
}
