//! Efí: Pix (with and without a due date).

use schemas::{gateway::GatewayKind, payment_method::PaymentMethod};
use serde_json::{Value, json};

use crate::bench::{Bench, SetUp, World, order};

fn credentials(world: &World, name: &str) -> Value {
    json!({
        "client_id": format!("Client_Id_{name}"),
        "client_secret": format!("Client_Secret_{name}"),
        "certificate": world.simulators.client_pem,
        "pix_key": "71cdf9ba-c695-4e3c-b010-abb521a3f1be",
    })
}

async fn pix() -> Bench {
    let world = World::start().await;
    let set_up = SetUp {
        kind: GatewayKind::Efi,
        simulator: "efi",
        credentials: credentials(&world, "loja"),
        refused: credentials(&world, "revoked"),
        creates: ("PUT", "/v2/cob/"),
        refunds: ("PUT", "/v2/pix/"),
    };
    let method = PaymentMethod::Pix {
        expires_in: 3_600,
        due: None,
    };
    Bench::new(world, set_up, order(method))
}

mod pix {
    promises! { super::pix:
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
        a_429_is_throttled_and_tells_how_long,
        refused_credentials_are_denied,
        a_lasting_401_is_denied,
        errors_tell_nothing_of_the_payer,
        a_cancelled_charge_cannot_be_paid,
        cancelling_twice_ends_the_same,
        a_charge_known_by_its_ids_can_be_cancelled,
        a_payment_wins_over_a_cancellation,
        a_lost_answer_to_cancelling_is_found_out,
        a_charge_past_its_last_instant_is_not_payable,
        a_payment_is_shown_with_its_money,
        a_payment_is_told,
        the_same_told_twice_has_the_same_keys,
        what_nobody_proved_concludes_nothing,
        a_probe_tells_whose_account_it_is,
        a_probe_with_refused_credentials_is_denied,
    }
}
