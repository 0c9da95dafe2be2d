//! Posts events to merchants' servers until they accept. An endpoint has limits for concurrent posts and for posts per second: a delivery
//! without a slot gets a turn, later ones are parked, and nothing polls.

use std::{sync::Arc, time::Duration};

use gateways::outside;
use reqwest::{Client, StatusCode};
use schemas::{
    delivery::DeliveryState,
    event::{EventSubjectKind, EventType},
    id::{DeliveryId, EndpointId},
    retry::Progress,
    webhook_endpoint::WebhookEndpointStatus,
};
use serde_json::json;
use store::{
    PgConnection, PoolConnection, StoreError,
    deliveries::{
        self, DeliveryJob, DeliveryResult, EndpointHealth, EndpointTerms, PausePolicy,
        PendingDelivery, given_up,
        queue::{self, QueuePlace},
    },
    events, webhook_endpoints,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{Activities, PollStep, Subject, delta, ms, until};

mod endpoint;
mod lanes;
mod post;

use crate::retry::delivery::{ALERT_EVERY, EARLY, SLEEP_AGAIN, SLOW, SLOW_FOR, TURNS_AHEAD};
use lanes::{Lanes, Slot};
use post::Answer;

/// Activities that the workflows of deliveries and endpoints call.
pub struct DeliveryActivities(pub Arc<Activities>);

#[activities]
impl DeliveryActivities {
    /// Posts an event to an endpoint.
    #[activity(name = "deliver")]
    pub async fn deliver(
        self: Arc<Self>,
        _ctx: ActivityContext,
        delivery: DeliveryId,
    ) -> Result<PollStep, ActivityError> {
        Ok(Box::pin(self.0.deliver_once(delivery)).await?)
    }

    /// Probes, drains or empties an endpoint.
    #[activity(name = "check_endpoint")]
    pub async fn check_endpoint(
        self: Arc<Self>,
        _ctx: ActivityContext,
        endpoint: EndpointId,
    ) -> Result<PollStep, ActivityError> {
        Ok(Box::pin(self.0.check_endpoint(endpoint)).await?)
    }
}

/// Sender of webhook POSTs.
pub struct WebhookSender {
    client: Client,
    allow_private: bool,
    lanes: Lanes,
}

impl WebhookSender {
    /// Creates a sender. `client` must follow no redirects and resolve no private addresses (`gateways::http`), unless `allow_private`.
    pub fn new(client: Client, allow_private: bool) -> Self {
        Self {
            client,
            allow_private,
            lanes: Lanes::default(),
        }
    }

    fn spacing(&self, endpoint: EndpointId, terms: EndpointTerms) -> Duration {
        self.lanes.spacing(endpoint, terms, outside::instant())
    }
}

/// Outcome of one try.
struct DeliveryOutcome {
    step: PollStep,
    /// True if the endpoint was paused or resumed: its workflow must run.
    wakes_endpoint: bool,
}

/// Next action of a delivery.
enum Entry {
    Post(Slot),
    Wait(PollStep),
    /// Parked as the first one: its endpoint drains from now on.
    Drain,
}

impl Activities {
    /// Tries a delivery once, if its time has come and its endpoint has a slot. A caller that wants it earlier sets the row's time.
    pub async fn deliver_once(&self, id: DeliveryId) -> Result<PollStep, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(work) = deliveries::load(&mut db, id).await? else {
            return Ok(PollStep::Done);
        };
        let (merchant, endpoint) = (work.merchant, work.endpoint);
        let outcome = match self.enter(&mut db, &work).await? {
            Entry::Wait(step) => return Ok(step),
            Entry::Drain => {
                drop(db);
                DeliveryOutcome {
                    step: PollStep::Done,
                    wakes_endpoint: true,
                }
            }
            Entry::Post(_slot) => Box::pin(self.try_once(db, work)).await?,
        };
        if outcome.wakes_endpoint {
            self.wake_or_leave(Subject::endpoint(merchant, endpoint))
                .await;
        }
        Ok(outcome.step)
    }

    async fn enter(&self, db: &mut PgConnection, work: &DeliveryJob) -> Result<Entry, StoreError> {
        if work.state != DeliveryState::Pending {
            return Ok(Entry::Wait(PollStep::Done));
        }
        match work.endpoint_status {
            WebhookEndpointStatus::Active => {}
            WebhookEndpointStatus::Paused => {
                queue::park(db, work.delivery).await?;
                return Ok(Entry::Wait(PollStep::Done));
            }
            WebhookEndpointStatus::Deleted => {
                deliveries::discard(db, work.delivery).await?;
                return Ok(Entry::Wait(PollStep::Done));
            }
        }
        let Some(due_at) = work.next_check_at else {
            return Ok(Entry::Wait(PollStep::Done));
        };
        if due_at > work.now + delta(EARLY) {
            return Ok(Entry::Wait(PollStep::Wait {
                after_ms: ms(until(due_at, work.now).max(SLEEP_AGAIN)),
            }));
        }
        let turns_are_out = work.draining || work.next_turn_at.is_some_and(|at| at > work.now);
        if work.has_turn || !turns_are_out {
            let lanes = &self.webhook_sender.lanes;
            let slot = lanes.enter(work.endpoint, work.terms, work.has_turn, outside::instant());
            if let Some(slot) = slot {
                return Ok(Entry::Post(slot));
            }
        }
        let spacing = self.webhook_sender.spacing(work.endpoint, work.terms);
        Ok(
            match queue::claim_turn(db, work, delta(spacing), delta(TURNS_AHEAD)).await? {
                QueuePlace::Turn { at, now } => Entry::Wait(PollStep::Wait {
                    after_ms: ms(until(at, now)),
                }),
                QueuePlace::Parked { first: false } => Entry::Wait(PollStep::Done),
                QueuePlace::Parked { first: true } => Entry::Drain,
            },
        )
    }

    /// Posts the event and records the result; releases `db` before the call.
    async fn try_once(
        &self,
        mut db: PoolConnection,
        work: DeliveryJob,
    ) -> Result<DeliveryOutcome, StoreError> {
        let secret = webhook_endpoints::secret(&mut db, &self.store, &work).await?;
        drop(db);
        let answer = self.post(&work, &secret).await?;
        self.record(&work, &answer).await
    }

    async fn record(
        &self,
        work: &DeliveryJob,
        answer: &Answer,
    ) -> Result<DeliveryOutcome, StoreError> {
        let wait = self.next_try(work, answer);
        let state = match wait {
            _ if answer.is_accepted() => DeliveryState::Delivered,
            Some(_) => DeliveryState::Pending,
            None => DeliveryState::Failed,
        };
        let mut tx = self.store.begin().await?;
        // the endpoint before the delivery: all code that locks both uses this order
        let health = self.note_endpoint(&mut tx, work, answer).await?;
        let is_paused = match health {
            EndpointHealth::Paused => true,
            EndpointHealth::Resumed => false,
            EndpointHealth::Unchanged => work.endpoint_status == WebhookEndpointStatus::Paused,
        };
        let wait = wait.filter(|_| state == DeliveryState::Pending && !is_paused);
        let tried = DeliveryResult {
            status: answer.status.map(|status| status.as_u16()),
            error: answer.error,
            duration_ms: i64::try_from(ms(answer.took)).unwrap_or(i64::MAX),
            state,
            next_check_at: wait.map(|wait| work.now + delta(answer.took + wait)),
        };
        deliveries::record_attempt(&mut tx, work, &tried).await?;
        let mut due = match health {
            EndpointHealth::Paused => announce_pause(&mut tx, work).await?,
            EndpointHealth::Resumed | EndpointHealth::Unchanged => Vec::new(),
        };
        if state == DeliveryState::Failed && given_up::is_alarming(work.event.kind.as_ref()) {
            due.extend(announce_given_up(&mut tx, work.endpoint).await?);
        }
        tx.commit().await?;
        log(work, &tried);
        self.starter.start_deliveries(due);
        Ok(DeliveryOutcome {
            step: wait.map_or(PollStep::Done, |wait| PollStep::Wait { after_ms: ms(wait) }),
            wakes_endpoint: health != EndpointHealth::Unchanged,
        })
    }

    /// Returns the pause after a failed try; `None` to give up.
    fn next_try(&self, work: &DeliveryJob, answer: &Answer) -> Option<Duration> {
        let progress = Progress {
            attempts: u32::try_from(work.attempts + 1).unwrap_or(u32::MAX),
            first_at: work.created_at,
            retry_after_s: answer.retry_after_s,
        };
        self.timing.delivery.next(
            progress,
            work.now,
            u16::try_from(store::chance(10_000)).unwrap_or_default(),
        )
    }

    /// Records the effect of an answer on the endpoint. The row of a healthy endpoint is not written.
    async fn note_endpoint(
        &self,
        db: &mut PgConnection,
        work: &DeliveryJob,
        answer: &Answer,
    ) -> Result<EndpointHealth, StoreError> {
        let lanes = &self.webhook_sender.lanes;
        let changed = lanes.answered(work.endpoint, work.terms, answer.took);
        let known_slow = |at| at > work.now + delta(SLOW_FOR / 2);
        let slow_until = Some(work.now + delta(SLOW_FOR))
            .filter(|_| answer.took > SLOW && !work.slow_until.is_some_and(known_slow));
        if changed.is_some() || slow_until.is_some() {
            let answers_in = changed.unwrap_or(work.terms.answer);
            deliveries::endpoint_answers(db, work.endpoint, answers_in, slow_until).await?;
        }
        if answer.is_accepted() {
            return deliveries::endpoint_accepted(db, work).await;
        }
        let gone = answer.status == Some(StatusCode::GONE);
        let timing = self.timing.pause;
        let policy = PausePolicy {
            failures: timing.failures,
            over: delta(timing.over),
            probe_every: delta(timing.probe_every),
        };
        deliveries::endpoint_failed(db, work, gone, policy).await
    }
}

async fn announce_pause(
    db: &mut PgConnection,
    work: &DeliveryJob,
) -> Result<Vec<PendingDelivery>, StoreError> {
    tracing::warn!(endpoint = %work.endpoint, "an endpoint failed for too long and was paused");
    let sequence = events::next_sequence(db, work.endpoint.uuid()).await?;
    let new = events::NewEvent {
        id: store::new_id(),
        merchant: work.merchant,
        mode: work.mode,
        kind: EventType::WebhookEndpointPaused,
        subject: EventSubjectKind::WebhookEndpoint,
        subject_id: work.endpoint.uuid(),
        sequence,
        data: json!({ "id": work.endpoint, "url": work.url, "status": WebhookEndpointStatus::Paused }),
    };
    events::append(db, new).await
}

/// Appends the event about failed deliveries to an endpoint, at most once a day.
async fn announce_given_up(
    db: &mut PgConnection,
    endpoint: EndpointId,
) -> Result<Vec<PendingDelivery>, StoreError> {
    let Some(alert) = given_up::note(db, endpoint, delta(ALERT_EVERY)).await? else {
        return Ok(Vec::new());
    };
    let sequence = events::next_sequence(db, endpoint.uuid()).await?;
    let new = events::NewEvent {
        id: store::new_id(),
        merchant: alert.merchant,
        mode: alert.mode,
        kind: EventType::WebhookEndpointDeliveryFailed,
        subject: EventSubjectKind::WebhookEndpoint,
        subject_id: endpoint.uuid(),
        sequence,
        data: json!({ "id": endpoint, "url": alert.url, "status": alert.status }),
    };
    events::append(db, new).await
}

fn log(work: &DeliveryJob, tried: &DeliveryResult<'_>) {
    metrics::counter!("delivery_attempts_total", "state" => tried.state.to_string()).increment(1);
    match tried.state {
        DeliveryState::Delivered | DeliveryState::Discarded => {}
        DeliveryState::Pending => tracing::info!(
            delivery = %work.delivery, endpoint = %work.endpoint, attempts = work.attempts + 1,
            status = tried.status, error = tried.error, "not accepted",
        ),
        DeliveryState::Failed => {
            metrics::counter!("deliveries_failed_total").increment(1);
            tracing::error!(
                delivery = %work.delivery, endpoint = %work.endpoint, attempts = work.attempts + 1,
                status = tried.status, error = tried.error, "a delivery was given up",
            );
        }
    }
}
