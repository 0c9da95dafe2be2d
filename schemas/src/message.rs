//! Kafka messages: `CloudEvents` 1.0 in structured JSON, without personal data.

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

/// Kafka topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsRefStr, Display, EnumIter, EnumString)]
pub enum Topic {
    /// Finished attempts. Key: the connection.
    #[strum(serialize = "gateway.attempts.v1")]
    GatewayAttempts,
    /// Transitions of circuit breakers. Key: the connection.
    #[strum(serialize = "gateway.health.v1")]
    GatewayHealth,
    /// Events of charges, in order. Key: the charge.
    #[strum(serialize = "charge.events.v1")]
    ChargeEvents,
}

/// Envelope of a message: `CloudEvents` 1.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique id. A repeated message has the same id.
    pub id: String,
    /// Always `/payment-orchestrator`.
    pub source: String,
    /// Type of the message, such as `gateway.attempt.finished` or `charge.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Key of the message: the id of the connection or charge.
    pub subject: String,
    /// Time of the event, the transition or the end of the attempt.
    pub time: Instant,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Extension. Increasing number of the event within its charge, of the transition within its circuit breaker, or of the
    /// attempt within its charge.
    pub sequence: i64,
    /// Extension. `live` if real money moves, else `test`.
    pub mode: Mode,
    pub data: T,
}

/// Time, mode and sequence of a message.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub time: Instant,
    pub mode: Mode,
    pub sequence: i64,
}

impl<T> CloudEvent<T> {
    /// Creates a message of `kind` about `subject`.
    pub fn new(id: String, kind: &str, subject: String, position: Position, data: T) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: "/payment-orchestrator".to_owned(),
            kind: kind.to_owned(),
            subject,
            time: position.time,
            datacontenttype: "application/json".to_owned(),
            sequence: position.sequence,
            mode: position.mode,
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
    /// Number of the attempt within the charge, from 1.
    pub n: i32,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub api: GatewayApi,
    pub method: PaymentMethodKind,
    /// Amount of the charge in centavos.
    pub amount: i64,
    /// Reason for choosing this connection.
    pub reason: RouteReason,
    /// State in which the attempt ended.
    pub state: AttemptState,
    /// Class of the error; null if there was none.
    pub error_class: Option<ErrorClass>,
    /// Code of the error; null if there was none.
    pub error_code: Option<String>,
    pub started_at: Instant,
    /// Total response time of the gateway, in milliseconds.
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
    /// Reason for the transition, such as `failure_rate`; for a hold by an operator `force_open`, `force_closed` or `released`.
    pub why: String,
    /// Time from which probes are allowed; null while the breaker is closed.
    pub open_until: Option<Instant>,
}

/// An event of a charge, without the payer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeMoved {
    pub merchant: MerchantId,
    pub charge: ChargeId,
    pub event: event::EventType,
    /// Requested amount in centavos.
    pub amount: i64,
    /// Sum of the payments received, in centavos.
    pub amount_paid: i64,
    pub method: PaymentMethodKind,
    /// Connection at which the charge is payable or was paid; null until a gateway accepts it.
    pub connection: Option<ConnectionId>,
    /// Gateway of that connection.
    pub gateway: Option<GatewayKind>,
}
