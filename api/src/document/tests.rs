use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

struct Operation<'a> {
    name: String,
    operation: &'a Value,
}

fn named(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").iter();
        methods.map(move |(method, operation)| Operation {
            name: format!("{method} {path}"),
            operation,
        })
    });
    all.collect()
}

fn responses_of(operation: &Value) -> &Map<String, Value> {
    operation["responses"].as_object().expect("responses")
}

/// Calls `found` with every member of this name, at any depth.
fn members<'a>(value: &'a Value, name: &str, found: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Object(all) => {
            for (key, member) in all {
                if key == name {
                    found(member);
                }
                members(member, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, name, found)),
        _ => {}
    }
}

#[test]
fn every_endpoint_has_a_summary_an_operation_id_and_its_problems() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let (operations, mut ids) = (named(&document), BTreeSet::new());
    assert_eq!(operations.len(), 18);
    for Operation { name, operation } in &operations {
        for field in ["summary", "description", "operationId"] {
            let text = operation[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name}: {field}");
        }
        assert!(ids.insert(operation["operationId"].as_str()), "{name}");
        let tag = operation["tags"][0].as_str().expect("a tag");
        let tags = document["tags"].as_array().expect("tags");
        assert!(tags.iter().any(|known| known["name"] == tag), "{name}");
        let responses = responses_of(operation);
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{name}"
        );
        for status in ["422", "500", "503"] {
            assert!(responses.contains_key(status), "{name}: {status}");
        }
        let needs_key = name != "get /docs/errors/{code}";
        for status in ["401", "403"] {
            assert_eq!(
                responses.contains_key(status),
                needs_key,
                "{name}: {status}"
            );
        }
        assert_eq!(name.contains('{'), responses.contains_key("404"), "{name}");
        for (status, response) in responses {
            assert!(response["headers"]["Request-Id"].is_object(), "{name}");
            assert_ne!(response["description"], "", "{name}: {status}");
            if status.as_str() >= "400" {
                let content = &response["content"][error::PROBLEM_JSON];
                assert_eq!(
                    content["schema"]["$ref"],
                    format!("{SCHEMAS}Problem"),
                    "{name}: {status}"
                );
            }
        }
    }
}

#[test]
fn every_reference_resolves_and_no_schema_is_unused() {
    let document = document();
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let mut used = BTreeSet::new();
    members(&document, "$ref", &mut |target| {
        let target = target.as_str().expect("a reference");
        let name = target.strip_prefix(SCHEMAS).expect("a schema");
        assert!(schemas.contains_key(name), "{target}");
        used.insert(name);
    });
    let unused: Vec<_> = schemas
        .keys()
        .filter(|name| !used.contains(name.as_str()))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
    for name in schemas.keys() {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        assert!(
            stem == name || !schemas.contains_key(stem),
            "two types are named {stem}"
        );
    }
}

#[test]
fn every_parameter_of_a_path_and_of_a_query_is_documented() {
    let document = document();
    for Operation { name, operation } in named(&document) {
        let parameters: Vec<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let of = |place: &str| {
            let named = parameters
                .iter()
                .filter(|parameter| parameter["in"] == place);
            named
                .filter_map(|parameter| parameter["name"].as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("path").len(), name.matches('{').count(), "{name}");
        if name.starts_with("get") && !name.ends_with('}') && !name.ends_with("timeline") {
            let query = of("query");
            for field in ["limit", "starting_after", "ending_before"] {
                assert!(query.contains(&field), "{name}: {field}");
            }
        }
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
            assert!(parameter["schema"].is_object(), "{name}: {parameter}");
        }
    }
    let charges = &document["paths"]["/v1/charges"]["get"]["parameters"];
    let charges = charges.as_array().expect("parameters");
    let status = charges
        .iter()
        .find(|parameter| parameter["name"] == "status");
    let values = status.and_then(|status| status["schema"]["enum"].as_array());
    assert!(values.is_some_and(|values| values.contains(&"paid".into())));
}

#[test]
fn every_example_has_the_shape_that_it_illustrates() {
    let document = document();
    let mut contents = Vec::new();
    members(&document["paths"], "content", &mut |content| {
        contents.extend(content.as_object().expect("media types").values());
    });
    let mut checked = 0;
    for content in contents {
        let mut examples: Vec<_> = content.get("example").into_iter().collect();
        let named = content["examples"].as_object().into_iter().flatten();
        examples.extend(named.map(|(_, example)| &example["value"]));
        let mut schema = content["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::options().build(&schema).expect("a JSON Schema");
        for example in examples {
            let errors: Vec<_> = validator
                .iter_errors(example)
                .map(|e| e.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?}: {example}");
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}
