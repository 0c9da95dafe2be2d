//! Activities of a charge: try gateways until one presents an instrument, then sync until the charge is paid, canceled or expired, and for
//! a limited time after that.

mod accept;
mod apply;
mod attempt;
mod call;
mod cancel;
mod close;
mod degraded;
pub mod detached;
mod failure;
pub(crate) mod money;
mod open;
mod plan;
pub(crate) mod reversal;
mod rounds;
pub(crate) mod schedule;
mod sync;

use std::sync::Arc;

use gateways::{ChargeLookup, ChargeRequest, Gateway};
use store::{PgConnection, StoreError, attempts};

use crate::Activities;

pub use accept::{Acceptance, ChargeToAccept};
pub(crate) use apply::{Applied, apply};
pub(crate) use open::AttemptCall;

impl Activities {
    /// Returns the gateway of an attempt and the lookup that finds its charge there. The lookup needs no personal data, so that it works
    /// after the payer was erased.
    pub(crate) async fn reopen(
        &self,
        db: &mut PgConnection,
        attempt: &attempts::AttemptRow,
    ) -> Result<(Arc<dyn Gateway>, ChargeLookup), StoreError> {
        let asked = attempts::request::terms(db, attempt.id).await?;
        let version = asked.credential_version;
        let gateway = self
            .clients
            .open_version(db, attempt.connection, version)
            .await?;
        let lookup = ChargeLookup {
            reference: attempt.id.reference(),
            amount: asked.amount,
            method: asked.method,
            created_at: attempt.started_at,
            expires_at: asked.expires_at,
            gateway_id: attempt.gateway_charge_id.clone(),
        };
        Ok((gateway, lookup))
    }

    /// Returns the stored order of an attempt, to send it again unchanged. `None` if the payer was erased.
    pub(crate) async fn order_of(
        &self,
        db: &mut PgConnection,
        attempt: &attempts::AttemptRow,
    ) -> Result<Option<ChargeRequest>, StoreError> {
        let Some(plain) = attempts::request::open(db, &self.store, attempt.id).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&plain)
            .map(Some)
            .map_err(|why| StoreError::corrupt("attempts.request_sealed", why))
    }
}
