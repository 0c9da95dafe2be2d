//! Admission: a request is refused only when our own work queues, or when the memory for waiting callers is used up.
//!
//! A request that creates or changes something holds a permit while it works: from its arrival until its charge waits for a
//! gateway, and again while its answer is read. Waiting for a gateway holds none. Requests queue for permits fairly by merchant and
//! mode, which the header of a key names only once the key was found: until then all requests share one line with bounds of its own,
//! so that invented keys take nothing from the callers whose keys were found before.
//! How long they queue is what says that we are busy: it covers the database, Temporal, the workers and the processor, since
//! each of these prolongs the time that a permit is held. As in controlled delay (RFC 8289) a burst may queue for long and is served; a
//! queue that never empties may not, or else every caller would wait for the same outcome.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use activities::fair::{Cap, FairSlots, Queue, Shares, Slot};
use axum::http::{HeaderMap, header};
use moka::sync::Cache;
use schemas::{gateway::Mode, id::MerchantId};
use strum::{Display, IntoStaticStr};

use crate::{Code, Error};

/// How long a caller may queue once there has been a queue for longer than a burst lasts.
const STANDING_WAIT: Duration = Duration::from_secs(1);
/// How long an answer queues before it is read all the same: its request has been granted.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How long a caller who is turned away should wait, in seconds.
const COME_BACK_AFTER_S: u32 = 1;

/// The most keys whose callers have a line of their own.
const MAX_KNOWN: u64 = 100_000;
/// How long a key that was found gives its callers a line of their own.
const KNOWN_FOR: Duration = Duration::from_hours(1);
/// The share of the permits, and of the places in the queue, that callers with unknown keys have together: one in so many.
const UNKNOWN_SHARE: usize = 4;

/// A line of the queue for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// Callers of a merchant in one mode.
    Known(MerchantId, Mode),
    /// All callers whose keys were not found recently.
    Unknown,
}

/// What a permit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Work {
    /// Creating a charge.
    Create,
    /// Canceling or refunding one.
    Change,
    /// Reading what became of it.
    Answer,
}

/// Held while a request works.
pub(crate) type Permit = Slot<Work, Line>;

/// Held as long as a caller waits.
pub(crate) type Place = Slot<Work, MerchantId>;

/// How much is admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub at_work: usize,
    pub waiting_callers: usize,
    pub answer_within: Duration,
}

/// Admits requests.
pub(crate) struct Admission {
    work: FairSlots<Work, Line>,
    callers: FairSlots<Work, MerchantId>,
    /// Whose the keys are that were found, by a digest under a secret of this process.
    known: Cache<u64, Line>,
    digest: RandomState,
    /// How long a burst may queue: as long as its callers wait.
    burst: Duration,
}

impl Admission {
    /// With nothing under way.
    pub(crate) fn new(limits: Limits) -> Self {
        let (at_work, callers) = (limits.at_work.max(1), limits.waiting_callers.max(1));
        Self {
            work: FairSlots::capped(
                Shares {
                    slots: at_work,
                    // the last ones are for what was granted before: cancels, refunds, answers
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

    /// A permit to work, waited for in a fair queue; an error if that would take too long.
    pub(crate) async fn enter(&self, work: Work, headers: &HeaderMap) -> Result<Permit, Error> {
        // turned away before the database is used, which is what a flood would wait for
        let line = self.line(headers);
        if is_too_long(self.work.queue(work, line), self.burst) {
            return Err(refused(work, "our own work queues"));
        }
        let permit = self.work.enter_within(work, line, self.burst).await;
        permit.ok_or_else(|| refused(work, "our own work queues"))
    }

    /// A place for a caller who is going to wait for an outcome; a merchant has a share of them.
    pub(crate) fn place(&self, work: Work, merchant: MerchantId) -> Result<Place, Error> {
        let place = self.callers.try_enter(work, merchant);
        place.ok_or_else(|| refused(work, "too many callers wait"))
    }

    /// A permit to read an answer.
    pub(crate) async fn answer(&self, line: Line) -> Option<Permit> {
        let within = ANSWER_WAIT;
        self.work.enter_within(Work::Answer, line, within).await
    }

    /// Gives callers with these headers their merchant's line: their key was found.
    pub(crate) fn remember(&self, headers: &HeaderMap, line: Line) {
        self.known.insert(self.key(headers), line);
    }

    /// Takes callers with these headers out of their line: their key was not found.
    pub(crate) fn forget(&self, headers: &HeaderMap) {
        self.known.invalidate(&self.key(headers));
    }

    fn line(&self, headers: &HeaderMap) -> Line {
        let known = self.known.get(&self.key(headers));
        known.unwrap_or(Line::Unknown)
    }

    fn key(&self, headers: &HeaderMap) -> u64 {
        self.digest.hash_one(headers.get(header::AUTHORIZATION))
    }
}

/// Whether a caller who comes now would queue for too long.
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
    use axum::http::HeaderValue;
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

    /// So many callers with keys that nobody was given; those who got in, and those who queue.
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
        let (key, line) = (with_key("a"), of_merchant(1));
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
        let other = with_key("sk_live_anothers");
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
        // the one permit of the unknown is free for the next while the merchant's work goes on
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
