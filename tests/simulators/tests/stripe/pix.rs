//! Tests of intents with Pix.

use serde_json::json;

use crate::client::{PIX, Stripe, text, with};

#[tokio::test]
async fn a_pix_shows_a_code_and_is_paid() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    let id = text(&made["id"]);
    assert_eq!(made["status"], "requires_action");
    assert_eq!(
        made["payment_method_options"],
        json!({ "pix": { "expires_after_seconds": 3600 } })
    );
    let shown = &made["next_action"]["pix_display_qr_code"];
    assert!(text(&shown["data"]).starts_with("000201"));
    assert_eq!(
        shown["expires_at"],
        made["created"].as_i64().unwrap() + 3600
    );
    assert_eq!(stripe.held(id).await["reference"], "o1");

    stripe.act("o1", "pay", json!({})).await;
    let path = format!("/v1/payment_intents/{id}");
    let query = [
        ("expand[]", "latest_charge.balance_transaction"),
        ("expand[]", "payment_method"),
    ];
    let paid = stripe.get(&path, &query).await.body;
    assert_eq!(paid["status"], "succeeded");
    assert_eq!(paid["amount_received"], 12_345);
    assert_eq!(paid["payment_method"]["billing_details"]["name"], "Fulano");
    let charge = &paid["latest_charge"];
    assert!(text(&charge["id"]).starts_with("py_"));
    assert_eq!(
        text(&charge["payment_method_details"]["pix"]["bank_transaction_id"]).len(),
        32
    );
    // 1.19 %
    assert_eq!(charge["balance_transaction"]["fee"], 146);
    assert_eq!(charge["balance_transaction"]["net"], 12_199);
    let kinds = [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
    ];
    assert_eq!(stripe.kinds(id).await, kinds);
    assert_eq!(
        stripe.kinds(text(&charge["id"])).await,
        ["charge.succeeded"]
    );
    let balance = stripe.read("/v1/balance").await;
    assert_eq!(balance["pending"][0]["amount"], 12_199);
}

#[tokio::test]
async fn a_pix_that_no_one_pays_leaves_a_confirmable_intent() {
    let stripe = Stripe::start().await;
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    let path = format!("/v1/payment_intents/{}", text(&made["id"]));
    stripe.advance(3_601).await;
    let over = stripe.read(&path).await;
    assert_eq!(over["status"], "requires_payment_method");
    assert_eq!(
        over["last_payment_error"]["code"],
        "payment_intent_payment_attempt_expired"
    );
    assert_eq!(over["payment_method"], json!(null));
    assert_eq!(over["next_action"], json!(null));
    let events = stripe
        .get("/v1/events", &[("type", "payment_intent.payment_failed")])
        .await
        .body;
    assert_eq!(
        events["data"][0]["created"],
        made["created"].as_i64().unwrap() + 3_600
    );

    let confirm = format!("{path}/confirm");
    assert_eq!(
        stripe.post(&confirm, &[]).await.refused(400),
        "payment_intent_unexpected_state"
    );
    let again = stripe
        .make(&confirm, &[("payment_method_data[type]", "pix")])
        .await;
    assert_eq!(again["status"], "requires_action");
    let canceled = stripe
        .make(
            &format!("{path}/cancel"),
            &[("cancellation_reason", "abandoned")],
        )
        .await;
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&json!("canceled"), &json!("abandoned"))
    );
    let refused = stripe.post(&format!("{path}/cancel"), &[]).await;
    assert_eq!(refused.refused(400), "payment_intent_unexpected_state");
    assert_eq!(
        refused.body["error"]["payment_intent"]["status"],
        "canceled"
    );
}

#[tokio::test]
async fn a_pix_may_end_at_an_instant_instead_of_after_a_time() {
    let stripe = Stripe::start().await;
    let instant = (
        stripe.read("/v1/events").await["data"]
            .as_array()
            .unwrap()
            .len(),
        chrono_now() + 600,
    );
    let instant = instant.1.to_string();
    let at = ("payment_method_options[pix][expires_at]", instant.as_str());
    let after = "payment_method_options[pix][expires_after_seconds]";
    let made = stripe
        .make("/v1/payment_intents", &with(&PIX, &[at, (after, "")]))
        .await;
    assert_eq!(
        made["next_action"]["pix_display_qr_code"]["expires_at"].to_string(),
        instant
    );
    assert_eq!(
        stripe
            .post("/v1/payment_intents", &with(&PIX, &[at]))
            .await
            .refused(400),
        ""
    );
    for seconds in ["59", "1209601", "-1", "1.5"] {
        let answer = stripe
            .post("/v1/payment_intents", &with(&PIX, &[(after, seconds)]))
            .await;
        assert_eq!(
            answer.refused(400),
            "parameter_invalid_integer",
            "{seconds}"
        );
        assert_eq!(answer.body["error"]["param"], after);
    }
}

fn chrono_now() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

#[tokio::test]
async fn the_payers_address_decides_in_the_sandbox() {
    let stripe = Stripe::start().await;
    let email = "payment_method_data[billing_details][email]";
    let after_s = [
        ("x+succeed_immediately@b.com", 0, "succeeded"),
        ("expire_immediately@b.com", 0, "requires_payment_method"),
        ("expire_with_delay@b.com", 0, "requires_action"),
        ("expire_with_delay@b.com", 181, "requires_payment_method"),
        ("fill_never@b.com", 181, "requires_action"),
        ("anything@b.com", 181, "succeeded"),
    ];
    stripe
        .behave(json!({ "plain_email_pays_after_s": 180 }))
        .await;
    for (address, seconds, status) in after_s {
        let made = stripe
            .make("/v1/payment_intents", &with(&PIX, &[(email, address)]))
            .await;
        stripe.advance(seconds).await;
        let now = stripe
            .read(&format!("/v1/payment_intents/{}", text(&made["id"])))
            .await;
        assert_eq!(now["status"], status, "{address} after {seconds} s");
    }
}

#[tokio::test]
async fn a_live_key_knows_no_deciding_address_and_no_test_object() {
    let mut stripe = Stripe::start().await;
    let test = stripe.make("/v1/payment_intents", &PIX).await;
    stripe.key = "sk_live_loja".to_owned();
    let email = (
        "payment_method_data[billing_details][email]",
        "succeed_immediately@b.com",
    );
    let made = stripe
        .make("/v1/payment_intents", &with(&PIX, &[email]))
        .await;
    assert_eq!(made["livemode"], true);
    let now = stripe
        .read(&format!("/v1/payment_intents/{}", text(&made["id"])))
        .await;
    assert_eq!(now["status"], "requires_action");
    let other = stripe
        .get(&format!("/v1/payment_intents/{}", text(&test["id"])), &[])
        .await;
    assert_eq!(other.refused(404), "resource_missing");
    assert!(text(&other.body["error"]["message"]).contains("a similar object exists in test mode"));
}

#[tokio::test]
async fn a_paid_pix_is_processing_first_where_reported_so() {
    let stripe = Stripe::start().await;
    stripe
        .behave(json!({ "pix_processing": true, "clearing_s": 60 }))
        .await;
    let made = stripe.make("/v1/payment_intents", &PIX).await;
    let path = format!("/v1/payment_intents/{}", text(&made["id"]));
    stripe.act("o1", "pay", json!({})).await;
    assert_eq!(stripe.read(&path).await["status"], "processing");
    assert_eq!(
        stripe.post(&format!("{path}/cancel"), &[]).await.status,
        400
    );
    stripe.advance(60).await;
    assert_eq!(stripe.read(&path).await["status"], "succeeded");
}
