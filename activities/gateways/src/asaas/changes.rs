//! Changes that Asaas lists since a day, which recover lost notifications. `docs/gateways/asaas.md#lists-and-limits`.
//!
//! Asaas lists by day of payment, by day of creation and by status, not by day of change. A partial refund that we did
//! not request, of a payment received earlier, is therefore reported by its notification alone.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use schemas::{
    Instant, calendar,
    gateway::{GatewayApi, GatewayKind},
    id::AttemptId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asaas, refunds::is_rest, responses::Payment};
use crate::{
    Entries, Feed, GatewayCharge, GatewayError, GatewayNotice, GatewayStatus, NoticeKind, Page,
    ReadFrom, RefundStatus, Unreadable,
    changes::{read_cursor, write_cursor},
    http::{CALL_TIMEOUT, Deadline},
};

/// Age in days up to which payments are searched for refunds and chargebacks. Card payments are disputed up to half a year later.
const REACH_DAYS: u64 = 365;
/// Statuses of payments that no list by day shows: not in the balance yet, refunded, disputed.
const STATUSES: [&str; 7] = [
    "CONFIRMED",
    "REFUND_REQUESTED",
    "REFUND_IN_PROGRESS",
    "REFUNDED",
    "CHARGEBACK_REQUESTED",
    "CHARGEBACK_DISPUTE",
    "AWAITING_CHARGEBACK_REVERSAL",
];

/// Payments by day of payment.
pub(super) const PAID: &str = "asaas_paid";
/// Payments by day of creation.
pub(super) const CREATED: &str = "asaas_created";
/// Payments in the statuses that no list by day shows.
pub(super) const STATES: &str = "asaas_states";

/// Requests that polling spends of the 25,000 that Asaas grants an account in twelve hours.
const BUDGET: u64 = 6_000;
const BUDGET_S: u64 = 12 * 60 * 60;

pub(super) const FEEDS: [Feed; 3] = [feed(PAID), feed(CREATED), feed(STATES)];

/// Returns a feed, whose pace shares the budget with the others.
const fn feed(name: &'static str) -> Feed {
    Feed {
        name,
        gateway: GatewayKind::Asaas,
        api: GatewayApi::Asaas,
        pace: Duration::from_millis(BUDGET_S * 1_000 * 3 / BUDGET),
    }
}

type Filter = Vec<(&'static str, String)>;

/// Position of a run: the index of its list (a day, or a status) and the offset in it. Entries that Asaas adds during a run come
/// first and shift the others back, so entries are repeated and none is skipped.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    from: Instant,
    to: Instant,
    list: u64,
    offset: usize,
}

impl Place {
    fn of(read: &ReadFrom<'_>) -> Self {
        read_cursor(read.cursor).unwrap_or(Self {
            from: read.since,
            to: read.now.max(read.since),
            list: 0,
            offset: 0,
        })
    }

    fn since(&self) -> NaiveDate {
        calendar::today(self.from)
    }
}

impl Asaas {
    /// Fetches a page of the payments of each day, by `field`, oldest day first.
    pub(super) async fn by_day(
        &self,
        field: &'static str,
        read: &ReadFrom<'_>,
    ) -> Result<Page, GatewayError> {
        let place = Place::of(read);
        let day = place
            .since()
            .checked_add_days(Days::new(place.list))
            .unwrap_or(place.since());
        let is_last = day >= calendar::today(place.to);
        let (ge, le) = match field {
            "paymentDate" => ("paymentDate[ge]", "paymentDate[le]"),
            _ => ("dateCreated[ge]", "dateCreated[le]"),
        };
        let mut filter = vec![(ge, day.to_string())];
        if !is_last {
            filter.push((le, day.to_string()));
        }
        let read_until = if is_last {
            place.to
        } else {
            calendar::end_of(day)
        };
        self.page(place, filter, (read_until, is_last)).await
    }

    /// Fetches a page of the payments in each status that no list by day shows.
    pub(super) async fn by_state(&self, read: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        let place = Place::of(read);
        let at = usize::try_from(place.list).unwrap_or(usize::MAX);
        let Some(status) = STATUSES.get(at) else {
            return Ok(Page::end(place.to));
        };
        let since = place.since();
        let reach = since.checked_sub_days(Days::new(REACH_DAYS));
        let filter = vec![
            ("status", (*status).to_owned()),
            ("dateCreated[ge]", reach.unwrap_or(since).to_string()),
        ];
        let is_last = at + 1 == STATUSES.len();
        // the feed is complete only after the last status
        let read_until = if is_last { place.to } else { place.from };
        self.page(place, filter, (read_until, is_last)).await
    }

    async fn page(
        &self,
        place: Place,
        filter: Filter,
        (read_until, is_last): (Instant, bool),
    ) -> Result<Page, GatewayError> {
        let from = (place.offset, Deadline::after(CALL_TIMEOUT));
        let (listed, has_more): (Vec<Value>, bool) =
            self.list_from(&["payments"], &filter, from).await?;
        let next = match (has_more && !listed.is_empty(), is_last) {
            (true, _) => Some(Place {
                offset: place.offset + listed.len(),
                ..place
            }),
            (false, false) => Some(Place {
                list: place.list + 1,
                offset: 0,
                ..place
            }),
            (false, true) => None,
        };
        Ok(Page {
            entries: entries(&listed, place.since()),
            read_until: (!has_more).then_some(read_until),
            cursor: next.as_ref().and_then(write_cursor),
            requests: 1,
        })
    }
}

fn is_ours(payment: &Value) -> bool {
    let reference = payment["externalReference"].as_str();
    reference.and_then(AttemptId::from_reference).is_some()
}

/// Returns the notices of a page.
fn entries(listed: &[Value], since: NaiveDate) -> Entries {
    let mut entries = Entries::default();
    for value in listed {
        let read = Payment::deserialize(value)
            .map_err(|_| "a payment of another shape".to_owned())
            .and_then(|payment| notice(&payment, since).map_err(|error| error.message));
        match read {
            Ok(news) => entries.notices.extend(news),
            Err(why) if is_ours(value) => entries
                .unreadable
                .push(Unreadable::new("asaas_listed", why)),
            // payments that are not ours
            Err(_) => {}
        }
    }
    entries
}

/// Returns the payment's notice. A pending payment is no change.
fn notice(payment: &Payment, since: NaiveDate) -> Result<Option<GatewayNotice>, GatewayError> {
    let charge = payment.to_charge(None)?;
    let is_news = match charge.status {
        GatewayStatus::Pending => false,
        // a refund that no list dates is reported each time, under the same key
        GatewayStatus::Refunded if charge.refunds.iter().any(is_rest) => true,
        GatewayStatus::Paid | GatewayStatus::Refunded => {
            payment.changed_on().is_none_or(|day| day >= since)
        }
        _ => true,
    };
    Ok(is_news.then(|| GatewayNotice {
        dedupe_key: key(payment, &charge),
        event: format!("PAYMENT_{}", payment.status),
        reference: payment.external_reference.clone(),
        charge: Some(payment.id.clone()),
        payment: None,
        stated_at: None,
        means: NoticeKind::ChargeState(Box::new(charge)),
    }))
}

/// Returns the deduplication key. A list has no event id: the key is made of the state, so the same state is the same notice.
fn key(payment: &Payment, charge: &GatewayCharge) -> String {
    let sum = |status| -> i64 {
        let of_it = charge.refunds.iter().filter(|one| one.status == status);
        of_it.map(|refund| refund.amount).sum()
    };
    let (back, waiting) = (sum(RefundStatus::Succeeded), sum(RefundStatus::Pending));
    let deleted = if payment.deleted { ":DELETED" } else { "" };
    format!(
        "{}:{}{deleted}:{back}:{waiting}",
        payment.id, payment.status
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asaas::tests::payment;

    fn reported(changes: Value) -> Option<GatewayNotice> {
        let since = "2026-07-14".parse().expect("a day");
        notice(&payment(changes), since).unwrap_or_default()
    }

    #[test]
    fn only_what_changed_since_is_reported() {
        let paid =
            |on: &str| json!({ "status": "RECEIVED", "paymentDate": on, "clientPaymentDate": on });
        assert!(reported(paid("2026-07-14")).is_some());
        assert!(reported(paid("2026-07-13")).is_none());
        assert!(reported(json!({ "status": "PENDING" })).is_none());
        assert!(reported(json!({ "status": "SOMETHING_NEW" })).is_none());
        assert!(reported(json!({ "status": "PENDING", "deleted": true })).is_some());
        let read_refund = |on: &str| {
            json!({ "status": "REFUNDED", "paymentDate": "2026-07-01", "clientPaymentDate": "2026-07-01",
                "refunds": [{ "dateCreated": on, "status": "DONE", "value": 100 }] })
        };
        assert!(reported(read_refund("2026-07-13 10:00:00")).is_none());
        assert!(reported(read_refund("2026-07-15 10:00:00")).is_some());
    }

    #[test]
    fn the_same_state_has_the_same_key_and_a_further_refund_another() {
        let with = |refunds: Value| {
            let day = "2026-07-14";
            let changes = json!({ "status": "RECEIVED", "paymentDate": day, "clientPaymentDate": day, "refunds": refunds });
            reported(changes).expect("news").dedupe_key
        };
        let refund = |status: &str| json!([{ "dateCreated": "2026-07-14", "status": status, "value": 10.5 }]);
        assert_eq!(with(Value::Null), "pay_1:RECEIVED:0:0");
        assert_eq!(with(refund("PENDING")), "pay_1:RECEIVED:0:1050");
        assert_eq!(with(refund("DONE")), "pay_1:RECEIVED:1050:0");
        assert_eq!(with(refund("DONE")), with(refund("DONE")));
    }
}
