//! Who signed, by a certificate whose chain has been verified: one name, one issuer, the CI claims.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use sigstore_types::DerCertificate;
use sigstore_verify::{SubjectAltName as Identity, crypto::CertificateInfo};
use x509_cert::{
    der::{
        Decode as _, Sequence,
        asn1::{AnyRef, BitStringRef, Utf8StringRef},
        oid::AssociatedOid as _,
    },
    ext::{
        Extensions,
        pkix::{SubjectAltName, name::GeneralName},
    },
};

use super::{SanKind, Signer, VerifyError, clean};

/// Fulcio's otherName for username identities.
const FULCIO_USERNAME: &str = "1.3.6.1.4.1.57264.1.7";

/// The identity of `leaf`, which the crate read as `info`, as the trust root called `trust_root` vouches for it.
///
/// The crate takes the first email or URI and ignores further names; a leaf has exactly one (client spec §4, threats
/// I6). It takes the first of two issuer extensions and the last of two claims; here no extension may appear twice. The
/// older issuer (.1) counts only where the newer (.8) is absent (threats I8). A claim that is not encoded as Fulcio's
/// `oid-info.md` says is absent, and a policy that wants it refuses.
///
/// # Errors
/// [`VerifyError::Certificate`].
pub(super) fn signer(leaf: &DerCertificate, info: &CertificateInfo, trust_root: &Arc<str>) -> Result<Signer, VerifyError> {
    let certificate = Certificate::from_der(leaf.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
    let extensions = certificate.signed.extensions.unwrap_or_default();
    let mut seen = HashSet::with_capacity(extensions.len());
    for extension in &extensions {
        if !seen.insert(extension.extn_id) {
            return Err(wrong(&format!("extension {} appears twice", extension.extn_id)));
        }
    }
    let names = extensions.iter().find(|extension| extension.extn_id == SubjectAltName::OID);
    let names = names.map(|names| SubjectAltName::from_der(names.extn_value.as_bytes())).transpose();
    let names =
        names.map_err(|error| wrong(&format!("subject alternative name: {error}")))?.map(|names| names.0).unwrap_or_default();
    let [name] = names.as_slice() else {
        return Err(wrong(&format!("want exactly one subject alternative name, found {}", names.len())));
    };
    let (san_kind, subject) = subject(name)?;
    // Two readings of one field: fail closed should they ever part.
    let agrees = match &info.identity {
        Some(Identity::Email(email)) => san_kind == SanKind::Email && *email == subject,
        Some(Identity::Uri(uri)) => san_kind == SanKind::Uri && *uri == subject,
        Some(_) => false,
        None => san_kind == SanKind::Other,
    };
    if !agrees {
        return Err(wrong("the subject alternative name reads differently twice"));
    }
    let issuer = info.issuer.clone().filter(|issuer| !issuer.is_empty()).ok_or_else(|| wrong("it names no OIDC issuer"))?;
    if subject.is_empty() {
        return Err(wrong("its subject alternative name is empty"));
    }
    Ok(Signer { trust_root: Arc::clone(trust_root), issuer, san_kind, subject, claims: claims(info) })
}

/// A certificate of which only the extensions are read (RFC 5280 §4.1). The crate has read the very bytes as a whole certificate and
/// believes the rest of it; to read names, times and keys a second time takes as long as a fiftieth of a verification.
#[derive(Sequence)]
struct Certificate<'a> {
    signed: Signed<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

/// `TBSCertificate`.
#[derive(Sequence)]
struct Signed<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    version: Option<AnyRef<'a>>,
    serial_number: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    issuer: AnyRef<'a>,
    validity: AnyRef<'a>,
    subject: AnyRef<'a>,
    subject_public_key_info: AnyRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer_unique_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    subject_unique_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

fn wrong(why: &str) -> VerifyError {
    VerifyError::Certificate(clean(why))
}

fn subject(name: &GeneralName) -> Result<(SanKind, String), VerifyError> {
    match name {
        GeneralName::Rfc822Name(email) => Ok((SanKind::Email, email.to_string())),
        GeneralName::UniformResourceIdentifier(uri) => Ok((SanKind::Uri, uri.to_string())),
        GeneralName::OtherName(other) if other.type_id.to_string() == FULCIO_USERNAME => other
            .value
            .decode_as::<Utf8StringRef<'_>>()
            .map(|text| (SanKind::Other, text.as_str().to_owned()))
            .map_err(|error| wrong(&format!("otherName: {error}"))),
        GeneralName::OtherName(other) => Err(wrong(&format!("otherName of type {}", other.type_id))),
        GeneralName::DnsName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => Err(wrong("its subject alternative name is no email, URI or username")),
    }
}

fn claims(info: &CertificateInfo) -> BTreeMap<&'static str, String> {
    let (ci, github) = (&info.ci_claims, &info.ci_claims.deprecated_github);
    let all = [
        ("build_config_digest", &ci.build_config_digest),
        ("build_config_uri", &ci.build_config_uri),
        ("build_signer_digest", &ci.build_signer_digest),
        ("build_signer_uri", &ci.build_signer_uri),
        ("build_trigger", &ci.build_trigger),
        ("deployment_environment", &ci.deployment_environment),
        ("github_workflow_name", &github.workflow_name),
        ("github_workflow_ref", &github.workflow_ref),
        ("github_workflow_repository", &github.workflow_repository),
        ("github_workflow_sha", &github.workflow_sha),
        ("github_workflow_trigger", &github.workflow_trigger),
        ("run_invocation_uri", &ci.run_invocation_uri),
        ("runner_environment", &ci.runner_environment),
        ("source_repository_digest", &ci.source_repository_digest),
        ("source_repository_identifier", &ci.source_repository_identifier),
        ("source_repository_owner_identifier", &ci.source_repository_owner_identifier),
        ("source_repository_owner_uri", &ci.source_repository_owner_uri),
        ("source_repository_ref", &ci.source_repository_ref),
        ("source_repository_uri", &ci.source_repository_uri),
        ("source_repository_visibility_at_signing", &ci.source_repository_visibility_at_signing),
        ("token_subject", &ci.token_subject),
    ];
    debug_assert!(all.iter().map(|(name, _)| *name).eq(super::CLAIMS));
    all.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}
