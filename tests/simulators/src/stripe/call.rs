//! Call of the API: account, parameters and cause.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{FromRequest, Request},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::Value;

use super::{
    Stripe, account::Account, errors::ApiError, expand, form::Form, transaction::Transaction,
};
use crate::listener::About;

/// Largest form in bytes.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Id of a request. Set before the request is routed.
#[derive(Clone)]
pub(super) struct RequestId(pub String);

/// Request and idempotency key that caused an event. Empty if the clock or the control API caused it.
#[derive(Clone, Default)]
pub(super) struct Cause {
    pub request: Option<String>,
    pub key: Option<String>,
}

pub(super) struct Call {
    pub account: Account,
    pub form: Form,
    pub cause: Cause,
}

pub(super) struct Reply {
    body: Value,
    about: Option<String>,
}

pub(super) type Answer = Result<Reply, ApiError>;

impl Call {
    /// Refuses parameters that are in none of `known`, except `expand`.
    pub(super) fn only(&self, known: &[&[&str]]) -> Result<(), ApiError> {
        let mut all = vec![&["expand[]"][..]];
        all.extend_from_slice(known);
        self.form.only(&all)
    }

    /// Creates a reply with the objects that `expand[]` requests.
    pub(super) fn answer(&self, tx: &Transaction, mut body: Value) -> Answer {
        expand::all(&mut body, &self.form.list("expand"), (tx, &self.account))?;
        Ok(Reply { body, about: None })
    }
}

impl Reply {
    /// Sets the reference of the charge that the reply is about.
    pub(super) fn about(mut self, reference: &str) -> Self {
        self.about = Some(reference.to_owned());
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        let mut response = Json(self.body).into_response();
        if let Some(reference) = self.about {
            response.extensions_mut().insert(About(reference));
        }
        response
    }
}

impl FromRequest<Arc<Stripe>> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Stripe>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let account = Account::of(&parts.headers)?;
        let header = |name: &str| {
            let value = parts.headers.get(name)?;
            value.to_str().ok().map(ToOwned::to_owned)
        };
        if let Some(version) = header("stripe-version").filter(|version| !is_version(version)) {
            let message = format!("Invalid Stripe API version: {version}");
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                message,
            ));
        }
        let id = parts.extensions.get::<RequestId>();
        let cause = Cause {
            request: id.map(|RequestId(id)| id.clone()),
            key: header("idempotency-key"),
        };
        let mut text = parts.uri.query().unwrap_or_default().as_bytes().to_vec();
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request_error",
                "The request is too large.",
            )
        })?;
        if !body.is_empty() {
            text.push(b'&');
            text.extend_from_slice(&body);
        }
        let form = Form::read(&text);
        Ok(Self {
            account,
            form,
            cause,
        })
    }
}

/// Returns true for an API version: a date such as `2024-06-20`, or with a name such as `2026-10-28.endive`.
pub(super) fn is_version(version: &str) -> bool {
    let (day, name) = version.split_once('.').unwrap_or((version, "acacia"));
    chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok()
        && !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_lowercase())
}
