//! Refunds. Asaas gives a refund neither id nor idempotency: its description carries our reference.
//! `docs/gateways/asaas.md#refunds`.

use std::{collections::BTreeMap, time::Duration};

use chrono::NaiveDate;
use schemas::{attempt::ErrorClass, id::RefundId};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::{
    Asaas, MAX_PAGES, errors,
    responses::status,
    responses::{Payment, unreadable},
};
use crate::{
    Gateway, GatewayError, GatewayRefund, RefundRequest, RefundStatus,
    descriptor::Refunds,
    http::{CALL_TIMEOUT, Deadline, Effect},
    local::{day, instant},
    money,
};

/// Longest reason, in characters, that is sent after our reference.
const MAX_REASON: usize = 200;
/// Reason why a boleto is not refunded through the API.
pub(super) const NO_BOLETO: Refunds = Refunds::Unsupported(
    "Asaas refunds a boleto only by a link on which the payer types bank details; send it from Asaas's dashboard",
);

/// Refund of Asaas. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refund {
    date_created: Option<String>,
    status: String,
    value: Number,
    description: Option<String>,
    effective_date: Option<String>,
}

/// Returns a payment's refunds; `None` if an amount cannot be parsed.
pub(super) fn of_payment(payment: &str, refunds: &[Refund]) -> Option<Vec<GatewayRefund>> {
    // two refunds of the same second and amount cannot be distinguished: they are numbered
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut all = Vec::new();
    for refund in refunds {
        let amount = money::of_number(&refund.value)?;
        let reference = refund.reference();
        let date = refund.date_created.as_deref().unwrap_or_default();
        let mut id = reference
            .clone()
            .unwrap_or_else(|| format!("{date}/{amount}"));
        let n = seen.entry(id.clone()).or_default();
        *n += 1;
        if *n > 1 {
            id = format!("{id}/{n}");
        }
        all.push(GatewayRefund {
            id,
            reference,
            payment: payment.to_owned(),
            amount,
            status: status::of_refund(&refund.status),
            reason: refund.reason(),
            created_at: instant(date),
        });
    }
    Some(all)
}

/// Suffix of the id of a refund that no list shows.
const REST: &str = "/refunded";

/// Returns true if [`rest`] made the refund.
pub(super) fn is_rest(refund: &GatewayRefund) -> bool {
    refund.id.ends_with(REST)
}

/// Returns the part of a payment's refund that no list shows: Asaas reports the payment as refunded, but its refunds sum to less.
pub(super) fn rest(payment: &str, whole: i64, listed: &[GatewayRefund]) -> Option<GatewayRefund> {
    let back = listed
        .iter()
        .filter(|refund| refund.status != RefundStatus::Failed);
    let missing = whole - back.map(|refund| refund.amount).sum::<i64>();
    (missing > 0).then(|| GatewayRefund {
        id: format!("{payment}{REST}"),
        reference: None,
        payment: payment.to_owned(),
        amount: missing,
        status: RefundStatus::Succeeded,
        reason: None,
        created_at: None,
    })
}

impl Refund {
    /// Returns our reference, if the description contains it.
    fn reference(&self) -> Option<String> {
        let mut words = self.description.as_deref()?.split_whitespace();
        words
            .find(|word| RefundId::from_reference(word).is_some())
            .map(ToOwned::to_owned)
    }

    /// Returns the day on which it was requested or completed.
    pub(super) fn changed_on(&self) -> Option<NaiveDate> {
        let dates = [&self.date_created, &self.effective_date];
        dates
            .into_iter()
            .flatten()
            .filter_map(|text| day(text))
            .max()
    }

    /// Returns Asaas's status if it states a reason: waiting for the dashboard or the payer, or canceled.
    fn reason(&self) -> Option<String> {
        let needs_none = matches!(self.status.as_str(), "PENDING" | "DONE");
        (!needs_none).then(|| self.status.clone())
    }
}

/// Returns the body of the refund request. Without a value Asaas refunds the whole payment.
fn body(order: &RefundRequest) -> Value {
    let mut description = order.reference.clone();
    if let Some(reason) = &order.reason {
        description.push(' ');
        description.extend(reason.chars().take(MAX_REASON));
    }
    let mut body = json!({ "description": description });
    if !order.is_whole {
        body["value"] = money::number(order.amount).into();
    }
    body
}

/// Returns the refund of that reference. Of several, one that moves money has precedence.
fn of_reference(refunds: Vec<GatewayRefund>, reference: &str) -> Option<GatewayRefund> {
    refunds
        .into_iter()
        .filter(|refund| refund.reference.as_deref() == Some(reference))
        .min_by_key(|refund| refund.status == RefundStatus::Failed)
}

impl Asaas {
    /// Searches first: a second request would refund twice.
    pub(super) async fn create_refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError> {
        self.descriptor()
            .capabilities(order.method)
            .refundable()
            .map_err(|why| GatewayError::new(ErrorClass::Rejected, "not_refundable", why))?;
        let deadline = Deadline::after(within);
        if let Some(there) = self.refund_of(order, deadline).await? {
            return Ok(there);
        }
        let path = ["payments", &order.payment, "refund"];
        let answer = self
            .post(&path, &body(order), (deadline, Effect::Creates))
            .await
            .map_err(errors::without_a_payment)?;
        let charge = answer.read::<Payment>(Effect::Creates)?.to_charge(None);
        let reported = charge
            .map_err(GatewayError::after_an_effect)
            .map(|charge| of_reference(charge.refunds, &order.reference))?;
        if let Some(refund) = reported {
            return Ok(refund);
        }
        self.refund_of(order, deadline)
            .await
            .map_err(GatewayError::after_an_effect)?
            .ok_or_else(|| unreadable("the refund was taken, and is not listed yet"))
    }

    pub(super) async fn read_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        self.refund_of(order, Deadline::after(CALL_TIMEOUT)).await
    }

    async fn refund_of(
        &self,
        order: &RefundRequest,
        deadline: Deadline,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        let path = ["payments", &order.payment, "refunds"];
        let refunds: Vec<Refund> = match self.list(&path, &[], (MAX_PAGES, deadline)).await {
            Err(error) if errors::is_absent(&error) => return Ok(None),
            answer => answer?,
        };
        let refunds = of_payment(&order.payment, &refunds)
            .ok_or_else(|| unreadable("a refund's value is not readable"))?;
        Ok(of_reference(refunds, &order.reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asaas::tests::at;
    use schemas::payment_method::PaymentMethodKind;

    fn reference(n: u128) -> String {
        RefundId::from(uuid::Uuid::from_u128(n)).reference()
    }

    fn refunds(list: Value) -> Vec<GatewayRefund> {
        let list: Vec<Refund> = serde_json::from_value(list).expect("refunds");
        of_payment("pay_1", &list).expect("readable")
    }

    #[test]
    fn our_reference_is_found_in_the_text_and_others_have_stable_ids() {
        let ours = reference(7);
        let read = refunds(json!([
            { "dateCreated": "2026-07-15 10:00:00", "status": "DONE", "value": 10.5, "description": format!("{ours} too small") },
            { "dateCreated": "2026-07-15 11:00:00", "status": "AWAITING_CRITICAL_ACTION_AUTHORIZATION", "value": 3, "description": null },
            { "dateCreated": "2026-07-15 11:00:00", "status": "CANCELLED", "value": 3, "description": "by hand" },
        ]));
        let shown: Vec<_> = read
            .iter()
            .map(|one| (one.id.as_str(), one.status, one.reason.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                (ours.as_str(), RefundStatus::Succeeded, None),
                (
                    "2026-07-15 11:00:00/300",
                    RefundStatus::Pending,
                    Some("AWAITING_CRITICAL_ACTION_AUTHORIZATION")
                ),
                (
                    "2026-07-15 11:00:00/300/2",
                    RefundStatus::Failed,
                    Some("CANCELLED")
                ),
            ]
        );
        assert_eq!(read[0].reference.as_deref(), Some(ours.as_str()));
        assert_eq!(read[1].reference, None);
        assert_eq!(read[0].created_at, Some(at("2026-07-15T13:00:00Z")));
    }

    #[test]
    fn of_two_refunds_of_one_reference_the_one_that_gives_money_back_counts() {
        let ours = reference(7);
        let read = refunds(json!([
            { "dateCreated": "2026-07-15 10:00:00", "status": "CANCELLED", "value": 5, "description": ours },
            { "dateCreated": "2026-07-15 11:00:00", "status": "DONE", "value": 5, "description": ours },
        ]));
        assert_ne!(read[0].id, read[1].id);
        let found = of_reference(read, &ours).expect("found");
        assert_eq!(found.status, RefundStatus::Succeeded);
        assert_eq!(of_reference(Vec::new(), &ours), None);
    }

    #[test]
    fn a_whole_refund_names_no_sum_and_a_partial_one_does() {
        let order = RefundRequest {
            reference: "re1".to_owned(),
            charge: "pay_1".to_owned(),
            charge_reference: "at1".to_owned(),
            payment: "pay_1".to_owned(),
            end_to_end_id: None,
            method: PaymentMethodKind::Pix,
            amount: 1_050,
            is_whole: true,
            reason: Some("too small".to_owned()),
            created_at: at("2026-07-15T13:00:00Z"),
        };
        assert_eq!(
            body(&order).to_string(),
            r#"{"description":"re1 too small"}"#
        );
        let partial = RefundRequest {
            is_whole: false,
            reason: None,
            ..order
        };
        assert_eq!(
            body(&partial).to_string(),
            r#"{"description":"re1","value":10.5}"#
        );
    }
}
