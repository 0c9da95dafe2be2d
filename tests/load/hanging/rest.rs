//! After the gateway answers again: waits until the system is at rest, then compares each sale's row with the simulators' books.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use serde::Serialize;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Hanging, Sale};

const READ_EVERY: Duration = Duration::from_secs(3);
/// Maximum wait for rest. Work that is not done by then is reported in its present state.
const PATIENCE: Duration = Duration::from_mins(10);

/// State of all sales so far, at rest.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Rest {
    pub after_s: f64,
    pub reached: bool,
    /// Number of accepted sales by the status of their charges and by route.
    pub charges: BTreeMap<String, usize>,
    pub attempts: BTreeMap<String, i64>,
    /// Number of accepted sales without a row.
    pub lost: usize,
    pub processing: usize,
    pub failed_without_reason: usize,
    /// Charges that are `pending` in our rows but not payable exactly once at the gateways.
    pub pending_not_payable_once: usize,
    /// Orders that a payer could pay more than once, or once more after a payment.
    pub payable_twice: usize,
    /// Rows that are overdue by more than a minute.
    pub overdue: i64,
}

/// Row of a charge.
struct Found {
    status: String,
    has_reason: bool,
}

/// Instruments of an order at the gateways.
#[derive(Default)]
struct Booked {
    payable: usize,
    paid: usize,
}

impl Rest {
    /// Waits until the system is at rest.
    pub(super) async fn reach(
        db: &mut PgConnection,
        hanging: &Hanging,
        sales: &[Sale],
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        loop {
            let mut rest = Self::compare(db, hanging, sales).await?;
            rest.after_s = began.elapsed().as_secs_f64();
            if rest.reached || began.elapsed() > PATIENCE {
                return Ok(rest);
            }
            sleep(READ_EVERY).await;
        }
    }

    async fn compare(
        db: &mut PgConnection,
        hanging: &Hanging,
        sales: &[Sale],
    ) -> anyhow::Result<Self> {
        let books = books(hanging).await;
        let rows = rows(db).await?;
        let mut rest = Self {
            attempts: attempts(db).await?,
            overdue: overdue(db).await?,
            ..Self::default()
        };
        let nothing = Booked::default();
        for sale in sales.iter().filter(|sale| sale.status == 201) {
            let Some(row) = sale.charge.and_then(|id| rows.get(&id)) else {
                rest.lost += 1;
                continue;
            };
            let key = format!("{} ({:?})", row.status, sale.route);
            *rest.charges.entry(key).or_default() += 1;
            let booked = books.get(&sale.description).unwrap_or(&nothing);
            rest.processing += usize::from(row.status == "processing");
            rest.failed_without_reason += usize::from(row.status == "failed" && !row.has_reason);
            rest.pending_not_payable_once +=
                usize::from(row.status == "pending" && booked.payable != 1);
            rest.payable_twice += usize::from(booked.payable + booked.paid > 1);
        }
        let open = rest.lost + rest.processing + rest.pending_not_payable_once + rest.payable_twice;
        rest.reached = open == 0 && rest.failed_without_reason == 0;
        Ok(rest)
    }

    pub(super) fn line(&self) -> String {
        format!(
            "\nat rest: {} after {:.0} s; charges {:?}; attempts {:?}; lost {}, processing {}, failed without reason {}, \
             pending but not payable once {}, payable twice {}, overdue {}\n",
            self.reached,
            self.after_s,
            self.charges,
            self.attempts,
            self.lost,
            self.processing,
            self.failed_without_reason,
            self.pending_not_payable_once,
            self.payable_twice,
            self.overdue,
        )
    }
}

/// Marks the sales with more than one attempt.
pub(super) async fn mark_fallen_back(
    db: &mut PgConnection,
    sales: &mut [Sale],
) -> anyhow::Result<()> {
    let sql = "select charge_id from attempts group by 1 having count(*) > 1 order by 1";
    let mut several = HashSet::new();
    for row in db.fetch_all(sql).await? {
        several.insert(row.try_get::<Uuid, _>(0)?);
    }
    for sale in sales {
        sale.fell_back = sale.charge.is_some_and(|id| several.contains(&id));
    }
    Ok(())
}

async fn books(hanging: &Hanging) -> HashMap<String, Booked> {
    let mut books = HashMap::<_, Booked>::new();
    for simulator in hanging.simulators() {
        for charge in simulator.charges().await {
            let description = charge["description"].as_str().unwrap_or_default();
            let booked = books.entry(description.to_owned()).or_default();
            booked.payable += usize::from(charge["payable"] == true);
            booked.paid += usize::from(charge["paid"] == true);
        }
    }
    books
}

async fn rows(db: &mut PgConnection) -> anyhow::Result<HashMap<Uuid, Found>> {
    let sql = "select id, status, failure is not null from charges";
    let mut rows = HashMap::new();
    for row in db.fetch_all(sql).await? {
        let found = Found {
            status: row.try_get(1)?,
            has_reason: row.try_get(2)?,
        };
        rows.insert(row.try_get(0)?, found);
    }
    Ok(rows)
}

async fn attempts(db: &mut PgConnection) -> anyhow::Result<BTreeMap<String, i64>> {
    let sql = "select gateway || ' ' || state, count(*) from attempts group by 1 order by 1";
    let mut counts = BTreeMap::new();
    for row in db.fetch_all(AssertSqlSafe(sql.to_owned())).await? {
        counts.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(counts)
}

async fn overdue(db: &mut PgConnection) -> anyhow::Result<i64> {
    let sql = "select count(*) from charges where next_check_at < app_now() - interval '1 minute'";
    Ok(db.fetch_one(sql).await?.try_get(0)?)
}
