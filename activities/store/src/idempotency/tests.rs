use super::*;
use crate::{Tx, testing::Fixture};

fn request(operation: &'static str, key: &str, body: &str) -> IdempotentRequest {
    // any key of this length: the digests only have to differ
    let merchant_key =
        DataKey::master("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a key");
    IdempotentRequest::new(&merchant_key, operation, key, body.as_bytes())
}

async fn claimed(
    at: &Fixture,
    tx: &mut Tx,
    request: &IdempotentRequest,
    resource: Uuid,
) -> KeyClaim {
    let tenant = (at.merchant, Mode::Test);
    claim(tx, tenant, request, resource).await.expect("claimed")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_equal_requests_at_once_gets_the_firsts_resource() {
    let at = Fixture::new().await;
    let create = request("charges.create", "order-1", "{}");
    let (resource, other) = (crate::new_id(), crate::new_id());
    let mut first = at.begin().await;
    assert_eq!(
        claimed(&at, &mut first, &create, resource).await,
        KeyClaim::New
    );
    let second = async {
        let mut tx = at.begin().await;
        claimed(&at, &mut tx, &create, other).await
    };
    assert_eq!(
        at.overlapping(first, second).await,
        KeyClaim::Same(resource)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_first_try_was_rolled_back_is_new() {
    let at = Fixture::new().await;
    let create = request("charges.create", "order-1", "{}");
    let mut tx = at.begin().await;
    claimed(&at, &mut tx, &create, crate::new_id()).await;
    tx.rollback().await.expect("rolled back");
    let mut tx = at.begin().await;
    assert_eq!(
        claimed(&at, &mut tx, &create, crate::new_id()).await,
        KeyClaim::New
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_body_of_one_operation_in_one_mode() {
    let at = Fixture::new().await;
    let mut tx = at.begin().await;
    let resource = crate::new_id();
    let create = request("charges.create", "order-1", "{\"amount\":1}");
    claimed(&at, &mut tx, &create, resource).await;
    let other_body = request("charges.create", "order-1", "{\"amount\":2}");
    assert_eq!(
        claimed(&at, &mut tx, &other_body, crate::new_id()).await,
        KeyClaim::Other
    );
    let other_operation = request("refunds.create", "order-1", "{\"amount\":1}");
    assert_eq!(
        claimed(&at, &mut tx, &other_operation, crate::new_id()).await,
        KeyClaim::New
    );
    let live = claim(&mut tx, (at.merchant, Mode::Live), &create, crate::new_id()).await;
    assert_eq!(live.expect("claimed"), KeyClaim::New);
    assert_eq!(
        claimed(&at, &mut tx, &create, crate::new_id()).await,
        KeyClaim::Same(resource)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_points_at_another_resource_returns_it() {
    let at = Fixture::new().await;
    let mut tx = at.begin().await;
    let create = request("charges.create", "order-1", "{}");
    let open_charge = crate::new_id();
    claimed(&at, &mut tx, &create, crate::new_id()).await;
    point_at(&mut tx, (at.merchant, Mode::Test), &create, open_charge)
        .await
        .expect("written");
    assert_eq!(
        claimed(&at, &mut tx, &create, crate::new_id()).await,
        KeyClaim::Same(open_charge)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_key_nor_the_body_is_stored() {
    let at = Fixture::new().await;
    let mut tx = at.begin().await;
    let create = request("charges.create", "order-zzyzx", "Maria");
    claimed(&at, &mut tx, &create, crate::new_id()).await;
    tx.commit().await.expect("committed");
    let row = at
        .texts("select encode(key_hash, 'escape') || encode(fingerprint, 'escape') from idempotency_keys")
        .await;
    assert!(
        !row[0].contains("zzyzx") && !row[0].contains("Maria"),
        "{row:?}"
    );
}
