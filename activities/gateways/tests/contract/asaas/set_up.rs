//! Our address at Asaas: its queue stops after failures, and somebody may switch it off.

use gateways::Watched;
use serde_json::json;
use url::Url;

use super::{panel::Panel, pix};
use crate::bench::codes;

fn address() -> Url {
    Url::parse("https://notifications.example.com/notifications/gc_1/s3cret").expect("an address")
}

#[tokio::test]
async fn an_interrupted_queue_runs_again() {
    let bench = pix().await;
    let registered = bench.subscribed(&address()).await;
    let panel = Panel::of(&bench);
    panel.change_webhook(json!({ "interrupted": true })).await;
    let watched = registered.watch(&address(), false).await;
    assert_eq!(codes(&watched), [("notifications_interrupted", true)]);
    assert_eq!(
        registered.watch(&address(), false).await,
        Watched::default()
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
        Panel::of(&bench).change_webhook(change).await;
        let lost = registered.watch(&address(), false).await.lost;
        assert_eq!(lost.map(|finding| finding.code), Some(code));
        let registered = bench.subscribed(&address()).await;
        assert_eq!(
            registered.watch(&address(), false).await,
            Watched::default()
        );
    }
}

#[tokio::test]
async fn a_registration_that_knows_too_few_events_learns_the_others() {
    let bench = pix().await;
    let registered = bench.subscribed(&address()).await;
    let few = json!({ "events": ["PAYMENT_CONFIRMED", "PAYMENT_RECEIVED"] });
    Panel::of(&bench).change_webhook(few).await;
    let watched = registered.watch(&address(), false).await;
    assert_eq!(codes(&watched), [("events_missing", true)]);
    assert_eq!(
        registered.watch(&address(), false).await,
        Watched::default()
    );
}

#[tokio::test]
async fn a_registration_whose_token_is_not_known_must_be_made_again() {
    let bench = pix().await;
    let registered = bench.subscribed(&address()).await;
    // the same account, whose token nobody stored
    let watched = bench.gateway.watch(&address(), false, &[]).await;
    let lost = watched.expect("a check").lost;
    assert_eq!(lost.map(|finding| finding.code), Some("token_missing"));
    // somebody removed ours, and registered the same address
    let panel = Panel::of(&bench);
    let ours = panel.webhooks().await.remove(0);
    panel.replace_webhook(&ours).await;
    let lost = registered.watch(&address(), false).await.lost;
    assert_eq!(
        lost.map(|finding| finding.code),
        Some("registration_replaced")
    );
}

#[tokio::test]
async fn a_queue_that_is_punished_is_reported() {
    let bench = pix().await;
    let closed = Url::parse("http://127.0.0.1:9/notifications").expect("an address");
    let registered = bench.subscribed(&closed).await;
    bench.charged().await;
    Panel::of(&bench).until_punished().await;
    let watched = registered.watch(&closed, false).await;
    assert_eq!(codes(&watched), [("notifications_penalized", false)]);
}

#[tokio::test]
async fn registering_again_leaves_one_address() {
    let bench = pix().await;
    bench.subscribed(&address()).await;
    let again = bench.subscribed(&address()).await;
    assert_eq!(again.watch(&address(), false).await, Watched::default());
    assert_eq!(Panel::of(&bench).webhooks().await.len(), 1);
}
