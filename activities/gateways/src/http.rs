//! HTTP: the only module that builds clients (timeouts, TLS, tracing) and classifies their failures.

use std::{
    error::Error,
    io,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use reqwest::{
    Certificate, Client, ClientBuilder, Identity, RequestBuilder, header, redirect::Policy,
};
use rustls::AlertDescription;
use schemas::attempt::ErrorClass;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    GatewayError,
    outside::{self, Broken},
};

mod api_client;
mod retry_after;
#[cfg(test)]
mod tests;
mod webhook;

pub(crate) use api_client::ApiClient;
pub use retry_after::retry_after;
pub use webhook::{AddressError, check_webhook_url, webhook_client};

/// User agent, which identifies us in gateways' logs. Asaas requires one.
const USER_AGENT: &str = concat!("payment-orchestrator/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of calls in the background: read, cancel, register.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than load balancers allow an idle connection, so that our side closes it first.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// Most idle connections to one host that stay open for later calls.
const MAX_IDLE_PER_HOST: usize = 512;
/// Longest answer that is read, in bytes.
const MAX_BODY: usize = 1 << 20;
/// Longest `Retry-After` that is accepted.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Asaas's header: seconds until an endpoint's quota is renewed.
const QUOTA_RESET: &str = "ratelimit-reset";
/// Longest text of a gateway that is stored, in characters.
const MAX_MESSAGE: usize = 300;

/// Code of an answer that an intermediary sent: a proxy, a firewall, a content network.
pub(crate) const FOREIGN: &str = "not_from_gateway";

/// Possible effect of a request at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The request may create something: a lost answer is an unknown outcome.
    Creates,
    /// The request creates nothing, even if its answer is lost.
    Reads,
}

/// Instant by which a call must end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Effect {
    /// Returns the class of a call without an answer from the gateway.
    pub(crate) fn lost(self) -> ErrorClass {
        match self {
            Self::Creates => ErrorClass::Unknown,
            Self::Reads => ErrorClass::NotCreated,
        }
    }
}

impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self(outside::instant() + within)
    }

    fn left(self) -> Option<Duration> {
        Some(self.0.saturating_duration_since(outside::instant())).filter(|left| !left.is_zero())
    }

    /// Returns true if a call of that length would still end in time.
    pub(crate) fn allows(self, call: Duration) -> bool {
        self.left().is_some_and(|left| left >= call)
    }
}

/// Answer with its body in memory.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: header::HeaderMap,
    body: Vec<u8>,
}

/// Returns the client for all gateways that authenticate us by a key alone. All merchants share it, and with it the connections to
/// each gateway's host.
pub(crate) fn shared() -> Result<Client, GatewayError> {
    static SHARED: OnceLock<Client> = OnceLock::new();
    if let Some(client) = SHARED.get() {
        return Ok(client.clone());
    }
    let built = client(None, None)?;
    Ok(SHARED.get_or_init(|| built).clone())
}

/// Builds a client for a gateway. `identity` is our certificate; `authority` is trusted besides the system's authorities.
pub(crate) fn client(
    identity: Option<Identity>,
    authority: Option<Certificate>,
) -> Result<Client, GatewayError> {
    let mut builder = base()
        .user_agent(USER_AGENT)
        .tcp_nodelay(true)
        // over HTTP/2 all calls to a host share one connection, and those beyond its limit of streams wait for a gateway that hangs
        .http1_only()
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST);
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    if let Some(authority) = authority {
        builder = builder.tls_certs_merge([authority]);
    }
    builder.build().map_err(|_| {
        GatewayError::new(
            ErrorClass::Denied,
            "tls",
            "the client certificate cannot be used",
        )
    })
}

fn base() -> ClientBuilder {
    // fails if a provider is already installed, which is then used
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
}

/// Sends a request and reads the complete answer, whatever its status.
pub(crate) async fn send(
    request: RequestBuilder,
    deadline: Deadline,
    effect: Effect,
) -> Result<Answer, GatewayError> {
    let Some(left) = deadline.left() else {
        return Err(GatewayError::new(
            ErrorClass::NotCreated,
            "timeout",
            "no time was left to ask the gateway",
        ));
    };
    if let Some(outside) = outside::replaced() {
        let request = request.build().map_err(|error| transport(&error, effect))?;
        let exchanged = outside.exchange(request, left).await;
        let (status, headers, body) = exchanged.map_err(|broken| name(broken, effect))?;
        return Ok(Answer {
            status,
            headers,
            body,
        });
    }
    let mut answer = request
        .timeout(left)
        .send()
        .await
        .map_err(|error| transport(&error, effect))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| transport(&error, effect))?
    {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(unreadable(effect));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Parses the body of a successful answer.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(
        &self,
        effect: Effect,
    ) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.body).map_err(|_| unreadable(effect))
    }

    /// Returns the body as JSON, or null if it is none: an error may come from a proxy.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns true if an intermediary answered: gateways never redirect, and send JSON or nothing.
    pub(crate) fn is_foreign(&self) -> bool {
        (300..400).contains(&self.status) || !(self.is_blank() || self.json().is_object())
    }

    fn is_blank(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// Returns the time of the answer, by the gateway's own clock.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        httpdate::parse_http_date(date).ok()
    }

    /// Returns the answer as an error, classified by its status alone; `code` and `message` are the gateway's. Each gateway refines it.
    pub(crate) fn error(
        &self,
        effect: Effect,
        code: Option<&str>,
        message: Option<&str>,
    ) -> GatewayError {
        if self.is_foreign() {
            return self.foreign(effect);
        }
        let code = code.map_or_else(|| format!("http_{}", self.status), ToOwned::to_owned);
        let message =
            message.map_or_else(|| format!("the gateway answered {}", self.status), shorten);
        GatewayError {
            retry_after: self.retry_after(),
            ..GatewayError::new(self.class(effect), code, message)
        }
    }

    fn class(&self, effect: Effect) -> ErrorClass {
        match (self.status, self.is_blank()) {
            (401 | 403, _) => ErrorClass::Denied,
            (429, _) => ErrorClass::Throttled,
            (408 | 409 | 424 | 500.., _) => effect.lost(),
            (402, false) => ErrorClass::Declined,
            // without a body nothing proves that the gateway itself refused
            (404 | 405 | 413, true) if effect == Effect::Creates => ErrorClass::NotCreated,
            (_, true) if effect == Effect::Creates => ErrorClass::Unknown,
            _ => ErrorClass::Rejected,
        }
    }

    /// Returns the error of an intermediary's answer. With some statuses it is certain that the request was not passed on.
    fn foreign(&self, effect: Effect) -> GatewayError {
        let class = match (effect, self.status) {
            (Effect::Creates, 300..400 | 403 | 404 | 405 | 413 | 429) => ErrorClass::NotCreated,
            _ => effect.lost(),
        };
        let code = if self.status >= 500 {
            format!("http_{}", self.status)
        } else {
            FOREIGN.to_owned()
        };
        let message = format!(
            "something in front of the gateway answered {}, not the gateway itself",
            self.status
        );
        GatewayError {
            retry_after: self.retry_after(),
            ..GatewayError::new(class, code, message)
        }
    }

    /// Returns the wait of the header in both forms: seconds, or a date, which is counted from the answer's own date, not from our clock.
    fn retry_after(&self) -> Option<Duration> {
        // every answer has the quota's reset, and it is a wait only if the quota is used up
        let quota = || self.headers.get(QUOTA_RESET).filter(|_| self.status == 429);
        let until_reset = || {
            let seconds = quota()?.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds))
        };
        let asked = retry_after(&self.headers, None).or_else(until_reset)?;
        Some(asked.min(MAX_RETRY_AFTER))
    }
}

fn unreadable(effect: Effect) -> GatewayError {
    GatewayError::new(
        effect.lost(),
        "unreadable",
        "the gateway's answer could not be read",
    )
}

/// Returns the error of a transport failure. The failure's own text is not stored: it may contain the URL, and the URL a secret.
fn transport(error: &reqwest::Error, effect: Effect) -> GatewayError {
    match tls(error) {
        Some(rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
            return GatewayError::new(
                ErrorClass::Denied,
                "certificate_refused",
                "the gateway refused the client certificate: it is wrong, expired, revoked, or of the other environment",
            );
        }
        Some(_) if error.is_connect() => {
            return GatewayError::new(
                ErrorClass::NotCreated,
                "tls",
                "no secure connection could be made",
            );
        }
        _ => {}
    }
    if error.is_builder() {
        return GatewayError::new(
            ErrorClass::NotCreated,
            "request",
            "the request could not be built",
        );
    }
    let broken = match (error.is_connect(), error.is_timeout()) {
        (true, true) => Broken::ConnectTimeout,
        (true, false) => Broken::Connect,
        (false, true) => Broken::Timeout,
        (false, false) => Broken::Reset,
    };
    name(broken, effect)
}

fn name(broken: Broken, effect: Effect) -> GatewayError {
    match broken {
        Broken::ConnectTimeout => GatewayError::new(
            ErrorClass::NotCreated,
            "connect_timeout",
            "the gateway did not take the connection in time",
        ),
        Broken::Connect => GatewayError::new(
            ErrorClass::NotCreated,
            "connect",
            "the gateway took no connection",
        ),
        Broken::Timeout => GatewayError::new(
            effect.lost(),
            "timeout",
            "the gateway did not answer in time",
        ),
        Broken::Reset => GatewayError::new(
            effect.lost(),
            "reset",
            "the connection broke before the answer was complete",
        ),
    }
}

/// Returns true if a peer's alert refuses our certificate. Any other alert may follow a request that took effect.
fn is_about_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::HandshakeFailure
    )
}

/// Returns the TLS failure within an error. An `io::Error` does not expose the error that it wraps as its `source`.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Returns a gateway's text, short enough to store.
fn shorten(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_MESSAGE)
        .collect()
}
