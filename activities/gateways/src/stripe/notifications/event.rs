//! Events, received at our address or listed: one parser for both. `docs/gateways/stripe.md#notifications`.

use schemas::{Instant, payment_method::PaymentMethodKind};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::stripe::{
    disputes::Dispute,
    refunds::Refund,
    responses::Intent,
    responses::payment::{Charge, instant},
    responses::session::Session,
};
use crate::{Entries, GatewayNotice, GatewayStatus, NoticeKind, Unreadable};

/// Events that our address subscribes to. Events of charges that only repeat those of their intents are excluded.
pub(in crate::stripe) const EVENTS: [&str; 19] = [
    "payment_intent.created",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
];

#[derive(Deserialize)]
pub(in crate::stripe) struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    livemode: bool,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

impl Event {
    /// Returns the notices of the event. `live`: true if this connection moves real money; events of the other mode mean nothing to it.
    pub(in crate::stripe) fn read(&self, live: bool) -> Entries {
        if self.livemode != live {
            return vec![self.notice(NoticeKind::Nothing)].into();
        }
        let kind = self.kind.as_str();
        let is = |family: &str| kind.starts_with(family);
        if is("payment_intent.") {
            self.object("stripe_payment_intent", |it| vec![self.of_intent(it)])
        } else if is("checkout.session.") {
            self.object("stripe_session", |it| vec![self.of_session(it)])
        } else if is("refund.") || is("charge.refund.") {
            self.object("stripe_refund", |it| vec![self.of_refund(it)])
        } else if is("charge.dispute.") {
            self.object("stripe_dispute", |it| vec![self.of_dispute(it)])
        } else if kind == "charge.refunded" {
            self.object("stripe_charge", |it| self.of_charge(it))
        } else {
            vec![self.notice(NoticeKind::Nothing)].into()
        }
    }

    fn object<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        read: impl FnOnce(&T) -> Vec<GatewayNotice>,
    ) -> Entries {
        match serde_json::from_value(self.data.object.clone()) {
            Ok(object) => read(&object).into(),
            Err(_) => Unreadable::new(kind, format!("the object of {}", self.kind)).into(),
        }
    }

    fn notice(&self, means: NoticeKind) -> GatewayNotice {
        GatewayNotice {
            dedupe_key: self.id.clone(),
            event: self.kind.clone(),
            reference: None,
            charge: None,
            payment: None,
            stated_at: self.at(),
            means,
        }
    }

    /// Returns the notice of an intent. An intent of a hosted page reports only its payment: until then the page decides what is
    /// payable, and the payer may retry after a declined card. The page's id, which is the charge's, is not inside.
    fn of_intent(&self, intent: &Intent) -> GatewayNotice {
        let by_page = intent.method() == PaymentMethodKind::Card;
        let charge_state = intent.to_charge().ok().or_else(|| intent.charge_state());
        let means = match charge_state {
            Some(it) if by_page && it.status != GatewayStatus::Paid => NoticeKind::Nothing,
            Some(mut it) => {
                // the intent has the time of its creation, the event that of the payment
                if let Some(at) = self.at() {
                    it.payments.iter_mut().for_each(|paid| paid.paid_at = at);
                }
                NoticeKind::ChargeState(Box::new(it))
            }
            None => NoticeKind::Nothing,
        };
        GatewayNotice {
            reference: intent.reference().map(ToOwned::to_owned),
            charge: (!by_page).then(|| intent.id.clone()),
            ..self.notice(means)
        }
    }

    /// Returns the notice of a page. A paid page contains its intent's id but not the payment, so it is a hint to read the gateway.
    fn of_session(&self, session: &Session) -> GatewayNotice {
        let failed = self.kind == "checkout.session.async_payment_failed";
        let means = match session.to_charge() {
            Ok(it) if it.status == GatewayStatus::Paid && it.payments.is_empty() => {
                NoticeKind::Hint
            }
            Ok(mut it) => {
                if failed {
                    it.status = GatewayStatus::Failed;
                }
                NoticeKind::ChargeState(Box::new(it))
            }
            Err(_) => NoticeKind::Nothing,
        };
        GatewayNotice {
            reference: session.reference().map(ToOwned::to_owned),
            charge: Some(session.id.clone()),
            ..self.notice(means)
        }
    }

    fn of_refund(&self, refund: &Refund) -> GatewayNotice {
        let means = match refund.to_refund() {
            Some(it) => NoticeKind::Refund(Box::new(it)),
            None => NoticeKind::Nothing,
        };
        GatewayNotice {
            reference: refund.charge_reference(),
            charge: refund.payment_intent.clone(),
            payment: refund.charge.clone(),
            ..self.notice(means)
        }
    }

    fn of_dispute(&self, dispute: &Dispute) -> GatewayNotice {
        let means = match dispute.to_dispute() {
            Some(it) => NoticeKind::Dispute(Box::new(it)),
            None => NoticeKind::Nothing,
        };
        GatewayNotice {
            charge: dispute.payment_intent.clone(),
            payment: Some(dispute.charge.clone()),
            ..self.notice(means)
        }
    }

    /// Returns the notices of a charge. It contains the refunded amount, and in old versions also the refunds.
    fn of_charge(&self, charge: &Charge) -> Vec<GatewayNotice> {
        let about = |means, key: &str| GatewayNotice {
            dedupe_key: format!("{}{key}", self.id),
            reference: charge.reference().map(ToOwned::to_owned),
            charge: charge.payment_intent.clone(),
            payment: Some(charge.id.clone()),
            ..self.notice(means)
        };
        let inside = charge.refunds_inside();
        if inside.is_empty() {
            return vec![about(NoticeKind::Hint, "")];
        }
        let each = inside.into_iter().map(|refund| {
            let key = format!("/{}", refund.id);
            about(NoticeKind::Refund(Box::new(refund)), &key)
        });
        each.collect()
    }

    fn at(&self) -> Option<Instant> {
        instant(self.created).filter(|_| self.created > 0)
    }
}
