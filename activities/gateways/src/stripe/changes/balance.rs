//! Balance transactions of Stripe: a payment's fee and the day on which it is in the balance, which no event contains.

use chrono::NaiveDate;
use schemas::attempt::ErrorClass;
use serde::Deserialize;

use crate::stripe::{
    Stripe,
    responses::payment::{Charge, instant},
};
use crate::{
    Entries, GatewayCharge, GatewayError, GatewayNotice, GatewayStatus, NoticeKind, Page, ReadFrom,
    Unreadable,
};

#[derive(Debug, Deserialize)]
pub(in crate::stripe) struct Booking {
    pub fee: i64,
    pub net: i64,
    pub currency: String,
    pub created: i64,
    available_on: i64,
    #[serde(default)]
    pub status: String,
}

impl Booking {
    /// Returns the day on which it is in the balance. Stripe counts these days in UTC, from midnight.
    pub(in crate::stripe) fn day(&self) -> Option<NaiveDate> {
        instant(self.available_on).map(|at| at.date_naive())
    }
}

/// Entry of the account's balance.
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

/// Origin of the money: a charge, or another object, which is reported elsewhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Charge(Box<Charge>),
    Other(serde::de::IgnoredAny),
}

/// Types of entries for received money. The sources of other types can parse as charges.
const RECEIPTS: [&str; 2] = ["charge", "payment"];

impl Entry {
    fn notice(self) -> Option<GatewayNotice> {
        let Some(Source::Charge(charge)) = self.source else {
            return None;
        };
        if !RECEIPTS.contains(&self.kind.as_str()) {
            return None;
        }
        let (reference, intent) = (
            charge.reference()?.to_owned(),
            charge.payment_intent.clone()?,
        );
        let charge = charge.booked(self.booking);
        let payment = charge.to_payment(self.amount, charge.method()?)?;
        // in another currency it adds no data
        payment.fee?;
        Some(GatewayNotice {
            dedupe_key: self.id,
            event: "balance_transaction".to_owned(),
            reference: Some(reference.clone()),
            charge: None,
            payment: Some(charge.id.clone()),
            stated_at: None,
            means: NoticeKind::ChargeState(Box::new(GatewayCharge {
                status: GatewayStatus::Paid,
                payments: vec![payment],
                ..GatewayCharge::known(intent, reference, self.amount)
            })),
        })
    }
}

impl Stripe {
    /// Fetches a page of the payments booked since then, oldest first, with their fees.
    pub(in crate::stripe) async fn booked_since(
        &self,
        from: &ReadFrom<'_>,
    ) -> Result<Page, GatewayError> {
        let source = [("expand[]", "data.source".to_owned())];
        let read = match self.forward(&["balance_transactions"], &source, from).await {
            Ok(read) => read,
            // a restricted key may not read the balance: the estimated fees remain
            Err(error) if error.class == ErrorClass::Denied => return Ok(Page::end(from.now)),
            Err(error) => return Err(error),
        };
        let mut entries = Entries::default();
        for item in read.items {
            if let Ok(entry) = serde_json::from_value::<Entry>(item) {
                entries.notices.extend(entry.notice());
            } else {
                let what = "a line of the balance of another shape";
                entries.extend(Unreadable::new("stripe_balance_entry", what));
            }
        }
        Ok(Page {
            entries,
            read_until: Some(read.read_until),
            cursor: read.cursor,
            requests: read.requests,
        })
    }
}
