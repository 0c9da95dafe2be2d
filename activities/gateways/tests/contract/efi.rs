//! Efí: Pix with and without a due date, boletos, card links.

use schemas::{
    gateway::GatewayKind,
    payment_method::{DueDate, PaymentMethod},
};
use serde_json::{Value, json};

use crate::bench::{Bench, Environment, SetUp, day_in, order};

mod of_cobrancas;
mod of_pix;

fn credentials(environment: &Environment, name: &str) -> Value {
    json!({
        "client_id": format!("Client_Id_{name}"),
        "client_secret": format!("Client_Secret_{name}"),
        "certificate": environment.simulators.client_pem,
        "pix_key": "71cdf9ba-c695-4e3c-b010-abb521a3f1be",
    })
}

/// Opens a bench of the API Pix. `path`: beginning of the path that creates charges.
async fn pix_by(name: &str, path: &'static str, due: Option<DueDate>) -> Bench {
    pix_in(Environment::start().await, name, path, due)
}

pub(crate) fn pix_in(
    environment: Environment,
    name: &str,
    path: &'static str,
    due: Option<DueDate>,
) -> Bench {
    let set_up = SetUp {
        kind: GatewayKind::Efi,
        simulator: "efi",
        credentials: credentials(&environment, name),
        refused: credentials(&environment, "revoked"),
        creates: ("PUT", path),
        refunds: ("PUT", "/v2/pix/"),
    };
    let method = PaymentMethod::Pix {
        expires_in: 3_600,
        due,
    };
    Bench::new(environment, set_up, order(method))
}

async fn pix() -> Bench {
    pix_by("loja", "/v2/cob/", None).await
}

/// Opens a bench of the API Pix whose errors have BACEN's shape, and whose absences are 400.
async fn pix_bacen() -> Bench {
    let bench = pix().await;
    let settings = json!({ "errors": "bacen", "not_found_status": 400 });
    bench.control.set(settings).await;
    bench
}

async fn pix_due() -> Bench {
    let due = DueDate {
        due_date: day_in(5),
        days_after_due: 10,
        fine_bps: 200,
        monthly_interest_bps: 100,
        discount: None,
    };
    pix_by("loja", "/v2/cobv/", Some(due)).await
}

/// Opens a bench of the API Cobranças.
async fn cobrancas(method: PaymentMethod) -> Bench {
    cobrancas_in(Environment::start().await, method)
}

pub(crate) fn cobrancas_in(environment: Environment, method: PaymentMethod) -> Bench {
    let set_up = SetUp {
        kind: GatewayKind::Efi,
        simulator: "efi_cobrancas",
        credentials: credentials(&environment, "loja"),
        refused: credentials(&environment, "revoked"),
        creates: ("POST", "/v1/charge/"),
        refunds: ("POST", "/v1/charge/card/"),
    };
    Bench::new(environment, set_up, order(method))
}

pub(crate) fn by_boleto() -> PaymentMethod {
    PaymentMethod::Boleto {
        due_date: day_in(5),
        days_after_due: 10,
        fine_bps: 200,
        monthly_interest_bps: 100,
        discount: None,
    }
}

async fn boleto() -> Bench {
    cobrancas(by_boleto()).await
}

pub(crate) fn by_card() -> PaymentMethod {
    PaymentMethod::Card {
        max_installments: 1,
        success_url: "https://shop.example.com/ok".to_owned(),
        cancel_url: "https://shop.example.com/no".to_owned(),
        expires_in: 86_400,
    }
}

async fn card() -> Bench {
    cobrancas(by_card()).await
}

mod pix {
    promises! { super::pix:
        a_valid_order_is_accepted,
        a_cnpj_with_letters_may_be_refused,
        a_charge_is_created_and_shown,
        a_code_that_is_not_readable_is_shown_and_ended,
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
        a_payment_is_shown_with_its_money,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        creating_twice_creates_once,
        a_charge_past_its_last_instant_is_not_payable,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_over_the_sum_is_refused,
        the_same_refund_twice_gives_back_once,
        a_refund_is_found_by_our_reference,
        a_refund_of_the_panel_is_shown_without_our_reference,
        a_dispute_is_seen_and_is_no_refund,
        a_dispute_won_leaves_the_money,
        a_dispute_no_one_reported_is_caught_up,
        a_future_with_nothing_in_it_lists_nothing,
        a_probe_reports_whose_account_it_is,
        a_probe_with_refused_credentials_is_denied,
        a_set_up_that_lasts_gives_no_findings,
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
        a_replaced_address_is_restored,
        a_strangers_address_is_replaced_only_by_consent,
    }
}

mod pix_bacen {
    promises! { super::pix_bacen:
        a_charge_is_created_and_shown,
        creating_twice_creates_once,
        nothing_is_found_where_nothing_was_created,
        a_cancelled_charge_cannot_be_paid,
        a_payment_wins_over_a_cancellation,
        a_refund_over_the_sum_is_refused,
        the_same_refund_twice_gives_back_once,
        a_refund_is_found_by_our_reference,
        errors_contain_nothing_of_the_payer,
        a_missing_address_is_registered_again,
    }
}

mod pix_due {
    promises! { super::pix_due:
        a_valid_order_is_accepted,
        a_cnpj_with_letters_may_be_refused,
        a_charge_is_created_and_shown,
        a_code_that_is_not_readable_is_shown_and_ended,
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
        a_payment_is_shown_with_its_money,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        creating_twice_creates_once,
        a_whole_refund_is_shown,
        a_dispute_is_seen_and_is_no_refund,
    }
}

mod boleto {
    promises! { super::boleto:
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
        a_payment_is_shown_with_its_money,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        a_charge_past_its_due_date_is_overdue_and_payable,
        what_cannot_be_given_back_is_refused_here,
        a_future_with_nothing_in_it_lists_nothing,
    }
}

mod card {
    promises! { super::card:
        a_valid_order_is_accepted,
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
        a_payment_is_shown_with_its_money,
        a_payment_is_reported,
        the_same_reported_twice_has_the_same_keys,
        what_no_one_proved_concludes_nothing,
        a_payment_no_one_reported_is_caught_up,
        a_charge_past_its_last_instant_is_not_payable,
        a_decline_is_a_failure,
        a_whole_refund_is_shown,
    }
}
