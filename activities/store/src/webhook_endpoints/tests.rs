use schemas::webhook_endpoint::WebhookEndpointStatus;
use serde_json::json;

use super::*;
use crate::testing::Fixture;

async fn created(at: &Fixture, db: &mut PgConnection) -> Option<WebhookEndpoint> {
    let request = json!({ "url": "https://shop.example.com/hooks" });
    let request = serde_json::from_value(request).expect("a request");
    let (tenant, id) = ((at.merchant, Mode::Test), EndpointId(crate::new_id()));
    insert(db, &at.store, tenant, id, &request)
        .await
        .expect("done")
}

fn page(limit: i64, after: Option<Uuid>, before: Option<Uuid>) -> Range {
    Range {
        limit,
        after,
        before,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_creations_at_once_never_exceed_the_maximum() {
    let at = Fixture::new().await;
    for _ in 1..MAX_ENDPOINTS {
        at.endpoint(&[]).await;
    }
    let mut first = at.begin().await;
    assert!(created(&at, &mut first).await.is_some());
    let second = async {
        let mut tx = at.begin().await;
        let second = created(&at, &mut tx).await;
        tx.commit().await.expect("committed");
        second
    };
    assert!(at.overlapping(first, second).await.is_none());
    let count = at
        .texts("select count(*)::text from webhook_endpoints")
        .await;
    assert_eq!(count, [MAX_ENDPOINTS.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_endpoint_frees_its_place_and_is_emptied_by_its_next_check() {
    let at = Fixture::new().await;
    for _ in 0..MAX_ENDPOINTS {
        at.endpoint(&[]).await;
    }
    let mut tx = at.begin().await;
    assert!(created(&at, &mut tx).await.is_none());
    let listed = list(&mut tx, at.merchant, Mode::Test, page(1, None, None)).await;
    let id = listed.expect("read").0[0].id;
    let other = at.other_merchant().await;
    assert!(!delete(&mut tx, other, Mode::Test, id).await.expect("done"));
    assert!(
        delete(&mut tx, at.merchant, Mode::Test, id)
            .await
            .expect("done")
    );
    assert!(
        !delete(&mut tx, at.merchant, Mode::Test, id)
            .await
            .expect("done"),
        "only once"
    );
    assert!(
        find(&mut tx, at.merchant, Mode::Test, id)
            .await
            .expect("read")
            .is_none()
    );
    let locked = lock(&mut tx, id)
        .await
        .expect("locked")
        .expect("an endpoint");
    assert_eq!(locked.status, WebhookEndpointStatus::Deleted);
    assert!(locked.draining && locked.next_check_at.is_some_and(|at| at <= locked.now));
    assert!(created(&at, &mut tx).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_again_to_its_merchant_and_opens_in_its_own_row_only() {
    let at = Fixture::new().await;
    let mut tx = at.begin().await;
    let first = created(&at, &mut tx).await.expect("an endpoint");
    let second = created(&at, &mut tx).await.expect("an endpoint");
    let tenant = (at.merchant, Mode::Test);
    let again = with_secret(&mut tx, &at.store, tenant, first.id)
        .await
        .expect("read");
    assert_eq!(again.expect("an endpoint").secret, first.secret);
    assert_ne!(first.secret, second.secret);
    let other = (at.other_merchant().await, Mode::Test);
    assert!(
        with_secret(&mut tx, &at.store, other, first.id)
            .await
            .expect("read")
            .is_none()
    );
    let swap = format!(
        "update webhook_endpoints set secret_sealed = (select secret_sealed from webhook_endpoints where id = '{}') where id = '{}'",
        first.id.uuid(),
        second.id.uuid()
    );
    crate::testing::run(&mut tx, &swap).await;
    let moved = with_secret(&mut tx, &at.store, tenant, second.id).await;
    assert!(matches!(moved, Err(StoreError::Vault(_))), "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_paged_in_both_directions() {
    let at = Fixture::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, at.endpoint(&[]).await);
    }
    let mut db = at.db().await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (rows, more) = list(&mut db, at.merchant, Mode::Test, page(2, after, None))
            .await
            .expect("read");
        seen.extend(rows.iter().map(|row| row.id));
        after = rows.last().map(|row| row.id.uuid());
        if !more {
            break;
        }
    }
    assert_eq!(seen, ids);
    let (rows, more) = list(&mut db, at.merchant, Mode::Test, page(2, None, after))
        .await
        .expect("read");
    assert_eq!(
        (rows.iter().map(|row| row.id).collect::<Vec<_>>(), more),
        (ids[2..4].to_vec(), true)
    );
}
