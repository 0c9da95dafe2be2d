//! Promises that only Stripe makes: keys that store answers, pages that survive a decline, money that clears later.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State},
    http::Uri,
};
use chrono::TimeDelta;
use gateways::{ChargeRequest, Endpoints, GatewayStatus, NoticeKind, RefundRequest, RefundStatus};
use schemas::{
    attempt::ErrorClass,
    gateway::{GatewayApi, GatewayKind},
    payment_method::PaymentMethodKind,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use url::Url;

use super::{boleto, by_boleto, by_card, by_pix, card, open, pix};
use crate::{
    bench::{Bench, WITHIN, now},
    receiver::Receiver,
};

/// Changes the behavior that only Stripe's simulator has, at Stripe's own address.
async fn behave(api: &Url, changes: Value) {
    let client = gateways::http::webhook_client(true).expect("a client");
    let at = api.join("/_sim/stripe/behavior").expect("an address");
    let answer = client.put(at).json(&changes).send().await;
    assert!(answer.expect("an answer").status().is_success());
}

#[tokio::test]
async fn a_500_that_its_key_keeps_is_unknown_and_found() {
    let (bench, api) = open("loja", by_pix()).await;
    let crash = json!({ "internal_errors": 1, "internal_errors_after_effect": true });
    behave(&api, crash).await;
    for _ in 0..2 {
        let done = bench.gateway.charge(&bench.order, WITHIN).await;
        assert_eq!(done.expect_err("lost").class, ErrorClass::Unknown);
    }
    assert_eq!(bench.found().await.status, GatewayStatus::Pending);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_unknown() {
    let bench = pix().await;
    bench.charged().await;
    let other = ChargeRequest {
        amount: bench.order.amount + 1,
        ..bench.order.clone()
    };
    let done = bench.gateway.charge(&other, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Unknown);
}

/// As after a takeover: the same key must be sent again, and this answer is no outcome.
#[tokio::test]
async fn a_key_in_use_is_reported_apart() {
    let (bench, api) = open("loja", by_pix()).await;
    behave(&api, json!({ "execution_ms": 1_500 })).await;
    let charge = || bench.gateway.charge(&bench.order, WITHIN);
    let (one, other) = tokio::join!(charge(), charge());
    let (made, in_use) = if one.is_ok() {
        (one, other)
    } else {
        (other, one)
    };
    let error = in_use.expect_err("in use");
    assert_eq!(
        (error.class, error.code.as_str()),
        (ErrorClass::Unknown, "key_in_use")
    );
    behave(&api, json!({ "execution_ms": 0 })).await;
    assert_eq!(charge().await.expect("a replay").id, made.expect("made").id);
}

#[tokio::test]
async fn what_is_of_the_account_is_denied_and_what_is_of_the_order_refused() {
    let bench = pix().await;
    for (code, class) in [
        ("testmode_charges_only", ErrorClass::Denied),
        ("payment_method_unactivated", ErrorClass::Denied),
        ("amount_too_large", ErrorClass::Rejected),
        ("email_invalid", ErrorClass::Rejected),
    ] {
        let body = json!({ "error": { "type": "invalid_request_error", "code": code } });
        let more = json!({ "times": 1, "body": body });
        bench.control.answer(bench.creates(), 400, more).await;
        let done = bench.gateway.charge(&bench.order, WITHIN).await;
        let error = done.expect_err("refused");
        assert_eq!((error.class, error.code.as_str()), (class, code));
    }
}

/// On accounts of any size, the next call resumes with the pages that one call could not read.
#[tokio::test]
async fn a_search_that_was_cut_short_goes_on() {
    const LISTED: (&str, &str) = ("GET", "/v1/payment_intents");
    let bench = pix().await;
    let wanted = bench.charged().await;
    // two further pages of a hundred before the one that contains it
    for _ in 0..210 {
        let other = bench.another_order();
        let made = bench.gateway.charge(&other, WITHIN).await;
        made.expect("a charge");
    }
    bench
        .control
        .answer(LISTED, 503, json!({ "skip": 2 }))
        .await;
    let lookup = bench.order.lookup();
    let cut = bench.gateway.find(&lookup).await;
    assert_eq!(cut.expect_err("cut short").class, ErrorClass::NotCreated);
    bench.control.heal().await;
    let before = bench.control.count(LISTED).await;
    for _ in 0..2 {
        let found = bench.gateway.find(&lookup).await.expect("an answer");
        assert_eq!((found.len(), &found[0].id), (1, &wanted.id));
    }
    // one page and the charge itself, twice
    assert_eq!(bench.control.count(LISTED).await - before, 4);
}

#[tokio::test]
async fn a_known_id_needs_no_search() {
    let bench = pix().await;
    let charge = bench.charged().await;
    let more = json!({ "times": 100 });
    bench
        .control
        .answer(("GET", "/v1/payment_intents?"), 503, more)
        .await;
    let mut lookup = bench.order.lookup();
    lookup.gateway_id = Some(charge.id.clone());
    let list = ("GET", "/v1/payment_intents");
    let before = bench.control.count(list).await;
    let found = bench.gateway.find(&lookup).await.expect("an answer");
    assert_eq!(found[0].id, charge.id);
    assert_eq!(bench.control.count(list).await - before, 1);
    lookup.gateway_id = Some("pi_none".to_owned());
    assert_eq!(bench.gateway.find(&lookup).await, Ok(Vec::new()));
}

/// Merchants share the connections to a gateway, so none waits for a handshake of its own.
#[tokio::test]
async fn accounts_share_connections() {
    type Ports = Arc<Mutex<HashSet<u16>>>;
    async fn balance(
        ConnectInfo(peer): ConnectInfo<SocketAddr>,
        State(ports): State<Ports>,
    ) -> Json<Value> {
        ports
            .lock()
            .expect("no thread panicked")
            .insert(peer.port());
        Json(json!({ "livemode": false, "id": "acct_1" }))
    }
    let ports = Ports::default();
    let app = Router::new().fallback(balance).with_state(ports.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    // stops when dropped
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await });
    let mut endpoints = Endpoints::sandbox();
    let stripe = format!("http://{at}").parse().expect("an address");
    endpoints.urls.insert(GatewayApi::Stripe, stripe);
    for name in ["one", "two", "three"] {
        let key = json!({ "secret_key": format!("sk_test_{name}") });
        let key = gateways::read_credentials(GatewayKind::Stripe, key).expect("a key");
        let gateway = key.open(&endpoints).expect("a gateway");
        gateway.probe().await.expect("an account");
    }
    assert_eq!(ports.lock().expect("no thread panicked").len(), 1);
}

/// Number of refunds of one charge: more than a call reads.
const REFUNDS: usize = 10_150;

/// Returns a page of them, newest first.
fn page_of_refunds(query: &str) -> Value {
    let number = |field: &str| {
        let mut fields = url::form_urlencoded::parse(query.as_bytes());
        let sent = fields.find(|(name, _)| name == field);
        sent.and_then(|(_, id)| id.strip_prefix("re_")?.parse::<usize>().ok())
    };
    let (newest, oldest) = match (number("starting_after"), number("ending_before")) {
        (Some(after), _) => (after - 1, after.saturating_sub(100).max(1)),
        (None, Some(before)) => (REFUNDS.min(before + 100), before + 1),
        (None, None) => (REFUNDS, REFUNDS - 99),
    };
    let refund = |n: usize| {
        json!({ "id": format!("re_{n}"), "amount": 1, "status": "succeeded", "charge": "py_1",
                "created": 1_800_000_000, "metadata": { "reference": format!("re{n}") } })
    };
    let data: Vec<_> = (oldest..=newest).rev().map(refund).collect();
    json!({ "has_more": number("ending_before").is_none() && oldest > 1, "data": data })
}

/// With any number of refunds, the next call resumes with the pages that one call could not read.
#[tokio::test]
async fn a_list_that_one_call_cannot_read_is_read_by_the_next() {
    type Requests = Arc<Mutex<usize>>;
    async fn refunds(State(requests): State<Requests>, uri: Uri) -> Json<Value> {
        *requests.lock().expect("no thread panicked") += 1;
        Json(page_of_refunds(uri.query().unwrap_or_default()))
    }
    let requests = Requests::default();
    let app = Router::new().fallback(refunds).with_state(requests.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    // stops when dropped
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await });
    let mut endpoints = Endpoints::sandbox();
    let stripe = format!("http://{at}").parse().expect("an address");
    endpoints.urls.insert(GatewayApi::Stripe, stripe);
    let key = json!({ "secret_key": "sk_test_busy" });
    let key = gateways::read_credentials(GatewayKind::Stripe, key).expect("a key");
    let gateway = key.open(&endpoints).expect("a gateway");
    let order = RefundRequest {
        reference: "re1".to_owned(),
        charge: "pi_1".to_owned(),
        charge_reference: "at1".to_owned(),
        payment: "py_1".to_owned(),
        end_to_end_id: None,
        method: PaymentMethodKind::Pix,
        amount: 1,
        is_whole: false,
        reason: None,
        created_at: now(),
    };
    let cut = gateway.find_refund(&order).await.expect_err("too long");
    assert_eq!(
        (cut.class, cut.code.as_str()),
        (ErrorClass::NotCreated, "list_unfinished")
    );
    let found = gateway.find_refund(&order).await.expect("an answer");
    assert_eq!(found.map(|refund| refund.id), Some("re_1".to_owned()));
    // 102 pages, and one for the entries added between the calls
    assert_eq!(*requests.lock().expect("no thread panicked"), 103);
}

#[tokio::test]
async fn a_method_that_the_account_lacks_is_denied() {
    let (bench, _) = open("no_pix", by_pix()).await;
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    assert_eq!(done.expect_err("denied").class, ErrorClass::Denied);
}

/// Returns the only payment of the order, once it is paid.
async fn payment(bench: &Bench) -> gateways::GatewayPayment {
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    bench.found().await.payments.remove(0)
}

#[tokio::test]
async fn a_payment_reports_what_stripe_keeps_and_when_the_rest_arrives() {
    for bench in [pix().await, boleto().await, card().await] {
        let payment = payment(&bench).await;
        let (fee, net) = (payment.fee.expect("a fee"), payment.net.expect("a net"));
        assert!(fee > 0 && fee + net == bench.order.amount, "{payment:?}");
        assert!(payment.settles_on.is_some(), "{payment:?}");
        assert_eq!(payment.settled_on, None);
        assert_eq!(
            payment.end_to_end_id.is_some(),
            bench.kind() == PaymentMethodKind::Pix
        );
        let prefix = if bench.kind() == PaymentMethodKind::Card {
            "ch_"
        } else {
            "py_"
        };
        assert!(payment.id.starts_with(prefix), "{payment:?}");
    }
}

#[tokio::test]
async fn a_fee_that_no_event_reports_is_caught_up() {
    for bench in [pix().await, boleto().await, card().await] {
        let payment = payment(&bench).await;
        let caught = bench
            .poll(now() - TimeDelta::hours(1))
            .await
            .expect("a list");
        let booked = caught.iter().find_map(|notice| match &notice.means {
            NoticeKind::ChargeState(it) if it.payments.iter().any(|of| of.fee.is_some()) => {
                Some((notice, it))
            }
            _ => None,
        });
        let (notice, charge) = booked.expect("what was booked");
        assert_eq!(notice.reference.as_ref(), Some(&bench.order.reference));
        assert_eq!(charge.payments, [payment]);
    }
}

#[tokio::test]
async fn money_that_arrived_reports_when() {
    let bench = pix().await;
    let before = payment(&bench).await;
    bench.control.advance(40 * 24 * 60 * 60).await;
    let after = bench.found().await.payments.remove(0);
    assert_eq!(after.settled_on, before.settles_on);
}

#[tokio::test]
async fn a_card_reports_into_how_many_parts_it_was_split() {
    let (bench, api) = open("loja", by_card()).await;
    behave(&api, json!({ "installments": 3 })).await;
    assert_eq!(payment(&bench).await.installments, Some(3));
}

#[tokio::test]
async fn a_declined_card_may_be_tried_again() {
    let bench = card().await;
    let shown = bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "fail", json!({})).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Pending);
    assert_eq!(found.next_action, shown.next_action);
    bench.control.pay(reference).await;
    let found = bench.found().await;
    assert_eq!(
        (found.status, found.payments.len()),
        (GatewayStatus::Paid, 1)
    );
}

#[tokio::test]
async fn a_boleto_that_clears_is_not_paid_yet() {
    let (bench, api) = open("loja", by_boleto()).await;
    behave(&api, json!({ "clearing_s": 3_600 })).await;
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    let clearing = bench.found().await;
    assert_eq!(
        (clearing.status, clearing.payments.len()),
        (GatewayStatus::Pending, 0)
    );
    // Stripe does not cancel it any more, and the client returns its state
    let kept = bench.gateway.cancel(&clearing).await.expect("an answer");
    assert_eq!(kept.status, GatewayStatus::Pending);
    bench.control.advance(3_600).await;
    assert_eq!(bench.found().await.status, GatewayStatus::Paid);
}

#[tokio::test]
async fn a_refund_may_fail_after_it_succeeded() {
    let (bench, api) = open("loja", by_pix()).await;
    behave(&api, json!({ "refunds": "fail_later" })).await;
    payment(&bench).await;
    let order = bench.refund_order(None).await;
    bench
        .gateway
        .refund(&order, WITHIN)
        .await
        .expect("a refund");
    bench.control.advance(60).await;
    let found = bench.gateway.find_refund(&order).await.expect("an answer");
    let found = found.expect("a refund");
    assert_eq!(found.status, RefundStatus::Failed);
    assert!(found.reason.is_some());
    let charge = bench.found().await;
    assert_eq!(
        (charge.status, charge.refunds),
        (GatewayStatus::Paid, vec![found])
    );
}

#[tokio::test]
async fn all_that_was_refunded_or_disputed_is_the_charges_status() {
    let bench = card().await;
    payment(&bench).await;
    let order = bench.refund_order(None).await;
    bench
        .gateway
        .refund(&order, WITHIN)
        .await
        .expect("a refund");
    assert_eq!(bench.found().await.status, GatewayStatus::Refunded);
    let bench = card().await;
    payment(&bench).await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "dispute", json!({})).await;
    assert_eq!(bench.found().await.status, GatewayStatus::Disputed);
}

#[tokio::test]
async fn refunds_and_disputes_are_reported_with_their_payment() {
    let (bench, _) = open("loja", by_card()).await;
    let receiver = Receiver::open().await;
    let gateway = bench.subscribed(&receiver.url).await;
    let payment = payment(&bench).await;
    let order = bench.refund_order(Some(1_000)).await;
    bench
        .gateway
        .refund(&order, WITHIN)
        .await
        .expect("a refund");
    let reference = &bench.order.reference;
    bench.control.act(reference, "dispute", json!({})).await;
    let (mut refunded, mut disputed, mut count) = (false, false, 0);
    while !(refunded && disputed) {
        count += 1;
        let latest = receiver.at_least(count).await.remove(count - 1);
        for notice in gateway.notification(&latest).expect("genuine").notices {
            match notice.means {
                NoticeKind::Refund(refund) => {
                    assert_eq!(refund.reference.as_ref(), Some(&order.reference));
                    assert_eq!((&refund.payment, refund.amount), (&payment.id, 1_000));
                    assert_eq!(notice.reference.as_ref(), Some(reference));
                    refunded = true;
                }
                NoticeKind::Dispute(dispute) => {
                    assert_eq!(dispute.payment, payment.id);
                    assert_eq!(notice.payment.as_ref(), Some(&payment.id));
                    disputed = true;
                }
                _ => {}
            }
        }
    }
}
