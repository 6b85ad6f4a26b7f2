//! What each connection is doing, and since when; the sweeper that ends those that take too long.
//!
//! One table and one sweeper instead of a timer a request: the hot path pays an atomic store where it would pay an
//! allocation and a lock of the timer wheel. hyper's own header timeout is not used: it starts when the connection
//! becomes idle, so it cannot tell an idle keep-alive connection (60 s) from a slowloris (10 s).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use dashmap::DashMap;
use futures_util::task::AtomicWaker;

use super::Limits;

/// Gauges of a listener, read when metrics are asked for rather than written on every request.
#[derive(Debug, Default)]
pub struct Stats {
    connections: AtomicUsize,
    pub(super) in_flight: AtomicUsize,
}

impl Stats {
    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests whose last byte has not left.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the first byte of a request.
    Idle = 0,
    /// Part of a request's head has arrived.
    Head = 1,
    /// A request is being answered, to its last byte.
    Busy = 2,
}

/// What a connection's task was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Go on.
    Serve,
    /// Finish the request under way, then close.
    Drain,
    /// Close at once; bytes in flight are lost.
    Kill,
}

/// Why a connection was ended by us: the label of [`crate::telemetry::CONNECTIONS_CLOSED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Idle when another needed the place.
    Crowded,
    /// The drain deadline passed.
    Drain,
    /// The request's head took too long (H3, slowloris).
    Head,
    /// Idle too long.
    Idle,
    /// No place, and no idle connection to take it from.
    Refused,
    /// The client did not read its response (H3).
    Stalled,
    /// The TLS handshake failed or took too long.
    Tls,
}

impl Why {
    pub(super) fn count(self) {
        let label = match self {
            Self::Crowded => "crowded",
            Self::Drain => "drain",
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Refused => "refused",
            Self::Stalled => "stalled",
            Self::Tls => "tls",
        };
        metrics::counter!(crate::telemetry::CONNECTIONS_CLOSED, "why" => label).increment(1);
    }
}

/// One connection's state, shared by its task, its IO and the sweeper.
#[derive(Debug)]
pub(super) struct Tracked {
    clock: Arc<AtomicU64>,
    /// Tick of the last change of phase, then the phase in the two low bits: one store, never half of each.
    phase: AtomicU64,
    /// One more than the tick at which the socket took no more bytes; 0 while it does.
    stalled: AtomicU64,
    /// Requests whose response has not wholly left: above one while a client pipelines.
    busy: AtomicUsize,
    signal: AtomicU8,
    waker: AtomicWaker,
}

impl Tracked {
    fn enter(&self, phase: Phase) {
        let now = self.clock.load(Ordering::Relaxed);
        self.phase.store(now << 2 | phase as u64, Ordering::Relaxed);
    }

    fn phase(&self) -> (Phase, u64) {
        let packed = self.phase.load(Ordering::Relaxed);
        let phase = match packed & 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        };
        (phase, packed >> 2)
    }

    /// Bytes arrived.
    pub(super) fn received(&self) {
        if self.phase().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// The TLS handshake is over: its bytes were no request's.
    pub(super) fn shook_hands(&self) {
        self.enter(Phase::Idle);
    }

    /// Whether part of a request's head has arrived, and not all.
    pub(super) fn is_reading_head(&self) -> bool {
        self.phase().0 == Phase::Head
    }

    /// The socket took bytes, or would not.
    pub(super) fn wrote(&self, progress: bool) {
        let stalled = self.stalled.load(Ordering::Relaxed);
        if progress && stalled != 0 {
            self.stalled.store(0, Ordering::Relaxed);
        } else if !progress && stalled == 0 {
            self.stalled.store(self.clock.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// A request's head is whole. The returned guard is held until its response's last byte was taken by the socket.
    pub(super) fn exchange(self: &Arc<Self>) -> Exchange {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
        Exchange(Arc::clone(self))
    }

    /// What the task shall do; its waker is called when that changes.
    pub(super) fn signal(&self, waker: &Waker) -> Signal {
        self.waker.register(waker);
        self.told()
    }

    /// What the task was told.
    pub(super) fn told(&self) -> Signal {
        match self.signal.load(Ordering::Acquire) {
            0 => Signal::Serve,
            1 => Signal::Drain,
            _ => Signal::Kill,
        }
    }

    fn tell(&self, signal: Signal) -> bool {
        let level = match signal {
            Signal::Serve => 0,
            Signal::Drain => 1,
            Signal::Kill => 2,
        };
        let before = self.signal.fetch_max(level, Ordering::AcqRel);
        self.waker.wake();
        before < level
    }
}

/// Held while a request is being answered.
#[derive(Debug)]
pub(super) struct Exchange(Arc<Tracked>);

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.enter(Phase::Idle);
        }
    }
}

/// All open connections of a listener.
#[derive(Debug)]
pub(super) struct Table {
    open: DashMap<u64, Arc<Tracked>>,
    next: AtomicU64,
    /// Ticks since the start; moved by the sweeper, so that reading the time costs a load.
    clock: Arc<AtomicU64>,
    tick: Duration,
    limits: Limits,
    stats: Arc<Stats>,
}

/// Takes its connection out of the table when dropped, however the task ended.
#[derive(Debug)]
pub(super) struct Entry {
    table: Arc<Table>,
    id: u64,
    tracked: Arc<Tracked>,
}

impl Entry {
    pub(super) const fn tracked(&self) -> &Arc<Tracked> {
        &self.tracked
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.open.remove(&self.id);
        self.table.stats.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Table {
    pub(super) fn new(limits: Limits, stats: Arc<Stats>) -> Arc<Self> {
        let shortest = limits.header_timeout.min(limits.idle_timeout).min(limits.write_timeout);
        let tick = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        Arc::new(Self { open: DashMap::new(), next: AtomicU64::new(0), clock: Arc::default(), tick, limits, stats })
    }

    /// Takes a new connection in; `None` when there is no place and no idle connection to take it from.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Entry> {
        let open = self.stats.connections.fetch_add(1, Ordering::Relaxed);
        if open >= self.limits.connections && !self.make_room() {
            self.stats.connections.fetch_sub(1, Ordering::Relaxed);
            Why::Refused.count();
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let tracked = Arc::new(Tracked {
            clock: Arc::clone(&self.clock),
            phase: AtomicU64::new(self.clock.load(Ordering::Relaxed) << 2),
            stalled: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            signal: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        self.open.insert(id, Arc::clone(&tracked));
        Some(Entry { table: Arc::clone(self), id, tracked })
    }

    /// Closes the connections that have idled longest, a few at a time, so that a flood of new ones does not walk the whole
    /// table for each (H4). Says whether there were any.
    pub(super) fn make_room(&self) -> bool {
        let mut idle: Vec<(u64, Arc<Tracked>)> = self
            .open
            .iter()
            .filter(|entry| entry.told() == Signal::Serve)
            .filter_map(|entry| match entry.phase() {
                (Phase::Idle, since) => Some((since, Arc::clone(&entry))),
                (Phase::Head | Phase::Busy, _) => None,
            })
            .collect();
        let few = (1 + self.limits.connections / 256).min(idle.len());
        if few == 0 {
            return false;
        }
        if few < idle.len() {
            idle.select_nth_unstable_by_key(few - 1, |(since, _)| *since);
        }
        for (_, tracked) in idle.iter().take(few) {
            // Drain, not kill: a request that arrives in this instant is still answered.
            if tracked.tell(Signal::Drain) {
                Why::Crowded.count();
            }
        }
        true
    }

    /// Moves the clock and ends what takes too long, for ever.
    pub(super) async fn sweep(&self) {
        let ticks = |timeout: Duration| timeout.as_millis().div_ceil(self.tick.as_millis().max(1)) as u64;
        let (head, idle, write) =
            (ticks(self.limits.header_timeout), ticks(self.limits.idle_timeout), ticks(self.limits.write_timeout));
        let mut interval = tokio::time::interval(self.tick);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
            for entry in &self.open {
                let (phase, since) = entry.phase();
                let stalled = entry.stalled.load(Ordering::Relaxed);
                // `>`: the tick in which the wait began was not whole.
                let (signal, why) = if stalled != 0 && now.saturating_sub(stalled - 1) > write {
                    (Signal::Kill, Why::Stalled)
                } else if phase == Phase::Head && now.saturating_sub(since) > head {
                    (Signal::Kill, Why::Head)
                } else if phase == Phase::Idle && now.saturating_sub(since) > idle + head {
                    // Told to drain and still there: whatever holds it, it ends now.
                    (Signal::Kill, Why::Head)
                } else if phase == Phase::Idle && now.saturating_sub(since) > idle {
                    (Signal::Drain, Why::Idle)
                } else {
                    continue;
                };
                if entry.tell(signal) {
                    why.count();
                }
            }
        }
    }

    /// Tells every connection; requests under way go on when told to drain.
    pub(super) fn tell_all(&self, signal: Signal) {
        for entry in &self.open {
            if entry.tell(signal) && signal == Signal::Kill {
                Why::Drain.count();
            }
        }
    }
}
