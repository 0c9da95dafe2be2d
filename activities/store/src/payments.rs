//! Payments: received money. Unique by connection and gateway payment id, and by connection and end-to-end id.

use chrono::{DateTime, NaiveDate, Utc};
use schemas::{
    gateway::{GatewayKind, Mode},
    id::{AttemptId, ChargeId, ConnectionId, MerchantId, PaymentId},
    payment::{Payment, PaymentStatus},
    payment_method::PaymentMethodKind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse};

/// Payment to record.
#[derive(Debug)]
pub struct NewPayment<'a> {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
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

/// Payment as used by refunds and disputes.
#[derive(Clone, Debug)]
pub struct PaymentRow {
    pub id: PaymentId,
    pub attempt: AttemptId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub gateway_payment_id: String,
    pub end_to_end_id: Option<String>,
    pub amount: i64,
    pub method: PaymentMethodKind,
    pub paid_at: DateTime<Utc>,
    /// Time when the reversal by the gateway was recorded.
    pub reversed_at: Option<DateTime<Utc>>,
}

/// Records a payment. Returns false if it is already recorded; then only adds data that the gateway reported later (fee, net, end-to-end
/// id, installments, settlement dates).
pub async fn insert(db: &mut PgConnection, new: &NewPayment<'_>) -> Result<bool, StoreError> {
    let known = sqlx::query!(
        "update payments
            set fee = coalesce($4, fee), net = coalesce($5, amount - $4, net),
                fee_is_estimated = fee_is_estimated and $4::bigint is null,
                end_to_end_id = coalesce(end_to_end_id, $3), installments = coalesce(installments, $6),
                settles_on = coalesce($7, settles_on), settled_on = coalesce(settled_on, $8)
          where connection_id = $1 and (gateway_payment_id = $2 or end_to_end_id = $3) and reversed_at is null",
        new.connection.uuid(),
        new.gateway_payment_id,
        new.end_to_end_id,
        new.fee,
        new.net,
        new.installments,
        new.settles_on,
        new.settled_on,
    )
    .execute(&mut *db)
    .await?;
    if known.rows_affected() > 0 {
        return Ok(false);
    }
    let fee = new.fee.unwrap_or(new.estimated_fee);
    let inserted = sqlx::query!(
        "insert into payments (id, merchant_id, mode, charge_id, attempt_id, connection_id, gateway, gateway_payment_id,
                               end_to_end_id, amount, method, fee, net, paid_at, fee_is_estimated, installments, settles_on,
                               settled_on)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         on conflict do nothing",
        crate::new_id(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        new.charge.uuid(),
        new.attempt.uuid(),
        new.connection.uuid(),
        new.gateway.as_ref(),
        new.gateway_payment_id,
        new.end_to_end_id,
        new.amount,
        new.method.as_ref(),
        fee,
        new.net.unwrap_or(new.amount - fee),
        new.paid_at,
        new.fee.is_none(),
        new.installments,
        new.settles_on,
        new.settled_on,
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Returns the payments of the given charges, each with its charge, oldest first.
pub async fn of_charges(
    db: &mut PgConnection,
    charges: &[Uuid],
) -> Result<Vec<(Uuid, Payment)>, StoreError> {
    let rows = sqlx::query!(
        "select id, charge_id, gateway, gateway_payment_id, end_to_end_id, amount, method, fee, net, paid_at, fee_is_estimated,
                installments, settles_on, settled_on, reversed_at
           from payments where charge_id = any($1) order by id",
        charges,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let payment = Payment {
                id: row.id.into(),
                gateway: parse("payments.gateway", &row.gateway)?,
                gateway_payment_id: row.gateway_payment_id,
                end_to_end_id: row.end_to_end_id,
                amount: row.amount,
                method: parse("payments.method", &row.method)?,
                fee: row.fee,
                fee_is_estimated: row.fee_is_estimated,
                net: row.net,
                installments: row.installments,
                settles_on: row.settles_on,
                settled_on: row.settled_on,
                paid_at: row.paid_at,
                status: match row.reversed_at {
                    Some(_) => PaymentStatus::Reversed,
                    None => PaymentStatus::Received,
                },
                reversed_at: row.reversed_at,
            };
            Ok((row.charge_id, payment))
        })
        .collect()
}

/// Returns a charge's payments, oldest first, as used by refunds and disputes.
pub async fn rows(db: &mut PgConnection, charge: ChargeId) -> Result<Vec<PaymentRow>, StoreError> {
    let rows = sqlx::query!(
        "select id, attempt_id, connection_id, gateway, gateway_payment_id, end_to_end_id, amount, method, paid_at, reversed_at
           from payments where charge_id = $1 order by id",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PaymentRow {
                id: row.id.into(),
                attempt: row.attempt_id.into(),
                connection: row.connection_id.into(),
                gateway: parse("payments.gateway", &row.gateway)?,
                gateway_payment_id: row.gateway_payment_id,
                end_to_end_id: row.end_to_end_id,
                amount: row.amount,
                method: parse("payments.method", &row.method)?,
                paid_at: row.paid_at,
                reversed_at: row.reversed_at,
            })
        })
        .collect()
}

/// Reverses a payment: its amount no longer counts, and the same payment may arrive again. Returns false if it was reversed before. The
/// caller holds the charge's lock.
pub async fn reverse(db: &mut PgConnection, id: PaymentId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update payments set reversed_at = app_now() where id = $1 and reversed_at is null",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

impl PaymentRow {
    /// Returns true if `id` is one of the gateway's ids of this payment.
    pub fn is(&self, id: &str) -> bool {
        self.gateway_payment_id == id || self.end_to_end_id.as_deref() == Some(id)
    }
}
