//! Requirements of Stripe for an order.

use std::ops::RangeInclusive;

use schemas::{
    payer::Payer,
    payment_method::{DueDate, PaymentMethod},
    route::Unmet,
};

use crate::{ChargeRequest, stripe::requests};

/// Accepted amounts in centavos.
const AMOUNT: RangeInclusive<i64> = 50..=99_999_999;
/// Accepted amounts of a boleto, in centavos.
const BOLETO_AMOUNT: RangeInclusive<i64> = 500..=4_999_999;
/// Lifetime of a Pix code in seconds.
const PIX_LIFE_S: RangeInclusive<i64> = 60..=1_209_600;
/// Number of days after its creation during which a boleto can be paid.
const BOLETO_DAYS: RangeInclusive<i64> = 0..=60;

const EMAIL: &str = "is required, at a domain that is known to the internet";

/// Returns the requirements that `order` does not meet.
pub(in crate::stripe) fn unmet(order: &ChargeRequest) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    let mut need = |met: bool, field: &str, reason: &str| {
        if !met {
            unmet.push(Unmet {
                field: field.to_owned(),
                reason: reason.to_owned(),
            });
        }
    };
    let payer = &order.payer;
    match &order.method {
        PaymentMethod::Pix { expires_in, due } => {
            need(has_email(payer), "payer.email", EMAIL);
            need(
                due.is_none(),
                "payment_method.due",
                "Stripe's Pix has no due date",
            );
            need(
                PIX_LIFE_S.contains(expires_in),
                "payment_method.expires_in",
                "is from 60 seconds to 14 days",
            );
            amount(order, &AMOUNT, &mut need);
        }
        PaymentMethod::Boleto { .. } => {
            need(has_email(payer), "payer.email", EMAIL);
            need(payer.address.is_some(), "payer.address", "is required");
            amount(order, &BOLETO_AMOUNT, &mut need);
            if let Some(due) = order.method.due() {
                dates(order, &due, &mut need);
            }
        }
        PaymentMethod::Card { .. } => amount(order, &AMOUNT, &mut need),
    }
    unmet
}

/// Returns true if the payer has an e-mail address with a full host: Stripe refuses one at a bare host (`maria@localhost`).
fn has_email(payer: &Payer) -> bool {
    let host = payer.email.as_deref().and_then(|it| it.rsplit_once('@'));
    let parts = host.and_then(|(_, host)| host.rsplit_once('.'));
    parts.is_some_and(|(name, end)| !name.is_empty() && !end.is_empty())
}

fn amount(
    order: &ChargeRequest,
    taken: &RangeInclusive<i64>,
    need: &mut impl FnMut(bool, &str, &str),
) {
    let reais = |centavos: &i64| crate::money::decimal(*centavos).replace('.', ",");
    let reason = format!(
        "is from R$ {} to R$ {}",
        reais(taken.start()),
        reais(taken.end())
    );
    need(taken.contains(&order.amount), "amount", &reason);
}

/// Checks a boleto's dates. Stripe's boleto has the same amount on each day, and a limited number of days.
fn dates(order: &ChargeRequest, due: &DueDate, need: &mut impl FnMut(bool, &str, &str)) {
    let alone = DueDate {
        days_after_due: 0,
        ..due.clone()
    };
    let fits = |due: &DueDate| BOLETO_DAYS.contains(&requests::days(order, due));
    let reason = "a boleto is payable for at most 60 days, from today on";
    need(fits(&alone), "payment_method.due_date", reason);
    need(
        !fits(&alone) || fits(due),
        "payment_method.days_after_due",
        reason,
    );
    let none = "Stripe's boleto has none";
    need(due.fine_bps == 0, "payment_method.fine_bps", none);
    need(
        due.monthly_interest_bps == 0,
        "payment_method.monthly_interest_bps",
        none,
    );
    need(due.discount.is_none(), "payment_method.discount", none);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::tests::order;
    use serde_json::json;

    fn lacking(order: &ChargeRequest) -> Vec<String> {
        unmet(order).into_iter().map(|unmet| unmet.field).collect()
    }

    #[test]
    fn each_method_is_taken_when_nothing_lacks() {
        for method in [
            json!({ "type": "pix", "expires_in": 3600 }),
            json!({ "type": "boleto", "due_date": "2026-12-01", "days_after_due": 5 }),
            json!({ "type": "card", "max_installments": 12, "success_url": "https://s/ok", "cancel_url": "https://s/no" }),
        ] {
            assert_eq!(unmet(&order(method)), []);
        }
    }

    #[test]
    fn every_field_that_a_pix_lacks_is_named() {
        let due = json!({ "due_date": "2026-12-01" });
        let mut poor = order(json!({ "type": "pix", "expires_in": 59, "due": due }));
        poor.payer.email = None;
        poor.amount = 49;
        assert_eq!(
            lacking(&poor),
            [
                "payer.email",
                "payment_method.due",
                "payment_method.expires_in",
                "amount"
            ]
        );
    }

    #[test]
    fn every_field_that_a_boleto_lacks_is_named() {
        let mut poor = order(json!({
            "type": "boleto", "due_date": "2027-12-01", "days_after_due": 1, "fine_bps": 200, "monthly_interest_bps": 100,
            "discount": { "amount": 1, "until": "2026-11-30" },
        }));
        (poor.payer.email, poor.payer.address, poor.amount) = (None, None, 499);
        assert_eq!(
            lacking(&poor),
            [
                "payer.email",
                "payer.address",
                "amount",
                "payment_method.due_date",
                "payment_method.fine_bps",
                "payment_method.monthly_interest_bps",
                "payment_method.discount"
            ]
        );
    }

    #[test]
    fn a_boletos_days_end_with_the_sixtieth() {
        // 60 days after 25 November 2026 is a Sunday: the Friday before is the last day that is accepted
        let boleto = |due: &str, after: u16| {
            order(json!({ "type": "boleto", "due_date": due, "days_after_due": after }))
        };
        assert!(lacking(&boleto("2027-01-22", 0)).is_empty());
        assert_eq!(
            lacking(&boleto("2027-01-25", 0)),
            ["payment_method.due_date"]
        );
        assert_eq!(
            lacking(&boleto("2027-01-22", 3)),
            ["payment_method.days_after_due"]
        );
        assert_eq!(
            lacking(&boleto("2026-11-24", 0)),
            ["payment_method.due_date"]
        );
    }

    #[test]
    fn a_card_needs_no_word_about_its_payer() {
        let mut poor = order(
            json!({ "type": "card", "success_url": "https://s/ok", "cancel_url": "https://s/no" }),
        );
        (poor.payer.email, poor.payer.address) = (None, None);
        assert_eq!(unmet(&poor), []);
        poor.amount = 100_000_000;
        assert_eq!(lacking(&poor), ["amount"]);
    }
}
