//! Creation of the resources that must exist before a process starts: tables, Temporal's namespace and schedules, Kafka's topics.

use activities::relay;
use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use store::{migrations, partitions};
use workflows::setup;

use crate::{Config, start::open_store};

/// Creates the missing resources.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    tables(config).await?;
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    partitions::ensure(&mut db).await?;
    drop(db);
    tracing::info!("the database is up to date");
    let (temporal, schedules) = (&config.temporal, &config.schedules);
    setup::ensure(
        &temporal.connection(),
        &temporal.queues(),
        schedules.intervals(),
    )
    .await?;
    tracing::info!("Temporal has its namespace, search attributes and schedules");
    relay::ensure_topics(&config.kafka.relay()).await?;
    tracing::info!("Kafka has its topics");
    Ok(())
}

/// Verifies that nothing is missing; creates nothing.
pub async fn check(config: &Config) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    let pending = migrations::pending(&mut db).await?;
    if !pending.is_empty() {
        bail!(
            "migrations are pending: {}; run `orchestrator migrate`",
            pending.join(", ")
        );
    }
    setup::check(&config.temporal.connection(), &config.temporal.queues()).await?;
    let missing = relay::missing_topics(&config.kafka.relay())?;
    if !missing.is_empty() {
        bail!(
            "topics are missing in Kafka: {}; run `orchestrator migrate`",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Applies only the database migrations.
pub async fn tables(config: &Config) -> anyhow::Result<()> {
    let url = config.database.url.expose_secret();
    migrations::run(url)
        .await
        .with_context(|| format!("migrating {}", host(url)))
}

fn host(url: &str) -> String {
    url::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}
