//! Workflow that resolves an abandoned attempt.

use activities::retry::workflow::ORPHAN_TIMEOUT;
use activities::{OrphanActivities, Served};
use schemas::id::AttemptId;

use crate::{poll_loop::wakeable_workflow, queues::Queue};

wakeable_workflow!(
    /// Resolves an attempt, retrying at growing intervals. Its id is the attempt's id.
    OrphanWorkflow(AttemptId),
    "orphan",
    Served<AttemptId>,
    Queue::Maintenance,
    repeats OrphanActivities::resolve, within ORPHAN_TIMEOUT
);
