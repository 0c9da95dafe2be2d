//! All that Stripe knows.

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
    /// Intents and sessions by the merchant's own reference, in the order of their making.
    pub references: HashMap<String, Vec<String>>,
    /// By account and key.
    pub keys: HashMap<(Account, String), Stored>,
    /// What time will do, by when; the number keeps the order.
    pub agenda: BTreeMap<(DateTime<Utc>, u64), Due>,
    pub numbered: u64,
}

/// What time does to the object with this id.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// An intent's code or voucher, if its time has come.
    Expire(String),
    /// The same, whatever its time.
    ExpireNow(String),
    Pay(String),
    /// A paid intent's money arrives.
    Clear(String),
    SettleRefund(String),
    FailRefund(String),
    LoseDispute(String),
    ExpireSession(String),
}
