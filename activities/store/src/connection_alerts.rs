//! What a look after a connection found, so that it is told once.

use schemas::id::ConnectionId;
use sqlx::PgConnection;

use crate::{StoreError, connections::Connection};

/// The job that found something: each ends its own findings only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertSource {
    /// The check of our set-up at the gateway.
    Check,
    /// Reading what arrived.
    Notification,
    /// Reading the gateway's lists.
    Polling,
}

impl AlertSource {
    fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Notification => "notification",
            Self::Polling => "polling",
        }
    }
}

/// Notes a finding; whether it is new.
pub async fn note(
    db: &mut PgConnection,
    about: &Connection,
    source: AlertSource,
    (code, message): (&str, &str),
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into connection_alerts (connection_id, code, merchant_id, mode, message, source)
         values ($1, $2, $3, $4, $5, $6) on conflict (connection_id, code) do nothing",
        about.id.uuid(),
        code,
        about.merchant.uuid(),
        about.mode.as_ref(),
        message,
        source.name(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets what the job did not find any more: `still` is what it found.
pub async fn keep_only(
    db: &mut PgConnection,
    connection: ConnectionId,
    source: AlertSource,
    still: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from connection_alerts where connection_id = $1 and source = $2 and not (code = any($3))",
        connection.uuid(),
        source.name(),
        still,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets one finding: it is over.
pub async fn end(
    db: &mut PgConnection,
    connection: ConnectionId,
    code: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from connection_alerts where connection_id = $1 and code = $2",
        connection.uuid(),
        code,
    )
    .execute(db)
    .await?;
    Ok(())
}
