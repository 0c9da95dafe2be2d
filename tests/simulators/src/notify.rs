//! Sending of notifications: signed or with a token, retried by a schedule, in order for gateways that preserve order.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::{Mutex as OrderLock, oneshot};
use tokio_util::sync::CancellationToken;

use crate::sim::{Sim, lock};

/// Timeout of one request to a receiver.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Notification that was sent or is being sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notification {
    pub n: usize,
    pub url: String,
    pub event: String,
    pub body: String,
    pub attempts: Vec<Try>,
    /// True if the notification was lost on purpose: it was never sent.
    pub lost: bool,
    #[serde(skip)]
    proof: Proof,
    #[serde(skip)]
    content_type: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Try {
    at: DateTime<Utc>,
    status: Option<u16>,
    error: Option<String>,
}

/// Proof of origin for the receiver.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    None,
    /// `Stripe-Signature` with this secret, computed for each try.
    Stripe(String),
    /// Header with a fixed value.
    Header(&'static str, String),
}

/// Notification to send, with its retry schedule and delivery rules.
pub(crate) struct NotificationPlan {
    pub url: String,
    pub event: String,
    pub body: String,
    pub proof: Proof,
    /// Seconds between tries.
    pub schedule_s: &'static [u64],
    /// True if only status 200 counts as accepted; otherwise any from 200 to 299.
    pub exactly_200: bool,
    /// Lock that sends notifications one after another.
    pub order: Option<Arc<OrderLock<()>>>,
}

/// Notification as it is sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub url: String,
    pub event: String,
    pub body: String,
    pub headers: Vec<(String, String)>,
}

/// Sender that releases a held-back notification when it is used or dropped.
pub(crate) type Held = oneshot::Sender<()>;

/// Condition under which a notification counts as received.
enum Receipt {
    Status {
        exactly_200: bool,
    },
    /// The receiver's next call, not its response, proves the receipt.
    Else(CancellationToken),
}

/// Sends a notification in the background until it is accepted or the schedule ends.
pub(crate) fn notify(sim: &Arc<Sim>, plan: NotificationPlan) {
    let received = Receipt::Status {
        exactly_200: plan.exactly_200,
    };
    start(sim, plan, (received, "application/json"));
}

/// Sends a form repeatedly until `received` is canceled or the schedule ends. The responses are ignored.
pub(crate) fn notify_form(sim: &Arc<Sim>, plan: NotificationPlan, received: CancellationToken) {
    let form = "application/x-www-form-urlencoded";
    start(sim, plan, (Receipt::Else(received), form));
}

fn start(
    sim: &Arc<Sim>,
    plan: NotificationPlan,
    (received, content_type): (Receipt, &'static str),
) {
    let settings = sim.settings();
    if !settings.notify {
        return;
    }
    let lost = is_lost(sim);
    let n = remember(sim, &plan, (lost, content_type));
    if lost {
        return;
    }
    if sim.is_in_process() {
        lock(&sim.left).push(n);
        return;
    }
    let (turn, release) = turn(sim);
    let inner = sim.clone();
    sim.later(settings.notification_delay_ms, async move {
        if let Some(turn) = turn {
            let _ = turn.await;
        }
        let _in_order = match &plan.order {
            Some(order) => Some(order.lock().await),
            None => None,
        };
        let schedule = settings.notification_retries_s;
        let schedule = schedule.unwrap_or_else(|| plan.schedule_s.to_vec());
        let copies = settings.notification_copies.max(1);
        let mut release = release;
        for wait in std::iter::once(0).chain(schedule) {
            inner.sleep(wait.saturating_mul(1000)).await;
            let mut accepted = false;
            for _ in 0..copies {
                if received.is_so(None) {
                    return;
                }
                accepted |= received.is_so(send(&inner, n).await);
            }
            drop(release.take());
            if accepted {
                return;
            }
        }
    });
}

impl Receipt {
    fn is_so(&self, status: Option<u16>) -> bool {
        match self {
            Self::Status { exactly_200: true } => status == Some(200),
            Self::Status { exactly_200: false } => status.is_some_and(|s| (200..300).contains(&s)),
            Self::Else(received) => received.is_cancelled(),
        }
    }
}

fn is_lost(sim: &Sim) -> bool {
    let probability = sim.settings().notification_loss;
    sim.adjust(|settings| take_one(&mut settings.notification_lose_next))
        || (probability > 0.0 && sim.faults.chance(probability))
}

fn take_one(left: &mut u64) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// Returns the signal that this notification waits for, and the held-back notification that it releases after it is sent.
fn turn(sim: &Sim) -> (Option<oneshot::Receiver<()>>, Option<Held>) {
    let mut held = lock(&sim.held);
    if let Some(before) = held.take() {
        return (None, Some(before));
    }
    if sim.adjust(|settings| take_one(&mut settings.notification_hold_next)) {
        let (let_go, turn) = oneshot::channel();
        *held = Some(let_go);
        return (Some(turn), None);
    }
    (None, None)
}

fn remember(
    sim: &Sim,
    plan: &NotificationPlan,
    (lost, content_type): (bool, &'static str),
) -> usize {
    let mut all = lock(&sim.notifications);
    let n = all.len();
    all.push(Notification {
        n,
        url: plan.url.clone(),
        event: plan.event.clone(),
        body: plan.body.clone(),
        attempts: Vec::new(),
        lost,
        proof: plan.proof.clone(),
        content_type,
    });
    n
}

/// Returns a notification as it would be sent now.
pub(crate) fn written(sim: &Sim, n: usize) -> Option<Outgoing> {
    let notification = lock(&sim.notifications).get(n).cloned()?;
    let mut headers = vec![(
        "content-type".to_owned(),
        notification.content_type.to_owned(),
    )];
    match notification.proof {
        Proof::None => {}
        Proof::Stripe(secret) => {
            let time = sim.now().timestamp();
            let signed = sign(&secret, time, &notification.body);
            headers.push((
                "stripe-signature".to_owned(),
                format!("t={time},v1={signed}"),
            ));
        }
        Proof::Header(name, value) => headers.push((name.to_owned(), value)),
    }
    Some(Outgoing {
        url: notification.url,
        event: notification.event,
        body: notification.body,
        headers,
    })
}

/// Sends a notification once and returns the response's status.
pub(crate) async fn send(sim: &Arc<Sim>, n: usize) -> Option<u16> {
    let notification = lock(&sim.notifications).get(n).cloned()?;
    let mut request = sim
        .http
        .post(&notification.url)
        .timeout(TIMEOUT)
        .header("content-type", notification.content_type)
        .body(notification.body.clone());
    match &notification.proof {
        Proof::None => {}
        Proof::Stripe(secret) => {
            let time = sim.now().timestamp();
            request = request.header(
                "stripe-signature",
                format!("t={time},v1={}", sign(secret, time, &notification.body)),
            );
        }
        Proof::Header(name, value) => request = request.header(*name, value),
    }
    let outcome = request.send().await;
    let tried = Try {
        at: sim.now(),
        status: outcome.as_ref().ok().map(|answer| answer.status().as_u16()),
        error: outcome.err().map(|error| {
            if error.is_timeout() {
                "timeout"
            } else {
                "no answer"
            }
            .to_owned()
        }),
    };
    let status = tried.status;
    if let Some(notification) = lock(&sim.notifications).get_mut(n) {
        notification.attempts.push(tried);
    }
    status
}

fn sign(secret: &str, time: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(format!("{time}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_documented_signature_is_reproduced() {
        assert_eq!(
            super::sign(
                "whsec_test_secret",
                1_700_000_000,
                r#"{"id":"evt_1","object":"event"}"#
            ),
            "0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd"
        );
    }
}
