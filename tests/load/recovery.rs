//! Measures the recovery from an outage of Temporal: the rate and evenness of the starts, and the effect on new charges.

use std::{path::Path, time::Duration};

use anyhow::Context;
use schemas::id::ChargeId;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tests::{
    Api, MerchantServer,
    api::pix,
    backlog::{self, Left},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Arguments, print, report,
    run::{Bench, Until},
    verdict::{self, Verdict},
};

/// Charges in progress at a time in the run that measures the capacity without a backlog.
const ALONE: usize = 8;
/// New charges per second, before and during the recovery.
const NEW_PER_S: u32 = 5;
/// Share of the first merchant's rows in percent; the other merchants share the rest.
const LARGEST_PERCENT: u32 = 70;
/// Number of connections whose credentials cannot be decrypted, each with a notification token that is due.
const DEAD_CONNECTIONS: u32 = 200;
/// Latest time, as a share of the largest merchant's, at which a fair recovery has started the small merchants' rows: shares of a quarter
/// each take 40 %, and the rest allows for the order within a batch.
const FAIR_SHARE: f64 = 0.6;
const POLL_EVERY: Duration = Duration::from_millis(500);
/// Time after which a backlog that is not empty counts as failed.
const PATIENCE: Duration = Duration::from_mins(20);

struct Merchant {
    id: Uuid,
    /// A presented charge with a delivered event.
    charge: Uuid,
    _merchant_server: MerchantServer,
}

/// Measures with `rows` charges and as many deliveries.
pub(crate) async fn run(arguments: &Arguments, bench: &Bench, rows: u32) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(&arguments.database).await?;
    let mut merchants = Vec::new();
    for key in std::iter::once(&arguments.key).chain(&arguments.others) {
        let api = Api::new(arguments.api.clone(), key);
        merchants.push(prepare(&mut db, &api).await?);
    }
    let alone = bench.closed(ALONE, "created alone").await?;
    print(&alone.line())?;
    let before = bench.open_bare(NEW_PER_S, "new, before").await?;
    print(&before.line())?;

    seed(&mut db, &merchants, rows).await?;
    let total = left_of(&mut db, &merchants).await?;
    let began = Instant::now();
    // new charges are measured exactly as long as there is a backlog
    let until = Until {
        length: PATIENCE,
        over: CancellationToken::new(),
    };
    let watching = async {
        let watched = watch(&mut db, &merchants, began).await;
        until.over.cancel();
        watched.map(|watched| (watched, began.elapsed()))
    };
    let during = bench.open_until(NEW_PER_S, "new, during", &until);
    let (during, watched) = tokio::join!(during, watching);
    let (during, ((first_after, emptied), took)) = (during?, watched?);
    print(&during.line())?;
    let recovered = Recovered {
        alone,
        before,
        during,
        total,
        first_after,
        emptied,
        took,
    };
    write(
        &arguments.output,
        &recovered.report(&poisoned(&mut db).await?)?,
    )
}

/// Measurements of a recovery.
struct Recovered {
    alone: report::Row,
    before: report::Row,
    during: report::Row,
    /// Rows of each merchant at the start.
    total: Vec<Left>,
    /// Time until the first row was started.
    first_after: Duration,
    /// Time until the rows of each merchant were started.
    emptied: Vec<Duration>,
    took: Duration,
}

impl Recovered {
    fn report(&self, poisoned: &Value) -> anyhow::Result<Value> {
        let rows = f64::from(i32::try_from(rows_of(&self.total))?);
        let per_s = rows / self.took.saturating_sub(self.first_after).as_secs_f64();
        let emptied: Vec<_> = self.emptied.iter().map(Duration::as_secs_f64).collect();
        let share = per_s / 2.0 / self.alone.charges_per_s;
        let verdicts = self.verdicts(share, &emptied);
        let took = self.took.as_secs_f64();
        print(&format!(
            "\n{}- {rows} rows were started in {took:.1} s, {:.1} per second\n\n",
            verdict::list(&verdicts),
            rows / took,
        ))?;
        Ok(json!({
            "verdicts": verdicts,
            "rows": { "charges": sum(&self.total, |left| left.charges), "deliveries": sum(&self.total, |left| left.deliveries) },
            "created_alone_per_s": self.alone.charges_per_s,
            "first_row_after_s": self.first_after.as_secs_f64(),
            "empty_after_s": took,
            "rows_per_s": per_s,
            "rows_per_s_from_the_start": rows / took,
            "charges_per_s": per_s / 2.0,
            "share_of_the_rate_alone": share,
            "merchants_empty_after_s": emptied,
            "merchants_rows": self.total.iter().map(|left| left.rows()).collect::<Vec<_>>(),
            "new_charges_p99_ms": { "before": self.before.added_ms.p99, "during": self.during.added_ms.p99 },
            "new_charges": self.during.charges,
            "new_charges_refused": self.during.shed + self.during.other,
            "dead_connections": DEAD_CONNECTIONS,
            "poisoned": poisoned,
        }))
    }

    fn verdicts(&self, share: f64, emptied: &[f64]) -> Vec<Verdict> {
        // the first merchant has most rows
        let others = emptied[1..].iter().copied().fold(0.0, f64::max);
        vec![
            // alone, a charge is a row and its event's delivery another one
            Verdict::at_least(
                "rate of recovered pairs of charge and delivery, as a share of the charges created alone",
                share,
                0.5,
            ),
            Verdict::at_most(
                "p99 of new charges at 5/s during the recovery, as a multiple of before",
                self.during.added_ms.p99 / self.before.added_ms.p99,
                2.0,
            ),
            Verdict::none(
                "new charges refused or diverted",
                self.during.shed + self.during.other,
            ),
            Verdict::at_most(
                "time until the small merchants' rows are started, as a share of the largest merchant's",
                others / emptied[0],
                FAIR_SHARE,
            ),
        ]
    }
}

/// Creates an endpoint and a charge whose event it accepted.
async fn prepare(db: &mut PgConnection, api: &Api) -> anyhow::Result<Merchant> {
    let merchant_server = MerchantServer::open().await;
    let wanted = json!({ "url": merchant_server.url, "events": [] });
    let endpoint = api.post("/v1/webhook_endpoints", &wanted).await;
    anyhow::ensure!(endpoint.status == 201, "{}", endpoint.body);
    merchant_server.trust(endpoint.body["secret"].as_str().unwrap_or_default());
    let charge = api.charge(&pix()).await;
    let id = charge["id"].as_str().context("an id")?;
    merchant_server.received("charge.pending", id).await;
    let charge: ChargeId = id.parse()?;
    let sql = format!(
        "select merchant_id from charges where id = '{}'",
        charge.uuid()
    );
    let row = db.fetch_one(AssertSqlSafe(sql)).await?;
    Ok(Merchant {
        id: row.try_get(0)?,
        charge: charge.uuid(),
        _merchant_server: merchant_server,
    })
}

/// Seeds the backlog, and in it a row that cannot be read and connections that do not answer.
async fn seed(db: &mut PgConnection, merchants: &[Merchant], rows: u32) -> anyhow::Result<()> {
    let others = u32::try_from(merchants.len().saturating_sub(1).max(1))?;
    for (n, merchant) in merchants.iter().enumerate() {
        let percent = match n {
            0 => LARGEST_PERCENT,
            _ => (100 - LARGEST_PERCENT) / others,
        };
        backlog::copy(db, merchant.charge, rows * percent / 100).await?;
    }
    let poisoned = "update charges set payment_method = '{}', next_check_at = app_now() - interval '1 day'
                     where id = (select id from charges where next_check_at < app_now() order by next_check_at limit 1)";
    db.execute(AssertSqlSafe(poisoned.to_owned())).await?;
    let dead = format!(
        "with dead as (
             insert into gateway_connections
             select (jsonb_populate_record(c, jsonb_build_object('id', uuidv7(), 'label', 'dead ' || n))).*
               from gateway_connections c, generate_series(1, {DEAD_CONNECTIONS}) n
              where c.id = (select id from gateway_connections order by id limit 1)
             returning id, merchant_id, mode),
         unreadable as (
             insert into gateway_credentials
             select (jsonb_populate_record(g, jsonb_build_object('connection_id', dead.id))).*
               from gateway_credentials g, dead
              where g.connection_id = (select id from gateway_connections order by id limit 1))
         insert into notification_tokens (connection_id, token, merchant_id, mode, next_check_at)
         select id, 'token', merchant_id, mode, app_now() - interval '1 day' from dead"
    );
    db.execute(AssertSqlSafe(dead)).await?;
    Ok(())
}

/// Waits until nothing is overdue but the poisoned row. Returns the time of the first row's move and of each merchant's last one.
async fn watch(
    db: &mut PgConnection,
    merchants: &[Merchant],
    began: Instant,
) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let total = rows_of(&left_of(db, merchants).await?);
    let (mut first, mut emptied) = (None, vec![None; merchants.len()]);
    loop {
        let left = left_of(db, merchants).await?;
        if rows_of(&left) < total {
            first.get_or_insert(began.elapsed());
        }
        for (left, emptied) in left.iter().zip(&mut emptied) {
            // the poisoned row does not move
            if left.rows() <= 1 {
                emptied.get_or_insert(began.elapsed());
            }
        }
        if emptied.iter().all(Option::is_some) {
            let first = first.unwrap_or_default();
            return Ok((first, emptied.into_iter().flatten().collect()));
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "left: {left:?}");
        sleep(POLL_EVERY).await;
    }
}

async fn left_of(db: &mut PgConnection, merchants: &[Merchant]) -> anyhow::Result<Vec<Left>> {
    let mut left = Vec::new();
    for merchant in merchants {
        left.push(backlog::left(db, merchant.id).await?);
    }
    Ok(left)
}

fn rows_of(left: &[Left]) -> i64 {
    sum(left, Left::rows)
}

fn sum(left: &[Left], of: impl Fn(Left) -> i64) -> i64 {
    left.iter().map(|left| of(*left)).sum()
}

/// Returns the sweep's reasons for the rows that failed, with the number of each.
async fn poisoned(db: &mut PgConnection) -> anyhow::Result<Value> {
    let sql = "select kind || ': ' || reason, count(*) from sweep_marks
                where reason not in ('started', 'woken', 'worked on') group by 1 order by 1";
    let rows = db.fetch_all(AssertSqlSafe(sql.to_owned())).await?;
    let mut found = serde_json::Map::new();
    for row in rows {
        found.insert(row.try_get(0)?, json!(row.try_get::<i64, _>(1)?));
    }
    Ok(Value::Object(found))
}

fn write(folder: &Path, report: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    print(&text)?;
    Ok(std::fs::write(folder.join("recovery.json"), text)?)
}
