//! Tests of refunds.

use serde_json::{Value, json};

use crate::client::{PAGE, PIX, Stripe, text, with};

/// Creates and pays a Pix, and returns the intent's id.
async fn paid(stripe: &Stripe) -> String {
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    let id = text(&made["id"]).to_owned();
    stripe.act(&id, "pay", json!({})).await;
    id
}

async fn charge(stripe: &Stripe, intent: &str) -> Value {
    let path = format!("/v1/payment_intents/{intent}");
    stripe
        .get(&path, &[("expand[]", "latest_charge.refunds")])
        .await
        .body["latest_charge"]
        .take()
}

#[tokio::test]
async fn a_pix_goes_back_in_parts_and_never_more_than_it_was() {
    let stripe = Stripe::start().await;
    let intent = paid(&stripe).await;
    let refund = |amount: &'static str| {
        let (stripe, intent) = (&stripe, intent.as_str());
        async move {
            let form = [
                ("payment_intent", intent),
                ("amount", amount),
                ("reason", "requested_by_customer"),
                ("metadata[refund]", "r1"),
            ];
            stripe.post("/v1/refunds", &form).await
        }
    };
    let first = refund("2345").await.body;
    assert_eq!(
        (&first["status"], &first["metadata"]),
        (&json!("pending"), &json!({ "refund": "r1" }))
    );
    let partly = charge(&stripe, &intent).await;
    assert_eq!(
        (&partly["amount_refunded"], &partly["refunded"]),
        (&json!(2_345), &json!(false))
    );
    let too_much = refund("10001").await;
    too_much.refused(400);
    assert_eq!(
        too_much.body["error"]["message"],
        "Refund amount (R$100.01) is greater than unrefunded amount on charge (R$100.00)"
    );
    let rest = stripe
        .make("/v1/refunds", &[("charge", text(&partly["id"]))])
        .await;
    assert_eq!(rest["amount"], 10_000);
    assert_eq!(refund("1").await.refused(400), "charge_already_refunded");
    assert_eq!(charge(&stripe, &intent).await["refunded"], true);
    assert_eq!(
        charge(&stripe, &intent).await["refunds"]["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(stripe.held(&intent).await["refunded"], 12_345);

    stripe.advance(2).await;
    let id = text(&first["id"]);
    assert_eq!(
        stripe.read(&format!("/v1/refunds/{id}")).await["status"],
        "succeeded"
    );
    assert_eq!(stripe.kinds(id).await, ["refund.created", "refund.updated"]);
    let listed = stripe
        .get("/v1/refunds", &[("payment_intent", &intent)])
        .await
        .body;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        stripe.read("/v1/balance").await["available"][0]["amount"],
        -12_345
    );
}

#[tokio::test]
async fn a_refund_may_fail_at_once_or_after_it_succeeded() {
    let stripe = Stripe::start().await;
    for (end, kinds) in [
        (
            "fail",
            &["refund.created", "refund.updated", "refund.failed"][..],
        ),
        (
            "fail_later",
            &[
                "refund.created",
                "refund.updated",
                "refund.updated",
                "refund.failed",
            ][..],
        ),
    ] {
        stripe.behave(json!({ "refunds": end })).await;
        let intent = paid(&stripe).await;
        let made = stripe
            .make("/v1/refunds", &[("payment_intent", &intent)])
            .await;
        stripe.advance(5).await;
        let id = text(&made["id"]);
        let failed = stripe.read(&format!("/v1/refunds/{id}")).await;
        assert_eq!(failed["status"], "failed", "{end}");
        assert!(failed["failure_balance_transaction"].is_string());
        assert_eq!(stripe.kinds(id).await, kinds);
        assert_eq!(charge(&stripe, &intent).await["amount_refunded"], 0);
    }
    stripe.behave(json!({ "refunds": "succeed" })).await;
    let intent = paid(&stripe).await;
    let made = stripe
        .make("/v1/refunds", &[("payment_intent", &intent)])
        .await;
    let fail = format!("refunds/{}/fail", text(&made["id"]));
    assert_eq!(
        stripe
            .control(reqwest::Method::POST, &fail, &json!({}))
            .await
            .0,
        200
    );
    assert_eq!(
        stripe
            .control(reqwest::Method::POST, &fail, &json!({}))
            .await
            .0,
        409
    );
    assert_eq!(stripe.held(&intent).await["refunded"], 0);
}

#[tokio::test]
async fn a_card_is_refunded_at_once_and_a_panel_can_do_it() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/checkout/sessions", &PAGE).await;
    stripe.act("o1", "pay", json!({})).await;
    stripe.act("o1", "refund", json!({ "amount": 345 })).await;
    let refunds = stripe.read("/v1/refunds").await;
    assert_eq!(
        (&refunds["data"][0]["status"], &refunds["data"][0]["amount"]),
        (&json!("succeeded"), &json!(345))
    );
    assert_eq!(refunds["data"][0]["destination_details"]["type"], "card");
    assert_eq!(stripe.held(text(&made["id"])).await["refunded"], 345);
}

#[tokio::test]
async fn what_is_not_paid_or_too_old_is_not_refunded() {
    let stripe = Stripe::start().await;
    let open = stripe
        .make(
            "/v1/payment_intents",
            &with(&PIX, &[("metadata[reference]", "o2")]),
        )
        .await;
    let refused = stripe
        .post("/v1/refunds", &[("payment_intent", text(&open["id"]))])
        .await;
    assert_eq!(refused.refused(400), "payment_intent_unexpected_state");
    assert_eq!(
        stripe.post("/v1/refunds", &[]).await.refused(400),
        "parameter_missing"
    );
    assert_eq!(
        stripe
            .post("/v1/refunds", &[("charge", "py_1")])
            .await
            .refused(400),
        "resource_missing"
    );
    let intent = paid(&stripe).await;
    let reason = [("payment_intent", intent.as_str()), ("reason", "whim")];
    assert_eq!(
        stripe.post("/v1/refunds", &reason).await.body["error"]["param"],
        "reason"
    );
    stripe.advance(91 * 86_400).await;
    assert_eq!(
        stripe.post("/v1/refunds", &reason[..1]).await.refused(400),
        "charge_not_refundable"
    );
}
