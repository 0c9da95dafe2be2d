//! Polling of the gateways' lists, in case their notifications were lost.
//!
//! Each list of each connection is a row with a watermark and the time of its next read. A list that fails backs off independently; a long
//! one is read in turns, and others are read in between.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream, stream::FuturesUnordered};
use gateways::{Feed, Gateway, GatewayError, ReadFrom, outside};
use schemas::{
    attempt::ErrorClass,
    gateway::GatewayApi,
    id::{ChargeId, MerchantId},
};
use store::{
    StoreError, connection_alerts,
    connections::{
        self, Connection,
        feeds::{self, ClaimedFeed, FeedKind},
    },
    notifications::NotificationSource,
};
use strum::IntoEnumIterator;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::time::Instant;

use crate::retry::polling::{
    AWAY, BEHIND, CLAIM_AGAIN, CLAIM_TRIES, LEASE, OVERLAP, REFUSED, ROUND, SPREAD, TURN,
    WAKE_WITHIN,
};
use crate::{Activities, alerts, delta, heartbeat::heartbeats};

/// Number of lists of one API that are read concurrently.
const HEALTHY: usize = 6;
/// Additional number of lists that failed the last time: they do not delay the others.
const FAILING: usize = 2;
/// Maximum number of pages of a list that are read in one turn.
const TURN_PAGES: u32 = 20;
const BEHIND_CODE: &str = "polling_behind";
/// Number of charges woken concurrently.
const WAKE_AT_A_TIME: usize = 8;

/// Activity of the schedule that reads the gateways' lists.
pub struct PollingActivities(pub Arc<Activities>);

#[activities]
impl PollingActivities {
    /// Reads the gateways' lists, in case their notifications were lost.
    #[activity(name = "poll_connections")]
    pub async fn poll_connections(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        tokio::select! {
            read = Box::pin(self.0.poll_connections()) => Ok(read?),
            never = heartbeats(&ctx) => never,
        }
    }
}

/// Finished part of a lane's work.
enum Part {
    Claimed(Result<Option<ClaimedFeed>, StoreError>),
    Read,
}

/// End of a turn.
enum Turn {
    /// Everything is read.
    Read,
    /// There is more.
    More,
    /// The gateway did not answer, or refused.
    Failed(GatewayError),
}

impl Activities {
    /// Reads the lists that are due, until none is due or the round's time is over. An error of a list is logged and postpones the list;
    /// only an error of the claim is returned.
    pub async fn poll_connections(&self) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        feeds::ensure(&mut db, &kinds()).await?;
        drop(db);
        let end = outside::instant() + ROUND;
        let mut lanes = Vec::new();
        for api in GatewayApi::iter() {
            lanes.push(self.lane((api, false), HEALTHY, end).boxed());
            lanes.push(self.lane((api, true), FAILING, end).boxed());
        }
        let done = futures::future::join_all(lanes).await;
        done.into_iter().collect()
    }

    /// Reads the due lists of one API, a few concurrently. A claim that fails ends no read: it is tried again after a pause.
    async fn lane(
        &self,
        of: (GatewayApi, bool),
        slots: usize,
        end: Instant,
    ) -> Result<(), StoreError> {
        // claims run beside the reads: a claim that waits for a database connection must not block the reads that hold one
        let mut work = FuturesUnordered::new();
        let (mut reading, mut claims, mut more) = (0, false, true);
        let mut failed: Vec<StoreError> = Vec::new();
        loop {
            if more && !claims && reading < slots && outside::instant() < end {
                work.push(self.claim(of, failed.len()).boxed());
                claims = true;
            }
            match work.next().await {
                // only an error after which no claim succeeded is returned
                None => return failed.pop().map_or(Ok(()), Err),
                Some(Part::Claimed(Ok(None))) => {
                    (claims, more) = (false, false);
                    failed.clear();
                }
                Some(Part::Claimed(Ok(Some(claimed)))) => {
                    (claims, reading) = (false, reading + 1);
                    failed.clear();
                    work.push(self.read_claimed(claimed).boxed());
                }
                Some(Part::Claimed(Err(error))) => {
                    tracing::error!(api = of.0.as_ref(), %error, "a list could not be claimed");
                    failed.push(error);
                    (claims, more) = (false, failed.len() < CLAIM_TRIES);
                }
                Some(Part::Read) => (reading, more) = (reading - 1, true),
            }
        }
    }

    /// Claims a due list, after a pause if `failures` claims have failed in a row.
    async fn claim(&self, of: (GatewayApi, bool), failures: usize) -> Part {
        if failures > 0 {
            outside::sleep(CLAIM_AGAIN).await;
        }
        let claimed = async {
            let mut db = self.store.pool.acquire().await?;
            feeds::claim(&mut db, of, delta(LEASE)).await
        };
        Part::Claimed(claimed.await)
    }

    async fn read_claimed(&self, claimed: ClaimedFeed) -> Part {
        self.read_feed(claimed).await;
        Part::Read
    }

    async fn read_feed(&self, claimed: ClaimedFeed) {
        let (connection, feed) = (claimed.connection, claimed.feed.clone());
        if let Err(error) = self.try_feed(claimed.clone()).await {
            tracing::error!(%connection, feed, %error, "a list could not be read");
            let pause = self.pause(claimed.failures, AWAY);
            let outcome = match self.store.pool.acquire().await {
                Ok(mut db) => {
                    let reason = (delta(pause), "our own failure");
                    feeds::failed(&mut db, &claimed, reason).await
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                // its lease expires
                tracing::error!(%connection, feed, %error, "a list that failed could not be postponed");
            }
        }
    }

    async fn try_feed(&self, mut claimed: ClaimedFeed) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let found = connections::find(&mut db, claimed.connection).await?;
        let (Some(from), Some(feed)) = (found, Feed::named(&claimed.feed)) else {
            // a list of a newer version
            let pause = (delta(spread(self.timing.poll_every)), true);
            return feeds::rest(&mut db, &claimed, pause).await;
        };
        let gateway = self.clients.open(&mut db, from.id).await?;
        drop(db);
        let (turn, requests) = self.read_turn((&from, feed), gateway, &mut claimed).await?;
        let pace = feed.pace() * requests * self.timing.poll_pace / 100;
        match turn {
            Turn::Read => {
                let pause = spread(self.timing.poll_every.max(pace));
                let mut tx = self.store.begin().await?;
                feeds::rest(&mut tx, &claimed, (delta(pause), true)).await?;
                connection_alerts::end(&mut tx, from.id, &behind_code(feed)).await?;
                tx.commit().await?;
                Ok(())
            }
            Turn::More => {
                let mut db = self.store.pool.acquire().await?;
                feeds::rest(&mut db, &claimed, (delta(spread(pace)), false)).await?;
                drop(db);
                self.note_behind(&from, feed, &claimed).await
            }
            Turn::Failed(error) => {
                metrics::counter!("polling_failures_total", "gateway" => from.gateway.to_string())
                    .increment(1);
                tracing::warn!(connection = %from.id, feed = feed.name(), %error, "could not read what the gateway lists");
                let most = match error.class {
                    ErrorClass::Denied => REFUSED,
                    _ => AWAY,
                };
                let asked = error.retry_after.unwrap_or_default();
                let least = spread(asked.max(pace));
                let pause = self.pause(claimed.failures, most).max(least);
                let mut db = self.store.pool.acquire().await?;
                feeds::failed(&mut db, &claimed, (delta(pause), &error.code)).await?;
                drop(db);
                self.note_behind(&from, feed, &claimed).await
            }
        }
    }

    /// Reads pages until the list's end or the turn's limit. Returns how the turn ended and its number of requests.
    async fn read_turn(
        &self,
        (from, feed): (&Connection, Feed),
        gateway: Arc<dyn Gateway>,
        claimed: &mut ClaimedFeed,
    ) -> Result<(Turn, u32), StoreError> {
        let end = outside::instant() + TURN;
        let mut requests = 0;
        for _ in 0..TURN_PAGES {
            let mut db = self.store.pool.acquire().await?;
            let now = store::now(&mut db).await?;
            drop(db);
            let place = ReadFrom {
                since: claimed.polled_until - delta(OVERLAP),
                now,
                cursor: claimed.cursor.as_deref(),
            };
            let page = match gateway.changes_since(feed, &place).await {
                Ok(page) => page,
                Err(error) => return Ok((Turn::Failed(error), requests + 1)),
            };
            requests += page.requests;
            let news = self
                .ingest(from, NotificationSource::Listed, page.entries)
                .await?;
            let mut db = self.store.pool.acquire().await?;
            let read = (page.read_until, page.cursor.as_deref());
            claimed.polled_until = feeds::advance(&mut db, claimed, read).await?;
            claimed.cursor = page.cursor;
            claimed.failures = 0;
            drop(db);
            if !news.charges.is_empty() {
                tracing::info!(connection = %from.id, feed = feed.name(), charges = news.charges.len(), "the gateway's list had news");
            }
            self.wake_charges(from.merchant, news.charges).await;
            if claimed.cursor.is_none() {
                return Ok((Turn::Read, requests));
            }
            if outside::instant() >= end {
                break;
            }
        }
        Ok((Turn::More, requests))
    }

    /// Wakes charges with unhandled observations, within a time limit.
    pub(crate) async fn wake_charges(&self, merchant: MerchantId, charges: Vec<ChargeId>) {
        let mut waking = Vec::new();
        for charge in charges {
            waking.push(self.wake_charge(merchant, charge));
        }
        let mut waking = stream::iter(waking).buffer_unordered(WAKE_AT_A_TIME);
        let woken = async { while waking.next().await.is_some() {} };
        if outside::timeout(WAKE_WITHIN, woken).await.is_none() {
            tracing::warn!("the sweep wakes the charges that were not woken in time");
        }
    }

    /// Alerts the merchant once of a list that is far behind.
    async fn note_behind(
        &self,
        about: &Connection,
        feed: Feed,
        claimed: &ClaimedFeed,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let now = store::now(&mut tx).await?;
        if now - claimed.polled_until < delta(BEHIND) {
            return Ok(());
        }
        let message = format!(
            "what the gateway lists ({}) was last read to its end at {}; a payment whose notification is lost is noticed late",
            feed.name(),
            claimed.polled_until.format("%Y-%m-%d %H:%M UTC")
        );
        let code = behind_code(feed);
        let reason = (code.as_str(), message.as_str());
        let mut due = Vec::new();
        if connection_alerts::note(
            &mut tx,
            about,
            connection_alerts::AlertSource::Polling,
            reason,
        )
        .await?
        {
            due = alerts::raise(&mut tx, about.id, BEHIND_CODE, &message).await?;
        }
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(())
    }

    /// Returns the pause after a failure: doubled with each one, up to `most`.
    fn pause(&self, failures: i32, most: Duration) -> Duration {
        let doublings = u32::try_from(failures).unwrap_or(0).min(16);
        let pause = self.timing.poll_every * 2_u32.pow(doublings);
        spread(pause.min(most))
    }
}

/// Returns the pause with random jitter, so that lists with the same pause are spread.
pub(crate) fn spread(pause: Duration) -> Duration {
    let most = crate::ms(pause / 10 * SPREAD);
    pause + Duration::from_millis(store::chance(most))
}

fn behind_code(feed: Feed) -> String {
    format!("{BEHIND_CODE}/{}", feed.name())
}

/// Returns every list, in the store's terms.
fn kinds() -> Vec<FeedKind> {
    let kind = |feed: Feed| FeedKind {
        gateway: feed.gateway(),
        feed: feed.name(),
        api: feed.api(),
    };
    Feed::ALL.into_iter().map(kind).collect()
}

#[cfg(test)]
mod lists;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn waits_that_many_lists_share_are_spread() {
        for pause in [5, 60, 300].map(Duration::from_secs) {
            let waits: Vec<_> = (0..50).map(|_| spread(pause)).collect();
            assert!(waits.iter().all(|wait| *wait >= pause));
            assert!(waits.iter().all(|wait| *wait <= pause * 6 / 5));
            assert!(waits.iter().collect::<HashSet<_>>().len() > 10);
        }
    }
}
