//! Concurrency of the sweep's workflow starts: as many as Temporal accepts without slowing down other clients.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Started;

/// Concurrent starts: initial number, minimum and maximum.
const FIRST: usize = 4;
const LEAST: usize = 2;
pub(super) const MOST: usize = 64;
/// Number of starts whose average time is compared.
const WINDOW: u32 = 16;

/// Set of lanes whose number adapts.
pub(super) struct Lanes {
    permits: Semaphore,
    state: Mutex<State>,
}

struct State {
    gauge: Gauge,
    /// Number of existing permits.
    open: usize,
}

/// One start in progress.
pub(super) struct Lane<'a> {
    lanes: &'a Lanes,
    permit: SemaphorePermit<'a>,
    began: Instant,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(FIRST),
            state: Mutex::new(State {
                gauge: Gauge::default(),
                open: FIRST,
            }),
        }
    }
}

impl Lanes {
    /// Waits for a lane, in the order of arrival, so that rows of all kinds proceed.
    pub(super) async fn enter(&self) -> Lane<'_> {
        let permit = self.permits.acquire().await.expect("it is never closed");
        Lane {
            lanes: self,
            permit,
            began: Instant::now(),
        }
    }
}

impl Lane<'_> {
    /// Releases the lane and adapts their number to the outcome.
    pub(super) fn leave(self, started: Started) {
        let mut state = self
            .lanes
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match started {
            Started::Now => state.gauge.took(self.began.elapsed()),
            Started::Away => state.gauge.failed(),
            Started::AlreadyRuns | Started::Refused(_) => {}
        }
        if state.open > state.gauge.allowed {
            state.open -= 1;
            self.permit.forget();
        } else if state.open < state.gauge.allowed {
            state.open += 1;
            self.lanes.permits.add_permits(1);
        }
    }
}

/// Limit of concurrent starts, from the average time of a start compared with the shortest average: one more while it is at most twice as
/// long, a quarter fewer otherwise.
struct Gauge {
    allowed: usize,
    seen: u32,
    total: Duration,
    /// Shortest average of a window. It rises slowly, so that a server that became slower permanently is not starved.
    shortest: Option<Duration>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            allowed: FIRST,
            seen: 0,
            total: Duration::ZERO,
            shortest: None,
        }
    }
}

impl Gauge {
    fn took(&mut self, took: Duration) {
        self.seen += 1;
        self.total += took;
        if self.seen < WINDOW {
            return;
        }
        let average = self.total / self.seen;
        (self.seen, self.total) = (0, Duration::ZERO);
        let shortest = self
            .shortest
            .map_or(average, |shortest| average.min(shortest + shortest / 512));
        self.shortest = Some(shortest);
        self.allowed = if average > shortest * 2 {
            (self.allowed * 3 / 4).max(LEAST)
        } else {
            (self.allowed + 1).min(MOST)
        };
    }

    fn failed(&mut self) {
        self.allowed = (self.allowed / 2).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts `n` windows on a server that processes `at_a_time` starts concurrently, each in `each`.
    fn windows(gauge: &mut Gauge, n: u32, at_a_time: usize, each: Duration) {
        for _ in 0..n * WINDOW {
            let waves = gauge.allowed.div_ceil(at_a_time);
            gauge.took(each * u32::try_from(waves).unwrap());
        }
    }

    #[test]
    fn a_server_with_room_is_used() {
        let mut gauge = Gauge::default();
        windows(&mut gauge, 100, 1_000, Duration::from_millis(5));
        assert_eq!(gauge.allowed, MOST);
    }

    #[test]
    fn a_full_server_is_left_room_for_others() {
        let mut gauge = Gauge::default();
        let mut most = 0;
        for _ in 0..100 {
            windows(&mut gauge, 1, 8, Duration::from_millis(5));
            most = most.max(gauge.allowed);
        }
        assert!((9..=17).contains(&most), "{most}");
    }

    #[test]
    fn a_server_that_stops_answering_is_spared_and_used_again_when_it_is_back() {
        let mut gauge = Gauge::default();
        windows(&mut gauge, 20, 1_000, Duration::from_millis(5));
        windows(&mut gauge, 20, 1_000, Duration::from_secs(5));
        assert_eq!(gauge.allowed, LEAST);
        windows(&mut gauge, 100, 1_000, Duration::from_millis(5));
        assert_eq!(gauge.allowed, MOST);
    }
}
