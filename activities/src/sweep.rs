//! What nobody has looked at in time, whatever its kind: poked, and if that does not move it, done here.

use std::time::Duration;

use futures::{StreamExt, stream};
use schemas::id::ChargeId;
use store::{StoreError, notifications::strays, sweep, webhook_endpoints};

use crate::{Activities, DeliveryStep, Progress, Step, delta};

/// The most rows of each kind that one sweep takes.
const PAGE: i64 = 200;
/// The most rows of each kind that one sweep works on itself: each may wait for a gateway that does not answer.
const BY_HAND: i64 = 20;
/// How many are poked at a time: one that does not answer takes two seconds.
const AT_A_TIME: usize = 8;
/// Between tries to match a notification whose reference has our shape and no row; then it is left to a person.
const STRAYS_AGAIN: [Duration; 4] = [
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(24),
];
/// How many graces overdue a row must be before the sweep does the work itself.
const STUCK: u32 = 5;

impl Activities {
    /// Pokes the workflows of rows whose `look_at` is overdue, and works on those that poking did not move.
    pub async fn sweep_once(&self) -> Result<(), StoreError> {
        // who else could have started this sweep
        self.starter.temporal_is_here();
        let grace = self.timing.sweep_grace;
        let stuck = grace * STUCK;
        self.poke_overdue(grace).await?;
        let mut db = self.store.pool.acquire().await?;
        sweep::ensure_partitions(&mut db).await?;
        let charges = sweep::charges(&mut db, delta(stuck), BY_HAND).await?;
        let told = sweep::facts(&mut db, delta(stuck), BY_HAND).await?;
        let attempts = sweep::attempts(&mut db, delta(stuck), BY_HAND).await?;
        let refunds = sweep::refunds(&mut db, delta(stuck), BY_HAND).await?;
        let deliveries = sweep::deliveries(&mut db, delta(stuck), BY_HAND).await?;
        let endpoints = webhook_endpoints::overdue(&mut db, delta(stuck), BY_HAND).await?;
        drop(db);
        for (_, charge) in charges.into_iter().chain(told) {
            self.advance(charge).await?;
        }
        for (_, _, attempt) in attempts {
            let _: Progress = Box::pin(self.reconcile_attempt(attempt)).await?;
        }
        for (_, _, refund) in refunds {
            let _: Progress = Box::pin(self.refund_once(refund)).await?;
        }
        for due in deliveries {
            let _: DeliveryStep = Box::pin(self.deliver_once(due.delivery)).await?;
        }
        for (_, endpoint) in endpoints {
            let _: DeliveryStep = Box::pin(self.check_endpoint(endpoint)).await?;
        }
        self.match_strays().await?;
        self.finish_rotations().await?;
        self.delete_unmatched_notifications().await?;
        self.fetch_tokens(None).await
    }

    async fn match_strays(&self) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        for stray in strays::due(&mut db, PAGE).await? {
            let looks = usize::try_from(stray.looks).unwrap_or(usize::MAX);
            let pause = STRAYS_AGAIN.get(looks).map(|pause| delta(*pause));
            if strays::match_again(&mut db, &stray, pause).await?.is_none() && pause.is_none() {
                tracing::error!(connection = %stray.connection, reference = stray.reference, "a notification's reference is ours by its shape, and unknown");
            }
        }
        Ok(())
    }

    async fn poke_overdue(&self, grace: Duration) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let mut charges = sweep::charges(&mut db, delta(grace), PAGE).await?;
        charges.extend(sweep::facts(&mut db, delta(grace), PAGE).await?);
        let attempts = sweep::attempts(&mut db, delta(grace), PAGE).await?;
        let refunds = sweep::refunds(&mut db, delta(grace), PAGE).await?;
        let deliveries = sweep::deliveries(&mut db, delta(grace), PAGE).await?;
        let endpoints = webhook_endpoints::overdue(&mut db, delta(grace), PAGE).await?;
        drop(db);
        let found =
            charges.len() + attempts.len() + refunds.len() + deliveries.len() + endpoints.len();
        let starter = &self.starter;
        stream::iter(charges)
            .for_each_concurrent(AT_A_TIME, |(merchant, charge)| {
                starter.poke_charge(merchant, charge)
            })
            .await;
        stream::iter(attempts)
            .for_each_concurrent(AT_A_TIME, |(merchant, charge, attempt)| {
                starter.poke_reconcile(merchant, charge, attempt)
            })
            .await;
        stream::iter(refunds)
            .for_each_concurrent(AT_A_TIME, |(merchant, charge, refund)| {
                starter.poke_refund(merchant, charge, refund)
            })
            .await;
        stream::iter(deliveries)
            .for_each_concurrent(AT_A_TIME, |due| starter.poke_delivery(due))
            .await;
        stream::iter(endpoints)
            .for_each_concurrent(AT_A_TIME, |(merchant, endpoint)| {
                starter.wake_endpoint(merchant, endpoint)
            })
            .await;
        if found > 0 {
            tracing::info!(found, "the sweep poked what nobody had looked at");
        }
        Ok(())
    }

    /// Takes one step with a charge, without its workflow.
    pub async fn advance(&self, charge: ChargeId) -> Result<Progress, StoreError> {
        let tried = Box::pin(self.attempt_charge(charge)).await?;
        let Step::Look { .. } = tried.step else {
            return Ok(tried);
        };
        let synced = Box::pin(self.look_at_charge(charge)).await?;
        match synced.step {
            Step::Cancel | Step::Expire => Box::pin(self.end_charge(charge)).await,
            _ => Ok(synced),
        }
    }
}
