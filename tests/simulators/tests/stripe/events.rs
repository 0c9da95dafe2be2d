//! Tests of events, webhook endpoints and signatures.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::client::{Listener, PIX, Stripe, text, with};

const ENDPOINTS: &str = "/v1/webhook_endpoints";

async fn listen(stripe: &Stripe, listener: &Listener) -> Value {
    stripe
        .make(
            ENDPOINTS,
            &[
                ("url", &listener.url),
                ("enabled_events[]", "*"),
                ("api_version", "2024-06-20"),
            ],
        )
        .await
}

/// Verifies a signature and returns its time.
fn verified(secret: &str, signature: &str, body: &[u8]) -> i64 {
    let (time, hex) = signature
        .strip_prefix("t=")
        .unwrap()
        .split_once(",v1=")
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    mac.verify_slice(&hex::decode(hex).unwrap()).unwrap();
    time.parse().unwrap()
}

#[tokio::test]
async fn an_event_is_signed_and_follows_its_endpoints_version() {
    let stripe = Stripe::start().await;
    let mut listener = Listener::open(&[]).await;
    let endpoint = listen(&stripe, &listener).await;
    let header = [
        ("Idempotency-Key", "k1"),
        ("Stripe-Version", "2025-01-27.acacia"),
    ];
    let made = stripe
        .send(Method::POST, "/v1/payment_intents", &PIX, &header)
        .await;
    assert_eq!(made.header("stripe-version"), "2025-01-27.acacia");
    let (signature, body) = listener.receive().await;
    let time = verified(text(&endpoint["secret"]), &signature, &body);
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert!((time - event["created"].as_i64().unwrap()).abs() <= 2);
    assert_eq!(event["api_version"], "2024-06-20");
    assert_eq!(event["pending_webhooks"], 1);
    assert_eq!(
        event["request"],
        json!({ "id": made.header("request-id"), "idempotency_key": "k1" })
    );
    let id = text(&event["id"]);
    let listed = stripe.read(&format!("/v1/events/{id}")).await;
    assert_eq!(
        (&listed["type"], &listed["api_version"]),
        (&event["type"], &json!("2026-10-28.endive"))
    );
}

#[tokio::test]
async fn a_refused_event_is_tried_again_with_a_new_signature() {
    let stripe = Stripe::start().await;
    let mut listener = Listener::open(&[500, 302]).await;
    let endpoint = listen(&stripe, &listener).await;
    let (status, _) = stripe
        .control(
            Method::PUT,
            "settings",
            &json!({ "notification_retries_s": [1, 1] }),
        )
        .await;
    assert_eq!(status, 200);
    stripe
        .make("/v1/payment_intents", &with(&PIX, &[("confirm", "false")]))
        .await;
    let mut times = Vec::new();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let (signature, body) = listener.receive().await;
        times.push(verified(text(&endpoint["secret"]), &signature, &body));
        bodies.push(body);
    }
    assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn time_alone_reports_of_a_code_that_ended() {
    let stripe = Stripe::start().await;
    let mut listener = Listener::open(&[]).await;
    listen(&stripe, &listener).await;
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    stripe.advance(3_601).await;
    let event = listener.until("payment_intent.payment_failed").await;
    assert_eq!(event["data"]["object"]["id"], made["id"]);
    assert_eq!(
        event["request"],
        json!({ "id": null, "idempotency_key": null })
    );
}

#[tokio::test]
async fn what_no_one_was_reported_is_listed_nevertheless() {
    let stripe = Stripe::start().await;
    stripe.make("/v1/payment_intents", &PIX).await;
    stripe.act("o1", "pay", json!({ "notify": false })).await;
    let since = |from: i64| {
        let stripe = &stripe;
        async move {
            let query = [
                ("types[]", "payment_intent.succeeded"),
                ("types[]", "charge.*"),
                ("created[gte]", &from.to_string()),
            ];
            stripe.get("/v1/events", &query).await.body["data"]
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!(since(0).await, 2);
    assert_eq!(since(i64::MAX).await, 0);
    stripe.advance(31 * 86_400).await;
    assert_eq!(since(0).await, 0, "after 30 days");
}

#[tokio::test]
async fn an_endpoint_shows_its_secret_once_and_can_be_changed() {
    let stripe = Stripe::start().await;
    let mut listener = Listener::open(&[]).await;
    let made = listen(&stripe, &listener).await;
    assert!(text(&made["secret"]).starts_with("whsec_"));
    let path = format!("{ENDPOINTS}/{}", text(&made["id"]));
    assert!(stripe.read(&path).await.get("secret").is_none());
    assert!(
        stripe.read(ENDPOINTS).await["data"][0]
            .get("secret")
            .is_none()
    );
    let changes = [
        ("disabled", "true"),
        ("enabled_events[]", "charge.succeeded"),
        ("description", "loja"),
        ("metadata[a]", "b"),
    ];
    let after = stripe.make(&path, &changes).await;
    assert_eq!(
        (&after["status"], &after["metadata"]),
        (&json!("disabled"), &json!({ "a": "b" }))
    );
    stripe.make("/v1/payment_intents", &PIX).await;
    stripe.act("o1", "pay", json!({})).await;
    stripe
        .make(
            &path,
            &[
                ("disabled", "false"),
                ("enabled_events[]", "payment_intent.canceled"),
            ],
        )
        .await;
    let other = stripe
        .make(
            "/v1/payment_intents",
            &with(&PIX, &[("metadata[reference]", "o2")]),
        )
        .await;
    stripe.act("o2", "cancel", json!({})).await;
    // the first event received proves that the endpoint got neither events from its disabled time nor other types
    let (_, body) = listener.receive().await;
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["object"]["id"]),
        (&json!("payment_intent.canceled"), &other["id"])
    );
    assert_eq!(
        stripe.send(Method::DELETE, &path, &[], &[]).await.body["deleted"],
        true
    );
    assert_eq!(
        stripe.get(&path, &[]).await.refused(404),
        "resource_missing"
    );
}

#[tokio::test]
async fn an_account_has_at_most_sixteen_endpoints() {
    let stripe = Stripe::start().await;
    let form = [("url", "https://shop/hooks"), ("enabled_events[]", "*")];
    for _ in 0..16 {
        stripe.make(ENDPOINTS, &form).await;
    }
    assert_eq!(stripe.post(ENDPOINTS, &form).await.status, 400);
    assert_eq!(
        stripe
            .post(ENDPOINTS, &[("url", "shop"), form[1]])
            .await
            .refused(400),
        "url_invalid"
    );
    assert_eq!(
        stripe.post(ENDPOINTS, &form[..1]).await.refused(400),
        "parameter_missing"
    );
}
