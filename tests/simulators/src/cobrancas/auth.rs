//! Tokens of API Cobranças.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{FromRequestParts, State},
    http::{HeaderMap, Response, StatusCode, request::Parts},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use serde_json::json;

use super::{
    Cobrancas,
    error::{ApiError, Sent},
};
use crate::sim::lock;

/// Handles `POST /v1/authorize`.
pub(super) async fn authorize(
    State(cobrancas): State<Arc<Cobrancas>>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Response<Body> {
    let account = account(&headers).filter(|_| body["grant_type"] == "client_credentials");
    let Some(account) = account else {
        let error = json!({ "error": "invalid_client", "error_description": "Invalid or inactive credentials" });
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    };
    let lives = cobrancas.sim.settings().token_ttl_s;
    let token = format!("eyJ{}", cobrancas.sim.random(40));
    let until = cobrancas.sim.now() + TimeDelta::seconds(i64::try_from(lives).unwrap_or(600));
    let mut state = lock(&cobrancas.state);
    state.tokens.insert(token.clone(), (account, until));
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": lives }))
        .into_response()
}

/// Returns the account of a matching pair of client id and secret.
fn account(headers: &HeaderMap) -> Option<String> {
    let basic = headers.get("authorization")?.to_str().ok()?;
    let pair = STANDARD.decode(basic.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let account = id.strip_prefix("Client_Id_")?;
    let is_known = secret.strip_prefix("Client_Secret_") == Some(account);
    (is_known && !account.contains("revoked")).then(|| account.to_owned())
}

/// Account of a request's token.
pub(super) struct Account(pub String);

impl FromRequestParts<Arc<Cobrancas>> for Account {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        cobrancas: &Arc<Cobrancas>,
    ) -> Result<Self, ApiError> {
        let value = parts.headers.get("authorization");
        let value = value.and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        let state = lock(&cobrancas.state);
        match token.and_then(|token| state.tokens.get(token)) {
            Some((account, until)) if *until > cobrancas.sim.now() => Ok(Self(account.clone())),
            _ => Err(ApiError::unauthorized("Token inválido ou expirado")),
        }
    }
}
