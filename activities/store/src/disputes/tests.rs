use super::*;
use crate::{
    charges,
    testing::{Fixture, texts},
};

fn new<'a>(
    at: &Fixture,
    (charge, payment): (ChargeId, PaymentId),
    gateway_dispute_id: &'a str,
) -> NewDispute<'a> {
    NewDispute {
        id: DisputeId(crate::new_id()),
        merchant: at.merchant,
        mode: Mode::Test,
        charge,
        payment,
        connection: at.connection.id,
        gateway: at.connection.gateway,
        gateway_dispute_id,
        kind: DisputeKind::Med,
        status: DisputeStatus::NeedsResponse,
        amount: 100,
        reason: None,
        respond_by: None,
    }
}

async fn paid(at: &Fixture) -> (ChargeId, PaymentId) {
    let charge = at.charge("52998224725", "paid").await;
    (charge.0, at.payment(charge, "1 hour").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_moves_through_its_table_only_and_ends_when_it_is_decided() {
    let at = Fixture::new().await;
    let of = paid(&at).await;
    let mut db = at.db().await;
    insert(&mut db, &new(&at, of, "dp_1"))
        .await
        .expect("inserted");
    let mut row = of_charge(&mut db, of.0).await.expect("read").remove(0);
    assert!(
        transition(&mut db, &mut row, DisputeStatus::UnderReview)
            .await
            .expect("done")
    );
    assert!(row.shown.closed_at.is_none());
    assert!(
        !transition(&mut db, &mut row, DisputeStatus::NeedsResponse)
            .await
            .expect("done")
    );
    assert!(
        transition(&mut db, &mut row, DisputeStatus::Lost)
            .await
            .expect("done")
    );
    assert!(row.shown.closed_at.is_some());
    assert!(
        !transition(&mut db, &mut row, DisputeStatus::UnderReview)
            .await
            .expect("done")
    );
    assert!(
        transition(&mut db, &mut row, DisputeStatus::Won)
            .await
            .expect("done"),
        "a loss may be reversed"
    );
    let stored = find(&mut db, (at.merchant, Mode::Test), row.shown.id)
        .await
        .expect("read");
    assert_eq!(stored.expect("a dispute"), row.shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_reports_of_a_dispute_at_once_is_rejected() {
    let at = Fixture::new().await;
    let of = paid(&at).await;
    let mut first = at.begin().await;
    insert(&mut first, &new(&at, of, "dp_1"))
        .await
        .expect("inserted");
    let second = async { insert(&mut *at.db().await, &new(&at, of, "dp_1")).await };
    let rejected = at.overlapping(first, second).await.expect_err("rejected");
    assert!(
        rejected.violates("disputes_connection_id_gateway_dispute_id_key"),
        "{rejected}"
    );
    assert_eq!(at.texts("select count(*)::text from disputes").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_found_by_its_merchant_in_its_mode_only() {
    let at = Fixture::new().await;
    let of = paid(&at).await;
    let dispute = new(&at, of, "dp_1");
    let mut db = at.db().await;
    insert(&mut db, &dispute).await.expect("inserted");
    let other = at.other_merchant().await;
    for (tenant, is_found) in [
        ((at.merchant, Mode::Test), true),
        ((at.merchant, Mode::Live), false),
        ((other, Mode::Test), false),
    ] {
        let found = find(&mut db, tenant, dispute.id).await.expect("read");
        assert_eq!(found.is_some(), is_found, "{tenant:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_disputes_are_paged_without_a_gap_or_a_repetition() {
    let at = Fixture::new().await;
    let (charge, payment) = paid(&at).await;
    at.run(&format!(
        "insert into disputes (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, gateway_dispute_id, kind, status, amount)
         select uuidv7(), '{}', 'test', '{}', '{}', '{}', 'asaas', 'dp_' || n, 'med', 'won', 1 from generate_series(1, 10000) n",
        at.merchant.uuid(),
        charge.uuid(),
        payment.uuid(),
        at.connection.id.uuid(),
    ))
    .await;
    let mut db = at.db().await;
    let (mut seen, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let range = Range {
            limit: 1_000,
            after,
            before: None,
        };
        let (page, more) = list(&mut db, (at.merchant, Mode::Test), None, range)
            .await
            .expect("read");
        pages += 1;
        after = page.last().map(|dispute| dispute.id.uuid());
        seen.extend(page.into_iter().map(|dispute| dispute.id.uuid()));
        if !more {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (10, 10_000));
    assert!(
        seen.is_sorted_by(|newer, older| newer > older),
        "newest first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_dispute_are_numbered_without_a_gap() {
    let at = Fixture::new().await;
    let of = paid(&at).await;
    let mut tx = at.begin().await;
    insert(&mut tx, &new(&at, of, "dp_1"))
        .await
        .expect("inserted");
    let mut row = of_charge(&mut tx, of.0).await.expect("read").remove(0);
    let mut charge = charges::lock(&mut tx, &at.store, of.0)
        .await
        .expect("read")
        .expect("a charge");
    append_event(&mut tx, &mut charge, &mut row)
        .await
        .expect("an event");
    transition(&mut tx, &mut row, DisputeStatus::Won)
        .await
        .expect("done");
    append_event(&mut tx, &mut charge, &mut row)
        .await
        .expect("an event");
    charges::save(&mut tx, &mut charge).await.expect("saved");
    let events = texts(&mut tx, "select sequence || ' ' || type || ' ' || (data ->> 'status') from events order by sequence").await;
    assert_eq!(
        events,
        [
            "1 dispute.needs_response needs_response",
            "2 dispute.won won"
        ]
    );
}
