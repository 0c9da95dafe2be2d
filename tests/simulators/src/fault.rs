//! Faults on demand.

use std::{collections::BTreeMap, sync::Mutex};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sim::lock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Connections are refused until the fault is cleared.
    Down,
    /// The TLS listener refuses every client certificate until the fault is cleared.
    CertificateRefused,
    /// The response has this status. The request has no effect unless `after` is set. If `body` or `headers` are given, they replace the
    /// gateway's own error.
    Status,
    /// The request waits before its effect, or after it if `after` is set.
    Delay,
    /// The connection ends before the effect.
    ResetBefore,
    /// The connection ends after the effect, instead of an answer.
    ResetAfter,
    /// The effect happens, and half of the body is sent with a matching length.
    Malformed,
    /// The effect happens, and the connection ends after half of the announced body.
    Truncated,
    /// The effect happens, and the body is sent byte by byte, `delay_ms` apart.
    Trickle,
    /// The effect happens, and Pix codes in the response end in a wrong checksum.
    OddCode,
}

/// Number of requests of which one takes `delay_p99_ms`.
const SLOWEST_OF: u32 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub kind: Kind,
    #[serde(default = "unavailable")]
    pub status: u16,
    #[serde(default)]
    pub delay_ms: u64,
    /// Upper bound of the delay, which is drawn evenly from `delay_ms` to this.
    #[serde(default)]
    delay_max_ms: Option<u64>,
    /// Delay of the slowest request in a hundred.
    #[serde(default)]
    delay_p99_ms: Option<u64>,
    pub retry_after_s: Option<u64>,
    /// Body of a `status` response. A string is sent unchanged (HTML of a proxy, or nothing), any other value as JSON.
    #[serde(default)]
    body: Option<Value>,
    /// Headers of a `status` response.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Method of the requests that the fault affects. Defaults to any method.
    method: Option<String>,
    /// Path prefix of the requests that the fault affects. Defaults to any path.
    path: Option<String>,
    /// Number of matching requests that pass before the fault begins.
    #[serde(default)]
    skip: u64,
    /// Number of requests that the fault affects. Defaults to no limit.
    times: Option<u64>,
    /// Probability from 0 to 1 that a matching request is affected. Defaults to 1.
    #[serde(default)]
    probability: Option<f64>,
    #[serde(default)]
    pub after: bool,
}

fn unavailable() -> u16 {
    503
}

impl Fault {
    /// Returns an error if a field is invalid.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err("probability is from 0 to 1");
        }
        if self.delay_max_ms.is_some_and(|max| max < self.delay_ms) {
            return Err("delay_max_ms is less than delay_ms");
        }
        if self.headers().count() < self.headers.len() {
            return Err("headers has a name or a value that no header can have");
        }
        if self.kind != Kind::Status && (self.body.is_some() || !self.headers.is_empty()) {
            return Err("only status has a body and headers");
        }
        Ok(())
    }

    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
    }

    /// Returns the response of a `status` fault. `refusal` creates the gateway's own error with that status.
    pub(crate) fn answer(
        &self,
        refusal: impl FnOnce(StatusCode) -> Response<Body>,
    ) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = match &self.body {
            None => refusal(status),
            Some(body) => chosen(status, body),
        };
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers());
        response
    }

    fn is_about(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self
                .path
                .as_deref()
                .is_none_or(|prefix| path.starts_with(prefix))
    }

    /// Draws the delay of one request.
    fn drawn(&self, rng: &mut StdRng) -> Self {
        let mut drawn = self.clone();
        if let Some(max) = self.delay_max_ms {
            drawn.delay_ms = rng.random_range(self.delay_ms..=max);
        }
        if let Some(slowest) = self.delay_p99_ms
            && rng.random_ratio(1, SLOWEST_OF)
        {
            drawn.delay_ms = slowest;
        }
        drawn
    }
}

fn chosen(status: StatusCode, body: &Value) -> Response<Body> {
    let (kind, text) = match body {
        Value::String(text) => ("text/html; charset=utf-8", text.clone()),
        json => ("application/json", json.to_string()),
    };
    let is_empty = text.is_empty();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    if !is_empty {
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// Active faults of one simulator.
pub(crate) struct Faults {
    all: Mutex<Vec<Fault>>,
    rng: Mutex<StdRng>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            all: Mutex::default(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    pub(crate) fn add(&self, fault: Fault) {
        lock(&self.all).push(fault);
    }

    pub(crate) fn clear(&self) {
        lock(&self.all).clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        lock(&self.all).clone()
    }

    /// Draws whether an event with this probability happens now.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        lock(&self.rng).random_bool(probability.clamp(0.0, 1.0))
    }

    /// Returns the faults that affect this request, and counts them down.
    pub(crate) fn of(&self, method: &str, path: &str) -> Vec<Fault> {
        let mut faults = lock(&self.all);
        let mut rng = lock(&self.rng);
        let mut hit = Vec::new();
        for fault in faults.iter_mut().filter(|f| f.is_about(method, path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.probability.is_some_and(|p| !rng.random_bool(p)) {
                continue;
            }
            hit.push(fault.drawn(&mut rng));
            fault.times = fault.times.map(|times| times.saturating_sub(1));
        }
        faults.retain(|fault| fault.times != Some(0));
        hit
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(seed: u64) -> Faults {
        let faults = Faults::new(seed);
        let fault =
            json!({ "kind": "delay", "delay_ms": 5, "delay_max_ms": 50, "probability": 0.3 });
        faults.add(serde_json::from_value(fault).unwrap());
        faults
    }

    fn delays(faults: &Faults) -> Vec<Option<u64>> {
        let of = |_| faults.of("GET", "/").first().map(|fault| fault.delay_ms);
        (0..1000).map(of).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        assert_eq!(delays(&faults(7)), delays(&faults(7)));
        assert_ne!(delays(&faults(7)), delays(&faults(8)));
    }

    #[test]
    fn a_probability_and_a_range_of_delays_are_respected() {
        let delays = delays(&faults(7));
        let hit = delays.iter().flatten().count();
        assert!((250..350).contains(&hit), "{hit} of 1000");
        assert!(delays.iter().flatten().all(|ms| (5..=50).contains(ms)));
        assert!(delays.contains(&Some(5)) && delays.contains(&Some(50)));
    }

    #[test]
    fn one_request_of_a_hundred_is_the_slowest() {
        let faults = Faults::new(1);
        let fault = json!({ "kind": "delay", "delay_ms": 1, "delay_p99_ms": 900 });
        faults.add(serde_json::from_value(fault).unwrap());
        let slow = delays(&faults)
            .iter()
            .flatten()
            .filter(|ms| **ms == 900)
            .count();
        assert!((3..25).contains(&slow), "{slow} of 1000");
    }
}
