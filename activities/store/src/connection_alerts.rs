//! Open alerts of connections. They are stored so that each is reported to the merchant once.

use schemas::id::ConnectionId;
use sqlx::PgConnection;
use strum::{AsRefStr, EnumIter};

use crate::{StoreError, connections::Connection};

/// Job that raised an alert. Each job ends its own alerts only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum AlertSource {
    /// The check of our registration at the gateway.
    Check,
    /// The processing of notifications.
    Notification,
    /// The polling of the gateway's lists.
    Polling,
}

/// Opens an alert. Returns true if it was not open before.
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
        source.as_ref(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the job's alerts that are not in `still`, the codes that it found again.
pub async fn keep_only(
    db: &mut PgConnection,
    connection: ConnectionId,
    source: AlertSource,
    still: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from connection_alerts where connection_id = $1 and source = $2 and not (code = any($3))",
        connection.uuid(),
        source.as_ref(),
        still,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends one alert.
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

#[cfg(test)]
mod tests;
