//! Looking after connections: reading what gateways list, in case they told us and we did not hear; and watching over our
//! set-up at each of them.

use std::time::Duration;

use futures::{StreamExt, stream};
use gateways::{Finding, GatewayError, Watched};
use schemas::attempt::ErrorClass;
use secrecy::ExposeSecret;
use store::{
    StoreError,
    connections::{
        self, Connection, addresses,
        turns::{self, Turn},
    },
    findings,
    notifications::Source,
};

use crate::{
    Activities, attention,
    connection::{address, remember},
    delta,
};

/// The most connections that one round looks after; the next round takes the others.
const PAGE: i64 = 200;
/// How many at a time.
const AT_A_TIME: usize = 8;
/// How far a reading reaches back before the end of the last one: what gateways list late, and clocks that differ.
const OVERLAP: Duration = Duration::from_mins(10);

impl Activities {
    /// Reads the lists of the connections whose turn it is.
    pub async fn catch_up_once(&self) -> Result<(), StoreError> {
        let every = delta(self.timing.catch_up_every);
        let mut db = self.store.pool.acquire().await?;
        let turns = turns::to_catch_up(&mut db, every, PAGE).await?;
        drop(db);
        let mut done = stream::iter(turns)
            .map(|turn| self.catch_up(turn))
            .buffer_unordered(AT_A_TIME);
        while let Some(outcome) = done.next().await {
            outcome?;
        }
        Ok(())
    }

    async fn catch_up(&self, turn: Turn) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(from) = connections::find(&mut db, turn.id).await? else {
            return Ok(());
        };
        let now = store::now(&mut db).await?;
        let gateway = self.accounts.open(&mut db, turn.id).await?;
        drop(db);
        let notices = match gateway.catch_up(turn.since - delta(OVERLAP)).await {
            Ok(notices) => notices,
            Err(error) => {
                metrics::counter!("catch_up_failures_total", "gateway" => from.gateway.to_string())
                    .increment(1);
                tracing::warn!(connection = %turn.id, gateway = %from.gateway, %error, "could not read what the gateway lists");
                return Ok(());
            }
        };
        let told = self.take_notices(&from, Source::Listed, notices).await?;
        if !told.charges.is_empty() {
            tracing::info!(connection = %turn.id, gateway = %from.gateway, charges = told.charges.len(), "the gateway's list had news");
        }
        for charge in told.charges {
            self.starter.poke_charge(from.merchant, charge).await;
        }
        let mut db = self.store.pool.acquire().await?;
        turns::caught_up(&mut db, turn.id, now).await
    }

    /// Looks after the connections whose turn it is.
    pub async fn watch_once(&self) -> Result<(), StoreError> {
        let every = delta(self.timing.watch_every);
        let mut db = self.store.pool.acquire().await?;
        let turns = turns::take_watch(&mut db, every, PAGE).await?;
        drop(db);
        let mut done = stream::iter(turns)
            .map(|turn| self.watch(turn))
            .buffer_unordered(AT_A_TIME);
        while let Some(outcome) = done.next().await {
            outcome?;
        }
        Ok(())
    }

    async fn watch(&self, turn: Turn) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(about) = connections::find(&mut db, turn.id).await? else {
            return Ok(());
        };
        let gateway = self.accounts.open(&mut db, turn.id).await?;
        let secret = addresses::path_secret(&mut db, &self.store, turn.id).await?;
        drop(db);
        let ours = address(
            &self.accounts.notifications,
            turn.id,
            secret.expose_secret(),
        );
        let watched = match gateway.watch(&ours, turn.replace_address).await {
            Ok(watched) => watched,
            Err(error) if error.class == ErrorClass::Denied => refused(&error),
            Err(error) => {
                tracing::warn!(connection = %turn.id, gateway = %about.gateway, %error, "could not look after a connection");
                return Ok(());
            }
        };
        self.remember(&about, watched).await
    }

    async fn remember(&self, about: &Connection, watched: Watched) -> Result<(), StoreError> {
        let mut tx = self.store.pool.begin().await?;
        if let Some(done) = &watched.subscription {
            remember(&mut tx, &self.store, (about.gateway, about.id), done).await?;
        }
        let mut due = Vec::new();
        let mut still = Vec::new();
        for finding in &watched.findings {
            still.push(finding.code.to_owned());
            // what was repaired is told each time: the next look will not find it
            let is_news = findings::note(&mut tx, about, finding.code, &finding.message).await?;
            if is_news || finding.repaired {
                due.extend(
                    attention::raise(&mut tx, about.id, finding.code, &finding.message).await?,
                );
            }
        }
        findings::keep_only(&mut tx, about.id, &still).await?;
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(())
    }
}

/// The gateway does not take our credentials any more.
fn refused(error: &GatewayError) -> Watched {
    Watched {
        findings: vec![Finding {
            code: "credentials_refused",
            message: format!(
                "the gateway refuses the credentials ({}): add a new version of them",
                error.code
            ),
            repaired: false,
        }],
        subscription: None,
    }
}
