use std::collections::BTreeSet;

use super::*;
use crate::testing::{Fixture, HOUR, MINUTE, SECOND, texts};

async fn received(at: &Fixture, token: &str) {
    receive(&mut *at.db().await, &at.connection, token)
        .await
        .expect("stored");
}

async fn claimed(db: &mut PgConnection, limit: i64) -> Vec<PendingToken> {
    claim(db, None, (limit, MINUTE)).await.expect("claimed")
}

fn names(tokens: &[PendingToken]) -> BTreeSet<&str> {
    tokens.iter().map(|token| token.token.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_claim_the_same_token() {
    let at = Fixture::new().await;
    for token in ["a", "b", "c"] {
        received(&at, token).await;
    }
    let mut first = at.begin().await;
    let one = claimed(&mut first, 2).await;
    let second = async { claimed(&mut *at.db().await, 3).await };
    let other = at.overlapping(first, second).await;
    assert_eq!(one.len(), 2);
    assert!(names(&one).is_disjoint(&names(&other)), "{one:?} {other:?}");
    let left = claimed(&mut *at.db().await, 3).await;
    assert_eq!(other.len() + left.len(), 1, "and none is lost");
    let again = claimed(&mut *at.later(MINUTE * 2).await, 5).await;
    assert_eq!(again.len(), 3, "a lease that ends frees its token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_ten_thousand_tokens_delays_no_other() {
    let at = Fixture::new().await;
    let other = at.connect(schemas::gateway::GatewayKind::Efi, "efi").await;
    let of = |id: ConnectionId, count: u32| {
        format!(
            "insert into notification_tokens (connection_id, token, merchant_id, mode, next_check_at)
             select '{}', 'token ' || n, '{}', 'test', app_now() - interval '1 hour' from generate_series(1, {count}) n",
            id.uuid(),
            at.merchant.uuid(),
        )
    };
    at.run(&of(at.connection.id, 10_000)).await;
    at.run(&of(other.id, 3)).await;
    let page = claimed(&mut *at.db().await, 50).await;
    let others = page.iter().filter(|token| token.connection == other.id);
    assert_eq!((page.len(), others.count()), (50, 3));
    let of_one = claim(&mut *at.db().await, Some(other.id), (50, MINUTE)).await;
    assert!(of_one.expect("claimed").is_empty(), "its tokens are leased");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_received_during_its_fetch_is_fetched_again() {
    let at = Fixture::new().await;
    received(&at, "a").await;
    let mut db = at.db().await;
    let token = claimed(&mut db, 1).await.remove(0);
    received(&at, "a").await;
    fetched(&mut db, &token).await.expect("written");
    assert!(
        claimed(&mut db, 1).await.is_empty(),
        "not before a second has passed"
    );
    let mut later = at.later(SECOND * 2).await;
    let again = claimed(&mut later, 1).await.remove(0);
    assert_eq!(again.received_count, 2);
    fetched(&mut later, &again).await.expect("written");
    let due = texts(
        &mut later,
        "select coalesce(next_check_at::text, 'done') from notification_tokens",
    )
    .await;
    assert_eq!(due, ["done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_repeats_a_token_causes_one_fetch_a_second() {
    let at = Fixture::new().await;
    received(&at, "a").await;
    let mut db = at.db().await;
    let token = claimed(&mut db, 1).await.remove(0);
    fetched(&mut db, &token).await.expect("written");
    for _ in 0..20 {
        received(&at, "a").await;
        assert!(claimed(&mut db, 1).await.is_empty());
    }
    assert_eq!(claimed(&mut *at.later(SECOND * 2).await, 9).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_given_up_waits_for_an_operator_or_its_next_repetition() {
    let at = Fixture::new().await;
    received(&at, "a").await;
    let mut db = at.db().await;
    let token = claimed(&mut db, 1).await.remove(0);
    again(&mut db, &token, Some(HOUR)).await.expect("postponed");
    assert!(claimed(&mut *at.later(MINUTE).await, 1).await.is_empty());
    let mut later = at.later(HOUR * 2).await;
    let token = claimed(&mut later, 1).await.remove(0);
    assert_eq!(token.checks, 1);
    again(&mut later, &token, None).await.expect("given up");
    later.commit().await.expect("committed");
    assert!(
        claimed(&mut *at.later(HOUR * 1_000).await, 1)
            .await
            .is_empty()
    );
    received(&at, "a").await;
    assert_eq!(
        claimed(&mut db, 1).await[0].checks,
        0,
        "its schedule begins again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_received_during_a_failed_fetch_is_not_postponed() {
    let at = Fixture::new().await;
    received(&at, "a").await;
    let mut db = at.db().await;
    let token = claimed(&mut db, 1).await.remove(0);
    received(&at, "a").await;
    again(&mut db, &token, None).await.expect("written");
    let due = claimed(&mut *at.later(SECOND * 2).await, 1).await;
    assert_eq!(
        due.iter().map(|token| token.checks).collect::<Vec<_>>(),
        [0]
    );
}
