//! What Stripe booked: a payment's fee and the day on which it is in the balance, which no event tells.

use std::time::Duration;

use chrono::NaiveDate;
use schemas::Instant;
use serde::Deserialize;

use super::{
    Stripe,
    call::Listed,
    charge::{Charge, instant},
};
use crate::{GatewayCharge, GatewayError, GatewayNotice, GatewayStatus, Means, http::Deadline};

/// The most pages of one reading.
const MAX_PAGES: usize = 100;
/// Nobody waits for it.
const TIMEOUT: Duration = Duration::from_mins(2);

#[derive(Debug, Deserialize)]
pub(super) struct Booking {
    pub fee: i64,
    pub net: i64,
    pub currency: String,
    pub created: i64,
    available_on: i64,
    #[serde(default)]
    pub status: String,
}

impl Booking {
    /// The day on which it is in the balance. Stripe counts these days in UTC, from midnight.
    pub(super) fn day(&self) -> Option<NaiveDate> {
        instant(self.available_on).map(|at| at.date_naive())
    }
}

/// A line of the account's balance.
#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    amount: i64,
    #[serde(flatten)]
    booking: Booking,
    source: Option<Source>,
}

/// What moved the money: a charge, or something that is told elsewhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Charge(Box<Charge>),
    Other(serde::de::IgnoredAny),
}

/// Entries of money that came; the others' sources can look like charges.
const CAME: [&str; 2] = ["charge", "payment"];

impl Listed for Entry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Entry {
    fn notice(self) -> Option<GatewayNotice> {
        let Some(Source::Charge(charge)) = self.source else {
            return None;
        };
        if !CAME.contains(&self.kind.as_str()) {
            return None;
        }
        let (reference, intent) = (
            charge.reference()?.to_owned(),
            charge.payment_intent.clone()?,
        );
        let charge = charge.booked(self.booking);
        let payment = charge.to_payment(self.amount, charge.method()?)?;
        // in another currency it tells nothing new
        payment.fee?;
        Some(GatewayNotice {
            dedupe_key: self.id,
            event: "balance_transaction".to_owned(),
            reference: Some(reference.clone()),
            charge: None,
            payment: Some(charge.id.clone()),
            means: Means::Stands(Box::new(GatewayCharge {
                status: GatewayStatus::Paid,
                payments: vec![payment],
                ..GatewayCharge::known(intent, reference, self.amount)
            })),
        })
    }
}

impl Stripe {
    /// The payments booked since then, oldest first, with their fees.
    pub(super) async fn booked_since(
        &self,
        since: Instant,
    ) -> Result<Vec<GatewayNotice>, GatewayError> {
        let query = [
            ("created[gte]", since.timestamp().to_string()),
            ("expand[]", "data.source".to_owned()),
        ];
        let bounds = (MAX_PAGES, Deadline::after(TIMEOUT));
        let listed: Vec<Entry> = self.list(&["balance_transactions"], &query, bounds).await?;
        Ok(listed.into_iter().rev().filter_map(Entry::notice).collect())
    }
}
