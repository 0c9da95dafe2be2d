//! Manual redelivery of events.

use schemas::{
    delivery::DeliveryState,
    id::{DeliveryId, EndpointId, EventId},
};
use serde_json::json;
use store::{
    StoreError,
    audit::AuditAction,
    deliveries::{
        PendingDelivery,
        resend::{self, Resent},
    },
};

use super::{OperationError, Operator, OperatorAction};
use crate::{Activities, Subject};

impl Activities {
    /// Delivers an event again to each endpoint that subscribes to it, or to one. Returns the new deliveries.
    pub async fn resend_event(
        &self,
        (id, endpoint): (EventId, Option<EndpointId>),
        by: &Operator,
    ) -> Result<Vec<DeliveryId>, OperationError> {
        let mut tx = self.store.begin().await.map_err(StoreError::from)?;
        let about = resend::event(&mut tx, id).await?;
        let about = about.ok_or_else(|| OperationError::not_found("event", id))?;
        let Resent { ids, due } = resend::insert(&mut tx, about, endpoint).await?;
        if ids.is_empty() {
            return Err(OperationError::Refused(match endpoint {
                Some(endpoint) => format!("the event's merchant has no endpoint {endpoint}"),
                None => "no endpoint listens for this event: name one with --endpoint".to_owned(),
            }));
        }
        let operator_action = OperatorAction {
            merchant: about.merchant,
            mode: Some(about.mode),
            action: AuditAction::EventResent,
            subject: id.to_string(),
            details: json!({ "deliveries": ids }),
        };
        by.note(&mut tx, operator_action).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.wake_all(due).await;
        Ok(ids)
    }

    /// Tries a pending delivery now; one that has ended is delivered again as a new one. Returns the delivery that is tried.
    pub async fn retry_delivery(
        &self,
        id: DeliveryId,
        by: &Operator,
    ) -> Result<DeliveryId, OperationError> {
        let mut tx = self.store.begin().await.map_err(StoreError::from)?;
        let known = resend::lock(&mut tx, id).await?;
        let known = known.ok_or_else(|| OperationError::not_found("delivery", id))?;
        let Resent { ids, due } = if known.state == DeliveryState::Pending {
            if !resend::retry_now(&mut tx, id).await? {
                return Err(OperationError::Refused(format!(
                    "{id} waits for its endpoint, which is paused or catching up: it is delivered by itself, in its order"
                )));
            }
            let (merchant, endpoint) = (known.about.merchant.uuid(), known.endpoint.uuid());
            Resent {
                ids: vec![id],
                due: vec![PendingDelivery::again(id.uuid(), merchant, endpoint, None)],
            }
        } else {
            resend::insert(&mut tx, known.about, Some(known.endpoint)).await?
        };
        let Some(tried) = ids.first().copied() else {
            return Err(OperationError::Refused(format!(
                "the endpoint of {id} was deleted: resend its event to another one (`orchestrator events resend {} --endpoint …`)",
                known.about.event
            )));
        };
        let operator_action = OperatorAction {
            merchant: known.about.merchant,
            mode: Some(known.about.mode),
            action: AuditAction::DeliveryRetried,
            subject: id.to_string(),
            details: json!({ "delivery": tried }),
        };
        by.note(&mut tx, operator_action).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.wake_all(due).await;
        Ok(tried)
    }

    /// Waits for Temporal's answer, since the process may end after this; the sweep finds the deliveries that it did not accept.
    async fn wake_all(&self, due: Vec<PendingDelivery>) {
        for due in due {
            self.wake_or_leave(Subject::Delivery(due)).await;
        }
    }
}
