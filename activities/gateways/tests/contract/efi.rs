//! Efí: Pix with and without a due date, boletos, card links.

use schemas::{
    gateway::GatewayKind,
    payment_method::{DueDate, PaymentMethod, PaymentMethodKind},
};
use serde_json::{Value, json};

use crate::bench::{Bench, Environment, SetUp, day_in, order};

mod of_cobrancas;
mod of_pix;

fn credentials(environment: &Environment, name: &str) -> Value {
    simulators::credentials("efi", name, &environment.simulators.client_pem)
}

/// Returns true for a boleto: a card link has no payer.
fn checks_documents(method: &PaymentMethod) -> bool {
    method.kind() == PaymentMethodKind::Boleto
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
        checks_documents: true,
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
        checks_documents: checks_documents(&method),
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
    contract! { super::pix }
}

mod pix_bacen {
    contract! { super::pix_bacen }
}

mod pix_due {
    contract! { super::pix_due }
}

mod boleto {
    contract! { super::boleto }
}

mod card {
    contract! { super::card }
}
