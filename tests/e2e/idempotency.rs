//! The same request twice, the same order twice.

use reqwest::Method;
use serde_json::json;
use tests::{Stack, api::pix};

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
    let again = stack.api.post("/v1/charges", &order).await.expect(200);
    assert_eq!(again["id"], first["id"]);
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
