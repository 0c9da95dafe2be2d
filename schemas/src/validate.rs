//! Requests checked against their own JSON Schema, so that a limit is written once, and every wrong field is named.

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    document::{self, Document},
    problem::FieldError,
};

/// Checks requests of type `T`. Build it once.
pub struct Checker<T> {
    validator: Validator,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: JsonSchema + DeserializeOwned> Checker<T> {
    /// Compiles the schema of `T`.
    pub fn new() -> Self {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .with_format(document::FORMAT, |text| text.parse::<Document>().is_ok())
            .build(request_schema::<T>().as_value())
            .expect("our own schemas compile");
        Self {
            validator,
            of: std::marker::PhantomData,
        }
    }

    /// The request, or every wrong field. Messages never repeat what was sent.
    pub fn check(&self, value: Value) -> Result<T, Vec<FieldError>> {
        let mut errors: Vec<FieldError> = self
            .validator
            .iter_errors(&value)
            .flat_map(|e| explain(&e))
            .collect();
        if errors.is_empty() {
            return serde_json::from_value(value).map_err(|_| {
                vec![FieldError::new(
                    "",
                    "invalid",
                    "does not have the documented shape",
                )]
            });
        }
        errors.sort_by(|a, b| a.param.cmp(&b.param));
        errors.dedup_by(|a, b| a.param == b.param);
        Err(errors)
    }
}

impl<T: JsonSchema + DeserializeOwned> Default for Checker<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The schema of a request: what may be left out may not be null instead.
pub fn request_schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .with_transform(RecursiveTransform(NoNull))
        .into_generator()
        .into_root_schema_for::<T>()
}

#[derive(Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|t| t != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(any)) = object.get_mut("anyOf") {
            any.retain(|s| s != &json!({ "type": "null" }));
            if let [only] = any.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                if let Value::Object(only) = only {
                    object.extend(only);
                }
            }
        }
        if object.get("default") == Some(&Value::Null) {
            object.remove("default");
        }
    }
}

/// A JSON Schema error as field errors: one per missing or unknown property.
fn explain(error: &ValidationError<'_>) -> Vec<FieldError> {
    let at = dotted(error.instance_path().as_str());
    let here = |code: &str, message: String| vec![FieldError::new(at.clone(), code, message)];
    match error.kind() {
        Kind::Required { property } => {
            vec![FieldError::new(
                join(&at, property.as_str().unwrap_or_default()),
                "required",
                "is required",
            )]
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected
                .iter()
                .map(|name| {
                    FieldError::new(
                        join(&at, &printable(name)),
                        "unknown",
                        "is not a field of this request",
                    )
                })
                .collect()
        }
        Kind::OneOfNotValid { context } | Kind::AnyOf { context } => closest(context)
            .unwrap_or_else(|| {
                vec![FieldError::new(
                    join(&at, "type"),
                    "enum",
                    "is none of the documented types",
                )]
            }),
        Kind::Type { kind } => here("type", format!("must be of type {}", type_name(kind))),
        Kind::Minimum { limit } => here("minimum", format!("must be at least {limit}")),
        Kind::Maximum { limit } => here("maximum", format!("must be at most {limit}")),
        Kind::MinLength { limit } => here(
            "min_length",
            format!("must have at least {limit} characters"),
        ),
        Kind::MaxLength { limit } => here(
            "max_length",
            format!("must have at most {limit} characters"),
        ),
        Kind::MaxItems { limit } => here("max_items", format!("must have at most {limit} items")),
        Kind::MaxProperties { limit } => {
            here("max_properties", format!("must have at most {limit} keys"))
        }
        Kind::PropertyNames { .. } => {
            here("key_length", "has a key of the wrong length".to_owned())
        }
        Kind::Pattern { pattern } => here("pattern", format!("must match {pattern}")),
        Kind::Format { format } => here("format", format_message(format)),
        Kind::Enum { options } => here("enum", format!("must be one of {options}")),
        Kind::Constant { expected_value } => here("const", format!("must be {expected_value}")),
        _ => here("invalid", "is not valid".to_owned()),
    }
}

fn format_message(format: &str) -> String {
    if format == document::FORMAT {
        "must be a CPF or a CNPJ with correct check digits".to_owned()
    } else {
        format!("must be a valid {format}")
    }
}

/// Of the shapes of a union, the errors of the one whose `type` was meant.
fn closest(context: &[Vec<ValidationError<'_>>]) -> Option<Vec<FieldError>> {
    context
        .iter()
        .map(|errors| errors.iter().flat_map(explain).collect::<Vec<_>>())
        .find(|errors| !errors.iter().any(|e| e.param.ends_with("type")))
}

fn type_name(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.to_string(),
        TypeKind::Multiple(kinds) => kinds
            .iter()
            .map(|k| k.to_string())
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn dotted(pointer: &str) -> String {
    let parts = pointer
        .split('/')
        .skip(1)
        .map(|part| printable(&part.replace("~1", "/").replace("~0", "~")));
    parts.collect::<Vec<_>>().join(".")
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

/// A key that the caller chose, short enough and harmless to repeat.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
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
            .expect("is right");
        assert_eq!(
            charge.payment_method.life(),
            crate::payment_method::Life::Seconds(3600)
        );
        assert_eq!(charge.payer.document.as_str(), "52998224725");
    }

    #[test]
    fn every_wrong_field_is_named_at_once_and_no_value_repeated() {
        let body = json!({
            "amount": "12", "colour": 1, "currency": "USD", "reference": "",
            "payer": { "document": "52998224724", "email": "no", "phone": null },
            "payment_method": { "type": "pix", "expires_in": 1 },
            "metadata": { "a": 1 },
        });
        let errors = Checker::<CreateCharge>::new()
            .check(body.clone())
            .expect_err("is wrong");
        assert!(errors.iter().all(|e| !e.message.contains("52998224724")));
        let expected = [
            "amount",
            "colour",
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
}
