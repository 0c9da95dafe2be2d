//! The account: whose it is, and whether our set-up there lasts.

use gateways::Subscription;
use schemas::attempt::ErrorClass;
use url::Url;

use crate::bench::Bench;

fn address(path: &str) -> Url {
    Url::parse("https://notifications.example.com/")
        .and_then(|base| base.join(path))
        .expect("an address")
}

pub(crate) async fn a_probe_tells_whose_account_it_is(bench: &Bench) {
    let first = bench.gateway.probe().await.expect("an account");
    let again = bench.gateway.probe().await.expect("an account");
    assert_eq!(first, again);
    assert!(!first.fingerprint.is_empty());
}

pub(crate) async fn a_probe_with_refused_credentials_is_denied(bench: &Bench) {
    let done = bench.stranger.probe().await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Denied);
}

pub(crate) async fn a_set_up_that_lasts_gives_no_findings(bench: &Bench) {
    let url = address("notifications/gc_1/s3cret");
    let gateway = bench.subscribed(&url).await;
    let watched = gateway.watch(&url, false).await.expect("a look");
    assert_eq!(watched.findings, []);
    assert_eq!(watched.subscription, None);
}

pub(crate) async fn a_missing_address_is_registered_again(bench: &Bench) {
    let url = address("notifications/gc_1/s3cret");
    let watched = bench.gateway.watch(&url, false).await.expect("a look");
    let codes: Vec<_> = watched
        .findings
        .iter()
        .map(|f| (f.code, f.repaired))
        .collect();
    assert_eq!(codes, [("address_missing", true)]);
    let gateway = bench.knowing(watched.subscription.expect("a registration"));
    let watched = gateway.watch(&url, false).await.expect("a look");
    assert_eq!(watched.findings, []);
}

/// Where an account has one address for all.
pub(crate) async fn a_strangers_address_is_replaced_only_by_consent(bench: &Bench) {
    let (ours, theirs) = (address("notifications/gc_1/s3cret"), address("other"));
    bench.subscribed(&theirs).await;
    let taken = bench.gateway.subscribe(&ours, false).await.expect("told");
    assert!(matches!(taken, Subscription::Taken { .. }));
    let watched = bench.gateway.watch(&ours, false).await.expect("a look");
    let codes: Vec<_> = watched
        .findings
        .iter()
        .map(|f| (f.code, f.repaired))
        .collect();
    assert_eq!(codes, [("address_replaced", false)]);
    let watched = bench.gateway.watch(&ours, true).await.expect("a look");
    let codes: Vec<_> = watched
        .findings
        .iter()
        .map(|f| (f.code, f.repaired))
        .collect();
    assert_eq!(codes, [("address_replaced", true)]);
    let watched = bench.gateway.watch(&ours, false).await.expect("a look");
    assert_eq!(watched.findings, []);
}

pub(crate) async fn an_address_taken_back_is_no_longer_registered(bench: &Bench) {
    let url = address("notifications/gc_1/s3cret");
    let gateway = bench.subscribed(&url).await;
    for _ in 0..2 {
        gateway.unsubscribe(&url, None).await.expect("taken back");
    }
    let watched = gateway.watch(&url, false).await.expect("a look");
    let codes: Vec<_> = watched.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["address_missing"]);
    let gone = gateway.unsubscribe(&url, None).await;
    gone.expect("taken back");
}

/// Where an account has one address for all.
pub(crate) async fn a_replaced_address_is_restored(bench: &Bench) {
    let (ours, theirs) = (
        address("notifications/gc_1/s3cret"),
        address("other/s3cret"),
    );
    bench.subscribed(&theirs).await;
    let done = bench.gateway.subscribe(&ours, true).await.expect("done");
    let former = theirs.clone();
    assert_eq!(done, Subscription::Replaced { former });
    // the second time it is theirs that is registered, and stays
    for _ in 0..2 {
        let restored = bench.gateway.unsubscribe(&ours, Some(&theirs)).await;
        restored.expect("restored");
        let watched = bench.gateway.watch(&theirs, false).await.expect("a look");
        assert_eq!(watched.findings, []);
    }
}
