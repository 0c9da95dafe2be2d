use schemas::payment_method::{Discount, DueDate, PaymentMethod};
use serde_json::json;

use super::{disputes::Infraction, notifications, requests, responses::Cob};
use crate::{Entries, GatewayStatus, NoticeKind, efi::tests::order as an_order};

fn body(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn a_paid_cob_reports_the_money_and_unknown_fields_do_no_harm() {
    let cob: Cob = serde_json::from_str(
        r#"{"calendario":{"criacao":"2026-07-14T20:15:00.358Z","expiracao":3600},"txid":"7978c0c97ea847e78e8849634473c1f1",
        "revisao":0,"novidade":{"x":[1]},"status":"CONCLUIDA","valor":{"original":"123.45"},"chave":"71cdf9ba",
        "pix":[{"endToEndId":"E12345678202607142030abcdefghijk","txid":"7978c0c97ea847e78e8849634473c1f1","valor":"123.45",
        "horario":"2026-07-14T20:30:00.000Z","gnExtras":{"tarifa":"1.47","pagador":{"nome":"x"}}}]}"#,
    )
    .expect("a cob");
    let charge = cob.to_charge(None, &[]).expect("a charge");
    assert_eq!(charge.status, GatewayStatus::Paid);
    let payment = &charge.payments[0];
    assert_eq!(
        (payment.amount, payment.fee, payment.net),
        (12345, Some(147), Some(12198))
    );
}

#[test]
fn one_body_may_hold_several_pix_and_what_is_sent_is_not_ours() {
    let received = body(
        r#"{"pix":[
        {"endToEndId":"E1","txid":"at01","valor":"1.00","horario":"2026-07-14T20:30:00.000Z"},
        {"endToEndId":"E2","txid":"at02","valor":"1.00","horario":"2026-07-14T20:30:00.000Z",
         "devolucoes":[{"id":"r1","rtrId":"D1","valor":"1.00","horario":{},"status":"DEVOLVIDO"}]},
        {"endToEndId":"E3","chave":"k","tipo":"SOLICITACAO","status":"REALIZADO","valor":"1.00","horario":"2026-07-14T20:30:00.000Z"}]}"#,
    );
    let read = notifications::parse(&received).notices;
    let found: Vec<_> = read
        .iter()
        .map(|notice| (notice.dedupe_key.as_str(), &notice.means))
        .collect();
    assert_eq!(
        found,
        [
            ("E1", &NoticeKind::Hint),
            ("E2/r1/DEVOLVIDO", &NoticeKind::Hint),
            ("payout/E3", &NoticeKind::Nothing)
        ]
    );
}

#[test]
fn the_test_of_a_registration_is_acknowledged_and_rubbish_stored_for_an_operator() {
    for empty in ["", "{}", r#"{"evento":"teste_webhook"}"#] {
        assert_eq!(
            notifications::parse(&body(empty)),
            Entries::default(),
            "{empty}"
        );
    }
    for rubbish in ["no", r#"{"pix":[{"valor":1}]}"#] {
        let read = notifications::parse(&body(rubbish));
        assert_eq!(
            (read.notices.len(), read.unreadable.len()),
            (0, 1),
            "{rubbish}"
        );
    }
}

#[test]
fn a_due_date_asks_for_what_bacen_names() {
    let due = DueDate {
        due_date: "2026-07-31".parse().expect("a day"),
        days_after_due: 30,
        fine_bps: 200,
        monthly_interest_bps: 100,
        discount: Some(Discount {
            amount: 500,
            until: "2026-07-20".parse().expect("a day"),
        }),
    };
    let mut order = an_order(PaymentMethod::Pix {
        expires_in: 3_600,
        due: Some(due),
    });
    let body = requests::body(&order, "71cdf9ba");
    let expected = json!({
        "calendario": { "dataDeVencimento": "2026-07-31", "validadeAposVencimento": 30 },
        "devedor": {
            "cpf": "52998224725", "nome": "Francisca da Silva", "logradouro": "Avenida Brasil, 909, fundos - Centro",
            "cidade": "Ouro Preto", "uf": "MG", "cep": "35400000",
        },
        "valor": {
            "original": "123.45",
            "multa": { "modalidade": 2, "valorPerc": "2.00" },
            "juros": { "modalidade": 3, "valorPerc": "1.00" },
            "desconto": { "modalidade": 1, "descontoDataFixa": [{ "data": "2026-07-20", "valorPerc": "5.00" }] },
        },
        "chave": "71cdf9ba",
        "solicitacaoPagador": "Pedido 123",
    });
    assert_eq!(body, expected);
    assert_eq!(requests::unmet(&order), []);
    order.payer.address = None;
    let lacks = requests::unmet(&order);
    assert_eq!(lacks[0].field, "payer.address");
}

#[test]
fn an_immediate_charge_reports_no_more_of_the_payer_than_it_must() {
    let order = an_order(PaymentMethod::Pix {
        expires_in: 600,
        due: None,
    });
    let expected = json!({
        "calendario": { "expiracao": 600 },
        "devedor": { "cpf": "52998224725", "nome": "Francisca da Silva" },
        "valor": { "original": "123.45" },
        "chave": "71cdf9ba",
        "solicitacaoPagador": "Pedido 123",
    });
    assert_eq!(requests::body(&order, "71cdf9ba"), expected);
}

#[test]
fn a_claim_and_what_it_took_back_are_one_dispute() {
    let cob: Cob = serde_json::from_value(json!({
        "calendario": { "criacao": "2026-07-14T20:15:00.358Z", "expiracao": 3600 },
        "txid": "7978c0c97ea847e78e8849634473c1f1", "status": "CONCLUIDA", "valor": { "original": "123.45" },
        "pix": [{
            "endToEndId": "E1", "valor": "123.45", "horario": "2026-07-14T20:30:00.000Z",
            "devolucoes": [{ "id": "d1", "status": "DEVOLVIDO", "valor": "123.45", "natureza": "MED_FRAUDE" }],
        }],
    }))
    .expect("a cob");
    let claim: Infraction = serde_json::from_value(json!({
        "idInfracao": "i1", "endToEndId": "E1", "valor": "123.45", "status": "ACEITA",
    }))
    .expect("an infraction");
    let ids = |claims: &[Infraction]| -> Vec<String> {
        let charge = cob.to_charge(None, claims).expect("a charge");
        assert_eq!(charge.refunds, []);
        charge.disputes.into_iter().map(|one| one.id).collect()
    };
    assert_eq!(ids(&[claim]), ["i1"]);
    // if the application may not read disputes
    assert_eq!(ids(&[]), ["d1"]);
}

/// Parses Efí's own example of a payout that a bank rejected, and an unreadable one, between two Pix.
#[test]
fn one_entry_hides_no_other_and_a_payout_is_foreign_whatever_it_holds() {
    let received = body(
        r#"{"pix":[
        {"endToEndId":"E1","txid":"at01","valor":"1.00","horario":"2026-07-14T20:30:00.000Z"},
        {"endToEndId":"E090893562021030PIf25a7868","chave":"k","tipo":"SOLICITACAO","status":"NAO_REALIZADO","valor":"0.01",
         "horario":null,"gnExtras":{"idEnvio":"1","erro":{"codigo":"AC03"}}},
        {"endToEndId":5},
        {"endToEndId":"E2","txid":"at02","valor":"1.00","horario":null}]}"#,
    );
    let read = notifications::parse(&received);
    let found: Vec<_> = read
        .notices
        .iter()
        .map(|notice| (notice.reference.as_deref(), &notice.means))
        .collect();
    assert_eq!(
        found,
        [
            (Some("at01"), &NoticeKind::Hint),
            (None, &NoticeKind::Nothing),
            (Some("at02"), &NoticeKind::Hint)
        ]
    );
    let kinds: Vec<_> = read.unreadable.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["efi_pix_entry"]);
}
