//! Tests of checkout sessions with cards.

use serde_json::{Value, json};

use crate::client::{PAGE, Stripe, text, with};

const SESSIONS: &str = "/v1/checkout/sessions";

#[tokio::test]
async fn a_page_is_paid_by_card() {
    let stripe = Stripe::start().await;
    let more = [
        ("payment_intent_data[metadata][reference]", "r1"),
        ("payment_intent_data[description]", "Pedido"),
    ];
    let made = stripe.make(SESSIONS, &with(&PAGE, &more)).await;
    let id = text(&made["id"]);
    assert!(id.starts_with("cs_test_"));
    assert!(text(&made["url"]).ends_with(id));
    assert_eq!(
        (&made["status"], &made["payment_status"]),
        (&json!("open"), &json!("unpaid"))
    );
    assert_eq!(made["amount_total"], 12_345);
    assert_eq!(
        made["expires_at"],
        made["created"].as_i64().unwrap() + 86_400
    );
    assert_eq!(made["payment_intent"], Value::Null);

    stripe.act("o1", "pay", json!({})).await;
    let path = format!("{SESSIONS}/{id}");
    let paid = stripe
        .get(
            &path,
            &[
                ("expand[]", "payment_intent.latest_charge"),
                ("expand[]", "line_items"),
            ],
        )
        .await
        .body;
    assert_eq!(
        (&paid["status"], &paid["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    assert_eq!(
        (&paid["url"], &paid["metadata"]),
        (&Value::Null, &json!({ "order_id": "o1" }))
    );
    assert_eq!(paid["line_items"]["data"][0]["description"], "Pedido o1");
    let intent = &paid["payment_intent"];
    assert_eq!(
        (&intent["status"], &intent["metadata"]),
        (&json!("succeeded"), &json!({ "reference": "r1" }))
    );
    assert!(text(&intent["latest_charge"]["id"]).starts_with("ch_"));
    let held = stripe.held(id).await;
    assert_eq!(held["paid"], true);
    assert_eq!(
        (&held["reference"], &held["method"]),
        (&json!("o1"), &json!("card"))
    );
    assert_eq!(stripe.kinds(id).await, ["checkout.session.completed"]);
    assert_eq!(
        stripe.kinds(text(&intent["id"])).await,
        ["payment_intent.created", "payment_intent.succeeded"]
    );
    assert_eq!(
        stripe.post(&format!("{path}/expire"), &[]).await.status,
        400
    );
}

#[tokio::test]
async fn metadata_of_a_page_is_not_copied_to_its_intent() {
    let stripe = Stripe::start().await;
    stripe.make(SESSIONS, &PAGE).await;
    stripe.act("o1", "pay", json!({})).await;
    let intents = stripe.read("/v1/payment_intents").await;
    assert_eq!(intents["data"][0]["metadata"], json!({}));
}

#[tokio::test]
async fn a_declined_card_leaves_the_page_open_for_another() {
    let stripe = Stripe::start().await;
    stripe
        .behave(json!({ "decline_code": "insufficient_funds" }))
        .await;
    let made = stripe.make(SESSIONS, &PAGE).await;
    let path = format!("{SESSIONS}/{}", text(&made["id"]));
    stripe.act("o1", "fail", json!({})).await;
    let open = stripe
        .get(&path, &[("expand[]", "payment_intent.latest_charge")])
        .await
        .body;
    assert_eq!(open["status"], "open");
    let error = &open["payment_intent"]["last_payment_error"];
    assert_eq!(
        (&error["code"], &error["decline_code"]),
        (&json!("card_declined"), &json!("insufficient_funds"))
    );
    let charge = &open["payment_intent"]["latest_charge"];
    assert_eq!(
        (&charge["status"], &charge["paid"], &charge["failure_code"]),
        (&json!("failed"), &json!(false), &json!("card_declined"))
    );
    let intent = text(&open["payment_intent"]["id"]).to_owned();
    assert_eq!(
        stripe
            .post(&format!("/v1/payment_intents/{intent}/cancel"), &[])
            .await
            .status,
        400
    );
    stripe.act("o1", "pay", json!({})).await;
    assert_eq!(stripe.read(&path).await["payment_intent"], intent.as_str());
    let kinds = [
        "payment_intent.created",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
    ];
    assert_eq!(stripe.kinds(&intent).await, kinds);
}

#[tokio::test]
async fn a_page_ends_by_call_or_by_time_and_takes_its_intent_along() {
    let stripe = Stripe::start().await;
    let made = stripe.make(SESSIONS, &PAGE).await;
    stripe.act("o1", "fail", json!({})).await;
    let path = format!("{SESSIONS}/{}", text(&made["id"]));
    let expired = stripe.make(&format!("{path}/expire"), &[]).await;
    assert_eq!(expired["status"], "expired");
    let intents = stripe.read("/v1/payment_intents").await;
    assert_eq!(intents["data"][0]["cancellation_reason"], "automatic");
    let other = stripe.make(SESSIONS, &PAGE).await;
    stripe.advance(86_401).await;
    let other = stripe
        .read(&format!("{SESSIONS}/{}", text(&other["id"])))
        .await;
    assert_eq!(other["status"], "expired");
    assert_eq!(
        stripe.kinds(text(&other["id"])).await,
        ["checkout.session.expired"]
    );
    let (status, _) = stripe
        .control(reqwest::Method::POST, "charges/o1/fail", &json!({}))
        .await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn a_page_stays_open_for_half_an_hour_to_a_day() {
    let stripe = Stripe::start().await;
    let created = stripe.make(SESSIONS, &PAGE).await["created"]
        .as_i64()
        .unwrap();
    for (ahead_s, status) in [(1_700, 400), (1_830, 200), (86_400, 200), (86_500, 400)] {
        let at = (created + ahead_s).to_string();
        let answer = stripe
            .post(SESSIONS, &with(&PAGE, &[("expires_at", &at)]))
            .await;
        assert_eq!(answer.status, status, "{ahead_s}: {}", answer.body);
        if status == 400 {
            assert_eq!(answer.body["error"]["param"], "expires_at");
        }
    }
}

#[tokio::test]
async fn a_page_with_installments_is_paid_in_parts() {
    let stripe = Stripe::start().await;
    stripe.behave(json!({ "installments": 6 })).await;
    let offered = [(
        "payment_method_options[card][installments][enabled]",
        "true",
    )];
    for (page, parts) in [
        (with(&PAGE, &offered), json!(6)),
        (PAGE.to_vec(), Value::Null),
    ] {
        let made = stripe.make(SESSIONS, &page).await;
        let id = text(&made["id"]);
        stripe.act(id, "pay", json!({})).await;
        let path = format!("{SESSIONS}/{id}");
        let paid = stripe
            .get(&path, &[("expand[]", "payment_intent.latest_charge")])
            .await
            .body;
        let card = &paid["payment_intent"]["latest_charge"]["payment_method_details"]["card"];
        assert_eq!(card["installments"]["plan"]["count"], parts);
    }
    let made = stripe.make(SESSIONS, &with(&PAGE, &offered)).await;
    assert_eq!(
        made["payment_method_options"]["card"]["installments"],
        json!({ "enabled": true })
    );
}

#[tokio::test]
async fn pages_are_listed_and_their_lines_read() {
    let stripe = Stripe::start().await;
    let more = [
        ("line_items[1][quantity]", "3"),
        ("line_items[1][price_data][currency]", "brl"),
        ("line_items[1][price_data][unit_amount]", "100"),
        ("line_items[1][price_data][product_data][name]", "Frete"),
    ];
    let made = stripe.make(SESSIONS, &with(&PAGE, &more)).await;
    assert_eq!(made["amount_total"], 12_645);
    let id = text(&made["id"]);
    assert_eq!(stripe.read(SESSIONS).await["data"][0]["id"], id);
    assert_eq!(
        stripe.get(SESSIONS, &[("status", "complete")]).await.body["data"],
        json!([])
    );
    let lines = stripe.read(&format!("{SESSIONS}/{id}/line_items")).await;
    assert_eq!(lines["data"][1]["amount_total"], 300);
}
