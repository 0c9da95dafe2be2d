//! `OpenAPI` 3.0 documents, against which requests and answers are checked.

use jsonschema::Draft;
use serde_json::{Map, Value, json};

use super::{
    form,
    recorder::{Answer, Request},
};

/// Reason of a correction, and the correction itself.
pub(crate) type Correction = (&'static str, fn(&mut Value));

pub(crate) struct Document {
    /// Document in which an object with properties permits no others: for requests.
    spec: Value,
    /// Document as published: for answers, to which gateways add fields at any time.
    open: Value,
    /// Prefix of the document's paths.
    prefix: &'static str,
}

/// Operation to which a request belongs.
struct Operation<'a> {
    template: &'a str,
    item: &'a Value,
    what: &'a Value,
    /// Values of the path's parameters.
    named: Map<String, Value>,
}

/// Returns the values of the template's parameters, if the path matches the template.
fn matches(template: &str, path: &str) -> Option<Map<String, Value>> {
    let (gaps, parts) = (template.split('/'), path.split('/'));
    if gaps.clone().count() != parts.clone().count() {
        return None;
    }
    let mut named = Map::new();
    for (gap, part) in gaps.zip(parts) {
        match gap.strip_prefix('{').and_then(|gap| gap.strip_suffix('}')) {
            Some(name) if !part.is_empty() => {
                named.insert(name.to_owned(), part.into());
            }
            None if gap == part => {}
            _ => return None,
        }
    }
    Some(named)
}

/// Calls `change` for each object, the inner ones first.
pub(crate) fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object
                .values_mut()
                .for_each(|inner| each_object(inner, change));
            change(object);
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| each_object(inner, change)),
        _ => {}
    }
}

/// Forbids other properties in an object with properties. This includes those of `allOf`, so it is added to a whole object, never to
/// its parts.
fn close(object: &mut Map<String, Value>) {
    let whole = |schema: &mut Value| {
        let inner = schema.take();
        *schema = json!({ "allOf": [inner], "unevaluatedProperties": false });
    };
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(whole);
    }
    if object.get("type").is_some_and(|kind| kind == "array")
        && let Some(items) = object.get_mut("items")
    {
        whole(items);
    }
}

impl Document {
    pub(crate) fn new(mut spec: Value, prefix: &'static str, corrections: &[Correction]) -> Self {
        for (_, set_right) in corrections {
            set_right(&mut spec);
        }
        let open = spec.clone();
        each_object(&mut spec, &mut close);
        Self { spec, open, prefix }
    }

    /// Returns the errors of an answer to the call `name`, which is named as [`Self::check`] names it.
    pub(crate) fn against_answer(&self, name: &str, answer: &Answer) -> Vec<String> {
        let (method, template) = name.split_once(' ').expect("a method and a path");
        let responses = &self.open["paths"][template][method.to_lowercase()]["responses"];
        let status = answer.status.to_string();
        let response = match responses.get(&status) {
            Some(response) => response,
            None if answer.status >= 400 => &responses["default"],
            None => return vec![format!("answer: {status} is not known")],
        };
        let content = &referred(&self.open, response)["content"];
        // a refusal may have no body
        if content.is_null() || (answer.body.is_empty() && answer.status >= 400) {
            return Vec::new();
        }
        let Ok(value) = serde_json::from_slice(&answer.body) else {
            return vec!["answer: is no JSON".to_owned()];
        };
        let schema = &content["application/json"]["schema"];
        let whole = json!({ "allOf": [schema], "components": self.open["components"] });
        wrong(&whole, &value, "answer")
    }

    /// Returns the examples of a schema.
    pub(crate) fn examples(&self, schema: &str) -> Vec<(Value, Vec<String>)> {
        let schema = &self.open["components"]["schemas"][schema];
        let whole = json!({ "allOf": [schema], "components": self.open["components"] });
        let examples = schema["examples"].as_array().into_iter().flatten();
        examples
            .map(|example| (example.clone(), wrong(&whole, example, "example")))
            .collect()
    }

    /// Returns the name of the request's call, or the request's errors.
    pub(crate) fn check(&self, request: &Request) -> Result<String, Vec<String>> {
        let operation = self
            .operation(request)
            .ok_or_else(|| vec!["no such call".to_owned()])?;
        let mut wrong = Vec::new();
        let query = form::tree(&request.query);
        for (place, raw) in [("path", operation.named.clone().into()), ("query", query)] {
            let schema = self.parameters(&operation, place);
            let value = form::typed(&raw, &schema, self);
            wrong.extend(self.against(&schema, &value, place));
        }
        wrong.extend(self.against_body(operation.what, request));
        if wrong.is_empty() {
            Ok(format!("{} {}", request.method, operation.template))
        } else {
            Err(wrong)
        }
    }

    /// Returns the matching operation with the fewest path parameters.
    fn operation(&self, request: &Request) -> Option<Operation<'_>> {
        let path = request.path.strip_prefix(self.prefix)?;
        let method = request.method.to_lowercase();
        let all = self.spec["paths"].as_object()?.iter();
        all.filter_map(|(template, item)| {
            Some(Operation {
                template,
                item,
                what: item.get(&method)?,
                named: matches(template, path)?,
            })
        })
        .min_by_key(|operation| operation.named.len())
    }

    /// Returns the target of a reference.
    pub(crate) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        referred(&self.spec, value)
    }

    /// Returns a schema of the parameters in `place`, as an object.
    fn parameters(&self, operation: &Operation<'_>, place: &str) -> Value {
        let mut schema = json!({ "type": "object", "properties": {}, "required": [] });
        for of in [operation.item, operation.what] {
            for parameter in of["parameters"].as_array().into_iter().flatten() {
                let parameter = self.resolved(parameter);
                if parameter["in"] != place {
                    continue;
                }
                let name = parameter["name"].as_str().expect("a name");
                schema["properties"][name] = parameter["schema"].clone();
                if parameter["required"] == true {
                    schema["required"]
                        .as_array_mut()
                        .expect("a list")
                        .push(name.into());
                }
            }
        }
        schema
    }

    fn against_body(&self, operation: &Value, request: &Request) -> Vec<String> {
        let body = self.resolved(&operation["requestBody"]);
        if request.body.is_empty() {
            let required = body["required"] == true;
            return required
                .then(|| "body: is missing".to_owned())
                .into_iter()
                .collect();
        }
        let kind = request.header("content-type").unwrap_or_default();
        let Some(media) = body["content"].get(kind) else {
            return vec![format!("body: may not be {kind:?}")];
        };
        let schema = &media["schema"];
        let value = if kind == "application/json" {
            serde_json::from_slice(&request.body).unwrap_or_default()
        } else {
            let text = std::str::from_utf8(&request.body).expect("a form");
            form::typed(&form::tree(text), schema, self)
        };
        self.against(schema, &value, "body")
    }

    /// Returns the schema's errors for the value.
    fn against(&self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        let whole = json!({
            "allOf": [schema], "unevaluatedProperties": false, "components": self.spec["components"],
        });
        wrong(&whole, value, place)
    }
}

/// Returns the target of a reference.
fn referred<'a>(spec: &'a Value, mut value: &'a Value) -> &'a Value {
    while let Some(reference) = value["$ref"].as_str() {
        value = spec
            .pointer(reference.trim_start_matches('#'))
            .expect("what is referred to");
    }
    value
}

fn wrong(schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(schema)
        .expect("a schema");
    validator
        .iter_errors(value)
        .map(|error| format!("{place}{}: {error}", error.instance_path()))
        .collect()
}
