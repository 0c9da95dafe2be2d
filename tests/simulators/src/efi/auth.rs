//! Tokens of applications and their scopes.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequestParts, State},
    http::{HeaderMap, Method, Response, StatusCode, request::Parts},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Efi, error::ApiError};
use crate::sim::lock;

/// Default scopes of an application.
pub(super) const SCOPES: &str = "cob.read cob.write cobv.read cobv.write pix.read pix.write webhook.read webhook.write payloadlocation.read payloadlocation.write gn.balance.read gn.settings.read gn.settings.write gn.infractions.read gn.infractions.write";

#[derive(Clone)]
pub(crate) struct Token {
    account: String,
    until: DateTime<Utc>,
    scopes: Vec<String>,
}

/// Handles `POST /oauth/token`.
pub(super) async fn token(
    State(efi): State<Arc<Efi>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let settings = lock(&efi.settings).clone();
    let Some(account) = account(&headers) else {
        let status = StatusCode::from_u16(settings.bad_pair_status);
        let error = json!({ "error": "invalid_client", "error_description": "Invalid or inactive credentials" });
        return Ok((status.unwrap_or(StatusCode::UNAUTHORIZED), Json(error)).into_response());
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if body["grant_type"] != "client_credentials" {
        return Err(ApiError::bad(
            "json_invalido",
            "RequisicaoInvalida",
            "grant_type deve ser client_credentials",
        ));
    }
    let scopes: Vec<_> = settings
        .scopes
        .into_iter()
        .filter(|scope| !is_withheld(&account, scope))
        .collect();
    let lives = efi.sim.settings().token_ttl_s;
    let answer = json!({
        "access_token": format!("eyJ{}", efi.sim.random(40)), "token_type": "Bearer",
        "expires_in": lives, "scope": scopes.join(" "),
    });
    let token = Token {
        account,
        until: efi.sim.now() + TimeDelta::seconds(i64::try_from(lives).unwrap_or(3600)),
        scopes,
    };
    let name = answer["access_token"].as_str().unwrap_or_default();
    lock(&efi.state).tokens.insert(name.to_owned(), token);
    Ok(Json(answer).into_response())
}

/// Returns true if the account's name withholds the scope: `no_cobv_scope` withholds every scope that begins with `cobv`.
fn is_withheld(account: &str, scope: &str) -> bool {
    let family = scope.split('.').next().unwrap_or(scope);
    account.contains(&format!("no_{family}_scope"))
}

/// Returns the account of a matching pair of client id and secret.
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

/// Account of a request's token, which has the scope that the request needs.
pub(super) struct Account(pub String);

impl FromRequestParts<Arc<Efi>> for Account {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, efi: &Arc<Efi>) -> Result<Self, ApiError> {
        let value = parts
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let bearer = value.and_then(|value| value.strip_prefix("Bearer "));
        let known = bearer.and_then(|token| lock(&efi.state).tokens.get(token).cloned());
        let Some(token) = known.filter(|token| token.until > efi.sim.now()) else {
            let name = ("nao_autorizado", "AcessoNegado");
            let message = "Token inválido ou expirado";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, name, message));
        };
        let needed = needed(&parts.method, parts.uri.path());
        if !token.scopes.contains(&needed) {
            let message = format!("O escopo {needed} não foi concedido à aplicação");
            let name = ("AcessoNegado", "AcessoNegado");
            return Err(ApiError::new(StatusCode::FORBIDDEN, name, &message));
        }
        Ok(Self(token.account))
    }
}

fn needed(method: &Method, path: &str) -> String {
    let mut parts = path.trim_start_matches("/v2/").split('/');
    let family = match (parts.next(), parts.next()) {
        (Some("loc"), _) => "payloadlocation",
        (Some("gn"), Some("saldo")) => "gn.balance",
        (Some("gn"), Some("config")) => "gn.settings",
        (Some("gn"), Some("infracoes")) => "gn.infractions",
        (Some("gn"), Some("webhook")) => "webhook",
        (family, _) => family.unwrap_or_default(),
    };
    let right = if method == Method::GET {
        "read"
    } else {
        "write"
    };
    format!("{family}.{right}")
}
