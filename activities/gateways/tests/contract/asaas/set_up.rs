//! Our address at Asaas: its queue stops after failures, and the merchant may disable it.

use gateways::CheckReport;
use serde_json::json;
use url::Url;

use super::{dashboard::Dashboard, pix};
use crate::bench::codes;

fn address() -> Url {
    Url::parse("https://notifications.example.com/notifications/gc_1/s3cret").expect("an address")
}

#[tokio::test]
async fn an_interrupted_queue_runs_again() {
    let bench = pix().await;
    let registered = bench.subscribed(&address()).await;
    let dashboard = Dashboard::of(&bench);
    dashboard
        .change_webhook(json!({ "interrupted": true }))
        .await;
    let report = registered.check(&address(), false).await;
    assert_eq!(codes(&report), [("notifications_interrupted", true)]);
    assert_eq!(
        registered.check(&address(), false).await,
        CheckReport::default()
    );
}

#[tokio::test]
async fn notifications_switched_off_or_without_a_token_must_be_registered_again() {
    let bench = pix().await;
    for (change, code) in [
        (json!({ "enabled": false }), "notifications_disabled"),
        (json!({ "authToken": null }), "token_missing"),
    ] {
        let registered = bench.subscribed(&address()).await;
        Dashboard::of(&bench).change_webhook(change).await;
        let lost = registered.check(&address(), false).await.lost;
        assert_eq!(lost.map(|issue| issue.code), Some(code));
        let registered = bench.subscribed(&address()).await;
        assert_eq!(
            registered.check(&address(), false).await,
            CheckReport::default()
        );
    }
}

#[tokio::test]
async fn a_registration_that_knows_too_few_events_learns_the_others() {
    let bench = pix().await;
    let registered = bench.subscribed(&address()).await;
    let few = json!({ "events": ["PAYMENT_CONFIRMED", "PAYMENT_RECEIVED"] });
    Dashboard::of(&bench).change_webhook(few).await;
    let report = registered.check(&address(), false).await;
    assert_eq!(codes(&report), [("events_missing", true)]);
    assert_eq!(
        registered.check(&address(), false).await,
        CheckReport::default()
    );
}

#[tokio::test]
async fn a_registration_whose_token_is_not_known_must_be_made_again() {
    let bench = pix().await;
    let registered = bench.subscribed(&address()).await;
    // the same account, whose token was never stored
    let report = bench.gateway.check(&address(), false, &[]).await;
    let lost = report.expect("a check").lost;
    assert_eq!(lost.map(|issue| issue.code), Some("token_missing"));
    // the merchant removed ours, and registered the same address
    let dashboard = Dashboard::of(&bench);
    let ours = dashboard.webhooks().await.remove(0);
    dashboard.replace_webhook(&ours).await;
    let lost = registered.check(&address(), false).await.lost;
    assert_eq!(lost.map(|issue| issue.code), Some("registration_replaced"));
}

#[tokio::test]
async fn a_queue_that_is_punished_is_reported() {
    let bench = pix().await;
    let closed = Url::parse("http://127.0.0.1:9/notifications").expect("an address");
    let registered = bench.subscribed(&closed).await;
    bench.charged().await;
    Dashboard::of(&bench).until_punished().await;
    let report = registered.check(&closed, false).await;
    assert_eq!(codes(&report), [("notifications_penalized", false)]);
}

#[tokio::test]
async fn registering_again_leaves_one_address() {
    let bench = pix().await;
    bench.subscribed(&address()).await;
    let again = bench.subscribed(&address()).await;
    assert_eq!(again.check(&address(), false).await, CheckReport::default());
    assert_eq!(Dashboard::of(&bench).webhooks().await.len(), 1);
}
