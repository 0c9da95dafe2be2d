//! Compares the gateways' books with our rows: the invariants of `docs/ARCHITECTURE.md#invariants`.

use std::collections::BTreeMap;

use schemas::id::AttemptId;
use simulators::Held;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    borders::short,
    database::Database,
    flows::{Key, Kind},
    world::World,
};

/// Number of checks of each invariant over all runs, in rows or pairs.
pub type Checks = BTreeMap<(u8, &'static str), u64>;

/// Queries that must return no row at rest, each with the invariant that a row would break. Each returns a column `what`.
const NEVER: [(u8, &str, &str); 15] = [
    (1, "at most one presented attempt", "select charge_id::text as what from attempts where state = 'presented' group by charge_id having count(*) > 1"),
    (2, "attempts are numbered without gaps", "select charge_id::text as what from attempts group by charge_id having max(n) <> count(*)"),
    (2, "only the last attempt is open", "select id::text as what from attempts a where state = 'open' and exists (select from attempts b where b.charge_id = a.charge_id and b.n > a.n)"),
    (3, "no payment twice", "select charge_id::text as what from live_payments p group by charge_id, connection_id, gateway_payment_id having count(*) > 1"),
    (3, "paid has a payment", "select c.id || ' ' || c.status as what from charges c where status in ('paid', 'refunded', 'disputed') and not exists (select from live_payments p where p.charge_id = c.id)"),
    (3, "a payment makes it paid", "select c.id || ' ' || c.status as what from charges c where status not in ('paid', 'refunded', 'disputed', 'needs_review') and exists (select from live_payments p where p.charge_id = c.id)"),
    (5, "nothing is overdue or forgotten: charges", "select id || ' ' || status as what from charges where next_check_at is not null or status in ('processing', 'pending', 'overdue')"),
    (5, "nothing is overdue or forgotten: attempts", "select id || ' ' || state || coalesce(' ' || next_check_at, '') as what from attempts a where state = 'open' or alerted_at is null and (next_check_at is not null or state = 'abandoned') or next_check_at < app_now()",
    ),
    (5, "nothing is overdue or forgotten: refunds", "select id || ' ' || status as what from refunds where next_check_at is not null or status = 'pending'"),
    (5, "nothing is overdue or forgotten: deliveries", "select id || ' ' || state as what from deliveries where next_check_at is not null or state = 'pending'"),
    (6, "events are numbered without gaps", "select subject_id::text as what from events group by subject_id having max(sequence) <> count(*) or count(distinct sequence) <> count(*)"),
    (6, "a charge counts its events", "select c.id::text as what from charges c where event_sequence <> (select count(*) from events e where e.subject_id = c.id)"),
    (6, "each event has its deliveries", "select e.id || ' ' || e.type as what from events e where (select count(*) from deliveries d where d.event_id = e.id) <> (select count(*) from webhook_endpoints w where w.merchant_id = e.merchant_id and w.mode = e.mode)"),
    (6, "each charge event is in the outbox", "select v || ' events, ' || o || ' messages' as what from (select (select count(*) from events where subject_type = 'charge') as v, (select count(*) from outbox where topic = 'charge.events.v1') as o) both_of where v <> o"),
    (7, "sums are their rows'", "select c.id || ' paid ' || amount_paid || ' refunded ' || amount_refunded || ' pending ' || amount_refund_pending as what from charges c
        where amount_paid <> coalesce((select sum(amount) from live_payments p where p.charge_id = c.id), 0)
           or amount_refunded <> coalesce((select sum(amount) from refunds r where r.charge_id = c.id and r.status = 'succeeded'), 0)
           or amount_refund_pending <> coalesce((select sum(amount) from refunds r where r.charge_id = c.id and r.status in ('pending', 'needs_review')), 0)"),
];

/// Queries that must return no row at any moment at which no task runs.
const ALWAYS: [(u8, &str, &str); 2] = [
    (
        1,
        "a payable charge has exactly one presented attempt",
        "select c.id || ' ' || c.status as what from charges c where status in ('pending', 'overdue') and 1 <> (select count(*) from attempts a where a.charge_id = c.id and a.state = 'presented')",
    ),
    (
        5,
        "each unfinished row has a next time",
        "select id || ' ' || status as what from charges where next_check_at is null and status in ('processing', 'pending', 'overdue')",
    ),
];

/// Returns the rows of a workflow as text, to detect changes.
pub(super) async fn print(database: &mut Database, (kind, id): Key) -> anyhow::Result<String> {
    let charge = match kind {
        Kind::Charge => format!("'{id}'::uuid"),
        Kind::Orphan => format!("(select charge_id from attempts where id = '{id}')"),
        Kind::Refund => format!("(select charge_id from refunds where id = '{id}')"),
        Kind::Delivery | Kind::Endpoint => {
            format!("(select subject_id from deliveries where id = '{id}')")
        }
    };
    let rows = database
        .rows(&format!(
            "with one as (select {charge} as id)
             select md5(concat((select c::text from charges c, one where c.id = one.id),
                 (select string_agg(md5(a::text), '' order by n) from attempts a, one where a.charge_id = one.id),
                 (select string_agg(md5(r::text), '' order by r.id) from refunds r, one where r.charge_id = one.id),
                 (select string_agg(md5(f::text), '' order by dedupe_key) from observations f, one where f.charge_id = one.id))) as print"
        ))
        .await?;
    Ok(rows[0].get("print"))
}

/// An attempt with its charge.
struct Known {
    state: String,
    charge: Uuid,
    status: String,
    review: bool,
}

impl World {
    /// Checks the invariants that hold whenever no task runs.
    pub(super) async fn check_now(&mut self) -> anyhow::Result<()> {
        let mut checks = std::mem::take(&mut self.checks);
        for (invariant, name, query) in ALWAYS {
            self.never(invariant, name, query, &mut checks).await?;
        }
        self.checks = checks;
        Ok(())
    }

    /// Checks the invariants of [`Self::check_now`] and the gateways' books, some time after the last fault.
    pub(super) async fn check_settled(&mut self, checks: &mut Checks) -> anyhow::Result<()> {
        for (invariant, name, query) in ALWAYS {
            self.never(invariant, name, query, checks).await?;
        }
        self.check_instruments(false, checks).await
    }

    /// Checks the invariants that hold at rest.
    pub(super) async fn check_at_rest(&mut self, checks: &mut Checks) -> anyhow::Result<()> {
        for (invariant, name, query) in NEVER.into_iter().chain(ALWAYS) {
            self.never(invariant, name, query, checks).await?;
        }
        self.check_instruments(true, checks).await?;
        self.check_money(checks).await?;
        self.check_failures(checks).await
    }

    async fn never(
        &mut self,
        invariant: u8,
        name: &'static str,
        query: &str,
        checks: &mut Checks,
    ) -> anyhow::Result<()> {
        let reversed = self.reversal_column().await?;
        let live = format!("(select * from payments where {reversed})");
        let found = self
            .database
            .rows(&query.replace("live_payments", &live))
            .await?;
        *checks.entry((invariant, name)).or_default() += 1;
        for row in found {
            let what: String = row.get("what");
            self.borders.violated(invariant, format!("{name}: {what}"));
        }
        Ok(())
    }

    /// Returns the column that marks a payment reversed by the gateway.
    async fn reversal_column(&mut self) -> anyhow::Result<&'static str> {
        if self.reversal.is_none() {
            let rows = self
                .database
                .rows("select count(*) as n from information_schema.columns where table_name = 'payments' and column_name = 'reversed_at'")
                .await?;
            let has = rows[0].get::<i64, _>("n") > 0;
            self.reversal = Some(if has { "reversed_at is null" } else { "true" });
        }
        Ok(self.reversal.unwrap_or("true"))
    }

    /// Returns all attempts by their reference at gateways.
    async fn known(&mut self) -> anyhow::Result<BTreeMap<String, Known>> {
        let rows = self
            .database
            .rows(
                "select a.id, a.state, a.charge_id, c.status from attempts a join charges c on c.id = a.charge_id order by a.id",
            )
            .await?;
        let known = |row: PgRow| {
            let id: Uuid = row.get("id");
            let status: String = row.get("status");
            let known = Known {
                state: row.get("state"),
                charge: row.get("charge_id"),
                review: status == "needs_review",
                status,
            };
            (AttemptId(id).reference(), known)
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// Checks that everything at a gateway has an attempt, and that everything payable there is what we present.
    async fn check_instruments(
        &mut self,
        at_rest: bool,
        checks: &mut Checks,
    ) -> anyhow::Result<()> {
        let known = self.known().await?;
        let mut payable: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        for (gateway, held) in self.held() {
            *checks
                .entry((1, "what exists at a gateway is known to us"))
                .or_default() += 1;
            let Some(attempt) = known.get(&held.reference) else {
                let what = format!("{gateway} {} {} is unknown to us", held.id, held.reference);
                self.borders.violated(1, what);
                continue;
            };
            if !held.payable {
                continue;
            }
            *checks
                .entry((1, "what can be paid is presented"))
                .or_default() += 1;
            if at_rest || attempt.state != "abandoned" {
                let name = format!("{gateway} {} ({})", held.id, attempt.state);
                payable.entry(attempt.charge).or_default().push(name);
            }
            self.check_payable(gateway, &held, attempt, at_rest);
        }
        for (charge, all) in payable {
            *checks
                .entry((1, "no charge has two payable instruments"))
                .or_default() += 1;
            if all.len() > 1 {
                let what = format!(
                    "charge {} has {} payable instruments: {all:?}",
                    short(charge),
                    all.len()
                );
                self.borders.violated(1, what);
            }
        }
        Ok(())
    }

    fn check_payable(&self, gateway: &str, held: &Held, attempt: &Known, at_rest: bool) {
        let shown = attempt.state == "presented" && !at_rest;
        // between the payment of one and the voiding of another, or restored in the gateway's dashboard and not noticed yet
        let on_its_way = matches!(
            attempt.state.as_str(),
            "abandoned" | "open" | "voided" | "absent"
        ) && !at_rest;
        if !shown && !on_its_way && !attempt.review {
            let what = format!(
                "{gateway} {} can be paid although its attempt {} is {} and its charge {} is {}",
                held.id,
                held.reference,
                attempt.state,
                short(attempt.charge),
                attempt.status
            );
            self.borders.violated(1, what);
        }
    }

    /// Checks that each payment at a gateway is recorded exactly once.
    async fn check_money(&mut self, checks: &mut Checks) -> anyhow::Result<()> {
        let reversed = self.reversal_column().await?;
        let rows = self
            .database
            .rows(&format!(
                "select attempt_id, amount from payments where {reversed} order by id"
            ))
            .await?;
        let mut ours: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            let reference = AttemptId(row.get("attempt_id")).reference();
            *ours.entry(reference).or_default() += 1;
        }
        let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
        for (_, reference, _) in &self.paid {
            *theirs.entry(reference.clone()).or_default() += 1;
        }
        let references: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for reference in references {
            *checks
                .entry((3, "each payment is recorded once"))
                .or_default() += 1;
            let (our, their) = (ours.get(reference), theirs.get(reference));
            if our != their {
                let what =
                    format!("{reference}: {their:?} payments at the gateway, {our:?} in our rows");
                self.borders.violated(3, what);
            }
        }
        Ok(())
    }

    /// Checks that no sale fails without a try.
    async fn check_failures(&mut self, checks: &mut Checks) -> anyhow::Result<()> {
        self.never(
            4,
            "no charge fails without an attempt",
            "select id::text as what from charges c where status = 'failed' and not exists (select from attempts a where a.charge_id = c.id)",
            checks,
        )
        .await
    }
}
