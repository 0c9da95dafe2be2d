use serde_json::json;

use super::*;
use crate::asaas::tests::{boleto, card, order, payment, pix};
use schemas::dispute::DisputeKind;

/// Parses the answers to creating a Pix and a boleto, and checks the amounts that would be received.
fn read_answers(answers: [(&Value, PaymentMethodKind, i64, i64); 2]) {
    for (answer, method, asked, net) in answers {
        let payment = Payment::deserialize(answer).expect("a payment");
        let charge = payment.to_charge(None).expect("readable");
        assert_eq!(charge.status, GatewayStatus::Pending);
        assert_eq!((charge.amount, charge.payments.len()), (asked, 0));
        assert_eq!(Some(charge.id.as_str()), answer["id"].as_str());
        assert!(payment.is_by(method));
        assert!(payment.invoice_url.is_some());
        assert_eq!(
            payment.bank_slip_url.is_some(),
            method == PaymentMethodKind::Boleto
        );
        let received = payment.received(None).expect("readable");
        assert_eq!((received.net, received.fee), (Some(net), Some(199)));
    }
}

#[test]
fn documented_answers_are_read() {
    let spec: Value = serde_saphyr::from_str(specs::ASAAS).expect("YAML");
    let examples = &spec["components"]["schemas"]["Payment"]["examples"];
    read_answers([
        (&examples[0], PaymentMethodKind::Pix, 12_345, 12_146),
        (&examples[1], PaymentMethodKind::Boleto, 10_000, 9_801),
    ]);
}

#[test]
fn recorded_answers_of_the_real_sandbox_are_read() {
    let Some(captures) = specs::read("asaas-sandbox-captures.json") else {
        return;
    };
    let captures: Value = serde_json::from_str(&captures).expect("JSON");
    read_answers([
        (
            &captures["payment_pix"]["response"],
            PaymentMethodKind::Pix,
            10_000,
            9_801,
        ),
        (
            &captures["payment_boleto"]["response"],
            PaymentMethodKind::Boleto,
            35_000,
            34_801,
        ),
    ]);
}

#[test]
fn only_what_an_order_became_is_adopted() {
    let of = |changes| payment(changes).is_for(&order(pix()));
    assert!(of(json!({ "value": 123.45 })));
    assert!(!of(json!({ "value": 123.45, "deleted": true })));
    assert!(!of(json!({ "value": 123.45, "billingType": "UNDEFINED" })));
    assert!(!of(json!({ "value": 100 })));
    let paid_late = json!({ "value": 125.92, "originalValue": 123.45, "billingType": "BOLETO", "status": "RECEIVED" });
    assert!(payment(paid_late).is_for(&order(boleto("2026-07-20"))));
    let by_card = json!({ "value": 123.45, "billingType": "CREDIT_CARD" });
    assert!(payment(by_card).is_for(&order(card(1))));
}

#[test]
fn the_method_really_used_and_what_arrives_are_reported() {
    let received = |changes| {
        let charge = payment(changes).to_charge(None).expect("readable");
        assert_eq!(charge.payments.len(), 1);
        charge.payments[0].clone()
    };
    let by_code = received(
        json!({ "status": "RECEIVED", "billingType": "BOLETO", "pixTransaction": "tx-1" }),
    );
    assert_eq!(
        (by_code.method, by_code.end_to_end_id),
        (PaymentMethodKind::Pix, None)
    );
    let e2e = "E18236120202607141730s0123456789";
    let pix = received(json!({ "status": "RECEIVED", "pixTransaction": e2e }));
    assert_eq!(pix.end_to_end_id.as_deref(), Some(e2e));
    let card = json!({ "status": "CONFIRMED", "billingType": "CREDIT_CARD", "netValue": 96.52 });
    let single = received(card);
    assert_eq!(
        (single.method, single.fee, single.installments),
        (PaymentMethodKind::Card, Some(348), Some(1))
    );
    let part =
        json!({ "status": "CONFIRMED", "billingType": "CREDIT_CARD", "installment": "ins_1" });
    assert_eq!(received(part).installments, None);
    let by_hand =
        json!({ "status": "RECEIVED_IN_CASH", "paymentDate": "2026-07-14", "netValue": 100 });
    let by_hand = received(by_hand);
    assert_eq!((by_hand.settled_on, by_hand.fee), (None, Some(0)));
}

#[test]
fn a_boleto_paid_late_brings_more_than_was_asked() {
    let late = json!({ "status": "CONFIRMED", "billingType": "BOLETO", "value": 102.5, "originalValue": 100,
        "netValue": 100.51, "clientPaymentDate": "2026-07-21" });
    let charge = payment(late).to_charge(None).expect("readable");
    assert_eq!((charge.amount, charge.payments[0].amount), (10_000, 10_250));
    assert_eq!(charge.payments[0].fee, Some(199));
}

#[test]
fn an_unknown_status_is_an_unknown_outcome() {
    let error = payment(json!({ "status": "SOMETHING_NEW" }))
        .to_charge(None)
        .expect_err("not known");
    assert_eq!(
        (error.class, error.code.as_str()),
        (ErrorClass::Unknown, "unreadable")
    );
}

#[test]
fn a_pix_is_disputed_by_a_med_and_a_card_by_a_chargeback() {
    for (billing_type, kind) in [
        ("PIX", DisputeKind::Med),
        ("CREDIT_CARD", DisputeKind::Chargeback),
    ] {
        let changes = json!({ "status": "CHARGEBACK_DISPUTE", "billingType": billing_type });
        let charge = payment(changes).to_charge(None).expect("readable");
        assert_eq!(charge.disputes[0].kind, kind);
        assert_eq!(charge.disputes[0].payment, charge.payments[0].id);
    }
}
