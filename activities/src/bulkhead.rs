//! Shares of the calls in flight, so that one slow gateway or one busy merchant cannot use up the whole process.
//!
//! The process has `max_calls_in_flight`. One gateway API has a share of them, and so has one merchant. A call beyond a share
//! still enters while the process has room, except into a small headroom that is kept for those within their shares: so nothing
//! idles while it is wanted, and a gateway that hangs never makes the calls to another one wait. When the process is full,
//! callers queue, and each slot that becomes free goes to the merchant with the fewest calls in flight.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use schemas::{gateway::ApiFamily, id::MerchantId};
use tokio::sync::oneshot;

/// Calls in flight in one process, unless configured.
pub const MAX_CALLS_IN_FLIGHT: usize = 4_000;
/// One gateway API's share of the calls in flight is one in so many.
const FAMILY_SHARE: usize = 2;
/// One merchant's share is one in so many.
const MERCHANT_SHARE: usize = 4;
/// One in so many slots is kept for calls within their shares.
const HEADROOM: usize = 8;
/// Callers that may queue for a slot; more are refused at once.
const MAX_QUEUED: usize = 10_000;

/// How many calls may be in flight in this process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_calls_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_calls_in_flight: MAX_CALLS_IN_FLIGHT,
        }
    }
}

/// Hands out slots for calls to gateways.
pub struct Bulkhead(Arc<Mutex<State>>);

/// A slot for one call; free again when dropped.
pub struct Slot {
    state: Arc<Mutex<State>>,
    family: ApiFamily,
    merchant: MerchantId,
}

impl Bulkhead {
    /// With all slots free.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(State::new(limits.max_calls_in_flight))))
    }

    /// A slot for one call, or `None` at once when there is none.
    pub fn try_enter(&self, family: ApiFamily, merchant: MerchantId) -> Option<Slot> {
        // it overtakes no caller in the queue: one that could enter has done so when the last slot became free
        lock(&self.0)
            .enter(family, merchant)
            .then(|| self.slot(family, merchant))
    }

    /// A slot for one call, waited for in a fair queue; `None` when there was none `within` that time.
    pub async fn enter_within(
        &self,
        family: ApiFamily,
        merchant: MerchantId,
        within: Duration,
    ) -> Option<Slot> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = lock(&self.0);
            if state.enter(family, merchant) {
                return Some(self.slot(family, merchant));
            }
            state.queue(family, merchant, sender)?
        };
        let since = Instant::now();
        let _place = Place {
            state: &self.0,
            key: (family, merchant),
            number,
        };
        let slot = tokio::time::timeout(within, receiver).await.ok()?.ok();
        metrics::histogram!("gateway_call_queue_seconds", "api" => family.to_string())
            .record(since.elapsed());
        slot
    }

    /// The former name of [`Self::try_enter`].
    pub fn enter(&self, family: ApiFamily, merchant: MerchantId) -> Option<Slot> {
        self.try_enter(family, merchant)
    }

    fn slot(&self, family: ApiFamily, merchant: MerchantId) -> Slot {
        Slot {
            state: self.0.clone(),
            family,
            merchant,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let granted = {
            let mut state = lock(&self.state);
            state.leave(self.family, self.merchant);
            state.grant()
        };
        for ((family, merchant), sender) in granted {
            // a caller that has given up drops the slot, which frees it again
            let _ = sender.send(Slot {
                state: self.state.clone(),
                family,
                merchant,
            });
        }
    }
}

/// A caller's place in the queue, left when dropped.
struct Place<'a> {
    state: &'a Mutex<State>,
    key: Key,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(self.state).unqueue(self.key, self.number);
    }
}

type Key = (ApiFamily, MerchantId);

struct State {
    max: usize,
    in_flight: usize,
    families: HashMap<ApiFamily, usize>,
    merchants: HashMap<MerchantId, usize>,
    /// By the order of arrival.
    queues: HashMap<Key, BTreeMap<u64, oneshot::Sender<Slot>>>,
    queued: usize,
    arrivals: u64,
}

impl State {
    fn new(max_calls_in_flight: usize) -> Self {
        Self {
            max: max_calls_in_flight.max(1),
            in_flight: 0,
            families: HashMap::new(),
            merchants: HashMap::new(),
            queues: HashMap::new(),
            queued: 0,
            arrivals: 0,
        }
    }

    fn of_family(&self, family: ApiFamily) -> usize {
        self.families.get(&family).copied().unwrap_or(0)
    }

    fn of_merchant(&self, merchant: MerchantId) -> usize {
        self.merchants.get(&merchant).copied().unwrap_or(0)
    }

    fn is_within_shares(&self, (family, merchant): Key) -> bool {
        self.of_family(family) < (self.max / FAMILY_SHARE).max(1)
            && self.of_merchant(merchant) < (self.max / MERCHANT_SHARE).max(1)
    }

    fn has_room(&self, key: Key) -> bool {
        let kept = if self.is_within_shares(key) {
            0
        } else {
            self.max / HEADROOM
        };
        self.in_flight + kept < self.max
    }

    fn enter(&mut self, family: ApiFamily, merchant: MerchantId) -> bool {
        let has_room = self.has_room((family, merchant));
        if has_room {
            self.take((family, merchant));
        }
        has_room
    }

    fn take(&mut self, (family, merchant): Key) {
        self.in_flight += 1;
        *self.families.entry(family).or_default() += 1;
        *self.merchants.entry(merchant).or_default() += 1;
        metrics::gauge!("gateway_calls_in_flight", "api" => family.to_string()).increment(1);
    }

    fn leave(&mut self, family: ApiFamily, merchant: MerchantId) {
        self.in_flight -= 1;
        decrement(&mut self.families, &family);
        decrement(&mut self.merchants, &merchant);
        metrics::gauge!("gateway_calls_in_flight", "api" => family.to_string()).decrement(1);
    }

    fn queue(
        &mut self,
        family: ApiFamily,
        merchant: MerchantId,
        sender: oneshot::Sender<Slot>,
    ) -> Option<u64> {
        if self.queued >= MAX_QUEUED {
            return None;
        }
        self.queued += 1;
        self.arrivals += 1;
        self.queues
            .entry((family, merchant))
            .or_default()
            .insert(self.arrivals, sender);
        Some(self.arrivals)
    }

    fn unqueue(&mut self, key: Key, number: u64) -> Option<oneshot::Sender<Slot>> {
        let queue = self.queues.get_mut(&key)?;
        let sender = queue.remove(&number)?;
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        self.queued -= 1;
        Some(sender)
    }

    /// Gives the free slots to callers in the queue.
    fn grant(&mut self) -> Vec<(Key, oneshot::Sender<Slot>)> {
        let mut granted = Vec::new();
        while let Some((key, number)) = self.next() {
            let Some(sender) = self.unqueue(key, number) else {
                break;
            };
            self.take(key);
            granted.push((key, sender));
        }
        granted
    }

    /// The caller that enters next: within its shares first, then the merchant's, then the gateway API's fewest calls in
    /// flight, then the longest wait.
    fn next(&self) -> Option<(Key, u64)> {
        if self.in_flight >= self.max {
            return None;
        }
        let first =
            |(key, queue): (&Key, &BTreeMap<u64, _>)| Some((*key, *queue.first_key_value()?.0));
        self.queues
            .iter()
            .filter_map(first)
            .filter(|(key, _)| self.has_room(*key))
            .min_by_key(|(key, number)| {
                (
                    !self.is_within_shares(*key),
                    self.of_merchant(key.1),
                    self.of_family(key.0),
                    *number,
                )
            })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn decrement<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn bulkhead(max_calls_in_flight: usize) -> Bulkhead {
        Bulkhead::new(Limits {
            max_calls_in_flight,
        })
    }

    fn merchant(n: u128) -> MerchantId {
        MerchantId(Uuid::from_u128(n))
    }

    fn fill(bulkhead: &Bulkhead, family: ApiFamily, merchant: MerchantId) -> Vec<Slot> {
        std::iter::from_fn(|| bulkhead.try_enter(family, merchant)).collect()
    }

    fn is_idle(bulkhead: &Bulkhead) -> bool {
        let state = lock(&bulkhead.0);
        state.in_flight == 0
            && state.queued == 0
            && state.families.is_empty()
            && state.merchants.is_empty()
            && state.queues.is_empty()
    }

    /// Polls a waiting caller once, so that it stands in the queue.
    fn queued(
        mut caller: impl Future<Output = Option<Slot>> + Unpin,
    ) -> impl Future<Output = Option<Slot>> + Unpin {
        assert!((&mut caller).now_or_never().is_none(), "a slot was free");
        caller
    }

    #[test]
    fn a_hanging_gateway_leaves_slots_to_the_others_at_once() {
        let bulkhead = bulkhead(4_000);
        let hanging: Vec<_> = (0..20)
            .flat_map(|n| fill(&bulkhead, ApiFamily::Asaas, merchant(n)))
            .collect();
        assert_eq!(
            hanging.len(),
            3_500,
            "all but the headroom: nothing else wants them"
        );
        assert!(bulkhead.try_enter(ApiFamily::Asaas, merchant(99)).is_none());
        assert!(
            bulkhead
                .try_enter(ApiFamily::Stripe, merchant(99))
                .is_some()
        );
    }

    #[test]
    fn one_merchant_uses_what_is_free_and_never_the_last_slots() {
        let bulkhead = bulkhead(16);
        let busy = fill(&bulkhead, ApiFamily::Stripe, merchant(1));
        assert_eq!(busy.len(), 14);
        assert!(bulkhead.try_enter(ApiFamily::Asaas, merchant(1)).is_none());
        assert!(bulkhead.try_enter(ApiFamily::Asaas, merchant(2)).is_some());
        drop(busy);
        assert!(is_idle(&bulkhead));
    }

    #[tokio::test]
    async fn a_free_slot_goes_to_the_merchant_with_the_fewest_calls() {
        let bulkhead = bulkhead(4);
        let (busy, quiet) = (merchant(1), merchant(2));
        let mut held = fill(&bulkhead, ApiFamily::EfiPix, busy);
        let mut first = queued(Box::pin(bulkhead.enter_within(
            ApiFamily::EfiPix,
            busy,
            LONG,
        )));
        let second = queued(Box::pin(bulkhead.enter_within(
            ApiFamily::EfiPix,
            quiet,
            LONG,
        )));
        held.pop();
        let slot = second
            .now_or_never()
            .flatten()
            .expect("it has no call in flight");
        assert!(
            (&mut first).now_or_never().is_none(),
            "it came first, and has three"
        );
        drop((held, slot));
        assert!(first.await.is_some());
        assert!(is_idle(&bulkhead));
    }

    #[tokio::test]
    async fn equal_merchants_enter_in_the_order_of_arrival() {
        let bulkhead = bulkhead(1);
        let held = bulkhead
            .try_enter(ApiFamily::Stripe, merchant(0))
            .expect("free");
        let mut order = Vec::new();
        let callers: Vec<_> = [1, 1, 1, 2, 3]
            .into_iter()
            .map(|n| {
                let caller = bulkhead.enter_within(ApiFamily::Stripe, merchant(n), LONG);
                queued(Box::pin(caller))
            })
            .collect();
        let mut callers: Vec<_> = callers.into_iter().map(Some).collect();
        let mut slot = Some(held);
        for _ in 0..5 {
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
        assert_eq!(order, [0, 1, 2, 3, 4], "none of them has a call in flight");
        assert!(is_idle(&bulkhead));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_loses_no_slot() {
        let bulkhead = bulkhead(1);
        let held = bulkhead
            .try_enter(ApiFamily::Stripe, merchant(1))
            .expect("free");
        let within = Duration::from_millis(5);
        let late = bulkhead.enter_within(ApiFamily::Stripe, merchant(2), within);
        assert!(late.await.is_none());
        let dropped = queued(Box::pin(bulkhead.enter_within(
            ApiFamily::Stripe,
            merchant(2),
            LONG,
        )));
        let granted = queued(Box::pin(bulkhead.enter_within(
            ApiFamily::Stripe,
            merchant(3),
            LONG,
        )));
        drop(dropped);
        drop(held);
        // granted, and dropped before it was read
        drop(granted);
        assert!(is_idle(&bulkhead));
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let bulkhead = bulkhead(1);
        let _held = bulkhead
            .try_enter(ApiFamily::Stripe, merchant(1))
            .expect("free");
        let callers: Vec<_> = (0..MAX_QUEUED)
            .map(|_| {
                queued(Box::pin(bulkhead.enter_within(
                    ApiFamily::Stripe,
                    merchant(1),
                    LONG,
                )))
            })
            .collect();
        let refused = bulkhead.enter_within(ApiFamily::Stripe, merchant(1), LONG);
        assert!(refused.await.is_none());
        drop(callers);
    }
}
