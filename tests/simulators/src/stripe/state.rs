//! State of the simulated Stripe.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    account::Account, behavior::Behavior, booking::Booking, charge::Charge, collection::Collection,
    dispute::Dispute, event::Event, idempotency::Stored, intent::Intent, method::Method,
    refund::Refund, session::Session, webhook::Endpoint,
};

#[derive(Default)]
pub(super) struct State {
    pub behavior: Behavior,
    pub intents: Collection<Intent>,
    pub methods: Collection<Method>,
    pub charges: Collection<Charge>,
    pub bookings: Collection<Booking>,
    pub refunds: Collection<Refund>,
    pub disputes: Collection<Dispute>,
    pub sessions: Collection<Session>,
    pub events: Collection<Event>,
    pub endpoints: Collection<Endpoint>,
    /// Ids of intents and sessions by the merchant's reference, in the order of creation.
    pub references: HashMap<String, Vec<String>>,
    /// Stored requests by account and idempotency key.
    pub keys: HashMap<(Account, String), Stored>,
    /// Planned changes by time. The number preserves their order.
    pub agenda: BTreeMap<(DateTime<Utc>, u64), Due>,
    pub numbered: u64,
}

/// Planned change of the object with this id.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// Expires an intent's code or voucher if its time has passed.
    Expire(String),
    /// Expires an intent's code or voucher regardless of its time.
    ExpireNow(String),
    Pay(String),
    /// Completes the payment of a paid intent.
    Clear(String),
    SettleRefund(String),
    FailRefund(String),
    LoseDispute(String),
    ExpireSession(String),
}
