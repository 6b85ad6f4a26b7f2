mod broken;
mod draft;

use std::collections::HashMap;

use draft::Draft;
use futures_util::TryStreamExt as _;
use serde_json::Value;

use super::*;
use crate::oci::media_type::{DOCKER_CONFIG, DSSE, OCI_CONFIG, OCI_EMPTY, SIMPLE_SIGNING, SPDX_TEXT};

const ACME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/acme/registry");

fn open(root: &Path) -> Result<Layout, String> {
    Layout::open("registry.acme.test".parse().unwrap(), root.to_owned()).map_err(|error| error.to_string())
}

fn acme() -> Layout {
    open(Path::new(ACME)).unwrap()
}

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

async fn read(blob: BlobStream) -> Result<Vec<u8>, UpstreamError> {
    blob.pieces
        .try_fold(Vec::new(), |mut all, piece| async move { Ok([std::mem::take(&mut all), piece.to_vec()].concat()) })
        .await
}

/// The digests a page of referrers lists, with their artifact types, and where the next page is.
async fn referrers(layout: &Layout, name: &str, subject: &Digest, next: Option<&str>) -> (Vec<(Digest, String)>, Option<String>) {
    let answer = layout.referrers(&repository(name), subject, next).await.unwrap();
    let ReferrersAnswer::Page(ReferrersPage { bytes, next }) = answer else { panic!("a layout has a referrers API") };
    assert!(bytes.len() <= MAX_PAGE);
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(index["mediaType"], OCI_INDEX);
    let listed = index["manifests"].as_array().unwrap().iter();
    let listed = listed.map(|entry| {
        (entry["digest"].as_str().unwrap().parse().unwrap(), entry["artifactType"].as_str().unwrap_or_default().to_owned())
    });
    (listed.collect(), next)
}

#[tokio::test]
async fn every_recorded_image_is_found_by_tag_and_by_digest() {
    let layout = acme();
    let index: Value = serde_json::from_slice(&std::fs::read(format!("{ACME}/index.json")).unwrap()).unwrap();
    let mut seen = HashMap::new();
    for entry in index["manifests"].as_array().unwrap() {
        let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
        let (name, tagged) = name.rsplit_once(':').unwrap();
        let digest: Digest = entry["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(layout.resolve(&repository(name), &tag(tagged)).await.unwrap().digest, digest);
        for reference in [Reference::Digest(digest), Reference::Tag(tag(tagged))] {
            let fetched = layout.manifest(&repository(name), &reference).await.unwrap();
            assert_eq!(fetched.digest, digest);
            assert!(digest.matches(&fetched.bytes));
        }
        *seen.entry(name.to_owned()).or_insert(0) += 1;
    }
    // The twentieth image is the other tag of `acme/moved`.
    assert_eq!(seen.len(), 19);
}

#[tokio::test]
async fn recorded_referrers_are_computed_from_subject_with_their_artifact_type() {
    let layout = acme();
    let subject = layout.resolve(&repository("acme/app"), &tag("v1")).await.unwrap().digest;
    let (listed, next) = referrers(&layout, "acme/app", &subject, None).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|(_, kind)| kind == "application/vnd.dev.sigstore.bundle.v0.3+json"));
    assert_eq!(next, None);
    for (digest, _) in listed {
        let manifest = layout.manifest(&repository("acme/app"), &Reference::Digest(digest)).await.unwrap();
        let manifest = crate::oci::Manifest::parse(digest, manifest.bytes, None).unwrap();
        for blob in manifest.blobs() {
            let stream = layout.blob(&repository("acme/app"), &blob.digest).await.unwrap();
            assert_eq!(stream.size, Some(blob.size));
            assert!(blob.digest.matches(&read(stream).await.unwrap()));
            assert_eq!(layout.blob_size(&repository("acme/app"), &blob.digest).await.unwrap(), blob.size);
        }
    }
}

#[tokio::test]
async fn a_subject_nobody_refers_to_has_an_empty_list_and_no_404() {
    let layout = acme();
    for name in ["acme/app", "acme/unsigned", "nobody/here"] {
        assert_eq!(referrers(&layout, name, &Digest::sha256(b"nothing"), None).await, (Vec::new(), None), "{name}");
    }
}

#[tokio::test]
async fn a_recorded_index_is_the_parent_of_its_children_and_lists_no_blobs() {
    let layout = acme();
    let multi = repository("acme/multi");
    let index = layout.resolve(&multi, &tag("v1")).await.unwrap().digest;
    let child = layout.resolve(&multi, &tag("c1")).await.unwrap().digest;
    assert_eq!(layout.parents(&multi, &child).await, [index]);
    assert_eq!(layout.parents(&repository("acme/app"), &child).await, []);
    assert_eq!(layout.manifests_listing(&multi, &child).await, []);
}

#[tokio::test]
async fn x9_what_belongs_to_another_repository_is_not_found() {
    let layout = acme();
    let (app, unsigned) = (repository("acme/app"), repository("acme/unsigned"));
    let digest = layout.resolve(&app, &tag("v1")).await.unwrap().digest;
    let asked = layout.manifest(&unsigned, &Reference::Digest(digest)).await;
    assert!(matches!(asked, Err(UpstreamError::NotFound)), "{asked:?}");
    for (name, tagged) in [("acme/app", "v9"), ("acme", "v1"), ("nobody/here", "v1")] {
        let asked = layout.resolve(&repository(name), &tag(tagged)).await;
        assert!(matches!(asked, Err(UpstreamError::NotFound)), "{name}:{tagged} {asked:?}");
    }
}

#[tokio::test]
async fn x13_a_blob_is_there_only_for_repositories_that_list_it() {
    let mut draft = Draft::new();
    let (mine, yours) = (draft.image("mine", None, OCI_CONFIG), draft.image("yours", None, OCI_CONFIG));
    draft.entry(mine, Some("a:v1"));
    draft.entry(yours, Some("b:v1"));
    let layout = draft.open();
    let blob = Digest::sha256(b"mine");
    assert_eq!(layout.blob_size(&repository("a"), &blob).await.unwrap(), 4);
    assert_eq!(layout.manifests_listing(&repository("a"), &blob).await, [mine]);
    assert!(matches!(layout.blob_size(&repository("b"), &blob).await, Err(UpstreamError::NotFound)));
    assert!(matches!(layout.blob(&repository("b"), &blob).await, Err(UpstreamError::NotFound)));
    assert_eq!(layout.manifests_listing(&repository("b"), &blob).await, []);
}

#[tokio::test]
async fn tags_are_listed_in_lexical_order_page_by_page() {
    let mut draft = Draft::new();
    let image = draft.image("layer", None, OCI_CONFIG);
    for name in ["a:v2", "a:v10", "a:latest", "b:other"] {
        draft.entry(image, Some(name));
    }
    let layout = draft.open();
    let page = async |n, last| {
        let page = layout.tags(&repository("a"), n, last).await.unwrap();
        (page.tags.join(" "), page.more)
    };
    assert_eq!(page(None, None).await, ("latest v10 v2".into(), false));
    assert_eq!(page(Some(2), None).await, ("latest v10".into(), true));
    assert_eq!(page(Some(2), Some("v10")).await, ("v2".into(), false));
    assert_eq!(page(Some(3), None).await, ("latest v10 v2".into(), false));
    assert_eq!(page(Some(0), None).await, (String::new(), false));
    assert!(matches!(layout.tags(&repository("c"), None, None).await, Err(UpstreamError::NotFound)));
}

#[tokio::test]
async fn entries_without_a_tag_belong_by_name_and_by_subject_however_far() {
    let mut draft = Draft::new();
    let image = draft.image("image", None, OCI_CONFIG);
    let signature = draft.image("signature", Some(image), OCI_EMPTY);
    let countersignature = draft.image("countersignature", Some(signature), "application/vnd.example.seal");
    let elsewhere = draft.image("elsewhere", None, OCI_CONFIG);
    let untagged = draft.image("untagged", None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    draft.entry(signature, None);
    draft.entry(countersignature, Some("v1"));
    draft.entry(elsewhere, Some("b:v1"));
    draft.entry(untagged, Some(&format!("a@{untagged}")));
    let layout = draft.open();
    for digest in [image, signature, countersignature, untagged] {
        assert!(layout.manifest(&repository("a"), &Reference::Digest(digest)).await.is_ok(), "{digest}");
        assert!(layout.manifest(&repository("b"), &Reference::Digest(digest)).await.is_err(), "{digest}");
    }
    assert_eq!(referrers(&layout, "a", &image, None).await.0, [(signature, OCI_EMPTY.into())]);
    assert_eq!(referrers(&layout, "a", &signature, None).await.0, [(countersignature, "application/vnd.example.seal".into())]);
    assert_eq!(referrers(&layout, "b", &image, None).await.0, []);
}

#[tokio::test]
async fn x3_a_long_list_of_referrers_comes_in_pages_of_at_most_4_mib_and_is_complete() {
    let mut draft = Draft::new();
    let image = draft.image("image", None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    let mut all: Vec<_> = (0..5).map(|n| draft.image(&format!("{n}{}", "x".repeat(1 << 20)), Some(image), OCI_EMPTY)).collect();
    all.iter().for_each(|digest| draft.entry(*digest, None));
    let layout = draft.open();
    let (mut listed, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let (page, more) = referrers(&layout, "a", &image, next.as_deref()).await;
        assert!(!page.is_empty());
        listed.extend(page.into_iter().map(|(digest, _)| digest));
        pages += 1;
        next = more;
        if next.is_none() {
            break;
        }
    }
    all.sort_unstable();
    assert_eq!((listed, pages), (all, 2));
    assert!(layout.referrers(&repository("a"), &image, Some("2")).await.is_err());
}

#[test]
fn every_image_is_listed_by_a_name_and_one_without_is_told() {
    let mut draft = Draft::new();
    let tagged = draft.image("tagged", None, OCI_CONFIG);
    let untagged = draft.image("untagged", None, OCI_CONFIG);
    let bundle = draft.image("bundle", Some(tagged), OCI_EMPTY);
    let listed = draft.image("listed", None, OCI_EMPTY);
    let fallback = draft.index(&[listed]);
    // Hidden behind a subject, it runs all the same.
    let disguised = draft.image("disguised", Some(tagged), OCI_CONFIG);
    let disguised_index = draft.index(&[untagged]);
    draft.entry(tagged, Some("a:v1"));
    draft.entry(tagged, None);
    for digest in [tagged, untagged, bundle, listed, disguised, disguised_index] {
        draft.entry(digest, Some(&format!("a@{digest}")));
    }
    draft.entry(bundle, None);
    draft.entry(fallback, Some(&format!("a:sha256-{}", tagged.to_hex())));
    let mut wanted: Vec<_> = [untagged, disguised, disguised_index].map(|digest| format!("a {digest}")).to_vec();
    wanted.sort();
    wanted.push("a v1".into());
    let Images { named, nameless } = images(draft.root.path()).unwrap();
    let named: Vec<_> = named.into_iter().map(|(repository, reference)| format!("{repository} {reference}")).collect();
    assert_eq!((named, nameless), (wanted, None));

    let bare = draft.image("bare", None, OCI_CONFIG);
    let other = format!("a@{tagged}");
    for name in [None, Some("v9"), Some(other.as_str()), Some("A:v1")] {
        draft.entry(bare, name);
        let nameless = Nameless { digest: bare, name: name.map(str::to_owned) };
        let Images { named, nameless: found } = images(draft.root.path()).unwrap();
        assert_eq!((named.len(), found), (4, Some(nameless)), "{name:?}");
        draft.entries.pop();
    }
    // What is not there may have been an image.
    draft.entry(Digest::sha256(b"lost"), None);
    assert_eq!(images(draft.root.path()).unwrap().nameless.unwrap().digest, Digest::sha256(b"lost"));
}

#[test]
fn x15_an_image_is_listed_however_it_is_tagged_and_evidence_by_no_tag() {
    let mut draft = Draft::new();
    let signed = draft.image("signed", None, OCI_CONFIG);
    let hex = signed.to_hex();
    let gzip = [&b"\x1f\x8b\x08\x00"[..], &[0; 32]].concat();
    let sig = draft.manifest(b"{\"critical\": {}}", SIMPLE_SIGNING, None, OCI_CONFIG);
    let att = draft.manifest("{\"payload\": \"\u{e9}\"}".as_bytes(), DSSE, None, OCI_CONFIG);
    let sbom = draft.manifest(b"<?xml version=\"1.0\"?>", "application/vnd.cyclonedx+xml", None, OCI_CONFIG);
    // A character may end behind what is looked at.
    let long = draft.manifest(format!("{}\u{e9}", " ".repeat(511)).as_bytes(), SPDX_TEXT, None, DOCKER_CONFIG);
    let bundle = draft.image("bundle", None, OCI_EMPTY);
    let lost = draft.manifest(b"{}", DSSE, None, OCI_CONFIG);
    std::fs::remove_file(files::blob_path(draft.root.path(), &Digest::sha256(b"{}"))).unwrap();
    draft.entry(signed, Some("a:v1"));
    for (digest, suffix) in [
        (sig, ".sig"),
        (att, ".att"),
        (sbom, ".sbom"),
        (long, ".sbom"),
        (lost, ".att"),
        (draft.index(&[bundle, att]), ""),
        (draft.index(&[]), ""),
    ] {
        draft.entry(digest, Some(&format!("a:sha256-{hex}{suffix}")));
    }
    draft.entry(bundle, Some(&format!("a@{bundle}")));
    let listed = |draft: &Draft| -> Vec<_> {
        let listed = images(draft.root.path()).unwrap().named.into_iter();
        listed.map(|(repository, reference)| format!("{repository} {reference}")).collect()
    };
    assert_eq!(listed(&draft), ["a v1"]);

    // By a tag of evidence each is listed by its digest, once, whatever else lists it.
    let image = draft.image("image", None, OCI_CONFIG);
    let docker = draft.image("docker", None, DOCKER_CONFIG);
    let archive = draft.manifest(&gzip, DSSE, None, OCI_CONFIG);
    let layered = draft.manifest(b"text", "application/vnd.oci.image.layer.v1.tar", None, OCI_CONFIG);
    let index = draft.index(&[image]);
    let nested = draft.index(&[draft.index(&[bundle])]);
    let sparse = draft.index(&[Digest::sha256(b"elsewhere")]);
    for runs in [image, docker, archive, layered, index, nested, sparse, Digest::sha256(b"gone")] {
        for suffix in [".sig", ".att", ".sbom", ""] {
            draft.entry(runs, Some(&format!("a:sha256-{}{suffix}", "a".repeat(64))));
            assert_eq!(listed(&draft), [format!("a {runs}"), "a v1".into()], "{suffix}");
            draft.entry(runs, Some(&format!("a@{runs}")));
            assert_eq!(listed(&draft), [format!("a {runs}"), "a v1".into()], "{suffix}");
            draft.entries.truncate(9);
        }
    }
    // What an index of referrers lists is no evidence for that.
    draft.entry(image, Some(&format!("a@{image}")));
    draft.entry(index, Some(&format!("a:sha256-{}", "a".repeat(64))));
    let mut wanted = [format!("a {image}"), format!("a {index}")];
    wanted.sort();
    assert_eq!(listed(&draft), [wanted[0].clone(), wanted[1].clone(), "a v1".into()]);
    // What has a tag of its own is listed by that.
    draft.entries.truncate(9);
    draft.entry(signed, Some(&format!("a:sha256-{hex}.sig")));
    assert_eq!(listed(&draft), ["a v1"]);
}

#[tokio::test]
async fn sha512_entries_and_missing_children_are_understood() {
    let mut draft = Draft::new();
    let (here, gone) = (draft.image("here", None, OCI_CONFIG), Digest::sha256(b"another platform"));
    let index = draft.index(&[here, gone]);
    draft.entry(index, Some("a:v1"));
    let bytes = std::fs::read(files::blob_path(draft.root.path(), &here)).unwrap();
    let long = Digest::of(crate::oci::Algorithm::Sha512, &bytes);
    std::fs::write(files::blob_path(draft.root.path(), &long), &bytes).unwrap();
    draft.entry(long, Some("a:long"));
    let layout = draft.open();
    assert_eq!(layout.parents(&repository("a"), &here).await, [index]);
    assert_eq!(layout.parents(&repository("a"), &gone).await, [index]);
    assert_eq!(layout.resolve(&repository("a"), &tag("long")).await.unwrap().digest, long);
    assert_eq!(layout.manifest(&repository("a"), &Reference::Digest(long)).await.unwrap().digest, long);
    let missing = layout.manifest(&repository("a"), &Reference::Digest(gone)).await;
    assert!(matches!(missing, Err(UpstreamError::NotFound)), "{missing:?}");
}

#[test]
fn x1_indexes_that_share_their_children_forty_levels_deep_are_read_once_each() {
    let mut draft = Draft::new();
    let mut level = [draft.image("a", None, OCI_CONFIG), draft.image("b", None, OCI_CONFIG)];
    for _ in 0..40 {
        level = [draft.index(&level), draft.index(&[level[1], level[0]])];
    }
    draft.entry(level[0], Some("a:v1"));
    draft.open();
}
