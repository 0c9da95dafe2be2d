//! Relay from the outbox to Kafka: at least once, in order per key, by one relay at a time.

use std::collections::HashSet;

use crate::retry::relay::{ACK_TIMEOUT_MS, ADMIN_TIMEOUT, AWAY, IDLE};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use schemas::message::Topic;
use store::{
    PgConnection, Store, StoreError,
    outbox::{self, OutboxMessage},
};
use tokio_util::sync::CancellationToken;

/// Maximum number of messages in flight.
const BATCH: i64 = 500;

/// Address of Kafka and names of our topics there.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Addresses as `host:port`, several separated by commas.
    pub brokers: String,
    /// Prefix of every topic's name, so that several deployments can share a cluster.
    pub topic_prefix: String,
    pub partitions: i32,
    pub replication: i32,
}

impl KafkaConfig {
    /// Returns a topic's name in this deployment.
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.topic_prefix)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "payment-orchestrator");
        config
    }
}

/// Failure of the relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    #[error("Kafka refused to create {topic}: {code}")]
    Topic {
        topic: String,
        code: RDKafkaErrorCode,
    },
}

/// Relay that moves messages from the outbox to Kafka.
pub struct Relay {
    store: Store,
    producer: FutureProducer,
    config: KafkaConfig,
}

impl Relay {
    /// Creates a relay. Does not connect yet: Kafka may be unavailable.
    pub fn new(store: Store, config: KafkaConfig) -> Result<Self, RelayError> {
        let producer = config
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", ACK_TIMEOUT_MS)
            .create()?;
        Ok(Self {
            store,
            producer,
            config,
        })
    }

    /// Relays until `stop`; retries while Kafka or the database is unavailable.
    pub async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.lead(stop)).await {
                tracing::warn!(%error, "the relay begins again");
            }
            stop.run_until_cancelled(tokio::time::sleep(AWAY)).await;
        }
    }

    /// Waits until it is the only relay, then relays while the connection that holds the lock lives.
    async fn lead(&self, stop: &CancellationToken) -> Result<(), RelayError> {
        let mut leading = self
            .store
            .pool
            .acquire()
            .await
            .map_err(StoreError::from)?
            .detach();
        while !outbox::lead(&mut leading).await? {
            tokio::time::sleep(AWAY).await;
        }
        tracing::info!("relaying to Kafka");
        while !stop.is_cancelled() {
            if self.relay(&mut leading).await? == 0 {
                tokio::time::sleep(IDLE).await;
            }
        }
        Ok(())
    }

    /// Sends one batch and deletes the acknowledged messages. Returns their number.
    async fn relay(&self, db: &mut PgConnection) -> Result<usize, RelayError> {
        let messages = outbox::oldest(db, BATCH).await?;
        let mut sent = Vec::with_capacity(messages.len());
        for message in &messages {
            sent.push((message, self.send(message)));
        }
        let (mut acknowledged, mut failed_keys, mut failure) = (Vec::new(), HashSet::new(), None);
        for (message, delivery) in sent {
            // a message that Kafka's client refuses delays those of its own key only
            let outcome = match delivery {
                Ok(delivery) => delivery
                    .await
                    .map_err(|_| KafkaError::Canceled)
                    .and_then(|sent| sent.map_err(|(error, _)| error)),
                Err(error) => Err(error),
            };
            // messages that follow a failed one under its key are sent again after it
            match outcome {
                Ok(_) if !failed_keys.contains(message.key.as_str()) => {
                    acknowledged.push(message.id);
                }
                Ok(_) => {}
                Err(error) => {
                    failed_keys.insert(message.key.as_str());
                    failure = Some(error);
                }
            }
        }
        if !acknowledged.is_empty() {
            outbox::delete(db, &acknowledged).await?;
            metrics::counter!("relayed_messages_total")
                .increment(acknowledged.len().try_into().unwrap_or(0));
        }
        failure.map_or(Ok(acknowledged.len()), |error| Err(error.into()))
    }

    fn send(&self, message: &OutboxMessage) -> Result<DeliveryFuture, KafkaError> {
        let topic = format!("{}{}", self.config.topic_prefix, message.topic);
        let payload = message.message.to_string();
        let record = FutureRecord::to(&topic).key(&message.key).payload(&payload);
        self.producer
            .send_result(record)
            .map_err(|(error, _)| error)
    }
}

/// Creates the topics that are missing.
pub async fn ensure_topics(config: &KafkaConfig) -> Result<(), RelayError> {
    let admin: AdminClient<DefaultClientContext> = config.client().create()?;
    let names: Vec<String> = topics().iter().map(|topic| config.topic(*topic)).collect();
    let new: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            NewTopic::new(
                name,
                config.partitions,
                TopicReplication::Fixed(config.replication),
            )
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(ADMIN_TIMEOUT))
        .operation_timeout(Some(ADMIN_TIMEOUT));
    for outcome in admin.create_topics(&new, &options).await? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(RelayError::Topic { topic, code }),
        }
    }
    Ok(())
}

/// Returns the topics that Kafka does not have.
pub fn missing_topics(config: &KafkaConfig) -> Result<Vec<String>, RelayError> {
    let admin: AdminClient<DefaultClientContext> = config.client().create()?;
    let found = admin.inner().fetch_metadata(None, ADMIN_TIMEOUT)?;
    let known: HashSet<&str> = found
        .topics()
        .iter()
        .map(rdkafka::metadata::MetadataTopic::name)
        .collect();
    Ok(topics()
        .iter()
        .map(|topic| config.topic(*topic))
        .filter(|name| !known.contains(name.as_str()))
        .collect())
}

/// Returns all topics.
pub fn topics() -> [Topic; 3] {
    [
        Topic::GatewayAttempts,
        Topic::GatewayHealth,
        Topic::ChargeEvents,
    ]
}

#[cfg(test)]
mod tests;
