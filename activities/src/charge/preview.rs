//! Who could take a charge, before it is stored.

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

/// What a merchant's connections make of a charge.
#[derive(Debug)]
pub struct Preview {
    /// How many connections the method is routed to.
    pub routed: usize,
    /// How many could take it, breakers aside.
    pub eligible: usize,
    /// Those that could not, and what they lack.
    pub fallbacks: Vec<Fallback>,
}

impl Activities {
    /// Asks each routed connection what the charge lacks for it; no gateway is called.
    pub async fn preview(
        &self,
        merchant: MerchantId,
        mode: Mode,
        request: &CreateCharge,
    ) -> Result<Preview, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let (_, connections) =
            breakers::candidates(&mut db, merchant, mode, request.payment_method.kind()).await?;
        let now = match request.payment_method.life() {
            // nothing depends on when it begins
            Lifetime::Seconds(_) => Instant::UNIX_EPOCH,
            Lifetime::Until(_) => store::now(&mut db).await?,
        };
        let order = imagined(request, now);
        let mut candidates = Vec::with_capacity(connections.len());
        for found in connections {
            let gateway = self
                .clients
                .open_version(&mut db, found.connection, found.credential_version)
                .await?;
            candidates.push(RouteCandidate {
                connection: found.connection,
                gateway: found.gateway,
                status_active: found.status == ConnectionStatus::Active,
                breaker: found.breaker,
                unmet: gateway.accepts(&order).err().unwrap_or_default(),
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

/// The order that the charge would become if it were made now.
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
