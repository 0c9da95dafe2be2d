//! Temporal: it may be away or late, its histories contain no personal data, and recorded histories must replay.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use schemas::id::{DeliveryId, EndpointId};
use serde_json::json;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, UntypedWorkflow, WorkflowCountOptions,
    WorkflowDescribeOptions, WorkflowFetchHistoryOptions, WorkflowHistory,
};
use temporalio_common::search_attributes::SearchAttributeKey;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use tests::{
    Options, Receiver, Stack,
    api::{PAYER_DOCUMENT, PAYER_EMAIL, PAYER_NAME, pix},
    bench::{append, execute, rows},
    eventually,
    receiver::Reply,
};
use uuid::Uuid;
use workflows::{
    charge::ChargeWorkflow, delivery::DeliveryWorkflow, endpoint::EndpointWorkflow,
    maintenance::SweepWorkflow, orphan::OrphanWorkflow, refund::RefundWorkflow,
};

/// Kinds of workflows that are recorded.
const RECORDED: [&str; 5] = ["charge", "delivery", "endpoint", "orphan", "refund"];

pub(crate) async fn client(stack: &Stack) -> Client {
    let options = ConnectionOptions::new(stack.services.temporal.url.clone())
        .identity("tests")
        .build();
    let connection = Connection::connect(options).await.expect("Temporal");
    Client::new(
        connection,
        ClientOptions::new(stack.config.temporal.namespace.clone()).build(),
    )
    .expect("a client")
}

/// Returns a workflow's whole history. The workflow must exist.
pub(crate) async fn history(client: &Client, id: &str) -> String {
    eventually(&format!("the workflow {id} exists"), || async {
        let handle = client.get_workflow_handle::<UntypedWorkflow>(id.to_owned());
        let history = handle
            .fetch_history(WorkflowFetchHistoryOptions::default())
            .to_json()
            .await;
        history
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| error.to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_temporal_away_charges_are_presented_and_their_workflows_exist_afterwards() {
    let stack = Stack::with(Options {
        complete: true,
        ..Options::default()
    })
    .await;
    stack.temporal.cut();
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    assert_eq!(charge["status"], "pending", "{charge}");
    stack.temporal.repair();
    history(&client(&stack).await, id).await;
    stack.merchant_server.received("charge.pending", id).await;
    stack
        .efi
        .pay(
            stack.efi.charges().await[0]["reference"]
                .as_str()
                .expect("a reference"),
        )
        .await;
    stack.merchant_server.received("charge.paid", id).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_timed_out_yet_succeeded_makes_one_attempt() {
    let stack = Stack::start().await;
    stack.api.charge(&pix()).await;
    stack.temporal.mute();
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    assert_eq!(charge["status"], "pending", "{charge}");
    stack.temporal.repair();
    history(&client(&stack).await, id).await;
    stack.api.until_attempts(id, &["presented"]).await;
    assert_eq!(stack.efi.charges().await.len(), 2);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_found_by_charge_and_merchant_and_hold_no_personal_data() {
    let stack = Stack::start().await;
    stack.merchant_server.answer([500]);
    stack
        .efi
        .fault(json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 }))
        .await;
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v2/cob" }))
        .await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    stack.efi.heal().await;
    stack
        .stripe
        .pay(
            stack.stripe.charges().await[0]["reference"]
                .as_str()
                .expect("a reference"),
        )
        .await;
    stack.merchant_server.received("charge.paid", id).await;
    let attempts = stack.api.until_attempts(id, &["voided", "paid"]).await;
    let deliveries = stack.api.timeline(id, "delivery").await;
    let client = client(&stack).await;
    let ids = [
        id,
        attempts[0]["id"].as_str().expect("an id"),
        deliveries[0]["delivery"]["id"].as_str().expect("an id"),
    ];
    for (kind, id) in ["charge", "reconcile", "delivery"].into_iter().zip(ids) {
        let found = history(&client, id).await;
        assert!(found.contains("MerchantId"), "{kind}");
        for personal in [PAYER_NAME, PAYER_DOCUMENT, PAYER_EMAIL, "Zzyzx"] {
            assert!(!found.contains(personal), "{kind} holds {personal}");
        }
    }
    eventually("the charge's workflows are found by its id", || async {
        let query = format!("ChargeId = '{id}' and MerchantId = '{}'", stack.merchant);
        let count = client
            .count_workflows(query, WorkflowCountOptions::default())
            .await
            .map(|found| found.count());
        // workflows of the charge, the orphan and two deliveries; a workflow that was woken after its end ran twice
        if count.as_ref().is_ok_and(|count| *count >= 4) {
            Ok(())
        } else {
            Err(format!("{count:?}"))
        }
    })
    .await;
    stack.stop().await;
}

/// Makes every later transaction that changes a pending charge fail, as if the process had died before it.
const DIES_ONCE_PENDING: [&str; 2] = [
    "create function die_once_pending() returns trigger language plpgsql as $$
     begin
         if old.status = 'pending' and old.xmin <> pg_current_xact_id()::xid then
             raise exception 'the process has died';
         end if;
         return new;
     end $$",
    "create trigger die_once_pending before update on charges for each row execute function die_once_pending()",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_a_step_without_temporal_leaves_its_charge_to_the_sweep() {
    let stack = Stack::start().await;
    for sql in DIES_ONCE_PENDING {
        stack.run_sql(sql).await;
    }
    stack.temporal.cut();
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["status"], "pending", "{charge}");
    let due = "select count(*) from charges where next_check_at <= app_now()";
    assert_eq!(stack.count_sql(due).await, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_that_temporal_does_not_answer_is_replaced_by_a_step_of_this_process() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    assert_eq!(charge["status"], "pending", "{charge}");
    // it counts as up, and its worker receives no task
    stack.temporal.mute();
    let path = format!("/v1/charges/{id}/cancel");
    let canceled = stack.api.post(&path, &json!({})).await.expect(200);
    assert_eq!(canceled["status"], "canceled", "{canceled}");
    assert_eq!(stack.efi.payable().await.len(), 0);
    stack.stop().await;
}

/// Returns the value of a workflow's search attribute `BuildIds`.
async fn build_ids(client: &Client, id: &str) -> Vec<String> {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(id.to_owned());
    let described = handle.describe(WorkflowDescribeOptions::default()).await;
    let key = SearchAttributeKey::keyword_list("BuildIds");
    let described = described.expect("the workflow");
    described
        .search_attributes()
        .get::<Vec<String>>(&key)
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_starts_with_the_build_ids_that_its_first_task_would_add() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    stack.merchant_server.received("charge.pending", id).await;
    let client = client(&stack).await;
    let found = history(&client, id).await;
    let history: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let started = &history["events"][0]["attributes"]["WorkflowExecutionStartedEventAttributes"];
    assert!(started.to_string().contains("BuildIds"), "{started}");
    // an additional id would be a second write of its search attributes
    let now = build_ids(&client, id).await;
    let build = concat!("unversioned:orchestrator-", env!("CARGO_PKG_VERSION"));
    assert_eq!(now, ["unversioned", build]);
    stack.stop().await;
}

fn histories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

#[tokio::test]
async fn recorded_histories_replay() {
    let mut replayed = Vec::new();
    for entry in std::fs::read_dir(histories()).expect("tests/histories") {
        let path = entry.expect("a file").path();
        let history = WorkflowHistory::from_json(&std::fs::read(&path).expect("a history"))
            .expect("a history");
        let options = WorkflowReplayerOptions::new()
            .register_workflow::<ChargeWorkflow>()
            .and_then(temporalio_sdk::workflow_replayer::WorkflowReplayerOptionsBuilder::register_workflow::<DeliveryWorkflow>)
            .and_then(temporalio_sdk::workflow_replayer::WorkflowReplayerOptionsBuilder::register_workflow::<EndpointWorkflow>)
            .and_then(temporalio_sdk::workflow_replayer::WorkflowReplayerOptionsBuilder::register_workflow::<OrphanWorkflow>)
            .and_then(temporalio_sdk::workflow_replayer::WorkflowReplayerOptionsBuilder::register_workflow::<RefundWorkflow>)
            .and_then(temporalio_sdk::workflow_replayer::WorkflowReplayerOptionsBuilder::register_workflow::<SweepWorkflow>)
            .expect("workflows");
        let replayer = WorkflowReplayer::new(options.build()).expect("a replayer");
        replayer
            .replay_workflow(history)
            .await
            .unwrap_or_else(|error| panic!("{} no longer replays: {error}", path.display()));
        replayed.push(
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
        );
    }
    for kind in RECORDED {
        assert!(
            replayed.iter().any(|name| name.starts_with(kind)),
            "no history of {kind} was recorded"
        );
    }
}

/// Measures the cost of waiting: 20 deliveries at once for an endpoint that accepts two at a time and takes a second for each.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_delivery_costs_few_tasks_of_its_workflow() {
    let stack = Stack::start().await;
    let slow = Receiver::open().await;
    slow.reply(Reply {
        after: Duration::from_secs(1),
        ..Reply::status(204)
    });
    let added = stack
        .api
        .post("/v1/webhook_endpoints", &json!({ "url": slow.url }))
        .await
        .expect(201);
    let endpoint: EndpointId = added["id"].as_str().expect("an id").parse().expect("an id");
    let few = "update webhook_endpoints set slots = 2 where id = $1";
    execute(&stack.store, few, endpoint.uuid()).await;
    for _ in 0..20 {
        let mut tx = stack.store.begin().await.expect("a transaction");
        let due = append(&mut tx, stack.merchant).await;
        tx.commit().await.expect("committed");
        stack.running.activities.starter.start_deliveries(due);
    }
    eventually("all are accepted", || async {
        let sql = "select id from deliveries where endpoint_id = $1 and state = 'delivered'";
        let done: Vec<(Uuid,)> = rows(&stack.store, sql, endpoint.uuid()).await;
        if done.len() == 20 {
            Ok(())
        } else {
            Err(done.len())
        }
    })
    .await;
    assert_eq!(slow.arrived().len(), 20);
    let client = client(&stack).await;
    let sql = "select id from deliveries where endpoint_id = $1 order by id";
    let all: Vec<(Uuid,)> = rows(&stack.store, sql, endpoint.uuid()).await;
    let (mut tasks, mut timers) = (Vec::new(), Vec::new());
    for (id,) in all {
        let history = history(&client, &DeliveryId(id).to_string()).await;
        let count = |event| history.matches(event).count();
        tasks.push(count("\"WorkflowTaskStartedEventAttributes\""));
        timers.push(count("\"TimerStartedEventAttributes\""));
    }
    eprintln!("workflow tasks {tasks:?}, timers {timers:?}");
    assert!(tasks.iter().all(|n| *n >= 1), "{tasks:?}");
    // one timer until its turn, and a second one for deliveries that came before the first answer showed that the endpoint is slow
    assert!(timers.iter().all(|n| *n <= 4), "{timers:?}");
    assert!(tasks.iter().sum::<usize>() <= 20 * 7, "{tasks:?}");
    stack.stop().await;
}

/// Rewrites `tests/histories`. Run it after an intended change of a workflow, when no old run of it is left:
/// `tests/run.sh record_histories --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "records, and proves nothing"]
async fn record_histories() {
    let stack = Stack::start().await;
    stack.merchant_server.answer([500]);
    stack
        .efi
        .fault(json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 }))
        .await;
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v2/cob" }))
        .await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    stack.efi.heal().await;
    let attempts = stack.api.until_attempts(id, &["voided", "presented"]).await;
    stack
        .stripe
        .pay(
            stack.stripe.charges().await[0]["reference"]
                .as_str()
                .expect("a reference"),
        )
        .await;
    stack.merchant_server.received("charge.paid", id).await;
    let refund = stack
        .api
        .post(&format!("/v1/charges/{id}/refunds"), &json!({}))
        .await
        .expect(201);
    let refund = refund["id"].as_str().expect("an id");
    stack
        .merchant_server
        .received("refund.succeeded", refund)
        .await;
    let deliveries = stack.api.timeline(id, "delivery").await;
    let canceled = stack.api.charge(&pix()).await;
    let canceled = canceled["id"].as_str().expect("an id");
    stack
        .api
        .post(&format!("/v1/charges/{canceled}/cancel"), &json!({}))
        .await
        .expect(200);
    stack.merchant_server.answer([410]);
    let late = stack.api.charge(&pix()).await;
    let late = late["id"].as_str().expect("an id");
    stack.merchant_server.received("charge.pending", late).await;
    let endpoints = stack.api.get("/v1/webhook_endpoints").await.expect(200);
    let endpoint = endpoints["data"][0]["id"].as_str().expect("an id");
    let client = client(&stack).await;
    std::fs::create_dir_all(histories()).expect("tests/histories");
    let recorded = [
        ("endpoint-paused-and-resumed", endpoint),
        ("charge-failed-over-and-paid", id),
        ("charge-canceled", canceled),
        ("orphan-voided", attempts[0]["id"].as_str().expect("an id")),
        ("refund-succeeded", refund),
        (
            "delivery-second-try",
            deliveries[0]["delivery"]["id"].as_str().expect("an id"),
        ),
    ];
    for (name, id) in recorded {
        let json: serde_json::Value =
            serde_json::from_str(&history(&client, id).await).expect("JSON");
        let text = serde_json::to_string_pretty(&json).expect("JSON");
        std::fs::write(histories().join(format!("{name}.json")), text + "\n").expect("written");
    }
    stack.stop().await;
}
