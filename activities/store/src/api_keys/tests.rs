use secrecy::ExposeSecret;

use super::*;
use crate::testing::{DAY, Fixture, HOUR, MINUTE};

async fn key(at: &Fixture) -> (ApiKeyId, SecretString) {
    let mut db = at.db().await;
    let key = insert(
        &mut db,
        at.merchant,
        Mode::Test,
        Permission::Payments,
        "shop",
    )
    .await;
    key.expect("a key")
}

async fn is_valid(db: &mut PgConnection, secret: &SecretString) -> bool {
    let found = find(db, secret.expose_secret()).await;
    found.expect("read").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_proves_its_key_and_is_stored_nowhere() {
    let at = Fixture::new().await;
    let (id, secret) = key(&at).await;
    let secret = secret.expose_secret();
    assert!(
        secret.starts_with("sk_test_"),
        "the mode is part of the secret"
    );
    let found = find(&mut *at.db().await, secret).await.expect("read");
    let found = found.expect("a key");
    assert_eq!(
        (found.id, found.merchant, found.mode, found.permission),
        (id, at.merchant, Mode::Test, Permission::Payments)
    );
    let row = at
        .texts("select to_jsonb(k)::text from api_keys k")
        .await
        .remove(0);
    let (_, random) = secret.rsplit_once('_').expect("a random part");
    assert!(!row.contains(random), "{row}");
    let hint = at.texts("select hint from api_keys").await;
    assert_eq!(hint, [&secret[secret.len() - 4..]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_never_found_and_is_revoked_once_by_its_merchant_only() {
    let at = Fixture::new().await;
    let ((id, secret), other) = (key(&at).await, at.other_merchant().await);
    let mut db = at.db().await;
    assert!(
        !revoke(&mut db, other, id).await.expect("done"),
        "another merchant's key"
    );
    assert!(is_valid(&mut db, &secret).await);
    assert!(revoke(&mut db, at.merchant, id).await.expect("done"));
    assert!(!is_valid(&mut db, &secret).await);
    let at_first = at.texts("select revoked_at::text from api_keys").await;
    assert!(
        !revoke(&mut db, at.merchant, id).await.expect("done"),
        "it is revoked already"
    );
    assert_eq!(
        at.texts("select revoked_at::text from api_keys").await,
        at_first
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_key_is_valid_until_its_overlap_ends() {
    let at = Fixture::new().await;
    let ((old, secret), (new, _)) = (key(&at).await, key(&at).await);
    expire(&mut *at.db().await, old, new, HOUR)
        .await
        .expect("rolled");
    assert!(is_valid(&mut *at.later(HOUR - MINUTE).await, &secret).await);
    assert!(!is_valid(&mut *at.later(HOUR + MINUTE).await, &secret).await);
    let replaced = at
        .texts("select replaced_by::text from api_keys where replaced_by is not null")
        .await;
    assert_eq!(replaced, [new.uuid().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_a_key_again_never_extends_it() {
    let at = Fixture::new().await;
    let ((old, secret), (new, _), (newest, _)) = (key(&at).await, key(&at).await, key(&at).await);
    let mut db = at.db().await;
    let first = expire(&mut db, old, new, HOUR).await.expect("rolled");
    let second = expire(&mut db, old, newest, DAY).await.expect("rolled");
    assert_eq!(second, first);
    assert!(!is_valid(&mut *at.later(HOUR + MINUTE).await, &secret).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_rolls_at_once_sees_the_first_ones_end() {
    let at = Fixture::new().await;
    let ((old, _), (new, _)) = (key(&at).await, key(&at).await);
    let mut first = at.begin().await;
    lock(&mut first, old).await.expect("locked");
    let end = expire(&mut first, old, new, HOUR).await.expect("rolled");
    let second = async {
        let mut tx = at.begin().await;
        lock(&mut tx, old).await.expect("locked").expect("a key")
    };
    let seen = at.overlapping(first, second).await;
    assert_eq!(seen.expires_at, Some(end));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_recorded_once_an_hour_and_never_waits_for_a_lock() {
    let at = Fixture::new().await;
    let (id, secret) = key(&at).await;
    let used = "select coalesce(last_used_at::text, 'never') from api_keys";
    let mut roll = at.begin().await;
    lock(&mut roll, id).await.expect("locked");
    assert!(
        is_valid(&mut *at.db().await, &secret).await,
        "the lock is held"
    );
    assert_eq!(at.texts(used).await, ["never"]);
    roll.rollback().await.expect("rolled back");
    assert!(is_valid(&mut *at.db().await, &secret).await);
    let first = at.texts(used).await;
    assert_ne!(first, ["never"]);
    assert!(is_valid(&mut *at.db().await, &secret).await);
    assert_eq!(at.texts(used).await, first, "within the hour");
    let mut tx = at.later(HOUR + MINUTE).await;
    assert!(is_valid(&mut tx, &secret).await);
    tx.commit().await.expect("committed");
    assert_ne!(at.texts(used).await, first, "after the hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_all_keys_counts_those_that_were_valid_and_spares_other_merchants() {
    let at = Fixture::new().await;
    let ((one, _), (_, second)) = (key(&at).await, key(&at).await);
    let other = at.other_merchant().await;
    let mut db = at.db().await;
    let (_, others) = insert(&mut db, other, Mode::Live, Permission::Read, "other")
        .await
        .expect("a key");
    revoke(&mut db, at.merchant, one).await.expect("done");
    assert_eq!(revoke_all(&mut db, at.merchant).await.expect("done"), 1);
    assert!(!is_valid(&mut db, &second).await);
    assert!(is_valid(&mut db, &others).await);
    assert_eq!(
        list(&mut db, at.merchant, Mode::Test)
            .await
            .expect("read")
            .len(),
        2,
        "revoked keys stay listed"
    );
}
