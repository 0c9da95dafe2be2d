//! Routing policies: versioned orders of a merchant's connections per method.

use schemas::{
    gateway::Mode,
    id::{ConnectionId, MerchantId, PolicyId},
    payment_method::PaymentMethodKind,
};
use sqlx::PgConnection;

use crate::StoreError;

/// Active version of a policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub id: PolicyId,
    pub version: i32,
    pub connections: Vec<ConnectionId>,
}

/// Author and reason of a change.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub author: &'a str,
    pub reason: &'a str,
}

/// Returns the active policy for a method.
pub async fn active(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    method: PaymentMethodKind,
) -> Result<Option<Policy>, StoreError> {
    let row = sqlx::query!(
        "select id, version, connections from routing_policies
          where merchant_id = $1 and mode = $2 and method = $3 and active",
        merchant.uuid(),
        mode.as_ref(),
        method.as_ref(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Policy {
        id: row.id.into(),
        version: row.version,
        connections: row.connections.into_iter().map(Into::into).collect(),
    }))
}

/// Appends a connection to a method's policy in place of `replaced`, as a new version. Returns its number.
pub async fn append(
    db: &mut PgConnection,
    (merchant, mode, method): (MerchantId, Mode, PaymentMethodKind),
    connection: ConnectionId,
    replaced: &[ConnectionId],
    change: Change<'_>,
) -> Result<i32, StoreError> {
    // Changes are serialized by the lock on the merchant's row.
    sqlx::query!(
        "select id from merchants where id = $1 for update",
        merchant.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let before = active(db, merchant, mode, method).await?;
    let mut connections: Vec<_> = before.map(|policy| policy.connections).unwrap_or_default();
    connections.retain(|one| !replaced.contains(one));
    connections.push(connection);
    let connections: Vec<_> = connections.into_iter().map(ConnectionId::uuid).collect();
    sqlx::query!(
        "update routing_policies set active = false where merchant_id = $1 and mode = $2 and method = $3 and active",
        merchant.uuid(),
        mode.as_ref(),
        method.as_ref(),
    )
    .execute(&mut *db)
    .await?;
    Ok(sqlx::query_scalar!(
        "insert into routing_policies (id, merchant_id, mode, method, version, connections, active, author, reason)
         select $1, $2, $3, $4, coalesce(max(version), 0) + 1, $5, true, $6, $7
           from routing_policies where merchant_id = $2 and mode = $3 and method = $4
         returning version",
        crate::new_id(),
        merchant.uuid(),
        mode.as_ref(),
        method.as_ref(),
        &connections,
        change.author,
        change.reason,
    )
    .fetch_one(db)
    .await?)
}
