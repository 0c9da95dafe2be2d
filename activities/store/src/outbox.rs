//! Outbox of messages for Kafka. They are written in the transaction of the change that they report.

use schemas::message::{CloudEvent, Topic};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{StoreError, error::to_json};

/// Advisory lock of the single active relay.
const RELAY_LOCK: i64 = 0x0b0c_0001;

/// Message to send.
#[derive(Debug)]
pub struct OutboxMessage {
    pub id: i64,
    pub topic: String,
    pub key: String,
    pub message: serde_json::Value,
}

/// Maximum count of waiting messages. A longer backlog is not read completely for a metric.
const COUNTED: i64 = 10_000;

/// Size of the backlog.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Number of messages, at most 10,000.
    pub messages: i64,
    /// Age of the oldest message in seconds.
    pub oldest_age_s: f64,
}

/// Message to write. Its key is its subject.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub(crate) topic: Topic,
    pub(crate) key: String,
    pub(crate) message: serde_json::Value,
}

impl NewMessage {
    /// Creates a message.
    pub fn new<T: Serialize>(topic: Topic, message: &CloudEvent<T>) -> Self {
        Self {
            topic,
            key: message.subject.clone(),
            message: to_json(message),
        }
    }
}

/// Adds messages in one statement. The caller holds the locks of their subjects' rows, which preserves the order within a key.
pub async fn insert_all(db: &mut PgConnection, new: &[NewMessage]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let topics: Vec<_> = new.iter().map(|m| m.topic.as_ref().to_owned()).collect();
    let keys: Vec<_> = new.iter().map(|m| m.key.clone()).collect();
    let messages: Vec<_> = new.iter().map(|m| m.message.clone()).collect();
    sqlx::query!(
        "insert into outbox (topic, key, message)
         select topic, key, message
           from unnest($1::text[], $2::text[], $3::jsonb[]) with ordinality as n (topic, key, message, position)
          order by position",
        &topics,
        &keys,
        &messages,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Tries to become the single active relay. Returns true if this connection holds the lock, which lasts as long as the connection.
pub async fn lead(db: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "leads!""#, RELAY_LOCK)
            .fetch_one(db)
            .await?,
    )
}

/// Returns the oldest messages that were not sent.
pub async fn oldest(db: &mut PgConnection, limit: i64) -> Result<Vec<OutboxMessage>, StoreError> {
    Ok(sqlx::query_as!(
        OutboxMessage,
        "select id, topic, key, message from outbox order by id limit $1",
        limit
    )
    .fetch_all(db)
    .await?)
}

/// Deletes messages that Kafka has acknowledged.
pub async fn delete(db: &mut PgConnection, ids: &[i64]) -> Result<(), StoreError> {
    sqlx::query!("delete from outbox where id = any($1)", ids)
        .execute(db)
        .await?;
    Ok(())
}

/// Returns the size of the backlog, for a metric.
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

#[cfg(test)]
mod tests;
