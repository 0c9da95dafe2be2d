//! Tests of the notices of each event (`docs/gateways/stripe.md#notifications`).

use serde_json::{Value, json};

use super::super::notifications::event::Event;
use crate::{GatewayNotice, GatewayStatus, NoticeKind, RefundStatus};
use schemas::{
    dispute::{DisputeKind, DisputeStatus},
    payment_method::PaymentMethodKind,
};

fn reported(kind: &str, object: &Value) -> Vec<GatewayNotice> {
    let event = json!({
        "id": "evt_1", "object": "event", "created": 1_783_975_200, "livemode": false, "pending_webhooks": 1, "type": kind,
        "data": { "object": object }, "novelty": { "of": "tomorrow" },
    });
    let event: Event = serde_json::from_value(event).expect("an event");
    let read = event.read(false);
    assert_eq!(read.unreadable, []);
    read.notices
}

fn one(kind: &str, object: &Value) -> GatewayNotice {
    let mut notices = reported(kind, object);
    assert_eq!(notices.len(), 1, "{kind}");
    notices.remove(0)
}

fn charge_state(notice: &GatewayNotice) -> (GatewayStatus, usize) {
    let NoticeKind::ChargeState(charge) = &notice.means else {
        panic!("{notice:?}")
    };
    (charge.status, charge.payments.len())
}

fn intent(method: &str, status: &str) -> Value {
    let received = if status == "succeeded" { 12_345 } else { 0 };
    json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "amount": 12_345, "amount_received": received,
        "currency": "brl", "created": 1_783_974_900, "latest_charge": "py_1", "metadata": { "reference": "at1" },
        "payment_method_types": [method], "last_payment_error": null, "next_action": null,
    })
}

fn session(status: &str, payment: &str) -> Value {
    json!({
        "id": "cs_test_1", "object": "checkout.session", "status": status, "payment_status": payment, "client_reference_id": "at1",
        "payment_intent": "pi_1", "amount_total": 12_345, "currency": "brl", "metadata": {}, "expires_at": 1_783_978_500,
        "url": null,
    })
}

#[test]
fn an_intents_events_state_its_status() {
    use GatewayStatus::{Canceled, Expired, Paid, Pending};
    let mut expired = intent("pix", "requires_payment_method");
    expired["last_payment_error"] = json!({ "code": "payment_intent_payment_attempt_expired" });
    for (kind, object, expected) in [
        (
            "payment_intent.created",
            intent("pix", "requires_action"),
            (Pending, 0),
        ),
        (
            "payment_intent.requires_action",
            intent("boleto", "requires_action"),
            (Pending, 0),
        ),
        (
            "payment_intent.processing",
            intent("boleto", "processing"),
            (Pending, 0),
        ),
        (
            "payment_intent.succeeded",
            intent("boleto", "succeeded"),
            (Paid, 1),
        ),
        ("payment_intent.payment_failed", expired, (Expired, 0)),
        (
            "payment_intent.canceled",
            intent("pix", "canceled"),
            (Canceled, 0),
        ),
    ] {
        let notice = one(kind, &object);
        assert_eq!(charge_state(&notice), expected, "{kind}");
        assert_eq!(
            (notice.dedupe_key.as_str(), notice.event.as_str()),
            ("evt_1", kind)
        );
        assert_eq!(notice.reference.as_deref(), Some("at1"));
        assert_eq!(notice.charge.as_deref(), Some("pi_1"));
    }
}

#[test]
fn a_payment_has_the_charges_id_and_the_events_time() {
    let notice = one("payment_intent.succeeded", &intent("pix", "succeeded"));
    let NoticeKind::ChargeState(charge) = notice.means else {
        panic!("{notice:?}")
    };
    let payment = &charge.payments[0];
    assert_eq!((payment.id.as_str(), payment.amount), ("py_1", 12_345));
    assert_eq!(
        (payment.method, payment.paid_at.timestamp()),
        (PaymentMethodKind::Pix, 1_783_975_200)
    );
}

#[test]
fn a_declined_card_leaves_its_page_open() {
    let mut declined = intent("card", "requires_payment_method");
    declined["last_payment_error"] = json!({ "code": "card_declined", "type": "card_error" });
    for (kind, object) in [
        ("payment_intent.payment_failed", declined),
        (
            "payment_intent.created",
            intent("card", "requires_payment_method"),
        ),
        ("payment_intent.canceled", intent("card", "canceled")),
    ] {
        assert_eq!(one(kind, &object).means, NoticeKind::Nothing, "{kind}");
    }
}

#[test]
fn a_pages_intent_proves_the_payment_and_does_not_pass_for_the_charge() {
    let mut paid = intent("card", "succeeded");
    paid["latest_charge"] = "ch_1".into();
    let notice = one("payment_intent.succeeded", &paid);
    assert_eq!(charge_state(&notice), (GatewayStatus::Paid, 1));
    assert_eq!(
        (notice.reference.as_deref(), notice.charge),
        (Some("at1"), None)
    );
}

#[test]
fn a_pages_events_state_its_status() {
    use GatewayStatus::{Expired, Failed, Pending};
    let notice = one("checkout.session.completed", &session("complete", "paid"));
    assert_eq!(notice.means, NoticeKind::Hint);
    assert_eq!(
        (notice.reference.as_deref(), notice.charge.as_deref()),
        (Some("at1"), Some("cs_test_1"))
    );
    let paid = one(
        "checkout.session.async_payment_succeeded",
        &session("complete", "paid"),
    );
    assert_eq!(paid.means, NoticeKind::Hint);
    for (kind, object, expected) in [
        (
            "checkout.session.completed",
            session("complete", "unpaid"),
            Pending,
        ),
        (
            "checkout.session.async_payment_failed",
            session("complete", "unpaid"),
            Failed,
        ),
        (
            "checkout.session.expired",
            session("expired", "unpaid"),
            Expired,
        ),
    ] {
        assert_eq!(charge_state(&one(kind, &object)), (expected, 0), "{kind}");
    }
}

#[test]
fn a_refunds_events_state_the_refund() {
    for kind in [
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.refund.updated",
    ] {
        let notice = one(
            kind,
            &json!({
                "id": "re_1", "object": "refund", "amount": 2_345, "currency": "brl", "charge": "py_1", "payment_intent": "pi_1",
                "status": "failed", "failure_reason": "declined", "metadata": { "reference": "re1", "charge_reference": "at1" },
            }),
        );
        let NoticeKind::Refund(refund) = &notice.means else {
            panic!("{notice:?}")
        };
        assert_eq!(
            (refund.id.as_str(), refund.payment.as_str()),
            ("re_1", "py_1")
        );
        assert_eq!(
            (refund.amount, refund.status),
            (2_345, RefundStatus::Failed)
        );
        assert_eq!(
            (refund.reference.as_deref(), refund.reason.as_deref()),
            (Some("re1"), Some("declined"))
        );
        assert_eq!(
            (notice.reference.as_deref(), notice.payment.as_deref()),
            (Some("at1"), Some("py_1"))
        );
    }
}

#[test]
fn a_refunded_charge_is_asked_for_unless_it_holds_its_refunds() {
    let mut charge = json!({
        "id": "py_1", "object": "charge", "created": 1, "amount": 12_345, "amount_refunded": 2_345, "refunded": false,
        "payment_intent": "pi_1", "metadata": { "reference": "at1" },
    });
    let notice = one("charge.refunded", &charge);
    assert_eq!(
        (notice.means, notice.reference.as_deref()),
        (NoticeKind::Hint, Some("at1"))
    );
    let refund =
        |id: &str| json!({ "id": id, "amount": 1, "charge": "py_1", "status": "succeeded" });
    charge["refunds"] = json!({ "data": [refund("re_1"), refund("re_2")] });
    let keys: Vec<_> = reported("charge.refunded", &charge)
        .into_iter()
        .map(|it| it.dedupe_key)
        .collect();
    assert_eq!(keys, ["evt_1/re_1", "evt_1/re_2"]);
}

#[test]
fn a_disputes_events_name_the_dispute_by_its_payment() {
    for kind in [
        "created",
        "updated",
        "closed",
        "funds_withdrawn",
        "funds_reinstated",
    ] {
        let notice = one(
            &format!("charge.dispute.{kind}"),
            &json!({
                "id": "dp_1", "object": "dispute", "amount": 12_345, "charge": "py_1", "payment_intent": "pi_1", "reason": "fraudulent",
                "status": "lost", "evidence_details": { "due_by": null }, "metadata": {}, "balance_transactions": [],
            }),
        );
        let NoticeKind::Dispute(dispute) = &notice.means else {
            panic!("{notice:?}")
        };
        assert_eq!(
            (dispute.kind, dispute.status),
            (DisputeKind::Med, DisputeStatus::Lost)
        );
        assert_eq!(
            (dispute.payment.as_str(), dispute.reason.as_deref()),
            ("py_1", Some("fraudulent"))
        );
        assert_eq!(
            (notice.reference, notice.payment.as_deref()),
            (None, Some("py_1"))
        );
    }
}

#[test]
fn what_only_repeats_or_is_not_known_means_nothing() {
    let charge = json!({ "id": "py_1", "object": "charge" });
    for kind in [
        "charge.succeeded",
        "charge.failed",
        "charge.updated",
        "payout.paid",
        "something.new",
    ] {
        assert_eq!(one(kind, &charge).means, NoticeKind::Nothing, "{kind}");
    }
    let unknown = [
        ("payment_intent.novel", intent("pix", "something_new")),
        ("checkout.session.novel", session("something_new", "unpaid")),
        (
            "refund.updated",
            json!({ "id": "re_1", "amount": 1, "charge": "py_1", "status": "something_new" }),
        ),
        (
            "charge.dispute.updated",
            json!({ "id": "dp_1", "amount": 1, "charge": "py_1", "status": "something_new" }),
        ),
    ];
    for (kind, object) in unknown {
        assert_eq!(one(kind, &object).means, NoticeKind::Nothing, "{kind}");
    }
}

#[test]
fn an_object_without_its_fields_is_unreadable() {
    let event = json!({ "id": "evt_1", "type": "payment_intent.succeeded", "data": { "object": { "id": "pi_1" } } });
    let event: Event = serde_json::from_value(event).expect("an event");
    let read = event.read(false);
    assert_eq!((read.notices.len(), read.unreadable.len()), (0, 1));
}
