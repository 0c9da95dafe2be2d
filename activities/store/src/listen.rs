//! Waiting for a charge to move: one listening connection per process, a slow poll beneath it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use schemas::{charge::Status, id::ChargeId};
use sqlx::{PgPool, postgres::PgListener};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{StoreError, charges};

/// How often a waiter reads the row itself, in case a word was lost.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// How long to wait before the listening connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// The channel that `charges::transition` speaks on.
const CHANNEL: &str = "charges";

/// Hears of charges that move. Cheap to clone.
#[derive(Clone)]
pub struct Outcomes {
    pool: PgPool,
    waiting: Arc<Mutex<HashMap<Uuid, watch::Sender<Option<Status>>>>>,
}

/// One charge being waited for; made before whatever may move it is started.
pub struct Waiter {
    charge: ChargeId,
    heard: watch::Receiver<Option<Status>>,
    outcomes: Outcomes,
}

impl Outcomes {
    /// Nothing is heard until [`Self::listen`] runs.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            waiting: Arc::default(),
        }
    }

    /// Listens until the future is dropped, and opens the connection again whenever it is lost. Words spoken meanwhile are
    /// made good: every waiter reads its row again.
    pub async fn listen(&self) {
        loop {
            if let Err(error) = self.listen_once().await {
                tracing::warn!(%error, "the listening connection was lost");
            }
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }

    async fn listen_once(&self) -> Result<(), StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        self.wake_all();
        while let Some(word) = listener.try_recv().await? {
            if let Some((charge, status)) = parse(word.payload()) {
                self.tell(charge, status);
            }
        }
        Ok(())
    }

    /// Waits for `charge` from now on.
    pub fn register(&self, charge: ChargeId) -> Waiter {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = waiting
            .entry(charge.uuid())
            .or_insert_with(|| watch::Sender::new(None));
        Waiter {
            charge,
            heard: sender.subscribe(),
            outcomes: self.clone(),
        }
    }

    fn tell(&self, charge: Uuid, status: Status) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.get(&charge) {
            sender.send_replace(Some(status));
        }
    }

    fn wake_all(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in waiting.values() {
            sender.send_replace(None);
        }
    }
}

impl Waiter {
    /// Waits until the charge has left `processing`; `None` if it had not by `deadline`.
    pub async fn settled(&mut self, deadline: Instant) -> Option<Status> {
        self.until(deadline, |status| status != Status::Processing)
            .await
    }

    /// Waits until the charge's status satisfies `wanted`; `None` if it did not by `deadline`.
    pub async fn until(
        &mut self,
        deadline: Instant,
        wanted: impl Fn(Status) -> bool,
    ) -> Option<Status> {
        loop {
            let until = deadline.min(Instant::now() + POLL_EVERY);
            let heard = tokio::time::timeout_at(until, self.heard.changed()).await;
            let told = if matches!(heard, Ok(Ok(()))) {
                *self.heard.borrow_and_update()
            } else {
                None
            };
            let status = match told {
                Some(status) => Some(status),
                None => self.read().await,
            };
            if let Some(status) = status.filter(|status| wanted(*status)) {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
        }
    }

    async fn read(&self) -> Option<Status> {
        let mut db = self.outcomes.pool.acquire().await.ok()?;
        charges::status(&mut db, self.charge)
            .await
            .ok()
            .flatten()
            .map(|(_, status)| status)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self
            .outcomes
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waiting
            .get(&self.charge.uuid())
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            waiting.remove(&self.charge.uuid());
        }
    }
}

fn parse(payload: &str) -> Option<(Uuid, Status)> {
    let (charge, status) = payload.split_once(' ')?;
    Some((charge.parse().ok()?, status.parse().ok()?))
}
