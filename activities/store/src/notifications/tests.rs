use chrono::TimeDelta;
use schemas::gateway::GatewayKind;
use serde_json::json;

use super::{
    raw::{RawFilter, RawNotification, delete_unmatched, page, readable},
    unmatched::{due, match_again},
    *,
};
use crate::{
    observations,
    testing::{DAY, Fixture, HOUR, MINUTE},
};

fn notice(key: &str, reference: Option<String>) -> Notice {
    Notice {
        dedupe_key: key.to_owned(),
        event: "PAYMENT_RECEIVED".to_owned(),
        reference,
        gateway_charge: None,
        gateway_payment: None,
        observed: Some(json!({ "status": "paid" })),
        stated_at: None,
        is_payable: false,
        matters: true,
    }
}

async fn ingested(
    at: &Fixture,
    source: NotificationSource<'_>,
    notices: &[Notice],
) -> IngestSummary {
    let read = ReadNotices {
        notices: notices.to_vec(),
        unreadable: None,
    };
    let mut tx = at.begin().await;
    let stored = ingest(&mut tx, &at.store, &at.connection, source, &read).await;
    tx.commit().await.expect("committed");
    stored.expect("stored")
}

const BODY: NotificationSource<'static> = NotificationSource::Received(b"body");

/// Returns each observation: its key, how often it was received, its kind and whether it is handled.
async fn observed(at: &Fixture) -> Vec<String> {
    at.texts(
        "select dedupe_key || ' ' || received_count || case when observed is null then ' hint' else ' proof' end
                || case when handled_at is null then ' open' else ' handled' end
           from observations order by dedupe_key",
    )
    .await
}

async fn handle_all(at: &Fixture, charge: ChargeId) {
    let mut db = at.db().await;
    for fact in observations::unhandled(&mut db, charge)
        .await
        .expect("read")
        .observations
    {
        observations::handled(&mut db, &fact)
            .await
            .expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_proof_is_counted_and_applied_once() {
    let at = Fixture::new().await;
    let (charge, attempt) = at.charge("52998224725", "pending").await;
    let paid = notice("evt_1", Some(attempt.reference()));
    let first = ingested(&at, BODY, std::slice::from_ref(&paid)).await;
    assert_eq!(first.charges, [charge]);
    assert_eq!(observed(&at).await, ["evt_1 1 proof open"]);
    ingested(&at, BODY, std::slice::from_ref(&paid)).await;
    assert_eq!(
        observed(&at).await,
        ["evt_1 2 proof open"],
        "not applied yet: still a proof"
    );
    handle_all(&at, charge).await;
    let again = ingested(&at, BODY, &[paid]).await;
    assert_eq!(again.charges, [charge], "the gateway must be read");
    assert_eq!(observed(&at).await, ["evt_1 3 hint open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_of_a_notification_at_once_are_one_observation() {
    let at = Fixture::new().await;
    let (_, attempt) = at.charge("52998224725", "pending").await;
    let read = ReadNotices {
        notices: vec![notice("evt_1", Some(attempt.reference()))],
        unreadable: None,
    };
    let mut first = at.begin().await;
    ingest(&mut first, &at.store, &at.connection, BODY, &read)
        .await
        .expect("stored");
    let second = async {
        let mut tx = at.begin().await;
        ingest(&mut tx, &at.store, &at.connection, BODY, &read)
            .await
            .expect("stored");
        tx.commit().await.expect("committed");
    };
    at.overlapping(first, second).await;
    assert_eq!(observed(&at).await, ["evt_1 2 proof open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_two_readings_of_a_list_share_changes_nothing() {
    let at = Fixture::new().await;
    let (charge, attempt) = at.charge("52998224725", "pending").await;
    let entry = notice("pay_1", Some(attempt.reference()));
    ingested(
        &at,
        NotificationSource::Listed,
        std::slice::from_ref(&entry),
    )
    .await;
    handle_all(&at, charge).await;
    let again = ingested(&at, NotificationSource::Listed, &[entry]).await;
    assert!(again.charges.is_empty());
    assert_eq!(observed(&at).await, ["pay_1 1 proof handled"]);
    assert_eq!(
        at.texts("select count(*)::text from notifications").await,
        ["0"],
        "a list has no body"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_older_than_the_last_applied_one_is_a_hint_and_ignored_if_payable() {
    let at = Fixture::new().await;
    let (charge, attempt) = at.charge("52998224725", "pending").await;
    let now = crate::now(&mut *at.db().await).await.expect("a time");
    let stated = |key: &str, at: chrono::DateTime<chrono::Utc>, is_payable| Notice {
        stated_at: Some(at),
        is_payable,
        ..notice(key, Some(attempt.reference()))
    };
    ingested(&at, BODY, &[stated("evt_1", now, false)]).await;
    handle_all(&at, charge).await;
    let late = [
        stated("evt_2", now - MINUTE, false),
        stated("evt_3", now - MINUTE, true),
        stated("evt_4", now + MINUTE, false),
    ];
    ingested(&at, BODY, &late).await;
    assert_eq!(
        observed(&at).await,
        [
            "evt_1 1 proof handled",
            "evt_2 1 hint open",
            "evt_3 1 hint handled",
            "evt_4 1 proof open"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_without_meaning_is_stored_as_handled() {
    let at = Fixture::new().await;
    let (_, attempt) = at.charge("52998224725", "pending").await;
    let viewed = Notice {
        matters: false,
        ..notice("evt_1", Some(attempt.reference()))
    };
    let stored = ingested(&at, BODY, &[viewed]).await;
    assert!(stored.charges.is_empty());
    assert_eq!(observed(&at).await, ["evt_1 1 proof handled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_matches_within_its_connection_only() {
    let at = Fixture::new().await;
    let (_, attempt) = at.charge("52998224725", "pending").await;
    let other = at.connect(GatewayKind::Efi, "efi").await;
    let read = ReadNotices {
        notices: vec![notice("evt_1", Some(attempt.reference()))],
        unreadable: None,
    };
    let mut tx = at.begin().await;
    let stored = ingest(&mut tx, &at.store, &other, BODY, &read)
        .await
        .expect("stored");
    tx.commit().await.expect("committed");
    assert_eq!((stored.charges.len(), stored.unmatched), (0, 1));
    let waiting = at
        .texts("select connection_id::text from unmatched_notifications")
        .await;
    assert_eq!(waiting, [other.id.uuid().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_matched_by_reference_then_by_the_gateways_charge_then_by_payment() {
    let at = Fixture::new().await;
    let (one, attempt) = at.charge("52998224725", "pending").await;
    let (other, other_attempt) = at.charge("11144477735", "paid").await;
    let payment = at.payment((other, other_attempt), "1 hour").await;
    let by_both = Notice {
        gateway_charge: Some(format!("pay_{}", other_attempt.uuid())),
        ..notice("evt_1", Some(attempt.reference()))
    };
    assert_eq!(
        ingested(&at, BODY, &[by_both]).await.charges,
        [one],
        "the reference wins"
    );
    let by_charge = Notice {
        gateway_charge: Some(format!("pay_{}", attempt.uuid())),
        ..notice("evt_2", None)
    };
    assert_eq!(ingested(&at, BODY, &[by_charge]).await.charges, [one]);
    let by_payment = Notice {
        gateway_payment: Some(format!("pay {}", payment.uuid())),
        ..notice("evt_3", None)
    };
    assert_eq!(ingested(&at, BODY, &[by_payment]).await.charges, [other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_about_other_business_are_counted_by_day_and_not_stored() {
    let at = Fixture::new().await;
    for key in ["evt_1", "evt_2"] {
        let stored = ingested(
            &at,
            BODY,
            &[notice(key, Some("order 7".to_owned())), notice(key, None)],
        )
        .await;
        assert_eq!((stored.foreign, stored.raw), (2, None));
    }
    ingested(&at, NotificationSource::Listed, &[notice("evt_3", None)]).await;
    assert_eq!(
        at.texts("select count::text from foreign_notifications")
            .await,
        ["4"],
        "lists repeat them"
    );
    let stored =
        "select ((select count(*) from notifications) + (select count(*) from observations)
                          + (select count(*) from unmatched_notifications))::text";
    assert_eq!(at.texts(stored).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmatched_notification_is_matched_when_its_attempt_appears() {
    let at = Fixture::new().await;
    let (charge, attempt) = at.charge("52998224725", "pending").await;
    let unknown = AttemptId(crate::new_id());
    ingested(&at, BODY, &[notice("evt_1", Some(unknown.reference()))]).await;
    let mut db = at.db().await;
    let waiting = due(&mut db, 10).await.expect("read");
    assert_eq!(
        match_again(&mut db, &waiting[0], Some(HOUR))
            .await
            .expect("done"),
        None
    );
    assert!(
        due(&mut db, 10).await.expect("read").is_empty(),
        "it is postponed"
    );
    at.run(&format!(
        "update attempts set id = '{}' where id = '{}'",
        unknown.uuid(),
        attempt.uuid()
    ))
    .await;
    let mut later = at.later(HOUR * 2).await;
    let waiting = due(&mut later, 10).await.expect("read");
    assert_eq!((waiting.len(), waiting[0].checks), (1, 1));
    let matched = match_again(&mut later, &waiting[0], None)
        .await
        .expect("done");
    later.commit().await.expect("committed");
    assert_eq!(matched, Some(charge));
    assert_eq!(
        observed(&at).await,
        ["evt_1 1 hint open"],
        "its details are read from the gateway"
    );
    assert_eq!(
        at.texts("select count(*)::text from unmatched_notifications")
            .await,
        ["0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmatched_notification_is_left_to_an_operator_after_its_last_try_until_it_is_repeated()
{
    let at = Fixture::new().await;
    let unknown = notice("evt_1", Some(AttemptId(crate::new_id()).reference()));
    ingested(&at, BODY, std::slice::from_ref(&unknown)).await;
    let mut db = at.db().await;
    let waiting = due(&mut db, 10).await.expect("read");
    match_again(&mut db, &waiting[0], None).await.expect("done");
    assert!(
        due(&mut *at.later(DAY * 365).await, 10)
            .await
            .expect("read")
            .is_empty()
    );
    ingested(&at, BODY, &[unknown]).await;
    let waiting = due(&mut db, 10).await.expect("read");
    assert_eq!(
        waiting.iter().map(|one| one.checks).collect::<Vec<_>>(),
        [0]
    );
}

// == raw bodies ==

async fn pages(at: &Fixture, filter: &RawFilter) -> Vec<Vec<RawNotification>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let rows = page(&mut *at.db().await, &at.store, filter, after)
            .await
            .expect("read");
        let Some(last) = rows.last() else {
            return pages;
        };
        after = Some(last.id);
        pages.push(rows);
    }
}

fn bodies(pages: &[Vec<RawNotification>]) -> Vec<Option<&[u8]>> {
    let rows = pages.iter().flatten();
    rows.map(|raw| raw.body.as_deref()).collect()
}

async fn unreadable_body(at: &Fixture, body: &[u8]) -> Option<NotificationId> {
    let read = ReadNotices {
        notices: Vec::new(),
        unreadable: Some("pix: no amount".to_owned()),
    };
    let mut tx = at.begin().await;
    let source = NotificationSource::Received(body);
    let stored = ingest(&mut tx, &at.store, &at.connection, source, &read)
        .await
        .expect("stored");
    tx.commit().await.expect("committed");
    stored.raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_open_delays_no_other() {
    let at = Fixture::new().await;
    let broken = unreadable_body(&at, b"one").await.expect("an id");
    unreadable_body(&at, b"two").await;
    at.run(&format!(
        "update notifications set body_sealed = 'broken' where id = '{}'",
        broken.uuid()
    ))
    .await;
    let read = pages(&at, &RawFilter::default()).await;
    assert_eq!(bodies(&read), [None, Some(b"two".as_slice())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_about_two_payers_is_gone_when_one_is_erased() {
    let at = Fixture::new().await;
    let (_, one) = at.charge("52998224725", "paid").await;
    let (_, other) = at.charge("11144477735", "paid").await;
    let notices = [
        notice("evt_1", Some(one.reference())),
        notice("evt_2", Some(other.reference())),
    ];
    ingested(&at, BODY, &notices).await;
    let payers = at
        .texts("select cardinality(payer_ids)::text from notifications")
        .await;
    assert_eq!(payers, ["2"]);
    let read = pages(&at, &RawFilter::default()).await;
    assert_eq!(bodies(&read), [Some(b"body".as_slice())]);
    at.run("update payers set data_key = null where id = (select max(id::text)::uuid from payers)")
        .await;
    assert!(pages(&at, &RawFilter::default()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_bodies_are_read_once_each_in_ten_pages() {
    let at = Fixture::new().await;
    for n in 0..1_000 {
        unreadable_body(&at, format!("{n}").as_bytes()).await;
    }
    let read = pages(&at, &RawFilter::default()).await;
    assert_eq!(read.len(), 10);
    let expected: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let read = bodies(&read);
    assert!(
        read.iter()
            .map(|body| body.unwrap_or_default())
            .eq(expected.iter().map(String::as_bytes))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_filtered_by_connection_time_and_readability() {
    let at = Fixture::new().await;
    let id = unreadable_body(&at, b"one").await.expect("an id");
    unreadable_body(&at, b"two").await;
    let unreadable = RawFilter {
        unreadable: true,
        ..RawFilter::default()
    };
    assert_eq!(bodies(&pages(&at, &unreadable).await).len(), 2);
    readable(&mut *at.db().await, id).await.expect("written");
    assert_eq!(
        bodies(&pages(&at, &unreadable).await),
        [Some(b"two".as_slice())]
    );
    let other = at.connect(GatewayKind::Efi, "efi").await;
    let of_other = RawFilter {
        connection: Some(other.id),
        ..RawFilter::default()
    };
    assert!(pages(&at, &of_other).await.is_empty());
    at.run(&format!(
        "update notifications set received_at = app_now() - interval '1 day' where id = '{}'",
        id.uuid()
    ))
    .await;
    let recent = RawFilter {
        since: Some(crate::now(&mut *at.db().await).await.expect("a time") - HOUR),
        ..RawFilter::default()
    };
    assert_eq!(
        bodies(&pages(&at, &recent).await),
        [Some(b"two".as_slice())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_bodies_without_a_payer_are_deleted_oldest_first() {
    let at = Fixture::new().await;
    let (_, attempt) = at.charge("52998224725", "pending").await;
    ingested(&at, BODY, &[notice("evt_1", Some(attempt.reference()))]).await;
    for _ in 0..3 {
        unreadable_body(&at, b"body").await;
    }
    at.run("update notifications set received_at = app_now() - interval '91 days'")
        .await;
    unreadable_body(&at, b"new").await;
    let mut db = at.db().await;
    let age = TimeDelta::days(90);
    assert_eq!(delete_unmatched(&mut db, age, 2).await.expect("deleted"), 2);
    assert_eq!(delete_unmatched(&mut db, age, 2).await.expect("deleted"), 1);
    assert_eq!(delete_unmatched(&mut db, age, 2).await.expect("deleted"), 0);
    let left = at
        .texts("select cardinality(payer_ids)::text from notifications order by id")
        .await;
    assert_eq!(left, ["1", "0"]);
}
