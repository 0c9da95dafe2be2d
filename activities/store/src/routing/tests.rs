use super::*;
use crate::testing::Fixture;

const WHY: Change<'static> = Change {
    author: "ana",
    reason: "set up",
};

async fn appended(db: &mut PgConnection, at: &Fixture, connection: ConnectionId) -> i32 {
    let of = (at.merchant, Mode::Test, PaymentMethodKind::Pix);
    append(db, of, connection, WHY).await.expect("appended")
}

async fn active_one(at: &Fixture) -> Policy {
    let found = active(
        &mut *at.db().await,
        at.merchant,
        Mode::Test,
        PaymentMethodKind::Pix,
    )
    .await;
    found.expect("read").expect("a policy")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_appends_at_once_make_two_versions_and_lose_no_connection() {
    let at = Fixture::new().await;
    let ids: [ConnectionId; 2] = [at.connection.id, ConnectionId(crate::new_id())];
    let mut first = at.begin().await;
    assert_eq!(appended(&mut first, &at, ids[0]).await, 1);
    let second = async {
        let mut tx = at.begin().await;
        let version = appended(&mut tx, &at, ids[1]).await;
        tx.commit().await.expect("committed");
        version
    };
    assert_eq!(at.overlapping(first, second).await, 2);
    let policy = active_one(&at).await;
    assert_eq!((policy.version, policy.connections), (2, ids.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_and_mode_has_its_own_versions_and_one_active_one() {
    let at = Fixture::new().await;
    let mut db = at.db().await;
    for _ in 0..3 {
        appended(&mut db, &at, ConnectionId(crate::new_id())).await;
    }
    let boleto = (at.merchant, Mode::Test, PaymentMethodKind::Boleto);
    assert_eq!(
        append(&mut db, boleto, at.connection.id, WHY)
            .await
            .expect("appended"),
        1
    );
    let live = active(&mut db, at.merchant, Mode::Live, PaymentMethodKind::Pix).await;
    assert!(live.expect("read").is_none());
    let rows = at
        .texts("select method || ' ' || version || ' ' || active || ' ' || author || ' ' || cardinality(connections) from routing_policies order by 1")
        .await;
    assert_eq!(
        rows,
        [
            "boleto 1 true ana 1",
            "pix 1 false ana 1",
            "pix 2 false ana 2",
            "pix 3 true ana 3"
        ]
    );
}
