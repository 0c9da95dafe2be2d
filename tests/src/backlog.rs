//! The backlog that an outage of Temporal leaves: presented charges and waiting deliveries, none with a workflow. They are copied from one
//! charge by SQL, many at once.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use uuid::Uuid;

/// Maximum age of the overdue rows in minutes; each has a random age of at least two.
const MINUTES: u32 = 30;

/// Rows of a backlog that are still overdue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub charges: i64,
    pub deliveries: i64,
}

impl Left {
    /// Returns the number of all rows.
    pub fn rows(self) -> i64 {
        self.charges + self.deliveries
    }
}

/// Copies `times` times a payable charge that has an event and a delivery.
pub async fn copy(db: &mut PgConnection, charge: Uuid, times: u32) -> sqlx::Result<()> {
    let sql = format!(
        "begin;
         create temporary table copies on commit drop as
             select uuidv7() as charge, uuidv7() as attempt, uuidv7() as event,
                    app_now() - interval '1 minute' * (2 + random() * {MINUTES}) as due
               from generate_series(1, {times});
         insert into charges select (jsonb_populate_record(c, jsonb_build_object('id', k.charge, 'reference', null,
                 'reference_lock', null, 'next_check_at', k.due))).*
             from charges c, copies k where c.id = '{charge}';
         insert into attempts select (jsonb_populate_record(a, jsonb_build_object('id', k.attempt, 'charge_id', k.charge))).*
             from attempts a, copies k where a.charge_id = '{charge}' and a.state = 'presented';
         insert into events select (jsonb_populate_record(e, jsonb_build_object('id', k.event, 'subject_id', k.charge,
                 'position', null))).*
             from events e, copies k
            where e.id = (select id from events where subject_id = '{charge}' order by sequence limit 1);
         insert into deliveries select (jsonb_populate_record(d, jsonb_build_object('id', uuidv7(), 'event_id', k.event,
                 'subject_id', k.charge, 'state', 'pending', 'attempts', 0, 'next_check_at', k.due, 'delivered_at', null,
                 'last_result', null))).*
             from deliveries d, copies k
            where d.id = (select id from deliveries where subject_id = '{charge}' order by id limit 1);
         commit"
    );
    db.execute(AssertSqlSafe(sql)).await.map(drop)
}

/// Counts a merchant's rows that are overdue by more than a minute.
pub async fn left(db: &mut PgConnection, merchant: Uuid) -> sqlx::Result<Left> {
    let sql = format!(
        "select (select count(*) from charges
                  where merchant_id = '{merchant}' and next_check_at < app_now() - interval '1 minute'),
                (select count(*) from deliveries
                  where merchant_id = '{merchant}' and next_check_at < app_now() - interval '1 minute')"
    );
    let row = db.fetch_one(AssertSqlSafe(sql)).await?;
    Ok(Left {
        charges: row.try_get(0)?,
        deliveries: row.try_get(1)?,
    })
}
