//! Tests of refused requests and their errors.

use reqwest::Method;
use serde_json::json;

use crate::client::{PAGE, PIX, Stripe, text, with};

const INTENTS: &str = "/v1/payment_intents";

#[tokio::test]
async fn a_request_without_a_good_key_is_a_401() {
    let mut stripe = Stripe::start().await;
    for (key, says) in [
        ("", "did not provide"),
        ("sk_test_revoked1", "Invalid API Key"),
        ("pk_test_loja", "Invalid API Key"),
        ("sk_test_expired1", "Expired"),
    ] {
        stripe.key = key.to_owned();
        let answer = stripe.post(INTENTS, &PIX).await;
        answer.refused(401);
        assert!(
            text(&answer.body["error"]["message"]).contains(says),
            "{key}: {}",
            answer.body
        );
        assert!(!answer.body.to_string().contains("revoked1"));
    }
    let basic = stripe
        .http
        .get(stripe.base.join("/v1/balance").unwrap())
        .basic_auth("sk_test_loja", Some(""));
    assert_eq!(basic.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn unknown_and_missing_parameters_are_named() {
    let stripe = Stripe::start().await;
    for unknown in [
        "amonut",
        "payment_method_options[pix][expiry]",
        "metadata",
        "payment_method_data[pix][key]",
    ] {
        let answer = stripe.post(INTENTS, &with(&PIX, &[(unknown, "1")])).await;
        assert_eq!(answer.refused(400), "parameter_unknown");
        assert_eq!(answer.body["error"]["param"], unknown);
        assert!(
            text(&answer.body["error"]["request_log_url"]).ends_with(answer.header("request-id"))
        );
    }
    for missing in ["amount", "currency"] {
        let answer = stripe.post(INTENTS, &with(&PIX, &[(missing, "")])).await;
        assert_eq!(answer.refused(400), "parameter_missing");
        assert_eq!(answer.body["error"]["param"], missing);
        assert_eq!(
            answer.body["error"]["message"],
            format!("Missing required param: {missing}.")
        );
    }
    for missing in [
        "mode",
        "success_url",
        "line_items[0][quantity]",
        "line_items[0][price_data][product_data][name]",
    ] {
        let answer = stripe
            .post("/v1/checkout/sessions", &with(&PAGE, &[(missing, "")]))
            .await;
        assert_eq!(answer.refused(400), "parameter_missing");
        assert_eq!(answer.body["error"]["param"], missing);
    }
    let query = [("color", "red")];
    for path in [
        INTENTS,
        "/v1/charges",
        "/v1/refunds",
        "/v1/disputes",
        "/v1/events",
        "/v1/balance",
        "/v1/account",
    ] {
        assert_eq!(
            stripe.get(path, &query).await.refused(400),
            "parameter_unknown",
            "{path}"
        );
    }
}

#[tokio::test]
async fn values_have_limits() {
    let stripe = Stripe::start().await;
    let long = "x".repeat(501);
    for (name, value, code) in [
        ("amount", "49", "amount_too_small"),
        ("amount", "100000000", "amount_too_large"),
        ("amount", "1.5", "parameter_invalid_integer"),
        ("currency", "usd", "invalid_currency"),
        ("confirm", "yes", ""),
        ("metadata[note]", &long, ""),
        (
            "payment_method_types[0]",
            "paypal",
            "payment_intent_invalid_parameter",
        ),
        ("payment_method_data[type]", "boleto", "parameter_missing"),
        ("customer", "cus_1", "resource_missing"),
    ] {
        let answer = stripe.post(INTENTS, &with(&PIX, &[(name, value)])).await;
        assert_eq!(answer.refused(400), code, "{name}={value}");
    }
    let version = stripe
        .send(
            Method::GET,
            "/v1/balance",
            &[],
            &[("Stripe-Version", "yesterday")],
        )
        .await;
    assert_eq!(version.status, 400);
}

#[tokio::test]
async fn an_account_may_lack_pix_or_boleto() {
    let mut stripe = Stripe::start().await;
    stripe.key = "sk_test_loja_no_pix".to_owned();
    let answer = stripe.post(INTENTS, &PIX).await;
    answer.refused(400);
    assert_eq!(answer.body["error"]["param"], "payment_method_types");
    assert_eq!(answer.body["error"]["type"], "invalid_request_error");
    assert_eq!(
        stripe.post(INTENTS, &crate::client::BOLETO).await.status,
        200
    );
    stripe.key = "sk_test_loja_no_boleto".to_owned();
    assert_eq!(
        stripe.post(INTENTS, &crate::client::BOLETO).await.body["error"]["param"],
        "payment_method_types"
    );
    let account = stripe.read("/v1/account").await;
    assert_eq!(
        (&account["id"], &account["capabilities"]["boleto_payments"]),
        (&json!("acct_loja_no_boleto"), &json!("inactive"))
    );
}

#[tokio::test]
async fn what_is_absent_is_a_404_of_its_kind() {
    let stripe = Stripe::start().await;
    for (path, name, param) in [
        ("payment_intents/pi_1", "payment_intent", "intent"),
        ("checkout/sessions/cs_1", "checkout.session", "session"),
        ("charges/ch_1", "charge", "id"),
        ("refunds/re_1", "refund", "refund"),
        ("disputes/dp_1", "dispute", "dispute"),
        ("events/evt_1", "event", "id"),
        ("balance_transactions/txn_1", "balance transaction", "id"),
        ("payment_methods/pm_1", "PaymentMethod", "payment_method"),
    ] {
        let answer = stripe.get(&format!("/v1/{path}"), &[]).await;
        assert_eq!(answer.refused(404), "resource_missing");
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(
            answer.body["error"]["message"],
            format!("No such {name}: '{id}'")
        );
        assert_eq!(answer.body["error"]["param"], param);
    }
    let nowhere = stripe.get("/v1/nothing/here", &[]).await;
    assert_eq!(nowhere.status, 404);
    assert!(
        text(&nowhere.body["error"]["message"])
            .starts_with("Unrecognized request URL (GET: /v1/nothing/here)")
    );
}

#[tokio::test]
async fn injected_errors_have_stripes_shape() {
    let stripe = Stripe::start().await;
    for (status, kind) in [
        (401, "invalid_request_error"),
        (402, "card_error"),
        (409, "invalid_request_error"),
        (429, "invalid_request_error"),
        (503, "api_error"),
    ] {
        stripe
            .control(
                Method::POST,
                "faults",
                &json!({ "kind": "status", "status": status, "times": 1 }),
            )
            .await;
        let answer = stripe.get("/v1/balance", &[]).await;
        assert_eq!(
            (u64::from(answer.status), &answer.body["error"]["type"]),
            (status, &json!(kind))
        );
        assert_eq!(
            !answer.header("stripe-rate-limited-reason").is_empty(),
            status == 429
        );
    }
}
