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
    let api = environment.simulators.url("stripe").clone();
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
        checks_documents: false,
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
    contract! { super::pix }
}

mod boleto {
    contract! { super::boleto }
}

mod card {
    contract! { super::card }
}
