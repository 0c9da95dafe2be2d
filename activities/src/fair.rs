//! Slots that are shared fairly: by group (a gateway API, a kind of request) and by key (a merchant).
//!
//! A group and a key each have a share of the slots. A caller beyond its share still enters while there is room, except into a small
//! headroom that is reserved for callers within their shares. No slot is idle while a caller may use it, and a caller with long calls never
//! makes the others wait. When all slots are taken, callers queue, and each released slot goes to the key with the fewest slots.

use std::{
    fmt::Display,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

mod state;
#[cfg(test)]
mod tests;

use state::{Granted, State};

/// Division of the slots.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Total number of slots.
    pub slots: usize,
    /// Share of one group.
    pub of_group: usize,
    /// Share of one key.
    pub of_key: usize,
    /// Slots reserved for callers within their shares.
    pub headroom: usize,
    /// Maximum number of callers that queue; further ones are refused at once.
    pub max_queued: usize,
    /// Name of the gauge of taken slots, labeled by group.
    pub gauge: &'static str,
}

/// Bounds of one key, which it never exceeds, even while slots are free.
#[derive(Clone, Copy, Debug)]
pub struct Cap<K> {
    pub key: K,
    /// Maximum number of slots that it holds.
    pub slots: usize,
    /// Maximum number of its callers that queue.
    pub queued: usize,
}

/// Group or key that slots are shared by.
pub trait Sharer: Copy + Eq + Hash + Send + 'static {}

impl<T: Copy + Eq + Hash + Send + 'static> Sharer for T {}

/// Set of fairly shared slots. Cheap to clone.
pub struct FairSlots<G: Sharer + Display, K: Sharer>(Arc<Mutex<State<G, K>>>);

/// One slot; released when dropped.
pub struct Slot<G: Sharer + Display, K: Sharer> {
    state: Arc<Mutex<State<G, K>>>,
    at: (G, K),
    since: Instant,
}

/// State of the queue for a new caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Estimated time until its slot.
    pub wait: Duration,
    /// Time for which callers of the same group and key have queued without interruption.
    pub standing: Duration,
}

impl<G: Sharer + Display, K: Sharer> Clone for FairSlots<G, K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<G: Sharer + Display, K: Sharer> FairSlots<G, K> {
    /// Creates a set with all slots free.
    pub fn sharing(shares: Shares) -> Self {
        Self::bounded(shares, None)
    }

    /// Creates a set with all slots free and bounds for one key.
    pub fn capped(shares: Shares, cap: Cap<K>) -> Self {
        Self::bounded(shares, Some(cap))
    }

    fn bounded(shares: Shares, cap: Option<Cap<K>>) -> Self {
        Self(Arc::new(Mutex::new(State::new(shares, cap))))
    }

    /// Takes a slot, or returns `None` at once if there is none.
    pub fn try_enter(&self, group: G, key: K) -> Option<Slot<G, K>> {
        // this overtakes no caller in the queue: one that could enter did so when the last slot was released
        lock(&self.0)
            .enter((group, key))
            .then(|| self.slot((group, key)))
    }

    /// Takes a slot, waiting in a fair queue; `None` if there was none `within` that time.
    pub async fn enter_within(&self, group: G, key: K, within: Duration) -> Option<Slot<G, K>> {
        let (sender, receiver) = oneshot::channel();
        let at = (group, key);
        let number = {
            let mut state = lock(&self.0);
            if state.enter(at) {
                return Some(self.slot(at));
            }
            state.queue(at, sender)?
        };
        let _place = Place {
            state: &self.0,
            at,
            number,
        };
        tokio::time::timeout(within, receiver).await.ok()?.ok()
    }

    /// Returns the state of the queue for a new caller.
    pub fn queue(&self, group: G, key: K) -> Queue {
        lock(&self.0).seen_by((group, key))
    }

    fn slot(&self, at: (G, K)) -> Slot<G, K> {
        Slot {
            state: self.0.clone(),
            at,
            since: Instant::now(),
        }
    }
}

impl<G: Sharer + Display, K: Sharer> Slot<G, K> {
    /// Counts the slot to another key from now on.
    pub fn pass_to(&mut self, key: K) {
        let granted = {
            let mut state = lock(&self.state);
            state.pass(self.at.1, key);
            // the former key may have been at its bound
            state.grant()
        };
        self.at.1 = key;
        self.send(granted);
    }

    fn send(&self, granted: Vec<Granted<G, K>>) {
        for (at, sender) in granted {
            // a caller that has given up drops the slot, which frees it again
            let _ = sender.send(Self {
                state: self.state.clone(),
                at,
                since: Instant::now(),
            });
        }
    }
}

impl<G: Sharer + Display, K: Sharer> Drop for Slot<G, K> {
    fn drop(&mut self) {
        let granted = {
            let mut state = lock(&self.state);
            state.leave(self.at, self.since.elapsed());
            state.grant()
        };
        self.send(granted);
    }
}

/// Caller's place in the queue, left when dropped.
struct Place<'a, G: Sharer + Display, K: Sharer> {
    state: &'a Mutex<State<G, K>>,
    at: (G, K),
    number: u64,
}

impl<G: Sharer + Display, K: Sharer> Drop for Place<'_, G, K> {
    fn drop(&mut self) {
        lock(self.state).unqueue(self.at, self.number);
    }
}

fn lock<G: Sharer + Display, K: Sharer>(state: &Mutex<State<G, K>>) -> MutexGuard<'_, State<G, K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
