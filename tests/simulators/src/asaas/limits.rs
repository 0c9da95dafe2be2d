//! Checks before every call: the CDN, the key, the quotas.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse},
};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Asaas,
    answer::Refusal,
    behavior::{Behavior, Environment},
};
use crate::sim::lock;

const QUOTA_WINDOW: TimeDelta = TimeDelta::hours(12);
const ENDPOINT_WINDOW: TimeDelta = TimeDelta::minutes(1);
const SANDBOX: &str = "$aact_hmlg_";
const PRODUCTION: &str = "$aact_prod_";
const BLOCKED: &str = "<html><head><title>403 Forbidden</title></head><body>The request could not be satisfied.</body></html>";

/// Account of a request's `access_token`.
#[derive(Clone)]
pub(super) struct Account(pub String);

impl FromRequestParts<Arc<Asaas>> for Account {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Asaas>) -> Result<Self, Refusal> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(Refusal::Absent)
    }
}

/// Number of requests since the start of a window.
#[derive(Clone, Copy)]
struct Used {
    since: DateTime<Utc>,
    requests: u64,
}

#[derive(Default)]
pub(super) struct Limits {
    used: Mutex<HashMap<String, Used>>,
    gets: Mutex<HashMap<String, usize>>,
}

impl Limits {
    pub(super) fn reset(&self) {
        lock(&self.used).clear();
    }

    /// Counts a request. Returns the number in the current window and the seconds until the next window.
    fn count(&self, what: String, window: TimeDelta, now: DateTime<Utc>) -> (u64, i64) {
        let mut all = lock(&self.used);
        let used = all.entry(what).or_insert(Used {
            since: now,
            requests: 0,
        });
        if now - used.since >= window {
            *used = Used {
                since: now,
                requests: 0,
            };
        }
        used.requests += 1;
        (
            used.requests,
            (used.since + window - now).num_seconds().max(0),
        )
    }
}

/// Guard that counts one GET as concurrent.
struct Getting<'a>(&'a Limits, String);

impl<'a> Getting<'a> {
    fn begin(limits: &'a Limits, account: &str, limit: Option<usize>) -> Option<Self> {
        let mut gets = lock(&limits.gets);
        let open = gets.entry(account.to_owned()).or_default();
        if limit.is_some_and(|limit| *open >= limit) {
            return None;
        }
        *open += 1;
        Some(Self(limits, account.to_owned()))
    }
}

impl Drop for Getting<'_> {
    fn drop(&mut self) {
        if let Some(open) = lock(&self.0.gets).get_mut(&self.1) {
            *open = open.saturating_sub(1);
        }
    }
}

pub(super) async fn pass(
    State(asaas): State<Arc<Asaas>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    if request.method() == Method::GET && !request.body().is_end_stream() {
        return (StatusCode::FORBIDDEN, Html(BLOCKED)).into_response();
    }
    let behavior = asaas.behavior();
    let account = match account_of(request.headers(), &behavior) {
        Ok(account) => account,
        Err(refusal) => return refusal.into_response(),
    };
    request.extensions_mut().insert(Account(account.clone()));
    let now = asaas.sim.now();
    let (requests, _) = asaas.limits.count(account.clone(), QUOTA_WINDOW, now);
    if behavior.quota.is_some_and(|quota| requests > quota) {
        return too_many();
    }
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("", MatchedPath::as_str);
    let endpoint = format!("{account} {} {path}", request.method());
    let (requests, reset_s) = asaas.limits.count(endpoint, ENDPOINT_WINDOW, now);
    let mut response = if behavior.enforce_endpoint_limit && requests > behavior.endpoint_limit {
        too_many()
    } else {
        through(&asaas, &account, request, next).await
    };
    let headers = response.headers_mut();
    headers.insert(
        "ratelimit-limit",
        HeaderValue::from(behavior.endpoint_limit),
    );
    let remaining = behavior.endpoint_limit.saturating_sub(requests);
    headers.insert("ratelimit-remaining", HeaderValue::from(remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(reset_s));
    response
}

/// Runs the request, unless the account has too many concurrent GETs.
async fn through(asaas: &Asaas, account: &str, request: Request, next: Next) -> Response<Body> {
    let behavior = asaas.behavior();
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let Some(_getting) = Getting::begin(&asaas.limits, account, behavior.concurrent_gets) else {
        return too_many();
    };
    if behavior.get_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behavior.get_ms)).await;
    }
    next.run(request).await
}

fn too_many() -> Response<Body> {
    StatusCode::TOO_MANY_REQUESTS.into_response()
}

fn account_of(headers: &HeaderMap, behavior: &Behavior) -> Result<String, Refusal> {
    let refused = |code, description| Refusal::Error(StatusCode::UNAUTHORIZED, code, description);
    let key = headers.get("access_token").ok_or_else(|| {
        refused(
            "access_token_not_found",
            "O cabeçalho de autenticação 'access_token' é obrigatório e não foi encontrado na requisição",
        )
    })?;
    let key = key.to_str().unwrap_or_default();
    let sandbox = key.strip_prefix(SANDBOX);
    let account = sandbox.or_else(|| key.strip_prefix(PRODUCTION));
    let account = account
        .filter(|account| !account.is_empty() && !account.contains(char::is_whitespace))
        .ok_or_else(|| {
            refused(
                "invalid_access_token_format",
                "O formato da chave de API fornecida é inválido",
            )
        })?;
    let here = match behavior.environment {
        Environment::Any => true,
        Environment::Sandbox => sandbox.is_some(),
        Environment::Production => sandbox.is_none(),
    };
    if !here {
        return Err(refused(
            "invalid_environment",
            "A chave de API informada não pertence a este ambiente",
        ));
    }
    if account.contains("revoked") {
        return Err(refused(
            "invalid_access_token",
            "A chave de API fornecida é inválida",
        ));
    }
    let named = headers
        .get(header::USER_AGENT)
        .is_some_and(|name| !name.is_empty());
    match behavior.missing_user_agent {
        Some(status) if !named => Err(Refusal::Error(
            StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN),
            "user_agent_not_found",
            "O cabeçalho 'User-Agent' é obrigatório e não foi encontrado na requisição",
        )),
        _ => Ok(account.to_owned()),
    }
}
