//! Taken slots, and the callers that wait for one.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    hash::Hash,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Cap, Queue, Sharer, Shares, Slot};

/// Divisor that gives the weight of the latest time in the smoothed time that a slot is held.
const SMOOTHING: u32 = 8;

/// Caller that waits for a slot.
pub(super) struct Waiting<G: Sharer + Display, K: Sharer> {
    since: Instant,
    sender: oneshot::Sender<Slot<G, K>>,
}

/// Waiting callers in the order of arrival; never empty.
pub(super) struct Line<G: Sharer + Display, K: Sharer> {
    since: Instant,
    waiting: BTreeMap<u64, Waiting<G, K>>,
}

/// Slot taken for a caller, to be sent to it.
pub(super) type Granted<G, K> = ((G, K), oneshot::Sender<Slot<G, K>>);

/// Taken slots and waiting callers.
pub(super) struct State<G: Sharer + Display, K: Sharer> {
    pub(super) shares: Shares,
    pub(super) cap: Option<Cap<K>>,
    pub(super) taken: usize,
    pub(super) groups: HashMap<G, usize>,
    pub(super) keys: HashMap<K, usize>,
    pub(super) queues: HashMap<(G, K), Line<G, K>>,
    pub(super) queued: usize,
    arrivals: u64,
    /// Smoothed time that a slot is held.
    pub(super) held: Duration,
}

impl<G: Sharer + Display, K: Sharer> State<G, K> {
    /// Returns a state with all slots free.
    pub(super) fn new(shares: Shares, cap: Option<Cap<K>>) -> Self {
        Self {
            shares,
            cap,
            taken: 0,
            groups: HashMap::new(),
            keys: HashMap::new(),
            queues: HashMap::new(),
            queued: 0,
            arrivals: 0,
            held: Duration::ZERO,
        }
    }

    /// Counts one of a key's slots to another key.
    pub(super) fn pass(&mut self, from: K, to: K) {
        decrement(&mut self.keys, &from);
        *self.keys.entry(to).or_default() += 1;
    }

    fn of_group(&self, group: G) -> usize {
        self.groups.get(&group).copied().unwrap_or(0)
    }

    fn of_key(&self, key: K) -> usize {
        self.keys.get(&key).copied().unwrap_or(0)
    }

    fn is_within_shares(&self, (group, key): (G, K)) -> bool {
        self.of_group(group) < self.shares.of_group && self.of_key(key) < self.shares.of_key
    }

    fn cap_of(&self, key: K) -> Option<Cap<K>> {
        self.cap.filter(|cap| cap.key == key)
    }

    fn has_room(&self, at: (G, K)) -> bool {
        let cap = self.cap_of(at.1);
        if cap.is_some_and(|cap| self.of_key(at.1) >= cap.slots) {
            return false;
        }
        let kept = if self.is_within_shares(at) {
            0
        } else {
            self.shares.headroom
        };
        self.taken + kept < self.shares.slots
    }

    pub(super) fn enter(&mut self, at: (G, K)) -> bool {
        let has_room = self.has_room(at);
        if has_room {
            self.take(at);
        }
        has_room
    }

    fn take(&mut self, (group, key): (G, K)) {
        self.taken += 1;
        *self.groups.entry(group).or_default() += 1;
        *self.keys.entry(key).or_default() += 1;
        metrics::gauge!(self.shares.gauge, "of" => group.to_string()).increment(1);
    }

    pub(super) fn leave(&mut self, (group, key): (G, K), held: Duration) {
        self.taken -= 1;
        decrement(&mut self.groups, &group);
        decrement(&mut self.keys, &key);
        self.held = (self.held * (SMOOTHING - 1) + held) / SMOOTHING;
        metrics::gauge!(self.shares.gauge, "of" => group.to_string()).decrement(1);
    }

    pub(super) fn queue(&mut self, at: (G, K), sender: oneshot::Sender<Slot<G, K>>) -> Option<u64> {
        let is_full = self
            .cap_of(at.1)
            .is_some_and(|cap| self.queued_of(at.1) >= cap.queued);
        if is_full || self.queued >= self.shares.max_queued {
            return None;
        }
        let since = Instant::now();
        self.queued += 1;
        self.arrivals += 1;
        self.queues
            .entry(at)
            .or_insert_with(|| Line {
                since,
                waiting: BTreeMap::new(),
            })
            .waiting
            .insert(self.arrivals, Waiting { since, sender });
        Some(self.arrivals)
    }

    /// Returns the number of callers of a key that queue.
    fn queued_of(&self, key: K) -> usize {
        let lines = self.queues.iter().filter(|((_, of), _)| *of == key);
        lines.map(|(_, line)| line.waiting.len()).sum()
    }

    pub(super) fn unqueue(
        &mut self,
        at: (G, K),
        number: u64,
    ) -> Option<oneshot::Sender<Slot<G, K>>> {
        let line = self.queues.get_mut(&at)?;
        let waiting = line.waiting.remove(&number)?;
        if line.waiting.is_empty() {
            self.queues.remove(&at);
        }
        self.queued -= 1;
        Some(waiting.sender)
    }

    /// Gives the free slots to callers in the queue.
    pub(super) fn grant(&mut self) -> Vec<Granted<G, K>> {
        let mut granted = Vec::new();
        while let Some((at, number)) = self.next() {
            let Some(sender) = self.unqueue(at, number) else {
                break;
            };
            self.take(at);
            granted.push((at, sender));
        }
        granted
    }

    /// Returns the caller that enters next: within its shares first, then by its key's slots, then by its group's, fewest first, then by
    /// the longest wait.
    fn next(&self) -> Option<((G, K), u64)> {
        if self.taken >= self.shares.slots {
            return None;
        }
        let first =
            |(at, line): (&(G, K), &Line<G, K>)| Some((*at, *line.waiting.first_key_value()?.0));
        self.queues
            .iter()
            .filter_map(first)
            .filter(|(at, _)| self.has_room(*at))
            .min_by_key(|(at, number)| {
                (
                    !self.is_within_shares(*at),
                    self.of_key(at.1),
                    self.of_group(at.0),
                    *number,
                )
            })
    }

    pub(super) fn seen_by(&self, at: (G, K)) -> Queue {
        let line = self.queues.get(&at);
        if line.is_none() && self.has_room(at) {
            return Queue::default();
        }
        let (before, standing, oldest) = line.map_or_else(Default::default, |line| {
            let oldest = line.waiting.first_key_value();
            (
                line.waiting.len(),
                line.since.elapsed(),
                oldest.map_or(Duration::ZERO, |(_, waiting)| waiting.since.elapsed()),
            )
        });
        // each line in turn receives one of the released slots
        let turns = (before + 1) * (self.queues.len() + usize::from(line.is_none()));
        let in_turn = self.lasts(turns, self.shares.slots);
        let in_own = self
            .cap_of(at.1)
            .map_or(Duration::ZERO, |cap| self.lasts(before + 1, cap.slots));
        Queue {
            wait: in_turn.max(in_own).max(oldest),
            standing,
        }
    }

    /// Returns the time that `callers` take with `slots`.
    fn lasts(&self, callers: usize, slots: usize) -> Duration {
        let callers = u32::try_from(callers).unwrap_or(u32::MAX);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX).max(1);
        self.held.saturating_mul(callers) / slots
    }
}

fn decrement<T: Eq + Hash>(counts: &mut HashMap<T, usize>, of: &T) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}
