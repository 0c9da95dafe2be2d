//! Bodies of the create requests: functions of the order alone, so that a repeated request is identical to the byte.

use chrono::TimeDelta;
use schemas::{
    calendar,
    payer::Address,
    payment_method::{DueDate, PaymentMethod},
};

use crate::ChargeRequest;

pub(in crate::stripe) mod accepts;
pub(in crate::stripe) mod calls;
pub(in crate::stripe) mod listing;

use calls::Form;

/// Shortest lifetime of a page from its creation by Stripe, plus five minutes for clock differences and slow calls.
const SHORTEST_PAGE: TimeDelta = TimeDelta::minutes(35);
/// Longest lifetime of a page: a day, minus a minute for clock differences.
const LONGEST_PAGE: TimeDelta = TimeDelta::minutes(24 * 60 - 1);
/// Item's name, if the merchant gives no description.
const ITEM: &str = "Pagamento";

/// Returns the body of the create request.
pub(super) fn body(order: &ChargeRequest) -> Form {
    match &order.method {
        PaymentMethod::Pix { expires_in, .. } => pix(order, *expires_in),
        PaymentMethod::Boleto { .. } => boleto(order),
        PaymentMethod::Card {
            max_installments,
            success_url,
            cancel_url,
            ..
        } => card(order, *max_installments, (success_url, cancel_url)),
    }
}

fn intent(order: &ChargeRequest, method: &str) -> Form {
    let mut form = vec![
        ("amount", order.amount.to_string()),
        ("currency", "brl".to_owned()),
        ("confirm", "true".to_owned()),
        ("payment_method_types[0]", method.to_owned()),
        ("payment_method_data[type]", method.to_owned()),
        (
            "payment_method_data[billing_details][name]",
            order.payer.name.clone(),
        ),
        ("metadata[reference]", order.reference.clone()),
    ];
    if let Some(email) = &order.payer.email {
        form.push(("payment_method_data[billing_details][email]", email.clone()));
    }
    if let Some(description) = &order.description {
        form.push(("description", description.clone()));
    }
    form
}

fn pix(order: &ChargeRequest, expires_in: i64) -> Form {
    let mut form = intent(order, "pix");
    form.push((
        "payment_method_options[pix][expires_after_seconds]",
        expires_in.to_string(),
    ));
    form
}

fn boleto(order: &ChargeRequest) -> Form {
    let mut form = intent(order, "boleto");
    form.push((
        "payment_method_data[boleto][tax_id]",
        order.payer.document.as_str().to_owned(),
    ));
    if let Some(address) = &order.payer.address {
        form.extend(billing(address));
    }
    if let Some(due) = order.method.due() {
        form.push((
            "payment_method_options[boleto][expires_after_days]",
            days(order, &due).to_string(),
        ));
    }
    form
}

/// Returns the number of days after its creation during which a boleto can be paid, in São Paulo. Both dates come from the order,
/// never from a clock. Stripe has one date only, so its slip shows the last payable day as the due date.
pub(super) fn days(order: &ChargeRequest, due: &DueDate) -> i64 {
    let made = calendar::today(order.created_at);
    due.last_day().signed_duration_since(made).num_days()
}

fn billing(address: &Address) -> Form {
    let second = match &address.complement {
        Some(complement) => format!("{complement}, {}", address.district),
        None => address.district.clone(),
    };
    vec![
        (
            "payment_method_data[billing_details][address][line1]",
            format!("{}, {}", address.street, address.number),
        ),
        (
            "payment_method_data[billing_details][address][line2]",
            second,
        ),
        (
            "payment_method_data[billing_details][address][city]",
            address.city.clone(),
        ),
        (
            "payment_method_data[billing_details][address][state]",
            address.state.clone(),
        ),
        (
            "payment_method_data[billing_details][address][postal_code]",
            address.postal_code.clone(),
        ),
        (
            "payment_method_data[billing_details][address][country]",
            "BR".to_owned(),
        ),
    ]
}

fn card(order: &ChargeRequest, max_installments: u16, (success, cancel): (&str, &str)) -> Form {
    let item = order.description.as_deref().unwrap_or(ITEM);
    let mut form = vec![
        ("mode", "payment".to_owned()),
        ("payment_method_types[0]", "card".to_owned()),
        ("locale", "pt-BR".to_owned()),
        ("success_url", success.to_owned()),
        ("cancel_url", cancel.to_owned()),
        ("expires_at", page_ends(order).to_string()),
        ("client_reference_id", order.reference.clone()),
        ("metadata[reference]", order.reference.clone()),
        // a session's metadata is not copied to its intent, which refunds and disputes reference
        (
            "payment_intent_data[metadata][reference]",
            order.reference.clone(),
        ),
        ("line_items[0][quantity]", "1".to_owned()),
        ("line_items[0][price_data][currency]", "brl".to_owned()),
        (
            "line_items[0][price_data][unit_amount]",
            order.amount.to_string(),
        ),
        (
            "line_items[0][price_data][product_data][name]",
            item.to_owned(),
        ),
    ];
    if let Some(email) = &order.payer.email {
        form.push(("customer_email", email.clone()));
    }
    if let Some(description) = &order.description {
        form.push(("payment_intent_data[description]", description.clone()));
    }
    if max_installments > 1 {
        form.push((
            "payment_method_options[card][installments][enabled]",
            "true".to_owned(),
        ));
    }
    form
}

/// Returns the time at which the page closes by itself, in seconds. An order that ends before Stripe's minimum is closed by us.
fn page_ends(order: &ChargeRequest) -> i64 {
    let shortest = order.created_at + SHORTEST_PAGE;
    let longest = order.created_at + LONGEST_PAGE;
    order.expires_at.clamp(shortest, longest).timestamp()
}

#[cfg(test)]
mod tests {
    use super::super::tests::order;
    use super::*;

    fn value<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
        let found = form.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn boleto_due(created_at: &str, due_date: &str, days_after_due: u16) -> ChargeRequest {
        let method = serde_json::json!({ "type": "boleto", "due_date": due_date, "days_after_due": days_after_due });
        ChargeRequest {
            created_at: created_at.parse().expect("a time"),
            ..order(method)
        }
    }

    #[test]
    fn a_boletos_days_are_counted_in_sao_paulo_and_to_its_last_payable_day() {
        const DAYS: &str = "payment_method_options[boleto][expires_after_days]";
        for (created_at, due_date, after, days) in [
            ("2026-11-25T15:00:00Z", "2026-11-25", 0, "0"),
            // half past ten of the evening before, in São Paulo
            ("2026-11-25T01:30:00Z", "2026-11-25", 0, "1"),
            ("2026-11-25T15:00:00Z", "2026-11-27", 0, "2"),
            // a Saturday moves to Monday
            ("2026-11-25T15:00:00Z", "2026-11-28", 0, "5"),
            ("2026-11-25T15:00:00Z", "2026-11-27", 3, "5"),
        ] {
            let form = body(&boleto_due(created_at, due_date, after));
            assert_eq!(value(&form, DAYS), Some(days), "{created_at} {due_date}");
        }
    }

    #[test]
    fn a_page_is_never_open_for_less_or_more_than_stripe_allows() {
        let ends_after = |seconds: i64| {
            let card = order(serde_json::json!({
                "type": "card", "success_url": "https://shop/ok", "cancel_url": "https://shop/no", "expires_in": seconds }));
            page_ends(&card) - card.created_at.timestamp()
        };
        assert_eq!(ends_after(1_800), 35 * 60);
        assert_eq!(ends_after(7_200), 7_200);
        assert_eq!(ends_after(86_400), 86_400 - 60);
    }

    #[test]
    fn the_reference_is_where_the_search_expects_it() {
        let card = order(serde_json::json!({
            "type": "card", "success_url": "https://shop/ok", "cancel_url": "https://shop/no", "max_installments": 6 }));
        let form = body(&card);
        for name in [
            "client_reference_id",
            "metadata[reference]",
            "payment_intent_data[metadata][reference]",
        ] {
            assert_eq!(value(&form, name), Some(card.reference.as_str()), "{name}");
        }
        let installments = "payment_method_options[card][installments][enabled]";
        assert_eq!(value(&form, installments), Some("true"));
        let pix = order(serde_json::json!({ "type": "pix", "expires_in": 600 }));
        assert_eq!(
            value(&body(&pix), "metadata[reference]"),
            Some(pix.reference.as_str())
        );
    }

    #[test]
    fn the_same_order_gives_the_same_bytes() {
        for order in [
            boleto_due("2026-11-25T15:00:00Z", "2026-11-27", 3),
            order(serde_json::json!({ "type": "pix", "expires_in": 600 })),
        ] {
            let stored = serde_json::to_vec(&order).expect("JSON");
            let read: ChargeRequest = serde_json::from_slice(&stored).expect("an order");
            assert_eq!(body(&read), body(&order));
        }
    }
}
