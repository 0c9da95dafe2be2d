//! Slow, dead, paused and deleted endpoints with many deliveries: nothing polls, nothing starves, nothing is lost.

use std::time::{Duration, Instant};

use activities::{PollStep, Timing};
use chrono::{DateTime, TimeDelta, Utc};
use schemas::{
    gateway::Mode,
    id::{DeliveryId, EndpointId},
};
use store::{
    deliveries::{self, EndpointHealth, PausePolicy, PendingDelivery},
    sweep::{self, SweepKind, SweepPage},
    webhook_endpoints,
};
use tests::{Bench, Receiver, bench::append, eventually, receiver::Reply, statements::Statements};
use tokio::task::JoinSet;

const MANY: u64 = 100_000;

/// Parks 10⁵ deliveries of one event at an endpoint.
const PARK_MANY: &str = "insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, next_check_at)
    select uuidv7(), w.merchant_id, w.mode, (select id from events limit 1), 'charge.paid', uuidv7(), w.id, null
      from webhook_endpoints w, generate_series(1, 100000) where w.id = $1";
const PAUSE: &str = "update webhook_endpoints set status = 'paused', paused_at = app_now(), next_check_at = app_now() where id = $1";
/// Moves an endpoint's times back by a minute, as if a minute had passed.
const A_MINUTE_LATER: &str = "update webhook_endpoints
    set next_turn_at = next_turn_at - interval '1 minute', next_check_at = next_check_at - interval '1 minute',
        drained_at = drained_at - interval '1 minute' where id = $1";

#[derive(sqlx::FromRow, Debug, PartialEq, Eq)]
struct Row {
    state: String,
    attempts: i32,
    next_check_at: Option<DateTime<Utc>>,
    has_turn: bool,
}

async fn row(bench: &Bench, id: DeliveryId) -> Row {
    let sql = "select state, attempts, next_check_at, has_turn from deliveries where id = $1";
    bench.rows(sql, id.uuid()).await.remove(0)
}

/// Returns the number of an endpoint's deliveries by state and by absence of `next_check_at`.
async fn counts(bench: &Bench, endpoint: EndpointId) -> Vec<(String, bool, i64)> {
    let sql = "select state, next_check_at is null, count(*) from deliveries where endpoint_id = $1 group by 1, 2 order by 1, 2";
    bench.rows(sql, endpoint.uuid()).await
}

async fn status(bench: &Bench, endpoint: EndpointId) -> (String, bool, Option<DateTime<Utc>>) {
    let sql = "select status, draining, next_check_at from webhook_endpoints where id = $1";
    bench.rows(sql, endpoint.uuid()).await.remove(0)
}

fn after(step: PollStep) -> Option<u64> {
    match step {
        PollStep::Wait { after_ms } => Some(after_ms),
        PollStep::Done => None,
    }
}

async fn deliver(bench: &Bench, id: DeliveryId) -> PollStep {
    Box::pin(bench.activities.deliver_once(id))
        .await
        .expect("the store answers")
}

async fn check(bench: &Bench, endpoint: EndpointId) -> PollStep {
    Box::pin(bench.activities.check_endpoint(endpoint))
        .await
        .expect("the store answers")
}

#[tokio::test]
async fn a_delivery_without_a_slot_waits_for_its_turn_and_nothing_polls() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    let (endpoint, _) = bench.endpoint(&merchant_server.url).await;
    let few = "update webhook_endpoints set slots = 2, rate_per_s = 10 where id = $1";
    bench.execute(few, endpoint.uuid()).await;
    let mut due = Vec::new();
    for _ in 0..10 {
        due.extend(bench.event().await.into_iter().map(|due| due.delivery));
    }
    merchant_server.hold();
    let mut posts = JoinSet::new();
    for delivery in [due[0], due[1]] {
        let activities = bench.activities.clone();
        posts.spawn(async move { Box::pin(activities.deliver_once(delivery)).await });
    }
    eventually("two posts are in flight", || async {
        let n = merchant_server.arrived().len();
        if n == 2 { Ok(()) } else { Err(n) }
    })
    .await;
    let pool = &bench.store.pool;
    assert_eq!(u32::try_from(pool.num_idle()).unwrap(), pool.size());

    let statements = Statements::count();
    let mut turns = Vec::new();
    for delivery in &due[2..] {
        turns.push(after(deliver(&bench, *delivery).await).expect("a turn"));
        assert_eq!(statements.take(), 2, "its row is read, and written once");
    }
    for pair in turns.windows(2) {
        assert!(pair[1] > pair[0], "{turns:?}");
    }
    // woken early: it sleeps for the remaining time and writes nothing
    let last = *due.last().unwrap();
    let before = row(&bench, last).await;
    statements.take();
    assert!(after(deliver(&bench, last).await).expect("a wait") >= 300);
    assert_eq!(statements.take(), 1);
    drop(statements);
    assert_eq!(row(&bench, last).await, before);
    assert_eq!(before.attempts, 0, "being postponed is no try");
    assert!(before.has_turn && before.next_check_at.is_some());

    merchant_server.release();
    while let Some(done) = posts.join_next().await {
        assert_eq!(done.unwrap().unwrap(), PollStep::Done);
    }
    // both slots are free, but a new delivery still queues behind the waiting ones
    let new = bench.event().await[0].delivery;
    assert!(after(deliver(&bench, new).await).is_some());
    assert!(row(&bench, new).await.next_check_at > before.next_check_at);
    bench
        .execute(
            "update deliveries set next_check_at = app_now() where id = $1",
            due[2].uuid(),
        )
        .await;
    assert_eq!(deliver(&bench, due[2]).await, PollStep::Done);
    assert_eq!(merchant_server.arrived().len(), 3);
    assert_eq!(row(&bench, due[2]).await.state, "delivered");
}

#[tokio::test]
async fn what_is_further_behind_than_a_minute_is_parked_and_drained_in_its_order() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    let (endpoint, _) = bench.endpoint(&merchant_server.url).await;
    let behind = "update webhook_endpoints set next_turn_at = app_now() + interval '61 seconds' where id = $1";
    let due: Vec<PendingDelivery> = bench.event().await;
    bench.execute(behind, endpoint.uuid()).await;
    assert_eq!(deliver(&bench, due[0].delivery).await, PollStep::Done);
    assert_eq!(bench.asked().endpoints, [endpoint]);
    // later deliveries run no statement at all
    assert!(bench.event().await.is_empty());
    assert_eq!(
        counts(&bench, endpoint).await,
        [("pending".into(), true, 2)]
    );
    assert!(after(check(&bench, endpoint).await).expect("a wait") > 40_000);
    bench.execute(A_MINUTE_LATER, endpoint.uuid()).await;
    check(&bench, endpoint).await;
    let given = bench.asked().deliveries;
    assert_eq!(given.len(), 2);
    assert_eq!(given[0].delivery, due[0].delivery);
    assert!(!status(&bench, endpoint).await.1);
}

#[tokio::test]
async fn two_endpoints_that_pause_together_do_not_wait_for_each_other() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    let (one, _) = bench.endpoint(&merchant_server.url).await;
    let (two, _) = bench.endpoint(&merchant_server.url).await;
    let due = bench.event().await;
    let policy = PausePolicy {
        failures: 20,
        over: TimeDelta::minutes(5),
        probe_every: TimeDelta::minutes(10),
    };
    let mut txs = Vec::new();
    for due in &due {
        let mut tx = bench.store.begin().await.unwrap();
        let work = deliveries::load(&mut tx, due.delivery)
            .await
            .unwrap()
            .unwrap();
        let health = deliveries::endpoint_failed(&mut tx, &work, true, policy).await;
        assert_eq!(health.unwrap(), EndpointHealth::Paused);
        txs.push(tx);
    }
    // each transaction has paused its endpoint and now writes the event of the pause to all of them, while a charge's event is written
    let telling = async {
        for tx in &mut txs {
            assert_eq!(append(tx, bench.merchant).await.len(), 1);
        }
        assert_eq!(bench.event().await.len(), 2);
    };
    tokio::time::timeout(Duration::from_secs(10), telling)
        .await
        .expect("no transaction waits for another");
    for tx in txs {
        tx.commit().await.unwrap();
    }
    for endpoint in [one, two] {
        assert_eq!(status(&bench, endpoint).await.0, "paused");
    }
    assert!(
        bench.event().await.is_empty(),
        "paused endpoints start nothing"
    );
}

#[tokio::test]
async fn a_paused_endpoint_with_a_hundred_thousand_waiting_is_probed_by_one_and_deleted_in_pages() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    let (endpoint, _) = bench.endpoint(&merchant_server.url).await;
    let first = bench.event().await[0].delivery;
    assert_eq!(bench.execute(PARK_MANY, endpoint.uuid()).await, MANY);
    bench.execute(PAUSE, endpoint.uuid()).await;
    merchant_server.reply(Reply::status(500));
    // the only delivery with a time finds the pause and waits without a time
    assert_eq!(deliver(&bench, first).await, PollStep::Done);
    let mut db = bench.db().await;
    let all = SweepPage {
        grace: TimeDelta::zero(),
        tries: (0, i32::MAX),
        limit: 10,
    };
    let swept = sweep::page(&mut db, SweepKind::Delivery, all).await;
    assert!(swept.unwrap().is_empty(), "no sweep comes back to them");

    let began = Instant::now();
    let statements = Statements::count();
    let wait = after(check(&bench, endpoint).await).expect("a wait");
    let cost = statements.take();
    assert!((590_000..=600_000).contains(&wait), "{wait}");
    // deliveries that are too old are failed in the same transaction as their alert
    assert!(cost <= 11, "{cost} statements for a probe");
    assert!(after(check(&bench, endpoint).await).expect("a wait") > 500_000);
    drop(statements);
    assert_eq!(merchant_server.arrived().len(), 1);
    // the next probe uses another delivery, in case this one is never accepted
    bench
        .execute(
            "update webhook_endpoints set next_check_at = app_now() where id = $1",
            endpoint.uuid(),
        )
        .await;
    check(&bench, endpoint).await;
    let tried = "select id from deliveries where endpoint_id = $1 and attempts > 0 order by id";
    assert_eq!(
        bench
            .rows::<(uuid::Uuid,)>(tried, endpoint.uuid())
            .await
            .len(),
        2
    );
    eprintln!("two probes of 10⁵: {:?}", began.elapsed());

    let began = Instant::now();
    let deleted = webhook_endpoints::delete(&mut db, bench.merchant, Mode::Test, endpoint).await;
    assert!(deleted.unwrap());
    eprintln!("delete: {:?}", began.elapsed());
    drop(db);
    let mut steps = 1;
    while check(&bench, endpoint).await == (PollStep::Wait { after_ms: 0 }) {
        steps += 1;
    }
    eprintln!("10⁵ discarded in {steps} steps: {:?}", began.elapsed());
    assert_eq!(
        counts(&bench, endpoint).await,
        [("discarded".into(), true, 100_001)]
    );
    for _ in 0..2 {
        bench.execute(A_MINUTE_LATER, endpoint.uuid()).await;
        check(&bench, endpoint).await;
    }
    assert_eq!(status(&bench, endpoint).await.2, None, "it rests");
}

#[tokio::test]
async fn a_resumed_endpoint_gets_what_waited_in_pages_at_its_rate_oldest_first() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    let (endpoint, _) = bench.endpoint(&merchant_server.url).await;
    let probe = bench.event().await[0].delivery;
    bench.execute(PARK_MANY, endpoint.uuid()).await;
    let less = "delete from deliveries where id in
        (select id from deliveries where endpoint_id = $1 and next_check_at is null order by id offset 10000)";
    bench.execute(less, endpoint.uuid()).await;
    bench.execute(PAUSE, endpoint.uuid()).await;
    // the endpoint accepts the probe
    assert_eq!(
        check(&bench, endpoint).await,
        PollStep::Wait { after_ms: 0 }
    );
    assert_eq!(row(&bench, probe).await.state, "delivered");
    assert_eq!(status(&bench, endpoint).await.0, "active");
    assert!(
        bench.event().await.is_empty(),
        "a new one waits behind those that waited"
    );

    let (began, mut given, mut pages) = (Instant::now(), Vec::new(), 0);
    while after(check(&bench, endpoint).await).is_some() {
        let page = bench.asked().deliveries;
        assert!(page.len() <= 1_000, "{}", page.len());
        for pair in page.windows(2) {
            assert!(pair[1].after_ms >= pair[0].after_ms + 9, "at its rate");
        }
        assert!(page.iter().all(|due| due.after_ms <= 10_010));
        given.extend(page.into_iter().map(|due| due.delivery.uuid()));
        pages += 1;
        assert!(pages < 50, "it ends");
        bench.execute(A_MINUTE_LATER, endpoint.uuid()).await;
    }
    eprintln!("10⁴ given in {pages} pages: {:?}", began.elapsed());
    assert_eq!(given.len(), 10_001);
    assert!(given.is_sorted(), "oldest first, each once");
    assert_eq!(
        status(&bench, endpoint).await,
        ("active".into(), false, None)
    );
    assert_eq!(
        bench.event().await.len(),
        1,
        "what comes now is sent at once"
    );
}

#[tokio::test]
async fn parked_deliveries_are_given_up_after_thirty_days() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    let (endpoint, _) = bench.endpoint(&merchant_server.url).await;
    bench.event().await;
    bench.event().await;
    bench.execute(PAUSE, endpoint.uuid()).await;
    let old =
        "update deliveries set next_check_at = null, created_at = created_at - interval '31 days'
        where id = (select min(id::text)::uuid from deliveries where endpoint_id = $1)";
    bench.execute(old, endpoint.uuid()).await;
    bench
        .execute(
            "update deliveries set next_check_at = null where endpoint_id = $1",
            endpoint.uuid(),
        )
        .await;
    merchant_server.reply(Reply::status(500));
    check(&bench, endpoint).await;
    // the other delivery, and the alert about the first
    let expected = [("failed".into(), true, 1), ("pending".into(), true, 2)];
    assert_eq!(counts(&bench, endpoint).await, expected);
}

#[tokio::test]
async fn retry_after_is_obeyed_in_both_forms_up_to_twelve_hours() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    bench.endpoint(&merchant_server.url).await;
    let mut db = bench.db().await;
    let now = store::now(&mut db).await.unwrap();
    drop(db);
    let date = |s| {
        (now + TimeDelta::seconds(s))
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    };
    let hours = 3_600;
    for (asked, expected_s) in [
        ("60".to_owned(), 60..=66),
        (date(60), 55..=66),
        (date(-60), 5..=6),
        (date(13 * hours), 12 * hours..=14 * hours),
        ("1".to_owned(), 5..=6),
    ] {
        merchant_server.reply(Reply {
            retry_after: Some(asked.clone()),
            ..Reply::status(503)
        });
        let id = bench.event().await[0].delivery;
        let wait_s = after(deliver(&bench, id).await).expect("a wait") / 1_000;
        let wait_s = i64::try_from(wait_s).unwrap();
        assert!(expected_s.contains(&wait_s), "{asked}: {wait_s} s");
    }
}

#[tokio::test]
async fn answers_are_read_to_their_end_so_that_connections_are_reused() {
    let bench = Bench::start(Timing::default()).await;
    let merchant_server = Receiver::open().await;
    bench.endpoint(&merchant_server.url).await;
    let long = |body_bytes| Reply {
        body_bytes,
        ..Reply::status(200)
    };
    for (reply, connections) in [(long(48 << 10), 1), (long(16 << 20), 5)] {
        merchant_server.reply(reply);
        for _ in 0..5 {
            let id = bench.event().await[0].delivery;
            assert_eq!(deliver(&bench, id).await, PollStep::Done);
            assert_eq!(row(&bench, id).await.state, "delivered");
        }
        assert_eq!(merchant_server.connections(), connections);
    }
}

/// Makes the endpoint's pending deliveries 31 days old.
const A_MONTH_AGO: &str = "update deliveries set created_at = app_now() - interval '31 days' where endpoint_id = $1 and state = 'pending'";
const ALERTS: &str = "select data->>'url' from events where type = 'webhook_endpoint.delivery_failed' and subject_id = $1";

async fn failed_at(bench: &Bench, id: EndpointId) -> Option<DateTime<Utc>> {
    let mut db = bench.db().await;
    let found = webhook_endpoints::find(&mut db, bench.merchant, Mode::Test, id).await;
    found.expect("a row").expect("there").delivery_failed_at
}

#[tokio::test]
async fn a_delivery_that_is_given_up_alerts_its_merchant_once_a_day() {
    let bench = Bench::start(Timing::default()).await;
    let (dead, alive) = (Receiver::open().await, Receiver::open().await);
    dead.reply(Reply::status(500));
    let (endpoint, _) = bench.endpoint(&dead.url).await;
    let mut late = Vec::new();
    for _ in 0..2 {
        late.extend(bench.event().await.into_iter().map(|due| due.delivery));
    }
    let (other, _) = bench.endpoint(&alive.url).await;
    assert_eq!(failed_at(&bench, endpoint).await, None);
    bench.execute(A_MONTH_AGO, endpoint.uuid()).await;
    bench.asked();
    for delivery in &late {
        deliver(&bench, *delivery).await;
        assert_eq!(row(&bench, *delivery).await.state, "failed");
    }
    assert!(failed_at(&bench, endpoint).await.is_some());
    assert_eq!(failed_at(&bench, other).await, None);
    let alerts: Vec<(String,)> = bench.rows(ALERTS, endpoint.uuid()).await;
    assert_eq!(alerts, [(dead.url.to_string(),)]);
    let reported: Vec<_> = bench.asked().deliveries;
    assert!(
        reported.iter().any(|due| due.endpoint == other),
        "{reported:?}"
    );

    // the alert's own delivery fails at the dead endpoint without another alert; the next alert is due a day later
    bench.execute(A_MONTH_AGO, endpoint.uuid()).await;
    for due in reported.iter().filter(|due| due.endpoint == endpoint) {
        deliver(&bench, due.delivery).await;
    }
    let again = bench.event().await;
    bench.execute(A_MONTH_AGO, endpoint.uuid()).await;
    let a_day_later = "update webhook_endpoints set failure_alerted_at = failure_alerted_at - interval '1 day' where id = $1";
    bench.execute(a_day_later, endpoint.uuid()).await;
    for due in again.iter().filter(|due| due.endpoint == endpoint) {
        deliver(&bench, due.delivery).await;
    }
    let alerts: Vec<(String,)> = bench.rows(ALERTS, endpoint.uuid()).await;
    assert_eq!(alerts.len(), 2);
}

#[tokio::test]
async fn parked_deliveries_that_are_given_up_alert_their_merchant() {
    let bench = Bench::start(Timing::default()).await;
    let dead = Receiver::open().await;
    dead.reply(Reply::status(500));
    let (endpoint, _) = bench.endpoint(&dead.url).await;
    bench.execute(PAUSE, endpoint.uuid()).await;
    for _ in 0..3 {
        bench.event().await;
    }
    bench.execute(A_MONTH_AGO, endpoint.uuid()).await;
    check(&bench, endpoint).await;
    let failed = "select count(*) from deliveries where endpoint_id = $1 and state = 'failed'";
    let failed: Vec<(i64,)> = bench.rows(failed, endpoint.uuid()).await;
    assert_eq!(failed, [(3,)]);
    assert!(failed_at(&bench, endpoint).await.is_some());
    let alerts: Vec<(String,)> = bench.rows(ALERTS, endpoint.uuid()).await;
    assert_eq!(alerts, [(dead.url.to_string(),)]);
}
