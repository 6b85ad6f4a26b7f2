//! What all judgements under way may take together, and how much of it those about images of one upstream may: one that is slow,
//! or of which somebody asks what is not there, holds up no other (threats H5).

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{evidence::Budget, oci::Host};

/// Judgements at once; the others wait, within their deadline. Each is some requests to an upstream, and some memory.
pub(super) const JUDGEMENTS: usize = 128;
/// Those about images of one upstream.
pub(super) const JUDGEMENTS_OF_ONE: usize = JUDGEMENTS / 2;

/// What judgements take.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) places: Semaphore,
    /// For evidence.
    pub(super) budget: Budget,
    /// For documents that are read to know whether they are evidence.
    pub(super) shapes: Budget,
}

/// All there is, and what there is for each upstream.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) all: Room,
    of_one: DashMap<Host, Arc<Room>>,
}

impl Default for Rooms {
    fn default() -> Self {
        let all = Room { places: Semaphore::new(JUDGEMENTS), budget: Budget::default(), shapes: Budget::default() };
        Self { all, of_one: DashMap::new() }
    }
}

impl Rooms {
    /// What there is for images of `host`.
    pub(super) fn of(&self, host: &Host) -> Arc<Room> {
        if let Some(one) = self.of_one.get(host) {
            return Arc::clone(&one);
        }
        let one = || {
            let (budget, shapes) = (self.all.budget.of_one(), self.all.shapes.of_one());
            Arc::new(Room { places: Semaphore::new(JUDGEMENTS_OF_ONE), budget, shapes })
        };
        Arc::clone(&self.of_one.entry(host.clone()).or_insert_with(one))
    }

    /// A place in `one` of them. That first, so that what waits for it takes none of the others' places.
    pub(super) async fn place<'r>(&'r self, one: &'r Room) -> [Option<SemaphorePermit<'r>>; 2] {
        [one.places.acquire().await.ok(), self.all.places.acquire().await.ok()]
    }
}
