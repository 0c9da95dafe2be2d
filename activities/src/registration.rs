//! Registration of our notification address at a gateway: its secret is stored before it is needed, it is checked, and it is registered
//! again when notifications are not proved.
//!
//! A token of ours is stored before the gateway receives it. A gateway's secret is stored with its registration's id before the former
//! registration is removed. A crash between any two steps leaves a state that the next check repairs.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use gateways::{Gateway, GatewayError, Issue, Registration, Subscription, outside};
use schemas::attempt::ErrorClass;
use secrecy::ExposeSecret;
use store::{
    StoreError, connection_alerts,
    connections::{
        self, Connection,
        addresses::{self, AddressedConnection},
        checks, registrations,
    },
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use url::Url;

use crate::retry::registration::{
    OVERLAP, REGISTER_AGAIN, REGISTER_REST, ROUND, SPREAD, UNPROVED_WITHIN,
};
use crate::{
    Activities, alerts, clients::GatewayClients, connection::address, delta, heartbeat::heartbeats,
};

/// Number of unproved notifications within [`UNPROVED_WITHIN`] after which our address is registered again.
const UNPROVED: i32 = 3;
/// Maximum number of connections checked concurrently.
const AT_A_TIME: usize = 8;

/// Activity of the schedule that checks the connections.
pub struct RegistrationActivities(pub Arc<Activities>);

#[activities]
impl RegistrationActivities {
    /// Checks the connections' registrations and settings at the gateways.
    #[activity(name = "check_connections")]
    pub async fn check_connections(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        tokio::select! {
            checked = Box::pin(self.0.check_connections()) => Ok(checked?),
            never = heartbeats(&ctx) => never,
        }
    }
}

/// Converts the secrets that prove a connection's notifications to the form of the gateway's client.
fn known(rows: Vec<registrations::Registration>) -> Vec<Registration> {
    let known = rows.into_iter().map(|row| Registration {
        id: row.gateway_id,
        secret: row.secret,
        valid_until: row.valid_until,
    });
    known.collect()
}

/// Registers `url` at a connection's gateway. The outer error is a failure of our own infrastructure.
pub(crate) async fn register(
    clients: &GatewayClients,
    about: &Connection,
    gateway: &dyn Gateway,
    (url, replace): (&Url, bool),
) -> Result<Result<Subscription, GatewayError>, StoreError> {
    let store = clients.store();
    let mut token = registrations::new_token();
    let mut stored = None;
    if gateway.takes_token() {
        let mut db = store.pool.acquire().await?;
        // a token that an earlier try stored without a confirmation may be at the gateway already
        let proving = registrations::proving(&mut db, store, about.id).await?;
        let waiting = proving
            .into_iter()
            .find(|one| one.gateway_id.is_none() && one.valid_until.is_none());
        stored = Some(match waiting {
            Some(waiting) => {
                token = waiting.secret;
                waiting.id
            }
            None => registrations::add(&mut db, store, about, (&token, None)).await?,
        });
    }
    let done = match gateway.subscribe(url, replace, &token).await {
        Ok(done) => done,
        Err(error) => return Ok(Err(error)),
    };
    let mut tx = store.begin().await?;
    match &done {
        Subscription::Registered { id, secret } => {
            let stored = match (secret, stored) {
                (Some(secret), _) => {
                    let secret = secret.as_str().into();
                    registrations::add(&mut tx, store, about, (&secret, Some(id))).await?
                }
                (None, Some(stored)) => stored,
                (None, None) => {
                    return Err(StoreError::corrupt(
                        "notification_registrations",
                        "a registration without a secret",
                    ));
                }
            };
            registrations::confirm(&mut tx, about.id, (stored, id), delta(OVERLAP)).await?;
        }
        Subscription::Replaced { former } => {
            addresses::remember_former(&mut tx, store, about.id, former.as_str()).await?;
        }
        Subscription::Done | Subscription::Taken { .. } => {}
    }
    if !matches!(done, Subscription::Taken { .. }) {
        registrations::registered(&mut tx, about.id).await?;
    }
    tx.commit().await?;
    if let Subscription::Registered { id, .. } = &done
        && let Err(error) = gateway.tidy(url, id).await
    {
        tracing::warn!(connection = %about.id, %error, "a former registration stays until the next check");
    }
    Ok(Ok(done))
}

/// Connection with the data that its registration needs.
struct Opened {
    about: Connection,
    gateway: Arc<dyn Gateway>,
    url: Url,
    known: Vec<Registration>,
}

impl Activities {
    /// Returns the gateway client that verifies and reads a connection's notifications, and the secrets that prove them now.
    pub async fn notification_reader(
        &self,
        about: &AddressedConnection,
    ) -> Result<(Arc<dyn Gateway>, Vec<Registration>), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let (id, version) = (about.connection.id, about.credential_version);
        let gateway = self.clients.open_version(&mut db, id, version).await?;
        Ok((gateway, known(about.registrations.clone())))
    }

    /// Counts a notification at a connection's own address that was not proved. Returns true if there were several: the merchant is
    /// alerted, and the caller must call [`Self::register_again`]; otherwise the next check does it.
    pub async fn unproved(&self, from: &Connection) -> Result<bool, StoreError> {
        let times = (delta(UNPROVED_WITHIN), delta(REGISTER_REST));
        let mut tx = self.store.begin().await?;
        let must_register = registrations::unproved(&mut tx, from.id, UNPROVED, times).await?;
        let mut due = Vec::new();
        if must_register {
            let message = format!(
                "{UNPROVED} notifications could not be verified: their secret is another one, or a third party sent them. Our address is registered again with a new secret"
            );
            due = alerts::raise(&mut tx, from.id, "notifications_unproved", &message).await?;
        }
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(must_register)
    }

    /// Registers a connection's address again.
    pub async fn register_again(&self, about: &Connection) -> Result<(), StoreError> {
        let Some(opened) = self.open_registration(about.id).await? else {
            return Ok(());
        };
        // this does not concern Efí, whose single address may be another party's: its bodies are not proved
        match self.register_opened(&opened, false).await? {
            Ok(_) => {
                tracing::info!(connection = %about.id, "our notification address is registered again");
            }
            Err(error) => {
                tracing::warn!(connection = %about.id, %error, "our notification address could not be registered again");
            }
        }
        Ok(())
    }

    async fn register_opened(
        &self,
        opened: &Opened,
        replace: bool,
    ) -> Result<Result<Subscription, GatewayError>, StoreError> {
        let (about, gateway) = (&opened.about, opened.gateway.as_ref());
        register(&self.clients, about, gateway, (&opened.url, replace)).await
    }

    async fn open_registration(
        &self,
        id: schemas::id::ConnectionId,
    ) -> Result<Option<Opened>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(about) = connections::find(&mut db, id).await? else {
            return Ok(None);
        };
        let gateway = self.clients.open(&mut db, id).await?;
        let secret = addresses::path_secret(&mut db, &self.store, id).await?;
        let known = known(registrations::proving(&mut db, &self.store, id).await?);
        let url = address(&self.clients.notifications, id, secret.expose_secret());
        Ok(Some(Opened {
            about,
            gateway,
            url,
            known,
        }))
    }

    /// Checks the connections that are due, until none is due or the round's time is over.
    pub async fn check_connections(&self) -> Result<(), StoreError> {
        let end = outside::instant() + ROUND;
        let mut checking = Vec::new();
        for _ in 0..AT_A_TIME {
            checking.push(self.check_until(end).boxed());
        }
        let done = futures::future::join_all(checking).await;
        done.into_iter().collect()
    }

    /// Checks due connections until `end`. An error of a connection is logged, and its next check is on schedule; only an error of the
    /// claim is returned.
    async fn check_until(&self, end: tokio::time::Instant) -> Result<(), StoreError> {
        let every = self.timing.check_every;
        while outside::instant() < end {
            let times = (delta(every), delta(spread(every)), delta(REGISTER_AGAIN));
            let mut db = self.store.pool.acquire().await?;
            let turn = checks::claim_check(&mut db, times).await?;
            drop(db);
            let Some(turn) = turn else {
                return Ok(());
            };
            if let Err(error) = Box::pin(self.check_connection(turn)).await {
                metrics::counter!("connection_checks_failed_total").increment(1);
                tracing::error!(connection = %turn.id, %error, "a connection could not be checked");
            }
        }
        Ok(())
    }

    async fn check_connection(&self, turn: checks::DueCheck) -> Result<(), StoreError> {
        let Some(opened) = self.open_registration(turn.id).await? else {
            return Ok(());
        };
        let report = opened
            .gateway
            .check(&opened.url, turn.replace_address, &opened.known)
            .await;
        let mut report = match report {
            Ok(report) => report,
            Err(error) if error.class == ErrorClass::Denied => refused(&error),
            Err(error) => {
                tracing::warn!(connection = %turn.id, gateway = %opened.about.gateway, %error, "could not check a connection");
                return Ok(());
            }
        };
        if report.lost.is_some() || turn.must_register {
            let done = self.register_opened(&opened, turn.replace_address).await?;
            report
                .issues
                .extend(report.lost.map(|issue| outcome(issue, &done)));
        }
        self.note(&opened.about, report.issues).await
    }

    async fn note(&self, about: &Connection, found: Vec<Issue>) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let (mut due, mut still) = (Vec::new(), Vec::new());
        for issue in &found {
            still.push(issue.code.to_owned());
            let reason = (issue.code, issue.message.as_str());
            let is_news = connection_alerts::note(
                &mut tx,
                about,
                connection_alerts::AlertSource::Check,
                reason,
            )
            .await?;
            // a repaired issue is reported each time: the next check will not find it
            if is_news || issue.repaired {
                due.extend(alerts::raise(&mut tx, about.id, issue.code, &issue.message).await?);
            }
        }
        connection_alerts::keep_only(
            &mut tx,
            about.id,
            connection_alerts::AlertSource::Check,
            &still,
        )
        .await?;
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(())
    }
}

/// Returns a random part of `every`.
fn spread(every: Duration) -> Duration {
    let most = crate::ms(every / SPREAD);
    Duration::from_millis(store::chance(most))
}

/// Adds the result of the new registration to the issue that required it.
fn outcome(issue: Issue, done: &Result<Subscription, GatewayError>) -> Issue {
    let why = match done {
        Ok(Subscription::Taken { by }) => format!("another address is registered: {by}"),
        Ok(_) => return issue,
        // for example, Stripe's maximum number of endpoints is registered already
        Err(error) => format!("the gateway refuses to register it again ({})", error.code),
    };
    Issue {
        message: format!("{} But {why}", issue.message),
        repaired: false,
        ..issue
    }
}

/// Returns the report of a gateway that no longer accepts our credentials.
fn refused(error: &GatewayError) -> gateways::CheckReport {
    gateways::CheckReport {
        issues: vec![Issue {
            code: "credentials_refused",
            message: format!(
                "the gateway refuses the credentials ({}): add a new version of them",
                error.code
            ),
            repaired: false,
        }],
        lost: None,
    }
}

#[cfg(test)]
mod tests;
