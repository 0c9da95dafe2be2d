use schemas::Instant;
use secrecy::SecretString;

use super::notification::read;
use crate::{GatewayStatus, Means, NotificationError, Received};

const PAID: &str = r#"{"id":"evt_05b708f961d739ea7eba7e4db318f621&368604920","event":"PAYMENT_RECEIVED",
 "dateCreated":"2026-07-14 17:30:00","novelty":1,
 "payment":{"object":"payment","id":"pay_1","customer":"cus_1","value":100,"netValue":98.01,"billingType":"PIX","status":"RECEIVED",
 "dueDate":"2026-07-19","paymentDate":"2026-07-14","clientPaymentDate":"2026-07-14","externalReference":"at1","deleted":false,"refunds":null}}"#;

fn received(body: &str, token: Option<&str>) -> Received {
    let headers = token.map(|token| ("asaas-access-token".to_owned(), token.to_owned()));
    Received {
        headers: headers.into_iter().collect(),
        body: body.as_bytes().to_vec(),
        at: Instant::UNIX_EPOCH,
    }
}

#[test]
fn a_payment_told_with_the_token_stands_to_the_centavo() {
    let tokens: Vec<SecretString> = vec!["old".into(), "new".into()];
    let read = read(&received(PAID, Some("new")), &tokens).expect("genuine");
    assert!(read[0].dedupe_key.contains('&'));
    let Means::Stands(charge) = &read[0].means else {
        panic!("{read:?}")
    };
    assert_eq!(
        (charge.status, charge.amount, charge.customer.as_deref()),
        (GatewayStatus::Paid, 10_000, Some("cus_1"))
    );
    let payment = &charge.payments[0];
    assert_eq!(
        (payment.amount, payment.fee, payment.net),
        (10_000, Some(199), Some(9_801))
    );
    assert_eq!(payment.paid_at.to_rfc3339(), "2026-07-14T20:30:00+00:00");
}

#[test]
fn without_the_token_nothing_is_believed_and_rubbish_is_kept_for_a_person() {
    let tokens: Vec<SecretString> = vec!["new".into()];
    for wrong in [None, Some(""), Some("other")] {
        assert!(matches!(
            read(&received(PAID, wrong), &tokens),
            Err(NotificationError::Forged(_))
        ));
    }
    assert!(matches!(
        read(&received(PAID, Some("")), &[]),
        Err(NotificationError::Forged(_))
    ));
    assert!(matches!(
        read(&received("no", Some("new")), &tokens),
        Err(NotificationError::Unreadable(_))
    ));
    let other = r#"{"id":"evt_1","event":"CHECKOUT_CREATED","checkout":{"id":"c"}}"#;
    assert_eq!(
        read(&received(other, Some("new")), &tokens).expect("genuine")[0].means,
        Means::Nothing
    );
}
