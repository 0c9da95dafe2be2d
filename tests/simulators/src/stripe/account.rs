//! Keys, and whose they are.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::FromRequestParts,
    http::{Response, StatusCode, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Stripe, wrong};

/// The account and mode of a request's key: a bearer, or the user of basic authentication.
#[derive(Clone)]
pub(super) struct Account {
    pub id: String,
    pub live: bool,
}

impl FromRequestParts<Arc<Stripe>> for Account {
    type Rejection = Response<Body>;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &Arc<Stripe>,
    ) -> Result<Self, Response<Body>> {
        let value = parts
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let basic = || {
            let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
            Some(String::from_utf8(pair).ok()?.split(':').next()?.to_owned())
        };
        let key = value
            .strip_prefix("Bearer ")
            .map(ToOwned::to_owned)
            .or_else(basic)
            .unwrap_or_default();
        let (live, id) = match (key.strip_prefix("sk_test_"), key.strip_prefix("sk_live_")) {
            (Some(id), _) => (false, id),
            (_, Some(id)) => (true, id),
            _ => (false, "revoked"),
        };
        if id.is_empty() || id.contains("revoked") {
            return Err(wrong(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                None,
                None,
            ));
        }
        Ok(Self {
            id: id.to_owned(),
            live,
        })
    }
}

/// `GET /v1/balance`.
pub(super) async fn balance(account: Account) -> Json<Value> {
    let amount = json!([{ "amount": 0, "currency": "brl", "source_types": { "card": 0 } }]);
    Json(
        json!({ "object": "balance", "available": amount, "pending": amount, "livemode": account.live }),
    )
}

/// `GET /v1/account`.
pub(super) async fn account(account: Account) -> Json<Value> {
    Json(json!({
        "id": format!("acct_{}", account.id), "object": "account", "country": "BR", "default_currency": "brl", "type": "standard",
        "charges_enabled": true, "payouts_enabled": true, "details_submitted": true,
    }))
}
