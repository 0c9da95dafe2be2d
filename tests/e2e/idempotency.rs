//! Repeated requests with one idempotency key, and repeated orders with one reference.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Stack,
    api::{PAYER_NAME, pix},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_twice_makes_one_charge_and_replays_the_answer() {
    let stack = Stack::start().await;
    let post = || async {
        stack
            .api
            .send(Method::POST, "/v1/charges", Some("pedido-1"), Some(&pix()))
            .await
    };
    let (one, two) = tokio::join!(post(), post());
    let three = post().await;
    let replays = [&one, &two, &three]
        .iter()
        .filter(|a| a.headers.contains_key("idempotent-replayed"))
        .count();
    assert_eq!(replays, 2);
    let ids: Vec<_> = [one, two, three]
        .into_iter()
        .map(|answer| answer.expect(201)["id"].clone())
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    assert_eq!(stack.efi.charges().await.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused_and_nothing_is_stored() {
    let stack = Stack::start().await;
    stack
        .api
        .send(Method::POST, "/v1/charges", Some("k"), Some(&pix()))
        .await
        .expect(201);
    let mut other = pix();
    other["amount"] = json!(999);
    let refused = stack
        .api
        .send(Method::POST, "/v1/charges", Some("k"), Some(&other))
        .await
        .expect(422);
    assert_eq!(refused["code"], "idempotency_key_reused");
    let charges = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(charges["data"].as_array().map(Vec::len), Some(1));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reloaded_checkout_page_gets_the_open_charge_of_its_order() {
    let stack = Stack::start().await;
    let mut order = pix();
    order["reference"] = json!("pedido-7");
    let first = stack.api.charge(&order).await;
    let again = stack.api.post("/v1/charges", &order).await;
    assert_eq!(again.headers["open-charge-returned"], "true");
    assert_eq!(again.expect(200)["id"], first["id"]);
    let mut others = order.clone();
    others["payer"]["document"] = json!("11222333000181");
    let conflict = stack.api.post("/v1/charges", &others).await.expect(409);
    assert_eq!(
        conflict["code"], "reference_in_use",
        "another payer's order"
    );
    order["amount"] = json!(500);
    let conflict = stack.api.post("/v1/charges", &order).await.expect(409);
    assert_eq!(conflict["code"], "reference_in_use");
    assert_eq!(conflict["charge"], first["id"]);
    stack
        .api
        .post(
            &format!(
                "/v1/charges/{}/cancel",
                first["id"].as_str().expect("an id")
            ),
            &json!({}),
        )
        .await
        .expect(200);
    assert_ne!(
        stack.api.charge(&order).await["id"],
        first["id"],
        "a closed charge no longer holds its reference"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_the_same_however_its_values_are_written() {
    let stack = Stack::start().await;
    let post = async |body: &Value| {
        stack
            .api
            .send(Method::POST, "/v1/charges", Some("k"), Some(body))
            .await
    };
    let first = post(&pix()).await.expect(201);
    let mut again = pix();
    again["amount"] = json!(12345.0);
    again["reference"] = Value::Null;
    again["payer"]["name"] = json!(format!(" {PAYER_NAME} "));
    let again = post(&again).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.expect(201)["id"], first["id"]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_merchant_gets_what_it_has_and_nothing_new() {
    let stack = Stack::start().await;
    let post = async |key: &str| {
        stack
            .api
            .send(Method::POST, "/v1/charges", Some(key), Some(&pix()))
            .await
    };
    let first = post("k").await.expect(201);
    let suspend = "update merchants set status = 'suspended' where id = $1";
    stack.run(suspend, stack.merchant.uuid()).await;
    let again = post("k").await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.expect(201)["id"], first["id"]);
    assert_eq!(
        post("another").await.expect(403)["code"],
        "merchant_not_active"
    );
    let charges = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(charges["data"].as_array().map(Vec::len), Some(1));
    stack.stop().await;
}
