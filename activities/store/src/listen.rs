//! Waiting for status changes of charges. Each process has one listening connection, and one slow poll for all waiting callers. A waiting
//! caller uses no connection of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use schemas::{charge::ChargeStatus, id::ChargeId};
use sqlx::{PgPool, postgres::PgListener};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{StoreError, charges};

/// Interval of reading the charges of all waiting callers, in case a notification was lost.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// Maximum number of rows that one statement of the poll reads.
const POLLED_AT_A_TIME: usize = 1_000;
/// Pause before the listening connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// Channel that `charges::transition` notifies.
const CHANNEL: &str = "charges";

/// Registry of callers that wait for charges. Cheap to clone.
#[derive(Clone)]
pub struct Outcomes {
    pool: PgPool,
    waiting: Arc<Mutex<Senders>>,
}

type Senders = HashMap<Uuid, watch::Sender<Option<ChargeStatus>>>;

/// Registration of one caller for one charge. Create it before the charge's status can change.
pub struct Waiter {
    charge: ChargeId,
    changes: watch::Receiver<Option<ChargeStatus>>,
    waiting: Arc<Mutex<Senders>>,
}

impl Outcomes {
    /// Creates a registry. It receives nothing until [`Self::listen`] runs.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            waiting: Arc::default(),
        }
    }

    /// Listens until the future is dropped. Reconnects when the connection is lost; the poll finds changes that were notified in the
    /// meantime.
    pub async fn listen(&self) {
        let listening = async {
            loop {
                if let Err(error) = self.listen_once().await {
                    tracing::warn!(%error, "the listening connection was lost");
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        };
        let polling = async {
            loop {
                tokio::time::sleep(POLL_EVERY).await;
                if let Err(error) = self.poll().await {
                    tracing::warn!(%error, "the charges that callers wait for could not be read");
                }
            }
        };
        tokio::join!(listening, polling);
    }

    async fn listen_once(&self) -> Result<(), StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        while let Some(notification) = listener.try_recv().await? {
            if let Some((charge, status)) = parse(notification.payload()) {
                self.moved(charge, status);
            }
        }
        Ok(())
    }

    /// Reads the charges of all waiting callers with few statements, independent of the number of callers.
    async fn poll(&self) -> Result<(), StoreError> {
        let waiting: Vec<Uuid> = lock(&self.waiting).keys().copied().collect();
        for ids in waiting.chunks(POLLED_AT_A_TIME) {
            let mut db = self.pool.acquire().await?;
            let statuses = charges::statuses(&mut db, ids).await?;
            drop(db);
            for (charge, status) in statuses {
                self.moved(charge, status);
            }
        }
        Ok(())
    }

    /// Registers a caller that waits for `charge`.
    pub fn register(&self, charge: ChargeId) -> Waiter {
        let mut waiting = lock(&self.waiting);
        let sender = waiting
            .entry(charge.uuid())
            .or_insert_with(|| watch::Sender::new(None));
        Waiter {
            charge,
            changes: sender.subscribe(),
            waiting: self.waiting.clone(),
        }
    }

    fn moved(&self, charge: Uuid, status: ChargeStatus) {
        if let Some(sender) = lock(&self.waiting).get(&charge) {
            sender.send_if_modified(|last| last.replace(status) != Some(status));
        }
    }
}

impl Waiter {
    /// Waits until the charge has left `processing`. Returns `None` if it has not by `deadline`.
    pub async fn left_processing(&mut self, deadline: Instant) -> Option<ChargeStatus> {
        self.until(deadline, |status| status != ChargeStatus::Processing)
            .await
    }

    /// Waits until the charge's status satisfies `wanted`. Returns `None` if it does not by `deadline`.
    pub async fn until(
        &mut self,
        deadline: Instant,
        wanted: impl Fn(ChargeStatus) -> bool,
    ) -> Option<ChargeStatus> {
        let satisfied = self.changes.wait_for(|status| status.is_some_and(&wanted));
        let status = tokio::time::timeout_at(deadline, satisfied).await;
        status.ok()?.ok().and_then(|status| *status)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        if waiting
            .get(&self.charge.uuid())
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            waiting.remove(&self.charge.uuid());
        }
    }
}

fn lock(waiting: &Mutex<Senders>) -> MutexGuard<'_, Senders> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse(payload: &str) -> Option<(Uuid, ChargeStatus)> {
    let (charge, status) = payload.split_once(' ')?;
    Some((charge.parse().ok()?, status.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn waiting_callers_use_no_connection() {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect(&testing::empty().await)
            .await
            .expect("a pool");
        let outcomes = Outcomes::new(pool.clone());
        let held = pool.acquire().await.expect("the only connection");
        let mut waiters: Vec<_> = (0..3_000)
            .map(|_| outcomes.register(ChargeId(crate::new_id())))
            .collect();
        let (start, within) = (Instant::now(), Duration::from_millis(700));
        let waiting = waiters
            .iter_mut()
            .map(|one| one.left_processing(start + within));
        let ended = futures::future::join_all(waiting).await;
        assert!(ended.iter().all(Option::is_none));
        assert!(start.elapsed() < within * 2, "they waited for a connection");
        drop((held, waiters));
        assert!(lock(&outcomes.waiting).is_empty());
    }
    /// Returns the final status that a caller receives after `change` of its charge.
    async fn received(change: &str) -> Option<ChargeStatus> {
        let at = testing::Fixture::new().await;
        let (charge, _) = at.charge("52998224725", "processing").await;
        let outcomes = Outcomes::new(at.store.pool.clone());
        let mut waiter = outcomes.register(charge);
        let changing = async {
            at.run(&change.replace("CHARGE", &charge.uuid().to_string()))
                .await;
            let deadline = Instant::now() + Duration::from_secs(20);
            waiter.left_processing(deadline).await
        };
        tokio::select! {
            () = outcomes.listen() => None,
            status = changing => status,
        }
    }

    #[tokio::test]
    async fn a_change_whose_notification_is_lost_is_found() {
        let change = "update charges set status = 'failed' where id = 'CHARGE'";
        assert_eq!(received(change).await, Some(ChargeStatus::Failed));
    }

    #[tokio::test]
    async fn a_status_that_is_no_end_wakes_no_caller() {
        let change = "select pg_notify('charges', 'CHARGE processing'); select pg_notify('charges', 'nonsense');
                      update charges set status = 'pending' where id = 'CHARGE'";
        assert_eq!(received(change).await, Some(ChargeStatus::Pending));
    }
}
