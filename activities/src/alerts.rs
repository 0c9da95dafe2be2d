//! A connection that needs a person.

use schemas::{
    event::{EventSubjectKind, EventType},
    id::ConnectionId,
};
use serde_json::json;
use store::{PgConnection, StoreError, connections, deliveries::PendingDelivery, events};

/// Raises `gateway_connection.action_required`; the answer is the deliveries to start after the commit. `code` and `message` say what
/// to look at, and hold no personal data.
pub(crate) async fn raise(
    db: &mut PgConnection,
    id: ConnectionId,
    code: &str,
    message: &str,
) -> Result<Vec<PendingDelivery>, StoreError> {
    let Some(connection) = connections::find(db, id).await? else {
        return Ok(Vec::new());
    };
    tracing::error!(connection = %id, gateway = %connection.gateway, code, "a gateway connection needs action");
    metrics::counter!("connection_alerts_total", "gateway" => connection.gateway.to_string())
        .increment(1);
    let sequence = events::next_sequence(db, id.uuid()).await?;
    let new = events::NewEvent {
        merchant: connection.merchant,
        mode: connection.mode,
        kind: EventType::GatewayConnectionActionRequired,
        subject: EventSubjectKind::GatewayConnection,
        subject_id: id.uuid(),
        sequence,
        data: json!({
            "id": id, "gateway": connection.gateway, "label": connection.label, "status": connection.status,
            "reason": { "code": code, "message": message },
        }),
    };
    Ok(events::append(db, &new).await?.1)
}
