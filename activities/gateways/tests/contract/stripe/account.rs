//! Our notification address at Stripe: looked after and repaired.

use gateways::{Finding, Subscription, Watched};
use serde_json::Value;
use url::Url;

use super::{by_pix, open};

const KEY: &str = "sk_test_loja";

pub(crate) fn address() -> Url {
    Url::parse("https://notifications.example.com/notifications/gc_1/s3cret").expect("an address")
}

/// The addresses that are registered there.
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

/// Somebody changes the only address in the panel.
pub(crate) async fn change(api: &Url, form: &'static str) {
    let only = registered(api).await.remove(0);
    let id = only["id"].as_str().expect("an id");
    let at = api.join(&format!("/v1/webhook_endpoints/{id}"));
    let client = gateways::http::webhook_client(true).expect("a client");
    let request = client.post(at.expect("an address")).bearer_auth(KEY);
    let answer = request.body(form).send().await.expect("an answer");
    assert!(answer.status().is_success());
}

fn codes(watched: &Watched) -> Vec<(&str, bool)> {
    let code = |finding: &Finding| (finding.code, finding.repaired);
    watched.findings.iter().map(code).collect::<Vec<_>>()
}

#[tokio::test]
async fn an_address_that_is_not_registered_is_registered_with_a_new_secret() {
    let (bench, api) = open("loja", by_pix()).await;
    let watched = bench
        .gateway
        .watch(&address(), false)
        .await
        .expect("a look");
    assert_eq!(codes(&watched), [("address_missing", true)]);
    assert!(
        matches!(watched.subscription, Some(Subscription::Secret(secret)) if secret.starts_with("whsec_"))
    );
    assert_eq!(registered(&api).await.len(), 1);
}

#[tokio::test]
async fn an_address_whose_secret_is_not_known_is_made_anew() {
    let (bench, api) = open("loja", by_pix()).await;
    bench.subscribed(&address()).await;
    let before = registered(&api).await;
    // this client was opened before the secret was told
    let watched = bench
        .gateway
        .watch(&address(), false)
        .await
        .expect("a look");
    assert_eq!(codes(&watched), [("secret_missing", true)]);
    assert!(matches!(
        watched.subscription,
        Some(Subscription::Secret(_))
    ));
    let after = registered(&api).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0]["id"], after[0]["id"]);
}

#[tokio::test]
async fn an_address_that_is_told_a_former_version_is_made_anew() {
    let (bench, api) = open("loja", by_pix()).await;
    let gateway = bench.subscribed(&address()).await;
    let now = registered(&api).await[0]["api_version"].clone();
    // an earlier release of ours registered it so; Stripe lets nobody change it
    let client = gateways::http::webhook_client(true).expect("a client");
    let id = registered(&api).await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let at = api
        .join(&format!("/v1/webhook_endpoints/{id}"))
        .expect("an address");
    let gone = client.delete(at).bearer_auth(KEY).send().await;
    assert!(gone.expect("an answer").status().is_success());
    let form = format!(
        "url={}&api_version=2020-08-27&enabled_events[]=payment_intent.succeeded",
        address()
    );
    let at = api.join("/v1/webhook_endpoints").expect("an address");
    let made = client.post(at).bearer_auth(KEY).body(form).send().await;
    assert!(made.expect("an answer").status().is_success());

    let watched = gateway.watch(&address(), false).await.expect("a look");
    assert_eq!(codes(&watched), [("version_outdated", true)]);
    let after = registered(&api).await;
    assert_eq!((after.len(), &after[0]["api_version"]), (1, &now));
}

#[tokio::test]
async fn a_disabled_address_and_one_that_lacks_events_are_repaired() {
    let (bench, api) = open("loja", by_pix()).await;
    let gateway = bench.subscribed(&address()).await;
    change(
        &api,
        "disabled=true&enabled_events[]=payment_intent.succeeded",
    )
    .await;
    let watched = gateway.watch(&address(), false).await.expect("a look");
    assert_eq!(
        codes(&watched),
        [
            ("notifications_interrupted", true),
            ("events_missing", true)
        ]
    );
    assert_eq!(watched.subscription, None, "the secret stays");
    let watched = gateway.watch(&address(), false).await.expect("a look");
    assert_eq!(codes(&watched), []);
    let only = registered(&api).await.remove(0);
    assert_eq!(only["status"], "enabled");
}

#[tokio::test]
async fn an_address_that_is_told_everything_lacks_nothing() {
    let (bench, api) = open("loja", by_pix()).await;
    let gateway = bench.subscribed(&address()).await;
    change(&api, "enabled_events[]=*").await;
    let watched = gateway.watch(&address(), false).await.expect("a look");
    assert_eq!(codes(&watched), []);
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
