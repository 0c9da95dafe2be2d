//! Query strings.

use axum::{extract::FromRequestParts, http::request::Parts};
use schemars::JsonSchema;
use schemas::{
    page::PageParams,
    problem::FieldError,
    validate::{Checker, Parameter},
};
use serde::de::DeserializeOwned;
use store::page::Range;
use uuid::Uuid;

use crate::{Code, Error};

/// Parameters of a query string, declared by `parameters!`.
pub(crate) trait Parameters: JsonSchema + DeserializeOwned + 'static {
    /// Returns the validator of the parameters, which is built once.
    fn checker() -> &'static Checker<Self>;
}

/// Query string that passed the check of its schema.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: Parameters, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let text = parts.uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_html_form::from_str(text)
            .map_err(|_| Error::new(Code::InvalidRequest, "the query string is malformed"))?;
        let parameters = pairs
            .into_iter()
            .map(|(name, value)| Parameter { name, value });
        match T::checker().check_query(parameters.collect()) {
            Ok(checked) => Ok(Self(checked.request)),
            Err(errors) => Err(Error::fields(Code::InvalidRequest, errors)),
        }
    }
}

/// Returns the range of a list. The two cursors exclude each other.
pub(crate) fn range<Id: Into<Uuid>>(page: PageParams<Id>) -> Result<Range, Error> {
    if page.starting_after.is_some() && page.ending_before.is_some() {
        let wrong = FieldError::new(
            "ending_before",
            "conflict",
            "cannot be combined with `starting_after`",
        );
        return Err(Error::fields(Code::InvalidRequest, vec![wrong]));
    }
    Ok(Range {
        limit: page.limit,
        after: page.starting_after.map(Into::into),
        before: page.ending_before.map(Into::into),
    })
}

/// Makes a type the parameters of a query string: for the extractor [`Query`], and for the OpenAPI document.
macro_rules! parameters {
    ($type:ty) => {
        impl $crate::input::Parameters for $type {
            fn checker() -> &'static schemas::validate::Checker<Self> {
                static CHECKER: std::sync::LazyLock<schemas::validate::Checker<$type>> =
                    std::sync::LazyLock::new(schemas::validate::Checker::new);
                &CHECKER
            }
        }

        impl utoipa::IntoParams for $type {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                $crate::document::query::<$type>()
            }
        }
    };
}

pub(crate) use parameters;
