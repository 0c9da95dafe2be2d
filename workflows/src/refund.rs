//! Workflow of a refund, until it has succeeded or failed.

use std::time::Duration;

use activities::{RefundActivities, Served};
use schemas::id::RefundId;

use crate::{poll_loop::wakeable_workflow, queues::Queue};

/// Maximum time of an activity. Longer than a read of the gateway, the call, and the write.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(1);

wakeable_workflow!(
    /// Sends a refund once, then checks it at growing intervals. Its id is the refund's id.
    RefundWorkflow(RefundId),
    "refund",
    Served<RefundId>,
    Queue::Maintenance,
    repeats RefundActivities::refund, within ACTIVITY_TIMEOUT
);
