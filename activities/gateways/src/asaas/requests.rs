//! Request bodies of an order, identical to the byte on every send. `docs/gateways/asaas.md#create-a-charge`.

use schemas::{
    calendar,
    payment_method::{DueDate, PaymentMethod, PaymentMethodKind},
    route::Unmet,
};
use serde_json::{Value, json};

use crate::{ChargeRequest, money};

pub(in crate::asaas) mod calls;
pub(in crate::asaas) mod customers;

/// Smallest amount that Asaas accepts, in centavos.
const MIN_AMOUNT: i64 = 500;
const MAX_DESCRIPTION: usize = 500;

/// Returns Asaas's name of a method.
pub(super) fn billing_type(method: PaymentMethodKind) -> &'static str {
    match method {
        PaymentMethodKind::Pix => "PIX",
        PaymentMethodKind::Boleto => "BOLETO",
        PaymentMethodKind::Card => "CREDIT_CARD",
    }
}

/// Returns the requirements that `order` does not meet. Of the payer, Asaas needs only a name and a document, which every order has.
pub(super) fn unmet(order: &ChargeRequest) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    let mut lacks = |field: &str, reason: &str| {
        unmet.push(Unmet {
            field: field.to_owned(),
            reason: reason.to_owned(),
        });
    };
    if order.amount < MIN_AMOUNT {
        lacks("amount", "is at least R$ 5,00");
    }
    let due = order.method.due();
    if due.is_some_and(|due| due.due_date < calendar::today(order.created_at)) {
        let field = match order.method.kind() {
            PaymentMethodKind::Pix => "payment_method.due.due_date",
            PaymentMethodKind::Boleto | PaymentMethodKind::Card => "payment_method.due_date",
        };
        lacks(field, "must not be in the past");
    }
    if let PaymentMethod::Card {
        max_installments: 2..,
        ..
    } = order.method
    {
        lacks(
            "payment_method.max_installments",
            "is 1 here: Asaas fixes the number when the charge is made, and its page offers no choice",
        );
    }
    unmet
}

/// Returns the body of the create request.
pub(super) fn body(order: &ChargeRequest, customer: &str) -> Value {
    let due = order.method.due();
    // Asaas's shortest lifetime is a day: our own timer deletes the payment earlier
    let due_date = due
        .as_ref()
        .map_or_else(|| calendar::today(order.expires_at), |due| due.due_date);
    let mut body = json!({
        "customer": customer,
        "billingType": billing_type(order.method.kind()),
        "value": money::number(order.amount),
        "dueDate": due_date.to_string(),
        "externalReference": order.reference,
    });
    if let Some(text) = &order.description {
        let text: String = text.chars().take(MAX_DESCRIPTION).collect();
        body["description"] = text.into();
    }
    if let Some(due) = &due {
        add_terms(&mut body, due);
    }
    match &order.method {
        PaymentMethod::Pix { .. } => {}
        PaymentMethod::Boleto { .. } => {
            // counted to the last business day on which it can be paid: a bank must still find it registered on that day
            let days = due.map_or(0, |due| (due.last_day() - due.due_date).num_days());
            body["daysAfterDueDateToRegistrationCancellation"] = days.into();
        }
        PaymentMethod::Card { success_url, .. } => {
            body["callback"] = json!({ "successUrl": success_url, "autoRedirect": true });
        }
    }
    body
}

fn add_terms(body: &mut Value, due: &DueDate) {
    if due.fine_bps > 0 {
        body["fine"] = json!({ "value": money::percent(due.fine_bps), "type": "PERCENTAGE" });
    }
    if due.monthly_interest_bps > 0 {
        body["interest"] = json!({ "value": money::percent(due.monthly_interest_bps) });
    }
    if let Some(discount) = &due.discount {
        body["discount"] = json!({
            "value": money::number(discount.amount),
            "dueDateLimitDays": (due.due_date - discount.until).num_days(),
            "type": "FIXED",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asaas::tests::{boleto, card, order, pix};

    fn fields(order: &ChargeRequest) -> Vec<String> {
        unmet(order).into_iter().map(|unmet| unmet.field).collect()
    }

    #[test]
    fn everything_that_asaas_cannot_do_is_named_beforehand() {
        for method in [pix(), boleto("2026-07-20"), card(1)] {
            assert_eq!(unmet(&order(method)), []);
        }
        assert_eq!(fields(&order(card(2))), ["payment_method.max_installments"]);
        // the order was created on 14 July, Brazilian time
        assert_eq!(unmet(&order(boleto("2026-07-14"))), []);
        assert_eq!(
            fields(&order(boleto("2026-07-13"))),
            ["payment_method.due_date"]
        );
        let cheap = ChargeRequest {
            amount: 499,
            ..order(card(12))
        };
        assert_eq!(
            fields(&cheap),
            ["amount", "payment_method.max_installments"]
        );
    }

    #[test]
    fn a_pix_is_due_on_the_day_it_ends_in_brazil() {
        let body = body(&order(pix()), "cus_1");
        assert_eq!(
            body.to_string(),
            r#"{"customer":"cus_1","billingType":"PIX","value":123.45,"dueDate":"2026-07-14","externalReference":"at1","description":"Order 1"}"#
        );
    }

    #[test]
    fn a_boleto_carries_its_terms_and_stays_registered_to_its_last_business_day() {
        // a Friday; two days later is a Sunday, so Monday is the last business day
        let body = body(&order(boleto("2026-07-17")), "cus_1");
        assert_eq!(body["billingType"], "BOLETO");
        assert_eq!(body["dueDate"], "2026-07-17");
        assert_eq!(body["daysAfterDueDateToRegistrationCancellation"], 3);
        assert_eq!(
            body["fine"].to_string(),
            r#"{"value":2,"type":"PERCENTAGE"}"#
        );
        assert_eq!(body["interest"].to_string(), r#"{"value":1.5}"#);
        assert_eq!(
            body["discount"].to_string(),
            r#"{"value":5,"dueDateLimitDays":4,"type":"FIXED"}"#
        );
    }

    #[test]
    fn a_card_goes_back_to_the_shop() {
        let body = body(&order(card(1)), "cus_1");
        assert_eq!(body["billingType"], "CREDIT_CARD");
        assert_eq!(
            body["callback"].to_string(),
            r#"{"successUrl":"https://shop.example/ok","autoRedirect":true}"#
        );
        assert!(body.get("installmentCount").is_none());
    }
}
