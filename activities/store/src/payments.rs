//! Money received. Unique by connection and gateway payment id, and by connection and end-to-end id.

use chrono::{DateTime, Utc};
use schemas::{
    gateway::{GatewayKind, Mode},
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    payment::Payment,
    payment_method::Kind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse};

/// Money to record.
#[derive(Debug)]
pub struct New<'a> {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub attempt: AttemptId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub gateway_payment_id: &'a str,
    pub end_to_end_id: Option<&'a str>,
    pub amount: i64,
    pub method: Kind,
    pub fee: Option<i64>,
    pub net: Option<i64>,
    pub paid_at: DateTime<Utc>,
}

/// Records money; `false` if it was known. What the gateway tells later (fee, net, end-to-end id) is filled in.
pub async fn insert(db: &mut PgConnection, new: &New<'_>) -> Result<bool, StoreError> {
    let known = sqlx::query!(
        "update payments
            set fee = coalesce(fee, $4), net = coalesce(net, $5), end_to_end_id = coalesce(end_to_end_id, $3)
          where connection_id = $1 and (gateway_payment_id = $2 or end_to_end_id = $3)",
        new.connection.uuid(),
        new.gateway_payment_id,
        new.end_to_end_id,
        new.fee,
        new.net,
    )
    .execute(&mut *db)
    .await?;
    if known.rows_affected() > 0 {
        return Ok(false);
    }
    let inserted = sqlx::query!(
        "insert into payments (id, merchant_id, mode, charge_id, attempt_id, connection_id, gateway, gateway_payment_id,
                               end_to_end_id, amount, method, fee, net, paid_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
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
        new.fee,
        new.net,
        new.paid_at,
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The payments of charges, each with its charge, oldest first.
pub async fn of_charges(
    db: &mut PgConnection,
    charges: &[Uuid],
) -> Result<Vec<(Uuid, Payment)>, StoreError> {
    let rows = sqlx::query!(
        "select id, charge_id, gateway, gateway_payment_id, end_to_end_id, amount, method, fee, net, paid_at
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
                net: row.net,
                paid_at: row.paid_at,
            };
            Ok((row.charge_id, payment))
        })
        .collect()
}
