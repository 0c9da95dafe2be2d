//! Tests of disputes.

use serde_json::json;

use crate::client::{PAGE, PIX, Stripe, text};

#[tokio::test]
async fn a_card_dispute_waits_for_an_answer_and_can_be_won() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/checkout/sessions", &PAGE).await;
    let session = text(&made["id"]);
    stripe.act("o1", "pay", json!({})).await;
    stripe.act("o1", "dispute", json!({})).await;
    let disputes = stripe.read("/v1/disputes").await;
    let dispute = &disputes["data"][0];
    assert_eq!(
        (&dispute["status"], &dispute["amount"]),
        (&json!("needs_response"), &json!(12_345))
    );
    assert_eq!(dispute["balance_transactions"][0]["amount"], -12_345);
    assert!(dispute["evidence_details"]["due_by"].is_i64());
    assert_eq!(stripe.held(session).await["disputed"], true);
    let refund = stripe
        .post("/v1/refunds", &[("charge", text(&dispute["charge"]))])
        .await;
    assert_eq!(refund.refused(400), "charge_disputed");

    stripe
        .act("o1", "close_dispute", json!({ "won": true }))
        .await;
    let id = text(&dispute["id"]);
    let won = stripe
        .get(&format!("/v1/disputes/{id}"), &[("expand[]", "charge")])
        .await
        .body;
    assert_eq!(
        (&won["status"], &won["charge"]["disputed"]),
        (&json!("won"), &json!(true))
    );
    assert_eq!(stripe.held(session).await["disputed"], false);
    let kinds = ["created", "funds_withdrawn", "closed", "funds_reinstated"]
        .map(|end| format!("charge.dispute.{end}"));
    assert_eq!(stripe.kinds(id).await, kinds);
}

#[tokio::test]
async fn a_pix_dispute_is_soon_lost_and_cannot_be_won() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    let (status, _) = stripe
        .control(reqwest::Method::POST, "charges/o1/dispute", &json!({}))
        .await;
    assert_eq!(status, 409, "nothing is paid yet");
    stripe.act("o1", "pay", json!({})).await;
    stripe
        .behave(json!({ "pix_dispute_lost_after_s": 60 }))
        .await;
    stripe.act("o1", "dispute", json!({ "amount": 345 })).await;
    let (status, why) = stripe
        .control(
            reqwest::Method::POST,
            "charges/o1/close_dispute",
            &json!({ "won": true }),
        )
        .await;
    assert_eq!(status, 409, "{why}");
    stripe.advance(60).await;
    let intent = text(&made["id"]);
    let disputes = stripe
        .get("/v1/disputes", &[("payment_intent", intent)])
        .await
        .body;
    let dispute = &disputes["data"][0];
    assert_eq!(
        (&dispute["status"], &dispute["amount"]),
        (&json!("lost"), &json!(345))
    );
    assert_eq!(
        stripe.kinds(text(&dispute["id"])).await.last().unwrap(),
        "charge.dispute.closed"
    );
    assert_eq!(stripe.held(intent).await["disputed"], true);
    // closing again as lost succeeds, because a test cannot know whether the clock closed the dispute first
    stripe
        .act("o1", "close_dispute", json!({ "won": false }))
        .await;
}
