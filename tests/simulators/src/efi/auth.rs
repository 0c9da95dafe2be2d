//! Tokens for applications.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequestParts, State},
    http::{HeaderMap, Response, StatusCode, request::Parts},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Efi, wrong};
use crate::sim::lock;

const SCOPES: &str = "cob.read cob.write pix.read pix.write webhook.read webhook.write payloadlocation.read payloadlocation.write gn.balance.read";

/// `POST /oauth/token`.
pub(super) async fn token(
    State(efi): State<Arc<Efi>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let Some(account) = account(&headers) else {
        let error = json!({ "error": "invalid_client", "error_description": "Invalid or inactive credentials" });
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if body["grant_type"] != "client_credentials" {
        return wrong(
            StatusCode::BAD_REQUEST,
            "json_invalido",
            "grant_type deve ser client_credentials",
        );
    }
    let lives = efi.sim.settings().token_ttl_s;
    let token = format!("eyJ{}", efi.sim.random(40));
    let until = efi.sim.now() + TimeDelta::seconds(i64::try_from(lives).unwrap_or(3600));
    lock(&efi.state)
        .tokens
        .insert(token.clone(), (account, until));
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": lives, "scope": SCOPES })).into_response()
}

/// The account of a matching pair.
fn account(headers: &HeaderMap) -> Option<String> {
    let basic = headers
        .get("authorization")?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let account = id.strip_prefix("Client_Id_")?;
    let known =
        secret.strip_prefix("Client_Secret_") == Some(account) && !account.contains("revoked");
    known.then(|| account.to_owned())
}

/// The account of a request's token.
pub(super) struct Account(pub String);

impl FromRequestParts<Arc<Efi>> for Account {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, efi: &Arc<Efi>) -> Result<Self, Response<Body>> {
        let value = parts
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let bearer = value.and_then(|value| value.strip_prefix("Bearer "));
        let known = bearer.and_then(|token| lock(&efi.state).tokens.get(token).cloned());
        match known {
            Some((account, until)) if until > efi.sim.now() => Ok(Self(account)),
            _ => Err(wrong(
                StatusCode::UNAUTHORIZED,
                "nao_autorizado",
                "Token inválido ou expirado",
            )),
        }
    }
}
