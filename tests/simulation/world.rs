//! A run: executes tasks, workflows and events one at a time until the system is at rest.

use std::{collections::BTreeMap, sync::Arc};

use activities::{
    Activities, Progress, Timing,
    accepted::Accepted,
    bulkhead::{Bulkhead, Limits},
    charge::detached::Detached,
    clients::GatewayClients,
    connection::{self, NewConnection},
    delivery::WebhookSender,
};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use gateways::{Endpoints, outside};
use schemas::{
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{EndpointId, MerchantId},
    webhook_endpoint::CreateWebhookEndpoint,
};
use serde_json::Value;
use simulators::InProcess;
use url::Url;

use super::{
    borders::{Border, Borders, Seeded, TaskId, short},
    database::Database,
    flows::{At, Call, Engine, Flow, Key, Kind},
    plan::{Happening, Hardship, Merchant, Plan},
    statements::Statements,
    tasks::{Crash, Of, Stretch, Task, TaskOutcome},
    wire::{GATEWAYS, Weather, Wire},
};

/// Connections of each merchant, in the order of its routes.
const MERCHANTS: [&[GatewayKind]; 7] = [
    &[GatewayKind::Efi],
    &[GatewayKind::Stripe],
    &[GatewayKind::Asaas],
    &[GatewayKind::Efi, GatewayKind::Stripe],
    &[GatewayKind::Asaas, GatewayKind::Efi],
    &[GatewayKind::Stripe, GatewayKind::Asaas],
    &[GatewayKind::Efi, GatewayKind::Asaas, GatewayKind::Stripe],
];
/// Maximum number of activities at a time.
const AT_A_TIME: usize = 10;
/// Number of stretches of a run after which a workflow counts as never coming to rest.
pub(super) const MAX_STRETCHES: u64 = 30_000;
/// Slightly less than the interval between two searches for an orphan that a merchant was alerted of.
const SLOWLY: TimeDelta = TimeDelta::hours(23);
/// Number of checks per thousand moments at which no task runs.
const CHECKED: u64 = 100;
/// Number of steps in a row without a change that prove a loop.
const MAX_IDLE: u32 = 3;
/// Number of failures of one activity in a row that prove that it can never succeed.
const MAX_ERRORS: u32 = 8;
/// Time in seconds after which a workflow gives up a paused activity.
const ACTIVITY_TIMEOUT_S: i64 = 40;

pub(super) struct World {
    pub borders: Borders,
    pub wire: Arc<Wire>,
    pub gateways: Arc<InProcess>,
    pub database: Database,
    pub merchants: Vec<Merchant>,
    pub hardship: Hardship,
    pub engine: Engine,
    clients: GatewayClients,
    _counted: tracing::subscriber::DefaultGuard,
    webhook_sender: reqwest::Client,
    workers: Vec<Arc<Activities>>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    made: TaskId,
    pub flows: BTreeMap<Key, Flow>,
    pub(super) happenings: BTreeMap<(DateTime<Utc>, u64), Happening>,
    happened: u64,
    pub plan: Plan,
    pub healed: bool,
    pub stretches: u64,
    /// Payments of payers: gateway, reference, centavos.
    pub paid: Vec<(&'static str, String, i64)>,
    /// Oldest overdue time at the last sweep, the time of that sweep, and the number of sweeps with the same oldest time.
    pub(super) swept: (DateTime<Utc>, DateTime<Utc>, u32),
    pub(super) reversal: Option<&'static str>,
    pub(super) checks: super::books::Checks,
}

fn beginning() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2027, 3, 1, 15, 0, 0)
        .single()
        .expect("a date")
}

impl World {
    /// Opens everything that runs share: the database, the simulators, merchants with their connections.
    pub(super) async fn open(hardship: Hardship) -> anyhow::Result<Self> {
        let borders = Borders::new(0, beginning());
        let mut database = Database::create(&borders).await?;
        store::chance::replace(Some(Box::new(Seeded(borders.clone()))));
        let gateways = Arc::new(InProcess::new(beginning())?);
        let wire = Arc::new(Wire {
            borders: borders.clone(),
            gateways: gateways.clone(),
            weather: std::sync::Mutex::new([Weather::Flaky(0); 4]),
            refusals: std::sync::atomic::AtomicU64::new(0),
            base: (tokio::time::Instant::now(), beginning()),
        });
        outside::replace(Some(wire.clone()));
        let counted = tracing::subscriber::set_default(Statements(borders.clone()));
        let store = database.store.clone();
        let clients = GatewayClients::new(
            store.clone(),
            "https://in.test/".parse()?,
            endpoints()?,
            endpoints()?,
        );
        let merchant_server: Url = "https://shop.test/hooks".parse()?;
        database.warm().await?;
        let mut merchants = Vec::new();
        for (n, kinds) in MERCHANTS.into_iter().enumerate() {
            borders.advance(TimeDelta::minutes(1));
            let at = (&borders, &store, &clients);
            let id = merchant(at, (n, kinds), &gateways.client_pem).await?;
            if n % 3 == 0 {
                listen(&store, id, &merchant_server).await?;
            }
            merchants.push(Merchant { id });
        }
        database.keep().await?;
        Ok(Self {
            borders,
            wire,
            gateways,
            database,
            merchants,
            hardship,
            engine: Engine::default(),
            clients,
            _counted: counted,
            webhook_sender: gateways::http::webhook_client(true)?,
            workers: Vec::new(),
            tasks: BTreeMap::new(),
            made: 0,
            flows: BTreeMap::new(),
            happenings: BTreeMap::new(),
            happened: 0,
            plan: Plan::default(),
            healed: false,
            stretches: 0,
            paid: Vec::new(),
            swept: Default::default(),
            reversal: None,
            checks: super::books::Checks::new(),
        })
    }

    /// Restores the initial state and draws the plan of the seed.
    pub(super) async fn begin(&mut self, seed: u64) -> anyhow::Result<()> {
        let hours = i64::try_from(seed % 150).unwrap_or(0);
        let now = beginning() + TimeDelta::hours(1 + hours);
        self.borders.begin(seed, now);
        self.gateways.begin(seed, now);
        self.database.begin(now).await?;
        self.wire.heal();
        self.tasks.clear();
        self.flows.clear();
        self.happenings.clear();
        (self.made, self.happened, self.stretches) = (0, 0, 0);
        self.engine = Engine::default();
        self.workers = (0..2).map(|_| self.worker()).collect();
        self.healed = false;
        self.paid.clear();
        self.swept = Default::default();
        self.database.warm().await?;
        self.plan = super::plan::draw(&self.borders, &self.merchants, self.hardship);
        let merchants = self.plan.orders.iter().map(|order| order.merchant.uuid());
        self.database.only(merchants.collect()).await?;
        self.log_in().await?;
        for (at, what) in std::mem::take(&mut self.plan.happenings) {
            self.plan_for(at, what);
        }
        Ok(())
    }

    fn worker(&self) -> Arc<Activities> {
        let mut timing = Timing::default();
        timing.delivery.jitter_bps = 0;
        Arc::new(Activities {
            store: self.database.store.clone(),
            clients: self.clients.clone(),
            bulkhead: Bulkhead::new(Limits::default()),
            accepted: Accepted::default(),
            detached: Detached::default(),
            webhook_sender: WebhookSender::new(self.webhook_sender.clone(), true),
            starter: Arc::new(self.engine.clone()),
            timing,
        })
    }

    /// Fetches a token for every account, so that tokens of earlier runs do not matter.
    async fn log_in(&mut self) -> anyhow::Result<()> {
        let rows = self
            .database
            .rows("select id from gateway_connections order by id")
            .await?;
        for row in rows {
            let id: uuid::Uuid = sqlx::Row::get(&row, "id");
            let gateway = self.workers[0].gateway(id.into()).await?;
            gateway.probe().await?;
        }
        Ok(())
    }

    pub(super) fn plan_for(&mut self, at: DateTime<Utc>, what: Happening) {
        self.happened += 1;
        self.happenings.insert((at, self.happened), what);
    }

    pub(super) fn acts(&self, worker: usize) -> Arc<Activities> {
        self.workers[worker].clone()
    }

    pub(super) fn spawn(&mut self, task: Task, what: impl FnOnce() -> String) -> TaskId {
        self.made += 1;
        let (id, worker) = (self.made, task.worker);
        self.tasks.insert(id, task);
        self.borders
            .note(|| format!("t{id} w{worker} begins: {}", what()));
        id
    }

    /// Runs until nothing is left to do, or until a time. Returns true at rest.
    pub(super) async fn drive(&mut self, until: Option<DateTime<Utc>>) -> anyhow::Result<bool> {
        loop {
            self.stretches += 1;
            if self.stretches > MAX_STRETCHES {
                let busy = self.busiest();
                self.borders
                    .violated(9, format!("it does not come to rest: {busy}"));
                return Ok(false);
            }
            if self.borders.lock().violations.len() > 5 {
                return Ok(false);
            }
            self.engine.serve(&mut self.flows, self.borders.now());
            self.collect_mail();
            if self.run_woken().await? || self.happen_next().await? {
                continue;
            }
            self.start_flows();
            if self.run_one().await? {
                continue;
            }
            if self.tasks.is_empty() && self.borders.chance(CHECKED) {
                self.check_now().await?;
            }
            let Some(next) = self.next_time().await? else {
                return Ok(true);
            };
            if self.is_idle(next).await? {
                return Ok(true);
            }
            if until.is_some_and(|until| next > until) {
                self.move_to(until.unwrap_or(next));
                return Ok(false);
            }
            self.move_to(next);
        }
    }

    pub(super) fn move_to(&self, at: DateTime<Utc>) {
        self.borders.set_now(at);
        self.gateways.stand_at(self.borders.now());
    }

    /// Returns the next time at which work is due.
    async fn next_time(&mut self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let now = self.borders.now();
        let flows = self.flows.values().filter_map(|flow| flow.wakes_at(now));
        let tasks = self.tasks.values().filter_map(|task| task.paused_until);
        let timers: Vec<_> = {
            let shared = self.borders.lock();
            let stands = |task| {
                let task: Option<&Task> = self.tasks.get(task);
                task.is_some_and(|task| task.paused_until.is_some_and(|until| until > now))
            };
            let times = shared.tickets.values().filter_map(|t| match t.border {
                Border::Time(at) if !stands(&t.task) => Some(at),
                _ => None,
            });
            times.collect()
        };
        let planned = self.happenings.keys().next().map(|(at, _)| *at);
        let next = flows.chain(tasks).chain(timers).chain(planned).min();
        anyhow::ensure!(
            next.is_some() || self.tasks.is_empty(),
            "tasks that nothing can move: {:?}",
            self.tasks.values().map(|task| task.of).collect::<Vec<_>>()
        );
        if self.healed {
            return self.or_sweep(next).await;
        }
        Ok(next)
    }

    fn busiest(&self) -> String {
        let open: Vec<_> = self
            .flows
            .iter()
            .filter(|(_, flow)| flow.at != At::Closed)
            .map(|((kind, id), flow)| {
                format!("{kind:?} {} {:?} {:?}", short(*id), flow.next, flow.at)
            })
            .collect();
        open.join("; ")
    }

    /// Continues a task whose lock was granted, before all others.
    async fn run_woken(&mut self) -> anyhow::Result<bool> {
        if self.tasks.values().any(|task| task.blocked) {
            self.database.quiet(|| false).await?;
        }
        let now = self.borders.now();
        let stands = |task: &Task| task.paused_until.is_some_and(|until| until > now);
        let woken = |(_, task): &(&TaskId, &Task)| {
            task.borders > 0 && task.is_woken() && !task.gave_way && !stands(task)
        };
        let Some((id, _)) = self.tasks.iter().find(woken) else {
            return Ok(false);
        };
        let id = *id;
        self.stretch(id).await?;
        Ok(true)
    }

    /// Returns true if only orphans are left that merchants were alerted of. These are searched for once a day for half a year.
    async fn is_idle(&mut self, next: DateTime<Utc>) -> anyhow::Result<bool> {
        let mut open = self.flows.iter().filter(|(_, flow)| flow.at != At::Closed);
        let far = next - self.borders.now() > SLOWLY;
        if !self.healed || !far || open.any(|((kind, _), _)| *kind != Kind::Orphan) {
            return Ok(false);
        }
        let rows = self
            .database
            .rows("select (select count(*) from attempts where next_check_at is not null and alerted_at is null)
                      + (select count(*) from charges where next_check_at is not null and status in ('processing', 'pending', 'overdue')) as n")
            .await?;
        Ok(sqlx::Row::get::<i64, _>(&rows[0], "n") == 0)
    }

    async fn happen_next(&mut self) -> anyhow::Result<bool> {
        let now = self.borders.now();
        let Some(entry) = self.happenings.first_entry() else {
            return Ok(false);
        };
        if entry.key().0 > now {
            return Ok(false);
        }
        let what = entry.remove();
        self.happen(what).await?;
        Ok(true)
    }

    /// Starts the activities that workflows call now.
    fn start_flows(&mut self) {
        let now = self.borders.now();
        let mut room = AT_A_TIME.saturating_sub(self.tasks.len());
        let due: Vec<Key> = self
            .flows
            .iter()
            .filter(|(_, flow)| flow.wakes_at(now).is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if room == 0 {
                return;
            }
            room -= 1;
            let worker = usize::from(self.borders.chance(500));
            let Some(call) = self.flows.get_mut(&key).map(Flow::call) else {
                continue;
            };
            let mut task = activity(self.acts(worker), worker, key, call);
            if !self.healed {
                self.endanger(&mut task);
            }
            let id = self.spawn(task, || format!("{call:?} {:?} {}", key.0, short(key.1)));
            if let Some(flow) = self.flows.get_mut(&key) {
                flow.begins(id);
            }
        }
    }

    /// Draws a crash, a yield or a pause for a task.
    pub(super) fn endanger(&self, task: &mut Task) {
        let border = || u32::try_from(self.borders.draw(9) + 1).unwrap_or(1);
        if self.borders.chance(self.plan.crashes) {
            let within = self.borders.chance(300);
            let border = border();
            task.crash = Some(Crash { border, within });
        }
        if self.borders.chance(self.plan.interleaved) {
            task.yields = Some((border() / 2 + 1, self.borders.draw(8)));
        }
        if self.borders.chance(self.plan.pauses) {
            let s = self
                .borders
                .pick(&[1, 3, 20, 60, 400])
                .copied()
                .unwrap_or(1);
            task.pause = Some((border(), s));
        }
    }

    /// Continues one of the tasks that wait at a border.
    async fn run_one(&mut self) -> anyhow::Result<bool> {
        let now = self.borders.now();
        let fresh = self
            .tasks
            .iter()
            .find(|(_, task)| task.borders == 0 && !task.blocked && !task.gave_way);
        if let Some((id, _)) = fresh {
            let id = *id;
            self.stretch(id).await?;
            return Ok(true);
        }
        let eligible: Vec<(u64, TaskId)> = {
            let shared = self.borders.lock();
            let tickets = shared.tickets.iter().filter(|(_, ticket)| {
                let stands = self
                    .tasks
                    .get(&ticket.task)
                    .and_then(|task| task.paused_until);
                if self
                    .tasks
                    .get(&ticket.task)
                    .is_some_and(|task| task.gave_way)
                {
                    return false;
                }
                let is_time = !matches!(ticket.border, Border::Time(at) if at > now);
                is_time && stands.is_none_or(|until| until <= now)
            });
            tickets.map(|(id, ticket)| (*id, ticket.task)).collect()
        };
        let waiting = self.tasks.iter().filter(|(_, task)| task.gave_way);
        let eligible: Vec<_> = eligible
            .into_iter()
            .map(|(ticket, task)| (Some(ticket), task))
            .chain(waiting.map(|(id, _)| (None, *id)))
            .collect();
        let Some((ticket, id)) = self.borders.pick(&eligible).copied() else {
            return Ok(false);
        };
        let Some(ticket) = ticket else {
            self.stretch(id).await?;
            return Ok(true);
        };
        let Some(task) = self.tasks.get_mut(&id) else {
            anyhow::bail!("a ticket without its task");
        };
        task.paused_until = None;
        if task
            .crash
            .is_some_and(|crash| !crash.within && crash.border <= task.borders)
        {
            self.crash(id);
            return Ok(true);
        }
        if let Some((border, seconds)) = task.pause
            && border <= task.borders
        {
            task.pause = None;
            task.paused_until = Some(now + TimeDelta::seconds(seconds));
            self.stands_still(id, seconds);
            return Ok(true);
        }
        self.borders.grant(ticket);
        self.stretch(id).await?;
        Ok(true)
    }

    /// Pauses a task. Its workflow may give it up, and does so after [`ACTIVITY_TIMEOUT_S`]; the task still continues later.
    fn stands_still(&mut self, id: TaskId, seconds: i64) {
        self.borders
            .note(|| format!("t{id} pauses for {seconds} s"));
        let given_up = seconds > ACTIVITY_TIMEOUT_S || self.borders.chance(300);
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if let Of::Flow(key) = task.of
            && given_up
        {
            task.of = Of::Ghost;
            self.again(key, seconds.min(ACTIVITY_TIMEOUT_S));
        }
    }

    /// Makes a workflow call its activity again after a wait.
    fn again(&mut self, key: Key, after_s: i64) {
        let until = self.borders.now() + TimeDelta::seconds(after_s);
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.at = At::Waits {
                until,
                wakes: false,
            };
        }
    }

    pub(super) fn crash(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else {
            return;
        };
        let (of, worker) = (task.of, task.worker);
        drop(task);
        self.borders
            .note(|| format!("t{id} w{worker} CRASHES ({of:?})"));
        match of {
            Of::Flow(key) => {
                let after = self.borders.pick(&[0, 3, 10, 40]).copied().unwrap_or(3);
                self.again(key, after);
            }
            Of::Create { order, tries } => {
                let at = self.borders.now() + TimeDelta::seconds(2);
                self.plan_for(at, Happening::Create(order, tries + 1));
            }
            Of::Notified { gateway, n, tries } => {
                let at = self.borders.now() + TimeDelta::seconds(60);
                self.plan_for(at, Happening::Notify(gateway, n, tries + 1));
            }
            Of::Ghost | Of::Other => {}
        }
    }

    /// Runs a task to its next border.
    async fn stretch(&mut self, id: TaskId) -> anyhow::Result<()> {
        let others = self.tasks.iter().filter(|(other, _)| **other != id);
        let others = others.map(|(_, task)| task.held).sum();
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let at = (&self.borders, &mut self.database);
        match task.run(id, at, others).await? {
            Stretch::Border => {
                if task.held > 0 && calls(&self.borders, id) {
                    let of = task.of;
                    let does = self.database.idle().await?;
                    let what = format!("t{id} ({of:?}) holds a connection during a call: {does}");
                    self.borders.violated(10, what);
                }
            }
            Stretch::Blocked => {
                let held = task.held;
                let tickets = self.borders.lock().tickets.len();
                self.borders
                    .note(|| format!("t{id} is blocked, {held} connections, {tickets} at borders"));
            }
            Stretch::GaveWay => {
                let what = (task.of, task.held);
                self.borders
                    .note(|| format!("t{id} gives way within a transaction {what:?}"));
            }
            Stretch::Crashed => self.crash(id),
            Stretch::Ended(came) => {
                let task = self.tasks.remove(&id).context("the task")?;
                self.ended(id, &task, came).await?;
            }
        }
        Ok(())
    }

    async fn ended(&mut self, id: TaskId, task: &Task, came: TaskOutcome) -> anyhow::Result<()> {
        self.engine.serve(&mut self.flows, self.borders.now());
        let now = self.borders.now();
        match (task.of, came) {
            (Of::Flow(key), TaskOutcome::Step(Ok(done))) => {
                self.borders.note(|| format!("t{id} -> {done:?}"));
                if let Some(flow) = self.flows.get_mut(&key) {
                    flow.stepped(done, now);
                }
                self.check_progress(key).await?;
            }
            (Of::Flow(key), TaskOutcome::Poll(Ok(done))) => {
                self.borders.note(|| format!("t{id} -> {done:?}"));
                if let Some(flow) = self.flows.get_mut(&key) {
                    flow.polled(key.0, done, now);
                }
                if matches!(key.0, Kind::Orphan | Kind::Refund) {
                    self.check_progress(key).await?;
                }
            }
            (Of::Flow(key), TaskOutcome::Step(Err(error)) | TaskOutcome::Poll(Err(error))) => {
                self.failed(key, &error.to_string());
            }
            (_, came) => self.ended_other(id, task, came),
        }
        Ok(())
    }

    fn failed(&mut self, key: Key, error: &str) {
        self.borders
            .note(|| format!("{:?} {} fails: {error}", key.0, short(key.1)));
        let Some(flow) = self.flows.get_mut(&key) else {
            return;
        };
        flow.errors += 1;
        if flow.errors >= MAX_ERRORS {
            let what = format!("{:?} {} fails for ever: {error}", key.0, short(key.1));
            self.borders.violated(11, what);
            flow.at = At::Closed;
            return;
        }
        let wait_ms = (200_i64 << flow.errors.min(7)).min(30_000);
        let until = self.borders.now() + TimeDelta::milliseconds(wait_ms);
        flow.at = At::Waits {
            until,
            wakes: false,
        };
    }

    /// Checks that a workflow takes no steps without a change or a wait.
    async fn check_progress(&mut self, key: Key) -> anyhow::Result<()> {
        let hurried = self.flows.get(&key).map_or(0, |flow| flow.hurried);
        if hurried < MAX_IDLE {
            return Ok(());
        }
        let print = super::books::print(&mut self.database, key).await?;
        let Some(flow) = self.flows.get_mut(&key) else {
            return Ok(());
        };
        flow.idle = if flow.print == print {
            flow.idle + 1
        } else {
            0
        };
        flow.print = print;
        if flow.idle >= MAX_IDLE {
            let what = format!(
                "{:?} {} takes step after step ({:?}) without a change or a wait",
                key.0,
                short(key.1),
                flow.next
            );
            flow.at = At::Closed;
            self.borders.violated(9, what);
        }
        Ok(())
    }

    /// Crashes all tasks of a worker and replaces it.
    pub(super) fn die(&mut self, worker: usize) {
        self.borders.note(|| format!("worker {worker} DIES"));
        let mine = self.tasks.iter().filter(|(_, task)| task.worker == worker);
        let mine: Vec<_> = mine.map(|(id, _)| *id).collect();
        for id in mine {
            self.crash(id);
        }
        self.workers[worker] = self.worker();
    }
}

/// Returns true if the task is about to call a gateway.
fn calls(borders: &Borders, id: TaskId) -> bool {
    let shared = borders.lock();
    let mut mine = shared.tickets.values().filter(|t| t.task == id);
    mine.any(|t| matches!(&t.border, Border::Call(what) if !what.starts_with("answer")))
}

fn activity(acts: Arc<Activities>, worker: usize, key: Key, call: Call) -> Task {
    let id = key.1;
    let of = Of::Flow(key);
    match call {
        Call::Attempt => Task::new(of, worker, async move {
            TaskOutcome::Step(Box::pin(acts.attempt_charge(id.into())).await)
        }),
        Call::Sync => Task::new(of, worker, async move {
            TaskOutcome::Step(Box::pin(acts.sync_charge(id.into())).await)
        }),
        Call::End => Task::new(of, worker, async move {
            TaskOutcome::Step(Box::pin(acts.end_charge(id.into())).await)
        }),
        Call::Orphan => Task::new(of, worker, async move {
            TaskOutcome::Poll(Box::pin(acts.resolve_orphan(id.into())).await)
        }),
        Call::Refund => Task::new(of, worker, async move {
            TaskOutcome::Poll(Box::pin(acts.refund_once(id.into())).await)
        }),
        Call::Check => Task::new(of, worker, async move {
            let step = Box::pin(acts.check_endpoint(id.into())).await;
            TaskOutcome::Poll(step.map(Progress::changed))
        }),
        Call::Deliver => Task::new(of, worker, async move {
            let step = Box::pin(acts.deliver_once(id.into())).await;
            TaskOutcome::Poll(step.map(Progress::changed))
        }),
    }
}

fn endpoints() -> anyhow::Result<Endpoints> {
    let url = |gateway: &str| format!("http://{}.test", gateway.replace('_', "-")).parse::<Url>();
    let [asaas, efi, efi_cobrancas, stripe] = GATEWAYS;
    let urls = [
        (GatewayApi::EfiPix, url(efi)?),
        (GatewayApi::EfiCobrancas, url(efi_cobrancas)?),
        (GatewayApi::Stripe, url(stripe)?),
        (GatewayApi::Asaas, url(asaas)?),
    ];
    Ok(Endpoints {
        urls: urls.into(),
        ..Endpoints::default()
    })
}

async fn merchant(
    (borders, store, clients): (&Borders, &store::Store, &GatewayClients),
    (n, kinds): (usize, &[GatewayKind]),
    client_pem: &str,
) -> anyhow::Result<MerchantId> {
    let mut db = store.pool.acquire().await?;
    let id = store::merchants::insert(&mut db, store.master(), "Loja").await?;
    drop(db);
    for kind in kinds {
        borders.advance(TimeDelta::seconds(1));
        let new = NewConnection {
            merchant: id,
            mode: Mode::Test,
            gateway: *kind,
            label: kind.to_string(),
            credentials: credentials(*kind, n, client_pem),
            replace_address: false,
        };
        let added = connection::add(store, clients, &new).await?;
        added.notified.map_err(anyhow::Error::msg)?;
    }
    Ok(id)
}

fn credentials(gateway: GatewayKind, n: usize, client_pem: &str) -> Value {
    let mut credentials = simulators::credentials(gateway.as_ref(), &format!("m{n}"), client_pem);
    if let Some(key) = credentials.get_mut("pix_key") {
        *key = format!("71cdf9ba-c695-4e3c-b010-abb521a3f1b{n}").into();
    }
    credentials
}

async fn listen(store: &store::Store, merchant: MerchantId, url: &Url) -> anyhow::Result<()> {
    let request = CreateWebhookEndpoint {
        url: url.clone(),
        events: Vec::new(),
        description: None,
    };
    let mut db = store.pool.acquire().await?;
    let id = EndpointId(store::new_id());
    let owner = (merchant, Mode::Test);
    store::webhook_endpoints::insert(&mut db, store, owner, id, &request).await?;
    Ok(())
}

impl World {
    pub(super) fn is_broken(&self) -> bool {
        !self.borders.lock().violations.is_empty()
    }

    /// Schedules a poll of the gateways' lists.
    pub(super) fn poll(&mut self, after: TimeDelta) {
        let at = self.borders.now() + after;
        self.plan_for(at, Happening::Poll);
    }

    /// Drops the remaining tasks.
    pub(super) async fn leave(&mut self) -> anyhow::Result<()> {
        self.tasks.clear();
        // the pool rolls back interrupted transactions
        self.database.quiet(|| false).await
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        outside::replace(None);
        store::chance::replace(None);
        self.database.drop().await
    }
}
