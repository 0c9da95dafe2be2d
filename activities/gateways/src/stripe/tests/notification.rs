use schemas::Instant;
use secrecy::SecretString;

use crate::{
    Entries, Forged, GatewayStatus, NoticeKind, Received,
    stripe::notifications::{parse, sign, verify},
};

const PAID: &str = r#"{"id":"evt_3Nx","object":"event","created":1783975200,"livemode":false,"type":"payment_intent.succeeded",
 "data":{"object":{"id":"pi_3Nx","object":"payment_intent","status":"succeeded","amount":12345,"amount_received":12345,
 "currency":"brl","latest_charge":"py_3Nx","metadata":{"reference":"at1"},"payment_method_types":["pix"],"novelty":{}}}}"#;

fn received(body: &str, signature: &str, at: i64) -> Received {
    Received {
        headers: vec![("stripe-signature".to_owned(), signature.to_owned())],
        body: body.as_bytes().to_vec(),
        at: Instant::from_timestamp(at, 0).expect("a time"),
    }
}

/// Verifies and parses a notification.
fn read(received: &Received, secrets: &[SecretString], live: bool) -> Result<Entries, Forged> {
    verify(received, secrets, &[])?;
    Ok(parse(&received.body, live))
}

fn signed(secret: &str, at: i64) -> Received {
    let signature = hex::encode(sign(secret, &at.to_string(), PAID.as_bytes()));
    received(PAID, &format!("t={at},v1=00ff,v1={signature},v0=zz"), at)
}

#[test]
fn the_documented_vector_is_reproduced() {
    let signature = sign(
        "whsec_test_secret",
        "1700000000",
        br#"{"id":"evt_1","object":"event"}"#,
    );
    assert_eq!(
        hex::encode(signature),
        "0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd"
    );
}

#[test]
fn any_of_the_secrets_proves_and_nothing_else_does() {
    let secrets: Vec<SecretString> = vec!["whsec_old".into(), "whsec_new".into()];
    for known in ["whsec_old", "whsec_new"] {
        let read = read(&signed(known, 1_783_975_200), &secrets, false)
            .expect("genuine")
            .notices;
        let NoticeKind::ChargeState(charge) = &read[0].means else {
            panic!("{read:?}")
        };
        assert_eq!(
            (charge.status, charge.payments[0].id.as_str()),
            (GatewayStatus::Paid, "py_3Nx")
        );
        assert_eq!(
            (read[0].dedupe_key.as_str(), read[0].reference.as_deref()),
            ("evt_3Nx", Some("at1"))
        );
    }
    let forged = |received: &Received| matches!(read(received, &secrets, false), Err(Forged(_)));
    assert!(forged(&signed("whsec_other", 1_783_975_200)));
    assert!(forged(&received(PAID, "t=1783975200", 1_783_975_200)));
    assert!(forged(&Received {
        headers: Vec::new(),
        ..signed("whsec_new", 1_783_975_200)
    }));
    let mut late = signed("whsec_new", 1_783_975_200);
    late.at = Instant::from_timestamp(1_783_975_200 + 301, 0).expect("a time");
    assert!(forged(&late));
    let mut altered = signed("whsec_new", 1_783_975_200);
    altered.body[5] ^= 1;
    assert!(forged(&altered));
}

#[test]
fn a_body_written_again_proves_nothing() {
    let secrets: Vec<SecretString> = vec!["whsec_new".into()];
    let genuine = signed("whsec_new", 1_783_975_200);
    assert!(read(&genuine, &secrets, false).is_ok());
    let same: serde_json::Value = serde_json::from_slice(&genuine.body).expect("JSON");
    let again = Received {
        body: same.to_string().into_bytes(),
        ..genuine
    };
    assert!(matches!(read(&again, &secrets, false), Err(Forged(_))));
}

#[test]
fn the_other_modes_event_means_nothing() {
    let secrets: Vec<SecretString> = vec!["whsec_new".into()];
    let read = read(&signed("whsec_new", 1_783_975_200), &secrets, true)
        .expect("genuine")
        .notices;
    assert_eq!(read[0].means, NoticeKind::Nothing);
}
