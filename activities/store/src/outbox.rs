//! What the relay has to send to Kafka, written in the transaction whose facts it tells.

use schemas::message::{CloudEvent, Topic};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{StoreError, error::to_json};

/// The advisory lock of the one relay.
const RELAY_LOCK: i64 = 0x0b0c_0001;

/// A message to send.
#[derive(Debug)]
pub struct OutboxMessage {
    pub id: i64,
    pub topic: String,
    pub key: String,
    pub message: serde_json::Value,
}

/// As far as waiting messages are counted: a longer backlog is not read for the sake of a number.
const COUNTED: i64 = 10_000;

/// How much waits to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// At most 10,000.
    pub messages: i64,
    /// For how many seconds the oldest has waited.
    pub oldest_age_s: f64,
}

/// Adds a message; its subject is the key. The caller holds the lock of the key's row, so that order holds within it.
pub async fn insert<T: Serialize>(
    db: &mut PgConnection,
    topic: Topic,
    message: &CloudEvent<T>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into outbox (topic, key, message) values ($1, $2, $3)",
        topic.as_ref(),
        message.subject,
        to_json(message),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether this connection leads the one relay: a lock that lasts as long as the connection.
pub async fn lead(db: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "leads!""#, RELAY_LOCK)
            .fetch_one(db)
            .await?,
    )
}

/// The oldest unsent messages.
pub async fn oldest(db: &mut PgConnection, limit: i64) -> Result<Vec<OutboxMessage>, StoreError> {
    Ok(sqlx::query_as!(
        OutboxMessage,
        "select id, topic, key, message from outbox order by id limit $1",
        limit
    )
    .fetch_all(db)
    .await?)
}

/// Forgets messages that Kafka has acknowledged.
pub async fn delete(db: &mut PgConnection, ids: &[i64]) -> Result<(), StoreError> {
    sqlx::query!("delete from outbox where id = any($1)", ids)
        .execute(db)
        .await?;
    Ok(())
}

/// What waits; a metric.
pub async fn backlog(db: &mut PgConnection) -> Result<Backlog, StoreError> {
    Ok(sqlx::query_as!(
        Backlog,
        r#"select (select count(*) from (select from outbox limit $1) as waiting) as "messages!",
                  coalesce(extract(epoch from app_now() - (select created_at from outbox order by id limit 1)), 0)::float8
                      as "oldest_age_s!""#,
        COUNTED,
    )
    .fetch_one(db)
    .await?)
}
