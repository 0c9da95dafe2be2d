//! Tests of a webhook's queue.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    listener::{Listener, TOKEN},
    server::{TestServer, id},
};

const CREATED: [&str; 1] = ["PAYMENT_CREATED"];

async fn webhook(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/v3/webhooks/{id}")).await
}

/// Reads the webhook until the field has the value. Each read is a call, and the number of calls is limited.
async fn until(server: &TestServer, webhook: &str, field: &str, value: Value) {
    for _ in 0..20_000 {
        let path = format!("/v3/webhooks/{webhook}");
        if server.call(Method::GET, &path, Value::Null).await.1[field] == value {
            return;
        }
    }
    panic!("{field} never was {value}");
}

/// Waits until at least this many consecutive tries failed: the second try follows at once.
async fn until_failed(server: &TestServer, webhook: &str, failures: u64) {
    for _ in 0..20_000 {
        let shown = self::webhook(server, webhook).await;
        if shown["penalizedRequestsCount"].as_u64() >= Some(failures) {
            return;
        }
    }
    panic!("there never were {failures} failures");
}

#[tokio::test]
async fn an_event_is_tokened_and_shows_the_payment() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &CREATED, Value::Null).await;
    let charge = server.charge("PIX", Value::Null).await;
    let (headers, body) = listener.next().await;
    assert_eq!(headers["asaas-access-token"], TOKEN);
    let event = body["id"].as_str().unwrap();
    let (start, number) = event.split_once('&').unwrap();
    assert!(start.len() == 36 && start.starts_with("evt_"), "{event}");
    assert!(number.parse::<u64>().is_ok(), "{event}");
    assert_eq!(body["payment"], charge);
    assert_eq!(body["account"], json!({ "id": "loja", "ownerId": null }));
    assert_eq!(body["dateCreated"].as_str().unwrap().len(), 19);
}

#[tokio::test]
async fn anything_but_200_holds_back_what_comes_after() {
    let server = TestServer::open().await;
    let (mut listener, hook) = Listener::of(&server, &CREATED, Value::Null).await;
    // the second try follows at once, the third after 30 seconds
    listener.answer([204, 500]);
    let first = server.charge("PIX", Value::Null).await;
    let second = server.charge("PIX", Value::Null).await;
    for _ in 0..2 {
        assert_eq!(listener.event().await.1["id"], first["id"]);
    }
    until(&server, &hook, "penalizedRequestsCount", json!(2)).await;
    assert!(listener.is_idle());
    server
        .control(Method::POST, "clock", json!({ "advance_s": 31 }))
        .await;
    assert_eq!(listener.event().await.1["id"], first["id"]);
    assert_eq!(listener.event().await.1["id"], second["id"]);
    until(&server, &hook, "penalizedRequestsCount", json!(0)).await;
}

#[tokio::test]
async fn another_2xx_may_be_accepted_too() {
    let server = TestServer::open().await;
    server.set(json!({ "any_2xx": true })).await;
    let (mut listener, hook) = Listener::of(&server, &CREATED, Value::Null).await;
    listener.answer([204]);
    for _ in 0..2 {
        let charge = server.charge("PIX", Value::Null).await;
        assert_eq!(listener.event().await.1["id"], charge["id"]);
    }
    until(&server, &hook, "penalizedRequestsCount", json!(0)).await;
}

#[tokio::test]
async fn fifteen_failures_interrupt_the_queue_until_an_operator_resumes_it() {
    let server = TestServer::open().await;
    let (mut listener, hook) = Listener::of(&server, &CREATED, Value::Null).await;
    listener.answer([500; 15]);
    let charge = server.charge("PIX", Value::Null).await;
    for failures in 1..=15 {
        assert_eq!(listener.event().await.1["id"], charge["id"]);
        until_failed(&server, &hook, failures).await;
        server
            .control(Method::POST, "clock", json!({ "advance_s": 10_801 }))
            .await;
    }
    assert_eq!(webhook(&server, &hook).await["interrupted"], true);
    let later = server.charge("PIX", Value::Null).await;
    assert!(listener.is_idle(), "nothing is delivered");
    let path = format!("/v3/webhooks/{hook}");
    let go_on = json!({ "interrupted": false });
    let (_, changed) = server.call(Method::PUT, &path, go_on).await;
    assert_eq!(
        (&changed["interrupted"], &changed["penalizedRequestsCount"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(listener.event().await.1["id"], charge["id"]);
    assert_eq!(listener.event().await.1["id"], later["id"]);
}

#[tokio::test]
async fn the_penalty_can_be_lifted() {
    let server = TestServer::open().await;
    let (mut listener, hook) = Listener::of(&server, &CREATED, Value::Null).await;
    listener.answer([500, 500]);
    let charge = server.charge("PIX", Value::Null).await;
    listener.events(2).await;
    until(&server, &hook, "penalizedRequestsCount", json!(2)).await;
    let path = format!("/v3/webhooks/{hook}/removeBackoff");
    assert_eq!(server.post(&path, Value::Null).await, (204, Value::Null));
    assert_eq!(listener.event().await.1["id"], charge["id"]);
}

#[tokio::test]
async fn without_an_order_a_failure_blocks_no_one() {
    let server = TestServer::open().await;
    let loose = json!({ "sendType": "NON_SEQUENTIALLY" });
    let (mut listener, hook) = Listener::of(&server, &CREATED, loose).await;
    listener.answer([500, 500]);
    let first = server.charge("PIX", Value::Null).await;
    listener.events(2).await;
    until(&server, &hook, "penalizedRequestsCount", json!(2)).await;
    let second = server.charge("PIX", Value::Null).await;
    assert_eq!(listener.event().await.1["id"], second["id"]);
    server
        .control(Method::POST, "clock", json!({ "advance_s": 31 }))
        .await;
    assert_eq!(listener.event().await.1["id"], first["id"]);
}

#[tokio::test]
async fn after_fourteen_days_an_event_is_lost() {
    let server = TestServer::open().await;
    let stopped = json!({ "interrupted": true });
    let (mut listener, hook) = Listener::of(&server, &CREATED, stopped).await;
    server.charge("PIX", Value::Null).await;
    server.advance(15).await;
    let late = server
        .make(
            "/v3/payments",
            server
                .order("PIX", json!({ "dueDate": TestServer::day(20) }))
                .await,
        )
        .await;
    let path = format!("/v3/webhooks/{hook}");
    server
        .call(Method::PUT, &path, json!({ "interrupted": false }))
        .await;
    assert_eq!(listener.event().await.1["id"], late["id"]);
}

#[tokio::test]
async fn what_waited_goes_out_with_the_new_token() {
    let server = TestServer::open().await;
    let stopped = json!({ "interrupted": true, "authToken": "old" });
    let (mut listener, hook) = Listener::of(&server, &CREATED, stopped).await;
    server.charge("PIX", Value::Null).await;
    let repair = json!({ "interrupted": false, "authToken": "new" });
    let path = format!("/v3/webhooks/{hook}");
    server.call(Method::PUT, &path, repair).await;
    assert_eq!(listener.next().await.0["asaas-access-token"], "new");
}

#[tokio::test]
async fn there_are_at_most_ten_webhooks_and_they_hide_their_token() {
    let server = TestServer::open().await;
    let (_, first) = Listener::of(&server, &CREATED, Value::Null).await;
    for _ in 0..9 {
        Listener::of(&server, &CREATED, Value::Null).await;
    }
    let eleventh = json!({ "url": "https://host/hooks" });
    assert_eq!(
        server.refused("/v3/webhooks", eleventh.clone()).await,
        "invalid_action"
    );
    let shown = webhook(&server, &first).await;
    assert_eq!(
        (&shown["hasAuthToken"], &shown["authToken"]),
        (&json!(true), &Value::Null)
    );
    let path = format!("/v3/webhooks/{first}");
    assert_eq!(server.call(Method::DELETE, &path, Value::Null).await.0, 200);
    assert_eq!(server.call(Method::GET, &path, Value::Null).await.0, 404);
    let made = server.make("/v3/webhooks", eleventh).await;
    assert_eq!(made["sendType"], "SEQUENTIALLY");
}

#[tokio::test]
async fn unknown_events_cannot_be_asked_for() {
    let server = TestServer::open().await;
    for wrong in [
        json!({ "url": "https://host", "events": ["PAYMENT_LOST"] }),
        json!({ "url": "host", "events": [] }),
        json!({ "url": "https://host", "sendType": "SOMEHOW" }),
    ] {
        assert_eq!(
            server.refused("/v3/webhooks", wrong).await,
            "invalid_object"
        );
    }
}

#[tokio::test]
async fn any_event_can_be_reported_by_hand() {
    let server = TestServer::open().await;
    let (mut listener, _) =
        Listener::of(&server, &["PAYMENT_DUNNING_REQUESTED"], Value::Null).await;
    let charge = server.charge("PIX", Value::Null).await;
    let path = format!("events/{}/PAYMENT_DUNNING_REQUESTED", id(&charge));
    assert_eq!(
        server.control(Method::POST, &path, Value::Null).await.0,
        200
    );
    assert_eq!(
        listener.events(1).await,
        ["PAYMENT_DUNNING_REQUESTED PENDING"]
    );
}

#[tokio::test]
async fn events_can_be_lost_doubled_and_held_back() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &CREATED, Value::Null).await;
    server.set(json!({ "notification_lose_next": 1 })).await;
    server.charge("PIX", Value::Null).await;
    server.set(json!({ "notification_hold_next": 1 })).await;
    let held = server.charge("PIX", Value::Null).await;
    let next = server.charge("PIX", Value::Null).await;
    assert_eq!(listener.event().await.1["id"], next["id"]);
    assert_eq!(listener.event().await.1["id"], held["id"]);
    server.set(json!({ "notification_copies": 2 })).await;
    let doubled = server.charge("PIX", Value::Null).await;
    for _ in 0..2 {
        assert_eq!(listener.event().await.1["id"], doubled["id"]);
    }
}
