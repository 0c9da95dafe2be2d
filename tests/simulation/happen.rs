//! Events outside of the workflows: merchants, payers, gateways' panels and notifications, the sweep.

use axum::{body::Body, http::Request};
use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::ChargeId;
use simulators::{Action, Held, Outgoing};
use sqlx::Row;
use uuid::Uuid;

use super::{
    actors::{self, Asked},
    borders::short,
    flows::Kind,
    plan::Happening,
    tasks::{Of, Task, TaskOutcome},
    wire::{GATEWAYS, Weather},
    world::World,
};

/// Time that a row may be overdue before a sweep processes it.
const GRACE: TimeDelta = TimeDelta::seconds(61);
/// Number of sweeps in a row without a change of a row that prove that it is stuck.
const MAX_SWEEPS: u32 = 20;
/// Maximum number of sends of a failed request by a merchant, or of a rejected notification by a gateway.
const MAX_TRIES: u32 = 6;

/// Query for the oldest time at which work was due.
const OVERDUE: &str = "
    select min(at) as at from (
        select next_check_at as at from charges union all select next_check_at from attempts union all select next_check_at from refunds
        union all select next_check_at from deliveries union all select next_check_at from notification_tokens
        union all select next_check_at from unmatched_notifications
        union all select next_check_at from webhook_endpoints
        union all select received_at from observations where handled_at is null) due";

impl World {
    pub(super) async fn happen(&mut self, what: Happening) -> anyhow::Result<()> {
        if matches!(what, Happening::Poll | Happening::Check | Happening::Sweep) {
            self.database.warm().await?;
        }
        match what {
            Happening::Create(order, tries) => self.create(order, tries),
            Happening::Notify(gateway, n, tries) => self.notify(gateway, n, tries),
            Happening::Hint => self.hint().await?,
            Happening::Cancel => self.cancel().await?,
            Happening::Refund => self.refund().await?,
            Happening::Pay => self.pay(),
            Happening::Dispute => self.on_money(Action::Dispute(None)),
            Happening::CloseDispute => {
                let won = self.borders.chance(500);
                self.on_money(Action::CloseDispute { won });
            }
            Happening::DashboardRefund => {
                let part = self.borders.chance(500).then_some(300);
                self.on_money(Action::Refund(part));
            }
            Happening::DashboardCancel => self.dashboard_cancel(),
            Happening::DashboardRestore => {
                let deleted = |held: &Held| held.status == "DELETED";
                self.dashboard("restore", deleted).await;
            }
            Happening::DashboardCash => self.dashboard("receiveInCash", |held| held.payable).await,
            Happening::DashboardUndoCash => {
                let by_hand = |held: &Held| held.status == "RECEIVED_IN_CASH";
                self.dashboard("undoReceivedInCash", by_hand).await;
            }
            Happening::Weather(gateway, weather) => {
                self.borders
                    .note(|| format!("{}: {weather:?}", GATEWAYS[gateway]));
                self.wire.set_weather(gateway, weather);
                let refuses = if weather == Weather::Flaky(0) { 0 } else { 200 };
                self.wire.refuse_deliveries(refuses);
            }
            Happening::Temporal { away } => {
                self.borders.note(|| format!("Temporal away: {away}"));
                self.engine.lock().away = away;
            }
            Happening::Leave(worker, charge) => self.leave_accepted(worker, charge),
            Happening::Die(worker) => self.die(worker),
            Happening::Sweep => self.other("sweep", async |acts| acts.sweep_once().await),
            Happening::Poll => self.other("poll", async |acts| acts.poll_connections().await),
            Happening::Check => self.other("check", async |acts| acts.check_connections().await),
        }
        Ok(())
    }

    pub(super) fn other<F>(&mut self, what: &'static str, work: F)
    where
        F: AsyncFnOnce(&activities::Activities) -> Result<(), store::StoreError> + 'static,
    {
        let worker = usize::from(self.borders.chance(500));
        let acts = self.acts(worker);
        let mut task = Task::new(Of::Other, worker, async move {
            TaskOutcome::Done(Box::pin(work(&acts)).await)
        });
        if !self.healed {
            self.endanger(&mut task);
        }
        self.spawn(task, || what.to_owned());
    }

    fn create(&mut self, order: usize, tries: u32) {
        let worker = usize::from(self.borders.chance(500));
        let (acts, wanted) = (self.acts(worker), self.plan.orders[order].clone());
        let key = wanted.key.clone();
        let what = move || {
            let request = &wanted.request;
            let method = request.payment_method.kind();
            format!(
                "order {key}: {method} of {} {}",
                request.amount,
                request.reference.as_deref().unwrap_or("")
            )
        };
        let wanted = self.plan.orders[order].clone();
        let mut task = Task::new(Of::Create { order, tries }, worker, async move {
            TaskOutcome::Asked(Box::pin(actors::create_charge(&acts, &wanted)).await)
        });
        if !self.healed {
            self.endanger(&mut task);
        }
        self.spawn(task, what);
    }

    fn notify(&mut self, gateway: usize, n: usize, tries: u32) {
        if let Some(sent) = self.gateways.written(GATEWAYS[gateway], n) {
            self.deliver_mail(&sent, Of::Notified { gateway, n, tries });
        }
    }

    fn deliver_mail(&mut self, sent: &Outgoing, of: Of) {
        let worker = usize::from(self.borders.chance(500));
        let (acts, sent, at) = (self.acts(worker), sent.clone(), self.borders.now());
        let what = format!("notification {} {of:?}", sent.event);
        let mut task = Task::new(of, worker, async move {
            let taken = Box::pin(actors::notified(&acts, &sent, at)).await;
            TaskOutcome::Received(taken.map(|connection| connection.is_some()))
        });
        if !self.healed {
            self.endanger(&mut task);
        }
        self.spawn(task, || what);
    }

    /// Sends an unproved notification that a charge was paid, as a caller that knows the address can.
    async fn hint(&mut self) -> anyhow::Result<()> {
        let rows = self
            .database
            .rows("select id, connection_id from attempts where api = 'efi_pix' order by id")
            .await?;
        let Some(row) = self.borders.pick(&rows) else {
            return Ok(());
        };
        let (id, connection): (Uuid, Uuid) = (row.get("id"), row.get("connection_id"));
        let mut db = self.database.store.pool.acquire().await?;
        let secret = store::connections::addresses::path_secret(
            &mut db,
            &self.database.store,
            connection.into(),
        )
        .await?;
        drop(db);
        let base = "https://in.test/".parse()?;
        let secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
        let url = activities::connection::address(&base, connection.into(), &secret);
        let attempt = schemas::id::AttemptId(id);
        let body = serde_json::json!({ "pix": [{
            "endToEndId": format!("E{:031}", self.borders.draw(1_000_000)), "txid": attempt.reference(), "valor": "10.00",
            "horario": "2027-03-01T15:00:00.000Z", "chave": "71cdf9ba-c695-4e3c-b010-abb521a3f1b0",
        }] });
        let sent = Outgoing {
            url: url.to_string(),
            event: "a forged hint".to_owned(),
            body: body.to_string(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        };
        self.deliver_mail(&sent, Of::Other);
        Ok(())
    }

    /// Returns a random charge of the run.
    async fn any_charge(&mut self, which: &str) -> anyhow::Result<Option<(Uuid, Uuid)>> {
        let query = format!("select id, merchant_id from charges where {which} order by id");
        let rows = self.database.rows(&query).await?;
        let row = self.borders.pick(&rows);
        Ok(row.map(|row| (row.get("merchant_id"), row.get("id"))))
    }

    async fn cancel(&mut self) -> anyhow::Result<()> {
        let which = "status in ('processing', 'pending', 'overdue')";
        let Some((merchant, id)) = self.any_charge(which).await? else {
            return Ok(());
        };
        let acts = self.acts(0);
        let task = Task::new(Of::Other, 0, async move {
            let at = (merchant.into(), id.into());
            TaskOutcome::Received(Box::pin(actors::cancel_charge(&acts, at)).await)
        });
        self.spawn(task, || format!("cancel of {}", short(id)));
        Ok(())
    }

    async fn refund(&mut self) -> anyhow::Result<()> {
        let Some((_, id)) = self.any_charge("amount_paid > 0").await? else {
            return Ok(());
        };
        let (acts, whole) = (self.acts(1), self.borders.chance(600));
        let task = Task::new(Of::Other, 1, async move {
            let made = Box::pin(actors::refund_charge(&acts, id.into(), whole)).await;
            TaskOutcome::Received(made.map(|made| made.is_some()))
        });
        self.spawn(task, || format!("refund of {}", short(id)));
        Ok(())
    }

    pub(super) fn held(&self) -> Vec<(&'static str, Held)> {
        let mut all: Vec<_> = GATEWAYS
            .iter()
            .flat_map(|name| {
                let charges = self.gateways.charges(name).into_iter();
                charges.map(move |held| (*name, held))
            })
            .collect();
        all.sort_by(|a, b| (&a.1.reference, &a.1.id).cmp(&(&b.1.reference, &b.1.id)));
        all
    }

    fn any_held(&self, which: impl Fn(&Held) -> bool) -> Option<(&'static str, Held)> {
        let mut all = self.held();
        all.retain(|(_, held)| which(held));
        self.borders.pick(&all).cloned()
    }

    fn pay(&mut self) {
        let Some((gateway, held)) = self.any_held(|held| held.payable) else {
            return;
        };
        let done = self.gateways.act(gateway, &held.id, Action::Pay(None));
        self.borders.note(|| {
            format!(
                "a payer pays {gateway} {} {}: {done:?}",
                held.id, held.reference
            )
        });
        if done.is_ok() {
            self.paid.push((gateway, held.reference, held.amount));
        }
    }

    fn on_money(&self, action: Action) {
        let Some((gateway, held)) = self.any_held(|held| held.paid) else {
            return;
        };
        let done = self.gateways.act(gateway, &held.id, action);
        self.borders.note(|| {
            format!(
                "{action:?} at {gateway} {} {}: {done:?}",
                held.id, held.reference
            )
        });
    }

    fn dashboard_cancel(&self) {
        let Some((gateway, held)) = self.any_held(|held| held.payable) else {
            return;
        };
        let done = self.gateways.act(gateway, &held.id, Action::Cancel);
        self.borders.note(|| {
            format!(
                "the dashboard of {gateway} cancels {} {}: {done:?}",
                held.id, held.reference
            )
        });
    }

    /// Performs an action in Asaas's dashboard.
    async fn dashboard(&mut self, button: &'static str, which: impl Fn(&Held) -> bool) {
        let mut all = self.gateways.charges("asaas");
        all.retain(|held| held.id.starts_with("pay_") && which(held));
        let Some(held) = self.borders.pick(&all).cloned() else {
            return;
        };
        let request = Request::post(format!("/v3/payments/{}/{button}", held.id))
            .header("access_token", format!("$aact_hmlg_{}", held.account))
            .header("user-agent", "dashboard")
            .header("content-type", "application/json")
            .body(Body::from("{}"))
            .expect("a request");
        let (status, _, _) = self.gateways.call("asaas", request).await;
        self.borders.note(|| {
            format!(
                "the dashboard of asaas: {button} {} {}: {status}",
                held.id, held.reference
            )
        });
        if status.is_success() && button == "receiveInCash" {
            self.paid.push(("asaas", held.reference, held.amount));
        } else if status.is_success() && button == "undoReceivedInCash" {
            let at = self
                .paid
                .iter()
                .rposition(|(_, reference, _)| *reference == held.reference);
            at.map(|at| self.paid.remove(at));
        }
    }

    /// Schedules the notifications that gateways have sent since the last call: each arrives sooner or later, once, twice or not at all.
    pub(super) fn collect_mail(&mut self) {
        let now = self.borders.now();
        for (gateway, name) in GATEWAYS.into_iter().enumerate() {
            for n in self.gateways.left(name) {
                let soon =
                    TimeDelta::milliseconds(i64::try_from(self.borders.draw(800)).unwrap_or(0));
                let mail = if self.healed { 0 } else { self.plan.mail };
                if self.borders.chance(mail) {
                    // Cobranças repeats a token until it is fetched
                    if name == "efi_cobrancas" {
                        let later = TimeDelta::minutes(5);
                        self.plan_for(now + later, Happening::Notify(gateway, n, 0));
                    } else {
                        self.borders.note(|| format!("mail {n} of {name} is lost"));
                    }
                    continue;
                }
                if self.borders.chance(mail) {
                    let late = *self.borders.pick(&[10, 300, 4_000, 90_000]).unwrap_or(&10);
                    let late = TimeDelta::seconds(late);
                    self.plan_for(now + late, Happening::Notify(gateway, n, 0));
                    if self.borders.chance(500) {
                        continue;
                    }
                }
                self.plan_for(now + soon, Happening::Notify(gateway, n, 0));
            }
        }
    }

    /// Handles the outcome of a task that belongs to no workflow.
    pub(super) fn ended_other(&mut self, id: u64, task: &Task, came: TaskOutcome) {
        let of = task.of;
        let now = self.borders.now();
        let (text, failed) = match &came {
            TaskOutcome::Step(done) => (format!("{done:?}"), done.is_err()),
            TaskOutcome::Poll(done) => (format!("{done:?}"), done.is_err()),
            TaskOutcome::Asked(done) => (format!("{done:?}"), done.is_err()),
            TaskOutcome::Received(done) => (format!("{done:?}"), done.is_err()),
            TaskOutcome::Done(done) => (format!("{done:?}"), done.is_err()),
        };
        self.borders.note(|| format!("t{id} ({of:?}) -> {text}"));
        match (of, came) {
            (Of::Create { .. }, TaskOutcome::Asked(Ok(Asked::Charge(charge)))) => {
                self.open_charge(charge, task.worker);
            }
            (Of::Create { order, tries }, TaskOutcome::Asked(Err(_))) if tries < MAX_TRIES => {
                self.plan_for(
                    now + TimeDelta::seconds(2),
                    Happening::Create(order, tries + 1),
                );
            }
            (Of::Notified { gateway, n, tries }, TaskOutcome::Received(Err(_)))
                if tries < MAX_TRIES =>
            {
                let at = now + TimeDelta::seconds(60);
                self.plan_for(at, Happening::Notify(gateway, n, tries + 1));
            }
            _ if failed && !matches!(of, Of::Ghost) => {
                self.borders.violated(11, format!("{of:?} fails: {text}"));
            }
            _ => {}
        }
    }

    /// Starts the charge's workflow; while Temporal is away, this process takes the same steps.
    fn open_charge(&mut self, charge: ChargeId, worker: usize) {
        if !self.engine.lock().away {
            self.engine.ask((Kind::Charge, charge.uuid()));
            // sometimes only after the lease has expired, or when another worker has taken it over
            let after = self
                .borders
                .pick(&[250, 250, 3_900, 5_000, 20_000])
                .copied();
            let at = self.borders.now() + TimeDelta::milliseconds(after.unwrap_or(250));
            self.plan_for(at, Happening::Leave(worker, charge.uuid()));
            return;
        }
        let acts = self.acts(worker);
        let mut task = Task::new(Of::Other, worker, async move {
            Box::pin(acts.present(charge)).await;
            TaskOutcome::Done(Ok(()))
        });
        self.endanger(&mut task);
        self.spawn(task, || {
            format!("{} without Temporal", short(charge.uuid()))
        });
    }

    /// Takes and releases the attempt of a charge that this worker accepted, unless its call has begun.
    fn leave_accepted(&mut self, worker: usize, charge: Uuid) {
        let acts = self.acts(worker);
        let mut task = Task::new(Of::Other, worker, async move {
            acts.leave_accepted(charge.into()).await;
            TaskOutcome::Done(Ok(()))
        });
        if !self.healed {
            self.endanger(&mut task);
        }
        self.spawn(task, || format!("{} is left to others", short(charge)));
    }

    /// Ends all faults of the run.
    pub(super) fn heal(&mut self) {
        self.borders.note(|| "all is well from now on".to_owned());
        self.healed = true;
        self.wire.heal();
        self.wire.refuse_deliveries(0);
        self.engine.lock().away = false;
        for task in self.tasks.values_mut() {
            task.crash = None;
            task.pause = None;
        }
    }

    /// Returns the next time at which work is due, or the time of a sweep before it if rows are overdue by then.
    pub(super) async fn or_sweep(
        &mut self,
        next: Option<DateTime<Utc>>,
    ) -> anyhow::Result<Option<DateTime<Utc>>> {
        let rows = self.database.rows(OVERDUE).await?;
        let Some(oldest) = rows[0].get::<Option<DateTime<Utc>>, _>("at") else {
            return Ok(next);
        };
        let now = self.borders.now();
        let swept = self.swept.1 + TimeDelta::seconds(60 << self.swept.2.min(6));
        let at = (oldest + GRACE).max(swept).max(now);
        if next.is_some_and(|next| next <= at) {
            return Ok(next);
        }
        if self.swept.0 == oldest {
            self.swept.2 += 1;
        } else {
            self.swept.2 = 0;
        }
        if self.swept.2 > MAX_SWEEPS {
            let what = format!("a row that is due since {oldest} stays overdue");
            self.borders.violated(5, what);
            return Ok(None);
        }
        (self.swept.0, self.swept.1) = (oldest, at);
        self.plan_for(at, Happening::Sweep);
        Ok(Some(at))
    }
}
