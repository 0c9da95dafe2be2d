use activities::relay::KafkaConfig;
use clap::Args;

/// Kafka.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kafka")]
pub struct Kafka {
    /// Addresses of Kafka as `host:port`, several separated by commas.
    #[arg(
        id = "kafka-brokers",
        long = "kafka-brokers",
        env = "ORCHESTRATOR_KAFKA_BROKERS",
        default_value = "127.0.0.1:9092"
    )]
    pub brokers: String,
    /// Prefix of every topic's name. Empty by default.
    #[arg(
        id = "kafka-topic-prefix",
        long = "kafka-topic-prefix",
        env = "ORCHESTRATOR_KAFKA_TOPIC_PREFIX",
        default_value = ""
    )]
    pub topic_prefix: String,
    /// Partitions of a topic that `migrate` creates.
    #[arg(
        id = "kafka-partitions",
        long = "kafka-partitions",
        env = "ORCHESTRATOR_KAFKA_PARTITIONS",
        default_value_t = 3
    )]
    pub partitions: i32,
    /// Replicas of a topic that `migrate` creates. Set 3 in production.
    #[arg(
        id = "kafka-replication",
        long = "kafka-replication",
        env = "ORCHESTRATOR_KAFKA_REPLICATION",
        default_value_t = 1
    )]
    pub replication: i32,
}

impl Kafka {
    pub(crate) fn relay(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: self.brokers.clone(),
            topic_prefix: self.topic_prefix.clone(),
            partitions: self.partitions,
            replication: self.replication,
        }
    }
}
