//! Queries and forms: `a[b][0]=1` parsed to JSON, with the types of a schema.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::document::Document;

/// Parses a form to nested objects of text. The indexes of a list become keys.
pub(crate) fn tree(text: &str) -> Value {
    let mut root = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let mut keys = name.split('[').map(|key| key.trim_end_matches(']'));
        let first = keys.next().unwrap_or_default().to_owned();
        put(&mut root, &first, &mut keys, value.into_owned());
    }
    root.into()
}

fn put<'a>(
    into: &mut Map<String, Value>,
    key: &str,
    keys: &mut impl Iterator<Item = &'a str>,
    value: String,
) {
    // `[]` is the list's next index
    let key = if key.is_empty() {
        into.len().to_string()
    } else {
        key.to_owned()
    };
    let Some(next) = keys.next() else {
        into.insert(key, value.into());
        return;
    };
    let inner = into.entry(key).or_insert_with(|| Map::new().into());
    if let Value::Object(inner) = inner {
        put(inner, next, keys, value);
    }
}

/// Converts to numbers, booleans and lists according to the schema. A value that cannot be converted is returned unchanged, so that
/// the schema rejects it.
pub(crate) fn typed(raw: &Value, schema: &Value, document: &Document) -> Value {
    let schema = document.resolved(schema);
    for several in ["anyOf", "oneOf", "allOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            let value = typed(raw, one, document);
            if is_of(&value, one, document) {
                return value;
            }
        }
    }
    match (schema["type"].as_str(), raw) {
        (Some("integer"), Value::String(text)) => text
            .parse::<i64>()
            .map_or_else(|_| raw.clone(), Value::from),
        (Some("boolean"), Value::String(text)) => text
            .parse::<bool>()
            .map_or_else(|_| raw.clone(), Value::from),
        (Some("array"), Value::Object(places)) => places
            .values()
            .map(|place| typed(place, &schema["items"], document))
            .collect(),
        (_, Value::Object(fields)) => fields
            .iter()
            .map(|(name, field)| {
                let known = schema["properties"].get(name);
                let of = known.unwrap_or(&schema["additionalProperties"]);
                (name.clone(), typed(field, of, document))
            })
            .collect(),
        _ => raw.clone(),
    }
}

fn is_of(value: &Value, schema: &Value, document: &Document) -> bool {
    let schema = document.resolved(schema);
    let alternatives = ["anyOf", "oneOf", "allOf"];
    let mut alternatives = alternatives
        .iter()
        .flat_map(|several| schema[several].as_array().into_iter().flatten());
    match schema["type"].as_str() {
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("string") => value.is_string(),
        _ => alternatives.any(|one| is_of(value, one, document)),
    }
}
