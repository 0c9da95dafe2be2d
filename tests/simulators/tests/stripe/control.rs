//! Tests of the control API's actions on charges.

use reqwest::Method;
use serde_json::json;

use crate::client::{BOLETO, PAGE, PIX, Stripe, text, with};

/// Path and form that create a charge, and the name of its payment method.
type Way = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[tokio::test]
async fn every_method_is_paid_expired_and_canceled() {
    let stripe = Stripe::start().await;
    let ways: [Way; 3] = [
        ("/v1/payment_intents", &PIX, "pix"),
        ("/v1/payment_intents", &BOLETO, "boleto"),
        ("/v1/checkout/sessions", &PAGE, "card"),
    ];
    for (path, form, method) in ways {
        for (action, expected) in [
            ("pay", ["succeeded", "complete"]),
            ("expire", ["requires_payment_method", "expired"]),
            ("cancel", ["canceled", "expired"]),
            ("fail", ["requires_payment_method", "open"]),
        ] {
            let made = stripe.make(path, form).await;
            let id = text(&made["id"]);
            let held = stripe.held(id).await;
            assert_eq!(
                (&held["method"], &held["payable"], &held["amount"]),
                (&json!(method), &json!(true), &json!(12_345))
            );
            stripe.act(id, action, json!({})).await;
            let held = stripe.held(id).await;
            assert_eq!(
                held["status"],
                expected[usize::from(method == "card")],
                "{method} {action}"
            );
            assert_eq!(
                (&held["paid"], &held["payable"]),
                (
                    &json!(action == "pay"),
                    &json!(action == "fail" && method == "card")
                )
            );
            let (again, why) = stripe
                .control(Method::POST, &format!("charges/{id}/overdue"), &json!({}))
                .await;
            assert_eq!(again, 409, "{why}");
        }
    }
}

#[tokio::test]
async fn money_can_come_late_and_in_another_amount() {
    let stripe = Stripe::start().await;
    for (path, form) in [
        ("/v1/payment_intents", &PIX[..]),
        ("/v1/checkout/sessions", &PAGE),
    ] {
        for before in ["expire", "cancel"] {
            let made = stripe.make(path, form).await;
            let id = text(&made["id"]);
            stripe.act(id, before, json!({})).await;
            stripe.act(id, "pay", json!({ "amount": 12_000 })).await;
            assert_eq!(stripe.held(id).await["paid"], true, "{before}");
            let charges = stripe.read("/v1/charges").await;
            assert_eq!(charges["data"][0]["amount"], 12_000);
            let (status, _) = stripe
                .control(Method::POST, &format!("charges/{id}/pay"), &json!({}))
                .await;
            assert_eq!(status, 409, "twice");
        }
    }
}

#[tokio::test]
async fn a_reference_means_the_charge_that_can_be_paid() {
    let stripe = Stripe::start().await;
    let first = stripe.make("/v1/payment_intents", &PIX).await;
    let second = stripe.make("/v1/payment_intents", &PIX).await;
    stripe.act(text(&first["id"]), "cancel", json!({})).await;
    stripe.act("o1", "pay", json!({})).await;
    assert_eq!(stripe.held(text(&second["id"])).await["paid"], true);
    assert_eq!(stripe.held(text(&first["id"])).await["paid"], false);
    let page = with(
        &PAGE,
        &[("client_reference_id", ""), ("metadata[reference]", "o9")],
    );
    let page = stripe.make("/v1/checkout/sessions", &page).await;
    stripe.act("o9", "pay", json!({})).await;
    assert_eq!(stripe.held(text(&page["id"])).await["reference"], "o9");
    let (status, _) = stripe
        .control(Method::POST, "charges/nobodys/pay", &json!({}))
        .await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn charges_pay_themselves_where_reported_so() {
    let stripe = Stripe::start().await;
    let mut listener = crate::client::Listener::open(&[]).await;
    stripe
        .make(
            "/v1/webhook_endpoints",
            &[
                ("url", &listener.url),
                ("enabled_events[]", "checkout.session.completed"),
                ("enabled_events[]", "payment_intent.succeeded"),
            ],
        )
        .await;
    let (status, _) = stripe
        .control(Method::PUT, "settings", &json!({ "auto_pay_ms": 1 }))
        .await;
    assert_eq!(status, 200);
    stripe.make("/v1/payment_intents", &PIX).await;
    listener.until("payment_intent.succeeded").await;
    stripe.make("/v1/checkout/sessions", &PAGE).await;
    let event = listener.until("checkout.session.completed").await;
    assert_eq!(
        (
            &event["data"]["object"]["payment_status"],
            &event["data"]["object"]["client_reference_id"]
        ),
        (&json!("paid"), &json!("o1"))
    );
}

#[tokio::test]
async fn a_behaviour_is_changed_by_name_and_ends_with_a_reset() {
    let stripe = Stripe::start().await;
    stripe.behave(json!({ "search_lag_s": 5 })).await;
    let (_, now) = stripe.control(Method::GET, "behavior", &json!({})).await;
    assert_eq!(
        (&now["search_lag_s"], &now["installments"]),
        (&json!(5), &json!(1))
    );
    let (status, _) = stripe
        .control(Method::PUT, "behavior", &json!({ "color": "red" }))
        .await;
    assert_eq!(status, 422);
    stripe.make("/v1/payment_intents", &PIX).await;
    let (status, _) = stripe.control(Method::POST, "reset", &json!({})).await;
    assert_eq!(status, 200);
    let (_, now) = stripe.control(Method::GET, "behavior", &json!({})).await;
    assert_eq!(now["search_lag_s"], 60);
    assert_eq!(stripe.read("/v1/payment_intents").await["data"], json!([]));
}
