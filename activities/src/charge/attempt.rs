//! One attempt: decide and write down, call, write down what came of it.

use gateways::{GatewayCharge, GatewayError, outside};
use schemas::{attempt::ErrorClass, id::ChargeId};
use store::StoreError;
use tokio::time::Instant;

use super::begin::{Begun, Call};
use crate::{Activities, Step, ms};

/// What came of a call.
pub(super) struct Called {
    /// The charge at the gateway, adopted after an unknown outcome too.
    pub charge: Option<GatewayCharge>,
    /// What went wrong, even if the charge was found in the end.
    pub error: Option<GatewayError>,
    pub duration_ms: i64,
    /// More than one object carries our reference.
    pub several: bool,
}

impl Activities {
    /// Tries one gateway for a charge that is still `processing`.
    pub async fn attempt_charge(&self, charge: ChargeId) -> Result<Step, StoreError> {
        match Box::pin(self.begin(charge)).await? {
            Begun::Step(step) => Ok(step),
            Begun::Call(call) => {
                let called = Box::pin(self.call(&call)).await;
                Box::pin(self.settle(&call, called)).await
            }
        }
    }

    async fn call(&self, call: &Call) -> Called {
        let started = outside::instant();
        let Some(_slot) = self.bulkhead.enter(call.family, call.merchant) else {
            return Called::failed(full(), started);
        };
        if call.search_only {
            let unknown = GatewayError::new(
                ErrorClass::Unknown,
                "runner_lost",
                "whoever began this attempt did not finish it",
            );
            return self.resolve(call, unknown, started).await;
        }
        match call.gateway.charge(&call.order, call.within).await {
            Ok(charge) => Called {
                charge: Some(charge),
                error: None,
                duration_ms: elapsed(started),
                several: false,
            },
            Err(error) if error.class == ErrorClass::Unknown => {
                self.resolve(call, error, started).await
            }
            Err(error) => Called::failed(error, started),
        }
    }
}

impl Called {
    pub(super) fn failed(error: GatewayError, started: Instant) -> Self {
        Self {
            charge: None,
            error: Some(error),
            duration_ms: elapsed(started),
            several: false,
        }
    }
}

pub(super) fn elapsed(started: Instant) -> i64 {
    i64::try_from(ms(outside::instant() - started)).unwrap_or(i64::MAX)
}

fn full() -> GatewayError {
    GatewayError::new(
        ErrorClass::NotCreated,
        store::breakers::BULKHEAD,
        "too many calls to this gateway are in flight already",
    )
}
