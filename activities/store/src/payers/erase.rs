//! Erasure of payers. Destroys the key of their sealed data, the digest of the document, and their ids at gateways.

use schemas::{
    charge::GatewayFailure,
    gateway::Mode,
    id::{ChargeId, MerchantId, PayerId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError, error::parse};

/// Maximum number of charges that a refusal names.
const NAMED: i64 = 50;
/// Text that replaces the gateways' messages about an erased payer.
pub const ERASED_MESSAGE: &str = "erased with the payer";

/// Charge that still needs its payer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub charge: ChargeId,
    /// Reason, for operators.
    pub why: String,
}

/// Result of an erasure.
#[derive(Debug)]
pub enum Erasure {
    Erased {
        merchant: MerchantId,
        mode: Mode,
    },
    AlreadyErased,
    /// Nothing was erased. These charges, at most fifty, are not resolved.
    Unresolved(Vec<Unresolved>),
    NoPayer,
}

/// Erases a payer, unless one of the payer's charges is unresolved. The caller commits.
pub async fn erase(db: &mut PgConnection, payer: PayerId) -> Result<Erasure, StoreError> {
    // Locks charges first, as every other transaction does: a write under one of these locks is either visible here or sees the payer
    // erased.
    sqlx::query!(
        "select id from charges where payer_id = $1 order by id for no key update",
        payer.uuid(),
    )
    .fetch_all(&mut *db)
    .await?;
    // A new charge of this payer locks the row until it is committed.
    let row = sqlx::query!(
        "select merchant_id, mode, erased_at from payers where id = $1 for update",
        payer.uuid(),
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else {
        return Ok(Erasure::NoPayer);
    };
    if row.erased_at.is_some() {
        return Ok(Erasure::AlreadyErased);
    }
    let open = unresolved(db, payer).await?;
    if !open.is_empty() {
        return Ok(Erasure::Unresolved(open));
    }
    sqlx::query!(
        "update payers set data_key = null, document_hmac = null, erased_at = app_now() where id = $1",
        payer.uuid(),
    )
    .execute(&mut *db)
    .await?;
    clear(db, payer).await?;
    Ok(Erasure::Erased {
        merchant: row.merchant_id.into(),
        mode: parse("payers.mode", &row.mode)?,
    })
}

/// Returns the payer's charges that may still need the payer's data, oldest first.
async fn unresolved(db: &mut PgConnection, payer: PayerId) -> Result<Vec<Unresolved>, StoreError> {
    let rows = sqlx::query!(
        r#"select c.id, u.why as "why!" from charges c
            cross join lateral (
                select 'the charge is ' || c.status as why
                 where c.status in ('processing', 'pending', 'overdue', 'needs_review')
                union all
                select 'an attempt is ' || state from attempts
                 where charge_id = c.id and state in ('open', 'presented', 'abandoned')
                union all
                select 'a refund is ' || status from refunds
                 where charge_id = c.id and status in ('pending', 'needs_review')
                union all
                select 'a dispute is ' || status from disputes
                 where charge_id = c.id and status in ('needs_response', 'under_review')
                union all
                select 'a notification is not handled yet' from observations
                 where charge_id = c.id and handled_at is null
                limit 1) u
            where c.payer_id = $1 order by c.id limit $2"#,
        payer.uuid(),
        NAMED,
    )
    .fetch_all(db)
    .await?;
    let named = rows.into_iter().map(|row| Unresolved {
        charge: row.id.into(),
        why: row.why,
    });
    Ok(named.collect())
}

/// Deletes data that is not sealed under the payer's key: ids and links at gateways, bodies that were matched late, and gateways' messages,
/// which may repeat the payer's data. Deletes sealed orders too, as a backup may have the key.
async fn clear(db: &mut PgConnection, payer: PayerId) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from payer_gateway_ids where payer_id = $1",
        payer.uuid()
    )
    .execute(&mut *db)
    .await?;
    clear_messages(db, payer).await?;
    sqlx::query!(
        "update attempts
            set request_sealed = null, next_action = null, error_message = case when error_message is not null then $2 end
          where charge_id in (select id from charges where payer_id = $1)",
        payer.uuid(),
        ERASED_MESSAGE,
    )
    .execute(&mut *db)
    .await?;
    // Deletes bodies that were matched only after they were stored.
    sqlx::query!(
        "delete from notifications
          where payer_ids = '{}' and id in (
              select f.notification_id from observations f join charges c on c.id = f.charge_id where c.payer_id = $1)",
        payer.uuid(),
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update observations set observed = null
          where observed is not null and charge_id in (select id from charges where payer_id = $1)",
        payer.uuid(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Replaces the gateways' messages in failures and in events. Deletes the instruments in events.
async fn clear_messages(db: &mut PgConnection, payer: PayerId) -> Result<(), StoreError> {
    // An alert repeats the message of an attempt.
    sqlx::query!(
        "update events set data = jsonb_set(data, '{reason,message}', to_jsonb($2::text))
          where subject_type = 'gateway_connection' and (subject_id, data #>> '{reason,message}') in (
              select a.connection_id, a.error_message from attempts a join charges c on c.id = a.charge_id
               where c.payer_id = $1 and a.error_message is not null)",
        payer.uuid(),
        ERASED_MESSAGE,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update charges set failure = replace_gateway_messages(failure, $2) where payer_id = $1 and failure is not null",
        payer.uuid(),
        ERASED_MESSAGE,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update refunds set failure = replace_gateway_messages(failure, $2)
          where failure is not null and charge_id in (select id from charges where payer_id = $1)",
        payer.uuid(),
        ERASED_MESSAGE,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update events set data = data || (
             select jsonb_object_agg(key, case key when 'failure' then replace_gateway_messages(value, $2) else 'null' end)
               from jsonb_each(data) where key in ('failure', 'next_action'))
          where (jsonb_typeof(data -> 'failure') = 'object' or jsonb_typeof(data -> 'next_action') = 'object')
            and subject_id in (select id from charges where payer_id = $1
                               union all
                               select r.id from refunds r join charges c on c.id = r.charge_id where c.payer_id = $1)",
        payer.uuid(),
        ERASED_MESSAGE,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns a gateway's failure as it may be stored: without its message if the charge's payer was erased.
pub(crate) async fn storable(
    db: &mut PgConnection,
    charge: ChargeId,
    failure: &GatewayFailure,
) -> Result<GatewayFailure, StoreError> {
    if super::hold(db, charge).await? {
        return Ok(failure.clone());
    }
    Ok(GatewayFailure {
        message: ERASED_MESSAGE.to_owned(),
        ..failure.clone()
    })
}

/// Deletes a body without payers that was found to be about an erased payer.
pub(crate) async fn delete_body(db: &mut PgConnection, body: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from notifications where id = $1 and payer_ids = '{}'",
        body
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the payer with this document, for an erasure that a merchant requests.
pub async fn find_by_document(
    db: &mut PgConnection,
    store: &Store,
    (merchant, mode): (MerchantId, Mode),
    document: &schemas::document::Document,
) -> Result<Option<PayerId>, StoreError> {
    let key = store.merchant_key(db, merchant.uuid()).await?;
    let digest = key.digest("payers.document", document.as_str().as_bytes());
    let id = sqlx::query_scalar!(
        "select id from payers where merchant_id = $1 and mode = $2 and document_hmac = $3",
        merchant.uuid(),
        mode.as_ref(),
        digest.as_slice(),
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(PayerId))
}

/// Returns the payer of a charge.
pub async fn of_charge(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Option<PayerId>, StoreError> {
    let id = sqlx::query_scalar!("select payer_id from charges where id = $1", charge.uuid())
        .fetch_optional(db)
        .await?;
    Ok(id.map(PayerId))
}
