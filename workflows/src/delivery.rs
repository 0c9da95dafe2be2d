//! Workflow of a delivery: one event for one endpoint, until it is accepted.

use activities::retry::workflow::DELIVERY_TIMEOUT;
use activities::{DeliveryActivities, Progress};
use schemas::id::DeliveryId;
use serde::{Deserialize, Serialize};
use store::deliveries::PendingDelivery;
use temporalio_sdk::{WorkflowContext, WorkflowResult};

use crate::{
    client::{FoundBy, Row},
    options::{local, regular},
    poll_loop::{poll, wait, wakeable_workflow},
    queues::Queue,
};

/// Input of a delivery's workflow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeliveryInput {
    pub delivery: DeliveryId,
    /// True if the endpoint was slow recently: the first attempt is a regular activity, which does not hold a workflow task open.
    pub slow: bool,
    /// Time before the first attempt: until the delivery's turn at the endpoint.
    #[serde(default)]
    pub after_ms: u64,
}

wakeable_workflow!(
    /// Workflow whose id is the delivery's id.
    DeliveryWorkflow(DeliveryInput),
    "delivery",
    PendingDelivery,
    Queue::Deliveries
);

impl Row for PendingDelivery {
    type Input = DeliveryInput;

    fn id(&self) -> String {
        self.delivery.to_string()
    }

    fn input(&self) -> DeliveryInput {
        DeliveryInput {
            delivery: self.delivery,
            slow: self.slow,
            after_ms: self.after_ms,
        }
    }

    fn found_by(&self) -> FoundBy {
        FoundBy {
            merchant: self.merchant,
            charge: self.charge,
            endpoint: Some(self.endpoint),
        }
    }
}

impl DeliveryWorkflow {
    /// Attempts the delivery at once or at its turn, then after durable timers. The workflow of a parked delivery ends; its endpoint starts
    /// it again.
    async fn serve(ctx: &mut WorkflowContext<Self>, input: DeliveryInput) -> WorkflowResult<()> {
        let (delivery, slow) = (input.delivery, input.slow);
        wait(ctx, input.after_ms).await;
        let again = DeliveryInput {
            delivery,
            slow: true,
            after_ms: 0,
        };
        poll(ctx, again, async |ctx, n| {
            let step = if n == 0 && !slow {
                ctx.execute_local_activity(DeliveryActivities::deliver, delivery, local())
                    .await?
            } else {
                let options = regular(DELIVERY_TIMEOUT);
                ctx.execute_activity(DeliveryActivities::deliver, delivery, options)
                    .await?
            };
            Ok(Progress::changed(step))
        })
        .await
    }
}
