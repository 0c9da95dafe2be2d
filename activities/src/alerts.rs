//! Alerts to the merchant about a connection that needs manual action.

use schemas::{
    event::{EventSubjectKind, EventType},
    id::ConnectionId,
};
use serde_json::json;
use store::{PgConnection, StoreError, connections, deliveries::PendingDelivery, events};

/// Appends the event `gateway_connection.action_required` and returns the deliveries to start after the commit. `code` and `message` name
/// the problem and contain no personal data.
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
        id: store::new_id(),
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
    events::append(db, new).await
}
