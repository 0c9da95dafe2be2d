//! Webhook deliveries until the merchant's server has accepted them.

use std::collections::BTreeSet;

use serde_json::json;
use tests::{Receiver, Stack, api::pix, bench::append_event, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_down_receives_it_later_under_the_same_id() {
    let stack = Stack::start().await;
    stack.merchant_server.answer([500, 503]);
    let charge = stack.api.charge(&pix()).await;
    let received = stack
        .merchant_server
        .received("charge.pending", charge["id"].as_str().expect("an id"))
        .await;
    let tries: Vec<_> = stack
        .merchant_server
        .arrived()
        .into_iter()
        .filter(|a| a.id == received.id)
        .map(|a| a.answered)
        .collect();
    assert_eq!(tries, [500, 503, 204]);
    assert_eq!(received.event["id"], received.id);
    // the answer is recorded after it arrived
    eventually("three attempts are recorded", || async {
        let id = charge["id"].as_str().expect("an id");
        let deliveries = stack.api.timeline(id, "delivery").await;
        let attempts = deliveries[0]["delivery"]["attempts"].clone();
        if attempts == 3 { Ok(()) } else { Err(attempts) }
    })
    .await;
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
    stack.merchant_server.answer([410]);
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
            .merchant_server
            .received("charge.pending", charge["id"].as_str().expect("an id"))
            .await;
    }
    assert_eq!(stack.api.get(&path).await.expect(200)["status"], "active");
    let reported = stack.api.events("type=webhook_endpoint.paused", 1).await;
    assert_eq!(reported.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_endpoint_receives_nothing_and_its_secret_is_reported_once() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_and_a_slow_endpoint_take_no_delivery_from_the_healthy_eight() {
    let stack = Stack::start().await;
    let mut receivers = Vec::new();
    for _ in 0..10 {
        let receiver = Receiver::open().await;
        let body = json!({ "url": receiver.url });
        let added = stack.api.post("/v1/webhook_endpoints", &body).await;
        added.expect(201);
        receivers.push(receiver);
    }
    // the ninth does not answer, and the port of the tenth refuses connections
    receivers[8].hold();
    receivers.truncate(9);
    let mut written = BTreeSet::new();
    for _ in 0..10 {
        let mut tx = stack.store.begin().await.expect("a transaction");
        let (event, due) = append_event(&mut tx, stack.merchant).await;
        tx.commit().await.expect("committed");
        assert_eq!(due.len(), 11);
        stack.running.activities.starter.start_deliveries(due);
        written.insert(event.to_string());
    }
    for receiver in &receivers[..8] {
        eventually("each event arrives", || async {
            let arrived = receiver.arrived().into_iter().map(|post| post.id);
            let arrived = arrived.collect::<BTreeSet<_>>();
            // the pause of the dead endpoint is an event as well
            let missing = written.difference(&arrived).count();
            if missing == 0 { Ok(()) } else { Err(missing) }
        })
        .await;
    }
    receivers[8].release();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_start_is_lost_is_started_again_without_the_sweep() {
    // no sweep runs in this stack
    let stack = Stack::start().await;
    stack.temporal.cut();
    // neither its own workflow nor its event's delivery can be started
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["status"], "pending", "{charge}");
    stack.temporal.repair();
    let id = charge["id"].as_str().expect("an id");
    stack.merchant_server.received("charge.pending", id).await;
    stack.stop().await;
}
