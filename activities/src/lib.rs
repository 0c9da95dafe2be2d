#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use schemas::id::{ChargeId, MerchantId};
use store::Store;

pub mod accepted;
pub mod alerts;
pub mod bulkhead;
pub mod charge;
pub mod clients;
pub mod connection;
pub mod delivery;
pub mod fair;
mod heartbeat;
pub mod notifications;
pub mod operations;
pub mod orphan;
pub mod partitions;
pub mod polling;
pub mod refund;
pub mod registration;
pub mod relay;
pub mod retry;
pub mod starter;
pub mod step;
pub mod sweep;
#[cfg(test)]
mod testing;

use accepted::Accepted;
use bulkhead::Bulkhead;
pub use charge::ChargeActivities;
use clients::GatewayClients;
pub use delivery::DeliveryActivities;
pub use orphan::OrphanActivities;
pub use partitions::PartitionActivities;
pub use polling::PollingActivities;
pub use refund::RefundActivities;
pub use registration::RegistrationActivities;
pub use retry::{PauseTiming, Timing};
pub use starter::{Away, Served, Started, Starter, Subject};
pub use step::{Pace, PollStep, Progress, Step};
pub use sweep::SweepActivities;

/// Dependencies of all activities.
pub struct Activities {
    pub store: Store,
    pub clients: GatewayClients,
    pub bulkhead: Bulkhead,
    pub accepted: Accepted,
    pub detached: charge::detached::Detached,
    pub webhook_sender: delivery::WebhookSender,
    pub starter: Arc<dyn Starter>,
    pub timing: Timing,
}

impl Activities {
    /// Makes the workflow of a row check it. The row is due: the sweep finds it if Temporal is away.
    pub async fn wake_or_leave(&self, subject: Subject) {
        if self.starter.wake_or_start(subject).await.is_err() {
            metrics::counter!("wakes_left_to_sweep_total").increment(1);
        }
    }

    /// Makes the workflow of a charge check its row.
    pub async fn wake_charge(&self, merchant: MerchantId, charge: ChargeId) {
        self.wake_or_leave(Subject::charge(merchant, charge)).await;
    }
}

/// Returns a duration in whole milliseconds.
pub(crate) fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a duration as a `TimeDelta`, for the database's times.
pub(crate) fn delta(length: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(length).unwrap_or(chrono::TimeDelta::MAX)
}

/// Returns the time from `now` until `then`; zero if `then` has passed.
pub(crate) fn until(then: schemas::Instant, now: schemas::Instant) -> Duration {
    (then - now).to_std().unwrap_or_default()
}
