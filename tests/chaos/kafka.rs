//! Compares the messages that were committed to the outbox with those that Kafka holds.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::Context;
use rdkafka::{
    ClientConfig, Message,
    consumer::{Consumer, StreamConsumer},
};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::Arguments;

const TOPICS: [&str; 3] = [
    "gateway.attempts.v1",
    "gateway.health.v1",
    "charge.events.v1",
];
/// Idle time after which a topic counts as read to its end.
const IDLE: Duration = Duration::from_secs(5);

/// Trigger that records every outbox row, because the relay deletes the rows that it has sent.
const WATCH: &str = "
    create table chaos_outbox (id text primary key);
    create function chaos_remember() returns trigger language plpgsql as
        $$ begin insert into chaos_outbox values (new.message ->> 'id'); return null; end $$;
    create trigger chaos_remember after insert on outbox for each row execute function chaos_remember();";

/// The messages committed to the outbox, and those relayed to Kafka.
pub(crate) struct Outbox {
    database: String,
    brokers: String,
    topics: Vec<String>,
}

impl Outbox {
    /// Records every message from now on.
    pub(crate) async fn watch(arguments: &Arguments) -> anyhow::Result<Self> {
        let mut db = PgConnection::connect(&arguments.database).await?;
        sqlx::raw_sql(WATCH).execute(&mut db).await?;
        Ok(Self {
            database: arguments.database.clone(),
            brokers: arguments.kafka.clone(),
            topics: TOPICS
                .map(|topic| format!("{}{topic}", arguments.topic_prefix))
                .to_vec(),
        })
    }

    /// Returns the ids of all committed messages.
    pub(crate) async fn committed(&self) -> anyhow::Result<HashSet<String>> {
        let mut db = PgConnection::connect(&self.database).await?;
        let ids = sqlx::query_scalar("select id from chaos_outbox")
            .fetch_all(&mut db)
            .await?;
        Ok(ids.into_iter().collect())
    }

    /// Returns the number of times that Kafka holds each message, by id.
    pub(crate) async fn relayed(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", format!("chaos-{}", uuid::Uuid::new_v4()))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()?;
        let topics: Vec<_> = self.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let mut found = BTreeMap::new();
        while let Ok(message) = timeout(IDLE, consumer.recv()).await {
            let message = message?;
            let body: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
            let id = body["id"].as_str().context("a message without an id")?;
            *found.entry(id.to_owned()).or_default() += 1;
        }
        Ok(found)
    }
}
