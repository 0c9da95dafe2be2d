//! Posting events to merchants' servers, signed by Standard Webhooks, until they accept.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode, header};
use schemas::{
    delivery::State,
    event::{SubjectKind, Type},
    id::{DeliveryId, EndpointId},
    retry::Progress,
    webhook_endpoint::Status,
};
use serde_json::json;
use standardwebhooks::Webhook;
use store::{
    PgConnection, StoreError,
    deliveries::{self, Due, Health, PausePolicy, Tried, Work},
    events, webhook_endpoints,
};
use url::Url;

use crate::{Activities, DeliveryStep, bulkhead::Slots, delta, ms, until};

/// Posts in flight to one endpoint, in this process: one slow endpoint never delays another's.
const SLOTS_PER_ENDPOINT: usize = 16;
/// How long a delivery that found no slot waits: this, plus up to as much again.
const NO_SLOT: Duration = Duration::from_secs(1);
/// An answer slower than this makes the next deliveries to the endpoint start as regular activities.
const SLOW: Duration = Duration::from_secs(2);
/// For how long an endpoint is remembered as slow.
const SLOW_FOR: Duration = Duration::from_mins(5);
/// How fast the deliveries that waited for a paused endpoint are sent once it is back.
const DRAIN_PER_SECOND: i32 = 20;

/// Sends the POSTs.
pub struct Deliverer {
    client: Client,
    allow_private: bool,
    slots: Slots<EndpointId>,
}

impl Deliverer {
    /// `client` follows no redirects and resolves no private addresses (`gateways::http`), unless `allow_private`.
    pub fn new(client: Client, allow_private: bool) -> Self {
        Self {
            client,
            allow_private,
            slots: Slots::default(),
        }
    }
}

/// What the merchant's server did.
struct Answer {
    status: Option<StatusCode>,
    error: Option<&'static str>,
    retry_after_s: Option<i64>,
    took: Duration,
}

impl Activities {
    /// Tries a delivery once.
    pub async fn deliver_once(&self, id: DeliveryId) -> Result<DeliveryStep, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(work) = deliveries::load(&mut db, id).await? else {
            return Ok(DeliveryStep::Done);
        };
        if work.state != State::Pending {
            return Ok(DeliveryStep::Done);
        }
        if work.endpoint_status == Status::Deleted {
            deliveries::discard(&mut db, id).await?;
            return Ok(DeliveryStep::Done);
        }
        if work.endpoint_status == Status::Paused {
            let again_at = work.now + delta(self.timing.pause.probe_every);
            if !deliveries::take_probe(&mut db, work.endpoint, again_at).await? {
                let probe_in = until(work.probe_at.unwrap_or(again_at), work.now);
                return postpone(&mut db, &work, probe_in.max(NO_SLOT) + jitter(NO_SLOT)).await;
            }
        }
        let Some(_slot) = self.deliverer.slots.take(work.endpoint, SLOTS_PER_ENDPOINT) else {
            return postpone(&mut db, &work, NO_SLOT + jitter(NO_SLOT)).await;
        };
        let secret = webhook_endpoints::secret(&mut db, &self.store, &work).await?;
        drop(db);
        let answer = self.post(&work, &secret).await?;
        Box::pin(self.record(&work, &answer)).await
    }

    async fn post(&self, work: &Work, secret: &str) -> Result<Answer, StoreError> {
        let body =
            serde_json::to_vec(&work.event).map_err(|why| StoreError::corrupt("events", why))?;
        let id = work.event.id.to_string();
        let at = work.now.timestamp();
        let signature = Webhook::new(secret)
            .and_then(|key| key.sign(&id, at, &body))
            .map_err(|why| StoreError::corrupt("webhook_endpoints.secret_sealed", why))?;
        let started = Instant::now();
        let allowed = Url::parse(&work.url).ok().filter(|url| {
            gateways::http::check_webhook_url(url, self.deliverer.allow_private).is_ok()
        });
        let Some(url) = allowed else {
            return Ok(Answer {
                status: None,
                error: Some("address_not_allowed"),
                retry_after_s: None,
                took: started.elapsed(),
            });
        };
        let sent = self
            .deliverer
            .client
            .post(url)
            .timeout(self.timing.delivery_call)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await;
        let took = started.elapsed();
        Ok(match sent {
            Ok(answer) => Answer {
                status: Some(answer.status()),
                error: None,
                retry_after_s: retry_after(answer.headers()),
                took,
            },
            Err(error) => Answer {
                status: None,
                error: Some(what_happened(&error)),
                retry_after_s: None,
                took,
            },
        })
    }

    /// Writes down how the try went, and what it means for the endpoint.
    async fn record(&self, work: &Work, answer: &Answer) -> Result<DeliveryStep, StoreError> {
        let accepted = answer.status.is_some_and(|status| status.is_success());
        let wait = if accepted {
            None
        } else {
            self.next_try(work, answer)
        };
        let state = match (accepted, wait) {
            (true, _) => State::Delivered,
            (false, Some(_)) => State::Pending,
            (false, None) => State::Failed,
        };
        let tried = Tried {
            status: answer.status.map(|status| status.as_u16()),
            error: answer.error,
            duration_ms: i64::try_from(ms(answer.took)).unwrap_or(i64::MAX),
            state,
            look_at: wait.map(|wait| work.now + delta(answer.took + wait)),
        };
        let mut tx = self.store.pool.begin().await?;
        deliveries::record(&mut tx, work, &tried).await?;
        let due = self.note_endpoint(&mut tx, work, answer, accepted).await?;
        tx.commit().await?;
        metrics::counter!("delivery_attempts_total", "state" => state.to_string()).increment(1);
        if !accepted {
            tracing::info!(
                delivery = %work.delivery, endpoint = %work.endpoint, attempts = work.attempts + 1,
                status = tried.status, error = answer.error, state = %state, "not accepted",
            );
        }
        self.starter.start_deliveries(due);
        Ok(wait.map_or(DeliveryStep::Done, |wait| DeliveryStep::Again {
            after_ms: ms(wait),
        }))
    }

    fn next_try(&self, work: &Work, answer: &Answer) -> Option<Duration> {
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

    async fn note_endpoint(
        &self,
        db: &mut PgConnection,
        work: &Work,
        answer: &Answer,
        accepted: bool,
    ) -> Result<Vec<Due>, StoreError> {
        if answer.took > SLOW {
            deliveries::endpoint_is_slow(db, work.endpoint, work.now + delta(SLOW_FOR)).await?;
        }
        let health = if accepted {
            deliveries::endpoint_accepted(db, work).await?
        } else {
            let gone = answer.status == Some(StatusCode::GONE);
            let timing = self.timing.pause;
            let policy = PausePolicy {
                failures: timing.failures,
                over: delta(timing.over),
                probe_every: delta(timing.probe_every),
            };
            deliveries::endpoint_failed(db, work, gone, policy).await?
        };
        match health {
            Health::Unchanged => Ok(Vec::new()),
            Health::Resumed => {
                let waiting =
                    deliveries::drain_backlog(db, work.endpoint, DRAIN_PER_SECOND).await?;
                tracing::info!(endpoint = %work.endpoint, waiting, "a paused endpoint takes deliveries again");
                Ok(Vec::new())
            }
            Health::Paused => tell_paused(db, work).await,
        }
    }
}

async fn tell_paused(db: &mut PgConnection, work: &Work) -> Result<Vec<Due>, StoreError> {
    tracing::warn!(endpoint = %work.endpoint, "an endpoint failed for too long and was paused");
    let sequence = events::next_sequence(db, work.endpoint.uuid()).await?;
    let new = events::New {
        merchant: work.merchant,
        mode: work.mode,
        kind: Type::WebhookEndpointPaused,
        subject: SubjectKind::WebhookEndpoint,
        subject_id: work.endpoint.uuid(),
        sequence,
        data: json!({ "id": work.endpoint, "url": work.url, "status": Status::Paused }),
    };
    Ok(events::append(db, &new).await?.1)
}

async fn postpone(
    db: &mut PgConnection,
    work: &Work,
    wait: Duration,
) -> Result<DeliveryStep, StoreError> {
    deliveries::postpone(db, work.delivery, work.now + delta(wait)).await?;
    Ok(DeliveryStep::Again { after_ms: ms(wait) })
}

fn jitter(up_to: Duration) -> Duration {
    Duration::from_millis(store::chance(ms(up_to)))
}

/// Seconds; the date form of the header is not met in practice and counts as none.
fn retry_after(headers: &header::HeaderMap) -> Option<i64> {
    headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn what_happened(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "broken"
    }
}
