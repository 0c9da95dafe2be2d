//! Workflow of a refund, until it has succeeded or failed.

use activities::retry::workflow::REFUND_TIMEOUT;
use activities::{RefundActivities, Served};
use schemas::id::RefundId;

use crate::{poll_loop::wakeable_workflow, queues::Queue};

wakeable_workflow!(
    /// Sends a refund once, then checks it at growing intervals. Its id is the refund's id.
    RefundWorkflow(RefundId),
    "refund",
    Served<RefundId>,
    Queue::Maintenance,
    repeats RefundActivities::refund, within REFUND_TIMEOUT
);
