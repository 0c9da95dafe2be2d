//! Stripe: `PaymentIntent`s with Pix and boleto, hosted pages with cards, under idempotency keys. `docs/gateways/stripe.md`.

use std::time::Duration;

use async_trait::async_trait;
use schemas::{
    attempt::ErrorClass,
    fee::Price,
    gateway::{GatewayApi, GatewayKind},
    payment_method::PaymentMethodKind,
};
use secrecy::SecretString;
use url::Url;

use crate::{
    Account, Capabilities, ChargeLookup, ChargeRequest, CheckReport, CredentialSchema, Descriptor,
    Entries, Feed, Forged, Gateway, GatewayCharge, GatewayError, GatewayRefund, Page, ReadFrom,
    Received, RefundRequest, Registration, Subscription, Unregister, Webhooks,
    descriptor::{ApiDescriptor, Disputes, MethodDescriptor, Refunds, Unpaid, WebhookCapabilities},
    http::{Answer, ApiClient, CALL_TIMEOUT, Deadline, Effect},
};

mod changes;
mod credentials;
mod disputes;
mod errors;
mod notifications;
mod refunds;
mod requests;
mod responses;
mod search;
#[cfg(test)]
mod tests;
mod webhooks;

use credentials::StripeCredentials;
use requests::{
    accepts,
    calls::{is_replayed, unreadable},
    listing::Listings,
};
use responses::{Intent, read, session::Session};
use search::Searches;

pub(crate) const GATEWAY: Descriptor = Descriptor {
    kind: GatewayKind::Stripe,
    apis: &[ApiDescriptor {
        api: GatewayApi::Stripe,
        live: Some("https://api.stripe.com"),
        test: Some("https://api.stripe.com"),
    }],
    methods: &[
        MethodDescriptor {
            kind: PaymentMethodKind::Pix,
            api: GatewayApi::Stripe,
            capabilities: Capabilities {
                declines: true,
                disputes: Disputes::Final,
                ..CAPABILITIES
            },
        },
        MethodDescriptor {
            kind: PaymentMethodKind::Boleto,
            api: GatewayApi::Stripe,
            capabilities: Capabilities {
                declines: true,
                refunds: Refunds::Unsupported(
                    "Stripe cannot refund a boleto: pay the payer by other means",
                ),
                ..CAPABILITIES
            },
        },
        MethodDescriptor {
            kind: PaymentMethodKind::Card,
            api: GatewayApi::Stripe,
            capabilities: Capabilities {
                disputes: Disputes::Contestable,
                ..CAPABILITIES
            },
        },
    ],
    feeds: &changes::FEEDS,
    webhooks: WebhookCapabilities {
        takes_token: false,
        has_one_address: false,
    },
    unmet: accepts::unmet,
    price: |method, _installments| match method {
        PaymentMethodKind::Pix => Price { bps: 119, fixed: 0 },
        PaymentMethodKind::Boleto => Price { bps: 0, fixed: 345 },
        PaymentMethodKind::Card => Price {
            bps: 399,
            fixed: 39,
        },
    },
    credentials: CredentialSchema::of::<StripeCredentials>(),
    default: None,
};

/// Capabilities that most methods share.
const CAPABILITIES: Capabilities = Capabilities {
    idempotent_for: Some(IDEMPOTENT_FOR),
    visibility_lag: Duration::from_secs(2),
    unpaid: Unpaid::Expires,
    declines: false,
    refunds: Refunds::InParts,
    refund_idempotent_for: Some(IDEMPOTENT_FOR),
    disputes: Disputes::Unreported,
    notified_per_charge: false,
};

/// Time for which a key is idempotent: Stripe stores keys for at least a day, minus an hour for clock differences and retries.
const IDEMPOTENT_FOR: Duration = Duration::from_hours(23);

/// Stripe account, in the mode of its key.
struct Stripe {
    api: ApiClient,
    key: SecretString,
    webhook_secrets: Vec<SecretString>,
    searches: Searches,
    listings: Listings,
}

impl Stripe {
    /// Returns the charge of a create request's answer. A replayed answer contains the first state, so the charge is read again.
    async fn created(
        &self,
        order: &ChargeRequest,
        answer: &Answer,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let replayed = is_replayed(answer);
        let charge = if order.method.kind() == PaymentMethodKind::Card {
            let session: Session = answer.read(Effect::Creates)?;
            if replayed {
                self.session(&session.id, deadline).await?
            } else {
                session.to_charge()?
            }
        } else {
            let intent: Intent = answer.read(Effect::Creates)?;
            if replayed {
                self.intent(&intent.id, deadline).await?
            } else {
                intent.to_charge()?
            }
        };
        if charge.status.is_payable() && charge.next_action.is_none() {
            return Err(unreadable(
                "the charge came without what to show to the payer",
            ));
        }
        Ok(read::within(order.expires_at, charge))
    }
}

#[async_trait]
impl Gateway for Stripe {
    fn descriptor(&self) -> &'static Descriptor {
        crate::descriptor(GatewayKind::Stripe)
    }

    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(within);
        let path: &[&str] = match order.method.kind() {
            PaymentMethodKind::Card => &["checkout", "sessions"],
            PaymentMethodKind::Pix | PaymentMethodKind::Boleto => &["payment_intents"],
        };
        let answer = self
            .create(path, &requests::body(order), &order.reference, deadline)
            .await?;
        self.created(order, &answer, deadline)
            .await
            .map_err(GatewayError::after_an_effect)
    }

    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError> {
        self.search(order).await
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let ended = if read::is_session(&charge.id) {
            let path = ["checkout", "sessions", &charge.id, "expire"];
            self.post(&path, &Vec::new(), deadline).await
        } else {
            let form = vec![("cancellation_reason", "abandoned".to_owned())];
            let path = ["payment_intents", &charge.id, "cancel"];
            self.post(&path, &form, deadline).await
        };
        match ended {
            Ok(_) => self.read(&charge.id, deadline).await,
            // paid or ended meanwhile, or a payment is in progress
            Err(refused) if refused.class == ErrorClass::Rejected => {
                let now = self.read(&charge.id, deadline).await?;
                let explained =
                    refused.code == errors::UNEXPECTED_STATE || !now.status.is_payable();
                if explained { Ok(now) } else { Err(refused) }
            }
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
            changes::EVENT_FEED => self.events_since(from).await,
            changes::BALANCE_FEED => self.booked_since(from).await,
            _ => Ok(Page::end(from.now)),
        }
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        self.account().await
    }
}

#[async_trait]
impl Webhooks for Stripe {
    fn verify(&self, received: &Received, known: &[Registration]) -> Result<(), Forged> {
        notifications::verify(received, &self.webhook_secrets, known)
    }

    fn parse(&self, body: &[u8]) -> Entries {
        notifications::parse(body, self.is_live())
    }

    async fn register(
        &self,
        url: &Url,
        _replace: bool,
        _token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        self.register_endpoint(url).await
    }

    async fn unregister(&self, url: &Url, which: Unregister<'_>) -> Result<(), GatewayError> {
        self.remove_endpoints(url, which).await
    }

    async fn check(
        &self,
        url: &Url,
        _replace: bool,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        self.check_endpoint(url, known).await
    }
}
