//! Routing: versioned policies that order a merchant's connections per method, and the connections of the active one.

use chrono::{DateTime, Utc};
use schemas::{
    breaker::Breaker,
    connection::ConnectionStatus,
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{ConnectionId, MerchantId, PayerId, PolicyId},
    payment_method::PaymentMethodKind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, breakers::BreakerColumns, error::parse};

/// Policy of a method.
#[derive(Clone, Copy, Debug)]
pub struct PolicyKey {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub method: PaymentMethodKind,
}

/// Active policy of a method, with all that decides a route.
#[derive(Clone, Debug)]
pub struct Routing {
    pub version: i32,
    /// Connections in the policy's order.
    pub connections: Vec<RoutedConnection>,
    /// True if a connection was left out because this version cannot read its row.
    pub is_partial: bool,
    /// PostgreSQL's time.
    pub now: Option<DateTime<Utc>>,
}

/// Connection of the active policy, with its breaker for the method's gateway API.
#[derive(Clone, Debug)]
pub struct RoutedConnection {
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub status: ConnectionStatus,
    pub api: GatewayApi,
    pub breaker: Breaker,
    pub credential_version: i32,
    /// Id of the payer at the gateway, if known.
    pub customer: Option<String>,
}

struct RoutingColumns {
    version: i32,
    id: Uuid,
    gateway: String,
    status: String,
    api: String,
    state: String,
    openings: i32,
    opened_at: Option<DateTime<Utc>>,
    open_until: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    half_open_successes: i32,
    probe_attempt: Option<Uuid>,
    probe_until: Option<DateTime<Utc>>,
    hold: Option<String>,
    hold_until: Option<DateTime<Utc>>,
    hold_reason: Option<String>,
    credential_version: i32,
    customer: Option<String>,
    now: DateTime<Utc>,
}

impl RoutingColumns {
    /// Returns the connection, or `None` if the breaker belongs to an API that does not serve the method.
    fn read(
        self,
        api_of: impl Fn(GatewayKind) -> Option<GatewayApi>,
    ) -> Result<Option<RoutedConnection>, StoreError> {
        let gateway: GatewayKind = parse("gateway_connections.gateway", &self.gateway)?;
        let Some(api) = api_of(gateway).filter(|api| api.as_ref() == self.api) else {
            return Ok(None);
        };
        let breaker = BreakerColumns {
            state: self.state,
            openings: self.openings,
            opened_at: self.opened_at,
            open_until: self.open_until,
            closed_at: self.closed_at,
            half_open_successes: self.half_open_successes,
            probe: self.probe_attempt.zip(self.probe_until),
            hold: self
                .hold
                .zip(self.hold_until)
                .map(|(kind, until)| (kind, until, self.hold_reason)),
        };
        Ok(Some(RoutedConnection {
            connection: self.id.into(),
            gateway,
            status: parse("gateway_connections.status", &self.status)?,
            api,
            breaker: breaker.read()?,
            credential_version: self.credential_version,
            customer: self.customer,
        }))
    }
}

/// Returns the active policy's connections in order, in one round trip. A row that this version cannot read is left out. `api_of` returns
/// the gateway API that serves a method.
pub async fn active_connections(
    db: &mut PgConnection,
    of: PolicyKey,
    payer: PayerId,
    api_of: fn(GatewayKind, PaymentMethodKind) -> Option<GatewayApi>,
) -> Result<Routing, StoreError> {
    let rows = sqlx::query_as!(
        RoutingColumns,
        r#"select p.version, c.id, c.gateway, c.status, b.api, b.state, b.openings, b.opened_at, b.open_until,
                  b.closed_at, b.half_open_successes, b.probe_attempt, b.probe_until, b.hold, b.hold_until, b.hold_reason,
                  (select max(version) from gateway_credentials where connection_id = c.id) as "credential_version!",
                  (select external_id from payer_gateway_ids where payer_id = $4 and connection_id = c.id) as customer,
                  app_now() as "now!"
             from routing_policies p
            cross join unnest(p.connections) with ordinality as u(connection_id, position)
             join gateway_connections c on c.id = u.connection_id and c.merchant_id = p.merchant_id and c.mode = p.mode
             join circuit_breakers b on b.connection_id = c.id
            where p.merchant_id = $1 and p.mode = $2 and p.method = $3 and p.active
            order by u.position, b.api"#,
        of.merchant.uuid(),
        of.mode.as_ref(),
        of.method.as_ref(),
        payer.uuid(),
    )
    .fetch_all(db)
    .await?;
    let mut routing = Routing {
        version: rows.first().map_or(0, |row| row.version),
        now: rows.first().map(|row| row.now),
        connections: Vec::with_capacity(rows.len()),
        is_partial: false,
    };
    for row in rows {
        let id = ConnectionId(row.id);
        match row.read(|gateway| api_of(gateway, of.method)) {
            Ok(connection) => routing.connections.extend(connection),
            Err(error) => {
                tracing::error!(connection = %id, %error, "a connection is left out of routes");
                routing.is_partial = true;
            }
        }
    }
    Ok(routing)
}

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
pub async fn active(db: &mut PgConnection, of: PolicyKey) -> Result<Option<Policy>, StoreError> {
    let row = sqlx::query!(
        "select id, version, connections from routing_policies
          where merchant_id = $1 and mode = $2 and method = $3 and active",
        of.merchant.uuid(),
        of.mode.as_ref(),
        of.method.as_ref(),
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
    of: PolicyKey,
    connection: ConnectionId,
    replaced: &[ConnectionId],
    change: Change<'_>,
) -> Result<i32, StoreError> {
    // Changes are serialized by the lock on the merchant's row.
    sqlx::query!(
        "select id from merchants where id = $1 for update",
        of.merchant.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let before = active(db, of).await?;
    let mut connections: Vec<_> = before.map(|policy| policy.connections).unwrap_or_default();
    connections.retain(|one| !replaced.contains(one));
    connections.push(connection);
    let connections: Vec<_> = connections.into_iter().map(ConnectionId::uuid).collect();
    sqlx::query!(
        "update routing_policies set active = false where merchant_id = $1 and mode = $2 and method = $3 and active",
        of.merchant.uuid(),
        of.mode.as_ref(),
        of.method.as_ref(),
    )
    .execute(&mut *db)
    .await?;
    Ok(sqlx::query_scalar!(
        "insert into routing_policies (id, merchant_id, mode, method, version, connections, active, author, reason)
         select $1, $2, $3, $4, coalesce(max(version), 0) + 1, $5, true, $6, $7
           from routing_policies where merchant_id = $2 and mode = $3 and method = $4
         returning version",
        crate::new_id(),
        of.merchant.uuid(),
        of.mode.as_ref(),
        of.method.as_ref(),
        &connections,
        change.author,
        change.reason,
    )
    .fetch_one(db)
    .await?)
}

#[cfg(test)]
mod tests;
