//! Promises that only Efí's API Cobranças makes.

use chrono::{Datelike, Weekday};
use gateways::GatewayError;
use gateways::{GatewayStatus, RefundRequest};
use schemas::{attempt::ErrorClass, calendar, dispute, payment_method::PaymentMethod};
use serde_json::json;

use super::{boleto, by_boleto, card, cobrancas};
use crate::bench::{Bench, WITHIN, day_in};

/// Efí stores no reference of a card's refund.
#[tokio::test]
async fn a_partial_card_refund_cannot_be_found_and_a_full_one_can() {
    let bench = card().await;
    assert_eq!(bench.capabilities().refund_idempotent_for, None);
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    let whole = bench.refund_order(None).await;
    assert_eq!(bench.gateway.find_refund(&whole).await, Ok(None));
    let part = RefundRequest {
        amount: 1_000,
        is_whole: false,
        ..whole.clone()
    };
    let unknown = bench.gateway.find_refund(&part).await;
    assert_eq!(unknown.expect_err("no trace").class, ErrorClass::Unknown);
    let over = bench.refund_order(Some(99_999)).await;
    let done = bench.gateway.refund(&over, WITHIN).await;
    assert_eq!(done.expect_err("too much").class, ErrorClass::Rejected);
    let sent = bench.gateway.refund(&whole, WITHIN).await.expect("taken");
    let found = bench.gateway.find_refund(&whole).await.expect("an answer");
    assert_eq!(found, Some(sent.clone()));
    // the same id as in the charge itself
    assert_eq!(bench.found().await.refunds[0].id, sent.id);
}

#[tokio::test]
async fn a_contested_card_is_a_chargeback() {
    let bench = card().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    bench.control.act(reference, "dispute", json!({})).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Disputed);
    assert_eq!(found.payments.len(), 1);
    assert_eq!(found.disputes[0].kind, dispute::DisputeKind::Chargeback);
    assert!(found.disputes[0].status.holds_money());
}

#[tokio::test]
async fn what_a_boleto_costs_when_late_is_what_was_received() {
    let bench = boleto().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "overdue", json!({})).await;
    bench.control.pay(reference).await;
    let found = bench.found().await;
    assert_eq!(found.amount, bench.order.amount);
    assert!(found.payments[0].amount > bench.order.amount);
}

/// Creates a charge under another reference, which must fail.
async fn refused(bench: &Bench) -> GatewayError {
    let order = bench.another_order();
    let done = bench.gateway.charge(&order, WITHIN).await;
    let error = done.expect_err("refused");
    assert_eq!(bench.gateway.find(&order.lookup()).await, Ok(Vec::new()));
    error
}

#[tokio::test]
async fn limits_of_the_account_are_denied_and_rules_about_an_order_refused() {
    use ErrorClass::{Denied, Rejected};
    let bench = boleto().await;
    bench.charged().await;
    for (setting, value, class, code) in [
        ("daily_charges", json!(1), Denied, "4600209"),
        ("identical_charges", json!(1), Rejected, "4600210"),
        (
            "receiver_document",
            json!("52998224725"),
            Rejected,
            "4600222",
        ),
        ("latest_due_days", json!(1), Rejected, "4600414"),
        ("minimum_billet", json!(100_000), Rejected, "4600036"),
    ] {
        bench.control.set(json!({ setting: value })).await;
        let error = refused(&bench).await;
        assert_eq!((error.class, error.code.as_str()), (class, code));
        let none = json!({
            "daily_charges": null, "identical_charges": null, "receiver_document": null, "latest_due_days": null,
            "minimum_billet": 500,
        });
        bench.control.set(none).await;
    }
    for (code, class) in [
        (4_600_035, Denied),
        (4_600_037, Denied),
        (4_600_211, Denied),
        (4_600_224, Denied),
        (3_500_001, Denied),
        (3_500_008, Denied),
        (3_500_049, ErrorClass::Throttled),
        (3_500_034, Rejected),
    ] {
        let body = json!({ "code": code, "error": "validation_error", "error_description": "…" });
        let more = json!({ "times": 1, "body": body });
        bench.control.answer(bench.creates(), 400, more).await;
        let error = refused(&bench).await;
        assert_eq!((error.class, error.code), (class, code.to_string()));
    }
}

/// Efí reports its own timeout as a refusal, which does not prove that the boleto was not created.
#[tokio::test]
async fn a_failure_reported_as_a_refusal_is_unknown_and_found() {
    let bench = boleto().await;
    let body = json!({ "code": 4_600_100, "error": "timeout", "error_description": "Timeout" });
    let more = json!({ "times": 1, "after": true, "body": body });
    bench.control.answer(bench.creates(), 400, more).await;
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    assert_eq!(done.expect_err("lost").class, ErrorClass::Unknown);
    assert_eq!(bench.found().await.status, GatewayStatus::Pending);
}

#[tokio::test]
async fn a_charge_that_is_not_listed_yet_is_found_by_its_id() {
    let bench = boleto().await;
    bench.control.set(json!({ "list_lag_ms": 600_000 })).await;
    let charge = bench.charged().await;
    let mut lookup = bench.order.lookup();
    assert_eq!(bench.gateway.find(&lookup).await, Ok(Vec::new()));
    lookup.gateway_id = Some(charge.id.clone());
    let found = bench.gateway.find(&lookup).await.expect("an answer");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].next_action, charge.next_action);
    lookup.gateway_id = Some("999".to_owned());
    assert_eq!(bench.gateway.find(&lookup).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_boleto_is_payable_to_its_last_business_day() {
    let friday = (3..10)
        .map(day_in)
        .find(|day| day.weekday() == Weekday::Fri);
    let mut method = by_boleto();
    let PaymentMethod::Boleto {
        due_date,
        days_after_due,
        ..
    } = &mut method
    else {
        panic!("a boleto")
    };
    (*due_date, *days_after_due) = (friday.expect("a Friday"), 1);
    let bench = cobrancas(method).await;
    bench.charged().await;
    let last = bench.order.method.due().expect("a due date").last_day();
    let until_noon_of =
        |day| calendar::end_of(day) - chrono::TimeDelta::hours(12) - crate::bench::now();
    let payable =
        async || bench.control.charges(&bench.order.reference).await[0]["payable"].clone();
    bench
        .control
        .advance(until_noon_of(last).num_seconds())
        .await;
    assert_eq!(payable().await, true, "on {last}");
    bench.control.advance(24 * 60 * 60).await;
    assert_eq!(payable().await, false);
}

#[tokio::test]
async fn a_single_name_is_named_beforehand_and_refused_by_efi() {
    let mut bench = boleto().await;
    bench.order.payer.name = "Maria".to_owned();
    let unmet = bench.unmet(&bench.order);
    assert_eq!(unmet[0].field, "payer.name");
    assert_eq!(refused(&bench).await.class, ErrorClass::Rejected);
}
