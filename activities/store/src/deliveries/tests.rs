use chrono::TimeDelta;
use schemas::webhook_endpoint::WebhookEndpointStatus;

use super::{
    given_up::{is_alarming, note},
    queue::{
        QueuePlace, Turns, claim_parked, claim_turn, discard_page, give_up_page, next_probe, park,
    },
    resend::{self, About, retry_now},
    *,
};
use crate::{
    testing::{DAY, Fixture, HOUR, MINUTE, SECOND},
    webhook_endpoints,
};

const DUE: &str = "app_now()";
const PARKED: &str = "null";

fn result(state: DeliveryState, next_check_at: Option<DateTime<Utc>>) -> DeliveryResult<'static> {
    let status = if state == DeliveryState::Delivered {
        200
    } else {
        500
    };
    DeliveryResult {
        status: Some(status),
        error: None,
        duration_ms: 7,
        state,
        next_check_at,
    }
}

/// Returns the states of all deliveries in order: the state, and the kind of its time.
async fn states(at: &Fixture) -> Vec<String> {
    at.texts(
        "select state || case when next_check_at is null then '' when has_turn then ' at its turn' else ' due' end
           from deliveries order by id",
    )
    .await
}

async fn turn(db: &mut PgConnection, work: &DeliveryJob) -> QueuePlace {
    claim_turn(db, work, SECOND, MINUTE).await.expect("a place")
}

// == turns ==

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_at_once_get_turns_at_the_endpoints_distance() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let ids = at.deliveries(endpoint, 2, DUE).await;
    let (one, other) = (at.job(ids[0]).await, at.job(ids[1]).await);
    let mut first = at.begin().await;
    let QueuePlace::Turn { at: first_at, now } = turn(&mut first, &one).await else {
        panic!("no turn");
    };
    assert!(first_at > now);
    let second = async {
        let mut tx = at.begin().await;
        let place = turn(&mut tx, &other).await;
        tx.commit().await.expect("committed");
        place
    };
    let QueuePlace::Turn { at: second_at, .. } = at.overlapping(first, second).await else {
        panic!("no turn");
    };
    assert_eq!(second_at - first_at, SECOND);
    assert_eq!(
        states(&at).await,
        ["pending at its turn", "pending at its turn"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_beyond_the_horizon_is_parked_and_only_the_first_starts_the_drain() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let ids = at.deliveries(endpoint, 65, DUE).await;
    let mut db = at.db().await;
    let mut parked = Vec::new();
    for id in &ids {
        match turn(&mut db, &at.job(*id).await).await {
            QueuePlace::Turn { .. } => assert!(parked.is_empty(), "none overtakes a parked one"),
            QueuePlace::Parked { first } => parked.push(first),
        }
    }
    assert!((3..=5).contains(&parked.len()), "{parked:?}");
    let firsts = parked.iter().filter(|first| **first).count();
    assert!(parked[0] && firsts == 1, "{parked:?}");
    let row = at
        .texts("select draining || ' ' || (next_check_at <= app_now()) from webhook_endpoints")
        .await;
    assert_eq!(row, ["true true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_with_a_turn_keeps_one_while_its_endpoint_drains() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let ids = at.deliveries(endpoint, 2, DUE).await;
    at.run("update webhook_endpoints set draining = true").await;
    let old = format!(
        "update deliveries set has_turn = true where id = '{}'",
        ids[0].uuid()
    );
    at.run(&old).await;
    let mut db = at.db().await;
    let place = turn(&mut db, &at.job(ids[0]).await).await;
    assert!(matches!(place, QueuePlace::Turn { .. }), "{place:?}");
    let place = turn(&mut db, &at.job(ids[1]).await).await;
    assert_eq!(place, QueuePlace::Parked { first: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_parked_deliveries_get_their_turns_oldest_first_in_pages() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let ids = at.deliveries(endpoint, 10_000, PARKED).await;
    let (mut given, mut pages) = (Vec::new(), 0);
    let mut first_at = crate::now(&mut *at.db().await).await.expect("a time");
    loop {
        let mut tx = at.begin().await;
        webhook_endpoints::lock(&mut tx, endpoint)
            .await
            .expect("locked");
        let turns = Turns {
            count: 1_000,
            first_at,
            spacing: SECOND,
        };
        let page = claim_parked(&mut tx, endpoint, turns)
            .await
            .expect("claimed");
        tx.commit().await.expect("committed");
        let Some((_, last_at)) = page.last() else {
            break;
        };
        (pages, first_at) = (pages + 1, *last_at + SECOND);
        given.extend(page);
    }
    assert_eq!(pages, 10);
    let order: Vec<_> = given.iter().map(|(due, _)| due.delivery).collect();
    assert!(order == ids, "oldest first");
    let mut gaps = given.windows(2).map(|pair| pair[1].1 - pair[0].1);
    assert!(gaps.all(|gap| gap == SECOND));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drains_at_once_give_each_delivery_one_turn() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    at.deliveries(endpoint, 5, PARKED).await;
    let drain = async |db: &mut PgConnection| {
        let locked = webhook_endpoints::lock(db, endpoint)
            .await
            .expect("locked")
            .expect("an endpoint");
        let turns = Turns {
            count: 3,
            first_at: locked.now,
            spacing: SECOND,
        };
        let given = claim_parked(db, endpoint, turns).await.expect("claimed");
        given
            .into_iter()
            .map(|(due, _)| due.delivery.uuid())
            .collect::<Vec<_>>()
    };
    let mut first = at.begin().await;
    let one = drain(&mut first).await;
    let second = async { drain(&mut *at.begin().await).await };
    let other = at.overlapping(first, second).await;
    assert_eq!((one.len(), other.len()), (3, 2));
    assert!(one.iter().all(|id| !other.contains(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_delivery_gets_no_turn_and_is_not_parked() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    let work = at.job(id).await;
    at.run("update deliveries set state = 'delivered', next_check_at = null")
        .await;
    let mut db = at.db().await;
    assert_eq!(
        turn(&mut db, &work).await,
        QueuePlace::Parked { first: false }
    );
    park(&mut db, id).await.expect("done");
    discard(&mut db, id).await.expect("done");
    assert_eq!(states(&at).await, ["delivered"]);
}

// == results ==

#[tokio::test(flavor = "multi_thread")]
async fn a_late_result_never_changes_a_final_delivery_and_is_recorded() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    let work = at.job(id).await;
    let mut db = at.db().await;
    record_attempt(&mut db, &work, &result(DeliveryState::Delivered, None))
        .await
        .expect("recorded");
    record_attempt(
        &mut db,
        &work,
        &result(DeliveryState::Pending, Some(work.now)),
    )
    .await
    .expect("recorded");
    assert_eq!(states(&at).await, ["delivered"]);
    let tries = at
        .texts("select n || ' ' || status from delivery_attempts order by id")
        .await;
    assert_eq!(tries, ["1 200", "1 500"]);
    let row = at.texts("select attempts || ' ' || last_result || ' ' || (delivered_at is not null) from deliveries").await;
    assert_eq!(row, ["1 200 true"]);
}

const POLICY: PausePolicy = PausePolicy {
    failures: 3,
    over: TimeDelta::minutes(5),
    probe_every: TimeDelta::minutes(10),
};

async fn failed(at: &Fixture, work: &DeliveryJob, gone: bool) -> EndpointHealth {
    endpoint_failed(&mut *at.db().await, work, gone, POLICY)
        .await
        .expect("written")
}

async fn endpoint_row(at: &Fixture) -> String {
    let sql = "select status || ' ' || failures || ' ' || draining || ' ' || (paused_at is not null) || ' '
                      || coalesce(round(extract(epoch from next_check_at - app_now()) / 60)::text, 'no check')
                 from webhook_endpoints";
    at.texts(sql).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_paused_by_enough_failures_over_enough_time() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    let work = at.job(id).await;
    for _ in 0..5 {
        assert_eq!(
            failed(&at, &work, false).await,
            EndpointHealth::Unchanged,
            "within five minutes"
        );
    }
    assert_eq!(endpoint_row(&at).await, "active 5 false false no check");
    at.run("update webhook_endpoints set failing_since = app_now() - interval '6 minutes', draining = true").await;
    assert_eq!(failed(&at, &work, false).await, EndpointHealth::Paused);
    assert_eq!(endpoint_row(&at).await, "paused 6 false true 10");
    assert_eq!(
        failed(&at, &work, false).await,
        EndpointHealth::Unchanged,
        "it is paused already"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_paused_at_once_and_by_one_of_two() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    let work = at.job(id).await;
    let mut first = at.begin().await;
    let paused = endpoint_failed(&mut first, &work, true, POLICY)
        .await
        .expect("written");
    let second = failed(&at, &work, true);
    assert_eq!(
        (paused, at.overlapping(first, second).await),
        (EndpointHealth::Paused, EndpointHealth::Unchanged)
    );
    assert_eq!(endpoint_row(&at).await, "paused 2 false true 10");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_probe_resumes_the_endpoint_and_drains_it() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    failed(&at, &at.job(id).await, true).await;
    let work = at.job(id).await;
    let mut db = at.db().await;
    assert_eq!(
        endpoint_accepted(&mut db, &work).await.expect("written"),
        EndpointHealth::Resumed
    );
    assert_eq!(endpoint_row(&at).await, "active 0 true false 0");
    assert_eq!(
        endpoint_accepted(&mut db, &work).await.expect("written"),
        EndpointHealth::Unchanged
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_of_a_healthy_endpoint_is_not_written() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    let version = "select xmin::text from webhook_endpoints";
    let before = at.texts(version).await;
    let health = endpoint_accepted(&mut *at.db().await, &at.job(id).await)
        .await
        .expect("done");
    assert_eq!(health, EndpointHealth::Unchanged);
    assert_eq!(at.texts(version).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_time_is_stored_and_a_slow_endpoint_stays_slow_until_its_time() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let id = at.deliveries(endpoint, 1, DUE).await[0];
    let slow_until = at.job(id).await.now + MINUTE;
    let mut db = at.db().await;
    endpoint_answers(&mut db, endpoint, Duration::from_secs(4), Some(slow_until))
        .await
        .expect("written");
    endpoint_answers(&mut db, endpoint, Duration::from_secs(2), None)
        .await
        .expect("written");
    let work = at.job(id).await;
    assert_eq!(work.terms.answer, Duration::from_secs(2));
    assert!(work.slow_until.is_some());
}

// == paused and deleted endpoints ==

#[tokio::test(flavor = "multi_thread")]
async fn probes_go_through_all_pending_deliveries_in_turn() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let ids = at.deliveries(endpoint, 3, PARKED).await;
    let delivered = format!(
        "update deliveries set state = 'delivered' where id = '{}'",
        ids[1].uuid()
    );
    at.run(&delivered).await;
    let mut db = at.db().await;
    let (mut probed, mut last) = (Vec::new(), None);
    for _ in 0..3 {
        let probe = next_probe(&mut db, endpoint, last)
            .await
            .expect("read")
            .expect("a delivery");
        last = Some(probe.uuid());
        probed.push(probe);
    }
    assert_eq!(probed, [ids[0], ids[2], ids[0]]);
    at.run("update deliveries set state = 'failed'").await;
    assert_eq!(
        next_probe(&mut db, endpoint, last).await.expect("read"),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_parked_deliveries_are_given_up_in_pages_and_the_others_stay() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    at.deliveries(endpoint, 5, PARKED).await;
    at.run("update deliveries set created_at = app_now() - interval '31 days'")
        .await;
    at.run("update deliveries set event_type = 'webhook_endpoint.paused' where id = (select min(id::text)::uuid from deliveries)").await;
    at.deliveries(endpoint, 2, PARKED).await;
    at.deliveries(endpoint, 1, DUE).await;
    let mut db = at.db().await;
    let before = crate::now(&mut db).await.expect("a time") - DAY * 30;
    let mut pages = Vec::new();
    loop {
        let page = give_up_page(&mut db, endpoint, before, 2)
            .await
            .expect("written");
        pages.push((page.all, page.alarming));
        if page.all < 2 {
            break;
        }
    }
    assert_eq!(
        pages,
        [(2, 1), (2, 2), (1, 1)],
        "events about endpoints alert of nothing"
    );
    let left = states(&at).await;
    assert_eq!(left[..5], ["failed"; 5]);
    assert_eq!(left[5..], ["pending", "pending", "pending due"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_endpoints_deliveries_are_discarded_in_pages_and_the_final_ones_stay() {
    let at = Fixture::new().await;
    let (endpoint, other) = (at.endpoint(&[]).await, at.endpoint(&[]).await);
    at.deliveries(endpoint, 3, DUE).await;
    at.deliveries(endpoint, 1, PARKED).await;
    at.run("update deliveries set state = 'delivered', next_check_at = null where id = (select min(id::text)::uuid from deliveries)").await;
    at.deliveries(other, 1, DUE).await;
    let mut db = at.db().await;
    assert_eq!(
        discard_page(&mut db, endpoint, 2).await.expect("written"),
        2
    );
    assert_eq!(
        discard_page(&mut db, endpoint, 2).await.expect("written"),
        1
    );
    assert_eq!(
        states(&at).await,
        [
            "delivered",
            "discarded",
            "discarded",
            "discarded",
            "pending due"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_is_alerted_of_given_up_deliveries_once_a_day() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let mut first = at.begin().await;
    let alert = note(&mut first, endpoint, DAY).await.expect("written");
    assert_eq!(
        alert.map(|alert| alert.status),
        Some(WebhookEndpointStatus::Active)
    );
    let second = async {
        note(&mut *at.db().await, endpoint, DAY)
            .await
            .expect("written")
    };
    assert!(at.overlapping(first, second).await.is_none());
    let mut later = at.later(DAY - HOUR).await;
    assert!(
        note(&mut later, endpoint, DAY)
            .await
            .expect("written")
            .is_none()
    );
    let recorded = crate::testing::texts(
        &mut later,
        "select (delivery_failed_at > failure_alerted_at)::text from webhook_endpoints",
    )
    .await;
    assert_eq!(
        recorded,
        ["true"],
        "the failure itself is recorded each time"
    );
    drop(later);
    assert!(
        note(&mut *at.later(DAY + HOUR).await, endpoint, DAY)
            .await
            .expect("written")
            .is_some()
    );
    assert!(is_alarming("charge.paid") && !is_alarming("webhook_endpoint.delivery_failed"));
    at.run("update webhook_endpoints set status = 'deleted'")
        .await;
    assert!(
        note(&mut *at.later(DAY * 3).await, endpoint, DAY)
            .await
            .expect("written")
            .is_none()
    );
}

// == resend ==

async fn resent(at: &Fixture, about: About, endpoint: Option<EndpointId>) -> (usize, usize) {
    let resent = resend::insert(&mut *at.db().await, about, endpoint)
        .await
        .expect("resent");
    (resent.ids.len(), resent.due.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_is_a_new_delivery_to_each_subscriber_or_to_the_named_endpoint() {
    let at = Fixture::new().await;
    let (charge, _) = at.charge("52998224725", "paid").await;
    let event = at.event(charge.uuid(), 1).await;
    at.endpoint(&[]).await;
    at.endpoint(&["charge.paid"]).await;
    let refunds_only = at.endpoint(&["refund.failed"]).await;
    let about = resend::event(&mut *at.db().await, event)
        .await
        .expect("read")
        .expect("an event");
    assert_eq!(resent(&at, about, None).await, (2, 2));
    assert_eq!(
        resent(&at, about, Some(refunds_only)).await,
        (1, 1),
        "independent of its subscriptions"
    );
    let unknown = EndpointId(crate::new_id());
    assert_eq!(resent(&at, about, Some(unknown)).await, (0, 0));
    let rows = at
        .texts("select event_id || ' ' || count(*) from deliveries group by event_id")
        .await;
    assert_eq!(rows, [format!("{} 3", event.uuid())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_to_a_paused_or_draining_endpoint_is_parked_and_to_a_deleted_one_not_made() {
    let at = Fixture::new().await;
    let event = at.event(crate::new_id(), 1).await;
    let about = resend::event(&mut *at.db().await, event)
        .await
        .expect("read")
        .expect("an event");
    for (change, made) in [
        ("draining = true", (1, 0)),
        (
            "status = 'paused', draining = false, next_check_at = app_now()",
            (1, 0),
        ),
        ("status = 'deleted'", (0, 0)),
    ] {
        at.run("delete from deliveries; delete from webhook_endpoints")
            .await;
        at.endpoint(&[]).await;
        at.run(&format!("update webhook_endpoints set {change}"))
            .await;
        assert_eq!(resent(&at, about, None).await, made, "{change}");
        assert_eq!(states(&at).await, vec!["pending"; made.0], "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_pending_delivery_with_a_time_is_retried_by_hand() {
    let at = Fixture::new().await;
    let endpoint = at.endpoint(&[]).await;
    let waiting = at
        .deliveries(endpoint, 1, "app_now() + interval '1 hour'")
        .await[0];
    let parked = at.deliveries(endpoint, 1, PARKED).await[0];
    let mut db = at.db().await;
    assert!(retry_now(&mut db, waiting).await.expect("done"));
    assert!(
        !retry_now(&mut db, parked).await.expect("done"),
        "its endpoint unparks it"
    );
    let due = at
        .texts("select count(*)::text from deliveries where next_check_at <= app_now()")
        .await;
    assert_eq!(due, ["1"]);
    at.run("update deliveries set state = 'failed', next_check_at = null")
        .await;
    assert!(!retry_now(&mut db, waiting).await.expect("done"));
    let known = resend::lock(&mut db, waiting)
        .await
        .expect("locked")
        .expect("a delivery");
    assert_eq!(
        (known.state, known.endpoint),
        (DeliveryState::Failed, endpoint)
    );
}
