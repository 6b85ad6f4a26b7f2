//! A layout that changes or breaks: what cannot be read is never taken for what is not there.

use std::os::unix::fs::symlink;

use super::*;
use crate::oci::media_type::OCI_CONFIG;

#[tokio::test]
async fn a_changed_index_is_read_again_and_a_broken_one_is_not_taken_for_an_empty_one() {
    let mut draft = Draft::new();
    let image = draft.image("image", None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    let layout = draft.open();
    assert!(layout.resolve(&repository("a"), &tag("v2")).await.is_err());
    let second = draft.image("second", None, OCI_CONFIG);
    draft.entry(second, Some("a:v2"));
    assert_eq!(layout.resolve(&repository("a"), &tag("v2")).await.unwrap().digest, second);

    for broken in [r#"{"manifests":[{}]}"#, r#"{"manifests":[],"Manifests":[]}"#, "{"] {
        std::fs::write(draft.root.path().join("index.json"), broken).unwrap();
        let asked = layout.resolve(&repository("a"), &tag("v1")).await;
        assert!(matches!(asked, Err(UpstreamError::Unreachable { .. })), "{broken} {asked:?}");
    }
    std::fs::remove_file(draft.root.path().join("index.json")).unwrap();
    let asked = layout.resolve(&repository("a"), &tag("v1")).await;
    assert!(matches!(asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    draft.write();
    assert!(layout.resolve(&repository("a"), &tag("v1")).await.is_ok());
}

#[tokio::test]
async fn a_manifest_the_disk_does_not_give_is_not_taken_for_one_that_is_not_there() {
    let mut draft = Draft::new();
    let image = draft.image("image", None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    let layout = draft.open();
    // A signature whose file cannot be opened, for root neither.
    let signature = Digest::of(crate::oci::Algorithm::Sha512, b"signature");
    draft.entry(signature, Some("a:signature"));
    std::fs::remove_dir(draft.root.path().join("blobs/sha512")).unwrap();
    std::fs::write(draft.root.path().join("blobs/sha512"), "").unwrap();
    let asked = layout.referrers(&repository("a"), &image, None).await;
    assert!(matches!(asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    assert!(open(draft.root.path()).unwrap_err().contains("cannot read"));
    std::fs::remove_file(draft.root.path().join("blobs/sha512")).unwrap();
    assert!(layout.referrers(&repository("a"), &image, None).await.is_ok());
}

#[tokio::test]
async fn a_tag_that_is_named_twice_differently_is_resolved_to_neither() {
    let mut draft = Draft::new();
    let (one, two) = (draft.image("one", None, OCI_CONFIG), draft.image("two", None, OCI_CONFIG));
    draft.entry(one, Some("a:v1"));
    draft.entry(one, Some("a:v1"));
    assert_eq!(draft.open().resolve(&repository("a"), &tag("v1")).await.unwrap().digest, one);
    draft.entry(two, Some("a:v1"));
    let asked = draft.open().resolve(&repository("a"), &tag("v1")).await;
    assert!(matches!(asked, Err(UpstreamError::Lied { .. })), "{asked:?}");
}

#[tokio::test]
async fn x5_a_manifest_whose_file_was_changed_is_not_served() {
    let mut draft = Draft::new();
    let image = draft.image("image", None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    let layout = draft.open();
    let path = files::blob_path(draft.root.path(), &image);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&bytes[..], b" "].concat()).unwrap();
    for reference in [Reference::Digest(image), Reference::Tag(tag("v1"))] {
        let asked = layout.manifest(&repository("a"), &reference).await;
        assert!(matches!(asked, Err(UpstreamError::Lied { .. })), "{asked:?}");
    }
    std::fs::write(&path, vec![b' '; crate::oci::manifest::MAX_MANIFEST + 1]).unwrap();
    let asked = layout.manifest(&repository("a"), &Reference::Digest(image)).await;
    assert!(matches!(asked, Err(UpstreamError::TooLarge { .. })), "{asked:?}");
}

#[tokio::test]
async fn links_and_directories_in_place_of_blobs_are_refused_and_missing_ones_are_not_found() {
    let mut draft = Draft::new();
    let image = draft.image("layer", None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    let layout = draft.open();
    let blob = Digest::sha256(b"layer");
    let path = files::blob_path(draft.root.path(), &blob);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(layout.blob(&repository("a"), &blob).await, Err(UpstreamError::NotFound)));
    assert!(matches!(layout.blob_size(&repository("a"), &blob).await, Err(UpstreamError::NotFound)));
    symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(layout.blob(&repository("a"), &blob).await, Err(UpstreamError::Lied { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(layout.blob(&repository("a"), &blob).await, Err(UpstreamError::Lied { .. })));
}

#[tokio::test]
async fn what_is_attached_and_lost_is_not_taken_for_what_is_not_there() {
    let mut draft = Draft::new();
    let image = draft.image("layer", None, OCI_CONFIG);
    let bundle = draft.image("bundle", Some(image), OCI_EMPTY);
    let signature = draft.image("signature", None, OCI_CONFIG);
    let listed = draft.image("listed", None, OCI_EMPTY);
    let fallback = draft.index(&[listed]);
    let hex = image.to_hex();
    draft.entry(image, Some("a:v1"));
    draft.entry(bundle, Some(&format!("a@{bundle}")));
    draft.entry(signature, Some(&format!("a:sha256-{hex}.sig")));
    draft.entry(fallback, Some(&format!("a:sha256-{hex}")));
    let (layout, a) = (draft.open(), repository("a"));
    let lose = |digest: &Digest| std::fs::remove_file(files::blob_path(draft.root.path(), digest)).unwrap();
    let attached = ["bundle", "signature", "listed"].map(|layer| Digest::sha256(layer.as_bytes()));
    for blob in attached {
        assert!(layout.blob_size(&a, &blob).await.is_ok());
        lose(&blob);
        let Err(UpstreamError::Unreachable { source, .. }) = layout.blob_size(&a, &blob).await else { panic!("{blob}") };
        assert!(source.to_string().ends_with(&format!("{} does not exist", blob.to_hex())), "{source}");
        assert!(matches!(layout.blob(&a, &blob).await, Err(UpstreamError::Unreachable { .. })));
    }
    for manifest in [listed, signature, fallback] {
        lose(&manifest);
        let found = layout.manifest(&a, &Reference::Digest(manifest)).await;
        assert!(matches!(found, Err(UpstreamError::Unreachable { .. })), "{found:?}");
    }
    // Of an image a part may be elsewhere.
    let layer = Digest::sha256(b"layer");
    lose(&layer);
    lose(&image);
    assert!(matches!(layout.blob_size(&a, &layer).await, Err(UpstreamError::NotFound)));
    assert!(matches!(layout.manifest(&a, &Reference::Digest(image)).await, Err(UpstreamError::NotFound)));

    assert_eq!(unread(draft.root.path()).unwrap(), [image, signature, fallback]);
}

#[tokio::test]
async fn u10_a_blob_that_shrinks_while_it_is_read_breaks_the_stream() {
    let mut draft = Draft::new();
    let layer = "x".repeat(3 * PIECE);
    let image = draft.image(&layer, None, OCI_CONFIG);
    draft.entry(image, Some("a:v1"));
    let layout = draft.open();
    let blob = Digest::sha256(layer.as_bytes());
    let mut stream = layout.blob(&repository("a"), &blob).await.unwrap();
    let first = stream.pieces.next().await.unwrap().unwrap();
    assert!(!first.is_empty() && first.len() <= PIECE);
    std::fs::write(files::blob_path(draft.root.path(), &blob), "x").unwrap();
    let rest = read(stream).await;
    assert!(matches!(rest, Err(UpstreamError::Unreachable { .. })), "{rest:?}");
}

#[test]
fn what_is_no_layout_is_refused_with_the_file_named() {
    let draft = Draft::new();
    std::fs::write(draft.root.path().join("index.json"), r#"{"manifests":{}}"#).unwrap();
    assert!(open(draft.root.path()).unwrap_err().contains("index.json: `manifests` is not a list"));
    std::fs::write(draft.root.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(open(draft.root.path()).unwrap_err().contains("oci-layout: want imageLayoutVersion `1.0.0`"));
    std::fs::remove_file(draft.root.path().join("oci-layout")).unwrap();
    assert!(open(draft.root.path()).unwrap_err().contains("oci-layout does not exist"));
}
