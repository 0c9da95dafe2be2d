//! Asaas: Pix, boleto, and card on Asaas's page. There is no idempotency, so charges must be searched. A charge never expires by
//! itself, a declined card leaves it payable, and a chargeback's end is reported by the payment's status alone.

use schemas::{
    gateway::GatewayKind,
    payment_method::{Discount, DueDate, PaymentMethod},
};
use serde_json::json;

use crate::bench::{Bench, Environment, SetUp, day_in, order};

mod dashboard;
mod lookup;
mod money;
mod set_up;

const KEY: &str = "$aact_hmlg_loja";

async fn open(method: PaymentMethod) -> Bench {
    open_in(Environment::start().await, method)
}

pub(crate) fn open_in(environment: Environment, method: PaymentMethod) -> Bench {
    let set_up = SetUp {
        kind: GatewayKind::Asaas,
        simulator: "asaas",
        credentials: json!({ "api_key": KEY }),
        refused: json!({ "api_key": "$aact_hmlg_revoked" }),
        creates: ("POST", "/v3/payments"),
        refunds: ("POST", "/v3/payments/"),
    };
    Bench::new(environment, set_up, order(method))
}

pub(crate) fn by_pix() -> PaymentMethod {
    PaymentMethod::Pix {
        expires_in: 3_600,
        due: None,
    }
}

async fn pix() -> Bench {
    open(by_pix()).await
}

/// Returns Pix with a due date: like a boleto, but paid by a code.
pub(crate) fn by_pix_due() -> PaymentMethod {
    PaymentMethod::Pix {
        expires_in: 3_600,
        due: Some(DueDate {
            due_date: day_in(5),
            days_after_due: 10,
            fine_bps: 200,
            monthly_interest_bps: 150,
            discount: Some(Discount {
                amount: 500,
                until: day_in(2),
            }),
        }),
    }
}

async fn pix_due() -> Bench {
    open(by_pix_due()).await
}

pub(crate) fn by_boleto() -> PaymentMethod {
    PaymentMethod::Boleto {
        due_date: day_in(5),
        days_after_due: 10,
        fine_bps: 200,
        monthly_interest_bps: 150,
        discount: Some(Discount {
            amount: 500,
            until: day_in(2),
        }),
    }
}

async fn boleto() -> Bench {
    open(by_boleto()).await
}

pub(crate) fn by_card() -> PaymentMethod {
    PaymentMethod::Card {
        max_installments: 1,
        success_url: "https://shop.example/ok".to_owned(),
        cancel_url: "https://shop.example/no".to_owned(),
        expires_in: 86_400,
    }
}

async fn card() -> Bench {
    open(by_card()).await
}

/// Lists the promises that Asaas meets for every method.
macro_rules! promises_of_all {
    ($method:ident: $($more:ident),+ $(,)?) => {
        promises! { super::$method:
            a_valid_order_is_accepted,
            a_cnpj_with_letters_may_be_refused,
            a_charge_is_created_and_shown,
            nothing_is_found_where_nothing_was_created,
            a_refused_connection_creates_nothing,
            a_reset_before_the_effect_is_unknown_and_absent,
            a_reset_after_the_effect_is_unknown_and_found,
            a_503_after_the_effect_is_unknown_and_found,
            a_503_without_an_effect_is_unknown_and_absent,
            a_malformed_answer_is_unknown_and_found,
            a_truncated_answer_is_unknown_and_found,
            a_timeout_is_unknown,
            a_429_is_throttled_and_reports_how_long,
            a_date_to_retry_after_is_a_wait,
            what_a_proxy_turns_away_is_not_created,
            a_proxies_page_after_the_effect_is_unknown_and_found,
            an_empty_401_or_403_is_denied,
            a_proxies_404_hides_no_charge,
            a_charge_is_found_by_the_id_that_is_known,
            odd_contact_data_lose_no_sale,
            refused_credentials_are_denied,
            a_lasting_401_is_denied,
            errors_contain_nothing_of_the_payer,
            a_cancelled_charge_cannot_be_paid,
            cancelling_twice_ends_the_same,
            a_charge_known_by_its_ids_can_be_cancelled,
            a_payment_wins_over_a_cancellation,
            a_lost_answer_to_cancelling_is_found_out,
            a_charge_past_its_due_date_is_overdue_and_payable,
            a_payment_is_shown_with_its_money,
            a_payment_is_reported,
            the_same_reported_twice_has_the_same_keys,
            what_no_one_proved_concludes_nothing,
            a_payment_no_one_reported_is_caught_up,
            a_future_with_nothing_in_it_lists_nothing,
            $($more),+
        }
    };
}

mod of_pix {
    promises_of_all! { pix:
        a_code_that_is_not_readable_is_shown_and_ended,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_over_the_sum_is_refused,
        a_refund_is_found_by_our_reference,
        a_refund_of_the_panel_is_shown_without_our_reference,
        a_probe_reports_whose_account_it_is,
        a_probe_with_refused_credentials_is_denied,
        a_set_up_that_lasts_gives_no_findings,
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
    }
}

mod of_pix_due {
    promises! { super::pix_due:
        a_valid_order_is_accepted,
        a_charge_is_created_and_shown,
        a_503_after_the_effect_is_unknown_and_found,
        a_cancelled_charge_cannot_be_paid,
        a_charge_past_its_due_date_is_overdue_and_payable,
        a_payment_is_shown_with_its_money,
    }
}

mod of_boleto {
    promises_of_all! { boleto:
        what_cannot_be_given_back_is_refused_here,
    }
}

mod of_card {
    promises_of_all! { card:
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_over_the_sum_is_refused,
        a_refund_is_found_by_our_reference,
        a_refund_of_the_panel_is_shown_without_our_reference,
        a_dispute_no_one_reported_is_caught_up,
    }
}
