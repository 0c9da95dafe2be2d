//! Kafka topics.

use std::collections::HashMap;

use rdkafka::{
    ClientConfig, Message,
    consumer::{Consumer, StreamConsumer},
};
use serde_json::{Value, json};
use tests::{
    Options, Stack,
    api::{PAYER_DOCUMENT, PAYER_NAME, pix},
};

async fn read(
    stack: &Stack,
    until: impl Fn(&HashMap<String, Vec<Value>>) -> bool,
) -> HashMap<String, Vec<Value>> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &stack.config.kafka.brokers)
        .set("group.id", &stack.config.kafka.topic_prefix)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    let prefix = &stack.config.kafka.topic_prefix;
    let topics = [
        "gateway.attempts.v1",
        "gateway.health.v1",
        "charge.events.v1",
    ]
    .map(|topic| format!("{prefix}{topic}"));
    consumer
        .subscribe(&topics.each_ref().map(String::as_str))
        .expect("subscribed");
    let mut found: HashMap<String, Vec<Value>> = HashMap::new();
    let reading = async {
        while !until(&found) {
            let message = consumer.recv().await.expect("a message");
            let text = std::str::from_utf8(message.payload().unwrap_or_default()).expect("text");
            assert!(
                !text.contains(PAYER_DOCUMENT) && !text.contains(PAYER_NAME),
                "{text}"
            );
            let topic = message
                .topic()
                .trim_start_matches(prefix.as_str())
                .to_owned();
            found
                .entry(topic)
                .or_default()
                .push(serde_json::from_str(text).expect("JSON"));
        }
    };
    let outcome = tokio::time::timeout(std::time::Duration::from_secs(40), reading).await;
    assert!(outcome.is_ok(), "not all messages came: {found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_breakers_and_charges_stream_through_kafka_without_personal_data() {
    let stack = Stack::with(Options {
        complete: true,
        ..Options::default()
    })
    .await;
    stack
        .set_breaker(json!({ "consecutive_failures": 1 }))
        .await;
    stack.efi.down().await;
    let charge = stack.api.charge(&pix()).await;
    stack
        .stripe
        .pay(
            stack.stripe.charges().await[0]["reference"]
                .as_str()
                .expect("a reference"),
        )
        .await;
    stack
        .api
        .until(charge["id"].as_str().expect("an id"), "paid")
        .await;
    let count =
        |found: &HashMap<String, Vec<Value>>, topic: &str| found.get(topic).map_or(0, Vec::len);
    let found = read(&stack, |found| {
        count(found, "gateway.attempts.v1") >= 2
            && count(found, "gateway.health.v1") >= 1
            && count(found, "charge.events.v1") >= 2
    })
    .await;
    let states: Vec<_> = found["gateway.attempts.v1"]
        .iter()
        .map(|m| m["data"]["state"].clone())
        .collect();
    assert_eq!(states, [json!("not_created"), json!("presented")]);
    assert_eq!(found["gateway.health.v1"][0]["data"]["to"], "open");
    let events: Vec<_> = found["charge.events.v1"]
        .iter()
        .map(|m| (m["type"].clone(), m["sequence"].clone()))
        .collect();
    assert_eq!(
        events,
        [
            (json!("charge.pending"), json!(1)),
            (json!("charge.paid"), json!(2))
        ]
    );
    assert!(
        found["charge.events.v1"]
            .iter()
            .all(|m| m["subject"] == charge["id"]
                && m["specversion"] == "1.0"
                && m["mode"] == "test")
    );
    stack.stop().await;
}
