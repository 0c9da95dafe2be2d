//! What is streamed through Kafka: `CloudEvents` 1.0 in structured JSON. No personal data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    attempt::{AttemptState, ErrorClass},
    breaker, event,
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    payment_method::PaymentMethodKind,
    route::RouteReason,
};

/// The streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsRefStr, Display, EnumIter, EnumString)]
pub enum Topic {
    /// Every finished attempt. Key: the connection.
    #[strum(serialize = "gateway.attempts.v1")]
    GatewayAttempts,
    /// Every transition of a circuit breaker. Key: the connection.
    #[strum(serialize = "gateway.health.v1")]
    GatewayHealth,
    /// Every event of a charge, in order. Key: the charge.
    #[strum(serialize = "charge.events.v1")]
    ChargeEvents,
}

/// The envelope: `CloudEvents` 1.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique; a repeated message carries the same one.
    pub id: String,
    /// Always `/payment-orchestrator`.
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The message's key.
    pub subject: String,
    pub time: Instant,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Extension: counts up within the subject.
    pub sequence: i64,
    /// Extension: whether real money moves.
    pub mode: Mode,
    pub data: T,
}

impl<T> CloudEvent<T> {
    /// A message of `kind` about `subject`.
    pub fn new(
        id: String,
        kind: &str,
        subject: String,
        (time, mode, sequence): (Instant, Mode, i64),
        data: T,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: "/payment-orchestrator".to_owned(),
            kind: kind.to_owned(),
            subject,
            time,
            datacontenttype: "application/json".to_owned(),
            sequence,
            mode,
            data,
        }
    }
}

/// A finished attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptFinished {
    pub merchant: MerchantId,
    pub charge: ChargeId,
    pub attempt: AttemptId,
    pub n: i32,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub api: GatewayApi,
    pub method: PaymentMethodKind,
    pub amount: i64,
    pub reason: RouteReason,
    pub state: AttemptState,
    pub error_class: Option<ErrorClass>,
    pub error_code: Option<String>,
    pub started_at: Instant,
    pub duration_ms: i64,
}

/// A transition of a circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerMoved {
    pub merchant: MerchantId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub api: GatewayApi,
    pub from: breaker::BreakerState,
    pub to: breaker::BreakerState,
    /// For people: what the decision rests on.
    pub why: String,
    pub open_until: Option<Instant>,
}

/// An event of a charge, without the payer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeMoved {
    pub merchant: MerchantId,
    pub charge: ChargeId,
    pub event: event::EventType,
    pub amount: i64,
    pub amount_paid: i64,
    pub method: PaymentMethodKind,
    pub connection: Option<ConnectionId>,
    pub gateway: Option<GatewayKind>,
}
