//! Stripe: Pix and boleto by payment intents, cards by hosted pages.

use schemas::{
    gateway::GatewayKind,
    payment_method::{PaymentMethod, PaymentMethodKind},
};
use serde_json::json;

use crate::bench::{Bench, Environment, SetUp, day_in, order};

pub(crate) mod account;
mod specifics;

/// Opens a bench of the account `name` with an order by `method`, and returns the API's address.
async fn open(name: &str, method: PaymentMethod) -> (Bench, url::Url) {
    let environment = Environment::start().await;
    let api = environment.simulators.stripe.clone();
    (open_in(environment, name, method), api)
}

pub(crate) fn open_in(environment: Environment, name: &str, method: PaymentMethod) -> Bench {
    let creates = match method.kind() {
        PaymentMethodKind::Card => "/v1/checkout/sessions",
        PaymentMethodKind::Pix | PaymentMethodKind::Boleto => "/v1/payment_intents",
    };
    let set_up = SetUp {
        kind: GatewayKind::Stripe,
        simulator: "stripe",
        credentials: json!({ "secret_key": format!("sk_test_{name}") }),
        refused: json!({ "secret_key": "sk_test_revoked" }),
        creates: ("POST", creates),
        refunds: ("POST", "/v1/refunds"),
    };
    Bench::new(environment, set_up, order(method))
}

pub(crate) fn by_pix() -> PaymentMethod {
    PaymentMethod::Pix {
        expires_in: 3_600,
        due: None,
    }
}

pub(crate) fn by_boleto() -> PaymentMethod {
    PaymentMethod::Boleto {
        due_date: day_in(5),
        days_after_due: 10,
        fine_bps: 0,
        monthly_interest_bps: 0,
        discount: None,
    }
}

pub(crate) fn by_card() -> PaymentMethod {
    PaymentMethod::Card {
        max_installments: 12,
        success_url: "https://shop.example.com/ok".to_owned(),
        cancel_url: "https://shop.example.com/no".to_owned(),
        expires_in: 1_800,
    }
}

async fn pix() -> Bench {
    open("loja", by_pix()).await.0
}

async fn boleto() -> Bench {
    open("loja", by_boleto()).await.0
}

async fn card() -> Bench {
    open("loja", by_card()).await.0
}

mod pix {
    promises! { super::pix:
        a_valid_order_is_accepted,
        a_charge_is_created_and_shown,
        a_code_that_is_not_readable_is_shown_and_ended,
        creating_twice_creates_once,
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
        a_charge_past_its_last_instant_is_not_payable,
        a_payment_is_shown_with_its_money,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_over_the_sum_is_refused,
        the_same_refund_twice_gives_back_once,
        a_refund_is_found_by_our_reference,
        a_refund_of_the_panel_is_shown_without_our_reference,
        a_dispute_is_seen_and_is_no_refund,
        a_dispute_no_one_reported_is_caught_up,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        a_future_with_nothing_in_it_lists_nothing,
        a_decline_is_a_failure,
        a_probe_reports_whose_account_it_is,
        a_probe_with_refused_credentials_is_denied,
        a_set_up_that_lasts_gives_no_findings,
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
    }
}

mod boleto {
    promises! { super::boleto:
        a_valid_order_is_accepted,
        a_charge_is_created_and_shown,
        creating_twice_creates_once,
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
        a_charge_past_its_last_instant_is_not_payable,
        a_payment_is_shown_with_its_money,
        a_decline_is_a_failure,
        what_cannot_be_given_back_is_refused_here,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        a_future_with_nothing_in_it_lists_nothing,
    }
}

mod card {
    promises! { super::card:
        a_valid_order_is_accepted,
        a_charge_is_created_and_shown,
        creating_twice_creates_once,
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
        a_charge_past_its_last_instant_is_not_payable,
        a_payment_is_shown_with_its_money,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_over_the_sum_is_refused,
        the_same_refund_twice_gives_back_once,
        a_refund_is_found_by_our_reference,
        a_refund_of_the_panel_is_shown_without_our_reference,
        a_dispute_is_seen_and_is_no_refund,
        a_dispute_no_one_reported_is_caught_up,
        a_dispute_won_leaves_the_money,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        a_future_with_nothing_in_it_lists_nothing,
    }
}
