//! Our notification address at Stripe: checks and repairs.

use gateways::{CheckReport, Registration, Subscription, Unregister};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::{by_pix, open};
use crate::bench::codes;

const KEY: &str = "sk_test_loja";

pub(crate) fn address() -> Url {
    Url::parse("https://notifications.example.com/notifications/gc_1/s3cret").expect("an address")
}

/// Returns the registered addresses.
async fn registered(api: &Url) -> Vec<Value> {
    let client = gateways::http::webhook_client(true).expect("a client");
    let at = api.join("/v1/webhook_endpoints").expect("an address");
    let answer = client
        .get(at)
        .bearer_auth(KEY)
        .send()
        .await
        .expect("an answer");
    let text = answer.text().await.expect("a body");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all["data"].as_array().cloned().expect("a list")
}

/// Changes the only address, as in the dashboard.
pub(crate) async fn change(api: &Url, form: &'static str) {
    let only = registered(api).await.remove(0);
    let id = only["id"].as_str().expect("an id");
    let at = api.join(&format!("/v1/webhook_endpoints/{id}"));
    let client = gateways::http::webhook_client(true).expect("a client");
    let request = client.post(at.expect("an address")).bearer_auth(KEY);
    let answer = request.body(form).send().await.expect("an answer");
    assert!(answer.status().is_success());
}

fn lost(report: CheckReport) -> Option<&'static str> {
    assert_eq!(report.issues, []);
    report.lost.map(|issue| issue.code)
}

#[tokio::test]
async fn an_address_whose_secret_is_not_known_must_be_registered_again() {
    let (bench, api) = open("loja", by_pix()).await;
    let report = bench.gateway.check(&address(), false, &[]).await;
    assert_eq!(lost(report.expect("a check")), Some("address_missing"));
    let first = bench.subscribed(&address()).await;
    assert!(first.known[0].secret.expose_secret().starts_with("whsec_"));
    let report = bench.gateway.check(&address(), false, &[]).await;
    assert_eq!(lost(report.expect("a check")), Some("secret_missing"));
    // a process registered it again, and died before it stored the secret
    let token = "unused".into();
    let done = bench.gateway.register(&address(), false, &token).await;
    let Subscription::Registered { id, .. } = done.expect("registered") else {
        panic!("no id")
    };
    bench
        .gateway
        .unregister(&address(), Unregister::Others { keep: &id })
        .await
        .expect("one is left");
    assert_eq!(
        lost(first.check(&address(), false).await),
        Some("registration_replaced")
    );
    let again = bench.subscribed(&address()).await;
    assert_eq!(again.check(&address(), false).await, CheckReport::default());
    assert_eq!(registered(&api).await.len(), 1);
}

#[tokio::test]
async fn a_registration_that_no_one_stored_is_removed_beside_the_one_that_is() {
    let (bench, api) = open("loja", by_pix()).await;
    let ours = bench.subscribed(&address()).await;
    let token = "unused".into();
    let lost = bench.gateway.register(&address(), false, &token).await;
    lost.expect("registered");
    assert_eq!(registered(&api).await.len(), 2);
    assert_eq!(ours.check(&address(), false).await, CheckReport::default());
    let left = registered(&api).await;
    assert_eq!(
        (left.len(), left[0]["id"].as_str()),
        (1, ours.known[0].id.as_deref())
    );
}

#[tokio::test]
async fn a_disabled_address_and_one_that_lacks_events_are_repaired() {
    let (bench, api) = open("loja", by_pix()).await;
    let ours = bench.subscribed(&address()).await;
    change(
        &api,
        "disabled=true&enabled_events[]=payment_intent.succeeded",
    )
    .await;
    let report = ours.check(&address(), false).await;
    assert_eq!(
        codes(&report),
        [
            ("notifications_interrupted", true),
            ("events_missing", true)
        ]
    );
    assert_eq!(report.lost, None, "the secret stays");
    assert_eq!(ours.check(&address(), false).await, CheckReport::default());
    let only = registered(&api).await.remove(0);
    assert_eq!(only["status"], "enabled");
}

#[tokio::test]
async fn an_address_that_is_reported_everything_lacks_nothing() {
    let (bench, api) = open("loja", by_pix()).await;
    let ours = bench.subscribed(&address()).await;
    change(&api, "enabled_events[]=*").await;
    assert_eq!(ours.check(&address(), false).await, CheckReport::default());
}

#[tokio::test]
async fn an_address_that_is_reported_a_former_version_must_be_registered_again() {
    let (bench, api) = open("loja", by_pix()).await;
    let ours = bench.subscribed(&address()).await;
    let now = registered(&api).await[0]["api_version"].clone();
    // an earlier release of ours registered it with this version; Stripe does not allow a change of it
    let client = gateways::http::webhook_client(true).expect("a client");
    let form = format!(
        "url={}&api_version=2020-08-27&enabled_events[]=payment_intent.succeeded",
        address()
    );
    let at = api.join("/v1/webhook_endpoints").expect("an address");
    let made = client.post(at).bearer_auth(KEY).body(form).send().await;
    let made = made.expect("an answer").text().await.expect("a body");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let id = made["id"].as_str().expect("an id").to_owned();
    bench
        .gateway
        .unregister(&address(), Unregister::Others { keep: &id })
        .await
        .expect("one is left");
    let known = [Registration {
        id: Some(id),
        ..ours.known[0].clone()
    }];
    let report = bench.gateway.check(&address(), false, &known).await;
    assert_eq!(lost(report.expect("a check")), Some("version_outdated"));
    bench.subscribed(&address()).await;
    let after = registered(&api).await;
    assert_eq!((after.len(), &after[0]["api_version"]), (1, &now));
}

#[tokio::test]
async fn registering_again_leaves_one_address_and_the_others_alone() {
    let (bench, api) = open("loja", by_pix()).await;
    let other = Url::parse("https://other.example.com/").expect("an address");
    for url in [&other, &address(), &address()] {
        bench.subscribed(url).await;
    }
    assert_eq!(registered(&api).await.len(), 2);
}
