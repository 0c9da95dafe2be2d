//! Events delivered once more.

use schemas::{
    delivery::State,
    id::{DeliveryId, EndpointId, EventId},
};
use serde_json::json;
use store::{
    StoreError,
    audit::Action,
    deliveries::{
        Due,
        resend::{self, Resent},
    },
};

use super::{Deed, OperationError, Operator};
use crate::Activities;

impl Activities {
    /// Delivers an event once more to each endpoint that listens for it, or to one. The answer is the new deliveries.
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
        let deed = Deed {
            merchant: about.merchant,
            mode: Some(about.mode),
            action: Action::EventResent,
            subject: id.to_string(),
            details: json!({ "deliveries": ids }),
        };
        by.note(&mut tx, deed).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.poke_all(due).await;
        Ok(ids)
    }

    /// Tries a pending delivery now; one that has ended is delivered again as a new one. The answer is the delivery that is tried.
    pub async fn retry_delivery(
        &self,
        id: DeliveryId,
        by: &Operator,
    ) -> Result<DeliveryId, OperationError> {
        let mut tx = self.store.begin().await.map_err(StoreError::from)?;
        let known = resend::lock(&mut tx, id).await?;
        let known = known.ok_or_else(|| OperationError::not_found("delivery", id))?;
        let Resent { ids, due } = if known.state == State::Pending {
            if !resend::hasten(&mut tx, id).await? {
                return Err(OperationError::Refused(format!(
                    "{id} waits for its endpoint, which is paused or catching up: it is delivered by itself, in its order"
                )));
            }
            let (merchant, endpoint) = (known.about.merchant.uuid(), known.endpoint.uuid());
            Resent {
                ids: vec![id],
                due: vec![Due::again(id.uuid(), merchant, endpoint, None)],
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
        let deed = Deed {
            merchant: known.about.merchant,
            mode: Some(known.about.mode),
            action: Action::DeliveryRetried,
            subject: id.to_string(),
            details: json!({ "delivery": tried }),
        };
        by.note(&mut tx, deed).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.poke_all(due).await;
        Ok(tried)
    }

    /// Waits for Temporal's answer, since the process may end after this; the sweep finds what it did not take.
    async fn poke_all(&self, due: Vec<Due>) {
        for due in due {
            self.starter.poke_delivery(due).await;
        }
    }
}
