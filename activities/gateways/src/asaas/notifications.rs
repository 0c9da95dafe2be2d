//! Notifications: events authenticated by a shared token. `docs/gateways/asaas.md#notifications`.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::responses::Payment;
use crate::{
    Entries, Forged, GatewayCharge, GatewayNotice, GatewayStatus, NoticeKind, Received,
    Registration, Unreadable, local::instant,
};

const TOKEN_HEADER: &str = "asaas-access-token";

/// Events that our address subscribes to: all that change a payment's state, none that only inform.
pub(super) const EVENTS: [&str; 22] = [
    "PAYMENT_CREATED",
    "PAYMENT_UPDATED",
    "PAYMENT_AWAITING_RISK_ANALYSIS",
    "PAYMENT_APPROVED_BY_RISK_ANALYSIS",
    "PAYMENT_REPROVED_BY_RISK_ANALYSIS",
    "PAYMENT_AUTHORIZED",
    "PAYMENT_CREDIT_CARD_CAPTURE_REFUSED",
    "PAYMENT_CONFIRMED",
    "PAYMENT_RECEIVED",
    "PAYMENT_OVERDUE",
    "PAYMENT_DELETED",
    "PAYMENT_RESTORED",
    "PAYMENT_REFUNDED",
    "PAYMENT_PARTIALLY_REFUNDED",
    "PAYMENT_REFUND_IN_PROGRESS",
    "PAYMENT_REFUND_DENIED",
    "PAYMENT_RECEIVED_IN_CASH",
    "PAYMENT_RECEIVED_IN_CASH_UNDONE",
    "PAYMENT_CHARGEBACK_REQUESTED",
    "PAYMENT_CHARGEBACK_DISPUTE",
    "PAYMENT_AWAITING_CHARGEBACK_REVERSAL",
    "PAYMENT_BANK_SLIP_CANCELLED",
];

/// Events that revert a state. The payment in the body may be older than the stored state, so it is not applied: the gateway is
/// read instead.
const GOING_BACK: [&str; 3] = [
    "PAYMENT_RESTORED",
    "PAYMENT_RECEIVED_IN_CASH_UNDONE",
    "PAYMENT_REFUND_DENIED",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: String,
    #[serde(rename = "event")]
    name: String,
    date_created: Option<String>,
    payment: Option<Value>,
}

/// Compares the token.
pub(super) fn verify(
    received: &Received,
    tokens: &[SecretString],
    known: &[Registration],
) -> Result<(), Forged> {
    let ours = Registration::proving(known, received.at);
    prove(received, tokens.iter().chain(ours))
}

/// Parses the event. The payment in the body is applied with its refunds and its dispute, whatever the event's name, so a new event
/// breaks nothing.
pub(super) fn parse(body: &[u8]) -> Entries {
    let Ok(event) = serde_json::from_slice::<Event>(body) else {
        return Unreadable::new("asaas_event", "not an event").into();
    };
    let mut notice = GatewayNotice {
        dedupe_key: event.id.clone(),
        event: event.name.clone(),
        reference: None,
        charge: None,
        payment: None,
        stated_at: event.date_created.as_deref().and_then(instant),
        means: NoticeKind::Nothing,
    };
    if let Some(payment) = &event.payment {
        let text = |name: &str| payment[name].as_str().map(ToOwned::to_owned);
        notice.charge = text("id");
        notice.reference = text("externalReference");
        if notice.charge.is_none() {
            return Unreadable::new("asaas_payment", "a payment without an id").into();
        }
        notice.means = event.means(payment);
    }
    vec![notice].into()
}

/// Compares every token in constant time, so that its bytes cannot be guessed one by one.
fn prove<'a>(
    received: &Received,
    mut tokens: impl Iterator<Item = &'a SecretString>,
) -> Result<(), Forged> {
    let given = received.header(TOKEN_HEADER).ok_or(Forged("no token"))?;
    let known =
        tokens.any(|token| bool::from(token.expose_secret().as_bytes().ct_eq(given.as_bytes())));
    if known {
        Ok(())
    } else {
        Err(Forged("another token"))
    }
}

impl Event {
    /// Returns the proved state; a hint to read the gateway if the event reverts a state or the payment's status is unknown.
    fn means(&self, payment: &Value) -> NoticeKind {
        match self.charge(payment) {
            Some(charge) if !self.goes_back(charge.status) => {
                NoticeKind::ChargeState(Box::new(charge))
            }
            _ => NoticeKind::Hint,
        }
    }

    /// Returns true if the event may revert a state. A payment that is deleted in the body may have been restored since then.
    fn goes_back(&self, status: GatewayStatus) -> bool {
        GOING_BACK.contains(&self.name.as_str())
            || (status == GatewayStatus::Canceled && self.name != "PAYMENT_DELETED")
    }

    fn charge(&self, payment: &Value) -> Option<GatewayCharge> {
        let payment = Payment::deserialize(payment).ok()?;
        payment.to_charge(self.paid_at()).ok()
    }

    /// Returns the time of payment, if the event reports a payment: later events carry later times.
    fn paid_at(&self) -> Option<schemas::Instant> {
        let reported = self.date_created.as_deref().and_then(instant);
        let is_of_payment = matches!(
            self.name.as_str(),
            "PAYMENT_CONFIRMED" | "PAYMENT_RECEIVED" | "PAYMENT_RECEIVED_IN_CASH"
        );
        reported.filter(|_| is_of_payment)
    }
}
