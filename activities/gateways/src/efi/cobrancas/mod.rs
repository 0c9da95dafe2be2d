//! Efí's API Cobranças: boletos and card links, found by our `custom_id`. `docs/gateways/efi.md`.

use reqwest::{Client, Method};
use schemas::{Instant, attempt::ErrorClass, payment_method::PaymentMethodKind};
use serde_json::json;
use url::Url;

use super::{
    credentials::EfiCredentials,
    errors,
    requests::{Call, Session},
};
use crate::{
    ChargeLookup, ChargeRequest, GatewayCharge, GatewayError, GatewayStatus,
    http::{Deadline, Effect},
    local,
};

mod changes;
mod disputes;
mod notifications;
mod refunds;
mod requests;
mod responses;
#[cfg(test)]
mod tests;

use changes::Wanted;
pub(super) use changes::{BOLETO, CARD};
pub(super) use notifications::{is_form, parse};
pub(super) use refunds::NO_BOLETO as NO_BOLETO_REFUNDS;
pub(super) use requests::unmet;
use responses::{Charge, Data, Money};

/// Client of an account's API Cobranças.
pub(super) struct Cobrancas {
    session: Session,
}

impl Cobrancas {
    pub(super) fn new(client: Client, base: Url, credentials: &EfiCredentials) -> Self {
        Self {
            session: Session::new(client, base, &["v1", "authorize"], credentials),
        }
    }

    pub(super) async fn charge(
        &self,
        order: &ChargeRequest,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let body = requests::body(order);
        let path = requests::path(order.method.kind());
        let call = Call::create(Method::POST, path, &body);
        let answer = self.session.send(&call, deadline).await?;
        let made: Data<Charge> = answer.read(Effect::Creates)?;
        let charge = made
            .data
            .to_charge(Some(order.expires_at), &Money::default())
            .map_err(GatewayError::after_an_effect)?;
        if charge.status.is_payable() && charge.next_action.is_none() {
            return Err(GatewayError::new(
                ErrorClass::Unknown,
                "unreadable",
                "the charge has nothing readable to show to the payer",
            ));
        }
        Ok(GatewayCharge {
            // the answer to creating a boleto does not repeat it
            reference: Some(order.reference.clone()),
            ..charge
        })
    }

    pub(super) async fn find(
        &self,
        order: &ChargeLookup,
        deadline: Deadline,
    ) -> Result<Vec<GatewayCharge>, GatewayError> {
        let wanted = Wanted {
            charge_type: match order.method.kind() {
                PaymentMethodKind::Card => changes::CARD,
                PaymentMethodKind::Boleto | PaymentMethodKind::Pix => changes::BOLETO,
            },
            from: order.created_at,
            to: order.created_at,
            reference: Some(&order.reference),
        };
        let mut found = Vec::new();
        for listed in self.list(&wanted, deadline).await? {
            if listed.custom_id.as_deref() != Some(order.reference.as_str()) {
                continue;
            }
            let charge = self.read(&listed.id.to_string(), deadline).await?;
            found.push(charge.to_charge(Some(order.expires_at), &listed.money())?);
        }
        // the list is delayed, and our reference can be changed in Efí's dashboard
        let known = order.gateway_id.as_deref();
        if let Some(id) = known.filter(|id| found.iter().all(|one| one.id != *id)) {
            match self.lookup(id, Some(order.expires_at), deadline).await {
                Ok(charge) => found.push(charge),
                Err(error) if errors::is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn read(&self, id: &str, deadline: Deadline) -> Result<Charge, GatewayError> {
        let path = ["v1", "charge", id];
        let answer = self.session.send(&Call::read(&path), deadline).await?;
        Ok(answer.read::<Data<Charge>>(Effect::Reads)?.data)
    }

    /// Reads the charge with its payment, which only the list contains. `expires_at`: its last payable instant, if known.
    async fn lookup(
        &self,
        id: &str,
        expires_at: Option<Instant>,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let charge = self.read(id, deadline).await?;
        let made_at = charge.created_at.as_deref().and_then(local::instant);
        let mut money = Money::default();
        if let (true, Some(at)) = (charge.has_money(), made_at) {
            for charge_type in [changes::BOLETO, changes::CARD] {
                let wanted = Wanted {
                    charge_type,
                    from: at,
                    to: at,
                    reference: charge.custom_id(),
                };
                let listed = self.list(&wanted, deadline).await?;
                let same = listed.iter().find(|one| one.id == charge.id);
                if let Some(same) = same {
                    money = same.money();
                    break;
                }
            }
        }
        charge.to_charge(expires_at, &money)
    }

    pub(super) async fn cancel(
        &self,
        charge: &GatewayCharge,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let path = ["v1", "charge", charge.id.as_str(), "cancel"];
        let nothing = json!({});
        let call = Call::change(Method::PUT, &path, &nothing);
        let refusal = match self.session.send(&call, deadline).await {
            Ok(_) => None,
            Err(error) if errors::is_refusal(&error) => Some(error),
            Err(error) => return Err(error),
        };
        let ended = match self.lookup(&charge.id, None, deadline).await {
            Ok(ended) => ended,
            Err(error) if errors::is_absent(&error) => GatewayCharge {
                status: GatewayStatus::Canceled,
                next_action: None,
                ..charge.clone()
            },
            Err(error) => return Err(error),
        };
        match refusal {
            Some(refusal) if ended.status.is_payable() => Err(refusal),
            _ => Ok(ended),
        }
    }

    /// Checks that the credentials also open this API.
    pub(super) async fn probe(&self, deadline: Deadline) -> Result<(), GatewayError> {
        self.session.opens(deadline).await
    }
}
