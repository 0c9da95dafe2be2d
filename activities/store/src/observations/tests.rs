use super::*;
use crate::testing::Fixture;

/// Inserts unhandled facts about a charge, each a second after the previous one.
async fn facts(at: &Fixture, count: u32) -> ChargeId {
    let (charge, attempt) = at.charge("52998224725", "pending").await;
    let (g, m) = (at.connection.id.uuid(), at.merchant.uuid());
    at.run(&format!(
        "insert into observations (connection_id, dedupe_key, merchant_id, mode, charge_id, attempt_id, event, observed, received_at)
         select '{g}', 'evt_' || lpad((1000 - n)::text, 4, '0'), '{m}', 'test', '{}', '{}', 'PAYMENT_RECEIVED', '{{}}',
                app_now() - interval '1 hour' + n * interval '1 second'
           from generate_series(1, {count}) n",
        charge.uuid(),
        attempt.uuid(),
    ))
    .await;
    charge
}

async fn open(at: &Fixture, charge: ChargeId) -> Vec<Observation> {
    let found = unhandled(&mut *at.db().await, charge).await.expect("read");
    found.observations
}

#[tokio::test(flavor = "multi_thread")]
async fn one_check_handles_a_limited_number_of_facts_in_order_of_arrival() {
    let at = Fixture::new().await;
    let charge = facts(&at, 150).await;
    let page = open(&at, charge).await;
    assert_eq!((page.len(), page[0].dedupe_key.as_str()), (100, "evt_0999"));
    let mut db = at.db().await;
    for fact in &page {
        assert!(handled(&mut db, fact).await.expect("written"));
    }
    let rest = open(&at, charge).await;
    assert_eq!((rest.len(), rest[0].dedupe_key.as_str()), (50, "evt_0899"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_repeated_while_it_was_handled_stays_open_as_a_hint() {
    let at = Fixture::new().await;
    let charge = facts(&at, 1).await;
    let fact = open(&at, charge).await.remove(0);
    at.run("update observations set received_count = received_count + 1")
        .await;
    assert!(!handled(&mut *at.db().await, &fact).await.expect("written"));
    let again = open(&at, charge).await.remove(0);
    assert_eq!((again.observed, again.received_count), (None, 2));
    let fact = open(&at, charge).await.remove(0);
    assert!(handled(&mut *at.db().await, &fact).await.expect("written"));
    assert!(open(&at, charge).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_cannot_be_applied_becomes_a_hint_unless_it_was_replaced() {
    let at = Fixture::new().await;
    let charge = facts(&at, 1).await;
    let fact = open(&at, charge).await.remove(0);
    at.run("update observations set received_count = 2").await;
    must_read(&mut *at.db().await, &fact)
        .await
        .expect("written");
    assert!(open(&at, charge).await[0].observed.is_some(), "a newer one");
    let fact = open(&at, charge).await.remove(0);
    must_read(&mut *at.db().await, &fact)
        .await
        .expect("written");
    unconfirmed(&mut *at.db().await, &fact)
        .await
        .expect("written");
    let hint = open(&at, charge).await.remove(0);
    assert_eq!((hint.observed, hint.checks), (None, 1));
}
