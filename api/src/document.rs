//! The OpenAPI document: paths from the endpoints' attributes, shapes from `schemas`.

use std::collections::BTreeMap;

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use schemas::validate::request_settings;
use serde_json::{Map, Value, json};
use utoipa::{
    Modify, OpenApi, PartialSchema,
    openapi::{
        self, ContentBuilder, RefOr, Required, ResponseBuilder,
        example::ExampleBuilder,
        path::{Parameter, ParameterBuilder, ParameterIn},
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::{Code, error, routes, shape};

#[cfg(test)]
mod tests;

const SCHEMAS: &str = "#/components/schemas/";

/// Problems of every endpoint.
const EVERYWHERE: [Code; 7] = [
    Code::Unauthenticated,
    Code::PermissionDenied,
    Code::BodyTooLarge,
    Code::InvalidRequest,
    Code::RequestTimeout,
    Code::InternalError,
    Code::Unavailable,
];

/// Parts of the document that belong to no endpoint.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Payment Orchestrator",
        description = "Charges by Pix, boleto and card over Efí, Stripe and Asaas. Amounts are integer centavos; instants are RFC 3339 in UTC.",
        license(name = "Apache-2.0", url = "https://www.apache.org/licenses/LICENSE-2.0"),
    ),
    tags(
        (name = "charges", description = "Charges: intents to collect money from one payer."),
        (name = "refunds", description = "Refunds: money that the merchant returns."),
        (name = "disputes", description = "Disputes: money that the payer contests."),
        (name = "events", description = "Events: facts that are also delivered to webhook endpoints."),
        (name = "webhook_endpoints", description = "Webhook endpoints: URLs at which the merchant receives events."),
        (name = "errors", description = "Explanations of error codes."),
    ),
    security(("api_key" = [])),
    modifiers(&ApiKey),
)]
pub(crate) struct Frame;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api_key", scheme);
    }
}

/// Returns the OpenAPI document.
pub fn document() -> Value {
    let mut document =
        serde_json::to_value(routes().into_openapi()).expect("the document serializes");
    let schemas = components(&mut document);
    document["components"]["schemas"] = schemas.into();
    for body in request_bodies(&mut document) {
        without_null(body);
    }
    for operation in operations(&mut document) {
        without_key(operation);
    }
    let header = json!({
        "description": "Id of the request, to be quoted to support.", "schema": { "type": "string" },
    });
    for response in responses(&mut document) {
        response["headers"]["Request-Id"] = header.clone();
    }
    document
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.filter_map(|(_, item)| item.as_object_mut()).flatten();
    operations.map(|(_, operation)| operation)
}

fn request_bodies(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    operations(document).filter_map(|operation| operation.get_mut("requestBody"))
}

fn responses(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let responses = operations(document).filter_map(|operation| operation.get_mut("responses"));
    responses
        .filter_map(Value::as_object_mut)
        .flatten()
        .map(|(_, response)| response)
}

/// Removes the problems of API keys from an operation that needs none.
fn without_key(operation: &mut Value) {
    if operation["security"] == json!([{}])
        && let Some(responses) = operation["responses"].as_object_mut()
    {
        responses.shift_remove("401");
        responses.shift_remove("403");
    }
}

/// Removes null from the schema of a body that may be absent: it may not be null.
fn without_null(body: &mut Value) {
    let schema = &mut body["content"]["application/json"]["schema"];
    if let Some(variants) = schema["oneOf"].as_array()
        && let Some(only) = variants.iter().find(|variant| variant["type"] != "null")
    {
        *schema = only.clone();
    }
}

/// Returns the schemas of both directions. A type that is read and written in different shapes has a second name for requests.
fn components(document: &mut Value) -> Map<String, Value> {
    let mut written = generator(SchemaSettings::draft2020_12().for_serialize());
    shape::responses(&mut written);
    let mut read = generator(request_settings());
    shape::requests(&mut read);
    let mut all = written.take_definitions(true);
    let read = read.take_definitions(true);
    let differ: Vec<_> = read
        .iter()
        .filter(|(name, schema)| all.get(*name).is_some_and(|other| other != *schema))
        .map(|(name, _)| name.clone())
        .collect();
    for (name, mut schema) in read {
        rename(&mut schema, &differ);
        if differ.contains(&name) {
            all.insert(of_request(&name), schema);
        } else {
            all.insert(name, schema);
        }
    }
    for body in request_bodies(document) {
        rename(body, &differ);
    }
    all.sort_keys();
    all
}

fn generator(settings: SchemaSettings) -> SchemaGenerator {
    let settings = settings.with(|settings| {
        settings.definitions_path = SCHEMAS.trim_start_matches('#').trim_end_matches('/').into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

fn of_request(name: &str) -> String {
    format!("{name}Request")
}

/// Points the references to the types named in `differ` to their shapes in requests.
fn rename(value: &mut Value, differ: &[String]) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        let target_name = target.strip_prefix(SCHEMAS).unwrap_or_default();
                        if differ.iter().any(|name| name == target_name) {
                            *target = format!("{SCHEMAS}{}", of_request(target_name));
                        }
                    }
                    member => rename(member, differ),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, differ)),
        _ => {}
    }
}

/// Returns the parameters of a query string, from the fields of a type.
pub(crate) fn query<T: JsonSchema>() -> Vec<Parameter> {
    let settings = request_settings()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(PlainEnum));
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let fields = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, field): (&String, &Value)| {
        let mut field = field.clone();
        let about = field
            .as_object_mut()
            .and_then(|field| field.shift_remove("description"));
        let shape: RefOr<openapi::Schema> =
            serde_json::from_value(field).expect("a JSON Schema of a parameter");
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(about.as_ref().and_then(Value::as_str))
            .schema(Some(shape))
            .build()
    };
    fields.into_iter().flatten().map(parameter).collect()
}

/// Transform of an enum with documented variants to a list of its values.
#[derive(Clone)]
struct PlainEnum;

impl Transform for PlainEnum {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(variants) = schema.get("oneOf").and_then(Value::as_array) else {
            return;
        };
        let values: Option<Vec<Value>> = variants
            .iter()
            .map(|variant| match variant.get("const") {
                Some(value) => Some(vec![value.clone()]),
                None => variant.get("enum")?.as_array().cloned(),
            })
            .collect::<Option<Vec<_>>>()
            .map(|values| values.concat());
        if let Some(values) = values {
            schema.remove("oneOf");
            schema.insert("type".to_owned(), "string".into());
            schema.insert("enum".to_owned(), values.into());
        }
    }
}

/// Returns the documentation of the problems that an endpoint answers with: its own, and those of every endpoint.
pub(crate) fn problem_responses(own: &[Code]) -> BTreeMap<String, RefOr<openapi::Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let mut all = [own, &EVERYWHERE].concat();
    all.sort();
    all.dedup();
    for code in all {
        by_status
            .entry(code.status().as_u16())
            .or_default()
            .push(code);
    }
    let documented = by_status.into_iter().map(|(status, codes)| {
        let about: Vec<_> = codes
            .iter()
            .map(|code| format!("`{}`: {}.", code.as_ref(), code.explanation().title))
            .collect();
        let examples = codes.into_iter().map(|code| {
            let example = ExampleBuilder::new()
                .summary(code.explanation().title)
                .value(Some(error::example(code)));
            (code.as_ref().to_owned(), example.build())
        });
        let content = ContentBuilder::new()
            .schema(Some(shape::Problem::schema()))
            .examples_from_iter(examples);
        let response = ResponseBuilder::new()
            .description(about.join("\n"))
            .content(error::PROBLEM_JSON, content.build());
        (status.to_string(), response.build().into())
    });
    documented.collect()
}

/// Declares `Problems`: the documentation of the problems that the endpoint of this file answers with, besides those of every endpoint.
macro_rules! problems {
    ($($code:ident),* $(,)?) => {
        struct Problems;

        impl utoipa::IntoResponses for Problems {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                $crate::document::problem_responses(&[$($crate::Code::$code),*])
            }
        }
    };
}

pub(crate) use problems;
