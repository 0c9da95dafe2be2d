use schemas::{
    Instant,
    payer::{Address, Payer},
    payment_method::PaymentMethod,
};

use super::is_of_cobrancas;
use crate::ChargeRequest;

/// Returns an order with all optional fields.
pub(super) fn order(method: PaymentMethod) -> ChargeRequest {
    ChargeRequest {
        reference: "at01j9zzzzzzzzzzzzzzzzzzzzzz".to_owned(),
        amount: 12_345,
        expires_at: method.life().end(Instant::UNIX_EPOCH),
        method,
        created_at: Instant::UNIX_EPOCH,
        payer: Payer {
            name: "Francisca da Silva".to_owned(),
            document: "52998224725".parse().expect("a CPF"),
            email: Some("francisca@example.com".to_owned()),
            phone: Some("31987654321".to_owned()),
            address: Some(Address {
                street: "Avenida Brasil".to_owned(),
                number: "909".to_owned(),
                complement: Some("fundos".to_owned()),
                district: "Centro".to_owned(),
                city: "Ouro Preto".to_owned(),
                state: "MG".to_owned(),
                postal_code: "35400000".to_owned(),
            }),
        },
        customer: None,
        description: Some("Pedido 123".to_owned()),
        notification_url: None,
    }
}

#[test]
fn a_number_is_of_cobrancas_and_our_reference_of_pix() {
    assert!(is_of_cobrancas("1234567"));
    assert!(!is_of_cobrancas("at01j9zzzzzzzzzzzzzzzzzzzzzz"));
}
