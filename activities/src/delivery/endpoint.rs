//! Checks of an endpoint: one probe while it is paused, turns for parked deliveries, discarding the deliveries of a deleted endpoint.

use std::time::Duration;

use schemas::{
    Instant,
    delivery::DeliveryState,
    id::{DeliveryId, EndpointId},
    webhook_endpoint::WebhookEndpointStatus,
};
use store::{
    StoreError, Tx,
    deliveries::{
        self,
        queue::{self, Turns},
    },
    webhook_endpoints::{self, LockedEndpoint},
};

use super::{EARLY, announce_given_up};
use crate::retry::endpoint::{CHECK_AGAIN, DRAIN_AHEAD, FINISH_AFTER, FINISH_SOON};
use crate::{Activities, PollStep, delta, ms, until};

/// Maximum number of turns given in one step.
const DRAIN_PAGE: i64 = 1_000;
/// Maximum number of rows that one statement discards or gives up; `PAGES` is the number of statements in one step.
const PAGE: i64 = 1_000;
const PAGES: usize = 20;

impl Activities {
    /// Takes one step with an endpoint whose `next_check_at` is due.
    pub async fn check_endpoint(&self, id: EndpointId) -> Result<PollStep, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(endpoint) = webhook_endpoints::lock(&mut tx, id).await? else {
            return Ok(PollStep::Done);
        };
        let Some(check_at) = endpoint.next_check_at else {
            return Ok(PollStep::Done);
        };
        if check_at > endpoint.now + delta(EARLY) {
            return Ok(next_check(&endpoint));
        }
        match endpoint.status {
            WebhookEndpointStatus::Paused => self.probe(tx, endpoint).await,
            WebhookEndpointStatus::Active => self.drain(tx, endpoint).await,
            WebhookEndpointStatus::Deleted => self.discard_waiting(tx, endpoint).await,
        }
    }

    /// Posts one delivery to a paused endpoint.
    async fn probe(
        &self,
        mut tx: Tx,
        mut endpoint: LockedEndpoint,
    ) -> Result<PollStep, StoreError> {
        let probe = queue::next_probe(&mut tx, endpoint.id, endpoint.probed).await?;
        endpoint.probed = probe.map(DeliveryId::uuid);
        endpoint.next_check_at = Some(endpoint.now + delta(self.timing.pause.probe_every));
        webhook_endpoints::save(&mut tx, &endpoint).await?;
        tx.commit().await?;
        self.give_up_parked(&endpoint).await?;
        let Some(probe) = probe else {
            return Ok(next_check(&endpoint));
        };
        let mut db = self.store.pool.acquire().await?;
        let work = deliveries::load(&mut db, probe).await?;
        let Some(work) = work.filter(|work| work.state == DeliveryState::Pending) else {
            return Ok(next_check(&endpoint));
        };
        let tried = Box::pin(self.try_once(db, work)).await?;
        if tried.wakes_endpoint {
            return Ok(PollStep::Wait { after_ms: 0 });
        }
        Ok(next_check(&endpoint))
    }

    /// Gives up parked deliveries that are too old: they make no tries that would find it.
    async fn give_up_parked(&self, endpoint: &LockedEndpoint) -> Result<(), StoreError> {
        let give_up_after = u64::try_from(self.timing.delivery.give_up_after_s).unwrap_or(u64::MAX);
        let before = endpoint.now - delta(Duration::from_secs(give_up_after));
        for _ in 0..PAGES {
            let mut tx = self.store.begin().await?;
            let page = queue::give_up_page(&mut tx, endpoint.id, before, PAGE).await?;
            let due = if page.alarming > 0 {
                announce_given_up(&mut tx, endpoint.id).await?
            } else {
                Vec::new()
            };
            tx.commit().await?;
            self.starter.start_deliveries(due);
            if page.all > 0 {
                tracing::error!(endpoint = %endpoint.id, given_up = page.all, "deliveries were given up: the endpoint was paused for too long");
                metrics::counter!("deliveries_failed_total").increment(page.all);
            }
            if page.all < PAGE.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    /// Gives parked deliveries their turns for the next seconds, oldest first.
    async fn drain(
        &self,
        mut tx: Tx,
        mut endpoint: LockedEndpoint,
    ) -> Result<PollStep, StoreError> {
        let now = endpoint.now;
        let spacing = self.webhook_sender.spacing(endpoint.id, endpoint.terms);
        let first_at = endpoint.next_turn_at.unwrap_or(now).max(now);
        let free = (DRAIN_AHEAD.as_nanos())
            .saturating_sub(until(first_at, now).as_nanos())
            .div_ceil(spacing.as_nanos());
        let turns = Turns {
            count: i64::try_from(free).unwrap_or(DRAIN_PAGE).min(DRAIN_PAGE),
            first_at,
            spacing: delta(spacing),
        };
        let given = queue::claim_parked(&mut tx, endpoint.id, turns).await?;
        if let Some((_, last_at)) = given.last() {
            endpoint.next_turn_at = Some(*last_at + delta(spacing));
        }
        if i64::try_from(given.len()).unwrap_or(i64::MAX) < turns.count {
            finish(&mut endpoint);
        } else {
            let refill_at = endpoint.next_turn_at.unwrap_or(now) - delta(DRAIN_AHEAD / 2);
            endpoint.next_check_at = Some(refill_at.max(now + delta(CHECK_AGAIN)));
        }
        webhook_endpoints::save(&mut tx, &endpoint).await?;
        tx.commit().await?;
        if !given.is_empty() {
            tracing::info!(endpoint = %endpoint.id, given = given.len(), "parked deliveries got their turns");
        }
        let due = given.into_iter().map(|(mut due, at)| {
            due.after_ms = ms(until(at, now));
            due
        });
        self.starter.start_deliveries(due.collect());
        Ok(next_check(&endpoint))
    }

    /// Discards the waiting deliveries of a deleted endpoint, in pages outside of the endpoint's lock.
    async fn discard_waiting(
        &self,
        tx: Tx,
        endpoint: LockedEndpoint,
    ) -> Result<PollStep, StoreError> {
        drop(tx);
        let mut db = self.store.pool.acquire().await?;
        for _ in 0..PAGES {
            if queue::discard_page(&mut db, endpoint.id, PAGE).await? < PAGE.unsigned_abs() {
                drop(db);
                return self.finish_deleted(endpoint.id).await;
            }
        }
        Ok(PollStep::Wait { after_ms: 0 })
    }

    async fn finish_deleted(&self, id: EndpointId) -> Result<PollStep, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut endpoint) = webhook_endpoints::lock(&mut tx, id).await? else {
            return Ok(PollStep::Done);
        };
        finish(&mut endpoint);
        webhook_endpoints::save(&mut tx, &endpoint).await?;
        tx.commit().await?;
        Ok(next_check(&endpoint))
    }
}

/// Ends a drain: schedules the two last checks, then none.
fn finish(endpoint: &mut LockedEndpoint) {
    let now = endpoint.now;
    let is_finished = endpoint
        .drained_at
        .is_some_and(|at| at + delta(FINISH_AFTER) <= now);
    endpoint.next_check_at = if endpoint.draining {
        endpoint.drained_at = Some(now);
        Some(now + delta(FINISH_SOON))
    } else if is_finished {
        None
    } else {
        Some(now + delta(FINISH_AFTER))
    };
    endpoint.draining = false;
}

fn next_check(endpoint: &LockedEndpoint) -> PollStep {
    endpoint
        .next_check_at
        .map_or(PollStep::Done, |at: Instant| {
            let wait = until(at, endpoint.now).max(CHECK_AGAIN);
            PollStep::Wait { after_ms: ms(wait) }
        })
}
