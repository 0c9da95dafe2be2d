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
        checks_documents: true,
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

mod of_pix {
    contract! { super::pix }
}

mod of_pix_due {
    contract! { super::pix_due }
}

mod of_boleto {
    contract! { super::boleto }
}

mod of_card {
    contract! { super::card }
}
