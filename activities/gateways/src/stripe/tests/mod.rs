use schemas::{
    Instant,
    payer::{Address, Payer},
    payment_method::PaymentMethod,
};
use serde_json::Value;

use crate::ChargeRequest;

mod event;
mod fixtures;
mod notification;

/// Returns an order of R$ 123,45 by `method` from a payer with all fields, created at noon of 25 November 2026 in São Paulo.
pub(super) fn order(method: Value) -> ChargeRequest {
    let method: PaymentMethod = serde_json::from_value(method).expect("a method");
    let created_at: Instant = "2026-11-25T15:00:00Z".parse().expect("a time");
    ChargeRequest {
        reference: "at01jfx0m9a1e7f8q2v3w4x5y6z7".to_owned(),
        amount: 12_345,
        created_at,
        expires_at: method.life().end(created_at),
        method,
        payer: Payer {
            name: "Fulano de Tal".to_owned(),
            document: "52998224725".parse().expect("a document"),
            email: Some("fulano@example.com".to_owned()),
            phone: None,
            address: Some(Address {
                street: "Av. JK".to_owned(),
                number: "909".to_owned(),
                complement: None,
                district: "Bauxita".to_owned(),
                city: "Ouro Preto".to_owned(),
                state: "MG".to_owned(),
                postal_code: "35400000".to_owned(),
            }),
        },
        customer: None,
        description: None,
        notification_url: None,
    }
}
