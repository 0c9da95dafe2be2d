//! Workflow that resolves an abandoned attempt.

use std::time::Duration;

use activities::{OrphanActivities, Served};
use schemas::id::AttemptId;

use crate::{poll_loop::wakeable_workflow, queues::Queue};

/// Maximum time of an activity. Longer than one round of calls to a gateway.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(1);

wakeable_workflow!(
    /// Resolves an attempt, retrying at growing intervals. Its id is the attempt's id.
    OrphanWorkflow(AttemptId),
    "orphan",
    Served<AttemptId>,
    Queue::Maintenance,
    repeats OrphanActivities::resolve, within ACTIVITY_TIMEOUT
);
