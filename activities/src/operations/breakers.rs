//! Circuit breakers held by an operator for a limited time.

use chrono::TimeDelta;
use schemas::{
    breaker::{BreakerHold, HoldKind},
    connection,
    gateway::GatewayApi,
    id::ConnectionId,
};
use serde_json::json;
use store::{
    PgConnection, Store, StoreError, audit::AuditAction, breakers, connections,
    connections::Connection,
};

use super::{OperationError, Operator, OperatorAction};
use crate::retry::operations::MAX_HOLD;

/// Holds the breakers of a connection, or the one of a single API, for `length`. Returns their APIs.
pub async fn hold(
    store: &Store,
    (id, api): (ConnectionId, Option<GatewayApi>),
    (kind, length): (HoldKind, TimeDelta),
    by: &Operator,
) -> Result<Vec<GatewayApi>, OperationError> {
    if length <= TimeDelta::zero() || length > MAX_HOLD {
        let why = format!(
            "a breaker is held for 1 to {} minutes",
            MAX_HOLD.num_minutes()
        );
        return Err(OperationError::Refused(why));
    }
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let (about, apis) = chosen(&mut tx, id, api).await?;
    if kind == HoldKind::ForceClosed && about.status == connection::ConnectionStatus::Archived {
        return Err(OperationError::Refused(format!(
            "{id} is archived and takes no charges, whatever the state of its breakers"
        )));
    }
    for api in &apis {
        let mut locked = breakers::lock(&mut tx, id, *api).await?;
        let hold = BreakerHold {
            kind,
            until: locked.now + length,
            reason: by.reason.clone(),
        };
        let details = json!({ "api": api, "hold": kind, "until": hold.until });
        breakers::hold(&mut tx, &mut locked, Some(hold), &by.author).await?;
        by.note(
            &mut tx,
            operator_action(&about, AuditAction::BreakerHeld, details),
        )
        .await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(apis)
}

/// Releases the breakers of a connection, or the one of a single API: measured health decides again. Returns their APIs.
pub async fn release(
    store: &Store,
    (id, api): (ConnectionId, Option<GatewayApi>),
    by: &Operator,
) -> Result<Vec<GatewayApi>, OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let (about, apis) = chosen(&mut tx, id, api).await?;
    let mut released = Vec::new();
    for api in apis {
        let mut locked = breakers::lock(&mut tx, id, api).await?;
        if locked.breaker.held(locked.now).is_none() {
            continue;
        }
        breakers::hold(&mut tx, &mut locked, None, &by.author).await?;
        let details = json!({ "api": api });
        by.note(
            &mut tx,
            operator_action(&about, AuditAction::BreakerReleased, details),
        )
        .await?;
        released.push(api);
    }
    if released.is_empty() {
        return Err(OperationError::Refused(format!(
            "no breaker of {id} is held: there is nothing to release"
        )));
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(released)
}

async fn chosen(
    db: &mut PgConnection,
    id: ConnectionId,
    api: Option<GatewayApi>,
) -> Result<(Connection, Vec<GatewayApi>), OperationError> {
    let about = connections::find(db, id).await?;
    let about = about.ok_or_else(|| OperationError::not_found("connection", id))?;
    let all = breakers::apis(db, id).await?;
    match api {
        None => Ok((about, all)),
        Some(api) if all.contains(&api) => Ok((about, vec![api])),
        Some(api) => {
            let known: Vec<String> = all.iter().map(ToString::to_string).collect();
            Err(OperationError::Refused(format!(
                "{id} has no API {api}: it has {}",
                known.join(", ")
            )))
        }
    }
}

fn operator_action(
    about: &Connection,
    action: AuditAction,
    details: serde_json::Value,
) -> OperatorAction {
    OperatorAction {
        merchant: about.merchant,
        mode: Some(about.mode),
        action,
        subject: about.id.to_string(),
        details,
    }
}
