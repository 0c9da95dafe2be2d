use schemas::{
    Instant, dispute,
    next_action::NextAction,
    payment_method::{Discount, PaymentMethod, PaymentMethodKind},
};
use serde_json::{Value, json};

use super::{
    changes::Listed,
    local, notifications, requests,
    responses::{Charge, Data, Money},
};
use crate::{GatewayCharge, GatewayStatus, NoticeKind, efi::tests::order as an_order};

fn read(json: Value) -> Charge {
    serde_json::from_value::<Data<Charge>>(json)
        .expect("a charge")
        .data
}

fn charge(json: Value) -> GatewayCharge {
    read(json)
        .to_charge(None, &Money::default())
        .expect("a charge")
}

fn card(status: &str) -> Value {
    json!({ "code": 200, "data": {
        "charge_id": 1_234_568, "total": 12_345, "status": status, "custom_id": "at01", "novidade": [1],
        "created_at": "2026-07-14 17:15:00", "items": [], "history": [],
        "payment": { "method": "credit_card", "credit_card": { "mask": "…", "installments": 3 } },
        "link": { "payment_url": "https://pagamento.gerencianet.com.br/x", "payment_method": "credit_card", "expire_at": "2026-07-31" },
    } })
}

fn boleto() -> PaymentMethod {
    PaymentMethod::Boleto {
        due_date: "2026-07-31".parse().expect("a day"),
        days_after_due: 30,
        fine_bps: 200,
        monthly_interest_bps: 100,
        discount: Some(Discount {
            amount: 500,
            until: "2026-07-20".parse().expect("a day"),
        }),
    }
}

#[test]
fn a_boleto_asks_for_what_the_documents_name() {
    let mut order = an_order(boleto());
    order.notification_url = "https://hooks.example.com/n".parse().ok();
    let expected = json!({
        "items": [{ "name": "Pedido 123", "value": 12_345, "amount": 1 }],
        "metadata": { "custom_id": "at01j9zzzzzzzzzzzzzzzzzzzzzz", "notification_url": "https://hooks.example.com/n" },
        "payment": { "banking_billet": {
            "customer": {
                "name": "Francisca da Silva", "cpf": "52998224725", "email": "francisca@example.com",
                "phone_number": "31987654321",
                "address": {
                    "street": "Avenida Brasil", "number": "909", "neighborhood": "Centro", "zipcode": "35400000",
                    "city": "Ouro Preto", "complement": "fundos", "state": "MG",
                },
            },
            "expire_at": "2026-07-31",
            "configurations": { "days_to_write_off": 31, "fine": 200, "interest": { "value": 1_000, "type": "monthly" } },
            "conditional_discount": { "type": "currency", "value": 500, "until_date": "2026-07-20" },
        } },
    });
    assert_eq!(requests::body(&order), expected);
    order.amount = 499;
    assert_eq!(requests::unmet(&order)[0].field, "amount");
}

#[test]
fn a_boleto_is_written_off_on_its_last_business_day() {
    for (due_date, days_after_due, days) in [
        // a Friday and the Saturday after it: Monday
        ("2026-12-11", 1, 3),
        // a Saturday: Monday
        ("2026-12-12", 0, 2),
        ("2026-12-14", 0, 0),
        // Christmas is a Friday
        ("2026-12-24", 1, 4),
        ("2026-07-31", 30, 31),
    ] {
        let order = an_order(PaymentMethod::Boleto {
            due_date: due_date.parse().expect("a day"),
            days_after_due,
            fine_bps: 0,
            monthly_interest_bps: 0,
            discount: None,
        });
        let body = requests::body(&order);
        let boleto = &body["payment"]["banking_billet"];
        let sent = &boleto["configurations"]["days_to_write_off"];
        assert_eq!(sent, days, "{due_date} + {days_after_due}");
        assert_eq!(requests::unmet(&order), []);
    }
    let too_long = an_order(PaymentMethod::Boleto {
        // 120 days after it is a Saturday
        due_date: "2026-08-14".parse().expect("a day"),
        days_after_due: 120,
        fine_bps: 0,
        monthly_interest_bps: 0,
        discount: None,
    });
    let lacks = requests::unmet(&too_long);
    assert_eq!(lacks[0].field, "payment_method.days_after_due");
}

#[test]
fn contact_data_that_efi_does_not_take_is_left_out_and_a_single_name_is_unmet() {
    let mut order = an_order(boleto());
    order.payer.phone = Some("1133334444".to_owned());
    let customer =
        |order: &_| requests::body(order)["payment"]["banking_billet"]["customer"].clone();
    assert_eq!(customer(&order)["phone_number"], "1133334444");
    for phone in ["00123456789", "11887654321"] {
        order.payer.phone = Some(phone.to_owned());
        assert!(customer(&order).get("phone_number").is_none(), "{phone}");
    }
    order.payer.email = Some("maria@localhost".to_owned());
    assert!(customer(&order).get("email").is_none());
    assert_eq!(requests::unmet(&order), []);
    order.payer.name = "Maria".to_owned();
    assert_eq!(requests::unmet(&order)[0].field, "payer.name");
    order.payer.document = "11222333000181".parse().expect("a CNPJ");
    assert_eq!(requests::unmet(&order), [], "a company may have one word");
}

#[test]
fn a_company_is_named_as_one() {
    let mut order = an_order(boleto());
    order.payer.document = "12ABC34501DE35".parse().expect("a CNPJ");
    let customer = &requests::body(&order)["payment"]["banking_billet"]["customer"];
    let company = json!({ "corporate_name": "Francisca da Silva", "cnpj": "12ABC34501DE35" });
    assert_eq!(customer["juridical_person"], company);
    assert!(customer.get("cpf").is_none() && customer.get("name").is_none());
}

#[test]
fn a_card_link_ends_on_the_day_of_its_last_instant_in_brazil() {
    let mut order = an_order(PaymentMethod::Card {
        max_installments: 12,
        success_url: "https://shop.example.com/ok".to_owned(),
        cancel_url: "https://shop.example.com/no".to_owned(),
        expires_in: 3_600,
    });
    order.expires_at = "2026-08-01T02:00:00Z".parse().expect("an instant");
    let settings = json!({
        "payment_method": "credit_card", "expire_at": "2026-07-31", "request_delivery_address": false,
    });
    assert_eq!(requests::body(&order)["settings"], settings);
}

/// Example of Efí's documentation, from its sandbox (homologação).
#[test]
fn the_documented_answer_to_a_boleto_is_read() {
    let made = charge(json!({ "code": 200, "data": {
        "barcode": "00000.00000 00000.000000 00000.000000 0 00000000012345",
        "pix": { "qrcode": "00020101…", "qrcode_image": "data:image/svg+xml;base64,…" },
        "link": "https://boleto", "billet_link": "https://boleto", "pdf": { "charge": "https://boleto.pdf" },
        "expire_at": "2026-07-31", "charge_id": 1_234_567, "status": "waiting", "total": 12_345,
        "payment": "banking_billet",
    } }));
    assert_eq!((made.id.as_str(), made.amount), ("1234567", 12_345));
    assert_eq!(made.status, GatewayStatus::Pending);
    let Some(NextAction::Boleto {
        line,
        pdf_url,
        copy_paste,
        expires_at,
        ..
    }) = made.next_action
    else {
        panic!("{:?} shows no boleto", made.next_action)
    };
    assert_eq!(line.len(), 47);
    assert_eq!(pdf_url.as_deref(), Some("https://boleto.pdf"));
    assert_eq!(copy_paste.as_deref(), Some("00020101…"));
    assert_eq!(expires_at.to_rfc3339(), "2026-08-01T02:59:59+00:00");
}

#[test]
fn the_documented_answer_to_a_link_is_read() {
    let made = charge(json!({ "code": 200, "data": {
        "charge_id": 1_234_568, "status": "link", "total": 12_345, "custom_id": "at01",
        "payment_url": "https://pagamento.gerencianet.com.br/x", "payment_method": "credit_card",
        "conditional_discount_value": null, "request_delivery_address": false, "message": null,
        "expire_at": "2026-07-31", "created_at": "2026-07-14 17:15:00",
    } }));
    assert_eq!(made.reference.as_deref(), Some("at01"));
    assert!(matches!(
        made.next_action,
        Some(NextAction::Redirect { .. })
    ));
}

#[test]
fn a_declined_link_has_failed_and_shows_nothing() {
    let declined = charge(card("unpaid"));
    assert_eq!(declined.status, GatewayStatus::Failed);
    assert_eq!((declined.next_action, declined.payments), (None, vec![]));
}

#[test]
fn a_paid_card_reports_its_installments_and_keeps_its_payment_in_every_later_state() {
    for status in ["paid", "settled", "refunded", "contested"] {
        let paid = charge(card(status));
        assert_eq!(paid.payments.len(), 1, "{status}");
        let payment = &paid.payments[0];
        assert_eq!((payment.id.as_str(), payment.amount), ("1234568", 12_345));
        assert_eq!(
            (payment.method, payment.installments),
            (PaymentMethodKind::Card, Some(3))
        );
        assert_eq!(paid.refunds.len(), usize::from(status == "refunded"));
        assert_eq!(paid.disputes.len(), usize::from(status == "contested"));
    }
}

#[test]
fn a_chargeback_that_ended_in_paid_was_won() {
    let money = Money {
        was_contested: true,
        ..Money::default()
    };
    let paid = read(card("paid"))
        .to_charge(None, &money)
        .expect("a charge");
    assert_eq!(paid.disputes[0].status, dispute::DisputeStatus::Won);
    assert_eq!(paid.disputes[0].kind, dispute::DisputeKind::Chargeback);
    assert_eq!(
        charge(card("contested")).disputes[0].id,
        paid.disputes[0].id
    );
}

#[test]
fn a_status_that_is_new_is_an_unknown_outcome() {
    let strange = read(card("novo")).to_charge(None, &Money::default());
    let error = strange.expect_err("not understood");
    assert_eq!(error.class, schemas::attempt::ErrorClass::Unknown);
    assert_eq!(error.code, "unreadable");
}

#[test]
fn a_list_reports_the_money() {
    let listed: Listed = serde_json::from_value(json!({
        "id": 1_234_567, "total": 12_345, "status": "paid", "custom_id": "at01", "created_at": "2026-07-14 17:15:00",
        "customer": null, "payment": {
            "payment_method": "banking_billet", "paid_at": "2026-07-15 23:30:00", "paid_value": 12_700,
            "received_by_bank_at": "2026-07-15",
        },
    }))
    .expect("an entry");
    let paid = read(json!({ "data": {
        "charge_id": 1_234_567, "total": 12_345, "status": "paid", "custom_id": "at01",
        "created_at": "2026-07-14 17:15:00", "payment": { "method": "banking_billet", "banking_billet": {} },
    } }))
    .to_charge(None, &listed.money())
    .expect("a charge");
    let payment = &paid.payments[0];
    assert_eq!((paid.amount, payment.amount), (12_345, 12_700));
    assert_eq!(payment.paid_at.to_rfc3339(), "2026-07-16T02:30:00+00:00");
    assert_eq!(payment.settled_on, local::day("2026-07-15"));
    let at = |text: &str| text.parse::<Instant>().expect("an instant");
    assert!(listed.moved_since(at("2026-07-16T02:30:00Z")));
    assert!(!listed.moved_since(at("2026-07-16T02:30:01Z")));
}

#[test]
fn a_notification_is_a_token_and_nothing_else() {
    let token = "5a2fa7c1-2f4b-4f51-9b2a-6a7f3e8f0c11";
    let body = format!("notification={token}");
    assert!(notifications::is_form(body.as_bytes()));
    let notices = notifications::parse(body.as_bytes()).notices;
    assert_eq!(notices[0].means, NoticeKind::Token(token.to_owned()));
    for wrong in ["", "x=1", "notification=", "notification=..%2Fcharge%2F1"] {
        let read = notifications::parse(wrong.as_bytes());
        assert!(
            read.notices.is_empty() && read.unreadable.len() == 1,
            "{wrong}"
        );
    }
}
