//! Calls that continue in the process after their activity has returned. The process may die or be stopped during the call.

use std::time::Duration;

use activities::Timing;
use orchestrator::{Config, Role, Running, config::variable, start};
use schemas::{gateway::GatewayKind, id::ChargeId};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tests::{Api, Options, Stack, api::pix, bench::rows, eventually, stack::brisk};
use tokio_util::task::TaskTracker;
use url::Url;
use uuid::Uuid;

use crate::temporal::{client, history};

/// Environment variable with the file to which the child process writes its address.
const ADDRESS_FILE: &str = "DETACHED_ADDRESS_FILE";

/// Returns timing with which the activity returns long before the gateway answers.
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

/// Starts the API role once more. It accepts charges and takes their first step.
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

/// Returns the same merchant's client for that process.
fn client_of(running: &Running, stack: &Stack) -> Api {
    let base = format!("http://{}", running.addresses[&Role::Api]);
    Api::new(base.parse().expect("a URL"), stack.api.key.clone())
}

/// Makes the gateway create the charge and delay its answer.
async fn answers_after(stack: &Stack, gateway: GatewayKind, delay_ms: u64) {
    let (method, path) = match gateway {
        GatewayKind::Efi => ("PUT", "/v2/cob"),
        GatewayKind::Stripe => ("POST", "/v1/payment_intents"),
        _ => ("POST", "/v3/payments"),
    };
    let slow = json!({ "kind": "delay", "delay_ms": delay_ms, "after": true, "method": method, "path": path, "times": 1 });
    stack.simulator(gateway).fault(slow).await;
}

/// Waits until the only charge's activity has returned while its call is in flight. Returns the charge's id.
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

/// Returns the lease owner of the charge's only attempt.
async fn worker(stack: &Stack, id: &str) -> Uuid {
    let id: ChargeId = id.parse().expect("an id");
    let sql = "select lease_owner from attempts where charge_id = $1";
    let found: Vec<(Uuid,)> = rows(&stack.store, sql, id.uuid()).await;
    let [(worker,)] = found[..] else {
        panic!("one attempt: {found:?}");
    };
    worker
}

/// Checks that the created charge is shown and gets paid.
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

/// A process of this binary that a test can kill without a shutdown.
struct Child(std::process::Child);

impl Child {
    /// Starts [`a_process_of_its_own`] beside the stack. Returns a client of its API.
    async fn start(stack: &Stack) -> (Self, Api) {
        let config = &stack.config;
        let file =
            std::env::temp_dir().join(format!("{}.address", config.temporal.task_queue_prefix));
        let urls = config.test_gateways.urls.iter();
        let urls = urls.map(|(api, url)| (variable(*api), url.to_string()));
        let authority = config.test_gateways.efi_ca_file.clone().unwrap_or_default();
        let child = std::process::Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "detached::a_process_of_its_own", "--nocapture"])
            .env(ADDRESS_FILE, &file)
            .env(
                "ORCHESTRATOR_DATABASE_URL",
                config.database.url.expose_secret(),
            )
            .env("ORCHESTRATOR_DATABASE_CONNECTIONS", "12")
            .env(
                "ORCHESTRATOR_TASK_QUEUE_PREFIX",
                &config.temporal.task_queue_prefix,
            )
            .env(
                "ORCHESTRATOR_TEMPORAL_URL",
                stack.services.temporal.url.as_str(),
            )
            .env("ORCHESTRATOR_API_PORT", "0")
            .env("ORCHESTRATOR_METRICS_PORT", "0")
            .env("ORCHESTRATOR_ALLOW_PRIVATE_WEBHOOKS", "true")
            .envs(urls)
            .env("ORCHESTRATOR_TEST_EFI_CA_FILE", authority)
            .stdout(std::process::Stdio::null())
            .spawn();
        let child = Self(child.expect("a process"));
        let base = eventually("the process has its port", || async {
            let address = std::fs::read_to_string(&file).unwrap_or_default();
            Url::parse(&address).map_err(|_| address)
        })
        .await;
        (child, Api::new(base, stack.api.key.clone()))
    }

    /// Kills the process without a shutdown.
    fn die(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.die();
    }
}

/// Runs in the child process of [`Child`]; in a normal run of the tests it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_its_own() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a variable that a test sets for its own process is no configuration"
    )]
    let Ok(file) = std::env::var(ADDRESS_FILE) else {
        return;
    };
    let running = process(Config::from_env().expect("a configuration")).await;
    let address = format!("http://{}", running.addresses[&Role::Api]);
    let written = format!("{file}.new");
    std::fs::write(&written, address).expect("written");
    std::fs::rename(written, file).expect("there at once");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_the_middle_of_a_detached_call_creates_nothing_twice() {
    for gateway in [GatewayKind::Efi, GatewayKind::Stripe, GatewayKind::Asaas] {
        let stack = stack(gateway).await;
        answers_after(&stack, gateway, 60_000).await;
        // the stack's own worker receives no tasks for now
        stack.temporal.cut();
        let (mut child, api) = Child::start(&stack).await;
        let sale = TaskTracker::new().spawn(async move { api.post("/v1/charges", &pix()).await });
        let id = detached(&stack, gateway).await;
        let dead = worker(&stack, &id).await;
        child.die();
        stack.temporal.repair();
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
        // the stack's own worker receives no tasks for now
        stack.temporal.cut();
        let mut config = stack.config.clone();
        config.temporal.url = stack.services.temporal.url.clone();
        let running = process(config).await;
        let api = client_of(&running, &stack);
        let sale = TaskTracker::new().spawn(async move { api.post("/v1/charges", &pix()).await });
        let id = detached(&stack, gateway).await;
        let stopped = worker(&stack, &id).await;
        running.stop().await;
        // written by the process that made the call, before it ended
        assert_eq!(states(&stack, &id).await, ["presented"], "{gateway}");
        assert_eq!(worker(&stack, &id).await, stopped);
        stack.temporal.repair();
        drop(sale);
        is_shown_and_paid(&stack, gateway, &id).await;
        stack.stop().await;
    }
}
