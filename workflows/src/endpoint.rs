//! Workflow of an endpoint that is paused, drained or deleted. It waits instead of one workflow for each of the endpoint's deliveries.

use activities::{DeliveryActivities, Served, retry::workflow::DELIVERY_TIMEOUT};
use schemas::id::EndpointId;

use crate::{poll_loop::wakeable_workflow, queues::Queue};

wakeable_workflow!(
    /// Checks an endpoint until nothing is left to do for it. Its id is the endpoint's id.
    EndpointWorkflow(EndpointId),
    "endpoint",
    Served<EndpointId>,
    Queue::Deliveries,
    repeats DeliveryActivities::check_endpoint, within DELIVERY_TIMEOUT
);
