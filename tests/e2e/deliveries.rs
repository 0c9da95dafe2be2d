//! Webhooks, until the merchant's server has accepted them.

use std::{collections::HashMap, time::Duration};

use activities::Timing;
use chrono::{DateTime, Utc};
use schemas::id::EventId;
use serde_json::json;
use tests::{
    Options, Receiver, Stack,
    api::pix,
    bench::{append, rows},
    eventually,
    receiver::Reply,
};
use uuid::Uuid;

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

/// Sends `events` to all endpoints, one a second; returns when each was written.
async fn send(stack: &Stack, events: usize) -> HashMap<String, DateTime<Utc>> {
    let from = store::new_id();
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..events {
        beat.tick().await;
        let mut tx = stack.store.begin().await.expect("a transaction");
        let due = append(&mut tx, stack.merchant).await;
        tx.commit().await.expect("committed");
        stack.running.activities.starter.start_deliveries(due);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sql = "select id, created_at from events where id > $1";
    let written: Vec<(Uuid, DateTime<Utc>)> = rows(&stack.store, sql, from).await;
    let named = written
        .into_iter()
        .map(|(id, at)| (EventId(id).to_string(), at));
    named.collect()
}

/// The 50th and the 99th percentile of the time until the first eight received each, in ms, and how many are missing: a Temporal that is
/// too busy loses starts, and this stack has no sweep.
fn received(shops: &[Receiver], sent: &HashMap<String, DateTime<Utc>>) -> (i64, i64, usize) {
    let posts = shops[..8].iter().flat_map(Receiver::arrived);
    let mut took: Vec<_> = posts
        .filter_map(|post| {
            let at = DateTime::<Utc>::from(post.at);
            Some((at - *sent.get(&post.id)?).num_milliseconds())
        })
        .collect();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    (at(50), at(99), 8 * sent.len() - took.len())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for a quiet machine"]
async fn a_dead_and_a_slow_endpoint_delay_none_of_the_healthy_eight() {
    let stack = Stack::with(Options {
        timing: Timing::default(),
        ..Options::default()
    })
    .await;
    let mut shops = Vec::new();
    for _ in 0..10 {
        let shop = Receiver::open().await;
        let body = json!({ "url": shop.url });
        stack
            .api
            .post("/v1/webhook_endpoints", &body)
            .await
            .expect(201);
        shops.push(shop);
    }
    send(&stack, 10).await;
    let healthy = received(&shops, &send(&stack, 45).await);
    shops[8].reply(Reply {
        after: Duration::from_secs(10),
        ..Reply::status(204)
    });
    shops.truncate(9);
    let faulty = received(&shops, &send(&stack, 75).await);
    eprintln!(
        "p50, p99, missing of eight healthy endpoints in ms: all ten healthy {healthy:?}, one dead and one at 10 s {faulty:?}"
    );
    let sql = "select state, look_at is null, has_turn, count(*) from deliveries where id > $1 group by 1, 2, 3 order by 1, 2, 3";
    let counts: Vec<(String, bool, bool, i64)> = rows(&stack.store, sql, Uuid::nil()).await;
    eprintln!("deliveries by state, parked, with a turn: {counts:?}");
    stack.stop().await;
}
