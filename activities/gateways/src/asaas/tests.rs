//! Shared fixtures (orders, a payment), and tests of notifications.

use chrono::{Days, NaiveDate};
use schemas::{
    Instant,
    payer::Payer,
    payment_method::{Discount, PaymentMethod},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    notifications::{parse, verify},
    responses::Payment,
};
use crate::{
    ChargeRequest, Entries, Forged, GatewayNotice, GatewayStatus, NoticeKind, Received,
    RefundStatus, Registration,
};

pub(super) fn at(text: &str) -> Instant {
    text.parse().expect("an instant")
}

pub(super) fn pix() -> PaymentMethod {
    PaymentMethod::Pix {
        expires_in: 3600,
        due: None,
    }
}

pub(super) fn boleto(due_date: &str) -> PaymentMethod {
    let due_date: NaiveDate = due_date.parse().expect("a day");
    PaymentMethod::Boleto {
        due_date,
        days_after_due: 2,
        fine_bps: 200,
        monthly_interest_bps: 150,
        discount: Some(Discount {
            amount: 500,
            until: due_date - Days::new(4),
        }),
    }
}

pub(super) fn card(max_installments: u16) -> PaymentMethod {
    PaymentMethod::Card {
        max_installments,
        success_url: "https://shop.example/ok".to_owned(),
        cancel_url: "https://shop.example/no".to_owned(),
        expires_in: 86_400,
    }
}

/// Returns an order created in the evening of 14 July in Brazil, which is 15 July in UTC.
pub(super) fn order(method: PaymentMethod) -> ChargeRequest {
    ChargeRequest {
        reference: "at1".to_owned(),
        amount: 12_345,
        method,
        created_at: at("2026-07-15T01:00:00Z"),
        expires_at: at("2026-07-15T02:00:00Z"),
        payer: Payer {
            name: "Ana Souza".to_owned(),
            document: "52998224725".parse().expect("a document"),
            email: None,
            phone: None,
            address: None,
        },
        customer: None,
        description: Some("Order 1".to_owned()),
        notification_url: None,
    }
}

/// Returns a Pix payment of R$ 100,00 in JSON, with `changes`.
pub(super) fn payment_json(changes: Value) -> Value {
    let mut payment = json!({
        "object": "payment", "id": "pay_1", "dateCreated": "2026-07-01", "customer": "cus_1", "value": 100, "netValue": 98.01,
        "originalValue": null, "billingType": "PIX", "pixTransaction": null, "status": "PENDING", "dueDate": "2026-07-19",
        "paymentDate": null, "clientPaymentDate": null, "invoiceUrl": "https://sandbox.asaas.com/i/1", "externalReference": "at1",
        "deleted": false, "creditDate": null, "estimatedCreditDate": null, "bankSlipUrl": null, "refunds": null, "novelty": {},
    });
    let Value::Object(changes) = changes else {
        panic!("changes are an object")
    };
    for (name, value) in changes {
        payment[name] = value;
    }
    payment
}

pub(super) fn payment(changes: Value) -> Payment {
    serde_json::from_value(payment_json(changes)).expect("a payment")
}

fn received(body: &str, token: Option<&str>) -> Received {
    let headers = token.map(|token| ("asaas-access-token".to_owned(), token.to_owned()));
    Received {
        headers: headers.into_iter().collect(),
        body: body.as_bytes().to_vec(),
        at: Instant::UNIX_EPOCH,
    }
}

/// Verifies and parses a notification.
fn read(
    received: &Received,
    tokens: &[SecretString],
    known: &[Registration],
) -> Result<Entries, Forged> {
    verify(received, tokens, known)?;
    Ok(parse(&received.body))
}

fn event(name: &str, at: &str, payment: Value) -> String {
    json!({ "id": "evt_05b708f961d739ea7eba7e4db318f621&368604920", "event": name, "dateCreated": at, "novelty": 1,
        "account": { "id": "a", "ownerId": null }, "payment": payment_json(payment) })
    .to_string()
}

fn notice(name: &str, at: &str, payment: Value) -> GatewayNotice {
    let tokens: Vec<SecretString> = vec!["old".into(), "new".into()];
    let received = received(&event(name, at, payment), Some("new"));
    let mut read = read(&received, &tokens, &[]).expect("genuine");
    assert_eq!((read.notices.len(), read.unreadable.len()), (1, 0));
    read.notices.remove(0)
}

fn reported(name: &str, at_text: &str, payment: Value) -> crate::GatewayCharge {
    let notice = notice(name, at_text, payment);
    assert!(notice.stated_at.is_some());
    assert!(notice.dedupe_key.contains('&'));
    assert_eq!(
        (notice.event.as_str(), notice.charge.as_deref()),
        (name, Some("pay_1"))
    );
    assert_eq!(notice.reference.as_deref(), Some("at1"));
    match notice.means {
        NoticeKind::ChargeState(charge) => *charge,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_payment_reported_with_the_token_is_read_to_the_centavo() {
    let paid = json!({ "status": "RECEIVED", "paymentDate": "2026-07-14", "clientPaymentDate": "2026-07-14" });
    let charge = reported("PAYMENT_RECEIVED", "2026-07-14 17:30:00", paid);
    assert_eq!(
        (charge.status, charge.amount, charge.customer.as_deref()),
        (GatewayStatus::Paid, 10_000, Some("cus_1"))
    );
    let payment = &charge.payments[0];
    assert_eq!(
        (payment.amount, payment.fee, payment.net),
        (10_000, Some(199), Some(9_801))
    );
    assert_eq!(payment.paid_at.to_rfc3339(), "2026-07-14T20:30:00+00:00");
}

#[test]
fn what_is_confirmed_and_then_received_is_one_payment_of_one_moment() {
    let card = |status: &str, received: Option<&str>| {
        json!({ "status": status, "billingType": "CREDIT_CARD", "confirmedDate": "2026-07-14", "clientPaymentDate": "2026-07-14",
            "paymentDate": received, "estimatedCreditDate": "2026-08-17", "creditDate": received })
    };
    let confirmed = reported(
        "PAYMENT_CONFIRMED",
        "2026-07-14 10:00:00",
        card("CONFIRMED", None),
    );
    let received = reported(
        "PAYMENT_RECEIVED",
        "2026-08-17 09:00:00",
        card("RECEIVED", Some("2026-08-17")),
    );
    let (first, second) = (&confirmed.payments[0], &received.payments[0]);
    assert_eq!(first.id, second.id);
    assert_eq!(first.settles_on, "2026-08-17".parse().ok());
    assert_eq!(first.settled_on, None);
    assert_eq!(second.settled_on, "2026-08-17".parse().ok());
    assert_eq!(second.paid_at.to_rfc3339(), "2026-07-14T03:00:00+00:00");
}

#[test]
fn refunds_and_chargebacks_are_reported_inside_the_payment() {
    let paid = |status: &str, refunds: Value| json!({ "status": status, "billingType": "CREDIT_CARD", "clientPaymentDate": "2026-07-14", "refunds": refunds });
    let refunds = json!([{ "dateCreated": "2026-07-15 10:00:00", "status": "DONE", "value": 10.5, "description": "x" }]);
    let charge = reported(
        "PAYMENT_PARTIALLY_REFUNDED",
        "2026-07-15 10:00:00",
        paid("RECEIVED", refunds),
    );
    assert_eq!(charge.status, GatewayStatus::Paid);
    assert_eq!(
        (charge.refunds[0].amount, charge.refunds[0].status),
        (1_050, RefundStatus::Succeeded)
    );
    let charge = reported(
        "PAYMENT_CHARGEBACK_REQUESTED",
        "2026-07-15 10:00:00",
        paid("CHARGEBACK_REQUESTED", Value::Null),
    );
    assert_eq!(charge.status, GatewayStatus::Disputed);
    let dispute = &charge.disputes[0];
    assert_eq!(
        (dispute.id.as_str(), dispute.amount, dispute.kind),
        ("pay_1", 10_000, schemas::dispute::DisputeKind::Chargeback)
    );
}

#[test]
fn a_refused_card_leaves_the_page_payable_since_the_payer_may_try_another() {
    for name in [
        "PAYMENT_REPROVED_BY_RISK_ANALYSIS",
        "PAYMENT_CREDIT_CARD_CAPTURE_REFUSED",
    ] {
        let charge = reported(name, "2026-07-14 10:00:00", json!({}));
        assert_eq!(charge.status, GatewayStatus::Pending);
        assert!(charge.payments.is_empty());
    }
}

#[test]
fn a_status_or_shape_that_is_not_known_is_asked_for() {
    let tokens: Vec<SecretString> = vec!["new".into()];
    for change in [
        json!({ "status": "SOMETHING_NEW" }),
        json!({ "value": "100,00" }),
    ] {
        let body = event("PAYMENT_SOMETHING", "2026-07-14 10:00:00", change);
        let notice = read(&received(&body, Some("new")), &tokens, &[])
            .expect("genuine")
            .notices
            .remove(0);
        assert_eq!(notice.means, NoticeKind::Hint);
        assert_eq!(notice.charge.as_deref(), Some("pay_1"));
        assert_eq!(notice.reference.as_deref(), Some("at1"));
    }
}

#[test]
fn without_the_token_nothing_is_applied_and_rubbish_is_stored_for_an_operator() {
    let tokens: Vec<SecretString> = vec!["new".into()];
    let paid = event("PAYMENT_RECEIVED", "2026-07-14 17:30:00", json!({}));
    for wrong in [None, Some(""), Some("other")] {
        assert!(matches!(
            read(&received(&paid, wrong), &tokens, &[]),
            Err(Forged(_))
        ));
    }
    assert!(matches!(
        read(&received(&paid, Some("")), &[], &[]),
        Err(Forged(_))
    ));
    for rubbish in ["no", r#"{"id":"evt_1","event":"PAYMENT_X","payment":{}}"#] {
        let read = read(&received(rubbish, Some("new")), &tokens, &[]).expect("genuine");
        assert_eq!((read.notices.len(), read.unreadable.len()), (0, 1));
    }
    for name in ["CHECKOUT_CREATED", "CHECKOUT_PAID", "SOMETHING_NEW"] {
        let other = json!({ "id": "evt_1", "event": name, "checkout": { "id": "c" } }).to_string();
        assert_eq!(
            read(&received(&other, Some("new")), &tokens, &[])
                .expect("genuine")
                .notices[0]
                .means,
            NoticeKind::Nothing
        );
    }
}

#[test]
fn what_goes_back_is_never_applied_from_the_event() {
    for (name, change) in [
        ("PAYMENT_RECEIVED_IN_CASH_UNDONE", json!({})),
        ("PAYMENT_RESTORED", json!({})),
        (
            "PAYMENT_REFUND_DENIED",
            json!({ "status": "RECEIVED", "paymentDate": "2026-07-14" }),
        ),
        // changed in the dashboard, and deleted before or after
        ("PAYMENT_UPDATED", json!({ "deleted": true })),
    ] {
        let notice = notice(name, "2026-07-14 10:00:00", change);
        assert_eq!(notice.means, NoticeKind::Hint, "{name}");
        assert_eq!(notice.stated_at, Some(at("2026-07-14T13:00:00Z")));
    }
    let deleted = reported(
        "PAYMENT_DELETED",
        "2026-07-14 10:00:00",
        json!({ "deleted": true }),
    );
    assert_eq!(deleted.status, GatewayStatus::Canceled);
}

#[test]
fn a_refund_without_a_list_is_one_of_what_is_missing() {
    let refunds = |refunds: Value| {
        let change =
            json!({ "status": "REFUNDED", "paymentDate": "2026-07-14", "refunds": refunds });
        let charge = reported("PAYMENT_REFUNDED", "2026-07-15 10:00:00", change);
        let all = charge.refunds.into_iter();
        all.map(|one| (one.id, one.amount, one.status))
            .collect::<Vec<_>>()
    };
    let rest = |amount| ("pay_1/refunded".to_owned(), amount, RefundStatus::Succeeded);
    assert_eq!(refunds(Value::Null), [rest(10_000)]);
    assert_eq!(refunds(json!([])), [rest(10_000)]);
    let listed = |status: &str, value: f64| json!([{ "dateCreated": "2026-07-15", "status": status, "value": value }]);
    assert_eq!(refunds(listed("DONE", 100.0)).len(), 1);
    assert_eq!(refunds(listed("DONE", 40.5))[1], rest(5_950));
    // a canceled refund returned nothing
    assert_eq!(refunds(listed("CANCELLED", 100.0))[1], rest(10_000));
}

#[test]
fn a_former_token_proves_until_its_end() {
    let registration = |secret: &str, valid_until| Registration {
        id: Some("w1".to_owned()),
        secret: secret.into(),
        valid_until,
    };
    let end = at("2026-07-14T00:00:00Z");
    let known = [registration("new", None), registration("former", Some(end))];
    let body = event("PAYMENT_RECEIVED", "2026-07-14 17:30:00", json!({}));
    let is_taken = |token: &str, at| {
        let received = Received {
            at,
            ..received(&body, Some(token))
        };
        verify(&received, &[], &known).is_ok()
    };
    assert!(is_taken("former", end) && is_taken("new", end));
    let later = at("2026-07-14T00:00:01Z");
    assert!(!is_taken("former", later) && is_taken("new", later));
}
