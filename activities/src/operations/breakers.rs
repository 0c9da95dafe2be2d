//! Circuit breakers held by an operator, for a while.

use chrono::TimeDelta;
use schemas::{
    breaker::{Hold, HoldKind},
    connection,
    gateway::ApiFamily,
    id::ConnectionId,
};
use serde_json::json;
use store::{
    PgConnection, Store, StoreError, audit::Action, breakers, connections, connections::Connection,
};

use super::{Deed, OperationError, Operator};

/// The longest hold.
const MAX_HOLD: TimeDelta = TimeDelta::days(30);

/// Holds the breakers of a connection, or that of one of its APIs, for `length`. The answer is which.
pub async fn hold(
    store: &Store,
    (id, family): (ConnectionId, Option<ApiFamily>),
    (kind, length): (HoldKind, TimeDelta),
    by: &Operator,
) -> Result<Vec<ApiFamily>, OperationError> {
    if length <= TimeDelta::zero() || length > MAX_HOLD {
        let why = format!(
            "a breaker is held for 1 to {} minutes",
            MAX_HOLD.num_minutes()
        );
        return Err(OperationError::Refused(why));
    }
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let (about, families) = chosen(&mut tx, id, family).await?;
    if kind == HoldKind::ForceClosed && about.status == connection::Status::Archived {
        return Err(OperationError::Refused(format!(
            "{id} is archived and takes no charges, whatever its breakers say"
        )));
    }
    for family in &families {
        let mut locked = breakers::lock(&mut tx, id, *family).await?;
        let hold = Hold {
            kind,
            until: locked.now + length,
            reason: by.reason.clone(),
        };
        let details = json!({ "api": family, "hold": kind, "until": hold.until });
        breakers::hold(&mut tx, &mut locked, Some(hold), &by.author).await?;
        by.note(&mut tx, deed(&about, Action::BreakerHeld, details))
            .await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(families)
}

/// Releases the breakers of a connection, or that of one of its APIs: what is measured decides again. The answer is which.
pub async fn release(
    store: &Store,
    (id, family): (ConnectionId, Option<ApiFamily>),
    by: &Operator,
) -> Result<Vec<ApiFamily>, OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let (about, families) = chosen(&mut tx, id, family).await?;
    let mut released = Vec::new();
    for family in families {
        let mut locked = breakers::lock(&mut tx, id, family).await?;
        if locked.breaker.held(locked.now).is_none() {
            continue;
        }
        breakers::hold(&mut tx, &mut locked, None, &by.author).await?;
        let details = json!({ "api": family });
        by.note(&mut tx, deed(&about, Action::BreakerReleased, details))
            .await?;
        released.push(family);
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
    family: Option<ApiFamily>,
) -> Result<(Connection, Vec<ApiFamily>), OperationError> {
    let about = connections::find(db, id).await?;
    let about = about.ok_or_else(|| OperationError::not_found("connection", id))?;
    let all = breakers::families(db, id).await?;
    match family {
        None => Ok((about, all)),
        Some(family) if all.contains(&family) => Ok((about, vec![family])),
        Some(family) => {
            let known: Vec<String> = all.iter().map(ToString::to_string).collect();
            Err(OperationError::Refused(format!(
                "{id} has no API {family}: it has {}",
                known.join(", ")
            )))
        }
    }
}

fn deed(about: &Connection, action: Action, details: serde_json::Value) -> Deed {
    Deed {
        merchant: about.merchant,
        mode: Some(about.mode),
        action,
        subject: about.id.to_string(),
        details,
    }
}
