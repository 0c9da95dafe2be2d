//! Tests of responses against captures of the real sandbox: keys, types, nulls.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::TestServer;

/// Returns the captures, or nothing if the file is not available.
fn captures() -> Option<Value> {
    let text = specs::read("asaas-sandbox-captures.json")?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// Returns the shape of a value: its types without its values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Number(number) if number.is_f64() => "decimal".into(),
        Value::Number(_) => "integer".into(),
        Value::String(_) => "string".into(),
        Value::Array(all) => all.iter().map(shape).collect(),
        Value::Object(fields) => {
            let shaped = fields
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(shaped.collect())
        }
    }
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().expect("an object").keys().collect()
}

/// Sends the captured request again with a valid customer and a future due date.
async fn repeat(server: &TestServer, capture: &Value) -> Value {
    let mut request = capture["request"].clone();
    request["customer"] = server.customer().await.into();
    request["dueDate"] = TestServer::day(5).into();
    server.make("/v3/payments", request).await
}

#[tokio::test]
async fn a_customer_checks_as_captured() {
    let Some(captures) = captures() else {
        return;
    };
    let server = TestServer::open().await;
    let capture = &captures["customer"];
    let made = server
        .make("/v3/customers", capture["request"].clone())
        .await;
    assert_eq!(shape(&made), shape(&capture["response"]));
    assert_eq!(keys(&made), keys(&capture["response"]));
    for field in [
        "name",
        "email",
        "mobilePhone",
        "cpfCnpj",
        "personType",
        "country",
    ] {
        assert_eq!(made[field], capture["response"][field], "{field}");
    }
}

#[tokio::test]
async fn pix_and_boleto_are_as_captured() {
    let Some(captures) = captures() else {
        return;
    };
    let server = TestServer::open().await;
    for name in ["payment_pix", "payment_boleto"] {
        let capture = &captures[name];
        let made = repeat(&server, capture).await;
        assert_eq!(shape(&made), shape(&capture["response"]), "{name}");
        assert_eq!(keys(&made), keys(&capture["response"]), "{name}");
        for field in [
            "value",
            "netValue",
            "description",
            "discount",
            "fine",
            "interest",
        ] {
            let (ours, theirs) = (
                made[field].to_string(),
                capture["response"][field].to_string(),
            );
            assert_eq!(ours, theirs, "{name} {field}");
        }
    }
}

#[tokio::test]
async fn a_card_charge_has_two_more_keys() {
    let Some(captures) = captures() else {
        return;
    };
    let server = TestServer::open().await;
    let capture = &captures["payment_card"];
    let made = repeat(&server, capture).await;
    let pix = &captures["payment_pix"]["response"];
    let more: Vec<_> = keys(&made)
        .into_iter()
        .filter(|key| pix.get(key.as_str()).is_none())
        .collect();
    assert_eq!(json!(more), capture["response_extra_keys_vs_pix"]);
    assert!(keys(pix).iter().all(|key| made.get(key.as_str()).is_some()));
    assert_eq!(made["netValue"], capture["netValue"]);
}

#[tokio::test]
async fn errors_are_word_for_word_those_captured() {
    let Some(captures) = captures() else {
        return;
    };
    let server = TestServer::open().await;
    for capture in captures["errors"].as_array().expect("errors") {
        let path = capture["request"]["path"].as_str().expect("a path");
        let body = capture["request"]["body"].clone();
        let (status, answer) = server.call(Method::POST, path, body).await;
        assert_eq!(json!(status), capture["status"]);
        assert_eq!(answer, capture["response"]);
    }
}
