//! More to verify than there is room for: that is no statement about the evidence.

use std::sync::Barrier;

use bytes::Bytes;
use futures_util::{FutureExt as _, future::join_all};

use super::super::{testing::*, *};
use crate::{
    evidence::{Content, Document},
    oci::Digest,
    verify::{Epoch, Unready, Verified, Verifier, VerifyError},
};

/// Verifies nothing until all that it waits for are there.
#[derive(Debug)]
struct Stuck(Barrier);

impl Verifier for Stuck {
    fn verify(&self, _: &Digest, _: &Content) -> Result<Vec<Verified>, VerifyError> {
        self.0.wait();
        Ok(Vec::new())
    }

    fn epoch(&self) -> Epoch {
        Epoch(Digest::sha256(b"stuck"))
    }

    fn unready(&self) -> &[Unready] {
        &[]
    }
}

#[tokio::test]
async fn h5_with_no_room_to_verify_it_is_undecided_and_not_unsigned() {
    let world = World::new();
    let image = world.signed("a");
    let threads = world.config.verify_threads;
    let stuck: Arc<Stuck> = Arc::new(Stuck(Barrier::new(threads + 1)));
    let gate = Arc::clone(&world.gate);
    let mut all = Box::pin(join_all((0..threads + VERIFY_QUEUE).map(|_| {
        let content = Content::Bundle(Document::from(Bytes::from_static(b"{}")));
        gate.pool.verify(Arc::<Stuck>::clone(&stuck), image, content)
    })));
    assert!((&mut all).now_or_never().is_none());
    let answer = world.admit(image).await;
    drop(all);
    stuck.0.wait();
    assert!(matches!(&answer, Err(NoVerdict::Undecided(Undecided { reason: UndecidedReason::Overloaded, .. }))), "{answer:?}");
    world.permit(image).await;
}
