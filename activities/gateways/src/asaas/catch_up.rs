//! What Asaas lists since a day, as if it had been told: heals lost notifications. `GATEWAYS.md` §4.2.
//!
//! Asaas lists by the day of payment, by the day of creation, and by status; not by the day of a change. So a partial refund that
//! somebody else made of a payment that was received earlier is told by its notification alone.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use schemas::{Instant, calendar};
use serde::Deserialize;
use serde_json::Value;

use super::{Asaas, payment::Payment};
use crate::{
    GatewayCharge, GatewayError, GatewayNotice, GatewayStatus, Means, RefundStatus,
    http::{CALL_TIMEOUT, Deadline},
};

/// The most pages of one list.
const MOST_PAGES: usize = 20;
/// How old a payment may be whose refund or chargeback is looked for: cards are claimed back up to half a year later.
const REACH_DAYS: u64 = 365;
/// What has no day to list it by: not in the balance yet, given back, claimed back.
const STATUSES: [&str; 7] = [
    "CONFIRMED",
    "REFUND_REQUESTED",
    "REFUND_IN_PROGRESS",
    "REFUNDED",
    "CHARGEBACK_REQUESTED",
    "CHARGEBACK_DISPUTE",
    "AWAITING_CHARGEBACK_REVERSAL",
];

type Filter = Vec<(&'static str, String)>;

impl Asaas {
    pub(super) async fn changes_since(
        &self,
        since: Instant,
    ) -> Result<Vec<GatewayNotice>, GatewayError> {
        let day = calendar::today(since);
        let (mut seen, mut notices) = (BTreeSet::new(), Vec::new());
        for filter in lists(day) {
            // each list has its own time: all of them are many calls
            let limits = (MOST_PAGES, Deadline::after(CALL_TIMEOUT));
            let listed: Vec<Value> = self.list(&["payments"], &filter, limits).await?;
            for payment in &listed {
                let Ok(payment) = Payment::deserialize(payment) else {
                    tracing::warn!("asaas lists a payment that cannot be read");
                    continue;
                };
                if seen.insert(payment.id.clone()) {
                    notices.extend(notice(&payment, day));
                }
            }
        }
        Ok(notices)
    }
}

fn lists(since: NaiveDate) -> Vec<Filter> {
    let reach = since.checked_sub_days(Days::new(REACH_DAYS));
    let reach = reach.unwrap_or(since).to_string();
    let by_status = STATUSES.map(|status| {
        vec![
            ("status", status.to_owned()),
            ("dateCreated[ge]", reach.clone()),
        ]
    });
    let mut lists = vec![
        vec![("paymentDate[ge]", since.to_string())],
        vec![("dateCreated[ge]", since.to_string())],
    ];
    lists.extend(by_status);
    lists
}

/// What the payment tells, if it is news: that it waits to be paid is none.
fn notice(payment: &Payment, since: NaiveDate) -> Option<GatewayNotice> {
    let charge = match payment.to_charge(None) {
        Ok(charge) => charge,
        Err(error) => {
            tracing::warn!(payment = payment.id, %error, "asaas lists a payment that cannot be read");
            return None;
        }
    };
    let is_news = match charge.status {
        GatewayStatus::Pending => false,
        GatewayStatus::Paid | GatewayStatus::Refunded => {
            payment.changed_on().is_none_or(|day| day >= since)
        }
        _ => true,
    };
    is_news.then(|| GatewayNotice {
        dedupe_key: key(payment, &charge),
        event: format!("PAYMENT_{}", payment.status),
        reference: payment.external_reference.clone(),
        charge: Some(payment.id.clone()),
        payment: None,
        means: Means::Stands(Box::new(charge)),
    })
}

/// A list has no event's id: what is told makes the key, so that the same state is the same notice.
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

    fn told(changes: Value) -> Option<GatewayNotice> {
        notice(&payment(changes), "2026-07-14".parse().expect("a day"))
    }

    #[test]
    fn only_what_changed_since_is_told() {
        let paid =
            |on: &str| json!({ "status": "RECEIVED", "paymentDate": on, "clientPaymentDate": on });
        assert!(told(paid("2026-07-14")).is_some());
        assert!(told(paid("2026-07-13")).is_none());
        assert!(told(json!({ "status": "PENDING" })).is_none());
        assert!(told(json!({ "status": "SOMETHING_NEW" })).is_none());
        assert!(told(json!({ "status": "PENDING", "deleted": true })).is_some());
        let given_back = |on: &str| {
            json!({ "status": "REFUNDED", "paymentDate": "2026-07-01", "clientPaymentDate": "2026-07-01",
                "refunds": [{ "dateCreated": on, "status": "DONE", "value": 100 }] })
        };
        assert!(told(given_back("2026-07-13 10:00:00")).is_none());
        assert!(told(given_back("2026-07-15 10:00:00")).is_some());
    }

    #[test]
    fn the_same_state_has_the_same_key_and_a_further_refund_another() {
        let with = |refunds: Value| {
            let day = "2026-07-14";
            let changes = json!({ "status": "RECEIVED", "paymentDate": day, "clientPaymentDate": day, "refunds": refunds });
            told(changes).expect("news").dedupe_key
        };
        let refund = |status: &str| json!([{ "dateCreated": "2026-07-14", "status": status, "value": 10.5 }]);
        assert_eq!(with(Value::Null), "pay_1:RECEIVED:0:0");
        assert_eq!(with(refund("PENDING")), "pay_1:RECEIVED:0:1050");
        assert_eq!(with(refund("DONE")), "pay_1:RECEIVED:1050:0");
        assert_eq!(with(refund("DONE")), with(refund("DONE")));
    }
}
