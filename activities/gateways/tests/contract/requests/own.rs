//! Our own description of the calls that we make (`tests/specs`), which is always checked, even without the gateways' documents.

use std::sync::LazyLock;

use serde_json::Value;

use super::{document::Document, recorder::Request};

pub(crate) static EFI_PIX: LazyLock<Document> = LazyLock::new(|| document(specs::EFI_PIX));
pub(crate) static EFI_COBRANCAS: LazyLock<Document> =
    LazyLock::new(|| document(specs::EFI_COBRANCAS));
pub(crate) static STRIPE: LazyLock<Document> = LazyLock::new(|| document(specs::STRIPE));
pub(crate) static ASAAS: LazyLock<Document> = LazyLock::new(|| document(specs::ASAAS));

fn document(text: &str) -> Document {
    let spec: Value = serde_saphyr::from_str(text).expect("YAML");
    Document::new(spec, "", &[])
}

/// Returns the name of the request's call, or the errors of the request or its answer.
pub(crate) fn check(document: &Document, request: &Request) -> Result<String, Vec<String>> {
    let call = document.check(request)?;
    let answer = request.answer.as_ref();
    let wrong = answer.map_or_else(Vec::new, |answer| document.against_answer(&call, answer));
    if wrong.is_empty() {
        Ok(call)
    } else {
        Err(wrong)
    }
}

#[test]
fn the_examples_are_what_they_are_examples_of() {
    let examples = ASAAS.examples("Payment");
    assert_eq!(examples.len(), 2);
    for (example, wrong) in examples {
        assert!(wrong.is_empty(), "{wrong:#?}\n{example:#}");
    }
}

#[test]
fn an_answer_that_lacks_a_field_or_has_an_unknown_status_is_noticed() {
    let answer = |status, body: Value| super::recorder::Answer {
        status,
        body: body.to_string().into_bytes(),
    };
    let against = |answer| ASAAS.against_answer("GET /v3/payments/{id}", &answer);
    let (right, _) = ASAAS.examples("Payment").remove(0);
    assert!(against(answer(200, right.clone())).is_empty());
    for (field, value) in [
        ("value", Value::from("123.45")),
        ("status", "PAID".into()),
        ("deleted", Value::Null),
    ] {
        let mut broken = right.clone();
        broken[field] = value;
        assert!(!against(answer(200, broken)).is_empty(), "{field}");
    }
    let mut less = right.clone();
    less.as_object_mut().expect("an object").remove("netValue");
    assert!(!against(answer(200, less)).is_empty());
    assert!(!against(answer(201, right)).is_empty());
    assert!(!against(answer(400, Value::from("no"))).is_empty());
}
