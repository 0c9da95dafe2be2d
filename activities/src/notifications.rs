//! Notifications and entries of gateways' lists: matched to our charges, and stored for the next sync.

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use gateways::{Entries, GatewayNotice, NoticeKind, Observed, Unreadable, outside};
use schemas::id::{ChargeId, ConnectionId, NotificationId};
use store::{
    PgConnection, StoreError, connection_alerts,
    connections::{self, Connection},
    deliveries::PendingDelivery,
    notification_tokens::{self, PendingToken},
    notifications::{
        self, Notice, NotificationSource,
        raw::{self, RawNotification},
    },
};

use crate::retry::notification::{TOKEN_AGAIN_S, TOKEN_LEASE, TOKENS_ROUND};
use crate::{Activities, alerts, delta, polling::spread};

/// Maximum number of tokens in one claim; `TOKENS_AT_A_TIME` is the number that is fetched concurrently.
const TOKENS: i64 = 50;
const TOKENS_AT_A_TIME: usize = 8;

/// Character that PostgreSQL cannot store, as a character and in JSON.
const NUL: char = '\0';
const JSON_NUL: &str = "\\u0000";

/// Result of ingesting notices.
#[derive(Debug, Default)]
pub struct Ingested {
    /// Charges with new observations, which must be synced.
    pub charges: Vec<ChargeId>,
    /// True if there are tokens to resolve.
    pub has_tokens: bool,
    /// True if all of it concerned the merchant's other business.
    pub is_foreign: bool,
    /// True if some of it could not be read.
    pub is_unreadable: bool,
}

/// Result of a replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replayed {
    pub read: u64,
    pub unreadable: u64,
}

impl Activities {
    /// Stores the notices that were read from a body or a list. An unreadable entry does not block the others; the merchant is alerted once
    /// per kind.
    pub async fn ingest(
        &self,
        from: &Connection,
        source: NotificationSource<'_>,
        read: Entries,
    ) -> Result<Ingested, StoreError> {
        let (mut given, mut notices, mut unreadable) = (Vec::new(), Vec::new(), read.unreadable);
        for notice in read.notices {
            match &notice.means {
                NoticeKind::Token(token) => given.push(token.clone()),
                _ => match stored(notice)? {
                    Ok(notice) => notices.push(notice),
                    Err(entry) => unreadable.push(entry),
                },
            }
        }
        let read = notifications::ReadNotices {
            notices,
            unreadable: describe(&unreadable),
        };
        let mut tx = self.store.begin().await?;
        for token in &given {
            notification_tokens::receive(&mut tx, from, token).await?;
        }
        let stored = notifications::ingest(&mut tx, &self.store, from, source, &read).await?;
        let due = alert(&mut tx, from, (&unreadable, stored.raw)).await?;
        tx.commit().await?;
        self.starter.start_deliveries(due);
        if stored.unmatched > 0 {
            tracing::warn!(connection = %from.id, unmatched = stored.unmatched, "a notification's reference is ours by its shape, and unknown");
        }
        Ok(Ingested {
            is_foreign: stored.charges.is_empty() && given.is_empty() && stored.foreign > 0,
            is_unreadable: !unreadable.is_empty(),
            has_tokens: !given.is_empty(),
            charges: stored.charges,
        })
    }

    /// Replays stored notifications, for example after a parser fix. Returns the number of readable and of still unreadable ones.
    pub async fn replay(&self, filter: &raw::RawFilter) -> Result<Replayed, StoreError> {
        let mut replayed = Replayed::default();
        let mut after = None;
        loop {
            let mut db = self.store.pool.acquire().await?;
            let page = raw::page(&mut db, &self.store, filter, after).await?;
            drop(db);
            let Some(last) = page.last() else {
                return Ok(replayed);
            };
            after = Some(last.id);
            for body in &page {
                if self.replay_one(body).await? {
                    replayed.read += 1;
                } else {
                    replayed.unreadable += 1;
                }
            }
        }
    }

    async fn replay_one(&self, raw: &RawNotification) -> Result<bool, StoreError> {
        let Some(body) = &raw.body else {
            return Ok(false);
        };
        let mut db = self.store.pool.acquire().await?;
        let Some(from) = connections::find(&mut db, raw.connection).await? else {
            return Ok(false);
        };
        let gateway = self.clients.open(&mut db, raw.connection).await?;
        drop(db);
        let read = gateway.reread(body);
        let source = NotificationSource::Again(raw.id);
        let ingested = self.ingest(&from, source, read).await?;
        if !ingested.is_unreadable {
            let mut db = self.store.pool.acquire().await?;
            raw::readable(&mut db, raw.id).await?;
        }
        self.wake_charges(from.merchant, ingested.charges).await;
        Ok(!ingested.is_unreadable)
    }

    /// Resolves a connection's due tokens now, and once more after `notification_tokens::REST` for a token that was received again
    /// meanwhile.
    pub async fn fetch_tokens_soon(&self, connection: ConnectionId) -> Result<(), StoreError> {
        self.fetch_tokens(Some(connection)).await?;
        gateways::outside::sleep(notification_tokens::REST).await;
        self.fetch_tokens(Some(connection)).await
    }

    /// Resolves the tokens of one connection or of all, until none is due or the time is over. A token that fails is postponed and its
    /// error is logged; only an error of the claim is returned.
    pub async fn fetch_tokens(&self, connection: Option<ConnectionId>) -> Result<(), StoreError> {
        let end = outside::instant() + TOKENS_ROUND;
        while outside::instant() < end {
            let mut db = self.store.pool.acquire().await?;
            let claim = (TOKENS, delta(TOKEN_LEASE));
            let due = notification_tokens::claim(&mut db, connection, claim).await?;
            drop(db);
            if due.is_empty() {
                break;
            }
            let mut fetching = Vec::new();
            for token in due {
                fetching.push(self.try_token(token).boxed());
            }
            let mut fetching = stream::iter(fetching).buffer_unordered(TOKENS_AT_A_TIME);
            while fetching.next().await.is_some() {}
        }
        Ok(())
    }

    async fn try_token(&self, token: PendingToken) {
        if let Err(error) = Box::pin(self.fetch_token(&token)).await {
            tracing::error!(connection = %token.connection, %error, "could not store a resolved notification");
            self.postpone_token(&token).await;
        }
    }

    /// Resolves a token at its gateway. It is postponed if the gateway does not answer.
    pub(crate) async fn fetch_token(&self, token: &PendingToken) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(from) = connections::find(&mut db, token.connection).await? else {
            return Ok(());
        };
        let gateway = self.clients.open(&mut db, token.connection).await?;
        drop(db);
        match gateway.fetch(&token.token).await {
            Ok(read) => {
                let ingested = self.ingest(&from, NotificationSource::Listed, read).await?;
                let mut db = self.store.pool.acquire().await?;
                notification_tokens::fetched(&mut db, token).await?;
                drop(db);
                self.wake_charges(from.merchant, ingested.charges).await;
            }
            Err(error) => {
                tracing::warn!(connection = %from.id, gateway = %from.gateway, %error, "could not resolve a notification");
                self.postpone_token(token).await;
            }
        }
        Ok(())
    }

    /// Schedules the next try of a token. If this fails, the token's lease expires.
    async fn postpone_token(&self, token: &PendingToken) {
        let pause = token_pause(token.checks).map(delta);
        let outcome = match self.store.pool.acquire().await {
            Ok(mut db) => notification_tokens::again(&mut db, token, pause).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::error!(connection = %token.connection, %error, "a notification's token could not be postponed");
        }
    }
}

/// Returns the pause before a token is fetched again, with random jitter: one outage of a gateway postpones many tokens. `None`: it needs
/// manual review.
fn token_pause(checks: i32) -> Option<Duration> {
    let checks = usize::try_from(checks).unwrap_or(usize::MAX);
    let pause = TOKEN_AGAIN_S.get(checks)?;
    Some(spread(Duration::from_secs(*pause)))
}

/// Converts a notice to its stored form. A notice that PostgreSQL cannot store becomes an unreadable entry and delays no other.
fn stored(read: GatewayNotice) -> Result<Result<Notice, Unreadable>, StoreError> {
    let observed = read.means.observed();
    let is_payable =
        matches!(&observed, Some(Observed::Charge(charge)) if charge.status.is_payable());
    let observed = observed
        .map(serde_json::to_value)
        .transpose()
        .map_err(|why| StoreError::corrupt("observations.observed", why))?;
    let texts = [&read.reference, &read.charge, &read.payment];
    let has_nul = texts.into_iter().flatten().any(|text| text.contains(NUL))
        || [&read.dedupe_key, &read.event]
            .iter()
            .any(|text| text.contains(NUL))
        || observed
            .as_ref()
            .is_some_and(|json| json.to_string().contains(JSON_NUL));
    if has_nul {
        return Ok(Err(Unreadable::new(
            "control_character",
            "an entry with the character U+0000",
        )));
    }
    Ok(Ok(Notice {
        matters: read.means != NoticeKind::Nothing,
        // a notice without meaning for us is not applied, so that it is older than no other
        stated_at: read.stated_at.filter(|_| read.means != NoticeKind::Nothing),
        dedupe_key: read.dedupe_key,
        event: read.event,
        reference: read.reference,
        gateway_charge: read.charge,
        gateway_payment: read.payment,
        observed,
        is_payable,
    }))
}

/// Returns the kinds and reasons, for the row of the body.
fn describe(unreadable: &[Unreadable]) -> Option<String> {
    let mut all: Vec<_> = unreadable
        .iter()
        .map(|entry| format!("{}: {}", entry.kind, entry.why))
        .collect();
    all.sort_unstable();
    all.dedup();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Alerts the merchant of unreadable entries, once per connection and kind.
async fn alert(
    db: &mut PgConnection,
    about: &Connection,
    (unreadable, raw): (&[Unreadable], Option<NotificationId>),
) -> Result<Vec<PendingDelivery>, StoreError> {
    let mut due = Vec::new();
    for entry in unreadable {
        metrics::counter!("unreadable_entries_total", "kind" => entry.kind).increment(1);
        let code = format!("unreadable_notification/{}", entry.kind);
        let source = raw.map_or_else(
            || "an entry of the gateway's list".to_owned(),
            |id| format!("an entry of notification {id}"),
        );
        let message = format!("{source} could not be read: {}", entry.why);
        let reason = (code.as_str(), message.as_str());
        if connection_alerts::note(
            db,
            about,
            connection_alerts::AlertSource::Notification,
            reason,
        )
        .await?
        {
            due.extend(alerts::raise(db, about.id, "unreadable_notification", &message).await?);
        }
    }
    Ok(due)
}

#[cfg(test)]
mod entries;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_that_one_outage_postponed_come_back_one_by_one() {
        for (checks, s) in (0..).zip(TOKEN_AGAIN_S) {
            let waits: HashSet<_> = (0..50).filter_map(|_| token_pause(checks)).collect();
            let least = Duration::from_secs(s);
            assert!(waits.len() > 10, "{waits:?}");
            assert!(waits.iter().all(|it| *it >= least && *it <= least * 6 / 5));
        }
        assert_eq!(token_pause(6), None);
    }
}
