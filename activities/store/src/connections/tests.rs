use schemas::id::ConnectionId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    addresses::{
        by_path_secret, former, path_secret, remember_former,
        rotation::{confirm, due, forget_expired, postpone, rotate, unconfirmed},
    },
    checks::claim_check,
    feeds::{self, ClaimedFeed, FeedKind},
    registrations::{self, new_token, proving, registered, unproved},
    *,
};
use crate::{
    Tx,
    testing::{DAY, Fixture, HOUR, MINUTE, SECOND, run, texts},
};

// == credentials and accounts ==

#[tokio::test(flavor = "multi_thread")]
async fn credentials_added_at_once_get_two_versions_and_the_newest_is_used() {
    let at = Fixture::new().await;
    let id = at.connection.id;
    let (old, new) = (json!({ "api_key": "old" }), json!({ "api_key": "new" }));
    let mut first = at.begin().await;
    let version = add_credentials(&mut first, &at.store, id, &old).await;
    assert_eq!(version.expect("added"), 2);
    let second = async {
        let mut tx = at.begin().await;
        let version = add_credentials(&mut tx, &at.store, id, &new).await;
        tx.commit().await.expect("committed");
        version.expect("added")
    };
    assert_eq!(at.overlapping(first, second).await, 3);
    let mut db = at.db().await;
    assert_eq!(
        credentials(&mut db, &at.store, id).await.expect("read"),
        (3, new)
    );
    assert_eq!(credential_version(&mut db, id).await.expect("read"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sealed_for_their_connection() {
    let at = Fixture::new().await;
    let other = at.connect(GatewayKind::Stripe, "stripe").await;
    let rows = at
        .texts("select to_jsonb(c)::text from gateway_credentials c")
        .await;
    assert!(rows.iter().all(|row| !row.contains("api_key")), "{rows:?}");
    at.run(&format!(
        "update gateway_credentials set sealed = (select sealed from gateway_credentials where connection_id = '{}')",
        at.connection.id.uuid()
    ))
    .await;
    let moved = credentials(&mut *at.db().await, &at.store, other.id).await;
    assert!(matches!(moved, Err(StoreError::Vault(_))), "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_that_add_an_account_at_once_finds_the_first() {
    let at = Fixture::new().await;
    let tenant = (at.merchant, Mode::Test);
    let mut first = at.begin().await;
    let found = of_account(&mut first, tenant, "acct_1")
        .await
        .expect("read");
    assert!(found.is_none());
    let new = NewConnection {
        id: ConnectionId(crate::new_id()),
        merchant: at.merchant,
        mode: Mode::Test,
        gateway: GatewayKind::Stripe,
        label: "stripe",
        fingerprint: "acct_1",
        credentials: &json!({}),
        apis: &[GatewayApi::Stripe],
        replace_address: false,
    };
    insert(&mut first, &at.store, &new).await.expect("inserted");
    let second = async {
        let mut tx = at.begin().await;
        of_account(&mut tx, tenant, "acct_1").await.expect("read")
    };
    let found = at.overlapping(first, second).await;
    assert_eq!(found.map(|found| found.id), Some(new.id));
    let mut tx = at.begin().await;
    set_status(&mut tx, new.id, ConnectionStatus::Archived)
        .await
        .expect("set");
    let found = of_account(&mut tx, tenant, "acct_1").await.expect("read");
    assert!(found.is_none(), "an archived connection frees its account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_taken_in_its_own_mode_only() {
    let at = Fixture::new().await;
    let insert_in = async |mode| {
        let mut tx = at.begin().await;
        let new = NewConnection {
            id: ConnectionId(crate::new_id()),
            merchant: at.merchant,
            mode,
            gateway: GatewayKind::Asaas,
            label: "asaas",
            fingerprint: "other",
            credentials: &json!({}),
            apis: &[GatewayApi::Asaas],
            replace_address: false,
        };
        let inserted = insert(&mut tx, &at.store, &new).await;
        tx.commit().await.expect("committed");
        inserted.err()
    };
    let taken = insert_in(Mode::Test).await.expect("an error");
    assert!(
        taken.violates("gateway_connections_merchant_id_mode_label_key"),
        "{taken}"
    );
    assert!(insert_in(Mode::Live).await.is_none());
    let listed = list(&mut *at.db().await, at.merchant, Mode::Test).await;
    assert_eq!(listed.expect("read").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_unfinished_attempts_of_unpaid_charges_keep_a_connection_payable() {
    let at = Fixture::new().await;
    at.charge("52998224725", "pending").await;
    at.charge("11144477735", "paid").await;
    let (charge, _) = at.charge("39053344705", "overdue").await;
    let mut db = at.db().await;
    assert_eq!(
        count_payable(&mut db, at.connection.id)
            .await
            .expect("read"),
        2
    );
    let void = format!(
        "update attempts set state = 'voided' where charge_id = '{}'",
        charge.uuid()
    );
    at.run(&void).await;
    assert_eq!(
        count_payable(&mut db, at.connection.id)
            .await
            .expect("read"),
        1
    );
}

// == notification addresses ==

async fn is_known(db: &mut PgConnection, at: &Fixture, secret: &SecretString) -> bool {
    let found = by_path_secret(db, &at.store, at.connection.id, secret).await;
    found.expect("read").is_some()
}

async fn newest(at: &Fixture) -> SecretString {
    let secret = path_secret(&mut *at.db().await, &at.store, at.connection.id).await;
    secret.expect("a secret")
}

async fn rotated(tx: &mut Tx, at: &Fixture) {
    lock(tx, at.connection.id).await.expect("locked");
    rotate(tx, &at.store, at.connection.id, MINUTE)
        .await
        .expect("rotated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_secret_is_valid_for_its_own_connection_only() {
    let at = Fixture::new().await;
    let other = at.connect(GatewayKind::Efi, "efi").await;
    let secret = newest(&at).await;
    let mut db = at.db().await;
    assert!(is_known(&mut db, &at, &secret).await);
    let found = by_path_secret(&mut db, &at.store, other.id, &secret)
        .await
        .expect("read");
    assert!(found.is_none());
    let unknown = ConnectionId(crate::new_id());
    let found = by_path_secret(&mut db, &at.store, unknown, &secret)
        .await
        .expect("read");
    assert!(found.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_is_valid_until_the_gateway_has_the_new_one_and_for_the_overlap() {
    let at = Fixture::new().await;
    let old = newest(&at).await;
    let mut tx = at.begin().await;
    rotated(&mut tx, &at).await;
    tx.commit().await.expect("committed");
    let new = newest(&at).await;
    assert_ne!(new.expose_secret(), old.expose_secret());
    let mut year = at.later(DAY * 365).await;
    assert!(
        is_known(&mut year, &at, &old).await,
        "the gateway may still have it"
    );
    assert_eq!(forget_expired(&mut year).await.expect("done"), 0);
    drop(year);

    let mut db = at.db().await;
    let former = unconfirmed(&mut db, &at.store, at.connection.id)
        .await
        .expect("read");
    assert_eq!(former.len(), 1);
    assert_eq!(former[0].secret.expose_secret(), old.expose_secret());
    confirm(&mut db, &former[0], DAY * 14)
        .await
        .expect("confirmed");
    let left = unconfirmed(&mut db, &at.store, at.connection.id)
        .await
        .expect("read");
    assert!(left.is_empty());
    assert!(is_known(&mut *at.later(DAY * 13).await, &at, &old).await);
    let mut tx = at.later(DAY * 15).await;
    assert!(!is_known(&mut tx, &at, &old).await);
    assert!(is_known(&mut tx, &at, &new).await);
    assert_eq!(forget_expired(&mut tx).await.expect("done"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rotations_at_once_keep_every_secret_that_a_gateway_may_have() {
    let at = Fixture::new().await;
    let oldest = newest(&at).await;
    let mut first = at.begin().await;
    rotated(&mut first, &at).await;
    let middle = path_secret(&mut first, &at.store, at.connection.id)
        .await
        .expect("a secret");
    let second = async {
        let mut tx = at.begin().await;
        rotated(&mut tx, &at).await;
        tx.commit().await.expect("committed");
    };
    at.overlapping(first, second).await;
    let last = newest(&at).await;
    let mut db = at.db().await;
    for secret in [&oldest, &middle, &last] {
        assert!(is_known(&mut db, &at, secret).await);
    }
    let former = unconfirmed(&mut db, &at.store, at.connection.id)
        .await
        .expect("read");
    let former: Vec<_> = former
        .iter()
        .map(|one| one.secret.expose_secret())
        .collect();
    assert_eq!(former, [oldest.expose_secret(), middle.expose_secret()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_that_does_not_open_delays_no_other() {
    let at = Fixture::new().await;
    let mut tx = at.begin().await;
    rotated(&mut tx, &at).await;
    run(&mut tx, "update former_path_secrets set secret_sealed = 'broken', next_check_at = app_now() - interval '1 hour'").await;
    rotated(&mut tx, &at).await;
    tx.commit().await.expect("committed");
    let mut tx = at.later(MINUTE * 2).await;
    let found = due(&mut tx, 10).await.expect("read");
    assert_eq!(found.len(), 2);
    postpone(&mut tx, &found[0], HOUR).await.expect("postponed");
    let left = due(&mut tx, 10).await.expect("read");
    assert_eq!((left.len(), left[0].checks), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_ours_replaced_is_stored_sealed() {
    let at = Fixture::new().await;
    let mut db = at.db().await;
    let id = at.connection.id;
    assert_eq!(former(&mut db, &at.store, id).await.expect("read"), None);
    let address = "https://other.example.com/hooks?token=zzyzx";
    remember_former(&mut db, &at.store, id, address)
        .await
        .expect("stored");
    assert_eq!(
        former(&mut db, &at.store, id)
            .await
            .expect("read")
            .as_deref(),
        Some(address)
    );
    let row = at
        .texts("select encode(former_address_sealed, 'escape') from gateway_connections")
        .await;
    assert!(!row[0].contains("zzyzx"));
}

// == polling ==

const LISTS: [FeedKind; 2] = [
    FeedKind {
        gateway: GatewayKind::Asaas,
        feed: "asaas_payments",
        api: GatewayApi::Asaas,
    },
    FeedKind {
        gateway: GatewayKind::Stripe,
        feed: "stripe_events",
        api: GatewayApi::Stripe,
    },
];

async fn claimed(db: &mut PgConnection, failing: bool) -> Option<ClaimedFeed> {
    let claimed = feeds::claim(db, (GatewayApi::Asaas, failing), MINUTE * 3).await;
    claimed.expect("claimed")
}

/// Returns a database with one list for each of `count` connections, and the claim of the oldest.
async fn with_lists(count: usize) -> Fixture {
    let at = Fixture::new().await;
    for n in 1..count {
        at.connect(GatewayKind::Asaas, &format!("asaas {n}")).await;
    }
    feeds::ensure(&mut *at.db().await, &LISTS)
        .await
        .expect("ensured");
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn each_list_of_each_connection_is_inserted_once_even_by_two_at_once() {
    let at = Fixture::new().await;
    at.connect(GatewayKind::Stripe, "stripe").await;
    let mut first = at.begin().await;
    feeds::ensure(&mut first, &LISTS).await.expect("ensured");
    let second = async { feeds::ensure(&mut *at.db().await, &LISTS).await };
    at.overlapping(first, second).await.expect("ensured");
    let lists = at
        .texts("select feed from connection_feeds order by 1")
        .await;
    assert_eq!(lists, ["asaas_payments", "stripe_events"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_claim_the_same_list_and_none_waits() {
    let at = with_lists(2).await;
    let mut first = at.begin().await;
    let one = claimed(&mut first, false).await.expect("a list");
    let mut second = at.begin().await;
    let other = claimed(&mut second, false).await.expect("a list");
    assert_ne!(one.connection, other.connection);
    assert!(claimed(&mut *at.db().await, false).await.is_none());
    first.commit().await.expect("committed");
    second.commit().await.expect("committed");
    assert!(
        claimed(&mut *at.db().await, false).await.is_none(),
        "both are leased"
    );
    let again = claimed(&mut *at.later(MINUTE * 4).await, false).await;
    assert!(again.is_some(), "a lease that ends frees its list");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_lists_are_claimed_apart_and_new_credentials_end_their_pause() {
    let at = with_lists(2).await;
    let mut db = at.db().await;
    let broken = claimed(&mut db, false).await.expect("a list");
    feeds::failed(&mut db, &broken, (HOUR, "http_503"))
        .await
        .expect("written");
    let healthy = claimed(&mut db, false).await.expect("a list");
    assert_ne!(healthy.connection, broken.connection);
    assert!(claimed(&mut db, true).await.is_none(), "it pauses");
    let mut later = at.later(HOUR * 2).await;
    let again = claimed(&mut later, true).await.expect("the failing list");
    assert_eq!((again.connection, again.failures), (broken.connection, 1));
    later.rollback().await.expect("rolled back");
    feeds::wake(&mut db, broken.connection)
        .await
        .expect("woken");
    let woken = claimed(&mut db, false).await.expect("the list");
    assert_eq!((woken.connection, woken.failures), (broken.connection, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_never_moves_back_and_progress_ends_the_failures() {
    let at = with_lists(1).await;
    let mut db = at.db().await;
    let list = claimed(&mut db, false).await.expect("a list");
    feeds::failed(&mut db, &list, (MINUTE, "http_503"))
        .await
        .expect("written");
    let later = list.polled_until + HOUR;
    let read = feeds::advance(&mut db, &list, (Some(later), Some("page 2"))).await;
    assert_eq!(read.expect("written"), later);
    let read = feeds::advance(&mut db, &list, (Some(list.polled_until - DAY), None)).await;
    assert_eq!(read.expect("written"), later);
    let read = feeds::advance(&mut db, &list, (None, None)).await;
    assert_eq!(read.expect("written"), later, "a page without a time");
    let row = at
        .texts("select failures || ' ' || coalesce(cursor, 'no cursor') || ' ' || coalesce(last_error, 'no error') from connection_feeds")
        .await;
    assert_eq!(row, ["0 no cursor no error"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_connection_is_polled_daily_until_180_days_after_its_last_payment() {
    let at = with_lists(1).await;
    let list = claimed(&mut *at.db().await, false).await.expect("a list");
    let charge = at.charge("52998224725", "paid").await;
    at.payment(charge, "179 days").await;
    let next = "select coalesce(round(extract(epoch from next_check_at - app_now()) / 60)::text, 'never') from connection_feeds";
    let mut db = at.db().await;
    feeds::rest(&mut db, &list, (MINUTE * 5, true))
        .await
        .expect("written");
    assert_eq!(at.texts(next).await, ["5"]);
    set_status(&mut db, at.connection.id, ConnectionStatus::Archived)
        .await
        .expect("set");
    feeds::rest(&mut db, &list, (MINUTE * 5, false))
        .await
        .expect("written");
    assert_eq!(at.texts(next).await, ["5"], "it is not read to its end");
    feeds::rest(&mut db, &list, (MINUTE * 5, true))
        .await
        .expect("written");
    assert_eq!(at.texts(next).await, ["1440"]);
    let mut later = at.later(DAY * 2).await;
    feeds::rest(&mut later, &list, (MINUTE * 5, true))
        .await
        .expect("written");
    later.commit().await.expect("committed");
    assert_eq!(at.texts(next).await, ["never"]);
    let lag = feeds::oldest_s(&mut db).await.expect("read");
    assert!(lag.is_empty(), "{lag:?}");
}

// == checks of the registration ==

async fn check(db: &mut PgConnection) -> Option<(ConnectionId, bool)> {
    let claimed = claim_check(db, (HOUR, MINUTE, MINUTE * 10))
        .await
        .expect("claimed");
    claimed.map(|due| (due.id, due.must_register))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_checked_once_per_interval_and_an_archived_one_never() {
    let at = Fixture::new().await;
    assert_eq!(check(&mut *at.db().await).await, None, "it is new");
    let mut tx = at.later(HOUR + SECOND).await;
    assert_eq!(check(&mut tx).await, Some((at.connection.id, false)));
    assert_eq!(check(&mut tx).await, None);
    tx.commit().await.expect("committed");
    assert_eq!(
        check(&mut *at.later(HOUR * 2).await).await,
        Some((at.connection.id, false)),
        "a minute sooner"
    );
    set_status(
        &mut *at.db().await,
        at.connection.id,
        ConnectionStatus::Archived,
    )
    .await
    .expect("set");
    assert_eq!(check(&mut *at.later(DAY).await).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_check_the_same_connection() {
    let at = Fixture::new().await;
    let other = at.connect(GatewayKind::Efi, "efi").await;
    let (mut first, mut second) = (at.later(DAY).await, at.later(DAY).await);
    let mut claimed =
        [check(&mut first).await, check(&mut second).await].map(|due| due.expect("a connection").0);
    claimed.sort_by_key(|id| id.uuid());
    assert_eq!(claimed, [at.connection.id, other.id]);
    assert_eq!(check(&mut *at.later(DAY).await).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_due_comes_first_and_is_retried_until_it_is_made() {
    let at = Fixture::new().await;
    let lost = at.connect(GatewayKind::Efi, "efi").await;
    at.run(&format!(
        "update gateway_connections set register_at = app_now() where id = '{}';
         update gateway_connections set checked_at = app_now() - interval '1 day' where id <> '{}'",
        lost.id.uuid(),
        lost.id.uuid()
    ))
    .await;
    let mut db = at.db().await;
    assert_eq!(check(&mut db).await, Some((lost.id, true)));
    assert_eq!(check(&mut db).await, Some((at.connection.id, false)));
    assert_eq!(check(&mut db).await, None);
    let mut tx = at.later(MINUTE * 11).await;
    assert_eq!(
        check(&mut tx).await,
        Some((lost.id, true)),
        "it was not made"
    );
    registered(&mut tx, lost.id).await.expect("written");
    tx.commit().await.expect("committed");
    assert_eq!(check(&mut *at.later(MINUTE * 30).await).await, None);
}

// == secrets of the registration ==

async fn added(db: &mut PgConnection, at: &Fixture) -> Uuid {
    let added = registrations::add(db, &at.store, &at.connection, (&new_token(), None)).await;
    added.expect("added")
}

async fn proving_ids(db: &mut PgConnection, at: &Fixture) -> Vec<Uuid> {
    let valid = proving(db, &at.store, at.connection.id)
        .await
        .expect("read");
    valid.iter().map(|one| one.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_proves_notifications_for_the_overlap_only() {
    let at = Fixture::new().await;
    let mut db = at.db().await;
    let old = added(&mut db, &at).await;
    registrations::confirm(&mut db, at.connection.id, (old, "wh_1"), DAY * 14)
        .await
        .expect("confirmed");
    let new = added(&mut db, &at).await;
    assert_eq!(
        proving_ids(&mut db, &at).await,
        [new, old],
        "both, before the gateway confirms"
    );
    registrations::confirm(&mut db, at.connection.id, (new, "wh_2"), DAY * 14)
        .await
        .expect("confirmed");
    assert_eq!(
        proving_ids(&mut *at.later(DAY * 13).await, &at).await,
        [new, old]
    );
    assert_eq!(
        proving_ids(&mut *at.later(DAY * 15).await, &at).await,
        [new]
    );
    let valid = proving(&mut db, &at.store, at.connection.id)
        .await
        .expect("read");
    assert_eq!(valid[0].gateway_id.as_deref(), Some("wh_2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registrations_confirmed_at_once_leave_one_current_secret() {
    let at = Fixture::new().await;
    let mut db = at.db().await;
    let (one, other) = (added(&mut db, &at).await, added(&mut db, &at).await);
    let mut first = at.begin().await;
    registrations::confirm(&mut first, at.connection.id, (one, "wh_1"), DAY)
        .await
        .expect("confirmed");
    let second = async {
        let mut db = at.db().await;
        registrations::confirm(&mut db, at.connection.id, (other, "wh_2"), DAY).await
    };
    at.overlapping(first, second).await.expect("confirmed");
    let current = texts(
        &mut db,
        "select gateway_id from notification_registrations where valid_until is null",
    )
    .await;
    assert_eq!(current, ["wh_2"]);
    assert_eq!(proving_ids(&mut db, &at).await, [other, one]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_verifications_ask_for_a_registration_at_most_once_an_hour() {
    let at = Fixture::new().await;
    let times = (MINUTE * 10, HOUR);
    let fail = async |db: &mut PgConnection| {
        unproved(db, at.connection.id, 3, times)
            .await
            .expect("counted")
    };
    let mut db = at.db().await;
    let asked = [
        fail(&mut db).await,
        fail(&mut db).await,
        fail(&mut db).await,
        fail(&mut db).await,
    ];
    assert_eq!(asked, [false, false, true, false]);
    let mut tx = at.later(MINUTE * 30).await;
    for _ in 0..5 {
        assert!(!fail(&mut tx).await, "within the hour");
    }
    drop(tx);
    let mut tx = at.later(HOUR + MINUTE).await;
    let asked = [
        fail(&mut tx).await,
        fail(&mut tx).await,
        fail(&mut tx).await,
    ];
    assert_eq!(asked, [false, false, true]);
    let due = texts(
        &mut tx,
        "select (register_at > app_now())::text from gateway_connections",
    )
    .await;
    assert_eq!(
        due,
        ["true"],
        "the next check makes it, if the caller does not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_verifications_far_apart_are_not_added_up() {
    let at = Fixture::new().await;
    for n in 0..6 {
        let mut tx = at.later(MINUTE * 6 * n).await;
        let asked = unproved(&mut tx, at.connection.id, 3, (MINUTE * 10, HOUR)).await;
        assert!(!asked.expect("counted"), "{n}");
        tx.commit().await.expect("committed");
    }
}
