//! Invalid requests of callers.

use reqwest::Method;
use schemas::gateway::GatewayKind;
use serde_json::{Value, json};
use tests::{Api, Options, Stack, api::pix};

/// Returns the page that a problem's `doc_url` links to for a code.
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
        "amount": 0, "color": "red",
        "payer": { "name": "", "document": "52998224724", "email": "no-email" },
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
            "color",
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
    let anonymous = Api::new(stack.api.base.clone(), "sk_test_wrong");
    assert_eq!(
        anonymous.get(&path).await.expect(401)["code"],
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
        let third_party = Api::new(
            stack.api.base.clone(),
            secrecy::ExposeSecret::expose_secret(&key),
        );
        assert_eq!(
            third_party.get(&path).await.expect(404)["code"],
            "not_found"
        );
        assert_eq!(
            third_party.get("/v1/charges").await.expect(200)["data"],
            json!([])
        );
        assert_eq!(
            third_party.post("/v1/charges", &pix()).await.expect(403)["code"],
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
async fn a_charge_without_what_a_gateway_wants_reports_which_fallbacks_it_gave_up() {
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

/// Sends a request body as raw bytes that a JSON writer would not produce.
async fn raw(stack: &Stack, path: &str, scheme: &str, body: &str) -> (u16, Value) {
    let answer = tests::http()
        .post(stack.api.base.join(path).expect("a path"))
        .header("authorization", format!("{scheme} {}", stack.api.key))
        .header("idempotency-key", uuid::Uuid::new_v4().to_string())
        .body(body.to_owned())
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

fn first_wrong(problem: &Value) -> (&str, &str) {
    (
        problem["code"].as_str().unwrap_or_default(),
        problem["param"].as_str().unwrap_or_default(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_database_can_hold_is_a_mistake_that_is_named_wherever_it_is() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    for bad in ["a\0b", "a\nb", "\u{202E}x"] {
        for field in ["description", "reference", "payer.name", "metadata.a"] {
            let mut body = pix();
            match field.split_once('.') {
                Some((object, name)) => body[object][name] = json!(bad),
                None => body[field] = json!(bad),
            }
            let problem = stack.api.post("/v1/charges", &body).await.expect(422);
            assert_eq!(first_wrong(&problem), ("invalid_request", field), "{bad:?}");
        }
        for (path, body, field) in [
            (
                format!("/v1/charges/{id}/refunds"),
                json!({ "reason": bad }),
                "reason",
            ),
            (
                "/v1/webhook_endpoints".to_owned(),
                json!({ "url": stack.merchant_server.url, "description": bad }),
                "description",
            ),
        ] {
            let problem = stack.api.post(&path, &body).await.expect(422);
            assert_eq!(first_wrong(&problem), ("invalid_request", field), "{bad:?}");
        }
    }
    for (path, field) in [
        ("/v1/charges?reference=%00", "reference"),
        ("/v1/charges?reference=%FF", "reference"),
        ("/v1/refunds?charge=%00", "charge"),
        ("/v1/events?type=a%0A", "type"),
        ("/v1/charges/%00", "id"),
        ("/v1/charges/%ff", "id"),
        ("/v1/charges/%ff/timeline", "id"),
    ] {
        let problem = stack.api.get(path).await.expect(422);
        assert_eq!(first_wrong(&problem), ("invalid_request", field), "{path}");
    }
    let lone = pix().to_string().replace("Pedido 123", "\\ud800");
    let (status, problem) = raw(&stack, "/v1/charges", "Bearer", &lone).await;
    assert_eq!(
        (status, first_wrong(&problem)),
        (422, ("invalid_request", "description"))
    );
    let charges = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(charges["data"].as_array().map(Vec::len), Some(1));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_languages_write_is_understood() {
    let stack = Stack::start().await;
    let body = json!({
        "amount": 12345.0, "currency": null, "reference": null, "description": "  Jose\u{301} ",
        "payer": {
            "name": "Maria da Silva", "document": "529.982.247-25", "email": "maria@example.com", "phone": "+55 (11) 98765-4321",
            "address": {
                "street": "Rua A", "number": "1", "complement": null, "district": "Centro", "city": "São Paulo", "state": "SP",
                "postal_code": "01310-100",
            },
        },
        "payment_method": { "type": "pix", "expires_in": 3600.0, "due": null },
    });
    for scheme in ["bearer", "BEARER"] {
        let text = body.to_string().replace("12345.0", "1.2345e4");
        let (status, charge) = raw(&stack, "/v1/charges", scheme, &text).await;
        assert_eq!(status, 201, "{charge}");
        assert_eq!(charge["amount"], 12345);
        assert_eq!(charge["description"], "José");
        assert_eq!(charge["payer"]["phone"], "11987654321");
        assert_eq!(charge["payer"]["address"]["postal_code"], "01310100");
    }
    let mut far = body;
    far["payment_method"] =
        json!({ "type": "boleto", "due_date": "9999-12-31", "days_after_due": 120 });
    let problem = stack.api.post("/v1/charges", &far).await.expect(422);
    assert_eq!(
        first_wrong(&problem),
        ("invalid_request", "payment_method.due_date")
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_not_on_the_port_of_clients() {
    let stack = Stack::start().await;
    assert_eq!(
        stack.api.get("/metrics").await.expect(404)["code"],
        "not_found"
    );
    let own = Method::from_bytes(b"ZZTOP1").expect("a method");
    stack
        .api
        .send(own, "/v1/charges", None, None)
        .await
        .expect(405);
    let answer = tests::http().get(stack.metrics()).send().await;
    let text = answer.expect("an answer").text().await.expect("text");
    assert!(text.contains("overdue_checks_max_age_seconds"), "{text}");
    assert!(!text.contains("ZZTOP1"), "a client's own word is no label");
    stack.stop().await;
}
