//! Tests of `docs/gateways/stripe.md#references-and-idempotency`.

use reqwest::Method;
use serde_json::json;

use crate::client::{Answer, PIX, Stripe, text, with};

async fn keyed(stripe: &Stripe, key: &str, form: &[(&str, &str)]) -> Answer {
    stripe
        .send(
            Method::POST,
            "/v1/payment_intents",
            form,
            &[("Idempotency-Key", key)],
        )
        .await
}

async fn count(stripe: &Stripe) -> usize {
    stripe.read("/v1/payment_intents").await["data"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn the_same_request_happens_once() {
    let stripe = Stripe::start().await;
    let first = keyed(&stripe, "k", &PIX).await;
    stripe.act("o1", "pay", json!({})).await;
    let mut turned = PIX;
    turned.reverse();
    let again = keyed(&stripe, "k", &turned).await;
    assert_eq!(
        (again.status, &again.body),
        (200, &first.body),
        "the first state, not the present one"
    );
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("original-request"), first.header("request-id"));
    assert_eq!(count(&stripe).await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_parameters_its_endpoint_its_account_and_its_mode() {
    let mut stripe = Stripe::start().await;
    let first = keyed(&stripe, "k", &PIX).await;
    let other = keyed(&stripe, "k", &with(&PIX, &[("amount", "1")])).await;
    other.refused(400);
    assert_eq!(other.body["error"]["type"], "idempotency_error");
    let cancel = format!("/v1/payment_intents/{}/cancel", text(&first.body["id"]));
    let elsewhere = stripe
        .send(Method::POST, &cancel, &PIX, &[("Idempotency-Key", "k")])
        .await;
    assert_eq!(elsewhere.body["error"]["type"], "idempotency_error");
    for key in ["sk_live_loja", "sk_test_outra"] {
        stripe.key = key.to_owned();
        assert_eq!(
            keyed(&stripe, "k", &with(&PIX, &[("amount", "100")]))
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn a_request_that_was_refused_may_be_corrected_under_its_key() {
    let mut stripe = Stripe::start().await;
    assert_eq!(
        keyed(&stripe, "k", &with(&PIX, &[("amount", "1")]))
            .await
            .status,
        400
    );
    stripe.key = "sk_test_revoked".to_owned();
    assert_eq!(keyed(&stripe, "k", &PIX).await.status, 401);
    stripe.key = crate::client::KEY.to_owned();
    stripe
        .control(
            Method::POST,
            "faults",
            &json!({ "kind": "status", "status": 429, "times": 1 }),
        )
        .await;
    assert_eq!(keyed(&stripe, "k", &PIX).await.refused(429), "rate_limit");
    assert_eq!(keyed(&stripe, "k", &PIX).await.status, 200);
}

#[tokio::test]
async fn a_500_is_stored_whether_or_not_it_had_an_effect() {
    let stripe = Stripe::start().await;
    for (after_effect, made) in [(false, 0), (true, 1)] {
        stripe
            .behave(json!({ "internal_errors": 1, "internal_errors_after_effect": after_effect }))
            .await;
        let key = format!("k{after_effect}");
        let first = keyed(&stripe, &key, &PIX).await;
        assert_eq!(
            (first.status, &first.body["error"]["type"]),
            (500, &json!("api_error"))
        );
        let again = keyed(&stripe, &key, &PIX).await;
        assert_eq!(
            (again.status, again.header("idempotent-replayed")),
            (500, "true")
        );
        assert_eq!(count(&stripe).await, made);
    }
}

#[tokio::test]
async fn what_a_state_forbade_is_stored_too() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    stripe.act("o1", "pay", json!({})).await;
    let cancel = format!("/v1/payment_intents/{}/cancel", text(&made["id"]));
    let key = [("Idempotency-Key", "k")];
    let first = stripe.send(Method::POST, &cancel, &[], &key).await;
    assert_eq!(first.refused(400), "payment_intent_unexpected_state");
    let again = stripe.send(Method::POST, &cancel, &[], &key).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.body, again.body);
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict_and_the_first_request_goes_on() {
    let stripe = Stripe::start().await;
    stripe.behave(json!({ "execution_ms": 400 })).await;
    let (one, other) = tokio::join!(keyed(&stripe, "k", &PIX), keyed(&stripe, "k", &PIX));
    let (done, refused) = if one.status == 200 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!(done.status, 200);
    assert_eq!(refused.refused(409), "idempotency_key_in_use");
    assert_eq!(
        (
            &refused.body["error"]["type"],
            refused.header("stripe-should-retry")
        ),
        (&json!("idempotency_error"), "true")
    );
    assert_eq!(keyed(&stripe, "k", &PIX).await.body, done.body);
    assert_eq!(count(&stripe).await, 1);
}

#[tokio::test]
async fn a_request_whose_client_hung_up_happens_and_is_stored() {
    let stripe = Stripe::start().await;
    stripe.behave(json!({ "execution_ms": 300 })).await;
    let url = stripe.base.join("/v1/payment_intents").unwrap();
    let body = serde_html_form::to_string(PIX).unwrap();
    let request = stripe
        .http
        .post(url)
        .bearer_auth(&stripe.key)
        .header("idempotency-key", "k")
        .body(body);
    let hung_up = request
        .timeout(std::time::Duration::from_millis(100))
        .send()
        .await;
    assert!(hung_up.unwrap_err().is_timeout());
    let answer = loop {
        let answer = keyed(&stripe, "k", &PIX).await;
        if answer.status != 409 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status, answer.header("idempotent-replayed")),
        (200, "true")
    );
    assert_eq!(count(&stripe).await, 1);
}

#[tokio::test]
async fn keys_are_short_and_forgotten_after_a_day() {
    let stripe = Stripe::start().await;
    assert_eq!(keyed(&stripe, &"k".repeat(256), &PIX).await.status, 400);
    assert_eq!(keyed(&stripe, &"k".repeat(255), &PIX).await.status, 200);
    stripe.advance(86_401).await;
    assert_eq!(
        keyed(&stripe, &"k".repeat(255), &with(&PIX, &[("amount", "100")]))
            .await
            .status,
        200
    );
}
