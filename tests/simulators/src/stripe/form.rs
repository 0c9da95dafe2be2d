//! Forms with brackets: `metadata[order]=1`, `expand[]=x`.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use url::form_urlencoded;

use super::wrong;

/// The fields of a form, in their order.
pub(super) struct Form(pub Vec<(String, String)>);

impl Form {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// A list, numbered or not.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let fields = self.0.iter().filter(|(field, _)| {
            field
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('['))
        });
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// What is in the brackets of a field, and its value.
    pub(super) fn map(&self, name: &str) -> serde_json::Map<String, serde_json::Value> {
        let inside = |field: &str| {
            Some(
                field
                    .strip_prefix(name)?
                    .strip_prefix('[')?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        };
        self.0
            .iter()
            .filter_map(|(field, value)| Some((inside(field)?, value.as_str().into())))
            .collect()
    }

    /// Refuses parameters that the call does not know, by what stands before the first bracket.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Box<Response<Body>>> {
        for (field, _) in &self.0 {
            let name = field.split('[').next().unwrap_or_default();
            if !known.contains(&name) {
                return Err(Box::new(wrong(
                    StatusCode::BAD_REQUEST,
                    "invalid_request_error",
                    Some("parameter_unknown"),
                    Some(field),
                )));
            }
        }
        Ok(())
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, Box<Response<Body>>> {
        let missing = || {
            Box::new(wrong(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                Some("parameter_missing"),
                Some(name),
            ))
        };
        self.get(name).ok_or_else(missing)
    }
}
