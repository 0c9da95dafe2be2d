//! Events that can be sent: `docs/gateways/asaas.md#notifications`.

use serde_json::Value;

const PAYMENT: [&str; 25] = [
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
    "PAYMENT_BANK_SLIP_VIEWED",
    "PAYMENT_CHECKOUT_VIEWED",
    "PAYMENT_ANTICIPATED",
];
const CHECKOUT: [&str; 4] = [
    "CHECKOUT_CREATED",
    "CHECKOUT_CANCELED",
    "CHECKOUT_EXPIRED",
    "CHECKOUT_PAID",
];

/// Event with the object's state at that time.
pub(super) struct ReportedEvent {
    pub account: String,
    pub event: String,
    /// `payment` or `checkout`.
    pub about: &'static str,
    pub json: Value,
}

/// Returns true if a webhook may subscribe to the event. Any event about neither payments nor checkouts is accepted, although none is ever
/// sent.
pub(super) fn is_known(event: &str) -> bool {
    if event.starts_with("PAYMENT_DUNNING_") || event.starts_with("PAYMENT_SPLIT_") {
        return true;
    }
    if event.starts_with("PAYMENT_") {
        return PAYMENT.contains(&event);
    }
    if event.starts_with("CHECKOUT_") {
        return CHECKOUT.contains(&event);
    }
    !event.is_empty()
}
