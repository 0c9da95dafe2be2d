//! Slots that are shared fairly: by group (a gateway API, a kind of request) and by key (a merchant).
//!
//! A group and a key each have a share of the slots. A caller beyond its share still enters while there is room, except into a small
//! headroom that is reserved for callers within their shares. No slot is idle while a caller may use it, and a caller with long calls never
//! makes the others wait. When all slots are taken, callers queue, and each released slot goes to the key with the fewest slots.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// Divisor that gives the weight of the latest time in the smoothed time that a slot is held.
const SMOOTHING: u32 = 8;

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
        Self(Arc::new(Mutex::new(State {
            shares,
            cap,
            taken: 0,
            groups: HashMap::new(),
            keys: HashMap::new(),
            queues: HashMap::new(),
            queued: 0,
            arrivals: 0,
            held: Duration::ZERO,
        })))
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
            decrement(&mut state.keys, &self.at.1);
            *state.keys.entry(key).or_default() += 1;
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

struct Waiting<G: Sharer + Display, K: Sharer> {
    since: Instant,
    sender: oneshot::Sender<Slot<G, K>>,
}

/// Waiting callers in the order of arrival; never empty.
struct Line<G: Sharer + Display, K: Sharer> {
    since: Instant,
    waiting: BTreeMap<u64, Waiting<G, K>>,
}

/// Slot taken for a caller, to be sent to it.
type Granted<G, K> = ((G, K), oneshot::Sender<Slot<G, K>>);

struct State<G: Sharer + Display, K: Sharer> {
    shares: Shares,
    cap: Option<Cap<K>>,
    taken: usize,
    groups: HashMap<G, usize>,
    keys: HashMap<K, usize>,
    queues: HashMap<(G, K), Line<G, K>>,
    queued: usize,
    arrivals: u64,
    /// Smoothed time that a slot is held.
    held: Duration,
}

impl<G: Sharer + Display, K: Sharer> State<G, K> {
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

    fn enter(&mut self, at: (G, K)) -> bool {
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

    fn leave(&mut self, (group, key): (G, K), held: Duration) {
        self.taken -= 1;
        decrement(&mut self.groups, &group);
        decrement(&mut self.keys, &key);
        self.held = (self.held * (SMOOTHING - 1) + held) / SMOOTHING;
        metrics::gauge!(self.shares.gauge, "of" => group.to_string()).decrement(1);
    }

    fn queue(&mut self, at: (G, K), sender: oneshot::Sender<Slot<G, K>>) -> Option<u64> {
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

    fn unqueue(&mut self, at: (G, K), number: u64) -> Option<oneshot::Sender<Slot<G, K>>> {
        let line = self.queues.get_mut(&at)?;
        let waiting = line.waiting.remove(&number)?;
        if line.waiting.is_empty() {
            self.queues.remove(&at);
        }
        self.queued -= 1;
        Some(waiting.sender)
    }

    /// Gives the free slots to callers in the queue.
    fn grant(&mut self) -> Vec<Granted<G, K>> {
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

    fn seen_by(&self, at: (G, K)) -> Queue {
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

fn lock<G: Sharer + Display, K: Sharer>(state: &Mutex<State<G, K>>) -> MutexGuard<'_, State<G, K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn decrement<T: Eq + Hash>(counts: &mut HashMap<T, usize>, of: &T) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures::FutureExt;

    use super::*;

    type Slots = FairSlots<&'static str, u32>;
    type Taken = Slot<&'static str, u32>;

    const MAX_QUEUED: usize = 100;
    const LONG: Duration = Duration::from_mins(1);

    fn slots(slots: usize) -> Slots {
        FairSlots::sharing(Shares {
            slots,
            of_group: slots,
            of_key: slots,
            headroom: 0,
            max_queued: MAX_QUEUED,
            gauge: "tests",
        })
    }

    fn is_idle(slots: &Slots) -> bool {
        let state = lock(&slots.0);
        state.taken == 0
            && state.queued == 0
            && state.groups.is_empty()
            && state.keys.is_empty()
            && state.queues.is_empty()
    }

    /// Returns a caller that waits in the queue.
    fn queued(slots: &Slots, key: u32) -> impl Future<Output = Option<Taken>> + Unpin {
        let mut caller = Box::pin(slots.enter_within("a", key, LONG));
        assert!((&mut caller).now_or_never().is_none(), "a slot was free");
        caller
    }

    #[tokio::test]
    async fn a_free_slot_goes_to_the_key_with_the_fewest() {
        let slots = slots(4);
        let (busy, quiet) = (1, 2);
        let mut held: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", busy)).collect();
        let mut first = queued(&slots, busy);
        let second = queued(&slots, quiet);
        held.pop();
        let slot = second.now_or_never().flatten().expect("it has none");
        assert!((&mut first).now_or_never().is_none(), "it has three");
        drop((held, slot));
        assert!(first.await.is_some());
        assert!(is_idle(&slots));
    }

    #[tokio::test]
    async fn a_group_beyond_its_share_leaves_the_headroom_to_others() {
        let slots: Slots = FairSlots::sharing(Shares {
            slots: 8,
            of_group: 4,
            of_key: 8,
            headroom: 2,
            max_queued: MAX_QUEUED,
            gauge: "tests",
        });
        let mut busy: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", 1)).collect();
        assert_eq!(busy.len(), 6);
        let waiting = queued(&slots, 2);
        let other = slots.try_enter("b", 3).expect("the headroom");
        busy.pop();
        assert!(slots.try_enter("b", 3).is_some(), "it is not used up");
        drop((busy, other));
        assert!(waiting.await.is_some());
        assert!(is_idle(&slots));
    }

    #[tokio::test]
    async fn equal_keys_enter_in_the_order_of_arrival() {
        let slots = slots(1);
        let mut slot = slots.try_enter("a", 0);
        let mut callers: Vec<_> = [1, 1, 1, 2, 3]
            .into_iter()
            .map(|key| Some(queued(&slots, key)))
            .collect();
        let mut order = Vec::new();
        for _ in 0..callers.len() {
            drop(slot.take());
            for (at, caller) in callers.iter_mut().enumerate() {
                if let Some(entered) = caller.as_mut().and_then(FutureExt::now_or_never) {
                    *caller = None;
                    order.push(at);
                    slot = entered;
                }
            }
        }
        drop(slot);
        assert_eq!(order, [0, 1, 2, 3, 4]);
        assert!(is_idle(&slots));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_loses_no_slot() {
        let slots = slots(1);
        let held = slots.try_enter("a", 1).expect("free");
        let within = Duration::from_millis(5);
        assert!(slots.enter_within("a", 2, within).await.is_none());
        let dropped = queued(&slots, 2);
        let granted = queued(&slots, 3);
        drop(dropped);
        drop(held);
        // granted, and dropped before it was received
        drop(granted);
        assert!(is_idle(&slots));
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let slots = slots(1);
        let _held = slots.try_enter("a", 1).expect("free");
        let callers: Vec<_> = (0..MAX_QUEUED).map(|_| queued(&slots, 1)).collect();
        assert!(slots.enter_within("a", 2, LONG).await.is_none());
        drop(callers);
    }

    #[tokio::test]
    async fn a_capped_key_holds_and_queues_no_more_than_its_bounds() {
        let (capped, other) = (1, 2);
        let slots: Slots = FairSlots::capped(
            Shares {
                slots: 8,
                of_group: 8,
                of_key: 8,
                headroom: 0,
                max_queued: MAX_QUEUED,
                gauge: "tests",
            },
            Cap {
                key: capped,
                slots: 2,
                queued: 3,
            },
        );
        let mut held: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", capped)).collect();
        assert_eq!(held.len(), 2, "though eight are free");
        let callers: Vec<_> = (0..3).map(|_| queued(&slots, capped)).collect();
        let refused = slots.enter_within("b", capped, LONG).now_or_never();
        assert!(refused.expect("at once").is_none(), "in any group");
        let others: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", other)).collect();
        assert_eq!(others.len(), 6);
        // a slot that is passed on makes room under the cap only if a slot is free
        held[0].pass_to(other);
        drop(others);
        let entered = callers.into_iter().filter_map(FutureExt::now_or_never);
        let entered: Vec<_> = entered.flatten().collect();
        assert_eq!(entered.len(), 1);
        drop((held, entered));
        assert!(is_idle(&slots));
    }

    #[tokio::test]
    async fn a_long_line_is_seen_by_its_own_key_only() {
        let slots = slots(2);
        assert_eq!(slots.queue("a", 1), Queue::default());
        let held: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", 1)).collect();
        lock(&slots.0).held = Duration::from_millis(100);
        let callers: Vec<_> = (0..99).map(|_| queued(&slots, 1)).collect();
        let own = slots.queue("a", 1).wait;
        assert_eq!(own, Duration::from_secs(5));
        let other = slots.queue("a", 2).wait;
        assert_eq!(other, Duration::from_millis(100));
        drop((callers, held));
        assert!(is_idle(&slots));
    }
}
