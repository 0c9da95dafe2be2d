//! Lists of the API Cobranças: charges by day of creation.

use chrono::{Days, TimeDelta};
use schemas::{Instant, attempt::ErrorClass, calendar, payment_method::PaymentMethodKind};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Cobrancas,
    responses::status,
    responses::{Data, Money},
};
use crate::{
    Entries, GatewayError, GatewayNotice, GatewayStatus, NoticeKind, Page, ReadFrom, Unreadable,
    changes::Window,
    efi::requests::Call,
    http::{CALL_TIMEOUT, Deadline, Effect},
    local,
};

/// `charge_type` of boletos and of cards.
pub(in crate::efi) const BOLETO: &str = "billet";
pub(in crate::efi) const CARD: &str = "card";

/// Entries of a page.
const PAGE: usize = 100;
/// Most pages that are read of the charges of one reference, or of one day.
const MAX_PAGES: u64 = 50;

/// Longest time between a charge's creation and its payment. Charges are listed by time of creation.
const LASTS: TimeDelta = TimeDelta::days(60);
/// Longest delay until the bank reports a payment: a weekend and the days after it.
const REPORTED_WITHIN: TimeDelta = TimeDelta::days(7);

/// Charge in a list.
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

    /// Returns true if money may have been received or returned since then. A return is listed without a time, and so always counts.
    pub(super) fn moved_since(&self, since: Instant) -> bool {
        // these three statuses do not depend on the method
        match status::status(&self.status, PaymentMethodKind::Card) {
            Some(GatewayStatus::Paid) => self.money().paid_at.is_none_or(|at| at >= since),
            Some(GatewayStatus::Refunded | GatewayStatus::Disputed) => true,
            _ => false,
        }
    }

    /// Returns a hint to read the charge. Its key contains the status, so each status is reported once.
    fn hint(&self) -> GatewayNotice {
        GatewayNotice {
            dedupe_key: format!("charge/{}/{}", self.id, self.status),
            event: format!("charge.{}", self.status),
            reference: self.custom_id.clone(),
            charge: Some(self.id.to_string()),
            payment: None,
            stated_at: None,
            means: NoticeKind::Hint,
        }
    }
}

/// Filter of a list of charges.
pub(super) struct Wanted<'a> {
    pub charge_type: &'static str,
    /// Earliest time of creation, to the day. `to` is the latest.
    pub from: Instant,
    pub to: Instant,
    pub reference: Option<&'a str>,
}

/// Page of a list: its entries, the number of unreadable ones, and true if it is the last page.
struct ListPage {
    entries: Vec<Listed>,
    unreadable: usize,
    is_last: bool,
}

impl Cobrancas {
    pub(super) async fn list(
        &self,
        wanted: &Wanted<'_>,
        deadline: Deadline,
    ) -> Result<Vec<Listed>, GatewayError> {
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let listed = self.list_page(wanted, page, deadline).await?;
            all.extend(listed.entries);
            if listed.is_last {
                return Ok(all);
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many_pages",
            "the gateway lists more than is read at once",
        ))
    }

    /// Fetches a page of the charges whose money may have moved since then, among those created at most `LASTS` before. The list is not
    /// ordered by change, so a run reads all of it, page by page. Each charge is a hint and is read once.
    pub(in crate::efi) async fn moved(
        &self,
        charge_type: &'static str,
        from: &ReadFrom<'_>,
    ) -> Result<Page, GatewayError> {
        let window = Window::of(from, None);
        let wanted = Wanted {
            charge_type,
            from: window.from - LASTS,
            to: window.to,
            reference: None,
        };
        let deadline = Deadline::after(CALL_TIMEOUT);
        let listed = match self.list_page(&wanted, window.page, deadline).await {
            // an application without access to this API has no charges in it
            Err(error) if error.class == ErrorClass::Denied => return Ok(Page::end(window.to)),
            listed => listed?,
        };
        let since = window.from - REPORTED_WITHIN;
        let moved = listed.entries.iter().filter(|one| one.moved_since(since));
        let mut entries = Entries::from(moved.map(Listed::hint).collect::<Vec<_>>());
        if listed.unreadable > 0 {
            entries.extend(Unreadable::new("efi_cobrancas_listed", "a listed charge"));
        }
        Ok(window.page(entries, listed.is_last, (from.now, None)))
    }

    async fn list_page(
        &self,
        wanted: &Wanted<'_>,
        page: u64,
        deadline: Deadline,
    ) -> Result<ListPage, GatewayError> {
        let begin = calendar::today(wanted.from).to_string();
        // one day more: Efí's clock may be ahead of ours at midnight
        let end = calendar::today(wanted.to)
            .checked_add_days(Days::new(1))
            .unwrap_or(chrono::NaiveDate::MAX)
            .to_string();
        // Efí's pages begin at one
        let (size, number) = (PAGE.to_string(), (page + 1).to_string());
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
        let listed = answer.read::<Data<Vec<Value>>>(Effect::Reads)?.data;
        let count = listed.len();
        let entries: Vec<_> = listed.into_iter().filter_map(readable).collect();
        Ok(ListPage {
            unreadable: count - entries.len(),
            entries,
            is_last: count < PAGE,
        })
    }
}

fn readable(entry: Value) -> Option<Listed> {
    serde_json::from_value(entry).ok()
}
