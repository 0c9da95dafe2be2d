//! Settings of Asaas only: behavior that the documents leave open, or that a person can switch.

use serde::{Deserialize, Serialize};

/// Default number of requests of an account in twelve hours.
const QUOTA: u64 = 25_000;
/// Default number of concurrent GETs of an account.
const CONCURRENT_GETS: usize = 50;
/// Default number of requests of an account to one endpoint in a minute. Chosen here, because none is documented.
const ENDPOINT_LIMIT: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Environment {
    /// Accepts keys of both environments.
    Any,
    Sandbox,
    Production,
}

/// First result of a card payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Card {
    Confirm,
    /// `AWAITING_RISK_ANALYSIS`. A second `pay` approves it, `fail` rejects it.
    Review,
    /// `AUTHORIZED`. A second `pay` captures it, `fail` refuses the capture.
    Authorize,
}

/// Status of a refund after its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundStart {
    Done,
    Pending,
    /// `AWAITING_CRITICAL_ACTION_AUTHORIZATION`, until the control API ends it.
    AwaitingAuthorization,
}

/// Representation of a payer's dispute (MED) of a Pix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PixDispute {
    /// Blocks the balance without a notification. A lost dispute becomes a refund.
    BalanceBlock,
    /// Refunds the Pix at once.
    Refund,
    /// Uses the statuses and events of a card's chargeback.
    Chargeback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChargebackLost {
    /// Changes to `REFUNDED`, with its event.
    Refunded,
    /// Retains the chargeback's last status.
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
    /// True if lists include deleted payments.
    pub list_deleted: bool,
    /// Status of the response to a request without `User-Agent`. Without it, the header is optional.
    pub missing_user_agent: Option<u16>,
    pub environment: Environment,
    /// True if the account has an approved Pix key. Without a key, charges are created, but their Pix code is refused.
    pub pix_key: bool,
    pub card: Card,
    pub refund: RefundStart,
    /// Seconds until a pending refund ends. Without it, only the control API ends refunds.
    pub refund_end_s: Option<i64>,
    pub refund_needs_balance: bool,
    pub pix_dispute: PixDispute,
    pub chargeback_lost: ChargebackLost,
    pub boleto_credit_days: i64,
    pub card_credit_days: i64,
    /// True if a webhook may respond with any 2xx status; otherwise only 200 is accepted.
    pub any_2xx: bool,
    /// Requests of an account in twelve hours. Without it, there is no quota.
    pub quota: Option<u64>,
    pub concurrent_gets: Option<usize>,
    /// Duration of a GET in milliseconds, during which it counts as concurrent.
    pub get_ms: u64,
    /// Value of the `RateLimit-Limit` header: requests to one endpoint in a minute.
    pub endpoint_limit: u64,
    /// True if `endpoint_limit` is enforced.
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
