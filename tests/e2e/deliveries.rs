//! Webhooks, until the merchant's server has accepted them.

use serde_json::json;
use tests::{Stack, api::pix, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_down_hears_it_later_under_the_same_id() {
    let stack = Stack::start().await;
    stack.shop.answer([500, 503]);
    let charge = stack.api.charge(&pix()).await;
    let heard = stack
        .shop
        .heard("charge.pending", charge["id"].as_str().expect("an id"))
        .await;
    let tries: Vec<_> = stack
        .shop
        .arrived()
        .into_iter()
        .filter(|a| a.id == heard.id)
        .map(|a| a.answered)
        .collect();
    assert_eq!(tries, [500, 503, 204]);
    assert_eq!(heard.event["id"], heard.id);
    let deliveries = stack
        .api
        .timeline(charge["id"].as_str().expect("an id"), "delivery")
        .await;
    assert_eq!(deliveries[0]["delivery"]["attempts"], 3);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_paused_and_catches_up_when_it_is_back() {
    let stack = Stack::with(tests::Options {
        complete: true,
        ..tests::Options::default()
    })
    .await;
    let endpoint = stack.api.get("/v1/webhook_endpoints").await.expect(200)["data"][0].clone();
    let path = format!(
        "/v1/webhook_endpoints/{}",
        endpoint["id"].as_str().expect("an id")
    );
    stack.shop.answer([410]);
    let first = stack.api.charge(&pix()).await;
    eventually("the endpoint is paused", || async {
        let status = stack.api.get(&path).await.expect(200)["status"].clone();
        if status == "paused" {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    let second = stack.api.charge(&pix()).await;
    for charge in [&first, &second] {
        stack
            .shop
            .heard("charge.pending", charge["id"].as_str().expect("an id"))
            .await;
    }
    assert_eq!(stack.api.get(&path).await.expect(200)["status"], "active");
    let told = stack.api.events("type=webhook_endpoint.paused", 1).await;
    assert_eq!(told.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_endpoint_hears_nothing_and_its_secret_is_told_once() {
    let stack = Stack::start().await;
    let endpoint = stack.api.get("/v1/webhook_endpoints").await.expect(200)["data"][0].clone();
    assert_eq!(endpoint["secret"], serde_json::Value::Null);
    let path = format!(
        "/v1/webhook_endpoints/{}",
        endpoint["id"].as_str().expect("an id")
    );
    stack
        .api
        .send(reqwest::Method::DELETE, &path, None, None)
        .await
        .expect(204);
    stack.api.get(&path).await.expect(404);
    let charge = stack.api.charge(&pix()).await;
    assert!(
        stack
            .api
            .timeline(charge["id"].as_str().expect("an id"), "delivery")
            .await
            .is_empty()
    );
    let refused = stack
        .api
        .post(
            "/v1/webhook_endpoints",
            &json!({ "url": "ftp://shop", "events": ["charge.lost"] }),
        )
        .await;
    assert_eq!(refused.expect(422)["errors"][0]["param"], "events.0");
    stack.stop().await;
}
