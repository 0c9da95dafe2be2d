//! Calls that go on in the process after their activity returned: the process may die or stop in the middle of one.

use std::time::Duration;

use activities::Timing;
use orchestrator::{Config, Role, Running, start};
use schemas::{gateway::GatewayKind, id::ChargeId};
use serde_json::{Value, json};
use tests::{Api, Options, Stack, api::pix, bench::rows, eventually, stack::brisk};
use uuid::Uuid;

use crate::temporal::{client, history};

/// The activity returns long before the gateway answers.
fn timing() -> Timing {
    let s = Duration::from_secs;
    Timing {
        call: s(12),
        last_call: s(12),
        activity: Duration::from_millis(300),
        activity_returns: s(1),
        ..brisk()
    }
}

async fn stack(gateway: GatewayKind) -> Stack {
    Stack::with(Options {
        gateways: vec![gateway],
        timing: timing(),
        ..Options::default()
    })
    .await
}

/// One more process, which accepts charges and takes their first step.
async fn process(config: Config) -> Running {
    let running = start::start(&config, timing(), &[Role::Api]).await;
    let running = running.expect("a process");
    let ready = format!("http://{}/readyz", running.addresses[&Role::Api]);
    eventually("the process is ready", || async {
        let answer = tests::http().get(&ready).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    running
}

/// The same merchant's client at that process.
fn client_of(running: &Running, stack: &Stack) -> Api {
    let base = format!("http://{}", running.addresses[&Role::Api]);
    Api::new(base.parse().expect("a URL"), stack.api.key.clone())
}

/// The gateway creates the charge, and answers so much later.
async fn answers_after(stack: &Stack, gateway: GatewayKind, delay_ms: u64) {
    let path = match gateway {
        GatewayKind::Efi => "/v2/cob",
        GatewayKind::Stripe => "/v1/payment_intents",
        GatewayKind::Asaas => "/v3/payments",
    };
    let method = match gateway {
        GatewayKind::Efi => "PUT",
        GatewayKind::Stripe | GatewayKind::Asaas => "POST",
    };
    let slow = json!({ "kind": "delay", "delay_ms": delay_ms, "after": true, "method": method, "path": path, "times": 1 });
    stack.simulator(gateway).fault(slow).await;
}

/// Waits until the only charge's activity has returned while its call is in flight; returns the charge's id.
async fn detached(stack: &Stack, gateway: GatewayKind) -> String {
    let id = eventually("the gateway has created it", || async {
        let made = stack.simulator(gateway).charges().await;
        let stored = stack.api.get("/v1/charges").await.expect(200);
        match (made.len(), stored["data"][0]["id"].as_str()) {
            (1, Some(id)) => Ok(id.to_owned()),
            _ => Err(stored),
        }
    })
    .await;
    let client = client(stack).await;
    eventually("the activity has returned", || async {
        let history = history(&client, &id).await;
        if history.contains("TimerStartedEvent") {
            Ok(())
        } else {
            Err(history)
        }
    })
    .await;
    assert_eq!(states(stack, &id).await, ["open"]);
    id
}

async fn states(stack: &Stack, id: &str) -> Vec<String> {
    let attempts = stack.api.attempts(id).await;
    let state = |attempt: &Value| attempt["state"].as_str().unwrap_or_default().to_owned();
    attempts.iter().map(state).collect()
}

/// Who works on the charge's only attempt.
async fn worker(stack: &Stack, id: &str) -> Uuid {
    let id: ChargeId = id.parse().expect("an id");
    let sql = "select runner from attempts where charge_id = $1";
    let found: Vec<(Uuid,)> = rows(&stack.store, sql, id.uuid()).await;
    let [(worker,)] = found[..] else {
        panic!("one attempt: {found:?}");
    };
    worker
}

/// Nothing is lost: what the gateway created is shown, and is paid.
async fn is_shown_and_paid(stack: &Stack, gateway: GatewayKind, id: &str) {
    stack.api.until(id, "pending").await;
    assert_eq!(states(stack, id).await, ["presented"], "{gateway}");
    let simulator = stack.simulator(gateway);
    let made = simulator.charges().await;
    assert_eq!(made.len(), 1, "{gateway}: {made:?}");
    assert_eq!(simulator.payable().await.len(), 1, "{gateway}");
    simulator.pay(&simulator.only_reference().await).await;
    let paid = stack.api.until(id, "paid").await;
    assert_eq!(paid["amount_paid"], 12345, "{gateway}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_the_middle_of_a_detached_call_creates_nothing_twice() {
    for gateway in [GatewayKind::Efi, GatewayKind::Stripe, GatewayKind::Asaas] {
        let stack = stack(gateway).await;
        answers_after(&stack, gateway, 60_000).await;
        // all that the process does ends with its runtime, wherever it waits
        let dies = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let running = dies.spawn(process(stack.config.clone()));
        let running = running.await.expect("no panic");
        let api = client_of(&running, &stack);
        let sale = tokio::spawn(async move { api.post("/v1/charges", &pix()).await });
        let id = detached(&stack, gateway).await;
        let dead = worker(&stack, &id).await;
        dies.shutdown_background();
        drop(running);
        assert!(sale.await.is_err(), "the process was gone");
        is_shown_and_paid(&stack, gateway, &id).await;
        assert_ne!(worker(&stack, &id).await, dead, "another one took over");
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_finishes_its_detached_call() {
    for gateway in [GatewayKind::Efi, GatewayKind::Asaas] {
        let stack = stack(gateway).await;
        answers_after(&stack, gateway, 3_000).await;
        let running = process(stack.config.clone()).await;
        let api = client_of(&running, &stack);
        let sale = tokio::spawn(async move { api.post("/v1/charges", &pix()).await });
        let id = detached(&stack, gateway).await;
        let stopped = worker(&stack, &id).await;
        running.stop().await;
        // written by the process that made the call, before it was gone
        assert_eq!(states(&stack, &id).await, ["presented"], "{gateway}");
        assert_eq!(worker(&stack, &id).await, stopped);
        drop(sale);
        is_shown_and_paid(&stack, gateway, &id).await;
        stack.stop().await;
    }
}
