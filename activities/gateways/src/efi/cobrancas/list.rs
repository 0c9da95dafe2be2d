//! What the API Cobranças lists: charges by the day they were made.

use chrono::{Days, TimeDelta};
use schemas::{Instant, attempt::ErrorClass, calendar, payment_method::Kind};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Cobrancas,
    answer::{Data, Money},
    local, status,
};
use crate::{
    GatewayError, GatewayStatus,
    efi::session::Call,
    http::{Deadline, Effect},
};

/// `charge_type` of each method.
pub(super) const BOLETO: &str = "billet";
pub(super) const CARD: &str = "card";

/// Entries of a page.
const PAGE: usize = 100;
/// More pages than this are not read at once.
const MAX_PAGES: usize = 50;

/// How long a charge may be under way between its making and its money. It is listed by when it was made.
pub(super) const LASTS: TimeDelta = TimeDelta::days(60);

/// A charge in a list.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub id: u64,
    pub custom_id: Option<String>,
    status: String,
    payment: Option<Receipt>,
}

#[derive(Debug, Deserialize)]
struct Receipt {
    payment_method: Option<String>,
    paid_at: Option<String>,
    paid_value: Option<i64>,
    received_by_bank_at: Option<String>,
}

impl Listed {
    pub(super) fn money(&self) -> Money {
        let Some(paid) = &self.payment else {
            return Money::default();
        };
        Money {
            method: paid.payment_method.clone(),
            amount: paid.paid_value.filter(|amount| *amount > 0),
            paid_at: paid.paid_at.as_deref().and_then(local::instant),
            settled_on: paid.received_by_bank_at.as_deref().and_then(local::day),
            was_contested: false,
        }
    }

    /// Whether money may have come or gone since then. What went is listed without a time, and so always counts.
    pub(super) fn moved_since(&self, since: Instant) -> bool {
        // of these three, no status depends on the method
        match status::status(&self.status, Kind::Card) {
            Some(GatewayStatus::Paid) => self.money().paid_at.is_none_or(|at| at >= since),
            Some(GatewayStatus::Refunded | GatewayStatus::Disputed) => true,
            _ => false,
        }
    }

    /// The step at which it stands, once for all.
    pub(super) fn key(&self) -> String {
        format!("charge/{}/{}", self.id, self.status)
    }

    pub(super) fn event(&self) -> String {
        format!("charge.{}", self.status)
    }
}

/// Which charges.
pub(super) struct Wanted<'a> {
    pub charge_type: &'static str,
    /// Made between these, to the day.
    pub from: Instant,
    pub to: Instant,
    pub reference: Option<&'a str>,
}

impl Cobrancas {
    pub(super) async fn list(
        &self,
        wanted: &Wanted<'_>,
        deadline: Deadline,
    ) -> Result<Vec<Listed>, GatewayError> {
        let begin = calendar::today(wanted.from).to_string();
        // a day more: their clock may be ahead of ours at midnight
        let end = calendar::today(wanted.to)
            .checked_add_days(Days::new(1))
            .unwrap_or(chrono::NaiveDate::MAX)
            .to_string();
        let size = PAGE.to_string();
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let number = page.to_string();
            let mut query = vec![
                ("charge_type", wanted.charge_type),
                ("begin_date", begin.as_str()),
                ("end_date", end.as_str()),
                ("limit", size.as_str()),
                ("page", number.as_str()),
            ];
            query.extend(wanted.reference.map(|reference| ("custom_id", reference)));
            let call = Call {
                query: &query,
                ..Call::read(&["v1", "charges"])
            };
            let answer = self.session.send(&call, deadline).await?;
            let entries = answer.read::<Data<Vec<Value>>>(Effect::Reads)?.data;
            let count = entries.len();
            all.extend(entries.into_iter().filter_map(readable));
            if count < PAGE {
                return Ok(all);
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many_pages",
            "the gateway lists more than is read at once",
        ))
    }
}

fn readable(entry: Value) -> Option<Listed> {
    serde_json::from_value(entry)
        .inspect_err(|_| tracing::warn!("efi listed a charge that is not readable"))
        .ok()
}
