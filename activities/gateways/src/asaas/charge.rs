//! Creates, finds and cancels payments. Asaas has no idempotency, so each creation searches first.
//! `docs/gateways/asaas.md#references-and-idempotency`.

use std::time::Duration;

use super::{Asaas, MAX_PAGES, error, order::body, payment::Payment};
use crate::{
    ChargeLookup, ChargeRequest, GatewayCharge, GatewayError, GatewayStatus,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

impl Asaas {
    pub(super) async fn create_or_adopt(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(within);
        let before = self.search(&order.reference, deadline).await?;
        let payment = match before.into_iter().find(|payment| payment.is_for(order)) {
            Some(payment) => payment,
            None => self.create(order, deadline).await?,
        };
        self.shown(&payment, &order.lookup(), deadline)
            .await
            .map_err(GatewayError::after_an_effect)
    }

    pub(super) async fn all_of(
        &self,
        order: &ChargeLookup,
    ) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let mut charges = Vec::new();
        for payment in self.search(&order.reference, deadline).await? {
            charges.push(self.with_instrument(&payment, order, deadline).await?);
        }
        // a deleted payment may be missing from the list, and our reference can be changed in the panel
        let known = order.gateway_id.as_deref();
        if let Some(id) = known.filter(|id| charges.iter().all(|one| one.id != *id)) {
            match self.get(&["payments", id], &[], deadline).await {
                Ok(answer) => {
                    let payment = answer.read(Effect::Reads)?;
                    charges.push(self.with_instrument(&payment, order, deadline).await?);
                }
                Err(error) if error::is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(charges)
    }

    /// Deletes the payment, then reads it: Asaas does not delete a payment that was paid meanwhile.
    pub(super) async fn end(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let gone = || GatewayCharge {
            status: GatewayStatus::Canceled,
            next_action: None,
            ..charge.clone()
        };
        let path = ["payments", &charge.id];
        match self.delete(&path, deadline).await {
            Err(error) if error::is_absent(&error) => return Ok(gone()),
            Err(error) if !error::is_definite(&error) => return Err(error),
            // deleted, or refused because it was paid or deleted before: the read decides
            _ => {}
        }
        match self.get(&path, &[], deadline).await {
            Ok(answer) => answer.read::<Payment>(Effect::Reads)?.to_charge(None),
            Err(error) if error::is_absent(&error) => Ok(gone()),
            Err(error) => Err(error),
        }
    }

    /// Returns all payments that carry the reference, including deleted ones if Asaas lists them.
    async fn search(
        &self,
        reference: &str,
        deadline: Deadline,
    ) -> Result<Vec<Payment>, GatewayError> {
        let filter = [("externalReference", reference.to_owned())];
        let mut found: Vec<Payment> = self
            .list(&["payments"], &filter, (MAX_PAGES, deadline))
            .await?;
        found.retain(|payment| payment.is_of(reference));
        Ok(found)
    }

    async fn create(
        &self,
        order: &ChargeRequest,
        deadline: Deadline,
    ) -> Result<Payment, GatewayError> {
        let remembered = order.customer.as_deref();
        if let Some(customer) = remembered {
            match self.create_for(customer, order, deadline).await {
                // the stored customer no longer exists
                Err(error) if error.code == error::NO_CUSTOMER => {}
                outcome => return outcome,
            }
        }
        let customer = self.customer(&order.payer, deadline).await?;
        self.create_for(&customer, order, deadline).await
    }

    async fn create_for(
        &self,
        customer: &str,
        order: &ChargeRequest,
        deadline: Deadline,
    ) -> Result<Payment, GatewayError> {
        let body = body(order, customer);
        self.post(&["payments"], &body, (deadline, Effect::Creates))
            .await?
            .read(Effect::Creates)
    }
}
