//! What callers get wrong.

use reqwest::Method;
use schemas::gateway::GatewayKind;
use serde_json::{Value, json};
use tests::{Api, Options, Stack, api::pix};

/// What a problem's `doc_url` says of a code.
async fn explained(stack: &Stack, code: &str) -> String {
    let url = stack
        .api
        .base
        .join(&format!("/docs/errors/{code}"))
        .expect("a URL");
    let answer = tests::http().get(url).send().await.expect("an answer");
    answer.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_named_field_by_field_and_nothing_is_stored() {
    let stack = Stack::start().await;
    let body = json!({
        "amount": 0, "colour": "red",
        "payer": { "name": "", "document": "52998224724", "email": "nobody" },
        "payment_method": { "type": "pix", "expires_in": 5 },
    });
    let problem = stack.api.post("/v1/charges", &body).await;
    assert_eq!(problem.headers["content-type"], "application/problem+json");
    let request_id = problem.headers["request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let problem = problem.expect(422);
    let names: Vec<_> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["param"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "amount",
            "colour",
            "payer.document",
            "payer.email",
            "payer.name",
            "payment_method.expires_in"
        ]
    );
    assert_eq!(problem["request_id"], request_id);
    assert!(
        !problem.to_string().contains("52998224724"),
        "what was sent is not repeated"
    );
    assert!(
        explained(&stack, "invalid_request")
            .await
            .contains("invalid_request")
    );

    assert_eq!(
        stack
            .api
            .send(Method::POST, "/v1/charges", None, Some(&pix()))
            .await
            .expect(400)["code"],
        "idempotency_key_required"
    );
    assert_eq!(
        stack
            .api
            .send(Method::POST, "/v1/charges", Some("k"), None)
            .await
            .expect(400)["code"],
        "malformed_body"
    );
    let mut long = pix();
    long["metadata"] = json!({ "note": "x".repeat(70_000) });
    assert_eq!(
        stack.api.post("/v1/charges", &long).await.expect(413)["code"],
        "body_too_large"
    );

    let stored = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(stored["data"], json!([]));
    assert!(stack.efi.charges().await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_nothing() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    let path = format!("/v1/charges/{}", charge["id"].as_str().expect("an id"));
    let nobody = Api::new(stack.api.base.clone(), "sk_test_wrong");
    assert_eq!(
        nobody.get(&path).await.expect(401)["code"],
        "unauthenticated"
    );

    let mut db = stack.store.pool.acquire().await.expect("a connection");
    let other = store::merchants::insert(&mut db, stack.store.master(), "Outra")
        .await
        .expect("a merchant");
    let (test, live) = (schemas::gateway::Mode::Test, schemas::gateway::Mode::Live);
    let read = schemas::merchant::Permission::Read;
    for (merchant, mode) in [(other, test), (stack.merchant, live)] {
        let (_, key) = store::api_keys::insert(&mut db, merchant, mode, read, "")
            .await
            .expect("a key");
        let stranger = Api::new(
            stack.api.base.clone(),
            secrecy::ExposeSecret::expose_secret(&key),
        );
        assert_eq!(stranger.get(&path).await.expect(404)["code"], "not_found");
        assert_eq!(
            stranger.get("/v1/charges").await.expect(200)["data"],
            json!([])
        );
        assert_eq!(
            stranger.post("/v1/charges", &pix()).await.expect(403)["code"],
            "permission_denied"
        );
    }
    drop(db);
    assert_eq!(
        stack.api.get("/v1/charges/ch_1").await.expect(404)["code"],
        "not_found"
    );
    assert_eq!(
        stack.api.get("/v2/charges").await.expect(404)["code"],
        "not_found"
    );
    assert_eq!(
        stack
            .api
            .send(Method::PUT, "/v1/charges", None, None)
            .await
            .expect(405)["code"],
        "method_not_allowed"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_without_what_a_gateway_wants_tells_which_fallbacks_it_gave_up() {
    let stack = Stack::with(Options {
        gateways: vec![GatewayKind::Efi, GatewayKind::Stripe],
        ..Options::default()
    })
    .await;
    let mut body = pix();
    body["payer"]
        .as_object_mut()
        .expect("an object")
        .remove("email");
    let charge = stack.api.charge(&body).await;
    assert_eq!(charge["fallbacks"][0]["gateway"], "stripe");
    assert_eq!(charge["fallbacks"][0]["unmet"][0]["field"], "payer.email");
    body["require_fallback"] = Value::Bool(true);
    let problem = stack.api.post("/v1/charges", &body).await.expect(422);
    assert_eq!(problem["code"], "fallback_required");
    assert_eq!(problem["errors"][0]["param"], "payer.email");

    let stripe = Stack::with(Options {
        gateways: vec![GatewayKind::Stripe],
        ..Options::default()
    })
    .await;
    body["require_fallback"] = Value::Bool(false);
    assert_eq!(
        stripe.api.post("/v1/charges", &body).await.expect(422)["code"],
        "no_eligible_gateway"
    );
    let none = Stack::with(Options {
        gateways: vec![],
        ..Options::default()
    })
    .await;
    assert_eq!(
        none.api.post("/v1/charges", &pix()).await.expect(422)["code"],
        "no_gateway_connection"
    );
    for stack in [stack, stripe, none] {
        stack.stop().await;
    }
}
