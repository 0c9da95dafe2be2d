//! Entries of one body: each is stored or reported by itself.

use super::*;
use crate::testing::{Server, Stage};

fn notice(key: &str, means: NoticeKind) -> GatewayNotice {
    GatewayNotice {
        dedupe_key: key.to_owned(),
        event: "PAYMENT_RECEIVED".to_owned(),
        reference: Some(schemas::id::AttemptId(store::new_id()).reference()),
        charge: None,
        payment: None,
        stated_at: None,
        means,
    }
}

async fn stage() -> (Stage, Connection) {
    let server = Server::with_status(503, "").await;
    let stage = Stage::new(&server.url, false).await;
    let from = stage.connect("asaas").await;
    (stage, from)
}

async fn ingested(stage: &Stage, from: &Connection, entries: Entries) -> Ingested {
    let source = NotificationSource::Received(b"body");
    let ingested = stage.activities.ingest(from, source, entries).await;
    ingested.expect("stored")
}

async fn alerts(stage: &Stage) -> Vec<String> {
    stage.texts("select data #>> '{reason,message}' from events where type = 'gateway_connection.action_required' order by id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_entry_delays_no_other_and_is_alerted_once_per_kind() {
    let (stage, from) = stage().await;
    let entries = |key: &str, kind| Entries {
        notices: vec![notice(key, NoticeKind::Hint)],
        unreadable: vec![
            Unreadable::new(kind, "no amount"),
            Unreadable::new(kind, "no id"),
        ],
    };
    let first = ingested(&stage, &from, entries("evt_1", "asaas_payment")).await;
    assert!(first.is_unreadable);
    assert_eq!(alerts(&stage).await.len(), 1);
    ingested(&stage, &from, entries("evt_2", "asaas_payment")).await;
    assert_eq!(alerts(&stage).await.len(), 1);
    ingested(&stage, &from, entries("evt_3", "asaas_refund")).await;
    assert_eq!(alerts(&stage).await.len(), 2);
    let stored = stage
        .texts("select dedupe_key from unmatched_notifications order by 1")
        .await;
    assert_eq!(stored, ["evt_1", "evt_2", "evt_3"]);
    let reasons = stage
        .texts("select distinct unreadable from notifications order by 1")
        .await;
    assert_eq!(
        reasons,
        [
            "asaas_payment: no amount; asaas_payment: no id",
            "asaas_refund: no amount; asaas_refund: no id"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_no_database_can_hold_delays_no_other() {
    let (stage, from) = stage().await;
    let broken = GatewayNotice {
        event: "PAYMENT\0".to_owned(),
        ..notice("evt_1", NoticeKind::Hint)
    };
    let entries = Entries::from(vec![broken, notice("evt_2", NoticeKind::Hint)]);
    let ingested = ingested(&stage, &from, entries).await;
    assert!(ingested.is_unreadable);
    let stored = stage
        .texts("select dedupe_key from unmatched_notifications")
        .await;
    assert_eq!(stored, ["evt_2"]);
    assert_eq!(alerts(&stage).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_stored_before_it_is_resolved_and_postponed_if_that_fails() {
    let (stage, from) = stage().await;
    let entries = Entries::from(vec![notice("t", NoticeKind::Token("tok_1".to_owned()))]);
    assert!(ingested(&stage, &from, entries).await.has_tokens);
    // the connection cannot be opened
    stage
        .run("update gateway_credentials set sealed = 'broken'")
        .await;
    stage
        .activities
        .fetch_tokens(Some(from.id))
        .await
        .expect("done");
    let row = stage.texts("select token || ' ' || checks || ' ' || (next_check_at > app_now()) from notification_tokens").await;
    assert_eq!(row, ["tok_1 1 true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_about_other_business_only_is_foreign_and_not_stored() {
    let (stage, from) = stage().await;
    let other = GatewayNotice {
        reference: Some("order 7".to_owned()),
        ..notice("evt_1", NoticeKind::Hint)
    };
    let ingested = ingested(&stage, &from, Entries::from(vec![other])).await;
    assert!(ingested.is_foreign && !ingested.is_unreadable);
    assert_eq!(
        stage
            .texts("select count(*)::text from notifications")
            .await,
        ["0"]
    );
}
