use super::*;
use crate::testing::{Server, Stage};

/// Message that Kafka's client refuses, because it is larger than one megabyte.
const TOO_LARGE: &str = "jsonb_build_object('text', repeat('x', 2000000))";

async fn relay(stage: &Stage) -> Relay {
    #[expect(
        clippy::disallowed_methods,
        reason = "the Kafka of the tests is named by the environment"
    )]
    let brokers = std::env::var("ORCHESTRATOR_KAFKA_BROKERS")
        .expect("run tests with `make test`, which starts the services");
    let config = KafkaConfig {
        brokers,
        topic_prefix: format!("r{}.", store::new_id().simple()),
        partitions: 1,
        replication: 1,
    };
    ensure_topics(&config).await.expect("topics");
    Relay::new(stage.activities.store.clone(), config).expect("a relay")
}

async fn stage() -> Stage {
    let server = Server::with_status(503, "").await;
    Stage::new(&server.url, false).await
}

async fn insert(stage: &Stage, key: &str, message: &str) {
    stage
        .run(&format!("insert into outbox (topic, key, message) values ('charge.events.v1', '{key}', {message})"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_are_deleted_in_bounded_batches() {
    let stage = stage().await;
    let relay = relay(&stage).await;
    stage.run("insert into outbox (topic, key, message) select 'charge.events.v1', 'ch_' || n, '{}' from generate_series(1, 600) n").await;
    let mut db = stage
        .activities
        .store
        .pool
        .acquire()
        .await
        .expect("a connection");
    let mut batches = Vec::new();
    for _ in 0..3 {
        batches.push(relay.relay(&mut db).await.expect("relayed"));
    }
    assert_eq!(batches, [500, 100, 0]);
    assert_eq!(stage.texts("select key from outbox").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_sent_delays_those_of_its_own_key_only() {
    let stage = stage().await;
    let relay = relay(&stage).await;
    insert(&stage, "ch_1", TOO_LARGE).await;
    insert(&stage, "ch_2", "'{}'").await;
    insert(&stage, "ch_1", "'{}'").await;
    insert(&stage, "ch_3", "'{}'").await;
    let mut db = stage
        .activities
        .store
        .pool
        .acquire()
        .await
        .expect("a connection");
    let failed = relay.relay(&mut db).await;
    assert!(matches!(failed, Err(RelayError::Kafka(_))), "{failed:?}");
    assert_eq!(
        stage.texts("select key from outbox order by id").await,
        ["ch_1", "ch_1"]
    );
}
