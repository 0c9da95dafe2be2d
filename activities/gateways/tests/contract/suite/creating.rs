//! Creating a charge, and what its failures mean.

use std::time::Duration;

use gateways::{GatewayError, GatewayStatus};
use schemas::{
    attempt::ErrorClass, boleto_line::BoletoLine, br_code::BrCode, next_action::NextAction,
    payment_method::Kind,
};
use serde_json::json;

use crate::bench::{Bench, WITHIN};

/// Charges, which must fail.
async fn fails(bench: &Bench) -> GatewayError {
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    done.expect_err("it must fail")
}

async fn at_the_gateway(bench: &Bench) -> usize {
    bench.control.charges(&bench.order.reference).await.len()
}

/// What was created although we were not told is found, is ours, and can be shown.
async fn is_found(bench: &Bench) {
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Pending);
    assert_eq!(found.amount, bench.order.amount);
    assert!(found.next_action.is_some(), "it can be adopted and shown");
    assert_eq!(at_the_gateway(bench).await, 1);
}

pub(crate) async fn a_valid_order_is_accepted(bench: &Bench) {
    assert_eq!(bench.gateway.accepts(&bench.order), Ok(()));
}

pub(crate) async fn a_charge_is_created_and_shown(bench: &Bench) {
    let charge = bench.charged().await;
    assert_eq!(charge.status, GatewayStatus::Pending);
    assert_eq!(
        charge.reference.as_deref(),
        Some(bench.order.reference.as_str())
    );
    assert_eq!(charge.amount, bench.order.amount);
    assert!(charge.payments.is_empty() && charge.refunds.is_empty());
    match (charge.next_action.expect("what to show"), bench.kind()) {
        (NextAction::Pix { copy_paste, .. }, Kind::Pix) => {
            BrCode::parse(&copy_paste).expect("a Pix code");
        }
        (NextAction::Boleto { line, barcode, .. }, Kind::Boleto) => {
            let read = BoletoLine::from_line(&line).expect("a line");
            assert_eq!(read.barcode(), barcode);
        }
        (NextAction::Redirect { url, .. }, Kind::Card) => {
            url::Url::parse(&url).expect("an address");
        }
        (shown, method) => panic!("{shown:?} does not show how to pay by {method}"),
    }
    let found = bench.found().await;
    assert_eq!(found.id, charge.id);
    assert_eq!(found.status, GatewayStatus::Pending);
    assert_eq!(at_the_gateway(bench).await, 1);
}

pub(crate) async fn creating_twice_creates_once(bench: &Bench) {
    assert!(bench.gateway.idempotent_for(bench.kind()).is_some());
    let first = bench.charged().await;
    let second = bench.charged().await;
    assert_eq!(
        (first.id, first.next_action),
        (second.id, second.next_action)
    );
    assert_eq!(at_the_gateway(bench).await, 1);
}

pub(crate) async fn nothing_is_found_where_nothing_was_created(bench: &Bench) {
    let found = bench
        .gateway
        .find(&bench.order.lookup())
        .await
        .expect("an answer");
    assert_eq!(found, []);
}

pub(crate) async fn a_refused_connection_creates_nothing(bench: &Bench) {
    bench.control.down().await;
    assert_eq!(fails(bench).await.class, ErrorClass::NotCreated);
    bench.control.heal().await;
    nothing_is_found_where_nothing_was_created(bench).await;
}

pub(crate) async fn a_reset_before_the_effect_is_unknown_and_absent(bench: &Bench) {
    let fault = json!({ "times": 1 });
    bench
        .control
        .fault("reset_before", bench.creates(), fault)
        .await;
    assert_eq!(fails(bench).await.class, ErrorClass::Unknown);
    nothing_is_found_where_nothing_was_created(bench).await;
}

/// Once: an answer that is lost although the charge was created.
async fn lost(bench: &Bench, kind: &str) {
    let fault = json!({ "times": 1, "after": true });
    bench.control.fault(kind, bench.creates(), fault).await;
    assert_eq!(fails(bench).await.class, ErrorClass::Unknown, "{kind}");
    is_found(bench).await;
}

pub(crate) async fn a_reset_after_the_effect_is_unknown_and_found(bench: &Bench) {
    lost(bench, "reset_after").await;
}

pub(crate) async fn a_503_after_the_effect_is_unknown_and_found(bench: &Bench) {
    lost(bench, "status").await;
}

pub(crate) async fn a_malformed_answer_is_unknown_and_found(bench: &Bench) {
    lost(bench, "malformed").await;
}

pub(crate) async fn a_truncated_answer_is_unknown_and_found(bench: &Bench) {
    lost(bench, "truncated").await;
}

pub(crate) async fn a_503_without_an_effect_is_unknown_and_absent(bench: &Bench) {
    let fault = json!({ "times": 1 });
    bench.control.fault("status", bench.creates(), fault).await;
    assert_eq!(fails(bench).await.class, ErrorClass::Unknown);
    nothing_is_found_where_nothing_was_created(bench).await;
}

pub(crate) async fn a_timeout_is_unknown(bench: &Bench) {
    let fault = json!({ "times": 1, "delay_ms": 2_000 });
    bench.control.fault("delay", bench.creates(), fault).await;
    let within = Duration::from_millis(500);
    let done = bench.gateway.charge(&bench.order, within).await;
    assert_eq!(done.expect_err("too late").class, ErrorClass::Unknown);
}

pub(crate) async fn a_429_is_throttled_and_tells_how_long(bench: &Bench) {
    let fault = json!({ "times": 1, "status": 429, "retry_after_s": 7 });
    bench.control.fault("status", bench.creates(), fault).await;
    let error = fails(bench).await;
    assert_eq!(error.class, ErrorClass::Throttled);
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    nothing_is_found_where_nothing_was_created(bench).await;
}

pub(crate) async fn refused_credentials_are_denied(bench: &Bench) {
    let done = bench.stranger.charge(&bench.order, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Denied);
    assert_eq!(at_the_gateway(bench).await, 0);
}

pub(crate) async fn a_lasting_401_is_denied(bench: &Bench) {
    let fault = json!({ "status": 401 });
    bench.control.fault("status", bench.creates(), fault).await;
    assert_eq!(fails(bench).await.class, ErrorClass::Denied);
    bench.control.heal().await;
    nothing_is_found_where_nothing_was_created(bench).await;
}

pub(crate) async fn errors_tell_nothing_of_the_payer(bench: &Bench) {
    let fault = json!({ "times": 1, "status": 400 });
    bench.control.fault("status", bench.creates(), fault).await;
    let error = fails(bench).await;
    assert_eq!(error.class, ErrorClass::Refused);
    let (text, payer) = (format!("{error} {error:?}"), &bench.order.payer);
    for secret in [payer.name.as_str(), payer.document.as_str()] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// Where a gateway may not know them yet.
pub(crate) async fn a_cnpj_with_letters_that_is_refused_may_go_elsewhere(bench: &Bench) {
    let mut order = bench.order.clone();
    order.payer.document = "12ABC34501DE35".parse().expect("a CNPJ");
    let known = |known: bool| json!({ "alphanumeric_cnpj": known });
    bench.control.set(known(false)).await;
    let done = bench.gateway.charge(&order, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::NotCreated);
    bench.control.set(known(true)).await;
    order.reference = bench.another_order().reference;
    bench.gateway.charge(&order, WITHIN).await.expect("taken");
}
