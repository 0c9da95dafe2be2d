//! Objects that Stripe publishes for tests of clients (`stripe/openapi`, `fixtures3.json`): they parse to the expected values.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::{
    disputes::Dispute, notifications::event::Event, refunds::Refund, requests::calls::unreadable,
    responses::Intent, responses::payment::Charge, responses::session::Session,
};
use crate::{GatewayStatus, NoticeKind, RefundStatus};
use schemas::{
    dispute::{DisputeKind, DisputeStatus},
    next_action::NextAction,
    payment_method::PaymentMethodKind,
};

const FIXTURES: &str = include_str!("fixtures.json");

fn fixture(name: &str) -> Value {
    let all: Value = serde_json::from_str(FIXTURES).expect("JSON");
    all[name].clone()
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(fixture(name)).expect(name)
}

#[test]
fn the_published_intent_is_one_that_failed_on_a_page() {
    let intent: Intent = read("payment_intent");
    let charge = intent.to_charge().expect("a charge");
    // its card may be tried again, and its next action is of a kind that is not ours
    assert_eq!(charge.status, GatewayStatus::Pending);
    assert_eq!((charge.amount, charge.next_action), (1_099, None));
    assert!(charge.payments.is_empty() && intent.paid_by().is_none());
}

#[test]
fn the_published_charge_inside_an_intent_is_a_payment_with_its_fee() {
    let mut charge = fixture("charge");
    charge["balance_transaction"] = fixture("balance_transaction");
    charge["balance_transaction"]["fee"] = json!(7);
    charge["balance_transaction"]["net"] = json!(93);
    charge["payment_method_details"]["card"]["installments"]["plan"]["count"] = json!(3);
    let mut intent = fixture("payment_intent");
    intent["status"] = "succeeded".into();
    intent["amount_received"] = json!(1_099);
    intent["latest_charge"] = charge;
    let intent: Intent = serde_json::from_value(intent).expect("an intent");
    let payment = intent.payment().expect("a payment");
    assert_eq!(payment.id, "ch_1PgafuB7WZ01zgkWXYmPNZs8");
    assert_eq!(
        (payment.amount, payment.method),
        (1_099, PaymentMethodKind::Card)
    );
    assert_eq!((payment.fee, payment.net), (Some(7), Some(93)));
    assert_eq!(payment.installments, Some(3));
    // 1234567890 is a Friday the 13th, and the money is available
    let day = "2009-02-13".parse().ok();
    assert_eq!((payment.settles_on, payment.settled_on), (day, day));
    assert!(
        intent
            .paid_by()
            .expect("a charge")
            .refunds_inside()
            .is_empty()
    );
}

#[test]
fn a_balance_in_another_currency_has_no_centavos_of_ours() {
    let mut charge = fixture("charge");
    charge["balance_transaction"] = fixture("balance_transaction");
    charge["currency"] = "brl".into();
    let charge: Charge = serde_json::from_value(charge).expect("a charge");
    let payment = charge
        .to_payment(100, PaymentMethodKind::Pix)
        .expect("a payment");
    assert_eq!(
        (payment.fee, payment.net, payment.settles_on),
        (None, None, None)
    );
}

#[test]
fn a_charge_without_its_booking_is_a_payment_without_its_fee() {
    let charge: Charge = read("charge");
    let payment = charge
        .to_payment(100, PaymentMethodKind::Pix)
        .expect("a payment");
    assert_eq!((payment.fee, payment.settles_on), (None, None));
    assert_eq!(
        (payment.method, payment.installments),
        (PaymentMethodKind::Card, Some(1))
    );
}

#[test]
fn a_pix_charge_reports_its_end_to_end_id() {
    let mut charge = fixture("charge");
    charge["payment_method_details"] =
        json!({ "type": "pix", "pix": { "bank_transaction_id": "E1", "novelty": [] } });
    let charge: Charge = serde_json::from_value(charge).expect("a charge");
    let payment = charge
        .to_payment(100, PaymentMethodKind::Card)
        .expect("a payment");
    assert_eq!(payment.end_to_end_id.as_deref(), Some("E1"));
    assert_eq!(
        (payment.method, payment.installments),
        (PaymentMethodKind::Pix, None)
    );
}

#[test]
fn the_published_refund_and_dispute_are_read() {
    let refund = read::<Refund>("refund").to_refund().expect("a refund");
    assert_eq!(
        (refund.amount, refund.status),
        (100, RefundStatus::Succeeded)
    );
    assert_eq!(refund.payment, "ch_1PgafuB7WZ01zgkWXYmPNZs8");
    assert_eq!(refund.reference, None);
    let dispute = read::<Dispute>("dispute").to_dispute().expect("a dispute");
    assert_eq!(
        (dispute.amount, dispute.kind),
        (1_000, DisputeKind::Chargeback)
    );
    assert_eq!(dispute.status, DisputeStatus::NeedsResponse);
    assert_eq!(
        dispute.respond_by.map(|at| at.timestamp()),
        Some(1_723_679_999)
    );
}

#[test]
fn the_published_session_is_a_page_that_is_open() {
    let charge = read::<Session>("checkout.session")
        .to_charge()
        .expect("a charge");
    assert_eq!(charge.status, GatewayStatus::Pending);
    assert!(
        matches!(charge.next_action, Some(NextAction::Redirect { url, .. })
        if url.starts_with("https://checkout.stripe.com/"))
    );
}

#[test]
fn a_paid_session_is_paid_by_its_intents_charge() {
    let mut intent = fixture("payment_intent");
    intent["status"] = "succeeded".into();
    intent["amount_received"] = json!(1_099);
    intent["latest_charge"] = fixture("charge");
    let mut session = fixture("checkout.session");
    session["payment_intent"] = intent;
    session["status"] = "complete".into();
    session["payment_status"] = "paid".into();
    let session: Session = serde_json::from_value(session).expect("a session");
    let charge = session.to_charge().expect("a charge");
    assert_eq!(
        (charge.status, charge.next_action),
        (GatewayStatus::Paid, None)
    );
    assert!(charge.id.starts_with("cs_") && charge.payments[0].id.starts_with("ch_"));
}

#[test]
fn an_event_of_something_else_means_nothing() {
    let event: Event = read("event");
    let notices = event.read(false).notices;
    assert_eq!(
        (notices.len(), &notices[0].means),
        (1, &NoticeKind::Nothing)
    );
}

#[test]
fn an_unknown_status_is_an_unknown_outcome() {
    let mut intent = fixture("payment_intent");
    intent["status"] = "something_new".into();
    let intent: Intent = serde_json::from_value(intent).expect("an intent");
    let error = intent.to_charge().expect_err("unreadable");
    assert_eq!(
        error,
        unreadable("the intent has a status that is not known")
    );
    let mut session = fixture("checkout.session");
    session["status"] = "something_new".into();
    let session: Session = serde_json::from_value(session).expect("a session");
    assert_eq!(
        session.to_charge().expect_err("unreadable").code,
        "unreadable"
    );
    let mut refund = fixture("refund");
    refund["status"] = "something_new".into();
    let refund: Refund = serde_json::from_value(refund).expect("a refund");
    assert_eq!(refund.to_refund(), None);
}
