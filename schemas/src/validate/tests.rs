use super::*;
use crate::charge::CreateCharge;

fn params(body: Value) -> Vec<(String, String)> {
    let errors = Checker::<CreateCharge>::new()
        .check(body)
        .expect_err("is wrong");
    errors.into_iter().map(|e| (e.param, e.code)).collect()
}

fn good() -> Value {
    json!({
        "amount": 12345,
        "payer": { "name": "Maria", "document": "529.982.247-25" },
        "payment_method": { "type": "pix" },
    })
}

#[test]
fn a_short_request_is_enough() {
    let charge = Checker::<CreateCharge>::new()
        .check(good())
        .expect("is right")
        .request;
    assert_eq!(
        charge.payment_method.life(),
        crate::payment_method::Lifetime::Seconds(3600)
    );
    assert_eq!(charge.payer.document.as_str(), "52998224725");
}

#[test]
fn every_wrong_field_is_named_at_once_and_no_value_repeated() {
    let body = json!({
        "amount": "12", "color": 1, "currency": "USD", "reference": "",
        "payer": { "document": "52998224724", "email": "no", "phone": "999" },
        "payment_method": { "type": "pix", "expires_in": 1 },
        "metadata": { "a": 1 },
    });
    let errors = Checker::<CreateCharge>::new()
        .check(body.clone())
        .expect_err("is wrong");
    assert!(errors.iter().all(|e| !e.message.contains("52998224724")));
    let expected = [
        "amount",
        "color",
        "currency",
        "metadata.a",
        "payer.document",
        "payer.email",
        "payer.name",
        "payer.phone",
        "payment_method.expires_in",
        "reference",
    ];
    assert_eq!(
        params(body).into_iter().map(|(p, _)| p).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn an_unknown_payment_method_is_named() {
    let mut body = good();
    body["payment_method"] = json!({ "type": "cash" });
    assert_eq!(
        params(body),
        [("payment_method.type".to_owned(), "enum".to_owned())]
    );
}

fn checked(body: Value) -> Checked<CreateCharge> {
    Checker::new().check(body).expect("is right")
}

#[test]
fn control_characters_are_named_in_every_text_and_key() {
    for text in ["a\u{0}b", "a\nb", "\u{7}x", "a\u{202E}b"] {
        let mut body = good();
        body["description"] = text.into();
        body["reference"] = text.into();
        body["payer"]["name"] = text.into();
        body["metadata"] = json!({ "a": text, text: "b" });
        let names: Vec<_> = params(body).into_iter().map(|(name, _)| name).collect();
        let key: String = text.chars().filter(|c| !c.is_control()).collect();
        let mut expected = vec![
            "description".to_owned(),
            "metadata.a".to_owned(),
            format!("metadata.{key}"),
            "payer.name".to_owned(),
            "reference".to_owned(),
        ];
        expected.sort();
        assert_eq!(names, expected, "{text:?}");
    }
}

#[test]
fn a_blank_required_text_is_missing_and_a_blank_optional_one_too_short() {
    let mut body = good();
    body["payer"]["name"] = " \u{A0}".into();
    body["description"] = "".into();
    let expected = [("description", "min_length"), ("payer.name", "required")];
    assert_eq!(
        params(body),
        expected.map(|(name, code)| (name.to_owned(), code.to_owned()))
    );
}

#[test]
fn null_is_the_absence_of_a_field_that_is_known() {
    let mut body = good();
    for name in ["currency", "reference", "metadata", "require_fallback"] {
        body[name] = Value::Null;
    }
    body["payer"]["phone"] = Value::Null;
    body["payment_method"]["expires_in"] = Value::Null;
    let (plain, nulls) = (checked(good()), checked(body.clone()));
    assert_eq!(nulls.request, plain.request);
    assert_eq!(nulls.canonical, plain.canonical);
    body["amount"] = Value::Null;
    body["color"] = Value::Null;
    body["payment_method"]["brand"] = Value::Null;
    let expected = [
        ("amount", "required"),
        ("color", "unknown"),
        ("payment_method.brand", "unknown"),
    ];
    assert_eq!(
        params(body),
        expected.map(|(name, code)| (name.to_owned(), code.to_owned()))
    );
}

#[test]
fn an_integer_may_be_written_with_a_fraction_or_an_exponent() {
    for text in ["12345.0", "1.2345e4", "12345"] {
        let mut body = good();
        body["amount"] = serde_json::from_str(text).expect("JSON");
        body["payment_method"]["expires_in"] = json!(3600.0);
        let charge = checked(body);
        assert_eq!(charge.request.amount, 12345, "{text}");
    }
    for text in ["12345.5", "1e300", "12345000000000000000"] {
        let mut body = good();
        body["amount"] = serde_json::from_str(text).expect("JSON");
        assert_eq!(params(body)[0].0, "amount", "{text}");
    }
}

#[test]
fn contact_data_is_stored_without_punctuation_and_refused_where_it_is_none() {
    let mut body = good();
    body["payer"]["phone"] = "+55 (11) 98765-4321".into();
    body["payer"]["address"] = json!({
        "street": "Rua A", "number": "S/N", "district": "Centro", "city": "São Paulo", "state": "SP",
        "postal_code": "01310-100",
    });
    let payer = checked(body.clone()).request.payer;
    assert_eq!(payer.phone.as_deref(), Some("11987654321"));
    assert_eq!(
        payer.address.map(|address| address.postal_code).as_deref(),
        Some("01310100")
    );
    body["payer"] = json!({
        "name": "---", "document": "52998224725", "phone": "20987654321",
        "address": {
            "street": "..", "number": "1", "district": "Centro", "city": "1", "state": "XX", "postal_code": "00000000",
        },
    });
    let names: Vec<_> = params(body).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "payer.address.city",
            "payer.address.postal_code",
            "payer.address.state",
            "payer.address.street",
            "payer.name",
            "payer.phone"
        ]
    );
}

#[test]
fn a_payer_is_sent_back_only_to_pages() {
    for (url, taken) in [
        ("https://loja.example/ok", true),
        ("HTTP://loja.example", true),
        ("javascript:alert(1)", false),
        ("ftp://loja.example/ok", false),
        ("https:///ok", false),
    ] {
        let mut body = good();
        body["payment_method"] = json!({ "type": "card", "success_url": url, "cancel_url": url });
        assert_eq!(
            Checker::<CreateCharge>::new().check(body).is_ok(),
            taken,
            "{url}"
        );
    }
}

#[test]
fn the_canonical_form_is_the_same_for_the_same_request_in_every_version() {
    /// Request type of one version.
    #[derive(serde::Deserialize, JsonSchema)]
    struct Old {
        #[expect(dead_code, reason = "its schema is what counts")]
        name: String,
    }
    /// Request type of the next version, with more fields.
    #[derive(serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "its schema is what counts")]
    struct Newer {
        #[serde(default)]
        color: Option<String>,
        #[serde(default)]
        count: i64,
        name: String,
    }
    let sent = json!({ "name": "Jose\u{301} " });
    let old = Checker::<Old>::new().check(sent.clone()).expect("is right");
    let newer = Checker::<Newer>::new().check(sent).expect("is right");
    assert_eq!(old.canonical, newer.canonical);
    assert_eq!(old.canonical, r#"{"name":"José"}"#.as_bytes());
    let ordered = Checker::<Newer>::new();
    let [a, b] = [
        r#"{"name":"A","count":2.0,"color":null}"#,
        r#"{ "count": 2, "name": "A" }"#,
    ]
    .map(|text| ordered.check(serde_json::from_str(text).expect("JSON")));
    assert_eq!(
        a.expect("is right").canonical,
        b.expect("is right").canonical
    );
}

#[test]
fn stored_values_of_a_newer_version_are_read() {
    let method = json!({ "type": "pix", "expires_in": 60, "split": [] });
    assert!(serde_json::from_value::<crate::payment_method::PaymentMethod>(method).is_ok());
    let payer = json!({
        "name": "1", "document": "52998224725", "phone": "1187654321", "birthday": "1990-01-01",
        "address": {
            "street": "-", "number": "1", "district": "x", "city": "y", "state": "XX", "postal_code": "1", "country": "BR",
        },
    });
    assert!(serde_json::from_value::<crate::payer::Payer>(payer).is_ok());
}
