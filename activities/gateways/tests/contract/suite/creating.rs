//! Promises about the creation of a charge, and the classes of its failures.

use std::time::Duration;

use chrono::TimeDelta;
use gateways::{GatewayError, GatewayStatus};
use schemas::{
    attempt::ErrorClass, boleto_line::BoletoLine, br_code::BrCode, next_action::NextAction,
    payment_method::PaymentMethodKind,
};
use serde_json::json;

use crate::bench::{Bench, WITHIN, now};

/// Creates a charge, which must fail.
async fn fails(bench: &Bench) -> GatewayError {
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    done.expect_err("it must fail")
}

async fn at_the_gateway(bench: &Bench) -> usize {
    bench.control.charges(&bench.order.reference).await.len()
}

/// Checks that a charge whose answer was lost is found, is ours, and can be shown.
async fn is_found(bench: &Bench) {
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Pending);
    assert_eq!(found.amount, bench.order.amount);
    assert!(found.next_action.is_some(), "it can be adopted and shown");
    assert_eq!(at_the_gateway(bench).await, 1);
}

pub(crate) async fn a_valid_order_is_accepted(bench: &Bench) {
    assert_eq!(bench.unmet(&bench.order), []);
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
        (NextAction::Pix { copy_paste, .. }, PaymentMethodKind::Pix) => {
            BrCode::parse(&copy_paste).expect("a Pix code");
        }
        (NextAction::Boleto { line, barcode, .. }, PaymentMethodKind::Boleto) => {
            let read = BoletoLine::from_line(&line).expect("a line");
            assert_eq!(read.barcode(), barcode);
        }
        (NextAction::Redirect { url, .. }, PaymentMethodKind::Card) => {
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
    assert!(bench.capabilities().idempotent_for.is_some());
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

/// Loses one answer, although the charge was created.
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

pub(crate) async fn a_429_is_throttled_and_reports_how_long(bench: &Bench) {
    let fault = json!({ "times": 1, "status": 429, "retry_after_s": 7 });
    bench.control.fault("status", bench.creates(), fault).await;
    let error = fails(bench).await;
    assert_eq!(error.class, ErrorClass::Throttled);
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    nothing_is_found_where_nothing_was_created(bench).await;
}

/// A date is counted by the gateway's own clock, because ours may be wrong.
pub(crate) async fn a_date_to_retry_after_is_a_wait(bench: &Bench) {
    let until = now() + TimeDelta::seconds(60);
    let headers = json!({ "retry-after": until.format("%a, %d %b %Y %H:%M:%S GMT").to_string() });
    let more = json!({ "times": 1, "headers": headers });
    bench.control.answer(bench.creates(), 503, more).await;
    let wait = fails(bench).await.retry_after.expect("a wait");
    assert!((55..=60).contains(&wait.as_secs()), "{wait:?}");
}

/// Page of a proxy or a firewall.
const PAGE: &str = "<html><body>Attention Required!</body></html>";

pub(crate) async fn what_a_proxy_turns_away_is_not_created(bench: &Bench) {
    for status in [302, 403, 404, 405, 413, 429] {
        let more = json!({ "times": 1, "body": PAGE });
        bench.control.answer(bench.creates(), status, more).await;
        let error = fails(bench).await;
        assert_eq!(error.class, ErrorClass::NotCreated, "{status}");
        assert_eq!(error.code, "not_from_gateway");
        assert!(error.class.counts_against_gateway());
    }
    nothing_is_found_where_nothing_was_created(bench).await;
}

pub(crate) async fn a_proxies_page_after_the_effect_is_unknown_and_found(bench: &Bench) {
    let more = json!({ "times": 1, "after": true, "body": PAGE });
    bench.control.answer(bench.creates(), 400, more).await;
    assert_eq!(fails(bench).await.class, ErrorClass::Unknown);
    is_found(bench).await;
}

pub(crate) async fn an_empty_401_or_403_is_denied(bench: &Bench) {
    for status in [401, 403] {
        let more = json!({ "body": "" });
        bench.control.answer(bench.creates(), status, more).await;
        assert_eq!(fails(bench).await.class, ErrorClass::Denied, "{status}");
        bench.control.heal().await;
    }
    nothing_is_found_where_nothing_was_created(bench).await;
}

/// A proxy's 404 while the gateway is unavailable does not prove that a charge is absent.
pub(crate) async fn a_proxies_404_hides_no_charge(bench: &Bench) {
    let charge = bench.charged().await;
    let fault = json!({ "kind": "status", "status": 404, "body": PAGE });
    bench.control.post("faults", fault).await;
    let lookup = bench.order.lookup();
    let found = bench.gateway.find(&lookup).await;
    assert_eq!(found.expect_err("hidden").class, ErrorClass::NotCreated);
    let ended = bench.gateway.cancel(&charge).await;
    assert_eq!(ended.expect_err("not ended").class, ErrorClass::NotCreated);
    bench.control.heal().await;
    is_found(bench).await;
}

pub(crate) async fn a_charge_is_found_by_the_id_that_is_known(bench: &Bench) {
    let charge = bench.charged().await;
    let mut lookup = bench.order.lookup();
    lookup.gateway_id = Some(charge.id.clone());
    let found = bench.gateway.find(&lookup).await.expect("an answer");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0].id, found[0].status), (&charge.id, charge.status));
    assert!(found[0].next_action.is_some());
}

/// A code that our parser rejects is shown and canceled like any other.
pub(crate) async fn a_code_that_is_not_readable_is_shown_and_ended(bench: &Bench) {
    let fault = json!({ "kind": "odd_code" });
    bench.control.post("faults", fault).await;
    for charge in [bench.charged().await, bench.found().await] {
        let Some(NextAction::Pix { copy_paste, .. }) = charge.next_action else {
            panic!("{charge:?} shows no code")
        };
        assert!(copy_paste.ends_with("6304ZZZZ"), "{copy_paste}");
        BrCode::parse(&copy_paste).expect_err("not readable");
    }
    let charge = bench.found().await;
    let ended = bench.gateway.cancel(&charge).await.expect("ended");
    assert!(!ended.status.is_payable());
    let left = bench.control.charges(&bench.order.reference).await;
    assert!(left.iter().all(|charge| charge["payable"] == false));
}

pub(crate) async fn refused_credentials_are_denied(bench: &Bench) {
    let done = bench.third_party.charge(&bench.order, WITHIN).await;
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

pub(crate) async fn errors_contain_nothing_of_the_payer(bench: &Bench) {
    let fault = json!({ "times": 1, "status": 400 });
    bench.control.fault("status", bench.creates(), fault).await;
    let error = fails(bench).await;
    assert_eq!(error.class, ErrorClass::Rejected);
    let (text, payer) = (format!("{error} {error:?}"), &bench.order.payer);
    for secret in [payer.name.as_str(), payer.document.as_str()] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// For gateways that may not support them yet: the refusal permits a fallback to the next connection.
pub(crate) async fn a_cnpj_with_letters_may_be_refused(bench: &Bench) {
    let mut order = bench.order.clone();
    order.payer.document = "12ABC34501DE35".parse().expect("a CNPJ");
    let known = |known: bool| json!({ "alphanumeric_cnpj": known });
    bench.control.set(known(false)).await;
    let done = bench.gateway.charge(&order, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Rejected);
    bench.control.set(known(true)).await;
    order.reference = bench.another_order().reference;
    bench.gateway.charge(&order, WITHIN).await.expect("taken");
}

/// Contact data that a gateway does not accept are omitted, and the sale is made.
pub(crate) async fn odd_contact_data_lose_no_sale(bench: &Bench) {
    for (email, phone) in [
        ("maria@example.com", "1133334444"),
        ("maria@example.com", "00123456789"),
        ("maria@example.com", "1187654321"),
        ("maria@localhost", "11987654321"),
    ] {
        let mut order = bench.another_order();
        order.payer.document = "24971563792".parse().expect("a CPF");
        order.payer.email = Some(email.to_owned());
        order.payer.phone = Some(phone.to_owned());
        if !bench.unmet(&order).is_empty() {
            continue;
        }
        let done = bench.gateway.charge(&order, WITHIN).await;
        assert!(done.is_ok(), "{email} {phone}: {done:?}");
    }
}
