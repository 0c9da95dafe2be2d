//! Replacement of a connection's credentials by others of the same account: an expired certificate, a leaked key.

use schemas::{gateway::Mode, id::ConnectionId};
use serde_json::{Value, json};
use store::{
    Store, StoreError,
    audit::AuditAction,
    connections::{self, feeds},
};

use super::{OperationError, Operator, OperatorAction};
use crate::clients::GatewayClients;

/// Names of the registration secrets, which stay valid if the new credentials do not contain them.
const REGISTRATION_SECRETS: [&str; 2] = ["webhook_secrets", "webhook_tokens"];

/// Replaces a connection's credentials from its next call on, including calls for its open charges. The gateway is called first: the new
/// credentials must open the same account. Returns the number of the new version.
pub async fn replace(
    store: &Store,
    clients: &GatewayClients,
    (id, given): (ConnectionId, &Value),
    by: &Operator,
) -> Result<i32, OperationError> {
    let mut db = store.pool.acquire().await.map_err(StoreError::from)?;
    let found = connections::find(&mut db, id).await?;
    drop(db);
    let about = found.ok_or_else(|| OperationError::not_found("connection", id))?;
    let credentials = gateways::read_credentials(about.gateway, given.clone())
        .map_err(OperationError::Credentials)?;
    let gateway = credentials.open(clients.endpoints(about.mode))?;
    let account = gateway.probe().await?;
    let mode = account
        .live
        .map(|live| if live { Mode::Live } else { Mode::Test });
    if mode.is_some_and(|mode| mode != about.mode) {
        return Err(OperationError::Refused(format!(
            "these credentials belong to the gateway's other environment, and {id} is for mode {}",
            about.mode
        )));
    }
    if account.fingerprint != about.fingerprint {
        return Err(OperationError::Refused(format!(
            "these credentials open another account than {id} has (or its {} application, or a key that may not read its account): add that account with `orchestrator connection add`, and drain {id}",
            about.gateway
        )));
    }
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    // a registration's secret may be added meanwhile
    connections::lock(&mut tx, id).await?;
    let (_, stored) = connections::credentials(&mut tx, store, id).await?;
    let version =
        connections::add_credentials(&mut tx, store, id, &with_secrets(given, &stored)).await?;
    feeds::wake(&mut tx, id).await?;
    let operator_action = OperatorAction {
        merchant: about.merchant,
        mode: Some(about.mode),
        action: AuditAction::CredentialsReplaced,
        subject: id.to_string(),
        details: json!({ "version": version }),
    };
    by.note(&mut tx, operator_action).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(version)
}

/// Returns the given credentials with the registration secrets that only the stored ones contain.
fn with_secrets(given: &Value, stored: &Value) -> Value {
    let mut credentials = given.clone();
    for name in REGISTRATION_SECRETS {
        let Some(Value::Array(known)) = stored.get(name) else {
            continue;
        };
        let mut all = known.clone();
        if let Some(Value::Array(new)) = given.get(name) {
            all.extend(new.iter().filter(|secret| !known.contains(secret)).cloned());
        }
        credentials[name] = Value::Array(all);
    }
    credentials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_credentials_keep_the_secrets_that_prove_notifications() {
        let stored = json!({ "secret_key": "old", "webhook_secrets": ["a", "b"] });
        let given = json!({ "secret_key": "new" });
        assert_eq!(
            with_secrets(&given, &stored),
            json!({ "secret_key": "new", "webhook_secrets": ["a", "b"] })
        );
        let given = json!({ "secret_key": "new", "webhook_secrets": ["b", "c"] });
        assert_eq!(
            with_secrets(&given, &stored)["webhook_secrets"],
            json!(["a", "b", "c"])
        );
        assert_eq!(
            with_secrets(&json!({ "client_id": "x" }), &json!({ "client_id": "y" })),
            json!({ "client_id": "x" })
        );
    }
}
