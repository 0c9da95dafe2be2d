//! One gateway hangs: it accepts requests and answers none. Measures the effect on sales, readiness, events and payments, beside phases of
//! the same stack in which every gateway answers.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use schemas::id::ChargeId;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::{Api, Simulator, api::pix};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Arguments, print};

pub(crate) mod report;
mod rest;
mod watch;

use report::{Phase, Report};
use rest::Rest;

/// Delay of the hanging gateway in milliseconds; longer than any timeout.
const HANGS_MS: u64 = 600_000;
/// Share of the creations that have no effect at the hanging gateway; the others have one.
const WITHOUT_EFFECT: f64 = 0.5;

/// Position of the hanging gateway in a merchant's route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Route {
    /// The route does not contain it.
    Healthy,
    /// The route begins with it; a healthy gateway is next.
    First,
    /// The route contains no other gateway.
    Only,
}

struct Merchant {
    route: Route,
    api: Api,
}

/// One request for a charge and its answer.
pub(crate) struct Sale {
    pub route: Route,
    pub description: String,
    pub status: u16,
    pub charge: Option<Uuid>,
    /// Status of the charge in the answer.
    pub charge_status: String,
    pub gateway: String,
    /// True if other gateways were tried first.
    pub fell_back: bool,
    pub took: Duration,
}

/// A payable charge: the merchant's client, the charge's id, its gateway, its description.
type Payable = (Api, String, String, String);

pub(crate) struct Hanging {
    merchants: Vec<Merchant>,
    efi: Simulator,
    asaas: Simulator,
    stripe: Simulator,
    metrics: Vec<(String, url::Url)>,
    length: Duration,
    /// Rate of sales, independent of the answers.
    sales_per_s: u32,
    /// Payable charges of healthy routes, newest last.
    payable: Arc<Mutex<Vec<Payable>>>,
}

/// Measures `pairs` pairs of phases.
pub(crate) async fn run(arguments: &Arguments, pairs: u32) -> anyhow::Result<()> {
    let hanging = Hanging::new(arguments).await?;
    let mut db = PgConnection::connect(&arguments.database).await?;
    let (mut phases, mut sales) = (Vec::new(), Vec::new());
    print(report::HEAD)?;
    // not measured: in it connections are opened, statements prepared and accounts read
    let warm_up = hanging.length / 4;
    hanging.phase(&mut db, "warm-up", warm_up).await?;
    for pair in 1..=pairs {
        for hangs in [false, true] {
            let name = if hangs { "one hangs" } else { "all answer" };
            if hangs {
                hanging.hang().await;
            }
            let name = format!("{name}, {pair}");
            let (mut phase, sold) = hanging.phase(&mut db, &name, hanging.length).await?;
            phase.hangs = hangs;
            hanging.stripe.heal().await;
            print(&phase.line())?;
            phases.push(phase);
            sales.extend(sold);
        }
        // the next phase begins when all work of this one is done
        let rest = Rest::reach(&mut db, &hanging, &sales).await?;
        print(&rest.line())?;
        phases.last_mut().context("a phase")?.rest = Some(rest);
    }
    let report = Report::of(hanging.sales_per_s, hanging.merchants.len(), phases)?;
    write(&arguments.output, &report)
}

impl Hanging {
    async fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let client = |key: &String| Api::new(arguments.api.clone(), key);
        let own = [arguments.key.clone()];
        let groups = [
            (Route::Healthy, &own[..]),
            (Route::Healthy, &arguments.others),
            (Route::First, &arguments.touched),
            (Route::Only, &arguments.stuck),
        ];
        let mut merchants = Vec::new();
        for (route, keys) in groups {
            merchants.extend(keys.iter().map(|key| Merchant {
                route,
                api: client(key),
            }));
        }
        let simulator = |name| Simulator::new(arguments.simulators.clone(), name);
        let this = Self {
            merchants,
            efi: simulator("efi"),
            asaas: simulator("asaas"),
            stripe: simulator("stripe"),
            metrics: arguments.metrics()?,
            length: Duration::from_secs(arguments.seconds),
            sales_per_s: arguments.sales,
            payable: Arc::default(),
        };
        let latency = json!({ "latency_ms": arguments.gateway_ms, "auto_pay_ms": null });
        for simulator in this.simulators() {
            simulator.set(latency.clone()).await;
        }
        Ok(this)
    }

    fn simulators(&self) -> [&Simulator; 3] {
        [&self.efi, &self.asaas, &self.stripe]
    }

    /// Makes Stripe accept requests without an answer; some of the creations take effect.
    async fn hang(&self) {
        let hangs = |method| json!({ "kind": "delay", "delay_ms": HANGS_MS, "method": method });
        let (mut before, mut after) = (hangs("POST"), hangs("POST"));
        before["probability"] = json!(WITHOUT_EFFECT);
        after["after"] = json!(true);
        for fault in [hangs("GET"), hangs("DELETE"), before, after] {
            self.stripe.fault(fault).await;
        }
    }

    /// Sells, pays and watches for `length`.
    async fn phase(
        &self,
        db: &mut PgConnection,
        name: &str,
        length: Duration,
    ) -> anyhow::Result<(Phase, Vec<Sale>)> {
        lock(&self.payable).clear();
        let load_before = report::load_average();
        let (over, until) = (CancellationToken::new(), Instant::now() + length);
        let selling = async {
            let sales = self.sell(until).await;
            over.cancel();
            sales
        };
        let (mut sales, watched, payments) =
            tokio::join!(selling, self.watch(&over), self.pay(until));
        rest::mark_fallen_back(db, &mut sales).await?;
        let mut phase = Phase::of(name, &sales)?;
        phase.watched(&watched, &payments)?;
        phase.load_average = [load_before, report::load_average()];
        Ok((phase, sales))
    }

    /// Creates charges in an open loop, for one merchant after the other.
    async fn sell(&self, until: Instant) -> Vec<Sale> {
        let (start, between) = (Instant::now(), Duration::from_secs(1) / self.sales_per_s);
        let mut asked = JoinSet::new();
        for (n, merchant) in (0_u32..).zip(self.merchants.iter().cycle()) {
            let due = start + between * n;
            if due >= until {
                break;
            }
            sleep_until(due).await;
            let (route, api, payable) =
                (merchant.route, merchant.api.clone(), self.payable.clone());
            asked.spawn(async move {
                let sale = ask(route, &api, due).await;
                if let (Route::Healthy, Some(charge)) = (route, sale.charge)
                    && sale.charge_status == "pending"
                {
                    let id = ChargeId(charge).to_string();
                    lock(&payable).push((api, id, sale.gateway.clone(), sale.description.clone()));
                }
                sale
            });
        }
        asked.join_all().await
    }

    fn simulator(&self, gateway: &str) -> &Simulator {
        let all = self.simulators();
        let found = all.into_iter().find(|one| one.gateway == gateway);
        found.unwrap_or(&self.stripe)
    }
}

async fn ask(route: Route, api: &Api, due: Instant) -> Sale {
    let description = format!("load-{}", Uuid::now_v7().simple());
    let mut body = pix();
    body["description"] = Value::String(description.clone());
    let answer = api.post("/v1/charges", &body).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&answer.body["id"]).parse::<ChargeId>();
    Sale {
        route,
        description,
        status: answer.status.as_u16(),
        charge: id.ok().map(ChargeId::uuid),
        charge_status: text(&answer.body["status"]),
        gateway: text(&answer.body["gateway"]["kind"]),
        fell_back: false,
        took: due.elapsed(),
    }
}

fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(folder.join("hanging.json"), json)?;
    let table = report.table();
    print(&format!("\n{table}"))?;
    Ok(std::fs::write(folder.join("hanging.md"), table)?)
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
