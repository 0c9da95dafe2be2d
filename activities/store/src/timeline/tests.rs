use super::*;
use crate::testing::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_is_in_order_of_time_over_all_tables() {
    let at = Fixture::new().await;
    let (charge, attempt) = at.charge("52998224725", "paid").await;
    at.payment((charge, attempt), "1 hour").await;
    let event = at.event(charge.uuid(), 1).await;
    let endpoint = at.endpoint(&[]).await;
    let (m, g, c) = (at.merchant.uuid(), at.connection.id.uuid(), charge.uuid());
    at.run(&format!(
        "insert into observations (connection_id, dedupe_key, merchant_id, mode, charge_id, attempt_id, event, handled_at, received_at)
         values ('{g}', 'evt_1', '{m}', 'test', '{c}', '{}', 'PAYMENT_RECEIVED', app_now(), app_now() + interval '1 minute');
         update events set created_at = app_now() + interval '2 minutes';
         insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, state, created_at)
         values (uuidv7(), '{m}', 'test', '{}', 'charge.paid', '{c}', '{}', 'delivered', app_now() + interval '3 minutes');
         insert into refunds (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, created_at)
         select uuidv7(), '{m}', 'test', '{c}', id, '{g}', 'asaas', 'succeeded', 'merchant', 1, app_now() + interval '4 minutes'
           from payments",
        attempt.uuid(),
        event.uuid(),
        endpoint.uuid(),
    ))
    .await;
    let mut db = at.db().await;
    let timeline = of_charge(&mut db, at.merchant, Mode::Test, charge)
        .await
        .expect("read");
    let kinds: Vec<_> = timeline
        .expect("a timeline")
        .data
        .iter()
        .map(|entry| match entry.what {
            TimelineItem::Attempt { .. } => "attempt",
            TimelineItem::Notification { .. } => "notification",
            TimelineItem::Event { .. } => "event",
            TimelineItem::Delivery { .. } => "delivery",
            TimelineItem::Refund { .. } => "refund",
            TimelineItem::Dispute { .. } => "dispute",
        })
        .collect();
    assert_eq!(
        kinds,
        ["attempt", "notification", "event", "delivery", "refund"]
    );
    let other = at.other_merchant().await;
    for (merchant, mode) in [(other, Mode::Test), (at.merchant, Mode::Live)] {
        let none = of_charge(&mut db, merchant, mode, charge)
            .await
            .expect("read");
        assert!(none.is_none(), "another tenant's charge");
    }
}
