//! Overdue rows that no workflow moved are moved by the sweep, whatever rows are beside them.

use std::time::{Duration, Instant};

use activities::{
    Timing,
    charge::{Acceptance, ChargeToAccept},
    retry::workflow::EXECUTION_TIMEOUT,
};
use orchestrator::{Role, start};
use schemas::{
    gateway::{GatewayKind, Mode},
    id::ChargeId,
    merchant::MerchantSettings,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgListener};
use store::PgConnection;
use temporalio_client::RpcOptions;
use temporalio_common::protos::temporal::api::schedule::v1::schedule_action::Action;
use tests::{Bench, Options, Receiver, Stack, api::pix, backlog, eventually, stack::brisk};
use uuid::Uuid;
use workflows::setup::SCHEDULES;

use crate::temporal::client;

async fn connection(stack: &Stack) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    stack.store.pool.acquire().await.expect("a connection")
}

async fn execute(db: &mut PgConnection, sql: String) {
    db.execute(AssertSqlSafe(sql)).await.expect("a statement");
}

/// Returns the first column of the first row, as text.
async fn text(db: &mut PgConnection, sql: String) -> Option<String> {
    let row = db.fetch_optional(AssertSqlSafe(sql)).await.expect("a row");
    row.and_then(|row| row.get(0))
}

fn uuid(charge: &serde_json::Value) -> Uuid {
    let id: ChargeId = charge["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    id.uuid()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_whose_process_died_after_accepting_it_is_presented_once() {
    let stack = Stack::with(Options {
        gateways: vec![GatewayKind::Asaas],
        ..Options::default()
    })
    .await;
    let request = serde_json::from_value(pix()).expect("a request");
    let wanted = ChargeToAccept {
        merchant: stack.merchant,
        mode: Mode::Test,
        settings: &MerchantSettings::default(),
        may_create: true,
        key: "of a process that dies",
        request: &request,
        canonical: b"{}",
    };
    let accepted = Box::pin(stack.running.activities.accept_charge(wanted)).await;
    let Ok(Acceptance::New(charge)) = accepted else {
        panic!("{accepted:?}");
    };
    // Creating is not idempotent at Asaas: an attempt under a lost lease could only be searched for, and would not be found.
    let mut db = connection(&stack).await;
    let id = charge.uuid();
    let state = format!(
        "select state || coalesce(' leased by ' || lease_owner, '') from attempts where charge_id = '{id}'"
    );
    assert_eq!(text(&mut db, state).await.as_deref(), Some("open"));
    let overdue =
        format!("update charges set next_check_at = now() - interval '1 hour' where id = '{id}'");
    execute(&mut db, overdue).await;
    stack.running.activities.sweep_once().await.expect("swept");
    let charge = charge.to_string();
    stack.api.until(&charge, "pending").await;
    stack.api.until_attempts(&charge, &["presented"]).await;
    assert_eq!(stack.simulator(GatewayKind::Asaas).charges().await.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_an_outage_left_without_workflows_are_all_started() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    stack
        .merchant_server
        .received("charge.pending", charge["id"].as_str().expect("an id"))
        .await;
    let mut db = connection(&stack).await;
    backlog::copy(&mut db, uuid(&charge), 150)
        .await
        .expect("copied");
    let merchant = stack.merchant.uuid();
    assert_eq!(
        backlog::left(&mut db, merchant)
            .await
            .expect("counted")
            .rows(),
        300
    );
    stack.running.activities.sweep_once().await.expect("swept");
    eventually("no row is overdue", || async {
        let mut db = connection(&stack).await;
        let left = backlog::left(&mut db, merchant).await.expect("counted");
        if left.rows() == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    eventually("every delivery arrived", || async {
        let arrived = stack.merchant_server.arrived().len();
        if arrived >= 151 { Ok(()) } else { Err(arrived) }
    })
    .await;
    stack.stop().await;
}

#[tokio::test]
async fn a_row_whose_start_is_refused_is_worked_on_after_a_few_times() {
    let timing = Timing {
        sweep_grace: Duration::ZERO,
        ..Timing::default()
    };
    let bench = Bench::start(timing).await;
    let merchant_server = Receiver::open().await;
    bench.endpoint(&merchant_server.url).await;
    let refused = bench.event().await[0].delivery;
    bench.refuse(refused);
    bench.activities.sweep_once().await.expect("swept");
    let mark = "select reason, tries from sweep_marks where kind = 'delivery' and key = $1::text";
    let marks: Vec<(String, i32)> = bench.rows(mark, refused.uuid()).await;
    let reason = "the start was refused: invalid argument".to_owned();
    assert_eq!(marks, [(reason, 1)]);
    for _ in 0..2 {
        bench.activities.sweep_once().await.expect("swept");
    }
    let state = "select state from deliveries where id = $1";
    let states: Vec<(String,)> = bench.rows(state, refused.uuid()).await;
    assert_eq!(states, [("delivered".to_owned(),)]);
    assert_eq!(merchant_server.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_with_unreadable_settings_stops_no_sweep() {
    let stack = Stack::start().await;
    let other = stack
        .another_merchant(&[schemas::gateway::GatewayKind::Stripe])
        .await;
    let theirs = uuid(&stack.api.charge(&pix()).await);
    let others = uuid(&other.charge(&pix()).await);
    let mut db = connection(&stack).await;
    for settings in [
        "null",
        "[]",
        "{\"duplicate_reference\": 7, \"on_unknown\": []}",
    ] {
        let spoil = format!(
            "update merchants set settings = '{settings}' where id = '{}'",
            stack.merchant.uuid()
        );
        execute(&mut db, spoil).await;
        let late = format!(
            "update charges set next_check_at = app_now() - interval '1 hour' * case id when '{theirs}' then 2 else 1 end
              where id in ('{theirs}', '{others}')"
        );
        execute(&mut db, late).await;
        let mark = "insert into sweep_marks (kind, key, merchant_id, due_at, tries, next_check_at, reason)
                    select 'charge', id::text, merchant_id, next_check_at, 2, app_now(), 'woken' from charges where next_check_at < app_now()
                    on conflict (kind, key) do update set due_at = excluded.due_at, tries = 2, next_check_at = app_now()";
        execute(&mut db, mark.to_owned()).await;
        stack.running.activities.sweep_once().await.expect("swept");
        let overdue = format!(
            "select string_agg(id::text, ' ') from charges
              where next_check_at < app_now() - interval '1 minute' and id in ('{theirs}', '{others}')"
        );
        assert_eq!(text(&mut db, overdue).await, None, "{settings}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_row_is_postponed_with_its_reason_and_delays_no_other() {
    let stack = Stack::start().await;
    let (poisoned, healthy) = (
        stack.api.charge(&pix()).await,
        stack.api.charge(&pix()).await,
    );
    let (poisoned, healthy) = (uuid(&poisoned), uuid(&healthy));
    stack
        .merchant_server
        .received("charge.pending", &ChargeId(healthy).to_string())
        .await;
    let mut db = connection(&stack).await;
    // the rows are adjacent, the poisoned one first, and both were started and woken before without effect
    execute(
        &mut db,
        format!("update charges set payment_method = '{{}}' where id = '{poisoned}'"),
    )
    .await;
    execute(
        &mut db,
        format!(
            "update charges set next_check_at = app_now() - interval '1 hour' * case id when '{poisoned}' then 2 else 1 end
              where id in ('{poisoned}', '{healthy}')"
        ),
    )
    .await;
    let mark = "insert into sweep_marks (kind, key, merchant_id, due_at, tries, next_check_at, reason)
                select 'charge', id::text, merchant_id, next_check_at, 2, app_now(), 'woken' from charges where next_check_at < app_now()";
    execute(&mut db, mark.to_owned()).await;
    // rows of other kinds that fail as well: tokens of connections whose credentials can no longer be decrypted
    let dead = "with dead as (
                    insert into gateway_connections
                    select (jsonb_populate_record(c, jsonb_build_object('id', uuidv7(), 'label', 'dead ' || n))).*
                      from gateway_connections c, generate_series(1, 200) n
                     where c.id = (select id from gateway_connections order by id limit 1)
                    returning id, merchant_id, mode)
                insert into notification_tokens (connection_id, token, merchant_id, mode, next_check_at)
                select id, 'token', merchant_id, mode, app_now() - interval '1 day' from dead";
    execute(&mut db, dead.to_owned()).await;

    let since = Instant::now();
    stack.running.activities.sweep_once().await.expect("swept");
    assert!(
        since.elapsed() < Duration::from_secs(30),
        "{:?}",
        since.elapsed()
    );
    let overdue = format!(
        "select id::text from charges where next_check_at < app_now() - interval '1 minute' and id = '{healthy}'"
    );
    assert_eq!(text(&mut db, overdue).await, None);
    let reason = format!(
        "select reason from sweep_marks where key = '{poisoned}' and next_check_at > app_now() and tries = 3"
    );
    let reason = text(&mut db, reason).await.expect("a mark");
    assert!(reason.contains("payment_method"), "{reason}");
    let tokens = "select count(*)::text from notification_tokens t left join sweep_marks m
                      on m.kind = 'token' and m.key = t.connection_id::text || ' ' || t.token
                   where t.next_check_at <= app_now() and (m.key is null or m.next_check_at <= app_now())";
    assert_eq!(text(&mut db, tokens.to_owned()).await.as_deref(), Some("0"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_charges_that_a_caller_waits_for_are_notified() {
    let stack = Stack::start().await;
    let mut listener = PgListener::connect_with(&stack.store.pool)
        .await
        .expect("a listener");
    listener.listen("charges").await.expect("listening");
    let paid = stack.api.charge(&pix()).await;
    stack.efi.pay(&stack.efi.only_reference().await).await;
    stack
        .api
        .until(paid["id"].as_str().expect("an id"), "paid")
        .await;
    let canceled = stack.api.charge(&pix()).await;
    let path = format!(
        "/v1/charges/{}/cancel",
        canceled["id"].as_str().expect("an id")
    );
    stack.api.post(&path, &json!({})).await.expect(200);
    let (paid, canceled) = (uuid(&paid), uuid(&canceled));
    let mut received = Vec::new();
    while received.len() < 3 {
        received.push(
            listener
                .recv()
                .await
                .expect("a notification")
                .payload()
                .to_owned(),
        );
    }
    let expected = [
        format!("{paid} pending"),
        format!("{canceled} pending"),
        format!("{canceled} canceled"),
    ];
    assert_eq!(received, expected);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_reached_temporal_stops_at_once() {
    let stack = Stack::start().await;
    let mut config = stack.config.clone();
    config.temporal.url = "http://127.0.0.1:1".parse().expect("a URL");
    let running = start::start(&config, brisk(), &[Role::Api, Role::Worker]);
    let running = running.await.expect("a process");
    let since = Instant::now();
    running.stop().await;
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_schedule_starts_ends_by_itself() {
    let stack = Stack::with(Options {
        complete: true,
        ..Options::default()
    })
    .await;
    let client = client(&stack).await;
    for name in SCHEDULES {
        let id = format!(
            "{name}-{}maintenance",
            stack.config.temporal.task_queue_prefix
        );
        let schedule = client
            .get_schedule_handle(id)
            .describe(RpcOptions::default())
            .await;
        let schedule = schedule
            .expect("a schedule")
            .into_raw()
            .schedule
            .expect("a schedule");
        let Some(Action::StartWorkflow(start)) = schedule.action.and_then(|action| action.action)
        else {
            panic!("{name} starts no workflow");
        };
        let limit = start
            .workflow_execution_timeout
            .expect("a time limit")
            .seconds;
        assert_eq!(
            u64::try_from(limit),
            Ok(EXECUTION_TIMEOUT.as_secs()),
            "{name}"
        );
    }
    stack.stop().await;
}
