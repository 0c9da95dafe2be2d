//! The connection to the simulated gateways with its faults, and the clock of the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};
use chrono::{DateTime, TimeDelta, Utc};
use gateways::outside::{Broken, Exchanged, Outside};
use simulators::InProcess;
use tokio::time::Instant;

use super::borders::{Border, Borders};

/// Names of the simulated gateway APIs; their hosts are these names under `.test`.
pub(super) const GATEWAYS: [&str; 4] = ["asaas", "efi", "efi_cobrancas", "stripe"];

/// Host name of the merchants' servers.
const MERCHANT_SERVER: &str = "shop";

/// Condition of a gateway for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// This many calls of a thousand fail.
    Flaky(u64),
    /// It refuses connections.
    Down,
    /// It answers 503.
    Ill,
    /// It accepts requests and answers too late.
    Hanging,
    /// It refuses our credentials.
    Refusing,
}

/// Outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    /// Passes after this number of milliseconds.
    Slow(i64),
    Connect,
    TimeoutBefore,
    TimeoutAfter,
    ResetBefore,
    ResetAfter,
    /// Answers this status without the effect.
    Instead(u16),
    /// Answers a proxy's page without the effect.
    Page(u16),
    /// Answers this status after the effect.
    Hides(u16),
    /// Returns half of the answer after the effect.
    Garbage,
}

/// Ordinary faults. A definite refusal is used for creations only, for which it does not contradict the books.
const FATES: [Fate; 15] = [
    Fate::Slow(3_000),
    Fate::Connect,
    Fate::TimeoutBefore,
    Fate::TimeoutAfter,
    Fate::TimeoutAfter,
    Fate::ResetBefore,
    Fate::ResetAfter,
    Fate::ResetAfter,
    Fate::Instead(503),
    Fate::Instead(429),
    Fate::Instead(401),
    Fate::Instead(400),
    Fate::Page(403),
    Fate::Hides(500),
    Fate::Garbage,
];

/// Maximum latency of a call without a fault, in milliseconds.
const LATENCY_MS: u64 = 400;

pub(super) struct Wire {
    pub borders: Borders,
    pub gateways: Arc<InProcess>,
    pub weather: std::sync::Mutex<[Weather; 4]>,
    /// Number of deliveries per thousand that the merchants' servers do not accept.
    pub refusals: AtomicU64,
    /// Monotonic clock and time at the start of the process.
    pub base: (Instant, DateTime<Utc>),
}

impl Wire {
    pub(super) fn weather(&self, gateway: &str) -> Weather {
        let all = self.weather.lock().expect("one thread");
        let at = GATEWAYS.iter().position(|name| *name == gateway);
        at.map_or(Weather::Flaky(0), |at| all[at])
    }

    pub(super) fn set_weather(&self, gateway: usize, weather: Weather) {
        self.weather.lock().expect("one thread")[gateway] = weather;
    }

    pub(super) fn heal(&self) {
        *self.weather.lock().expect("one thread") = [Weather::Flaky(0); 4];
    }

    pub(super) fn refuse_deliveries(&self, per_mille: u64) {
        self.refusals.store(per_mille, Ordering::Relaxed);
    }

    /// Returns the answer of a merchant's server.
    fn deliver(&self, within: Duration) -> Result<Exchanged, Broken> {
        let status = |status| Ok((status, HeaderMap::new(), Vec::new()));
        if !self.borders.chance(self.refusals.load(Ordering::Relaxed)) {
            return status(200);
        }
        match self.borders.draw(4) {
            0 => Err(Broken::Connect),
            1 => {
                self.advance(TimeDelta::from_std(within).unwrap_or(TimeDelta::zero()));
                Err(Broken::Timeout)
            }
            2 => status(503),
            _ => status(500),
        }
    }

    fn fate(&self, gateway: &str, method: &Method, path: &str) -> Fate {
        let drawn = match self.weather(gateway) {
            Weather::Flaky(per_mille) if self.borders.chance(per_mille) => {
                *self.borders.pick(&FATES).unwrap_or(&Fate::Passes)
            }
            Weather::Flaky(_) => Fate::Passes,
            Weather::Down => Fate::Connect,
            Weather::Ill => Fate::Instead(503),
            Weather::Hanging if self.borders.chance(500) => Fate::TimeoutAfter,
            Weather::Hanging => Fate::TimeoutBefore,
            Weather::Refusing => Fate::Instead(401),
        };
        // a definite refusal of any call but a creation would contradict the books
        let creates = *method == Method::POST || *method == Method::PUT;
        let ends = [
            "cancel",
            "expire",
            "refund",
            "devolucao",
            "authorize",
            "oauth",
            "webhook",
        ];
        let lies = !creates || ends.iter().any(|end| path.contains(end));
        match drawn {
            Fate::Instead(400) if lies => Fate::Instead(503),
            fate => fate,
        }
    }

    async fn effect(
        &self,
        gateway: &str,
        request: reqwest::Request,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let path = request.url()[url::Position::BeforePath..].to_owned();
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let mut built = axum::http::Request::builder()
            .method(request.method().clone())
            .uri(path);
        if let Some(headers) = built.headers_mut() {
            // headers that the client would add
            headers.insert(header::USER_AGENT, HeaderValue::from_static("simulation"));
            headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
            headers.extend(request.headers().clone());
            if let Some(length) = body.map(<[u8]>::len) {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        let body = body.map_or_else(Body::empty, |bytes| Body::from(bytes.to_vec()));
        let built = built.body(body).expect("a request");
        self.gateways.call(gateway, built).await
    }

    /// Applies the outcome of a call: with or without the effect at the gateway.
    async fn meet(
        &self,
        fate: Fate,
        (gateway, request, within): (&str, reqwest::Request, Duration),
    ) -> Result<Exchanged, Broken> {
        let within = TimeDelta::from_std(within).unwrap_or(TimeDelta::zero());
        let answer = |(status, headers, body): (StatusCode, HeaderMap, Vec<u8>)| {
            (status.as_u16(), headers, body)
        };
        let usual =
            TimeDelta::milliseconds(i64::try_from(self.borders.draw(LATENCY_MS)).unwrap_or(0));
        self.advance(usual.min(within));
        match fate {
            Fate::Passes => Ok(answer(self.effect(gateway, request).await)),
            Fate::Slow(ms) if TimeDelta::milliseconds(ms) < within => {
                self.advance(TimeDelta::milliseconds(ms));
                Ok(answer(self.effect(gateway, request).await))
            }
            Fate::Connect => Err(Broken::Connect),
            Fate::TimeoutBefore | Fate::Slow(_) => {
                self.advance(within);
                Err(Broken::Timeout)
            }
            Fate::TimeoutAfter => {
                self.effect(gateway, request).await;
                self.advance(within);
                Err(Broken::Timeout)
            }
            Fate::ResetBefore => Err(Broken::Reset),
            Fate::ResetAfter => {
                self.effect(gateway, request).await;
                Err(Broken::Reset)
            }
            Fate::Instead(status) => Ok(answer(self.refusal(gateway, status).await)),
            Fate::Page(status) => {
                let body = b"<html>blocked</html>".to_vec();
                Ok((status, HeaderMap::new(), body))
            }
            Fate::Hides(status) => {
                self.effect(gateway, request).await;
                Ok(answer(self.refusal(gateway, status).await))
            }
            Fate::Garbage => {
                let (status, headers, mut body) = self.effect(gateway, request).await;
                body.truncate(body.len() / 2);
                Ok((status.as_u16(), headers, body))
            }
        }
    }

    async fn refusal(&self, gateway: &str, status: u16) -> (StatusCode, HeaderMap, Vec<u8>) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        self.gateways.refusal(gateway, status).await
    }

    fn advance(&self, by: TimeDelta) {
        self.borders.advance(by);
        self.gateways.stand_at(self.borders.now());
    }
}

#[async_trait]
impl Outside for Wire {
    async fn exchange(
        &self,
        request: reqwest::Request,
        within: Duration,
    ) -> Result<Exchanged, Broken> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let gateway = host.trim_end_matches(".test").replace('-', "_");
        let method = request.method().clone();
        let path = request.url().path().to_owned();
        let what = format!("{method} {gateway}{path}");
        let watched = self.borders.lock().current.is_some();
        if !watched {
            // the setup of a run has no faults and takes no time
            let (status, headers, body) = self.effect(&gateway, request).await;
            return Ok((status.as_u16(), headers, body));
        }
        self.borders.wait(Border::Call(what.clone())).await;
        let (fate, came) = if gateway == MERCHANT_SERVER {
            (Fate::Passes, self.deliver(within))
        } else {
            let fate = self.fate(&gateway, &method, &path);
            (fate, self.meet(fate, (&gateway, request, within)).await)
        };
        let (task, status) = (
            self.borders.lock().current.unwrap_or_default(),
            came.as_ref().map(|(status, ..)| *status),
        );
        self.borders
            .note(|| format!("  t{task} {what} -> {status:?} ({fate:?})"));
        self.borders
            .wait(Border::Call(format!("answer of {what}")))
            .await;
        came
    }

    async fn sleep(&self, length: Duration) {
        let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::zero());
        let until = self.borders.now() + length;
        self.borders.wait(Border::Time(until)).await;
    }

    fn instant(&self) -> Instant {
        let passed = self.borders.now() - self.base.1;
        self.base.0 + passed.to_std().unwrap_or_default()
    }

    fn now(&self) -> SystemTime {
        self.borders.now().into()
    }
}
