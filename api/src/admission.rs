//! Admission: a request is refused only when our own work queues, or when the memory for waiting callers is used up.
//!
//! A request that creates or changes something holds a permit while it works: from its arrival until its charge waits for a
//! gateway, and again while its answer is read. Waiting for a gateway holds none. Requests queue for permits fairly by API key.
//! How long they queue is what says that we are busy: it covers the database, Temporal, the workers and the processor, since
//! each of these prolongs the time that a permit is held. As in controlled delay (RFC 8289) a burst may queue for long and is served; a
//! queue that never empties may not, or else every caller would wait for the same outcome.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use activities::fair::{FairSlots, Queue, Shares, Slot};
use axum::http::{HeaderMap, header};
use schemas::id::MerchantId;
use strum::{Display, IntoStaticStr};

use crate::{Code, Error};

/// How long a caller may queue once there has been a queue for longer than a burst lasts.
const STANDING_WAIT: Duration = Duration::from_secs(1);
/// How long an answer queues before it is read all the same: its request has been granted.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How long a caller who is turned away should wait, in seconds.
const COME_BACK_AFTER_S: u32 = 1;

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
pub(crate) type Permit = Slot<Work, u64>;

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
    work: FairSlots<Work, u64>,
    callers: FairSlots<Work, MerchantId>,
    keys: RandomState,
    /// How long a burst may queue: as long as its callers wait.
    burst: Duration,
}

impl Admission {
    /// With nothing under way.
    pub(crate) fn new(limits: Limits) -> Self {
        let (at_work, callers) = (limits.at_work.max(1), limits.waiting_callers.max(1));
        Self {
            work: FairSlots::sharing(Shares {
                slots: at_work,
                // the last ones are for what was granted before: cancels, refunds, answers
                of_group: (at_work - at_work / 4).max(1),
                of_key: at_work,
                headroom: at_work / 4,
                max_queued: callers,
                gauge: "requests_at_work",
            }),
            callers: FairSlots::sharing(Shares {
                slots: callers,
                of_group: callers,
                of_key: (callers / 4).max(1),
                headroom: callers / 8,
                max_queued: 0,
                gauge: "callers_waiting",
            }),
            keys: RandomState::new(),
            burst: limits.answer_within,
        }
    }

    /// A permit to work, waited for in a fair queue; an error if that would take too long.
    pub(crate) async fn enter(&self, work: Work, headers: &HeaderMap) -> Result<Permit, Error> {
        // turned away before the database is used, which is what a flood would wait for
        let key = self.key(headers);
        if is_too_long(self.work.queue(work, key), self.burst) {
            return Err(refused(work, "our own work queues"));
        }
        let permit = self.work.enter_within(work, key, self.burst).await;
        permit.ok_or_else(|| refused(work, "our own work queues"))
    }

    /// A place for a caller who is going to wait for an outcome; a merchant has a share of them.
    pub(crate) fn place(&self, work: Work, merchant: MerchantId) -> Result<Place, Error> {
        let place = self.callers.try_enter(work, merchant);
        place.ok_or_else(|| refused(work, "too many callers wait"))
    }

    /// A permit to read an answer.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Option<Permit> {
        let key = self.key(headers);
        self.work.enter_within(Work::Answer, key, ANSWER_WAIT).await
    }

    fn key(&self, headers: &HeaderMap) -> u64 {
        self.keys.hash_one(headers.get(header::AUTHORIZATION))
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

    fn with_key(key: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(key))])
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
        let key = with_key("Bearer a");
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(admission.enter(Work::Create, &key).await.expect("free"));
        }
        assert!(admission.work.try_enter(Work::Create, 0).is_none());
        let change = admission.enter(Work::Change, &key).await;
        let answer = admission.answer(&key).await;
        assert!(change.is_ok() && answer.is_some());
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
