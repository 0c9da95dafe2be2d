use schemas::Instant;

use super::{cob::Cob, notification};
use crate::{GatewayStatus, Means, NotificationError, Received};

fn body(text: &str) -> Received {
    Received {
        headers: Vec::new(),
        body: text.as_bytes().to_vec(),
        at: Instant::UNIX_EPOCH,
    }
}

#[test]
fn a_paid_cob_tells_the_money_and_unknown_fields_do_no_harm() {
    let cob: Cob = serde_json::from_str(
        r#"{"calendario":{"criacao":"2026-07-14T20:15:00.358Z","expiracao":3600},"txid":"7978c0c97ea847e78e8849634473c1f1",
        "revisao":0,"novidade":{"x":[1]},"status":"CONCLUIDA","valor":{"original":"123.45"},"chave":"71cdf9ba",
        "pix":[{"endToEndId":"E12345678202607142030abcdefghijk","txid":"7978c0c97ea847e78e8849634473c1f1","valor":"123.45",
        "horario":"2026-07-14T20:30:00.000Z","gnExtras":{"tarifa":"1.47","pagador":{"nome":"x"}}}]}"#,
    )
    .expect("a cob");
    let charge = cob.to_charge(Instant::UNIX_EPOCH, &[]).expect("a charge");
    assert_eq!(charge.status, GatewayStatus::Paid);
    let payment = &charge.payments[0];
    assert_eq!(
        (payment.amount, payment.fee, payment.net),
        (12345, Some(147), Some(12198))
    );
}

#[test]
fn one_body_may_hold_several_pix_and_returned_money_is_no_payment() {
    let received = body(
        r#"{"pix":[
        {"endToEndId":"E1","txid":"at01","valor":"1.00","horario":"2026-07-14T20:30:00.000Z"},
        {"endToEndId":"E2","txid":"at02","valor":"1.00","horario":"2026-07-14T20:30:00.000Z",
         "devolucoes":[{"id":"r1","rtrId":"D1","valor":"1.00","horario":{},"status":"DEVOLVIDO"}]},
        {"endToEndId":"E3","chave":"k","tipo":"SOLICITACAO","status":"REALIZADO","valor":"1.00","horario":"2026-07-14T20:30:00.000Z"}]}"#,
    );
    let read = notification::read(&received).expect("readable");
    let found: Vec<_> = read
        .iter()
        .map(|notice| (notice.dedupe_key.as_str(), &notice.means))
        .collect();
    assert_eq!(
        found,
        [
            ("E1", &Means::Hint),
            ("E2/r1/DEVOLVIDO", &Means::Nothing),
            ("E2", &Means::Nothing),
            ("E3", &Means::Nothing)
        ]
    );
}

#[test]
fn the_test_of_a_registration_is_acknowledged_and_rubbish_kept_for_a_person() {
    for empty in ["", "{}", r#"{"evento":"teste_webhook"}"#] {
        assert_eq!(notification::read(&body(empty)), Ok(Vec::new()), "{empty}");
    }
    for rubbish in ["no", r#"{"pix":[{"valor":1}]}"#] {
        assert!(
            matches!(
                notification::read(&body(rubbish)),
                Err(NotificationError::Unreadable(_))
            ),
            "{rubbish}"
        );
    }
}
