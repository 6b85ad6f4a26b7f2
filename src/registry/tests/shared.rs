//! One layer in two registries, of which one fails, stalls and lies: what the clients of the other get.

use super::*;

const LAYER: usize = 300_000;

/// A registry beside another that has the same layer, each in an image that was admitted.
struct Pair {
    world: World,
    other: Arc<Scripted>,
    digest: Digest,
}

impl Pair {
    async fn new() -> Self {
        let world = World::allowing();
        let other = Scripted::new("quay.io");
        let upstreams = vec![Arc::clone(&world.upstream) as Arc<dyn Upstream>, Arc::clone(&other) as Arc<dyn Upstream>];
        world.routes.store(Arc::new(Routes { upstreams, default: None }));
        let mut digest = None;
        for upstream in [&world.upstream, &other] {
            let layer = upstream.blob(&"x".repeat(LAYER));
            digest = Some(layer["digest"].as_str().unwrap().parse().unwrap());
            upstream.publish(Some("v1"), &image(upstream, &[layer]));
            assert_eq!(world.get(&format!("/v2/{}/acme/app/manifests/v1", upstream.host())).await.status, 200);
        }
        Self { world, other, digest: digest.unwrap() }
    }

    fn target(&self, host: &str) -> String {
        format!("/v2/{host}/acme/app/blobs/{}", self.digest)
    }

    /// What a client of `host` gets, once its answer begins.
    async fn begin(&self, host: &str) -> Response<Body> {
        self.world.registry.respond(Request::get(self.target(host)).body(Empty::<Bytes>::new()).unwrap()).await
    }

    /// A client of the good one gets the right bytes, of the whole or of a part.
    async fn is_served(&self, range: &str) {
        let wanted = if range.is_empty() { (200, LAYER) } else { (206, 64) };
        let answer = self.world.range(&self.target("ghcr.io"), range).await;
        assert_eq!((answer.status, answer.body.len()), wanted);
        assert!(answer.body.iter().all(|byte| *byte == b'x'), "{range}");
    }
}

const RANGES: [&str; 2] = ["", "bytes=0-63"];

#[tokio::test(start_paused = true)]
async fn c16_one_that_stalls_and_fails_is_not_heard_by_who_asks_another_for_the_same_layer() {
    let lied = UpstreamError::Lied { host: "quay.io".into(), what: "no".into() };
    let failures = [
        (UpstreamError::NotFound, error(404, "BLOB_UNKNOWN")),
        (unreachable("quay.io"), error(503, "UNAVAILABLE")),
        (lied, error(502, "DIGEST_INVALID")),
    ];
    for (says, wanted) in failures {
        for range in RANGES {
            let pair = Pair::new().await;
            pair.other.breaks.store(Arc::new(Some(says.clone())));
            let asked = pair.other.asked();
            let turn = pair.other.turn.lock().await;
            let good = async {
                while pair.other.asked() == asked {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                pair.is_served(range).await;
                drop(turn);
            };
            let target = pair.target("quay.io");
            let (bad, ()) = tokio::join!(pair.world.get(&target), good);
            assert_eq!(bad.error(), wanted, "its own clients are told of it");
            pair.is_served(range).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn x5_one_that_lies_is_not_believed_by_who_asks_another_for_the_same_layer() {
    for range in RANGES {
        let pair = Pair::new().await;
        pair.other.blobs.insert(pair.digest, (Some(LAYER as u64), vec![b'y'; LAYER].into()));
        let rest = pair.other.rest.lock().await;
        let bad = pair.begin("quay.io").await;
        assert_eq!(bad.status(), 200);
        pair.is_served(range).await;
        drop(rest);
        assert!(bad.into_body().collect().await.is_err());
        pair.is_served(range).await;
        // Whose body has ended, is stored.
        pair.is_served("").await;
        let asked = pair.other.asked();
        assert_eq!(pair.world.get(&pair.target("quay.io")).await.body.len(), LAYER);
        assert_eq!(pair.other.asked(), asked, "what is stored is everybody's");
    }
}

#[tokio::test(start_paused = true)]
async fn x11_what_another_sends_does_not_name_a_layer_that_was_begun_before_something_was_denied() {
    let digests = [Digest::of(Algorithm::Sha512, "x".repeat(LAYER).as_bytes()), Digest::of(Algorithm::Sha512, b"unrelated")];
    for (denied, status) in digests.iter().zip([403, 200]) {
        // What the other sends is hashed as it comes, or once it is whole, if ever.
        for begins_before in [false, true] {
            let pair = Pair::new().await;
            let (rest, _others) = (pair.world.upstream.rest.lock().await, pair.other.rest.lock().await);
            assert_eq!(pair.begin("ghcr.io").await.status(), 200);
            if begins_before {
                assert_eq!(pair.begin("quay.io").await.status(), 200);
            }
            pair.world.policies.store(super::blobs::denying(denied));
            let second = Duration::from_secs(1);
            assert_eq!(tokio::time::timeout(second, pair.begin("quay.io")).await.is_err(), begins_before);
            let mut good = Box::pin(pair.begin("ghcr.io"));
            assert!(tokio::time::timeout(second, &mut good).await.is_err(), "it is not known what it is called");
            drop(rest);
            assert_eq!(good.await.status(), status);
        }
    }
}

/// One fetch for all repositories of a registry; but what it says of one of them is no answer for the others.
#[tokio::test(start_paused = true)]
async fn c16_of_one_registry_a_layer_is_fetched_once_and_asked_for_again_where_that_failed() {
    for fails in [false, true] {
        let world = World::allowing();
        let upstream = &world.upstream;
        let layer = upstream.blob(&"x".repeat(LAYER));
        let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
        upstream.publish(Some("v1"), &image(upstream, &[layer]));
        let repositories = ["acme/app", "acme/other"];
        for repository in repositories {
            assert_eq!(world.get(&format!("/v2/{repository}/manifests/v1")).await.status, 200);
        }
        if fails {
            upstream.breaks.store(Arc::new(Some(unreachable("ghcr.io"))));
        }
        let asked = upstream.asked();
        let rest = upstream.turn.lock().await;
        let targets = repositories.map(|repository| format!("/v2/{repository}/blobs/{digest}"));
        let turning = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(upstream.asked(), asked + 1, "one for both");
            drop(rest);
            // The second question finds it mended.
            let _first_answered = upstream.turn.lock().await;
            upstream.breaks.store(Arc::new(None));
        };
        let (first, second, ()) = tokio::join!(world.get(&targets[0]), world.get(&targets[1]), turning);
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, if fails { 503 } else { 200 }], "who asked first is told");
    }
}

/// Who asks again does not follow another one's second question either: its repository may be one of those that have nothing.
#[tokio::test(start_paused = true)]
async fn c16_who_followed_a_fetch_that_failed_follows_no_other_one_that_fails() {
    let world = World::allowing();
    let upstream = &world.upstream;
    let layer = upstream.blob(&"x".repeat(LAYER));
    let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    upstream.publish(Some("v1"), &image(upstream, &[layer]));
    let repositories = ["acme/first", "acme/second", "acme/app"];
    for repository in repositories {
        assert_eq!(world.get(&format!("/v2/{repository}/manifests/v1")).await.status, 200);
    }
    for repository in &repositories[..2] {
        upstream.lacks.insert((*repository).to_owned());
    }
    let turn = upstream.turn.lock().await;
    let targets = repositories.map(|repository| format!("/v2/{repository}/blobs/{digest}"));
    let turning = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(turn);
        // Until the two that followed ask again.
        let turn = upstream.turn.lock().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(turn);
    };
    let [first, second, third] = &targets;
    let following = async |target: &str| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.get(target).await
    };
    let (first, second, third, ()) = tokio::join!(world.get(first), following(second), following(third), turning);
    assert_eq!([first.status, second.status, third.status], [404, 404, 200]);
}
