//! The contract: one suite of promises that each gateway meets for each payment method, over real sockets against the simulators.
//!
//! `contract!` lists the promises once, each with the condition on which it applies: the gateway's `Capabilities` choose. A gateway has one
//! file here, which opens it and tests what only it does. `Bench` opens it, `suite` contains the promises.
//! To add a gateway: a file like `efi.rs`.

/// Generates a test for each promise, against the gateway and method that `$open` opens. A promise whose condition the gateway's
/// capabilities do not meet prints that and passes.
macro_rules! contract {
    ($open:path) => {
        contract! { $open;
            always:
                a_valid_order_is_accepted
                a_charge_is_created_and_shown
                nothing_is_found_where_nothing_was_created
                a_refused_connection_creates_nothing
                a_reset_before_the_effect_is_unknown_and_absent
                a_reset_after_the_effect_is_unknown_and_found
                a_503_after_the_effect_is_unknown_and_found
                a_503_without_an_effect_is_unknown_and_absent
                a_malformed_answer_is_unknown_and_found
                a_truncated_answer_is_unknown_and_found
                a_timeout_is_unknown
                a_429_is_throttled_and_reports_how_long
                a_date_to_retry_after_is_a_wait
                what_a_proxy_turns_away_is_not_created
                a_proxies_page_after_the_effect_is_unknown_and_found
                an_empty_401_or_403_is_denied
                a_proxies_404_hides_no_charge
                a_charge_is_found_by_the_id_that_is_known
                odd_contact_data_lose_no_sale
                refused_credentials_are_denied
                a_lasting_401_is_denied
                errors_contain_nothing_of_the_payer
                a_cancelled_charge_cannot_be_paid
                cancelling_twice_ends_the_same
                a_charge_known_by_its_ids_can_be_cancelled
                a_payment_wins_over_a_cancellation
                a_lost_answer_to_cancelling_is_found_out
                a_payment_is_shown_with_its_money
                a_payment_is_reported
                the_same_reported_twice_has_the_same_keys
                what_no_one_proved_concludes_nothing
                a_payment_no_one_reported_is_caught_up
                a_future_with_nothing_in_it_lists_nothing;
            creates_once: creating_twice_creates_once;
            checks_documents: a_cnpj_with_letters_may_be_refused;
            shows_a_code: a_code_that_is_not_readable_is_shown_and_ended;
            expires: a_charge_past_its_last_instant_is_not_payable;
            stays_payable: a_charge_past_its_due_date_is_overdue_and_payable;
            declines: a_decline_is_a_failure;
            refunds: a_whole_refund_is_shown;
            refunds_in_parts:
                refunds_in_parts_are_each_shown
                a_refund_over_the_sum_is_refused
                a_refund_is_found_by_our_reference
                a_refund_of_the_dashboard_is_shown_without_our_reference;
            refunds_once: the_same_refund_twice_gives_back_once;
            refunds_nothing: what_cannot_be_given_back_is_refused_here;
            reports_disputes: a_dispute_no_one_reported_is_caught_up;
            shows_disputes: a_dispute_is_seen_and_is_no_refund;
            may_win_disputes: a_dispute_won_leaves_the_money;
            is_first_of_the_account:
                a_probe_reports_whose_account_it_is
                a_probe_with_refused_credentials_is_denied
                a_set_up_that_lasts_gives_no_findings
                a_missing_address_is_registered_again
                an_address_taken_back_is_no_longer_registered;
            has_one_address:
                a_replaced_address_is_restored
                a_strangers_address_is_replaced_only_by_consent;
        }
    };
    ($open:path; $($condition:ident: $($promise:ident)+;)+) => {
        $($(
            #[tokio::test]
            async fn $promise() {
                let bench = $open().await;
                if crate::suite::conditions::$condition(&bench) {
                    crate::suite::$promise(&bench).await;
                } else {
                    let condition = stringify!($condition);
                    eprintln!("this gateway and method are not promised that: {condition}");
                }
            }
        )+)+
    };
}

mod asaas;
mod bench;
mod control;
mod efi;
mod receiver;
mod requests;
mod stripe;
mod suite;
