//! Every retry schedule, backoff, lease and timeout of the product: each with its unit, its limit and its reason. `Timing` has those that
//! tests shorten; the constants are grouped by the noun that uses them.
//!
//! A pause that many rows share is jittered: it grows by a random share, or by one derived from the row's id, so that rows which failed
//! together are not retried together. A schedule without a limit goes on because the row stays due, and its age is an alarm.
//!
//! The crates below this one have schedules of their own: deliveries, the circuit breaker and jitter in `schemas` (`retry.rs`,
//! `breaker/settings.rs`); connections, migrations and partitions in `store`; HTTP timeouts and quotas in `gateways`.

use std::time::Duration;

use schemas::retry::{Backoff, DeliverySchedule};

/// Times and limits; tests shorten them.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Timeout of a call to a gateway while another route remains.
    pub call: Duration,
    /// Timeout of a call to the last remaining gateway.
    pub last_call: Duration,
    /// Time that a local activity waits for its attempt: less than 80 % of its workflow task's timeout, after which the task needs a
    /// heartbeat. Measured on Temporal's dev server: a charge costs it 22 ms of CPU, one whose call takes 8 s costs 35 ms with heartbeats
    /// and 38 ms if the attempt is detached; but each heartbeat repeats every 2.4 s (4.4 ms), and a charge that waits in its task holds a
    /// slot that charges of healthy gateways need.
    pub activity: Duration,
    /// Pause until the workflow returns to a detached attempt. It limits the time that a charge makes no progress after its process died.
    pub activity_returns: Duration,
    /// Time to look up a charge after an unknown outcome, within the same attempt.
    pub resolve: Duration,
    /// Backoff between rounds of gateways that all definitely failed.
    pub rounds: Backoff,
    /// Time that a charge's caller waits for the outcome.
    pub answer_within: Duration,
    /// Pauses before the checks of an expired or canceled charge for late payments.
    pub late_checks: Vec<Duration>,
    /// Pauses between the searches for an abandoned attempt; the last one repeats.
    pub orphan_searches: Vec<Duration>,
    /// Time after its deadline during which an abandoned attempt is not found before the merchant is alerted.
    pub absent_after: Duration,
    /// Time during which the gateway does not answer the searches for an abandoned attempt before the merchant is alerted.
    pub review_after: Duration,
    pub delivery: DeliverySchedule,
    /// Timeout of a POST to a merchant's server.
    pub delivery_call: Duration,
    pub pause: PauseTiming,
    /// Time that a boleto waits for an earlier attempt of unknown outcome before the next gateway is tried.
    pub hold_boleto: Duration,
    /// Backoff between checks of a refund that has not ended.
    pub refund_again: Backoff,
    /// Time that the outcome of a refund may be unknown before it needs manual review.
    pub refund_review_after: Duration,
    /// Interval at which a connection's lists at its gateway are read.
    pub poll_every: Duration,
    /// Percentage applied to the time per list request (`Feed::pace`): 100 stays within the gateways' quotas.
    pub poll_pace: u32,
    /// Interval at which the registration and settings of a connection at its gateway are checked.
    pub check_every: Duration,
    /// Time that a row must be overdue before the sweep wakes its workflow.
    pub sweep_grace: Duration,
}

/// Limits for pausing an endpoint and the interval of its probes.
#[derive(Clone, Copy, Debug)]
pub struct PauseTiming {
    pub failures: i32,
    pub over: Duration,
    pub probe_every: Duration,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Default for Timing {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            call: s(8),
            last_call: s(20),
            activity: s(2),
            activity_returns: s(10),
            resolve: s(3),
            rounds: Backoff {
                initial_ms: 500,
                factor: 2,
                max_ms: 30_000,
            },
            answer_within: s(15),
            late_checks: vec![s(2 * MINUTE), s(HOUR), s(DAY)],
            orphan_searches: vec![
                s(5),
                s(30),
                s(2 * MINUTE),
                s(10 * MINUTE),
                s(HOUR),
                s(4 * HOUR),
            ],
            absent_after: s(DAY),
            review_after: s(3 * DAY),
            delivery: DeliverySchedule::default(),
            delivery_call: s(15),
            pause: PauseTiming {
                failures: 20,
                over: s(5 * MINUTE),
                probe_every: s(10 * MINUTE),
            },
            hold_boleto: s(MINUTE),
            refund_again: Backoff {
                initial_ms: 2_000,
                factor: 2,
                max_ms: 3_600_000,
            },
            refund_review_after: s(DAY),
            poll_every: s(5 * MINUTE),
            poll_pace: 100,
            check_every: s(HOUR),
            sweep_grace: s(MINUTE),
        }
    }
}

/// An attempt of a charge at one gateway (`charge/attempt.rs`). A call is made once: within `Timing::call`, or `Timing::last_call` if no other
/// route remains, because a payer waits and another route is better than a slow one. Most charges whose answer was lost are found at once. A
/// full share of the calls in flight closes no attempt and does not count for the breaker. The attempt of a worker that died is taken over
/// once its lease has expired; where creating is not idempotent, also after its deadline and the gateway's visibility lag.
pub(crate) mod attempt {
    use std::time::Duration;

    /// Maximum number of calls and waits for a slot within one step.
    pub(crate) const ROUNDS: u32 = 20;
    /// Time after which a step opens no further attempt for itself: its activity must end in time.
    pub(crate) const STEP_TIME: Duration = Duration::from_secs(15);
    /// Interval at which a worker renews its lease while its call runs.
    pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(2);
    /// Time that a charge queues for a slot before its workflow waits instead.
    pub(crate) const QUEUE_FOR: Duration = Duration::from_secs(5);
    /// Number of times that a charge queues within one step: each time the plan may name another gateway.
    pub(crate) const QUEUE_ROUNDS: u32 = 2;
    /// Pause of the workflow before the charge queues again.
    pub(crate) const QUEUE_AGAIN: Duration = Duration::from_secs(1);
    /// Pause between sends of the same key while the gateway reports that its first use is in progress.
    pub(crate) const KEY_AGAIN: Duration = Duration::from_secs(1);
    /// Maximum number of sends of the same key; the first call's deadline ends them, too.
    pub(crate) const KEY_SENDS: u32 = 30;
    /// Time between the end of a call and its attempt's deadline, to write the outcome.
    pub(crate) const SLACK: Duration = Duration::from_secs(2);
    /// Lifetime of a lease without renewal: three missed renewals.
    pub(crate) const LEASE: Duration = Duration::from_secs(6);
    /// Number of searches after an unknown outcome, with pauses of a tenth of `Timing::resolve`, tripled each time.
    pub(crate) const SEARCHES: u32 = 3;
}

/// The route of a charge and its next gateway (`charge/plan.rs`, `charge/rounds.rs`). The next route follows an unknown outcome at once; a
/// boleto first waits for `Timing::hold_boleto`, because the payer's bank may show the abandoned one. After every gateway definitely failed,
/// a new round begins after `Timing::rounds`. A charge does not fail because another charge leased the probe of a half-open breaker.
pub(crate) mod plan {
    use std::time::Duration;

    /// Pause before a charge plans again if only an orphan is unresolved.
    pub(crate) const RESOLVING: Duration = Duration::from_mins(1);
    /// Number of times a charge plans again within one transaction after other charges claimed the probes.
    pub(crate) const PLANS: u32 = 3;
    /// Time that a charge without another route waits for the result of another charge's probe.
    pub(crate) const PROBE_WITHIN: Duration = Duration::from_secs(2);
    /// Interval between checks of that probe.
    pub(crate) const PROBE_AGAIN: Duration = Duration::from_secs(1);
    /// Interval between two attempts of last resort at one connection.
    pub(crate) const LAST_RESORT_SPACING: Duration = Duration::from_millis(50);
    /// Maximum number of attempts of one charge, retries included.
    pub(crate) const MAX_ATTEMPTS: usize = 20;
}

/// Syncs of a charge, its end, and checks for late money (`charge/sync.rs`, `charge/cancel.rs`, `charge/schedule.rs`).
/// A hint must not block a charge. A cancel has no limit: the status is written only once the charge can no longer be paid. Checks after the
/// end follow `Timing::late_checks`, because a payment may have been in progress.
pub(crate) mod sync {
    use std::time::Duration;

    use schemas::retry::Backoff;

    /// Backoff between syncs while a gateway does not answer or does not confirm.
    pub(crate) const READ_AGAIN: Backoff = Backoff {
        initial_ms: 2_000,
        factor: 2,
        max_ms: 300_000,
    };
    /// Number of checks of a hint that the gateway does not confirm: about half an hour with the pauses of [`READ_AGAIN`].
    pub(crate) const HINT_CHECKS: i32 = 12;
    /// Number of checks of a hint at a gateway that does not answer: about a day.
    pub(crate) const UNANSWERED_CHECKS: i32 = 300;
    /// Pause between reads of an ended charge at a gateway that does not answer.
    pub(crate) const LATE_AGAIN: Duration = Duration::from_mins(5);
    /// Time after the end of a charge during which these reads go on.
    pub(crate) const LATE_FOR: Duration = Duration::from_hours(7 * 24);
    /// Pause before a charge syncs while another worker makes its attempt.
    pub(crate) const WAITING: Duration = Duration::from_mins(1);
    /// Time after which no further gateway is read within one sync: the activity must end in time.
    pub(crate) const READ_WITHIN: Duration = Duration::from_secs(20);
    /// Backoff between tries to cancel a charge at a gateway that does not answer.
    pub(crate) const END_AGAIN: Backoff = Backoff {
        initial_ms: 1_000,
        factor: 2,
        max_ms: 300_000,
    };
    /// Business days within which a boleto's payment on its last day must have been reported.
    pub(crate) const BOLETO_CONFIRMED_WITHIN: u16 = 4;
    /// Time over which charges that end at midnight are spread: they are as many as a day's boletos.
    pub(crate) const MIDNIGHT_SPREAD: Duration = Duration::from_mins(10);
}

/// A charge without its workflow, while Temporal is away (`charge/degraded.rs`). Limit: `Timing::answer_within`, then the sweep.
pub(crate) mod direct {
    /// Minimum pause between steps, in milliseconds.
    pub(crate) const BETWEEN_STEPS_MS: u64 = 10;
}

/// A charge whose call outlives its activity (`charge/detached.rs`). The wait uses no workflow task.
pub(crate) mod detached {
    use std::time::Duration;

    /// Longest pause before the next attempt that the process waits for itself; a longer one is left to the workflow.
    pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(5);
    /// Minimum pause between attempts.
    pub(crate) const MIN_PAUSE: Duration = Duration::from_millis(10);
    /// Maximum number of consecutive attempts without the workflow.
    pub(crate) const MAX_ATTEMPTS: u32 = 20;
}

/// An abandoned attempt (`orphan.rs`). Pauses: `Timing::orphan_searches`, jittered; the last one
/// repeats. It may exist and be payable, so it is searched for until the merchant was alerted (`Timing::absent_after`, or
/// `Timing::review_after` without an answer), then rarely.
pub(crate) mod orphan {
    use std::time::Duration;

    /// Maximum time of one step: a search, occupying the reference, a second search, and two cancellations.
    pub(crate) const LEASE: Duration = Duration::from_mins(1);
    /// Time that a step waits for a slot among the calls in flight.
    pub(crate) const QUEUE_FOR: Duration = Duration::from_secs(5);
    /// Pause of the workflow before it queues again.
    pub(crate) const QUEUE_AGAIN: Duration = Duration::from_secs(5);
    /// Timeout of creating under the reference again, which occupies it.
    pub(crate) const OCCUPY_WITHIN: Duration = Duration::from_secs(8);
    /// Interval of the searches for an orphan after the merchant was alerted.
    pub(crate) const SLOW: Duration = Duration::from_hours(24);
    /// Time after the attempt's deadline at which these searches end.
    pub(crate) const KEEP: Duration = Duration::from_hours(180 * 24);
}

/// A refund (`refund.rs`). Pauses: `Timing::refund_again`. An unknown outcome needs review after `Timing::refund_review_after`.
pub(crate) mod refund {
    use std::time::Duration;

    /// Timeout of a call to the gateway.
    pub(crate) const CALL: Duration = Duration::from_secs(15);
    /// Time that a refund waits for a slot among the calls in flight.
    pub(crate) const QUEUE_FOR: Duration = Duration::from_secs(5);
    /// Time that a refund made in the gateway's panel may be pending there before it needs manual review.
    pub(crate) const SYNC_FOR: Duration = Duration::from_hours(30 * 24);
    /// Time until the deadline beyond the call: for the read before it and for writing its outcome.
    pub(crate) const SLACK: Duration = Duration::from_secs(15);
    /// Delay until the first check of a refund that the gateway reported as pending.
    pub(crate) const SYNC_AFTER: Duration = Duration::from_mins(1);
}

/// A delivery (`delivery.rs`). Pauses: `Timing::delivery`. A delivery without a slot gets a turn, so that nothing polls and old
/// deliveries do not starve.
pub(crate) mod delivery {
    use std::time::Duration;

    /// Answer time above which the next deliveries to the endpoint start as regular activities.
    pub(crate) const SLOW: Duration = Duration::from_secs(2);
    /// Time for which an endpoint counts as slow.
    pub(crate) const SLOW_FOR: Duration = Duration::from_mins(5);
    /// Time ahead for which turns are given; deliveries beyond it are parked and need no timer.
    pub(crate) const TURNS_AHEAD: Duration = Duration::from_mins(1);
    /// Tolerance for timers that fire too early.
    pub(crate) const EARLY: Duration = Duration::from_millis(250);
    /// Minimum pause of a delivery that was woken before its time.
    pub(crate) const SLEEP_AGAIN: Duration = Duration::from_secs(1);
    /// Minimum interval between two alerts about failed deliveries to an endpoint.
    pub(crate) const ALERT_EVERY: Duration = Duration::from_hours(24);
    /// Maximum time for the rest of an answer once its status is known.
    pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
    /// Time by which an endpoint may run ahead of its rate.
    pub(crate) const BURST: Duration = Duration::from_secs(1);
}

/// An endpoint that is drained or deleted (`delivery/endpoint.rs`). Probes: `Timing::pause`.
pub(crate) mod endpoint {
    use std::time::Duration;

    /// Time ahead for which a drain gives turns; it runs again when half of it is over.
    pub(crate) const DRAIN_AHEAD: Duration = Duration::from_secs(10);
    /// Minimum interval between two checks of an endpoint.
    pub(crate) const CHECK_AGAIN: Duration = Duration::from_secs(1);
    /// Delay of the first check after a drain: transactions that read the endpoint's former state may still park a delivery.
    pub(crate) const FINISH_SOON: Duration = Duration::from_secs(5);
    /// Delay of the last check after a drain: longer than any transaction.
    pub(crate) const FINISH_AFTER: Duration = Duration::from_mins(1);
}

/// Tokens of notifications (`notifications.rs`). A caller that knows the address must not be able to flood the gateway.
pub(crate) mod notification {
    use std::time::Duration;

    /// Pauses between tries to resolve a notification token, in seconds; afterwards it needs manual review. The gateway repeats the token
    /// meanwhile.
    pub(crate) const TOKEN_AGAIN_S: [u64; 6] = [2, 10, 60, 600, 3_600, 86_400];
    /// Lease of a claimed token: longer than all tokens of a claim take. It is fetched again afterwards.
    pub(crate) const TOKEN_LEASE: Duration = Duration::from_mins(3);
    /// Time after which a round claims no further tokens.
    pub(crate) const TOKENS_ROUND: Duration = Duration::from_mins(1);
}

/// Overdue rows (`sweep.rs`) and unmatched notifications. First pause: `Timing::sweep_grace`.
pub(crate) mod sweep {
    use std::time::Duration;

    /// Time after which a sweep starts no further page: the next sweep, which starts within a minute, processes the rest.
    pub(crate) const BEGIN_WITHIN: Duration = Duration::from_mins(3);
    /// Number of times that a row's workflow is started or woken before the sweep processes the row itself.
    pub(crate) const WAKE_TIMES: i32 = 2;
    /// Time limit for processing one row.
    pub(crate) const ROW_WITHIN: Duration = Duration::from_secs(30);
    /// Maximum pause of a row that does not move, before jitter; the first pause is the sweep's grace, then it doubles.
    pub(crate) const LONGEST_PAUSE: Duration = Duration::from_hours(1);
    /// Pause of a row whose workflow could not be started because Temporal did not answer.
    pub(crate) const AWAY_PAUSE: Duration = Duration::from_secs(10);
    /// Age after its end at which a mark is deleted: its row has moved.
    pub(crate) const FORGET_AFTER: Duration = Duration::from_hours(3);
    /// Pauses between tries to match a notification whose reference has our format and no row; afterwards it needs manual review.
    pub(crate) const UNMATCHED_AGAIN: [Duration; 4] = [
        Duration::from_mins(1),
        Duration::from_mins(10),
        Duration::from_hours(1),
        Duration::from_hours(24),
    ];
}

/// The gateways' lists (`polling.rs`). Interval: `Timing::poll_every`, or as a gateway's quota allows. They recover lost notifications. A
/// list that fails is read again after the interval, which doubles, and delays no other.
pub(crate) mod polling {
    use std::time::Duration;

    /// Time after which a round claims no further list.
    pub(crate) const ROUND: Duration = Duration::from_mins(4);
    /// Maximum time that a list is read in one turn.
    pub(crate) const TURN: Duration = Duration::from_mins(1);
    /// Lease of a claimed list: longer than a turn with its last call. It is read again afterwards.
    pub(crate) const LEASE: Duration = Duration::from_mins(3);
    /// Time before the watermark at which a read starts: gateways list some entries late, and clocks differ.
    pub(crate) const OVERLAP: Duration = Duration::from_mins(10);
    /// Maximum pause of a list that fails while its gateway is unavailable.
    pub(crate) const AWAY: Duration = Duration::from_mins(30);
    /// Maximum pause of a list that fails while the gateway refuses the credentials.
    pub(crate) const REFUSED: Duration = Duration::from_hours(6);
    /// Age of a list's watermark at which the merchant is alerted.
    pub(crate) const BEHIND: Duration = Duration::from_hours(2);
    /// Number of consecutive claims of a list that may fail.
    pub(crate) const CLAIM_TRIES: usize = 5;
    /// Pause before a claim that failed is tried again.
    pub(crate) const CLAIM_AGAIN: Duration = Duration::from_secs(1);
    /// Time limit for waking the charges of a page: the sweep wakes the others.
    pub(crate) const WAKE_WITHIN: Duration = Duration::from_secs(10);
    /// Maximum jitter added to a pause, in tenths of it.
    pub(crate) const SPREAD: u32 = 2;
}

/// Our registration at the gateways (`registration.rs`). Interval: `Timing::check_every`. Addresses get replaced, queues get
/// interrupted, certificates expire.
pub(crate) mod registration {
    use std::time::Duration;

    /// Time that a former secret stays valid: Asaas and Stripe repeat notifications signed with it for days.
    pub(crate) const OVERLAP: Duration = Duration::from_hours(14 * 24);
    /// Time within which unproved notifications are counted.
    pub(crate) const UNPROVED_WITHIN: Duration = Duration::from_mins(10);
    /// Minimum time between two registrations that unproved notifications caused.
    pub(crate) const REGISTER_REST: Duration = Duration::from_hours(1);
    /// Pause between tries to register an address again.
    pub(crate) const REGISTER_AGAIN: Duration = Duration::from_mins(10);
    /// Time after which a round of checks claims no further connection.
    pub(crate) const ROUND: Duration = Duration::from_mins(4);
    /// Divisor of the interval that gives the maximum random time by which the next check is brought forward.
    pub(crate) const SPREAD: u32 = 10;
}

/// A rotated notification address (`operations/address.rs`). Limit: none, until the gateway has accepted it.
pub(crate) mod address {
    use chrono::TimeDelta;

    use schemas::retry::Backoff;

    /// Time that a former secret stays valid once the gateway has the new address: notifications in flight and repeated ones still arrive.
    pub(crate) const OVERLAP: TimeDelta = TimeDelta::days(14);
    /// Backoff between tries to register the new address.
    pub(crate) const REGISTER_AGAIN: Backoff = Backoff {
        initial_ms: 60_000,
        factor: 2,
        max_ms: 3_600_000,
    };
}

/// Limits of manual operations (`operations/*.rs`).
pub(crate) mod operations {
    use std::time::Duration;

    use chrono::TimeDelta;

    /// Time that a merchant must be suspended before it is closed: requests that saw it active have ended by then.
    pub(crate) const REQUESTS_END_WITHIN: TimeDelta = TimeDelta::minutes(1);
    /// Maximum duration of a hold.
    pub(crate) const MAX_HOLD: TimeDelta = TimeDelta::days(30);
    /// Maximum time that a rolled key stays valid.
    pub(crate) const MAX_OVERLAP: TimeDelta = TimeDelta::days(30);
    /// Retention of a raw notification that matched nothing.
    pub(crate) const KEPT_FOR: Duration = Duration::from_hours(24 * 90);
}

/// The relay to Kafka (`relay.rs`). Limit: none.
pub(crate) mod relay {
    use std::time::Duration;

    /// Pause after an empty outbox.
    pub(crate) const IDLE: Duration = Duration::from_millis(200);
    /// Pause between tries while Kafka or the database is unavailable, and between tries to become the only relay.
    pub(crate) const AWAY: Duration = Duration::from_secs(2);
    /// Time that Kafka may take to acknowledge a message before the batch is retried, in milliseconds.
    pub(crate) const ACK_TIMEOUT_MS: &str = "10000";
    /// Timeout of a request about topics.
    pub(crate) const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);
}

/// Steps of a workflow that change nothing (`step.rs`): a workflow must not loop without progress.
pub(crate) mod pace {
    /// Number of consecutive steps that may change nothing without a wait.
    pub(crate) const FREE_STEPS: u32 = 2;
    /// First wait after them, in milliseconds; it doubles.
    pub(crate) const FIRST_WAIT_MS: u64 = 1_000;
    /// Number of times that the wait doubles.
    pub(crate) const DOUBLINGS: u32 = 6;
}

/// Long activities (`heartbeat.rs`).
pub(crate) mod heartbeat {
    use std::time::Duration;

    /// Heartbeat interval of scheduled activities: one that was lost with its worker, or whose end Temporal did not receive, is retried soon.
    pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
}

/// Activities and workers, as Temporal runs them (crate `workflows`). Declines and outages are results, so a failed activity is one of our own
/// infrastructure; it is retried without limit.
pub mod workflow {
    use std::time::Duration;

    /// First pause before a failed activity is retried. It doubles, without a limit of tries.
    pub const FAILED_FIRST: Duration = Duration::from_millis(200);
    /// Factor by which that pause grows.
    pub const FAILED_FACTOR: f64 = 2.0;
    /// Maximum pause before a failed activity is retried.
    pub const FAILED_MAX: Duration = Duration::from_secs(30);
    /// Shortest pause that a local activity waits in a durable timer instead of its workflow task.
    pub const FAILED_TIMER_FROM: Duration = Duration::from_secs(1);
    /// Maximum time of a local activity. Longer than any attempt: the last gateway's call, the search for its outcome, and the write.
    pub const LOCAL_TIMEOUT: Duration = Duration::from_secs(40);
    /// Maximum time between heartbeats of a scheduled activity. One without a heartbeat was lost with its worker and is retried.
    pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
    /// Maximum time of an activity. Longer than one round of calls to a gateway.
    pub const ORPHAN_TIMEOUT: Duration = Duration::from_mins(1);
    /// Maximum time of an activity. Longer than a read of the gateway, the call, and the write.
    pub const REFUND_TIMEOUT: Duration = Duration::from_mins(1);
    /// Maximum time of an activity. Longer than the maximum response time of a merchant's server and the write.
    pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
    /// Maximum time of one round of reading lists or checking connections.
    pub const ROUND_TIMEOUT: Duration = Duration::from_mins(10);
    /// Maximum time of one sweep: the time within which it begins new pages, and the longest page.
    pub const SWEEP_TIMEOUT: Duration = Duration::from_mins(6);
    /// Maximum time of creating partitions: it may have to read the rows of a default partition.
    pub const PARTITIONS_TIMEOUT: Duration = Duration::from_mins(10);
    /// Timeout of workflow tasks. It bounds the recovery after a worker died during a local activity.
    pub const TASK_TIMEOUT: Duration = Duration::from_secs(3);
    /// Retention of closed workflows: 7 days.
    pub const RETENTION: Duration = Duration::from_hours(168);
    /// Maximum time of a scheduled run. A run whose worker or code is broken must not prevent the next ones.
    pub const EXECUTION_TIMEOUT: Duration = Duration::from_mins(20);
    /// Timeout of a call.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Interval of creating partitions ahead of time.
    pub const PARTITIONS_EVERY: Duration = Duration::from_hours(1);
    /// Maximum number of checks for a new namespace, which takes some time to be known to all of Temporal's services.
    pub const NAMESPACE_TRIES: u32 = 60;
    /// Pause between two checks for a new namespace.
    pub const NAMESPACE_AGAIN: Duration = Duration::from_millis(500);
    /// Maximum time for running activities to finish when the process stops.
    pub const GRACE: Duration = Duration::from_secs(20);
    /// Pause between a worker's failure and its restart.
    pub const RESTART_AFTER: Duration = Duration::from_secs(1);
}

/// Starts and wakes of workflows (crate `workflows`). A row is committed before its workflow is started, so the sweep does what is left.
pub mod client {
    use std::time::Duration;

    /// Timeout of a start that a caller waits for. The row is committed, and the sweep starts the workflow later.
    pub const START_TIMEOUT: Duration = Duration::from_millis(1_500);
    /// Timeout of a start that no caller waits for.
    pub const PATIENT_START_TIMEOUT: Duration = Duration::from_secs(5);
    /// Timeout of a wake.
    pub const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
    /// Time for which Temporal counts as down after a failure, so that not every charge waits for a timeout.
    pub const AWAY_FOR: Duration = Duration::from_secs(2);
    /// Pause between tries to connect.
    pub const RECONNECT_AFTER: Duration = Duration::from_millis(500);
    /// Timeout of a connection.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Maximum age of a delivery's start. The sweep starts deliveries that are as old.
    pub const DELIVERY_START_MAX_AGE: Duration = Duration::from_mins(1);
    /// Pauses before a delivery's start is retried. A delivery that does not start after the last one is left to the sweep.
    pub const DELIVERY_START_RETRIES: [Duration; 4] = [
        Duration::from_secs(1),
        Duration::from_secs(2),
        Duration::from_secs(4),
        Duration::from_secs(8),
    ];
    /// Time after the start of a charge's workflow. If this process has not begun to present the charge by then, another process does.
    pub const ELSEWHERE_AFTER: Duration = Duration::from_millis(250);
}

#[cfg(test)]
mod tests;
