//! Our address at Asaas: its queue stops after failures, and somebody may switch it off.

use gateways::{Gateway, Subscription};
use serde_json::json;
use url::Url;

use super::{panel::Panel, pix};

fn address() -> Url {
    Url::parse("https://notifications.example.com/notifications/gc_1/s3cret").expect("an address")
}

async fn codes(gateway: &dyn Gateway) -> Vec<(&'static str, bool)> {
    let watched = gateway.watch(&address(), false).await.expect("a look");
    let findings = watched.findings.iter();
    findings
        .map(|finding| (finding.code, finding.repaired))
        .collect()
}

#[tokio::test]
async fn an_interrupted_queue_runs_again() {
    let bench = pix().await;
    let gateway = bench.subscribed(&address()).await;
    Panel::of(&bench)
        .change_webhook(json!({ "interrupted": true }))
        .await;
    assert_eq!(
        codes(gateway.as_ref()).await,
        [("notifications_interrupted", true)]
    );
    assert_eq!(codes(gateway.as_ref()).await, []);
}

#[tokio::test]
async fn notifications_switched_off_are_registered_anew_with_a_new_token() {
    let bench = pix().await;
    let gateway = bench.subscribed(&address()).await;
    Panel::of(&bench)
        .change_webhook(json!({ "enabled": false }))
        .await;
    let watched = gateway.watch(&address(), false).await.expect("a look");
    assert_eq!(watched.findings.len(), 1);
    assert_eq!(watched.findings[0].code, "notifications_disabled");
    assert!(matches!(
        watched.subscription,
        Some(Subscription::Secret(_))
    ));
    assert_eq!(codes(gateway.as_ref()).await, []);
}

#[tokio::test]
async fn a_registration_that_knows_too_few_events_learns_the_others() {
    let bench = pix().await;
    let gateway = bench.subscribed(&address()).await;
    let few = json!({ "events": ["PAYMENT_CONFIRMED", "PAYMENT_RECEIVED"] });
    Panel::of(&bench).change_webhook(few).await;
    assert_eq!(codes(gateway.as_ref()).await, [("events_missing", true)]);
    assert_eq!(codes(gateway.as_ref()).await, []);
}

#[tokio::test]
async fn a_token_that_was_lost_is_replaced() {
    let bench = pix().await;
    bench.subscribed(&address()).await;
    // the same account, whose token nobody remembered
    assert_eq!(
        codes(bench.gateway.as_ref()).await,
        [("token_missing", true)]
    );
}

#[tokio::test]
async fn a_queue_that_is_punished_is_reported() {
    let bench = pix().await;
    let closed = Url::parse("http://127.0.0.1:9/notifications").expect("an address");
    let gateway = bench.subscribed(&closed).await;
    bench.charged().await;
    Panel::of(&bench).until_punished().await;
    let watched = gateway.watch(&closed, false).await.expect("a look");
    let findings: Vec<_> = watched
        .findings
        .iter()
        .map(|finding| (finding.code, finding.repaired))
        .collect();
    assert_eq!(findings, [("notifications_penalized", false)]);
}

#[tokio::test]
async fn registering_again_leaves_one_address() {
    let bench = pix().await;
    bench.subscribed(&address()).await;
    let again = bench.subscribed(&address()).await;
    assert_eq!(codes(again.as_ref()).await, []);
    assert_eq!(Panel::of(&bench).webhooks().await.len(), 1);
}
