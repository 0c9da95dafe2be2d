//! Charges, Stripe's term for received money: our payments, with their refunds.

use std::collections::BTreeMap;

use schemas::{Instant, payment_method::PaymentMethodKind};
use serde::Deserialize;

use crate::stripe::{changes::balance::Booking, refunds::Refund};
use crate::{GatewayPayment, GatewayRefund};

/// Number of installments of a card payment that was not split.
const AT_ONCE: u16 = 1;

/// Charge of Stripe. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
pub(in crate::stripe) struct Charge {
    pub id: String,
    created: i64,
    #[serde(default)]
    currency: String,
    /// True if the whole amount was refunded.
    #[serde(default)]
    pub refunded: bool,
    #[serde(default)]
    pub disputed: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    pub payment_intent: Option<String>,
    payment_method_details: Option<Details>,
    balance_transaction: Option<Balance>,
    /// Refunds: only if they were requested, and in versions before 2022-11-15.
    refunds: Option<Refunds>,
}

#[derive(Debug, Deserialize)]
struct Refunds {
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    data: Vec<Refund>,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(rename = "type", default)]
    kind: String,
    pix: Option<Pix>,
    card: Option<Card>,
}

#[derive(Debug, Deserialize)]
struct Pix {
    bank_transaction_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Card {
    installments: Option<Installments>,
}

#[derive(Debug, Deserialize)]
struct Installments {
    plan: Option<Plan>,
}

#[derive(Debug, Deserialize)]
struct Plan {
    count: Option<u16>,
}

/// Id of the balance transaction, or the transaction itself if it was requested.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Balance {
    Booked(Booking),
    Id(serde::de::IgnoredAny),
}

impl Charge {
    pub(in crate::stripe) fn reference(&self) -> Option<&str> {
        self.metadata.get("reference").map(String::as_str)
    }

    /// Returns the payment of `amount` centavos. `by`: the requested method, used if the charge does not contain the actual one.
    pub(in crate::stripe) fn to_payment(
        &self,
        amount: i64,
        by: PaymentMethodKind,
    ) -> Option<GatewayPayment> {
        let details = self.payment_method_details.as_ref();
        let booked = match &self.balance_transaction {
            // an account's balance may be in another currency, which is not in our centavos
            Some(Balance::Booked(booked)) if booked.currency == self.currency => Some(booked),
            _ => None,
        };
        let arrived = booked.filter(|booked| booked.status == "available");
        Some(GatewayPayment {
            id: self.id.clone(),
            end_to_end_id: details.and_then(|it| it.pix.as_ref()?.bank_transaction_id.clone()),
            amount,
            method: self.method().unwrap_or(by),
            fee: booked.map(|booked| booked.fee),
            net: booked.map(|booked| booked.net),
            installments: details.and_then(|it| it.card.as_ref()).map(Card::parts),
            settles_on: booked.and_then(Booking::day),
            settled_on: arrived.and_then(Booking::day),
            // a charge by a slow method is created before its money arrives; the balance transaction is not
            paid_at: instant(booked.map_or(self.created, |booked| booked.created))?,
        })
    }

    /// Returns the charge with its balance transaction inside.
    pub(in crate::stripe) fn booked(mut self, booking: Booking) -> Self {
        self.balance_transaction = Some(Balance::Booked(booking));
        self
    }

    /// Returns the method of payment, if it is one of ours.
    pub(in crate::stripe) fn method(&self) -> Option<PaymentMethodKind> {
        kind(&self.payment_method_details.as_ref()?.kind)
    }

    /// Returns the refunds that are inside.
    pub(in crate::stripe) fn refunds_inside(&self) -> Vec<GatewayRefund> {
        let inside = self.refunds.iter().flat_map(|refunds| &refunds.data);
        inside.filter_map(Refund::to_refund).collect()
    }

    /// Returns true if there are refunds that are not inside.
    pub(in crate::stripe) fn has_more_refunds(&self) -> bool {
        self.refunds.as_ref().is_none_or(|refunds| refunds.has_more)
    }
}

impl Card {
    fn parts(&self) -> u16 {
        let plan = self.installments.as_ref().and_then(|it| it.plan.as_ref());
        plan.and_then(|plan| plan.count).unwrap_or(AT_ONCE)
    }
}

/// Maps Stripe's name of a method.
pub(in crate::stripe) fn kind(theirs: &str) -> Option<PaymentMethodKind> {
    match theirs {
        "pix" => Some(PaymentMethodKind::Pix),
        "boleto" => Some(PaymentMethodKind::Boleto),
        "card" => Some(PaymentMethodKind::Card),
        _ => None,
    }
}

pub(in crate::stripe) fn instant(seconds: i64) -> Option<Instant> {
    Instant::from_timestamp(seconds, 0)
}
