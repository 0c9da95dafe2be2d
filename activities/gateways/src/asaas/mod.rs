//! Asaas: a customer, a payment, and the instrument in further calls. There is no idempotency, so each creation searches first.
//! `docs/gateways/asaas.md`.

use std::time::Duration;

use async_trait::async_trait;
use schemas::{
    fee::Price,
    gateway::{GatewayApi, GatewayKind},
    payment_method::PaymentMethodKind,
};
use secrecy::SecretString;
use url::Url;

use crate::{
    Account, Capabilities, ChargeLookup, ChargeRequest, CheckReport, CredentialSchema, Descriptor,
    Entries, Feed, Forged, Gateway, GatewayCharge, GatewayError, GatewayRefund, GatewayStatus,
    Page, ReadFrom, Received, RefundRequest, Registration, Subscription, Unregister, Webhooks,
    descriptor::{ApiDescriptor, Disputes, MethodDescriptor, Refunds, Unpaid, WebhookCapabilities},
    http::{ApiClient, CALL_TIMEOUT, Deadline, Effect},
};

mod changes;
mod credentials;
mod disputes;
mod errors;
mod notifications;
mod refunds;
mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod webhooks;

use credentials::AsaasCredentials;
use responses::Payment;

pub(crate) const GATEWAY: Descriptor = Descriptor {
    kind: GatewayKind::Asaas,
    apis: &[ApiDescriptor {
        api: GatewayApi::Asaas,
        live: Some("https://api.asaas.com"),
        test: Some("https://api-sandbox.asaas.com"),
    }],
    methods: &[
        method(
            PaymentMethodKind::Pix,
            Refunds::InParts,
            Disputes::Unreported,
        ),
        method(
            PaymentMethodKind::Boleto,
            refunds::NO_BOLETO,
            Disputes::Unreported,
        ),
        method(
            PaymentMethodKind::Card,
            Refunds::InParts,
            Disputes::ByStatus,
        ),
    ],
    feeds: &changes::FEEDS,
    webhooks: WebhookCapabilities {
        takes_token: true,
        has_one_address: false,
    },
    unmet: requests::unmet,
    price: |method, _installments| match method {
        PaymentMethodKind::Pix | PaymentMethodKind::Boleto => Price { bps: 0, fixed: 199 },
        PaymentMethodKind::Card => Price {
            bps: 299,
            fixed: 49,
        },
    },
    credentials: CredentialSchema::of::<AsaasCredentials>(),
    default: None,
};

const fn method(kind: PaymentMethodKind, refunds: Refunds, disputes: Disputes) -> MethodDescriptor {
    MethodDescriptor {
        kind,
        api: GatewayApi::Asaas,
        capabilities: Capabilities {
            idempotent_for: None,
            visibility_lag: Duration::from_secs(5),
            unpaid: Unpaid::StaysPayable,
            declines: false,
            refunds,
            refund_idempotent_for: None,
            disputes,
            notified_per_charge: false,
        },
    }
}

/// Most pages of the payments of one reference, or of the entries of one payment: the number that one call has time for.
const MAX_PAGES: usize = 100;

/// Asaas account, in the environment of its key.
struct Asaas {
    api: ApiClient,
    key: SecretString,
    webhook_tokens: Vec<SecretString>,
}

#[async_trait]
impl Gateway for Asaas {
    fn descriptor(&self) -> &'static Descriptor {
        crate::descriptor(GatewayKind::Asaas)
    }

    async fn charge(
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

    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let mut charges = Vec::new();
        for payment in self.search(&order.reference, deadline).await? {
            charges.push(self.with_instrument(&payment, order, deadline).await?);
        }
        // a deleted payment may be missing from the list, and our reference can be changed in the dashboard
        let known = order.gateway_id.as_deref();
        if let Some(id) = known.filter(|id| charges.iter().all(|one| one.id != *id)) {
            match self.api.get(&["payments", id], &[], deadline).await {
                Ok(answer) => {
                    let payment = answer.read(Effect::Reads)?;
                    charges.push(self.with_instrument(&payment, order, deadline).await?);
                }
                Err(error) if errors::is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(charges)
    }

    /// Deletes the payment, then reads it: Asaas does not delete a payment that was paid meanwhile.
    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let gone = || GatewayCharge {
            status: GatewayStatus::Canceled,
            next_action: None,
            ..charge.clone()
        };
        let path = ["payments", &charge.id];
        match self.api.delete(&path, deadline).await {
            Err(error) if errors::is_absent(&error) => return Ok(gone()),
            Err(error) if !errors::is_definite(&error) => return Err(error),
            // deleted, or refused because it was paid or deleted before: the read decides
            _ => {}
        }
        match self.api.get(&path, &[], deadline).await {
            Ok(answer) => answer.read::<Payment>(Effect::Reads)?.to_charge(None),
            Err(error) if errors::is_absent(&error) => Ok(gone()),
            Err(error) => Err(error),
        }
    }

    async fn refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError> {
        self.create_refund(order, within).await
    }

    async fn find_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        self.read_refund(order).await
    }

    async fn changes_since(&self, feed: &Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        match feed.name {
            changes::PAID => self.by_day("paymentDate", from).await,
            changes::CREATED => self.by_day("dateCreated", from).await,
            changes::STATES => self.by_state(from).await,
            _ => Ok(Page::end(from.now)),
        }
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        self.account().await
    }
}

#[async_trait]
impl Webhooks for Asaas {
    fn verify(&self, received: &Received, known: &[Registration]) -> Result<(), Forged> {
        notifications::verify(received, &self.webhook_tokens, known)
    }

    fn parse(&self, body: &[u8]) -> Entries {
        notifications::parse(body)
    }

    async fn register(
        &self,
        url: &Url,
        _replace: bool,
        token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        self.register_webhook(url, token).await
    }

    async fn unregister(&self, url: &Url, which: Unregister<'_>) -> Result<(), GatewayError> {
        self.remove_webhooks(url, which).await
    }

    async fn check(
        &self,
        url: &Url,
        _replace: bool,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        self.check_webhook(url, known).await
    }
}

impl Asaas {
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
                Err(error) if error.code == errors::NO_CUSTOMER => {}
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
        let body = requests::body(order, customer);
        self.post(&["payments"], &body, (deadline, Effect::Creates))
            .await?
            .read(Effect::Creates)
    }
}
