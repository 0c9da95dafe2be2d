//! Examples of the OpenAPI document. A test checks them against the schemas.

use serde_json::{Value, json};

const CHARGE: &str = "ch_01jd3k9m2p4q6r8s0t2v4w6x8y";
const CONNECTION: &str = "gc_01jd3k0a1b2c3d4e5f6g7h8j9k";
const PAYMENT: &str = "py_01jd3kb4c5d6e7f8g9h0j1k2m3";
const CREATED_AT: &str = "2026-11-26T12:00:00Z";
const EXPIRES_AT: &str = "2026-11-26T13:00:00Z";
const PAID_AT: &str = "2026-11-26T12:03:10Z";
const COPY_PASTE: &str = "00020126580014br.gov.bcb.pix…6304A1B2";

fn payer() -> Value {
    json!({ "name": "Maria da Silva", "document": "52998224725", "email": "maria@example.com" })
}

/// Returns a request for a Pix charge.
pub(crate) fn create_pix() -> Value {
    json!({
        "amount": 12345,
        "reference": "order-1042",
        "description": "Pedido 1042",
        "payer": payer(),
        "payment_method": { "type": "pix", "expires_in": 3600 },
        "metadata": { "store": "online" },
    })
}

/// Returns a request for a boleto.
pub(crate) fn create_boleto() -> Value {
    let address = json!({
        "street": "Rua Augusta", "number": "100", "district": "Consolação", "city": "São Paulo", "state": "SP", "postal_code": "01305000",
    });
    let mut request = create_pix();
    request["payer"]["address"] = address;
    request["payment_method"] = json!({ "type": "boleto", "due_date": "2026-12-10", "days_after_due": 30, "fine_bps": 200, "monthly_interest_bps": 100 });
    request
}

/// Returns a request for a card payment link.
pub(crate) fn create_card() -> Value {
    let mut request = create_pix();
    request["payment_method"] = json!({
        "type": "card", "max_installments": 3,
        "success_url": "https://shop.example.com/thanks", "cancel_url": "https://shop.example.com/cart",
    });
    request
}

/// Returns a payable charge.
pub(crate) fn charge() -> Value {
    json!({
        "id": CHARGE, "mode": "test", "status": "pending", "amount": 12345, "currency": "BRL",
        "amount_paid": 0, "amount_mismatch": null, "amount_refunded": 0, "amount_disputed": 0, "amount_refundable": 0,
        "reference": "order-1042", "description": "Pedido 1042", "payer": payer(),
        "payment_method": { "type": "pix", "expires_in": 3600, "due": null },
        "gateway": { "kind": "efi", "connection": CONNECTION },
        "next_action": { "type": "pix", "copy_paste": COPY_PASTE, "qr_code_url": null, "expires_at": EXPIRES_AT },
        "hosted_url": null, "expires_at": EXPIRES_AT, "payments": [], "failure": null, "fallbacks": [], "unresolved_attempt": false,
        "metadata": { "store": "online" }, "created_at": CREATED_AT,
        "paid_at": null, "expired_at": null, "canceled_at": null, "failed_at": null,
    })
}

/// Returns a charge that no gateway accepted.
pub(crate) fn failed_charge() -> Value {
    let mut charge = charge();
    charge["status"] = "failed".into();
    charge["gateway"] = Value::Null;
    charge["next_action"] = Value::Null;
    charge["failed_at"] = CREATED_AT.into();
    charge["failure"] = json!({
        "code": "no_gateway_available", "message": "No gateway could be reached. Create a new charge later.", "retryable": true,
        "gateway": null,
    });
    charge
}

/// Returns a charge that was canceled.
pub(crate) fn canceled_charge() -> Value {
    let mut charge = charge();
    charge["status"] = "canceled".into();
    charge["next_action"] = Value::Null;
    charge["canceled_at"] = PAID_AT.into();
    charge
}

/// Returns the timeline of a charge.
pub(crate) fn timeline() -> Value {
    json!({
        "data": [
            { "at": CREATED_AT, "type": "event", "id": "ev_01jd3k9m2p4q6r8s0t2v4w6x8z", "event": "charge.pending", "sequence": 1 },
            {
                "at": PAID_AT, "type": "notification", "id": "no_01jd3kb4c5d6e7f8g9h0j1k2m3", "gateway": "efi", "event": "pix",
                "received_count": 1, "handled_at": PAID_AT,
            },
        ],
    })
}

/// Returns a request for a partial refund.
pub(crate) fn create_refund() -> Value {
    json!({ "amount": 2345, "reason": "Item devolvido" })
}

/// Returns a refund that is in progress.
pub(crate) fn refund() -> Value {
    json!({
        "id": "re_01jd3kc5d6e7f8g9h0j1k2m3n4", "mode": "test", "charge": CHARGE, "payment": PAYMENT, "gateway": "efi",
        "status": "pending", "amount": 2345, "origin": "merchant", "reason": "Item devolvido", "failure": null, "metadata": {},
        "created_at": PAID_AT, "succeeded_at": null, "failed_at": null,
    })
}

/// Returns a dispute.
pub(crate) fn dispute() -> Value {
    json!({
        "id": "dp_01jd3kc5d6e7f8g9h0j1k2m3n4", "mode": "test", "charge": CHARGE, "payment": PAYMENT, "gateway": "stripe",
        "gateway_dispute_id": "du_1QNxyz", "kind": "chargeback", "status": "needs_response", "amount": 12345, "reason": "fraudulent",
        "respond_by": "2026-12-03T23:59:59Z", "created_at": PAID_AT, "closed_at": null,
    })
}

/// Returns an event.
pub(crate) fn event() -> Value {
    json!({
        "id": "ev_01jd3k9m2p4q6r8s0t2v4w6x8z", "type": "charge.pending", "api_version": "2026-11-01", "mode": "test",
        "created_at": CREATED_AT, "subject": { "type": "charge", "id": CHARGE }, "sequence": 1, "data": charge(),
    })
}

/// Returns a request for a webhook endpoint.
pub(crate) fn create_webhook_endpoint() -> Value {
    json!({ "url": "https://shop.example.com/webhooks", "events": ["charge.paid", "refund.succeeded"], "description": "Orders" })
}

/// Returns a webhook endpoint without its secret.
pub(crate) fn webhook_endpoint() -> Value {
    json!({
        "id": "we_01jd3k0a1b2c3d4e5f6g7h8j9k", "mode": "test", "url": "https://shop.example.com/webhooks",
        "events": ["charge.paid", "refund.succeeded"], "description": "Orders", "status": "active", "api_version": "2026-11-01",
        "secret": null, "created_at": CREATED_AT, "paused_at": null, "delivery_failed_at": null,
    })
}

/// Returns a webhook endpoint that was just created.
pub(crate) fn new_webhook_endpoint() -> Value {
    let mut endpoint = webhook_endpoint();
    endpoint["secret"] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
    endpoint
}

/// Returns a page with one item.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the examples of endpoints read better"
)]
pub(crate) fn page(item: Value) -> Value {
    json!({ "data": [item], "has_more": false })
}
