//! Admission of requests. A request is refused only if our own work queues or if the memory for waiting callers is used up.
//!
//! A request that creates or changes something holds a permit while it works: from its arrival until its charge waits for a gateway, and
//! again while its response is read. It holds none while it waits for a gateway. Requests queue for permits fairly by merchant and mode. A
//! request's key identifies them only after the key was found once: until then all requests share one line with its own bounds, so that
//! invented keys take nothing from callers whose keys were found before. The time in the queue measures the load: it covers the database,
//! Temporal, the workers and the processor, since each of them prolongs the time that a permit is held. As in controlled delay (RFC 8289),
//! a burst may queue for a long time and is served. A queue that never empties may not, because every caller would then wait for the same
//! outcome.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use activities::fair::{Cap, FairSlots, Queue, Shares, Slot};
use axum::http::HeaderMap;
use moka::sync::Cache;
use schemas::{gateway::Mode, id::MerchantId};
use strum::{Display, IntoStaticStr};

use crate::{Code, Error, auth::secret};

/// Maximum time in the queue once the queue has existed for longer than a burst.
const STANDING_WAIT: Duration = Duration::from_secs(1);
/// Time that a response queues for a permit before it is read without one: its request was already accepted.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Value of `Retry-After` for refused callers, in seconds.
const COME_BACK_AFTER_S: u32 = 1;

/// Maximum number of known keys, whose callers have their merchant's line.
const MAX_KNOWN: u64 = 100_000;
/// Time for which a key that was found is known.
const KNOWN_FOR: Duration = Duration::from_hours(1);
/// Divisor: the share of the permits, and of the places in the queue, of all callers with unknown keys together.
const UNKNOWN_SHARE: usize = 4;

/// Line of the queue for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// Callers of a merchant in one mode.
    Known(MerchantId, Mode),
    /// All callers whose keys were not found recently.
    Unknown,
}

/// Purpose of a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Work {
    /// Creation of a charge.
    Create,
    /// Cancellation or refund of a charge.
    Change,
    /// Read of the outcome.
    Answer,
}

/// Permit of a request, held while it works.
pub(crate) type Permit = Slot<Work, Line>;

/// Place of a waiting caller, held as long as it waits.
pub(crate) type Place = Slot<Work, MerchantId>;

/// Limits of admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub at_work: usize,
    pub waiting_callers: usize,
    pub answer_within: Duration,
}

/// Admission control of the API.
pub(crate) struct Admission {
    work: FairSlots<Work, Line>,
    callers: FairSlots<Work, MerchantId>,
    /// Lines of the keys that were found, by a digest under a secret of this process.
    known: Cache<u64, Line>,
    digest: RandomState,
    /// Maximum time in the queue for a burst, which is the time that its callers wait.
    burst: Duration,
}

impl Admission {
    /// Creates an admission control without running requests.
    pub(crate) fn new(limits: Limits) -> Self {
        let (at_work, callers) = (limits.at_work.max(1), limits.waiting_callers.max(1));
        Self {
            work: FairSlots::capped(
                Shares {
                    slots: at_work,
                    // The last permits are reserved for accepted charges: cancels, refunds, responses.
                    of_group: (at_work - at_work / 4).max(1),
                    of_key: at_work,
                    headroom: at_work / 4,
                    max_queued: callers,
                    gauge: "requests_at_work",
                },
                Cap {
                    key: Line::Unknown,
                    slots: (at_work / UNKNOWN_SHARE).max(1),
                    queued: (callers / UNKNOWN_SHARE).max(1),
                },
            ),
            callers: FairSlots::sharing(Shares {
                slots: callers,
                of_group: callers,
                of_key: (callers / 4).max(1),
                headroom: callers / 8,
                max_queued: 0,
                gauge: "callers_waiting",
            }),
            known: Cache::builder()
                .max_capacity(MAX_KNOWN)
                .time_to_live(KNOWN_FOR)
                .build(),
            digest: RandomState::new(),
            burst: limits.answer_within,
        }
    }

    /// Waits for a permit in a fair queue. Returns an error if that would take too long.
    pub(crate) async fn enter(&self, work: Work, headers: &HeaderMap) -> Result<Permit, Error> {
        // A flood is refused before it uses the database, which it would otherwise wait for.
        let line = self.line(headers);
        if is_too_long(self.work.queue(work, line), self.burst) {
            return Err(refused(work, "our own work queues"));
        }
        let permit = self.work.enter_within(work, line, self.burst).await;
        permit.ok_or_else(|| refused(work, "our own work queues"))
    }

    /// Returns a place for a caller that will wait for an outcome. Each merchant has a limited share of the places.
    pub(crate) fn place(&self, work: Work, merchant: MerchantId) -> Result<Place, Error> {
        let place = self.callers.try_enter(work, merchant);
        place.ok_or_else(|| refused(work, "too many callers wait"))
    }

    /// Waits for a permit to read a response. Returns `None` after `ANSWER_WAIT`.
    pub(crate) async fn answer(&self, line: Line) -> Option<Permit> {
        let within = ANSWER_WAIT;
        self.work.enter_within(Work::Answer, line, within).await
    }

    /// Assigns callers with these headers to `line`, because their key was found.
    pub(crate) fn remember(&self, headers: &HeaderMap, line: Line) {
        self.known.insert(self.key(headers), line);
    }

    /// Removes callers with these headers from their line, because their key was not found.
    pub(crate) fn forget(&self, headers: &HeaderMap) {
        self.known.invalidate(&self.key(headers));
    }

    fn line(&self, headers: &HeaderMap) -> Line {
        let known = self.known.get(&self.key(headers));
        known.unwrap_or(Line::Unknown)
    }

    fn key(&self, headers: &HeaderMap) -> u64 {
        self.digest.hash_one(secret(headers))
    }
}

/// Returns true if a new caller would queue for too long.
fn is_too_long(queue: Queue, burst: Duration) -> bool {
    let most = if queue.standing < burst {
        burst
    } else {
        STANDING_WAIT.min(burst)
    };
    queue.wait > most
}

fn refused(work: Work, why: &'static str) -> Error {
    let work: &'static str = work.into();
    metrics::counter!("requests_shed_total", "work" => work, "why" => why).increment(1);
    Error::new(Code::Overloaded, "nothing was stored").retry_after(COME_BACK_AFTER_S)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const BURST: Duration = Duration::from_secs(10);

    fn admission(at_work: usize, waiting_callers: usize) -> Admission {
        Admission::new(Limits {
            at_work,
            waiting_callers,
            answer_within: BURST,
        })
    }

    fn with_key(key: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("text");
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    fn of_merchant(n: u128) -> Line {
        Line::Known(MerchantId(Uuid::from_u128(n)), Mode::Live)
    }

    /// Sends `callers` requests with invented keys. Returns the permits, and the requests that queue.
    fn flood(
        admission: &Admission,
        callers: u32,
    ) -> (
        Vec<Permit>,
        Vec<impl Future<Output = Result<Permit, Error>> + Unpin>,
    ) {
        let (mut entered, mut queued) = (Vec::new(), Vec::new());
        for n in 0..callers {
            let headers = with_key(&format!("sk_live_{n}"));
            let mut entering =
                Box::pin(async move { admission.enter(Work::Create, &headers).await });
            match (&mut entering).now_or_never() {
                Some(Ok(permit)) => entered.push(permit),
                Some(Err(_)) => {}
                None => queued.push(entering),
            }
        }
        (entered, queued)
    }

    #[test]
    fn a_burst_is_served_and_a_standing_queue_is_not() {
        let queue = |wait, standing| Queue {
            wait: Duration::from_secs(wait),
            standing: Duration::from_secs(standing),
        };
        assert!(!is_too_long(Queue::default(), BURST));
        assert!(!is_too_long(queue(9, 3), BURST), "a burst");
        assert!(
            is_too_long(queue(11, 3), BURST),
            "the caller would have gone"
        );
        assert!(is_too_long(queue(2, 11), BURST), "we are too slow");
        assert!(!is_too_long(queue(1, 11), BURST));
    }

    #[tokio::test]
    async fn creating_leaves_permits_for_cancels_refunds_and_answers() {
        let admission = admission(8, 100);
        let (key, line) = (with_key("sk_live_a"), of_merchant(1));
        admission.remember(&key, line);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(admission.enter(Work::Create, &key).await.expect("free"));
        }
        assert!(admission.work.try_enter(Work::Create, line).is_none());
        let change = admission.enter(Work::Change, &key).await;
        let answer = admission.answer(line).await;
        assert!(change.is_ok() && answer.is_some());
    }

    #[tokio::test]
    async fn invented_keys_share_one_bounded_line() {
        let admission = admission(8, 80);
        let key = with_key("sk_live_a_merchants");
        admission.remember(&key, of_merchant(1));
        let (entered, queued) = flood(&admission, 1_000);
        assert_eq!(entered.len(), 2, "a quarter of the permits");
        assert_eq!(queued.len(), 20, "a quarter of the queue");
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(admission.enter(Work::Create, &key).await.expect("free"));
        }
    }

    #[tokio::test]
    async fn a_free_permit_goes_to_a_merchant_before_all_invented_keys() {
        let admission = admission(4, 80);
        let key = with_key("sk_live_a_merchants");
        admission.remember(&key, of_merchant(1));
        let (entered, queued) = flood(&admission, 1_000);
        assert_eq!((entered.len(), queued.len()), (1, 20));
        let enter = || admission.enter(Work::Create, &key).now_or_never();
        let mut held: Vec<_> = std::iter::from_fn(enter).collect();
        assert_eq!(held.len(), 2);
        let other = with_key("sk_live_another");
        admission.remember(&other, of_merchant(2));
        let mut entering = Box::pin(admission.enter(Work::Create, &other));
        assert!((&mut entering).now_or_never().is_none(), "all are taken");
        held.pop();
        let permit = entering.now_or_never().expect("its turn");
        assert!(permit.is_ok());
    }

    #[tokio::test]
    async fn a_key_that_was_found_leaves_the_line_of_the_unknown() {
        let admission = admission(4, 80);
        let (mut entered, queued) = flood(&admission, 5);
        assert_eq!((entered.len(), queued.len()), (1, 4));
        // The only permit of unknown keys becomes free for the next caller while the merchant's work continues.
        entered[0].pass_to(of_merchant(1));
        let next = queued.into_iter().filter_map(FutureExt::now_or_never);
        let held: Vec<_> = next.filter_map(Result::ok).collect();
        assert_eq!(held.len(), 1);
    }

    #[tokio::test]
    async fn a_key_that_is_no_longer_found_has_no_line_of_its_own() {
        let admission = admission(4, 80);
        let key = with_key("sk_live_revoked");
        admission.remember(&key, of_merchant(1));
        assert_eq!(admission.line(&key), of_merchant(1));
        admission.forget(&key);
        assert_eq!(admission.line(&key), Line::Unknown);
    }

    #[test]
    fn a_merchant_whose_callers_wait_takes_no_place_of_others() {
        let (admission, other) = (admission(8, 80), MerchantId(Uuid::from_u128(2)));
        let busy = MerchantId(Uuid::from_u128(1));
        let places: Vec<_> =
            std::iter::from_fn(|| admission.place(Work::Create, busy).ok()).collect();
        assert_eq!(places.len(), 70);
        let refused = admission.place(Work::Create, busy).err();
        assert_eq!(refused.map(|error| error.code()), Some(Code::Overloaded));
        assert!(admission.place(Work::Create, other).is_ok());
    }
}
