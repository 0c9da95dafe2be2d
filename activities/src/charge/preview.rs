//! Preview of the connections that can take a charge, before it is stored.

use gateways::ChargeRequest;
use schemas::{
    Instant,
    charge::CreateCharge,
    connection::ConnectionStatus,
    gateway::Mode,
    id::MerchantId,
    payment_method::Lifetime,
    route::{self, Fallback, RouteCandidate},
};
use store::{StoreError, breakers};

use crate::Activities;

/// Preview of a merchant's connections for a charge.
#[derive(Debug)]
pub struct Preview {
    /// Number of active connections that the method is routed to.
    pub routed: usize,
    /// Number of connections that can take the charge, ignoring breakers.
    pub eligible: usize,
    /// Connections that cannot take it, with the unmet requirements.
    pub fallbacks: Vec<Fallback>,
}

impl Activities {
    /// Checks the requirements of each routed connection; calls no gateway.
    pub async fn preview(
        &self,
        merchant: MerchantId,
        mode: Mode,
        request: &CreateCharge,
    ) -> Result<Preview, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let (_, connections) = breakers::candidates(
            &mut db,
            merchant,
            mode,
            request.payment_method.kind(),
            gateways::api,
        )
        .await?;
        let now = match request.payment_method.life() {
            // no requirement depends on the start of such a lifetime
            Lifetime::Seconds(_) => Instant::UNIX_EPOCH,
            Lifetime::Until(_) => store::now(&mut db).await?,
        };
        let order = imagined(request, now);
        let mut candidates = Vec::with_capacity(connections.len());
        for found in connections {
            candidates.push(RouteCandidate {
                connection: found.connection,
                gateway: found.gateway,
                status_active: found.status == ConnectionStatus::Active,
                breaker: found.breaker,
                unmet: (gateways::descriptor(found.gateway).unmet)(&order),
                tried: false,
            });
        }
        Ok(Preview {
            routed: candidates
                .iter()
                .filter(|candidate| candidate.status_active)
                .count(),
            eligible: route::eligible(&candidates),
            fallbacks: route::unmet_fallbacks(&candidates),
        })
    }
}

/// Returns the order that the charge would become if it were created now.
fn imagined(request: &CreateCharge, now: Instant) -> ChargeRequest {
    ChargeRequest {
        reference: String::new(),
        amount: request.amount,
        method: request.payment_method.clone(),
        created_at: now,
        expires_at: request.payment_method.life().end(now),
        payer: request.payer.clone(),
        customer: None,
        description: request.description.clone(),
        notification_url: None,
    }
}
