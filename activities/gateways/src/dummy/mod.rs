#![doc = include_str!("README.md")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use schemas::{
    Instant,
    attempt::ErrorClass,
    fee::Price,
    gateway::{GatewayApi, GatewayKind},
    payment_method::PaymentMethodKind,
};

use crate::{
    Account, Capabilities, ChargeLookup, ChargeRequest, CredentialSchema, Descriptor, Feed,
    Gateway, GatewayCharge, GatewayError, GatewayRefund, Page, ReadFrom, RefundRequest, Storage,
    descriptor::{
        ApiDescriptor, DefaultConnection, Disputes, MethodDescriptor, Refunds, Unpaid,
        WebhookCapabilities,
    },
    http::Effect,
    outside,
};

mod credentials;
mod errors;
mod notifications;
mod refunds;
mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod webhooks;

use credentials::DummyCredentials;
use requests::{Object, Script};

pub(crate) const GATEWAY: Descriptor = Descriptor {
    kind: GatewayKind::Dummy,
    apis: &[ApiDescriptor {
        api: GatewayApi::Dummy,
        live: None,
        test: None,
    }],
    methods: &[
        method(PaymentMethodKind::Pix),
        method(PaymentMethodKind::Boleto),
        method(PaymentMethodKind::Card),
    ],
    feeds: &[],
    webhooks: WebhookCapabilities {
        takes_token: false,
        has_one_address: true,
    },
    unmet: |_order| Vec::new(),
    price: |_method, _installments| Price { bps: 0, fixed: 0 },
    credentials: CredentialSchema::of::<DummyCredentials>(),
    default: Some(DEFAULT),
};

const DEFAULT: DefaultConnection = DefaultConnection {
    credentials: "{}",
    fingerprint: "dummy:",
};

const fn method(kind: PaymentMethodKind) -> MethodDescriptor {
    MethodDescriptor {
        kind,
        api: GatewayApi::Dummy,
        capabilities: Capabilities {
            idempotent_for: Some(FOR_EVER),
            visibility_lag: Duration::ZERO,
            unpaid: Unpaid::Expires,
            declines: false,
            refunds: Refunds::InParts,
            refund_idempotent_for: Some(FOR_EVER),
            disputes: Disputes::Unreported,
            notified_per_charge: true,
        },
    }
}

/// Time for which references stay taken: effectively for ever.
const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);
/// Duration of a slow request.
const SLOW: Duration = Duration::from_secs(3);
/// Most tries of a change that others cross.
const MAX_TRIES: u32 = 5;

/// Account of the dummy gateway.
struct Dummy {
    storage: Arc<dyn Storage>,
    account: String,
}

/// Returns the gateway's clock.
fn now() -> Instant {
    outside::now().into()
}

impl Dummy {
    fn key(reference: &str) -> String {
        format!("dummy/{reference}")
    }

    async fn get(&self, reference: &str, effect: Effect) -> Result<Option<Object>, GatewayError> {
        let stored = self.storage.get(&Self::key(reference)).await;
        let stored = stored.map_err(|failed| errors::storage(failed, effect))?;
        Ok(stored.and_then(|value| serde_json::from_value(value).ok()))
    }

    /// Changes an object, whatever others change at the same time. Returns it as it is then; `None`: it does not exist.
    async fn change(
        &self,
        reference: &str,
        effect: Effect,
        change: impl Fn(&mut Object) + Send + Sync,
    ) -> Result<Option<Object>, GatewayError> {
        for _ in 0..MAX_TRIES {
            let Some(before) = self.get(reference, effect).await? else {
                return Ok(None);
            };
            let mut after = before.clone();
            change(&mut after);
            if after == before || self.put(Some(&before), &after, effect).await? {
                return Ok(Some(after));
            }
        }
        let why = "others changed the object at the same time";
        Err(GatewayError::new(effect.lost(), "conflict", why))
    }

    async fn put(
        &self,
        before: Option<&Object>,
        after: &Object,
        effect: Effect,
    ) -> Result<bool, GatewayError> {
        let json = |object: &Object| {
            serde_json::to_value(object).map_err(|_| {
                GatewayError::new(effect.lost(), "storage", "the object cannot be written")
            })
        };
        let (before, json) = (before.map(json).transpose()?, json(after)?);
        let key = Self::key(&after.reference);
        let stored = self.storage.put(&key, before.as_ref(), &json).await;
        stored.map_err(|failed| errors::storage(failed, effect))
    }

    /// Returns true for the first request with this reference.
    async fn is_first_try(&self, reference: &str) -> Result<bool, GatewayError> {
        let key = format!("{}/tried", Self::key(reference));
        let stored = self.storage.put(&key, None, &true.into()).await;
        stored.map_err(|failed| errors::storage(failed, Effect::Creates))
    }
}

#[async_trait]
impl Gateway for Dummy {
    fn descriptor(&self) -> &'static Descriptor {
        crate::descriptor(GatewayKind::Dummy)
    }

    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let script = Script::of(order.amount);
        if let Some(refused) = errors::scripted(script) {
            return Err(refused);
        }
        if let Some(failed) = errors::first_try(script)
            && self.is_first_try(&order.reference).await?
        {
            return Err(failed);
        }
        let object = Object::of(order, now());
        let created = self.put(None, &object, Effect::Creates).await?;
        if created && script == Script::AnswerLost {
            return Err(errors::lost());
        }
        if script == Script::Slow {
            outside::sleep(SLOW.min(within)).await;
            if within <= SLOW {
                return Err(errors::lost());
            }
        }
        if created {
            return Ok(object.to_charge(now()));
        }
        let found = self.get(&order.reference, Effect::Creates).await?;
        let found = found.filter(|found| found.amount == order.amount);
        found.map(|found| found.to_charge(now())).ok_or_else(|| {
            let why = "another charge has our reference";
            GatewayError::new(ErrorClass::Rejected, "duplicate", why)
        })
    }

    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError> {
        let found = self.get(&order.reference, Effect::Reads).await?;
        Ok(found.iter().map(|found| found.to_charge(now())).collect())
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let ended = self
            .change(&charge.id, Effect::Reads, Object::cancel)
            .await?;
        let gone = || GatewayCharge {
            status: crate::GatewayStatus::Canceled,
            next_action: None,
            ..charge.clone()
        };
        Ok(ended.map_or_else(gone, |ended| ended.to_charge(now())))
    }

    async fn refund(
        &self,
        order: &RefundRequest,
        _within: Duration,
    ) -> Result<GatewayRefund, GatewayError> {
        self.create_refund(order).await
    }

    async fn find_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        let charge = self.get(&order.charge, Effect::Reads).await?;
        Ok(charge.and_then(|charge| charge.refund_of(&order.reference)))
    }

    async fn changes_since(&self, _feed: &Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        Ok(Page::end(from.now))
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        Ok(self.account())
    }
}
