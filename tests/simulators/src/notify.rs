//! Telling: signed or tokened, tried again by a schedule, in order where the gateway keeps order.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::Mutex as OrderLock;

use crate::sim::{Sim, lock};

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What was told, or is being told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notification {
    pub n: usize,
    pub url: String,
    pub event: String,
    pub body: String,
    pub attempts: Vec<Try>,
    #[serde(skip)]
    proof: Proof,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Try {
    at: DateTime<Utc>,
    status: Option<u16>,
    error: Option<String>,
}

/// How a receiver knows that it is us.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    None,
    /// `Stripe-Signature` with this secret, made anew for each try.
    Stripe(String),
    /// A header with a fixed value.
    Header(&'static str, String),
}

/// What is to be told, and how hard.
pub(crate) struct Telling {
    pub url: String,
    pub event: String,
    pub body: String,
    pub proof: Proof,
    /// Seconds between tries.
    pub schedule_s: &'static [u64],
    /// Exactly 200, or anything from 200 to 299.
    pub exactly_200: bool,
    /// One after the other.
    pub order: Option<Arc<OrderLock<()>>>,
}

/// Tells, in the background, until it was accepted or the schedule is used up.
pub(crate) fn tell(sim: &Arc<Sim>, telling: Telling) {
    let settings = sim.settings();
    if !settings.notify {
        return;
    }
    let n = remember(sim, &telling);
    let inner = sim.clone();
    sim.later(settings.notification_delay_ms, async move {
        let _turn = match &telling.order {
            Some(order) => Some(order.lock().await),
            None => None,
        };
        let schedule = settings.notification_retries_s.unwrap_or_else(|| telling.schedule_s.to_vec());
        for wait in std::iter::once(0).chain(schedule) {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            if matches!(send(&inner, n).await, Some(status) if accepted(status, telling.exactly_200)) {
                return;
            }
        }
    });
}

fn accepted(status: u16, exactly_200: bool) -> bool {
    if exactly_200 {
        status == 200
    } else {
        (200..300).contains(&status)
    }
}

fn remember(sim: &Sim, telling: &Telling) -> usize {
    let mut all = lock(&sim.notifications);
    let n = all.len();
    all.push(Notification {
        n,
        url: telling.url.clone(),
        event: telling.event.clone(),
        body: telling.body.clone(),
        attempts: Vec::new(),
        proof: telling.proof.clone(),
    });
    n
}

/// Tries once; the answer's status.
pub(crate) async fn send(sim: &Arc<Sim>, n: usize) -> Option<u16> {
    let notification = lock(&sim.notifications).get(n).cloned()?;
    let mut request = sim
        .http
        .post(&notification.url)
        .timeout(TIMEOUT)
        .header("content-type", "application/json")
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
