//! Tests of intents with boleto.

use serde_json::json;

use crate::client::{BOLETO, Stripe, text, with};

#[tokio::test]
async fn a_boleto_shows_a_line_until_the_end_of_its_day() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/payment_intents", &BOLETO).await;
    let shown = &made["next_action"]["boleto_display_details"];
    let line = text(&shown["number"]);
    assert_eq!(line.len(), 47);
    assert!(
        line.bytes().all(|digit| digit.is_ascii_digit()) && line.ends_with("0000012345"),
        "{line}"
    );
    // 23:59:59 in São Paulo is 02:59:59 in UTC
    assert_eq!(
        shown["expires_at"].as_i64().unwrap() % 86_400,
        2 * 3_600 + 59 * 60 + 59
    );
    let ahead_s = shown["expires_at"].as_i64().unwrap() - made["created"].as_i64().unwrap();
    assert!((2 * 86_400..3 * 86_400).contains(&ahead_s), "{ahead_s}");
    let id = text(&made["id"]);
    stripe.advance(ahead_s - 5).await;
    assert_eq!(stripe.held(id).await["payable"], true);
    stripe.advance(5).await;
    let over = stripe.read(&format!("/v1/payment_intents/{id}")).await;
    assert_eq!(
        over["last_payment_error"]["code"],
        "payment_intent_payment_attempt_expired"
    );
    assert_eq!(
        over["last_payment_error"]["payment_method"]["boleto"]["tax_id"],
        "529.982.247-25"
    );
}

#[tokio::test]
async fn a_paid_boleto_clears_later_and_can_be_neither_refunded_nor_disputed() {
    let stripe = Stripe::start().await;
    stripe.behave(json!({ "clearing_s": 86_400 })).await;
    let made = stripe.make("/v1/payment_intents", &BOLETO).await;
    let (id, path) = (
        text(&made["id"]),
        format!("/v1/payment_intents/{}", text(&made["id"])),
    );
    stripe.act("o1", "pay", json!({})).await;
    assert_eq!(stripe.held(id).await["paid"], false);
    assert_eq!(stripe.read(&path).await["status"], "processing");
    stripe.advance(86_400).await;
    let paid = stripe
        .get(&path, &[("expand[0]", "latest_charge.balance_transaction")])
        .await
        .body;
    assert_eq!(
        paid["latest_charge"]["payment_method_details"],
        json!({ "boleto": { "tax_id": "529.982.247-25" }, "type": "boleto" })
    );
    assert_eq!(paid["latest_charge"]["balance_transaction"]["fee"], 345);
    assert_eq!(stripe.held(id).await["method"], "boleto");
    assert_eq!(
        stripe
            .post("/v1/refunds", &[("payment_intent", id)])
            .await
            .refused(400),
        "charge_not_refundable"
    );
    for action in ["refund", "dispute"] {
        let (status, why) = stripe
            .control(
                reqwest::Method::POST,
                &format!("charges/o1/{action}"),
                &json!({}),
            )
            .await;
        assert_eq!(status, 409, "{why}");
    }
    assert_eq!(
        stripe.kinds(id).await.last().unwrap(),
        "payment_intent.succeeded"
    );
    assert_eq!(stripe.kinds(id).await[2], "payment_intent.processing");
}

#[tokio::test]
async fn a_boleto_needs_its_payer_in_full() {
    let stripe = Stripe::start().await;
    for (name, _) in &BOLETO[4..12] {
        let answer = stripe
            .post("/v1/payment_intents", &with(&BOLETO, &[(name, "")]))
            .await;
        assert_eq!(answer.refused(400), "parameter_missing");
        assert_eq!(answer.body["error"]["param"], *name);
    }
    let wrong = with(
        &BOLETO,
        &[("payment_method_data[boleto][tax_id]", "52998224724")],
    );
    assert_eq!(
        stripe
            .post("/v1/payment_intents", &wrong)
            .await
            .refused(400),
        "tax_id_invalid"
    );
    let far = with(
        &BOLETO,
        &[("payment_method_options[boleto][expires_after_days]", "61")],
    );
    assert_eq!(
        stripe.post("/v1/payment_intents", &far).await.refused(400),
        "parameter_invalid_integer"
    );
    let test = with(
        &BOLETO,
        &[("payment_method_data[boleto][tax_id]", "000.000.000-00")],
    );
    assert_eq!(stripe.post("/v1/payment_intents", &test).await.status, 200);
}
