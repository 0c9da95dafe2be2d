//! Payments: received money. Unique by connection and gateway payment id, and by connection and end-to-end id.

use chrono::{DateTime, NaiveDate, Utc};
use schemas::{
    gateway::GatewayKind,
    id::{AttemptId, ChargeId, ConnectionId, PaymentId},
    payment::{Payment, PaymentStatus},
    payment_method::PaymentMethodKind,
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    charges::LockedCharge,
    error::{from_json, parse},
};

/// Payment to record.
#[derive(Debug)]
pub struct NewPayment<'a> {
    pub attempt: AttemptId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub gateway_payment_id: &'a str,
    pub end_to_end_id: Option<&'a str>,
    pub amount: i64,
    pub method: PaymentMethodKind,
    /// Fee in centavos, if the gateway reported it.
    pub fee: Option<i64>,
    /// Net amount in centavos, if the gateway reported it.
    pub net: Option<i64>,
    /// Estimated fee in centavos.
    pub estimated_fee: i64,
    pub installments: Option<i32>,
    pub settles_on: Option<NaiveDate>,
    pub settled_on: Option<NaiveDate>,
    pub paid_at: DateTime<Utc>,
}

/// Row of `payments`.
#[derive(Clone, Debug)]
pub struct PaymentRow {
    pub id: PaymentId,
    pub charge: ChargeId,
    pub attempt: AttemptId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub gateway_payment_id: String,
    pub end_to_end_id: Option<String>,
    pub amount: i64,
    pub method: PaymentMethodKind,
    pub fee: i64,
    pub fee_is_estimated: bool,
    pub net: i64,
    pub installments: Option<i32>,
    pub settles_on: Option<NaiveDate>,
    pub settled_on: Option<NaiveDate>,
    pub paid_at: DateTime<Utc>,
    /// Time when the reversal by the gateway was recorded.
    pub reversed_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct PaymentColumns {
    id: Uuid,
    charge_id: Uuid,
    attempt_id: Uuid,
    connection_id: Uuid,
    gateway: String,
    gateway_payment_id: String,
    end_to_end_id: Option<String>,
    amount: i64,
    method: String,
    fee: i64,
    fee_is_estimated: bool,
    net: i64,
    installments: Option<i32>,
    settles_on: Option<NaiveDate>,
    settled_on: Option<NaiveDate>,
    paid_at: DateTime<Utc>,
    reversed_at: Option<DateTime<Utc>>,
}

impl PaymentColumns {
    fn read(self) -> Result<PaymentRow, StoreError> {
        Ok(PaymentRow {
            id: self.id.into(),
            charge: self.charge_id.into(),
            attempt: self.attempt_id.into(),
            connection: self.connection_id.into(),
            gateway: parse("payments.gateway", &self.gateway)?,
            gateway_payment_id: self.gateway_payment_id,
            end_to_end_id: self.end_to_end_id,
            amount: self.amount,
            method: parse("payments.method", &self.method)?,
            fee: self.fee,
            fee_is_estimated: self.fee_is_estimated,
            net: self.net,
            installments: self.installments,
            settles_on: self.settles_on,
            settled_on: self.settled_on,
            paid_at: self.paid_at,
            reversed_at: self.reversed_at,
        })
    }
}

/// Records a payment of a locked charge. Returns false if it is already recorded; then only adds data that the gateway reported later (fee,
/// net, end-to-end id, installments, settlement dates).
pub async fn record(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    new: &NewPayment<'_>,
) -> Result<bool, StoreError> {
    let id = crate::new_id();
    let mut is_new = false;
    for row in add_or_complete(db, charge, new, id).await? {
        let row = row.read()?;
        is_new |= row.id.uuid() == id;
        match charge.payments.iter_mut().find(|known| known.id == row.id) {
            Some(known) => *known = row,
            // a payment that is recorded for another charge is not one of this charge
            None if row.charge == charge.id => charge.payments.push(row),
            None => {}
        }
    }
    Ok(is_new)
}

async fn add_or_complete(
    db: &mut PgConnection,
    charge: &LockedCharge,
    new: &NewPayment<'_>,
    id: Uuid,
) -> Result<Vec<PaymentColumns>, StoreError> {
    let fee = new.fee.unwrap_or(new.estimated_fee);
    Ok(sqlx::query_as!(
        PaymentColumns,
        r#"with known as (
               update payments
                  set fee = coalesce($12, fee), net = coalesce($13, amount - $12, net),
                      fee_is_estimated = fee_is_estimated and $12::bigint is null,
                      end_to_end_id = coalesce(end_to_end_id, $9), installments = coalesce(installments, $17),
                      settles_on = coalesce($18, settles_on), settled_on = coalesce(settled_on, $19)
                where connection_id = $6 and (gateway_payment_id = $8 or end_to_end_id = $9) and reversed_at is null
               returning *),
           added as (
               insert into payments (id, merchant_id, mode, charge_id, attempt_id, connection_id, gateway, gateway_payment_id,
                                     end_to_end_id, amount, method, fee, net, paid_at, fee_is_estimated, installments, settles_on,
                                     settled_on)
               select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $14, $15, $16, $12::bigint is null, $17, $18, $19
                where not exists (select from known)
               on conflict do nothing
               returning *)
           select id as "id!", charge_id as "charge_id!", attempt_id as "attempt_id!", connection_id as "connection_id!",
                  gateway as "gateway!", gateway_payment_id as "gateway_payment_id!", end_to_end_id, amount as "amount!",
                  method as "method!", fee as "fee!", fee_is_estimated as "fee_is_estimated!", net as "net!", installments,
                  settles_on, settled_on, paid_at as "paid_at!", reversed_at
             from (select * from known union all select * from added) recorded
            order by id"#,
        id,
        charge.merchant.uuid(),
        charge.mode.as_ref(),
        charge.id.uuid(),
        new.attempt.uuid(),
        new.connection.uuid(),
        new.gateway.as_ref(),
        new.gateway_payment_id,
        new.end_to_end_id,
        new.amount,
        new.method.as_ref(),
        new.fee,
        new.net,
        fee,
        new.net.unwrap_or(new.amount - fee),
        new.paid_at,
        new.installments,
        new.settles_on,
        new.settled_on,
    )
    .fetch_all(db)
    .await?)
}

/// Reads rows that were selected as a JSON array. `None` is an empty one.
pub(crate) fn read_all(rows: Option<Value>) -> Result<Vec<PaymentRow>, StoreError> {
    let rows: Vec<PaymentColumns> =
        rows.map_or_else(|| Ok(Vec::new()), |rows| from_json("payments", rows))?;
    rows.into_iter().map(PaymentColumns::read).collect()
}

/// Returns the payments of the given charges, oldest first.
pub async fn of_charges(
    db: &mut PgConnection,
    charges: &[Uuid],
) -> Result<Vec<PaymentRow>, StoreError> {
    let rows = sqlx::query_as!(
        PaymentColumns,
        "select id, charge_id, attempt_id, connection_id, gateway, gateway_payment_id, end_to_end_id, amount, method, fee,
                fee_is_estimated, net, installments, settles_on, settled_on, paid_at, reversed_at
           from payments where charge_id = any($1) order by id",
        charges,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(PaymentColumns::read).collect()
}

/// Reverses a payment of a locked charge: its amount no longer counts, and the same payment may arrive again.
pub async fn reverse(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    id: PaymentId,
) -> Result<(), StoreError> {
    let reversed_at = sqlx::query_scalar!(
        r#"update payments set reversed_at = app_now() where id = $1 and reversed_at is null returning reversed_at as "at!""#,
        id.uuid()
    )
    .fetch_optional(db)
    .await?;
    if let Some(row) = charge.payments.iter_mut().find(|row| row.id == id)
        && let Some(at) = reversed_at
    {
        row.reversed_at = Some(at);
        charge.amount_paid -= row.amount;
    }
    Ok(())
}

impl PaymentRow {
    /// Returns true if `id` is one of the gateway's ids of this payment.
    pub fn is(&self, id: &str) -> bool {
        self.gateway_payment_id == id || self.end_to_end_id.as_deref() == Some(id)
    }

    /// Returns the payment as the API returns it.
    pub fn shown(&self) -> Payment {
        Payment {
            id: self.id,
            gateway: self.gateway,
            gateway_payment_id: self.gateway_payment_id.clone(),
            end_to_end_id: self.end_to_end_id.clone(),
            amount: self.amount,
            method: self.method,
            fee: self.fee,
            fee_is_estimated: self.fee_is_estimated,
            net: self.net,
            installments: self.installments,
            settles_on: self.settles_on,
            settled_on: self.settled_on,
            paid_at: self.paid_at,
            status: match self.reversed_at {
                Some(_) => PaymentStatus::Reversed,
                None => PaymentStatus::Received,
            },
            reversed_at: self.reversed_at,
        }
    }
}
