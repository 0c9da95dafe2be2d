use schemas::{
    charge::ChargeStatus,
    event::EventType,
    gateway::Mode,
    id::{ChargeId, MerchantId},
};
use sqlx::{Connection, PgConnection};

use super::Range;
use crate::{Store, charges, disputes, events, refunds, testing, vault::DataKey};

/// Rows of each list.
const ROWS: i64 = 100_000;
/// Distance of rows with the rare value; they fill less than a page.
const RARE_EVERY: i64 = 20_000;
/// Maximum number of rows, of all tables together, that a page of 20 may read.
const READ_AT_MOST: i64 = 500;
/// Executions per list. After five of them PostgreSQL may choose one plan for all values of a filter.
const TIMES: usize = 8;

const PAGE: Range = Range {
    limit: 20,
    after: None,
    before: None,
};

/// Returns the id of the n-th row.
fn id(n: i64) -> uuid::Uuid {
    format!("00000000-0000-7000-8000-{n:012x}")
        .parse()
        .expect("an id")
}

/// Inserts one merchant with a long history. Foreign keys are not checked, because a list needs no attempts.
async fn seed(store: &Store) -> MerchantId {
    let mut db = store.pool.acquire().await.expect("a connection");
    let merchant = crate::merchants::insert(&mut db, store.master(), "Loja")
        .await
        .expect("a merchant");
    testing::run(&mut db, "set statement_timeout = 0").await;
    let owner = format!("'{}'::uuid, 'test'", merchant.uuid());
    let id = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
    let rare = |rare: &str, other: &str| {
        format!("case when n % {RARE_EVERY} = 0 then '{rare}' else '{other}' end")
    };
    let rows = format!("from generate_series(1, {ROWS}) n");
    for sql in [
        "set session_replication_role = replica".to_owned(),
        format!("insert into payers (id, merchant_id, mode, document_hmac) values (uuid_nil(), {owner}, '')"),
        format!(
            "insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, reference, status,
                                  expires_at, created_at)
             select {id}, {owner}, uuid_nil(), '', 'pix', '{{\"type\": \"pix\"}}', 100, 'pedido-' || n % {RARE_EVERY}, {},
                    app_now(), app_now() {rows}",
            rare("needs_review", "paid")
        ),
        format!(
            "insert into refunds (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount)
             select {id}, {owner}, {id}, uuid_nil(), uuid_nil(), 'efi', 'succeeded', 'merchant', 1 {rows}"
        ),
        format!(
            "insert into disputes (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, gateway_dispute_id, kind,
                                   status, amount)
             select {id}, {owner}, {id}, uuid_nil(), uuid_nil(), 'efi', n::text, 'med', 'won', 1 {rows}"
        ),
        format!(
            "insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
             select {id}, {owner}, {}, 'charge', {id}, 1, '{{}}' {rows}",
            rare("charge.failed", "charge.paid")
        ),
        "set session_replication_role = default".to_owned(),
        "analyze".to_owned(),
    ] {
        testing::run(&mut db, &sql.replace("uuid_nil()", "'00000000-0000-0000-0000-000000000000'::uuid")).await;
    }
    testing::run(&mut db, "reset statement_timeout").await;
    merchant
}

/// Runs the list repeatedly, and fails if one run reads more rows than its page needs.
async fn reads_few(
    db: &mut PgConnection,
    what: &str,
    mut list: impl AsyncFnMut(&mut PgConnection) -> usize,
) {
    for time in 0..TIMES {
        let before = read(db).await;
        let rows = list(db).await;
        let read = read(db).await - before;
        assert!(rows > 0, "{what}: nothing was found");
        assert!(
            read <= READ_AT_MOST,
            "{what}: {read} rows read for {rows} at the {time}. time"
        );
    }
}

/// Assigns positions to all events, as lists and the sweep do periodically.
async fn give_positions(store: &Store, merchant: MerchantId) {
    while events::order::assign_page(store, merchant, Mode::Test)
        .await
        .expect("a page")
    {}
    let mut db = store.pool.acquire().await.expect("a connection");
    testing::run(&mut db, "vacuum analyze events").await;
}

/// Returns the number of rows that this transaction has read so far.
async fn read(db: &mut PgConnection) -> i64 {
    let sql = "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::text from pg_stat_xact_user_tables";
    let counted = testing::texts(db, sql).await;
    counted[0].parse().expect("a number")
}

#[tokio::test]
async fn every_filter_of_a_list_is_served_by_an_index() {
    let master = DataKey::master("dGVzdHMgb25seTogMzIgYnl0ZXMgb2YgYSBrZXkuLi4=");
    let url = testing::migrated().await;
    let store = Store::connect(&url, master.expect("a key"), 2)
        .await
        .expect("a store");
    let merchant = seed(&store).await;
    let owner = (merchant, Mode::Test);
    give_positions(&store, merchant).await;
    let mut db = store.pool.acquire().await.expect("a connection");
    let db = &mut *db.begin().await.expect("a transaction");
    let (reference, status) = (Some("pedido-0".to_owned()), Some(ChargeStatus::NeedsReview));
    for (reference, status) in [
        (None, None),
        (None, Some(ChargeStatus::Paid)),
        (None, status),
        (reference.clone(), None),
        (reference, status),
    ] {
        let filter = charges::list::ChargeFilter { reference, status };
        for range in [
            PAGE,
            Range {
                after: Some(id(ROWS / 2)),
                ..PAGE
            },
            Range {
                before: Some(id(ROWS / 2)),
                ..PAGE
            },
        ] {
            let what = format!("charges, {filter:?}, {range:?}");
            reads_few(db, &what, async |db| {
                let page = charges::list::list(db, &store, owner, &filter, range).await;
                page.expect("a page").0.len()
            })
            .await;
        }
    }
    for charge in [None, Some(ChargeId(id(ROWS / 2)))] {
        reads_few(db, "refunds", async |db| {
            let page = refunds::list(db, owner, charge, PAGE).await;
            page.expect("a page").0.len()
        })
        .await;
        reads_few(db, "disputes", async |db| {
            let page = disputes::list(db, owner, charge, PAGE).await;
            page.expect("a page").0.len()
        })
        .await;
    }
    for (kind, subject) in [
        (None, None),
        (Some(EventType::ChargeFailed), None),
        (Some(EventType::ChargePaid), None),
        (None, Some(id(ROWS / 2))),
    ] {
        let filter = events::list::EventFilter { kind, subject };
        reads_few(db, &format!("events, {filter:?}"), async |db| {
            let page = events::list::list(db, merchant, Mode::Test, filter, PAGE).await;
            page.expect("a page").0.len()
        })
        .await;
    }
}
