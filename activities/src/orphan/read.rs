//! Read of the gateway under an orphan's reference.

use gateways::{ChargeRequest, GatewayCharge, GatewayError};
use schemas::attempt::ErrorClass;

use super::Orphan;
use crate::retry::orphan::OCCUPY_WITHIN;

/// State of the gateway under the attempt's reference.
pub(super) enum Read {
    Objects(Vec<GatewayCharge>),
    /// Nothing is there and nothing can appear: creating it was definitely rejected.
    Rejected,
    /// Nothing is there; it may still appear.
    Nothing,
    Unanswered(GatewayError),
}

impl Orphan {
    /// Reads the objects under the reference. If that is harmless, creates under it again, so that the result is definite.
    pub(super) async fn read(&self) -> Read {
        let found = self.gateway.find(&self.lookup).await;
        match found {
            Ok(objects) if !objects.is_empty() => Read::Objects(objects),
            Ok(_) if self.rejected => Read::Rejected,
            found => match &self.order {
                Some(order) if self.repeatable => self.occupy(order).await,
                _ => found.map_or_else(Read::Unanswered, |_| Read::Nothing),
            },
        }
    }

    async fn occupy(&self, order: &ChargeRequest) -> Read {
        match self.gateway.charge(order, OCCUPY_WITHIN).await {
            Ok(object) => Read::Objects(vec![object]),
            Err(error) if matches!(error.class, ErrorClass::Rejected | ErrorClass::Declined) => {
                match self.gateway.find(&self.lookup).await {
                    Ok(objects) if objects.is_empty() => Read::Rejected,
                    Ok(objects) => Read::Objects(objects),
                    Err(error) => Read::Unanswered(error),
                }
            }
            Err(error) => Read::Unanswered(error),
        }
    }
}
