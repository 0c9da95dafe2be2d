//! What a look after a connection found, so that it is told once.

use schemas::id::ConnectionId;
use sqlx::PgConnection;

use crate::{StoreError, connections::Connection};

/// Notes a finding; whether it is new.
pub async fn note(
    db: &mut PgConnection,
    about: &Connection,
    code: &str,
    message: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into connection_findings (connection_id, code, merchant_id, mode, message)
         values ($1, $2, $3, $4, $5) on conflict (connection_id, code) do nothing",
        about.id.uuid(),
        code,
        about.merchant.uuid(),
        about.mode.as_ref(),
        message,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets what was not found any more: `still` is found yet.
pub async fn keep_only(
    db: &mut PgConnection,
    connection: ConnectionId,
    still: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from connection_findings where connection_id = $1 and not (code = any($2))",
        connection.uuid(),
        still,
    )
    .execute(db)
    .await?;
    Ok(())
}
