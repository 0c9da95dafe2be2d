//! Query strings, checked as requests are.

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Checked, Checker, printable};
use crate::problem::FieldError;

/// Replacement of bytes that are not UTF-8.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// One parameter of a query string, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

/// Returns the names of the integers among the fields of a request.
pub(super) fn integers(schema: &Schema) -> Vec<String> {
    let fields = schema.get("properties").and_then(Value::as_object);
    let integers = fields
        .into_iter()
        .flatten()
        .filter(|(_, field)| field["type"] == "integer");
    integers.map(|(name, _)| name.clone()).collect()
}

impl<T: JsonSchema + DeserializeOwned> Checker<T> {
    /// Returns the request that a query string contains, or an error for every invalid parameter.
    pub fn check_query(&self, parameters: Vec<Parameter>) -> Result<Checked<T>, Vec<FieldError>> {
        let (mut given, mut errors) = (Map::new(), Vec::new());
        for Parameter { name, value } in parameters {
            let at = printable(&name);
            if value.contains(REPLACEMENT) {
                errors.push(FieldError::new(&at, "characters", "must be UTF-8"));
            }
            if given
                .insert(name.clone(), self.parse(&name, value))
                .is_some()
            {
                errors.push(FieldError::new(at, "duplicate", "is given twice"));
            }
        }
        match self.check(Value::Object(given)) {
            Ok(checked) if errors.is_empty() => Ok(checked),
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                errors.sort_by(|a, b| a.param.cmp(&b.param));
                errors.dedup_by(|a, b| a.param == b.param);
                Err(errors)
            }
        }
    }

    /// Returns the JSON value of a parameter. Text that is no integer remains text, which the check of an integer rejects.
    fn parse(&self, name: &str, value: String) -> Value {
        let is_integer = self.integers.iter().any(|integer| integer == name);
        match value.parse::<i64>() {
            Ok(number) if is_integer => number.into(),
            _ => Value::String(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;
    use crate::{charge::ChargeStatus, event::EventType, id::ChargeId, page::PageParams};

    #[derive(Debug, Deserialize, JsonSchema)]
    struct List {
        #[schemars(length(min = 1, max = 64))]
        reference: Option<String>,
        status: Option<ChargeStatus>,
        r#type: Option<EventType>,
        #[serde(flatten)]
        page: PageParams<ChargeId>,
    }

    fn check(parameters: &[(&str, &str)]) -> Result<List, Vec<(String, String)>> {
        let parameters = parameters.iter().map(|(name, value)| Parameter {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let checked = Checker::new().check_query(parameters.collect());
        checked.map(|checked| checked.request).map_err(|errors| {
            let errors = errors.into_iter();
            errors.map(|error| (error.param, error.code)).collect()
        })
    }

    #[test]
    fn parameters_are_read_with_their_types_and_defaults() {
        let id = ChargeId(uuid::Uuid::from_u128(7));
        let list = check(&[
            ("limit", "5"),
            ("reference", " 123 "),
            ("status", "paid"),
            ("type", "charge.paid"),
            ("starting_after", &id.to_string()),
        ]);
        let list = list.expect("a list");
        assert_eq!((list.page.limit, list.page.starting_after), (5, Some(id)));
        assert_eq!(list.reference.as_deref(), Some("123"));
        assert_eq!(list.status, Some(ChargeStatus::Paid));
        assert_eq!(list.r#type, Some(EventType::ChargePaid));
        assert_eq!(check(&[]).expect("a list").page.limit, 20);
    }

    #[test]
    fn every_invalid_parameter_is_named_once() {
        let errors = check(&[
            ("limit", "101"),
            ("status", "lost"),
            ("type", "charge.lost"),
            ("starting_after", "py_1"),
            ("color", "red"),
            ("reference", "a\u{FFFD}"),
        ]);
        let errors = errors.expect_err("all are wrong");
        let named: Vec<_> = errors
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(
            named,
            [
                ("color", "unknown"),
                ("limit", "maximum"),
                ("reference", "characters"),
                ("starting_after", "pattern"),
                ("status", "enum"),
                ("type", "enum"),
            ]
        );
        for (parameters, code) in [
            ([("limit", "ten"), ("reference", "1")], "type"),
            ([("limit", "0"), ("reference", "1")], "minimum"),
            ([("limit", "1"), ("limit", "1")], "duplicate"),
        ] {
            let errors = check(&parameters).expect_err("is wrong");
            assert_eq!(errors, [("limit".to_owned(), code.to_owned())]);
        }
        let control = check(&[("reference", "a\0")]).expect_err("is wrong");
        assert_eq!(control, [("reference".to_owned(), "characters".to_owned())]);
    }
}
