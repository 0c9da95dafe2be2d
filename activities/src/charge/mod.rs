//! What a charge's workflow does: try gateways until one presents an instrument, then look after it until it is paid, canceled
//! or expired, and a while longer.

mod apply;
mod attempt;
mod begin;
mod choose;
mod direct;
mod end;
mod look;
pub(crate) mod money;
mod preview;
mod resolve;
mod settle;

use std::sync::Arc;

use gateways::{ChargeOrder, Gateway};
use store::{PgConnection, StoreError, attempts};

use crate::Activities;

pub(crate) use apply::{Applied, apply};
pub use preview::Preview;

impl Activities {
    /// The gateway of an attempt and the order it was given.
    pub(crate) async fn reopen(
        &self,
        db: &mut PgConnection,
        attempt: &attempts::Row,
    ) -> Result<(Arc<dyn Gateway>, ChargeOrder), StoreError> {
        let gateway = self.accounts.open(db, attempt.connection).await?;
        let key = self.store.merchant_key(db, attempt.merchant.uuid()).await?;
        let place = attempts::order_place(attempt.merchant.uuid(), attempt.id.uuid());
        let plain = key.open(&place, &attempt.order_sealed)?;
        let order = serde_json::from_slice(&plain)
            .map_err(|why| StoreError::corrupt("attempts.order_sealed", why))?;
        Ok((gateway, order))
    }
}
