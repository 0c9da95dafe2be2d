//! Promises about the account: its identity, and checks of our set-up.

use gateways::{CheckReport, Subscription, Unregister};
use schemas::attempt::ErrorClass;
use secrecy::SecretString;
use url::Url;

use crate::bench::{Bench, codes};

fn address(path: &str) -> Url {
    Url::parse("https://notifications.example.com/")
        .and_then(|base| base.join(path))
        .expect("an address")
}

pub(crate) async fn a_probe_reports_whose_account_it_is(bench: &Bench) {
    let first = bench.gateway.probe().await.expect("an account");
    let again = bench.gateway.probe().await.expect("an account");
    assert_eq!(first, again);
    assert!(!first.fingerprint.is_empty());
}

pub(crate) async fn a_probe_with_refused_credentials_is_denied(bench: &Bench) {
    let done = bench.third_party.probe().await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Denied);
}

pub(crate) async fn a_set_up_that_lasts_gives_no_findings(bench: &Bench) {
    let url = address("notifications/gc_1/s3cret");
    let registered = bench.subscribed(&url).await;
    assert_eq!(registered.check(&url, false).await, CheckReport::default());
}

pub(crate) async fn a_missing_address_is_registered_again(bench: &Bench) {
    let url = address("notifications/gc_1/s3cret");
    let report = bench
        .gateway
        .check(&url, false, &[])
        .await
        .expect("a check");
    let lost = report.lost.map(|issue| issue.code);
    assert_eq!((report.issues.len(), lost), (0, Some("address_missing")));
    let registered = bench.subscribed(&url).await;
    assert_eq!(registered.check(&url, false).await, CheckReport::default());
}

fn token() -> SecretString {
    "a token of ours that is long enough".into()
}

/// For gateways that have one address per account.
pub(crate) async fn a_strangers_address_is_replaced_only_by_consent(bench: &Bench) {
    let (ours, theirs) = (address("notifications/gc_1/s3cret"), address("other"));
    let registered = bench.subscribed(&theirs).await;
    let taken = bench.gateway.register(&ours, false, &token()).await;
    assert!(matches!(
        taken.expect("an answer"),
        Subscription::Taken { .. }
    ));
    let report = registered.check(&ours, false).await;
    assert_eq!(
        (codes(&report), report.lost),
        (vec![("address_replaced", false)], None)
    );
    let report = registered.check(&ours, true).await;
    assert_eq!(
        report.lost.map(|issue| issue.code),
        Some("address_replaced")
    );
    let done = bench.gateway.register(&ours, true, &token()).await;
    assert_eq!(done, Ok(Subscription::Replaced { former: theirs }));
    assert_eq!(registered.check(&ours, false).await, CheckReport::default());
}

pub(crate) async fn an_address_taken_back_is_no_longer_registered(bench: &Bench) {
    let url = address("notifications/gc_1/s3cret");
    let registered = bench.subscribed(&url).await;
    for _ in 0..2 {
        let done = bench
            .gateway
            .unregister(&url, Unregister::All { restore: None })
            .await;
        done.expect("taken back");
    }
    let report = registered.check(&url, false).await;
    assert_eq!(report.lost.map(|issue| issue.code), Some("address_missing"));
    let gone = bench
        .gateway
        .unregister(&url, Unregister::All { restore: None })
        .await;
    gone.expect("taken back");
}

/// For gateways that have one address per account.
pub(crate) async fn a_replaced_address_is_restored(bench: &Bench) {
    let (ours, theirs) = (
        address("notifications/gc_1/s3cret"),
        address("other/s3cret"),
    );
    let registered = bench.subscribed(&theirs).await;
    let done = bench.gateway.register(&ours, true, &token()).await;
    let former = theirs.clone();
    assert_eq!(done, Ok(Subscription::Replaced { former }));
    // the second time theirs is registered, and stays
    for _ in 0..2 {
        let restored = bench
            .gateway
            .unregister(
                &ours,
                Unregister::All {
                    restore: Some(&theirs),
                },
            )
            .await;
        restored.expect("restored");
        assert_eq!(
            registered.check(&theirs, false).await,
            CheckReport::default()
        );
    }
}
