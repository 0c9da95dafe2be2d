//! Balance transactions of charges, refunds and disputes, and Stripe's fees.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Stripe,
    account::Account,
    call::{Answer, Call},
    collection::Resource,
    list as lists,
    method::Means,
    transaction::Transaction,
};

/// Stripe's fees (`docs/gateways/README.md#fees`), in basis points and in centavos.
const PIX_FEE_BPS: i64 = 119;
const BOLETO_FEE: i64 = 345;
const CARD_FEE_BPS: i64 = 399;
const CARD_FEE: i64 = 39;
/// Days until the money is available.
const PIX_DAYS: i64 = 2;
const BOLETO_DAYS: i64 = 2;
const CARD_DAYS: i64 = 30;

/// Balance transaction.
pub(super) struct Booking {
    account: Account,
    id: String,
    created_at: DateTime<Utc>,
    available_at: DateTime<Utc>,
    amount: i64,
    fee: i64,
    kind: &'static str,
    category: &'static str,
    source: String,
}

impl Resource for Booking {
    const NAME: &'static str = "balance transaction";
    const PARAM: &'static str = "id";

    fn id(&self) -> &str {
        &self.id
    }

    fn account(&self) -> &Account {
        &self.account
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }
}

impl Booking {
    pub(super) fn json(&self, now: DateTime<Utc>) -> Value {
        let fees = if self.fee == 0 {
            json!([])
        } else {
            json!([{ "amount": self.fee, "application": null, "currency": "brl", "description": "Stripe processing fees", "type": "stripe_fee" }])
        };
        json!({
            "id": self.id, "object": "balance_transaction", "amount": self.amount, "available_on": self.available_at.timestamp(),
            "balance_type": "payments", "created": self.created_at.timestamp(), "currency": "brl", "description": null,
            "exchange_rate": null, "fee": self.fee, "fee_details": fees, "net": self.amount - self.fee,
            "reporting_category": self.category, "source": self.source,
            "status": if self.available_at <= now { "available" } else { "pending" }, "type": self.kind,
        })
    }
}

impl Transaction<'_> {
    /// Books a successful charge.
    pub(super) fn book_charge(&mut self, charge: &str) {
        let Some(charge) = self.state.charges.any(charge) else {
            return;
        };
        let amount = charge.amount;
        let (fee, days) = match charge.means {
            Means::Pix => (amount * PIX_FEE_BPS / 10_000, PIX_DAYS),
            Means::Boleto { .. } => (BOLETO_FEE, BOLETO_DAYS),
            Means::Card => (amount * CARD_FEE_BPS / 10_000 + CARD_FEE, CARD_DAYS),
        };
        let kind = if charge.id.starts_with("py") {
            "payment"
        } else {
            "charge"
        };
        let booking = Booking {
            account: charge.account.clone(),
            id: self.id("txn"),
            created_at: self.now,
            available_at: self.now + TimeDelta::days(days),
            amount,
            fee,
            kind,
            category: "charge",
            source: charge.id.clone(),
        };
        let (charge, id) = (charge.id.clone(), booking.id.clone());
        self.state.bookings.put(booking);
        if let Some(charge) = self.state.charges.any_mut(&charge) {
            charge.booking = Some(id);
        }
    }

    /// Books an amount without a fee, available at once, and returns the booking's id. A negative amount reduces the balance.
    pub(super) fn api(
        &mut self,
        account: &Account,
        amount: i64,
        (kind, category): (&'static str, &'static str),
        source: &str,
    ) -> String {
        let booking = Booking {
            account: account.clone(),
            id: self.id("txn"),
            created_at: self.now,
            available_at: self.now,
            amount,
            fee: 0,
            kind,
            category,
            source: source.to_owned(),
        };
        let id = booking.id.clone();
        self.state.bookings.put(booking);
        id
    }
}

/// Handles `GET /v1/balance_transactions/{id}`.
pub(super) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let booking = tx.state.bookings.get(&call.account, &id)?;
    call.answer(&tx, booking.json(tx.now))
}

/// Handles `GET /v1/balance_transactions`.
pub(super) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN, &["source", "type", "currency", "payout"]])?;
    let tx = stripe.begin(call.cause.clone());
    let is = |name: &str, value: &str| call.form.get(name).is_none_or(|wanted| wanted == value);
    let wanted = |booking: &Booking| {
        is("source", &booking.source)
            && is("type", booking.kind)
            && is("currency", "brl")
            && !call.form.has("payout")
    };
    let url = "/v1/balance_transactions";
    let json = |booking: &Booking| booking.json(tx.now);
    let page = lists::page(&call, &tx.state.bookings, url, wanted, json)?;
    call.answer(&tx, page)
}

/// Handles `GET /v1/balance`.
pub(super) async fn balance(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let (mut available, mut pending) = (0, 0);
    for booking in tx.state.bookings.of(&call.account) {
        let side = if booking.available_at <= tx.now {
            &mut available
        } else {
            &mut pending
        };
        *side += booking.amount - booking.fee;
    }
    let side = |amount: i64| json!([{ "amount": amount, "currency": "brl", "source_types": { "card": amount } }]);
    let balance = json!({
        "object": "balance", "available": side(available), "connect_reserved": [{ "amount": 0, "currency": "brl" }],
        "livemode": call.account.live, "pending": side(pending),
    });
    call.answer(&tx, balance)
}
