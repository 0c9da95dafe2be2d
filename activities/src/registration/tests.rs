use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::testing::{Server, Stage, text};

const JSON: &str = "content-type: application/json\r\n";

/// Returns the token of a registration that the server received.
fn token(body: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    json["authToken"].as_str().map(ToOwned::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_stored_before_the_gateway_receives_it_and_sent_again_after_a_lost_answer() {
    let posts = AtomicU32::new(0);
    let server = Server::answering(move |request| {
        let empty = text(
            200,
            JSON,
            "{\"object\": \"list\", \"hasMore\": false, \"data\": []}",
        );
        if !request.line().starts_with("POST") {
            return Some(empty);
        }
        Some(match posts.fetch_add(1, Ordering::Relaxed) {
            0 => text(503, "", ""),
            _ => text(
                200,
                JSON,
                "{\"id\": \"wh_1\", \"url\": \"https://in.example.com/\", \"enabled\": true}",
            ),
        })
    })
    .await;
    let stage = Stage::new(&server.url, false).await;
    let about = stage.connect("asaas").await;
    let acts = &stage.activities;
    acts.register_again(&about).await.expect("done");
    let unconfirmed =
        "select coalesce(gateway_id, 'not confirmed') from notification_registrations";
    assert_eq!(stage.texts(unconfirmed).await, ["not confirmed"]);
    let proving = stage.proving(&about).await;
    assert_eq!(proving.len(), 1, "what the gateway may have proves already");
    acts.register_again(&about).await.expect("done");
    assert_eq!(stage.texts(unconfirmed).await, ["wh_1"]);
    let sent: Vec<_> = server
        .requests()
        .iter()
        .filter_map(|request| token(&request.body))
        .collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0], proving[0].secret.expose_secret());
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_that_are_not_proved_are_alerted_once_an_hour() {
    let server = Server::with_status(503, "").await;
    let stage = Stage::new(&server.url, false).await;
    let from = stage.connect("asaas").await;
    let mut asked = 0;
    for _ in 0..10 {
        asked += u32::from(stage.activities.unproved(&from).await.expect("counted"));
    }
    assert_eq!(asked, 1);
    let alerts = "select data #>> '{reason,code}' from events where type = 'gateway_connection.action_required'";
    assert_eq!(stage.texts(alerts).await, ["notifications_unproved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_checked_delays_no_other() {
    let server = Server::answering(|request| {
        Some(match request.header("access_token") {
            Some("$aact_hmlg_denied") => text(
                401,
                JSON,
                "{\"errors\": [{\"code\": \"invalid_access_token\"}]}",
            ),
            _ => text(503, "", ""),
        })
    })
    .await;
    let stage = Stage::new(&server.url, false).await;
    let broken = stage.connect("broken").await;
    stage.connect("away").await;
    stage.connect("denied").await;
    stage
        .run(&format!(
            "update gateway_connections set checked_at = app_now() - interval '1 day';
             update gateway_credentials set sealed = 'broken' where connection_id = '{}'",
            broken.id.uuid()
        ))
        .await;
    stage.activities.check_connections().await.expect("checked");
    let alerts = stage
        .texts("select c.label || ' ' || a.code from connection_alerts a join gateway_connections c on c.id = a.connection_id")
        .await;
    assert_eq!(alerts, ["denied credentials_refused"]);
    let due = stage.texts("select count(*)::text from gateway_connections where checked_at < app_now() - interval '1 hour'").await;
    assert_eq!(due, ["0"], "each has its next check on schedule");
}
