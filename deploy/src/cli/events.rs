//! Output of the streams in Kafka.

use activities::relay::topics;
use anyhow::Context;
use rdkafka::{
    ClientConfig, Message,
    consumer::{Consumer, StreamConsumer},
};
use schemas::message::Topic;

use super::print_line;
use crate::Config;

/// Prints messages as they arrive, one JSON document per line, in a consumer group of its own.
pub(super) async fn tail(
    config: &Config,
    wanted: &[Topic],
    from_beginning: bool,
    count: Option<usize>,
) -> anyhow::Result<()> {
    let kafka = config.kafka.relay();
    let wanted = if wanted.is_empty() {
        topics().to_vec()
    } else {
        wanted.to_vec()
    };
    let names: Vec<String> = wanted.iter().map(|topic| kafka.topic(*topic)).collect();
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set(
            "group.id",
            format!("orchestrator-tail-{}", uuid::Uuid::new_v4()),
        )
        .set("enable.auto.commit", "false")
        .set(
            "auto.offset.reset",
            if from_beginning { "earliest" } else { "latest" },
        )
        .create()
        .context("connecting to Kafka")?;
    consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    for _ in 0..count.unwrap_or(usize::MAX) {
        let message = consumer.recv().await?;
        let payload = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        print_line(&format!("{} {payload}", message.topic()))?;
    }
    Ok(())
}
