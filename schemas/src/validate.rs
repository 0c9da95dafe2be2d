//! Request validation. A request is converted to its canonical form and checked against its own JSON Schema. Each limit is
//! written once, and every invalid field is reported.
//!
//! Only this check is strict: the types themselves ignore unknown fields, because they are also read from the database, where
//! a newer version may have written more fields.

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
use serde_json::{Map, Number, Value, json};

use crate::{
    contact,
    document::{self, Document},
    problem::FieldError,
    text,
};

mod query;
#[cfg(test)]
mod tests;

pub use query::Parameter;

/// 2^53. Floating-point numbers from here on represent more than one integer.
const INTEGERS_END: f64 = 9_007_199_254_740_992.0;

/// A custom format: its name, its test, and the message for a text that fails the test.
type Format = (&'static str, fn(&str) -> bool, &'static str);

const FORMATS: [Format; 5] = [
    (
        document::FORMAT,
        |text| text.parse::<Document>().is_ok(),
        "must be a CPF or a CNPJ with correct check digits",
    ),
    (
        contact::NAME_FORMAT,
        contact::is_name,
        "must be a name, with letters",
    ),
    (
        contact::ADDRESS_FORMAT,
        contact::is_address_line,
        "must have letters or digits",
    ),
    (
        contact::PHONE_FORMAT,
        |text| contact::phone(text).is_some(),
        "must be a Brazilian mobile (11 digits) or landline (10 digits) with its area code",
    ),
    (
        contact::POSTAL_CODE_FORMAT,
        |text| contact::postal_code(text).is_some(),
        "must be a CEP: eight digits",
    ),
];

/// A request that passed the check.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    pub request: T,
    /// Canonical form of the request, which is the same for the same request in every version: RFC 8785, without null members,
    /// integers without fraction, texts normalized.
    pub canonical: Vec<u8>,
}

/// Validator of requests of type `T`. Build it once.
pub struct Checker<T> {
    validator: Validator,
    /// Fields that are integers: a query string contains them as text.
    integers: Vec<String>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: JsonSchema + DeserializeOwned> Checker<T> {
    /// Compiles the schema of `T`.
    pub fn new() -> Self {
        let mut options = jsonschema::options().should_validate_formats(true);
        for (name, has, _) in FORMATS {
            options = options.with_format(name, has);
        }
        let schema = request_schema::<T>();
        let validator = options
            .build(schema.as_value())
            .expect("our own schemas compile");
        Self {
            validator,
            integers: query::integers(&schema),
            of: std::marker::PhantomData,
        }
    }

    /// Returns the request, or an error for every invalid field. Messages never repeat the value that was sent.
    pub fn check(&self, value: Value) -> Result<Checked<T>, Vec<FieldError>> {
        let mut errors = Vec::new();
        let whole = normal("", value, &mut errors);
        let given = without(&whole, Value::is_null);
        if given != whole {
            // null means that a field is absent, but the field must still be one that the request has
            errors.extend(self.errors(&whole).filter(|error| error.code == "unknown"));
        }
        if errors.is_empty() && self.validator.is_valid(&given) {
            return T::deserialize(&given)
                .map(|request| Checked {
                    request,
                    canonical: canonical(&given),
                })
                .map_err(|_| {
                    vec![FieldError::new(
                        "",
                        "invalid",
                        "does not have the documented shape",
                    )]
                });
        }
        // a blank required text is reported as missing, which is clearer than an error about its length
        let filled = without(&given, |value| *value == "");
        errors.extend(
            self.errors(&filled)
                .filter(|error| error.code == "required"),
        );
        errors.extend(self.errors(&given));
        errors.sort_by(|a, b| a.param.cmp(&b.param));
        errors.dedup_by(|a, b| a.param == b.param);
        Err(errors)
    }

    fn errors(&self, value: &Value) -> impl Iterator<Item = FieldError> {
        let errors: Vec<_> = self
            .validator
            .iter_errors(value)
            .flat_map(|error| explain(&error))
            .collect();
        errors.into_iter()
    }
}

/// Returns the bytes of `value` in its canonical form (RFC 8785).
fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("JSON serializes")
}

/// Returns `value` with its texts and integers in their normal form. Adds an error for each text or key that is not allowed.
fn normal(at: &str, value: Value, errors: &mut Vec<FieldError>) -> Value {
    match value {
        Value::String(text) => Value::String(normal_text(at, text, errors)),
        Value::Number(number) => Value::Number(whole_number(&number).unwrap_or(number)),
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            Value::Array(
                items
                    .map(|(index, item)| normal(&join(at, &index.to_string()), item, errors))
                    .collect(),
            )
        }
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, member) in members {
                let at = join(at, &printable(&name));
                let name = normal_text(&at, name, errors);
                let member = normal(&at, member, errors);
                if kept.insert(name, member).is_some() {
                    errors.push(FieldError::new(at, "duplicate", "is given twice"));
                }
            }
            Value::Object(kept)
        }
        Value::Null | Value::Bool(_) => value,
    }
}

fn normal_text(at: &str, given: String, errors: &mut Vec<FieldError>) -> String {
    text::normal(&given).unwrap_or_else(|why| {
        errors.push(FieldError::new(at, "characters", why.to_string()));
        given
    })
}

/// Returns the integer that a number such as `100.0` or `1.2345e4` represents in JSON Schema and most serializers.
fn whole_number(number: &Number) -> Option<Number> {
    let value = number.as_f64().filter(|_| number.is_f64())?;
    if value.fract() != 0.0 || value.abs() >= INTEGERS_END {
        return None;
    }
    format!("{value:.0}").parse::<i64>().ok().map(Number::from)
}

/// Returns `value` without the members, at any depth, that `gone` selects.
fn without(value: &Value, gone: fn(&Value) -> bool) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, member)| !gone(member))
            .map(|(name, member)| (name.clone(), without(member, gone)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| without(item, gone)).collect(),
        _ => value.clone(),
    }
}

impl<T: JsonSchema + DeserializeOwned> Default for Checker<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the schema of a request: without null, which means that a field is absent, and without undocumented fields.
pub fn request_schema<T: JsonSchema>() -> Schema {
    request_settings()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Returns the settings of schemas of requests.
pub fn request_settings() -> SchemaSettings {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .with_transform(RecursiveTransform(NoNull))
        .with_transform(RecursiveTransform(NothingElse))
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

#[derive(Clone)]
struct NothingElse;

impl Transform for NothingElse {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut()
            && object.contains_key("properties")
            && !object.contains_key("additionalProperties")
        {
            object.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    }
}

/// Converts a JSON Schema error to field errors: one per missing or unknown property.
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
        Kind::OneOfNotValid { context } | Kind::AnyOf { context } => match values(context) {
            Some(values) => here("enum", format!("must be one of {}", Value::from(values))),
            None => closest(context).unwrap_or_else(|| {
                vec![FieldError::new(
                    join(&at, "type"),
                    "enum",
                    "is none of the documented types",
                )]
            }),
        },
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
    FORMATS
        .iter()
        .find(|(name, ..)| *name == format)
        .map_or_else(
            || format!("must be a valid {format}"),
            |(.., expected)| (*expected).to_owned(),
        )
}

/// Returns the values of an enum whose variants are documented: each is a constant or a list of values.
fn values(context: &[Vec<ValidationError<'_>>]) -> Option<Vec<Value>> {
    let of_variant = |errors: &Vec<ValidationError<'_>>| match errors.as_slice() {
        [error] => match error.kind() {
            Kind::Constant { expected_value } => Some(vec![Value::clone(expected_value)]),
            Kind::Enum { options } => options.as_array().cloned(),
            _ => None,
        },
        _ => None,
    };
    let all: Option<Vec<_>> = context.iter().map(of_variant).collect();
    all.map(|all| all.concat())
}

/// Returns the errors of the variant of a union whose `type` the request has.
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

/// Returns a key that the caller chose, shortened and without control characters, so that it is safe to repeat.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
