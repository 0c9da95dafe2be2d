//! Rotation of the secret in a connection's notification address. The former secret stays valid until the gateway has the new address, and
//! for a limited time after.

use chrono::TimeDelta;
use gateways::Subscription;
use schemas::{connection::ConnectionStatus, id::ConnectionId};
use secrecy::ExposeSecret;
use serde_json::json;
use store::{
    PgConnection, Store, StoreError,
    audit::AuditAction,
    connections::{
        self, Connection,
        addresses::{
            self,
            rotation::{self, DueFormer},
        },
    },
};

use super::{OperationError, Operator, OperatorAction};
use crate::retry::address::{OVERLAP, REGISTER_AGAIN};
use crate::{Activities, clients::GatewayClients, connection::address, delta, registration};

/// Maximum number of former secrets processed in one round.
const PAGE: i64 = 20;

/// Notification address with a new secret.
#[derive(Debug)]
pub struct Rotated {
    /// Result of registering it at the gateway. If it failed, it is retried automatically, and the former address stays valid meanwhile.
    pub registered: Result<(), String>,
}

/// Gives a connection's notification address a new secret and registers it at the gateway. If an earlier rotation is not finished, finishes
/// that one.
pub async fn rotate(
    store: &Store,
    clients: &GatewayClients,
    id: ConnectionId,
    by: &Operator,
) -> Result<Rotated, OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let about = connections::lock(&mut tx, id).await?;
    let about = about.ok_or_else(|| OperationError::not_found("connection", id))?;
    if about.status == ConnectionStatus::Archived {
        return Err(OperationError::Refused(format!(
            "{id} is archived, and its address is not registered any more: there is nothing to rotate"
        )));
    }
    if rotation::unconfirmed(&mut tx, store, id).await?.is_empty() {
        rotation::rotate(&mut tx, store, id, pause(0)).await?;
        let operator_action = OperatorAction {
            merchant: about.merchant,
            mode: Some(about.mode),
            action: AuditAction::AddressRotated,
            subject: id.to_string(),
            details: json!({}),
        };
        by.note(&mut tx, operator_action).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    let registered = register(store, clients, &about).await?;
    Ok(Rotated { registered })
}

/// Registers the newest address at the gateway, removes the former ones there, and sets the end of their secrets.
async fn register(
    store: &Store,
    clients: &GatewayClients,
    about: &Connection,
) -> Result<Result<(), String>, StoreError> {
    let id = about.id;
    let mut db = store.pool.acquire().await?;
    let former = rotation::unconfirmed(&mut db, store, id).await?;
    let secret = addresses::path_secret(&mut db, store, id).await?;
    let gateway = clients.open(&mut db, id).await?;
    drop(db);
    let at = |secret: &str| address(&clients.notifications, id, secret);
    // a registered address belongs to this connection, or to another party and stays
    let url = at(secret.expose_secret());
    match registration::register(clients, about, gateway.as_ref(), (&url, false)).await? {
        Ok(Subscription::Taken { by }) => {
            return Ok(Err(format!(
                "another address is registered at the gateway: {by}"
            )));
        }
        Ok(_) => {}
        Err(error) => return Ok(Err(error.to_string())),
    }
    if !gateway.has_one_address() {
        for former in &former {
            let url = at(former.secret.expose_secret());
            if let Err(error) = gateway.unsubscribe(&url, None).await {
                return Ok(Err(format!(
                    "the former address could not be taken back: {error}"
                )));
            }
        }
    }
    let mut tx = store.begin().await?;
    for former in &former {
        rotation::confirm(&mut tx, former, OVERLAP).await?;
    }
    tx.commit().await?;
    Ok(Ok(()))
}

impl Activities {
    /// Registers new addresses that their gateways do not have yet, and deletes expired former secrets.
    pub async fn finish_rotations(&self) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        rotation::forget_expired(&mut db).await?;
        let due = rotation::due(&mut db, PAGE).await?;
        drop(db);
        for former in due {
            if let Err(error) = self.finish_rotation(&former).await {
                tracing::error!(connection = %former.connection, %error, "could not finish the rotation of an address");
            }
        }
        Ok(())
    }

    async fn finish_rotation(&self, former: &DueFormer) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        // first, so that a row that fails is not the first one again
        postpone(&mut db, former).await?;
        let about = connections::find(&mut db, former.connection).await?;
        drop(db);
        let Some(about) = about.filter(|about| about.status != ConnectionStatus::Archived) else {
            return Ok(());
        };
        match register(&self.store, &self.clients, &about).await? {
            Ok(()) => {
                tracing::info!(connection = %about.id, gateway = %about.gateway, "the gateway has the new address");
            }
            Err(why) => {
                tracing::warn!(connection = %about.id, gateway = %about.gateway, why, "the gateway does not have the new address yet");
            }
        }
        Ok(())
    }
}

async fn postpone(db: &mut PgConnection, former: &DueFormer) -> Result<(), StoreError> {
    let checks = u32::try_from(former.checks).unwrap_or(u32::MAX);
    rotation::postpone(db, former, pause(checks)).await
}

fn pause(checks: u32) -> TimeDelta {
    delta(std::time::Duration::from_millis(
        REGISTER_AGAIN.delay_ms(checks),
    ))
}
