//! What the documents leave open, or a person can switch: settings of Asaas alone.

use serde::{Deserialize, Serialize};

/// Requests of an account in twelve hours.
const QUOTA: u64 = 25_000;
/// GETs of an account at the same time.
const CONCURRENT_GETS: usize = 50;
/// Requests of an account to one endpoint in a minute: a number of ours, since none is documented.
const ENDPOINT_LIMIT: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Environment {
    /// Takes keys of both.
    Any,
    Sandbox,
    Production,
}

/// What a payer's card does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Card {
    Confirm,
    /// `AWAITING_RISK_ANALYSIS`; a further `pay` approves it, `fail` reproves it.
    Review,
    /// `AUTHORIZED`; a further `pay` captures it, `fail` refuses the capture.
    Authorize,
}

/// What a refund is when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundStart {
    Done,
    Pending,
    /// `AWAITING_CRITICAL_ACTION_AUTHORIZATION`, until the control ends it.
    AwaitingAuthorization,
}

/// What a payer's dispute (MED) of a Pix looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PixDispute {
    /// The balance is blocked and nothing is told; lost, it is a refund.
    BalanceBlock,
    /// A refund at once.
    Refund,
    /// The statuses and events of a card's.
    Chargeback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChargebackLost {
    /// `REFUNDED`, with its event.
    Refunded,
    /// The chargeback's last status stays.
    Stays,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in JSON"
)]
pub(super) struct Behavior {
    pub alphanumeric_cnpj: bool,
    /// Whether lists hold what was deleted.
    pub list_deleted: bool,
    /// The answer to a request without `User-Agent`; none: it is not missed.
    pub missing_user_agent: Option<u16>,
    pub environment: Environment,
    /// Whether the account has an approved Pix key: without one a charge is made, and its code is refused.
    pub pix_key: bool,
    pub card: Card,
    pub refund: RefundStart,
    /// When a pending refund ends; none: only by the control.
    pub refund_end_s: Option<i64>,
    pub refund_needs_balance: bool,
    pub pix_dispute: PixDispute,
    pub chargeback_lost: ChargebackLost,
    pub boleto_credit_days: i64,
    pub card_credit_days: i64,
    /// Whether a webhook may answer any 2xx rather than 200 alone.
    pub any_2xx: bool,
    /// None: no quota.
    pub quota: Option<u64>,
    pub concurrent_gets: Option<usize>,
    /// How long a GET takes while it counts as a concurrent one.
    pub get_ms: u64,
    /// What `RateLimit-Limit` says.
    pub endpoint_limit: u64,
    /// Whether it is also kept.
    pub enforce_endpoint_limit: bool,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            alphanumeric_cnpj: true,
            list_deleted: true,
            missing_user_agent: Some(403),
            environment: Environment::Any,
            pix_key: true,
            card: Card::Confirm,
            refund: RefundStart::Done,
            refund_end_s: Some(5),
            refund_needs_balance: false,
            pix_dispute: PixDispute::BalanceBlock,
            chargeback_lost: ChargebackLost::Refunded,
            boleto_credit_days: 1,
            card_credit_days: 32,
            any_2xx: false,
            quota: Some(QUOTA),
            concurrent_gets: Some(CONCURRENT_GETS),
            get_ms: 0,
            endpoint_limit: ENDPOINT_LIMIT,
            enforce_endpoint_limit: false,
        }
    }
}
