//! One suite for every implementation of [`Documents`].

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

/// Runs each promise against both implementations.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod files {
            $(#[tokio::test]
            async fn $promise() {
                let rig = super::Rig::new();
                super::$promise(&**rig.store()).await;
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(&super::Memory::default()).await;
            })*
        }
    };
}

promises! {
    what_is_written_is_read
    x4_bytes_that_hash_to_something_else_are_refused
    documents_above_the_limit_are_absent
    a9_large_documents_are_left_in_files_and_read_by_position
    x4_a_spool_of_other_bytes_comes_to_nothing
    hints_are_replaced_and_kept_apart_by_kind_and_key
    c8_keys_that_look_alike_or_like_paths_do_not_meet
}

async fn what_is_written_is_read(documents: &dyn Documents) {
    for bytes in [Bytes::new(), content(1), content(70_000)] {
        for algorithm in [crate::oci::Algorithm::Sha256, crate::oci::Algorithm::Sha512] {
            let digest = Digest::of(algorithm, &bytes);
            assert_eq!(documents.read(&digest, LIMIT).await, None);
            documents.write(&digest, &bytes).await.unwrap();
            documents.write(&digest, &bytes).await.unwrap();
            assert_eq!(documents.read(&digest, LIMIT).await, Some(bytes.clone()));
        }
    }
}

async fn x4_bytes_that_hash_to_something_else_are_refused(documents: &dyn Documents) {
    let digest = Digest::sha256(b"wanted");
    let error = documents.write(&digest, &Bytes::from_static(b"found")).await.unwrap_err();
    let truth = Mismatch { wanted: digest, found: Digest::sha256(b"found") };
    assert!(matches!(error, StoreError::Mismatch(mismatch) if *mismatch == truth));
    assert_eq!(documents.read(&digest, LIMIT).await, None);
}

async fn documents_above_the_limit_are_absent(documents: &dyn Documents) {
    let bytes = content(1000);
    let digest = Digest::sha256(&bytes);
    documents.write(&digest, &bytes).await.unwrap();
    assert_eq!(documents.read(&digest, 999).await, None);
    assert_eq!(documents.read(&digest, 1000).await, Some(bytes));
}

/// Through a spool, in uneven pieces.
async fn spooled(documents: &dyn Documents, bytes: &Bytes) -> (Digest, Document) {
    let digest = Digest::sha256(bytes);
    let mut spool = documents.spool(&digest, bytes.len() as u64).await.unwrap();
    bytes.chunks(70_001).for_each(|piece| spool.write(piece).unwrap());
    (digest, spool.finish().unwrap())
}

async fn a9_large_documents_are_left_in_files_and_read_by_position(documents: &dyn Documents) {
    let bytes = content((1 << 20) + 70_000);
    let (digest, document) = spooled(documents, &bytes).await;
    assert!(documents.open(&digest, u64::MAX).await.is_none(), "taken in is not published");
    documents.keep(&digest, &document).await.unwrap();
    documents.keep(&digest, &document).await.unwrap();
    let kept = documents.open(&digest, u64::MAX).await.unwrap();
    assert!(documents.open(&digest, bytes.len() as u64 - 1).await.is_none());
    for document in [&document, &kept] {
        assert!(document.held().is_none() && document.len() == bytes.len() as u64);
        for (from, to) in [(0, bytes.len()), (65_535, 65_537), (65_536, 131_072), (0, 0), (bytes.len() - 1, bytes.len())] {
            assert_eq!(document.slice(from as u64..to as u64).unwrap(), bytes.slice(from..to), "{from} {to}");
        }
        assert_eq!(document.slice(bytes.len() as u64 - 2..u64::MAX).unwrap(), bytes.slice(bytes.len() - 2..));
        assert_eq!(document.whole(u64::MAX).unwrap().unwrap(), bytes);
        assert_eq!(document.whole(1 << 20).unwrap(), None);
        assert_eq!(document.damage(), None);
    }
    let small = content(1_000);
    let digest = Digest::sha256(&small);
    documents.keep(&digest, &small.clone().into()).await.unwrap();
    assert_eq!(documents.open(&digest, 1_000).await.unwrap().held(), Some(&small));
}

async fn x4_a_spool_of_other_bytes_comes_to_nothing(documents: &dyn Documents) {
    let digest = Digest::sha256(b"wanted");
    let mut spool = documents.spool(&digest, 6).await.unwrap();
    spool.write(b"found").unwrap();
    assert_eq!(&spool.take_back().unwrap()[..], b"found");
    assert_eq!(spool.finish().unwrap_err().found, Digest::sha256(b"found"));
    let held: Document = Bytes::from_static(b"found").into();
    assert!(matches!(documents.keep(&digest, &held).await, Err(StoreError::Mismatch(_))));
    assert!(documents.open(&digest, u64::MAX).await.is_none());
}

#[tokio::test]
async fn c5_a_document_that_changes_while_it_is_read_is_not_given_out_and_is_fetched_anew() {
    let mut rig = Rig::new();
    let bytes = content(3 << 20);
    let (digest, document) = spooled(&**rig.store(), &bytes).await;
    rig.store().keep(&digest, &document).await.unwrap();
    drop(document);
    rig.restart();
    let open = || rig.store().open(&digest, u64::MAX);
    for damage in
        [|file: &std::fs::File| file.write_all_at(b"?", 2 << 20).unwrap(), |file: &std::fs::File| file.set_len(2 << 20).unwrap()]
    {
        let document = open().await.unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(rig.path(&digest)).unwrap();
        damage(&file);
        assert_eq!(document.slice(0..1 << 20).unwrap(), bytes.slice(..1 << 20), "what did not change is still good");
        assert!(document.whole(u64::MAX).is_err());
        assert!(document.damage().unwrap().contains("cannot be read again"), "{:?}", document.damage());
        assert!(open().await.is_none() && !rig.path(&digest).exists());
        rig.store().write(&digest, &bytes).await.unwrap();
    }
    // Evicted, it is read on by who has it open.
    let document = open().await.unwrap();
    rig.store().shelf.unlink(&digest);
    assert_eq!(document.whole(u64::MAX).unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn what_is_not_kept_leaves_nothing_behind() {
    let rig = Rig::new();
    let staged = || std::fs::read_dir(rig.root().join("staged")).unwrap().count();
    let (_, document) = spooled(&**rig.store(), &content(2 << 20)).await;
    assert_eq!(staged(), 1);
    drop(document);
    assert_eq!(staged(), 0);
}

async fn hints_are_replaced_and_kept_apart_by_kind_and_key(documents: &dyn Documents) {
    for kind in HintKind::ALL {
        assert_eq!(documents.hint(kind, "k").await, None);
        documents.set_hint(kind, "k", b"first").await.unwrap();
        documents.set_hint(kind, "k", format!("{kind:?}").as_bytes()).await.unwrap();
        documents.set_hint(kind, "", b"").await.unwrap();
    }
    for kind in HintKind::ALL {
        assert_eq!(documents.hint(kind, "k").await.unwrap(), format!("{kind:?}"));
        assert_eq!(documents.hint(kind, "").await.unwrap(), "");
        assert_eq!(documents.hint(kind, "other").await, None);
    }
}

async fn c8_keys_that_look_alike_or_like_paths_do_not_meet(documents: &dyn Documents) {
    let keys = ["../../etc/passwd", "a/b", "a:b", "A/b", "a/b\0", "a/b\n", "/", ".", "\u{fffd}"];
    for key in keys {
        documents.set_hint(HintKind::Tag, key, key.as_bytes()).await.unwrap();
    }
    for key in keys {
        assert_eq!(documents.hint(HintKind::Tag, key).await.unwrap(), key);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Bits of the document flip on the disk.
    Damage(u8),
    Evict(u8),
    Hint(u8, u8),
    Pull(u8),
    Read(u8),
    ReadHint(u8),
    /// `kill -9`, with a file half written.
    Restart,
    /// Power loss: the name is there, the bytes are not.
    Tear(u8),
    TearHint(u8),
    Write(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4_u8;
    prop_oneof![
        1 => which.clone().prop_map(Step::Damage),
        1 => which.clone().prop_map(Step::Evict),
        2 => (which.clone(), any::<u8>()).prop_map(|(key, value)| Step::Hint(key, value)),
        3 => which.clone().prop_map(Step::Pull),
        3 => which.clone().prop_map(Step::Read),
        2 => which.clone().prop_map(Step::ReadHint),
        1 => Just(Step::Restart),
        1 => which.clone().prop_map(Step::Tear),
        1 => which.clone().prop_map(Step::TearHint),
        3 => which.prop_map(Step::Write),
    ]
}

/// What the model knows of a name: not there, there, or there but not to be believed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Good,
    Spoilt,
}

async fn walk(steps: Vec<Step>) {
    let mut rig = Rig::new();
    let mut model = HashMap::new();
    let mut hints = HashMap::new();
    let document = |which: u8| content(1 + usize::from(which) * 40_000);
    let name = |which: u8| Digest::sha256(&document(which));
    for step in steps {
        let store = Arc::clone(rig.store());
        match step {
            Step::Damage(which) => {
                if model.contains_key(&which) {
                    let file = std::fs::OpenOptions::new().write(true).open(rig.path(&name(which))).unwrap();
                    file.write_all_at(&[document(which)[0] ^ 1], 0).unwrap();
                    // The kernel's clock ticks in milliseconds; who damages in the same tick is not what this is about.
                    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(1)).unwrap();
                    model.insert(which, Held::Spoilt);
                }
            }
            Step::Evict(which) => {
                store.shelf.unlink(&name(which));
                model.remove(&which);
            }
            Step::Hint(key, value) => {
                store.set_hint(HintKind::Tag, &key.to_string(), &[value]).await.unwrap();
                hints.insert(key, value);
            }
            Step::Pull(which) => {
                let bytes = document(which);
                let blob = store.pull(&fetch(&name(which)), opener(pieces(&bytes, 9_000))).await.unwrap();
                let got = whole(&blob).await;
                if model.get(&which) == Some(&Held::Spoilt) {
                    assert!(got.is_err(), "damaged bytes ended cleanly");
                    model.remove(&which);
                } else {
                    assert_eq!(got.unwrap(), bytes);
                    model.insert(which, Held::Good);
                }
            }
            Step::Read(which) => {
                let got = store.read(&name(which), LIMIT).await;
                assert_eq!(got, (model.get(&which) == Some(&Held::Good)).then(|| document(which)));
                if got.is_none() {
                    assert!(!rig.path(&name(which)).exists(), "what is damaged is removed");
                    model.remove(&which);
                }
            }
            Step::ReadHint(key) => {
                let got = store.hint(HintKind::Tag, &key.to_string()).await;
                assert_eq!(got.as_deref(), hints.get(&key).map(std::slice::from_ref));
            }
            Step::Restart => {
                std::fs::write(rig.root().join("staged/1-1"), "half").unwrap();
                drop(store);
                rig.restart();
                assert_eq!(std::fs::read_dir(rig.root().join("staged")).unwrap().count(), 0);
            }
            Step::Tear(which) => {
                if model.remove(&which).is_some() {
                    std::fs::write(rig.path(&name(which)), "").unwrap();
                }
            }
            Step::TearHint(key) => {
                if hints.remove(&key).is_some() {
                    let path = store.shelf.layout.hint(HintKind::Tag, &key.to_string());
                    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(65).unwrap();
                }
            }
            Step::Write(which) => {
                store.write(&name(which), &document(which)).await.unwrap();
                model.insert(which, Held::Good);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn c3_c4_whatever_happens_a_read_gives_the_named_bytes_or_nothing(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(steps));
    }
}

/// A command that judges thousands of images must not run out of files, nor fill the disk.
#[tokio::test]
async fn without_a_store_only_so_many_large_documents_are_kept() {
    let memory = super::Memory::default();
    for at in 0..100_u8 {
        let bytes = Bytes::from(vec![at; (1 << 20) + 1]);
        let (digest, document) = spooled(&memory, &bytes).await;
        memory.keep(&digest, &document).await.unwrap();
        assert!(memory.open(&digest, u64::MAX).await.is_some(), "the last one is");
        memory.write(&Digest::sha256(&[at]), &Bytes::from(vec![at])).await.unwrap();
    }
    assert_eq!(memory.len(), 64 + 100);
}
