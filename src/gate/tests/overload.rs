//! More to verify than there is room for: that is no statement about the evidence.

use std::{sync::Barrier, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::join_all};

use super::super::{
    room::{JUDGEMENTS, JUDGEMENTS_OF_ONE},
    testing::*,
    *,
};
use crate::{
    evidence::{Content, Document},
    oci::{Digest, ImageName},
    upstream::Upstream,
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

/// Whoever asks a registry that is slow for what is not there would keep everybody from all the others.
#[tokio::test(start_paused = true)]
async fn h5_an_upstream_that_is_slow_holds_up_no_other() {
    let world = World::new();
    let image = world.signed("a");
    let slow = Arc::new(Fake::slow("slow.test", Duration::from_secs(60)));
    let asking = (0..2 * JUDGEMENTS).map(|at| {
        let digest = Digest::sha256(at.to_string().as_bytes());
        let upstream: Arc<dyn Upstream> = Arc::<Fake>::clone(&slow);
        let subject = Subject { upstream, image: ImageName { host: slow.host().clone(), ..name(REPO) }, digest };
        let gate = Arc::clone(&world.gate);
        tokio::spawn(async move { gate.admit(&subject).await })
    });
    let asking: Vec<_> = asking.collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.asked(Ask::ManifestByDigest), JUDGEMENTS_OF_ONE, "so much at once of each");
    let began = tokio::time::Instant::now();
    world.permit(image).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let told = join_all(asking).await.into_iter().map(Result::unwrap);
    assert!(told.into_iter().all(|answer| matches!(answer, Err(NoVerdict::Undecided(_)))));
}

/// What is left to who had to wait is the gate's doing: the upstream was not silent.
#[tokio::test(start_paused = true)]
async fn h5_who_had_to_wait_for_a_place_has_time_to_ask() {
    let world = World::new();
    let images = [world.signed("a"), world.signed("b")];
    let one = world.gate.rooms.of(&"reg.test".parse().unwrap());
    for (image, (places, most)) in
        images.into_iter().zip([(&one.places, JUDGEMENTS_OF_ONE), (&world.gate.rooms.all.places, JUDGEMENTS)])
    {
        let taken = places.try_acquire_many(u32::try_from(most).unwrap()).unwrap();
        let asking = world.admit(image);
        let freeing = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop(taken);
        };
        let (answer, ()) = tokio::join!(asking, freeing);
        assert!(matches!(answer, Ok(Verdict::Admit(_))), "{answer:?}");
        assert_eq!(places.available_permits(), most);
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
