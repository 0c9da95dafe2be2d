use super::*;
use crate::testing::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_objects_are_counted_by_kind() {
    let at = Fixture::new().await;
    let documents = ["52998224725", "11144477735", "39053344705"];
    for (document, status) in documents
        .into_iter()
        .zip(["pending", "needs_review", "paid"])
    {
        at.charge(document, status).await;
    }
    at.run("update attempts set state = 'paid' where charge_id in (select id from charges where status = 'paid')").await;
    let open = open_business(&mut *at.begin().await, at.merchant)
        .await
        .expect("counted");
    let counted = OpenBusiness {
        charges: 2,
        attempts: 2,
        refunds: 0,
        disputes: 0,
    };
    assert_eq!(open, counted);
    let other = at.other_merchant().await;
    let none = open_business(&mut *at.begin().await, other)
        .await
        .expect("counted");
    assert_eq!((none.charges, none.attempts), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_status_changes_at_once_sees_the_first() {
    let at = Fixture::new().await;
    let mut first = at.begin().await;
    let before = lock_status(&mut first, at.merchant)
        .await
        .expect("locked")
        .expect("a merchant");
    set_status(&mut first, at.merchant, MerchantStatus::Suspended)
        .await
        .expect("set");
    let second = async {
        let mut tx = at.begin().await;
        lock_status(&mut tx, at.merchant)
            .await
            .expect("locked")
            .expect("a merchant")
    };
    let seen = at.overlapping(first, second).await;
    assert_eq!(
        (before.status, seen.status),
        (MerchantStatus::Active, MerchantStatus::Suspended)
    );
    assert!(
        seen.since > before.since && seen.now >= seen.since,
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_this_version_cannot_read_block_no_request() {
    let at = Fixture::new().await;
    let settings = MerchantSettings::default();
    let mut db = at.db().await;
    set_settings(&mut db, at.merchant, &settings)
        .await
        .expect("set");
    at.run("update merchants set settings = settings || '{\"duplicate_reference\": 7}'")
        .await;
    let (status, read) = find(&mut db, at.merchant)
        .await
        .expect("read")
        .expect("a merchant");
    assert_eq!((status, read), (MerchantStatus::Active, settings));
}
