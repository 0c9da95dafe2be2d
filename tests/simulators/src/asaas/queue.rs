//! Queue of events per webhook: in order, delayed after failures, interrupted after too many. `docs/gateways/asaas.md#notifications`.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Asaas, answer::local, answer::text, event::ReportedEvent, webhook::Webhook};
use crate::{
    notify::{self, Notification, NotificationPlan, Proof},
    sim::{Sim, lock},
};

/// Seconds before the next try, by number of consecutive failures.
const PENALTIES_S: [u64; 15] = [
    0, 30, 60, 210, 300, 900, 1_500, 3_600, 3_600, 3_600, 3_600, 3_600, 7_200, 7_200, 10_800,
];
/// Number of consecutive failures after which the queue is interrupted.
const MAX_FAILURES: usize = 15;
/// Time after which an undelivered event is lost.
const KEPT: TimeDelta = TimeDelta::days(14);
/// Interval between checks of the virtual clock.
const TICK: Duration = Duration::from_millis(50);

/// Event in a queue.
pub(super) struct Waiting {
    /// Number of the notification.
    n: usize,
    since: DateTime<Utc>,
    next_at: DateTime<Utc>,
    tries: usize,
    sending: bool,
    /// Signal that releases a held-back event: another event was sent, or all faults were cleared.
    turn: Option<oneshot::Receiver<()>>,
}

impl Waiting {
    fn is_held(&mut self) -> bool {
        let turn = self.turn.as_mut();
        turn.is_some_and(|turn| matches!(turn.try_recv(), Err(TryRecvError::Empty)))
    }
}

impl Webhook {
    /// Resets the failures, so that the next try is due now.
    pub(super) fn forgive(&mut self, now: DateTime<Utc>) {
        self.failures = 0;
        for waiting in &mut self.queue {
            waiting.tries = 0;
            waiting.next_at = now;
        }
    }

    fn wants(&self, event: &str) -> bool {
        let events = self.sent.get("events").and_then(Value::as_array);
        self.is("enabled") && events.is_some_and(|events| events.iter().any(|one| one == event))
    }

    /// Takes the events that are due now.
    fn due(&mut self, now: DateTime<Utc>) -> Vec<usize> {
        self.queue
            .retain(|waiting| waiting.sending || now - waiting.since < KEPT);
        if !self.is("enabled") || self.is("interrupted") {
            return Vec::new();
        }
        let at_once = if self.is_sequential() {
            1
        } else {
            self.queue.len()
        };
        let free = self.queue.iter_mut().filter_map(|waiting| {
            let held = waiting.is_held();
            (!held).then_some(waiting)
        });
        let eligible = free.take(at_once);
        let due = eligible.filter(|waiting| !waiting.sending && waiting.next_at <= now);
        due.map(|waiting| {
            waiting.sending = true;
            waiting.n
        })
        .collect()
    }

    /// Records the result of a try.
    fn tried(&mut self, n: usize, accepted: bool, (now, penalties): (DateTime<Utc>, &Penalties)) {
        let Some(at) = self.queue.iter().position(|waiting| waiting.n == n) else {
            return;
        };
        if accepted {
            self.failures = 0;
            self.queue.remove(at);
            return;
        }
        self.failures += 1;
        let waiting = &mut self.queue[at];
        waiting.sending = false;
        if let Some(wait) = penalties.after(waiting.tries) {
            waiting.next_at = now + wait;
            waiting.tries += 1;
        } else {
            self.queue.remove(at);
        }
        if self.failures >= MAX_FAILURES {
            self.sent.insert("interrupted".to_owned(), true.into());
        }
    }
}

/// Asaas's own delays, or those of a test. After the last delay of a test, the event is dropped.
struct Penalties(Option<Vec<u64>>);

impl Penalties {
    fn after(&self, tries: usize) -> Option<TimeDelta> {
        let seconds = match &self.0 {
            Some(wanted) => wanted.get(tries),
            None => PENALTIES_S.get(tries).or(PENALTIES_S.last()),
        };
        let seconds = i64::try_from(*seconds?).ok()?;
        Some(TimeDelta::seconds(seconds))
    }
}

fn take_one(left: &mut u64) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// Returns a simulator that renders notifications without sending them: it is stopped before it begins.
pub(super) fn scribe() -> Arc<Sim> {
    let stop = CancellationToken::new();
    stop.cancel();
    Arc::new(Sim::new("asaas", 0, TaskTracker::new(), stop))
}

impl Asaas {
    /// Queues the events at every webhook of the account that subscribes to them.
    pub(super) fn notify(&self, happened: Vec<ReportedEvent>) {
        if !self.sim.settings().notify {
            return;
        }
        for reported in happened {
            self.queue(&reported);
        }
        self.wake.notify_one();
    }

    fn queue(&self, reported: &ReportedEvent) {
        let (now, delay_ms) = (self.sim.now(), self.sim.settings().notification_delay_ms);
        let delay = TimeDelta::milliseconds(i64::try_from(delay_ms).unwrap_or_default());
        let mut state = lock(&self.state);
        let mut body = json!({
            "id": format!("evt_{}&{}", super::hex(&self.sim), state.number()), "event": reported.event, "dateCreated": local(now),
            "account": { "id": reported.account, "ownerId": null },
        });
        body[reported.about] = reported.json.clone();
        let body = body.to_string();
        for webhook in state.webhooks.values_mut() {
            if webhook.account != reported.account || !webhook.wants(&reported.event) {
                continue;
            }
            let mut all = lock(&self.sim.notifications);
            let Some(mut notification) = self.written(webhook, &reported.event, &body) else {
                continue;
            };
            let n = all.len();
            notification.n = n;
            notification.lost = self.is_lost();
            let lost = notification.lost;
            all.push(notification);
            if lost {
                continue;
            }
            if self.sim.is_in_process() {
                lock(&self.sim.left).push(n);
                continue;
            }
            webhook.queue.push_back(Waiting {
                n,
                since: now,
                next_at: now + delay,
                tries: 0,
                sending: false,
                turn: self.turn(),
            });
        }
    }

    fn is_lost(&self) -> bool {
        let probability = self.sim.settings().notification_loss;
        self.sim
            .adjust(|settings| take_one(&mut settings.notification_lose_next))
            || (probability > 0.0 && self.sim.faults.chance(probability))
    }

    /// Returns the signal that the next event waits for, if it is to be held back.
    fn turn(&self) -> Option<oneshot::Receiver<()>> {
        let mut held = lock(&self.sim.held);
        let wanted = held.is_none()
            && self
                .sim
                .adjust(|settings| take_one(&mut settings.notification_hold_next));
        wanted.then(|| {
            let (let_go, turn) = oneshot::channel();
            *held = Some(let_go);
            turn
        })
    }

    /// Renders a notification to the webhook's address with its token.
    fn written(&self, webhook: &Webhook, event: &str, body: &str) -> Option<Notification> {
        let proof = text(&webhook.sent, "authToken");
        let plan = NotificationPlan {
            url: text(&webhook.sent, "url").unwrap_or_default(),
            event: event.to_owned(),
            body: body.to_owned(),
            proof: proof.map_or(Proof::None, |token| {
                Proof::Header("asaas-access-token", token)
            }),
            schedule_s: &[],
            exactly_200: true,
            order: None,
        };
        notify::notify(&self.scribe, plan);
        lock(&self.scribe.notifications).pop()
    }

    /// Redirects the queued events to the webhook's new address and token.
    pub(super) fn readdress(&self, webhook: &Webhook) {
        let mut all = lock(&self.sim.notifications);
        for waiting in &webhook.queue {
            let Some(old) = all.get_mut(waiting.n) else {
                continue;
            };
            if let Some(mut new) = self.written(webhook, &old.event, &old.body) {
                new.n = old.n;
                new.attempts.clone_from(&old.attempts);
                *old = new;
            }
        }
    }

    /// Runs the queues by the clock until the simulators end.
    pub(super) fn live(self: Arc<Self>) {
        if self.sim.is_in_process() {
            return;
        }
        let sim = self.sim.clone();
        sim.later(0, async move {
            loop {
                self.tick();
                self.send_due();
                let _ = tokio::time::timeout(TICK, self.wake.notified()).await;
            }
        });
    }

    fn send_due(self: &Arc<Self>) {
        let now = self.sim.now();
        let mut state = lock(&self.state);
        let webhooks = state.webhooks.values_mut();
        let due: Vec<_> = webhooks
            .flat_map(|webhook| {
                let id = webhook.id.clone();
                webhook.due(now).into_iter().map(move |n| (id.clone(), n))
            })
            .collect();
        drop(state);
        for (webhook, n) in due {
            let asaas = self.clone();
            self.sim.later(0, async move {
                let mut status = None;
                for _ in 0..asaas.sim.settings().notification_copies.max(1) {
                    status = notify::send(&asaas.sim, n).await;
                }
                lock(&asaas.sim.held).take();
                asaas.tried(&webhook, n, status);
            });
        }
    }

    fn tried(&self, webhook: &str, n: usize, status: Option<u16>) {
        let any_2xx = self.behavior().any_2xx;
        let accepted =
            status.is_some_and(|status| status == 200 || (any_2xx && (200..300).contains(&status)));
        let penalties = Penalties(self.sim.settings().notification_retries_s);
        let now = self.sim.now();
        if let Some(webhook) = lock(&self.state).webhooks.get_mut(webhook) {
            webhook.tried(n, accepted, (now, &penalties));
        }
        self.wake.notify_one();
    }
}
