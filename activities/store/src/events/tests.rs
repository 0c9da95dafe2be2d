use std::collections::BTreeSet;

use futures::future::join_all;
use schemas::{event::EventType, gateway::Mode, id::MerchantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    list::{EventFilter, list},
    order,
};
use crate::{
    Store,
    page::Range,
    testing::{connect, migrated, run, texts},
    vault::DataKey,
};

const MERCHANT: Uuid = Uuid::from_u128(1);

/// Returns the URL of a database with one merchant.
async fn database() -> String {
    let url = migrated().await;
    let merchant = format!(
        "insert into merchants (id, name, data_key) values ('{MERCHANT}', 'Loja', '\\x00')"
    );
    run(&mut connect(&url).await, &merchant).await;
    url
}

async fn open(url: &str) -> Store {
    Store::connect(url, DataKey::random(), 5)
        .await
        .expect("a store")
}

/// Returns the statement that inserts the event number `n`.
fn event(n: u32) -> String {
    typed(n, "charge.paid")
}

fn typed(n: u32, kind: &str) -> String {
    format!(
        "insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
         values (uuidv7(), '{MERCHANT}', 'test', '{kind}', 'charge', '{MERCHANT}', {n}, '{{}}')"
    )
}

fn range(limit: i64) -> Range {
    Range {
        limit,
        after: None,
        before: None,
    }
}

async fn listed(store: &Store, filter: EventFilter, range: Range) -> (Vec<i64>, bool) {
    let given = order::assign(store, MerchantId(MERCHANT), Mode::Test).await;
    given.expect("positions");
    let mut db = store.pool.acquire().await.expect("a connection");
    let page = list(&mut db, MerchantId(MERCHANT), Mode::Test, filter, range);
    let (events, more) = page.await.expect("a page");
    (events.iter().map(|event| event.sequence).collect(), more)
}

async fn all(store: &Store) -> Vec<i64> {
    listed(store, EventFilter::default(), range(100)).await.0
}

async fn id_of(db: &mut PgConnection, n: u32) -> Option<Uuid> {
    let sql = format!("select id::text from events where sequence = {n}");
    Some(texts(db, &sql).await[0].parse().expect("an id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_newer_than_all_that_were_listed() {
    let url = database().await;
    let store = open(&url).await;
    let (mut late, mut db) = (connect(&url).await, connect(&url).await);
    run(&mut late, &format!("begin; {}", event(1))).await;
    run(&mut db, &event(2)).await;
    assert_eq!(all(&store).await, [2]);
    run(&mut late, "commit").await;
    assert_eq!(all(&store).await, [1, 2]);
    let news = Range {
        before: id_of(&mut db, 2).await,
        ..range(10)
    };
    assert_eq!(
        listed(&store, EventFilter::default(), news).await,
        (vec![1], false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_open_transaction_holds_up_the_list() {
    let url = database().await;
    let (mut other, mut db) = (connect(&url).await, connect(&url).await);
    let store = open(&url).await;
    let unrelated =
        "begin; insert into merchants (id, name, data_key) values (uuidv7(), 'Outra', '\\x00')";
    run(&mut other, unrelated).await;
    run(&mut db, &event(1)).await;
    assert_eq!(all(&store).await, [1]);
    run(&mut other, "rollback").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_at_once_give_each_event_one_position() {
    let url = database().await;
    let (mut db, store) = (connect(&url).await, open(&url).await);
    let many = event(7).replace("values (uuidv7()", "select uuidv7()");
    let many = many.trim_end_matches(')').to_owned() + " from generate_series(1, 3500)";
    run(&mut db, &many).await;
    let readers = (0..4).map(|_| async { all(&store).await.len() });
    assert_eq!(join_all(readers).await, [100; 4]);
    let positions = texts(
        &mut db,
        "select position::text from events where position is not null",
    )
    .await;
    let distinct: BTreeSet<_> = positions.iter().collect();
    assert_eq!((positions.len(), distinct.len()), (3_500, 3_500));
    let last = texts(&mut db, "select max(position)::text from events").await;
    assert_eq!(last, ["3500"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_through_all_events_in_both_directions() {
    let url = database().await;
    let (mut db, store) = (connect(&url).await, open(&url).await);
    for n in 1..=9 {
        let kind = if n % 3 == 0 {
            "charge.paid"
        } else {
            "charge.pending"
        };
        run(&mut db, &typed(n, kind)).await;
    }
    let subject = EventFilter {
        subject: Some(MERCHANT),
        ..EventFilter::default()
    };
    for filter in [EventFilter::default(), subject] {
        let page = listed(&store, filter, range(4)).await;
        assert_eq!(page, (vec![9, 8, 7, 6], true));
        let older = Range {
            after: id_of(&mut db, 6).await,
            ..range(5)
        };
        assert_eq!(
            listed(&store, filter, older).await,
            (vec![5, 4, 3, 2, 1], false)
        );
        let newer = Range {
            before: id_of(&mut db, 2).await,
            ..range(3)
        };
        assert_eq!(listed(&store, filter, newer).await, (vec![5, 4, 3], true));
    }
    let paid = EventFilter {
        kind: Some(EventType::ChargePaid),
        ..EventFilter::default()
    };
    assert_eq!(listed(&store, paid, range(2)).await, (vec![9, 6], true));
    let newer = Range {
        before: id_of(&mut db, 1).await,
        ..range(1)
    };
    assert_eq!(listed(&store, paid, newer).await, (vec![3], true));
    let unknown = Range {
        after: Some(Uuid::from_u128(7)),
        ..range(2)
    };
    assert_eq!(listed(&store, paid, unknown).await, (vec![], false));
}
