//! API keys and their accounts.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    Stripe,
    call::{Answer, Call},
    errors::ApiError,
};

/// Account in one mode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Account {
    pub id: String,
    pub live: bool,
}

impl Account {
    /// Returns the account of a request's key: a bearer token, or the user name of basic authentication.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let refused = |message: String| {
            ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
        };
        let value = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let key = value.and_then(|value| {
            value
                .strip_prefix("Bearer ")
                .map(ToOwned::to_owned)
                .or_else(|| {
                    let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
                    Some(String::from_utf8(pair).ok()?.split(':').next()?.to_owned())
                })
        });
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(refused(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').".to_owned(),
            ));
        };
        let (live, id) = match (key.strip_prefix("sk_test_"), key.strip_prefix("sk_live_")) {
            (Some(id), _) => (false, id),
            (_, Some(id)) => (true, id),
            _ => (false, ""),
        };
        if id.contains("expired") {
            let masked = masked(&key);
            return Err(
                refused(format!("Expired API Key provided: {masked}")).code("api_key_expired")
            );
        }
        if id.is_empty() || id.contains("revoked") {
            return Err(refused(format!(
                "Invalid API Key provided: {}",
                masked(&key)
            )));
        }
        Ok(Self {
            id: id.to_owned(),
            live,
        })
    }

    /// Returns true if the account has this payment method. An account whose name contains `no_pix` or `no_boleto` lacks that method.
    pub(super) fn takes(&self, kind: &str) -> bool {
        !self.id.contains(&format!("no_{kind}"))
    }
}

/// Masks a key as Stripe's messages do.
fn masked(key: &str) -> String {
    const SHOWN: usize = 8;
    const TAIL: usize = 4;
    let letters: Vec<char> = key.chars().collect();
    let hidden = letters.len().saturating_sub(SHOWN + TAIL);
    let head: String = letters.iter().take(SHOWN).collect();
    let tail: String = letters.iter().skip(SHOWN + hidden).collect();
    format!("{head}{}{tail}", "*".repeat(hidden))
}

/// Handles `GET /v1/account`.
pub(super) async fn read(State(stripe): State<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[])?;
    let capability = |kind: &str| {
        if call.account.takes(kind) {
            "active"
        } else {
            "inactive"
        }
    };
    let account = json!({
        "id": format!("acct_{}", call.account.id), "object": "account", "business_profile": null, "business_type": "company",
        "capabilities": { "card_payments": "active", "boleto_payments": capability("boleto"), "pix_payments": capability("pix"), "transfers": "active" },
        "charges_enabled": true, "controller": { "type": "account" }, "country": "BR", "created": 1_700_000_000,
        "default_currency": "brl", "details_submitted": true, "email": "loja@example.com",
        "external_accounts": { "object": "list", "data": [], "has_more": false, "url": format!("/v1/accounts/acct_{}/external_accounts", call.account.id) },
        "metadata": {}, "payouts_enabled": true, "settings": null, "type": "standard",
        "future_requirements": requirements(), "requirements": requirements(),
        "tos_acceptance": { "date": null, "ip": null, "user_agent": null },
    });
    call.answer(&stripe.begin(call.cause.clone()), account)
}

fn requirements() -> serde_json::Value {
    json!({
        "alternatives": [], "current_deadline": null, "currently_due": [], "disabled_reason": null, "errors": [],
        "eventually_due": [], "past_due": [], "pending_verification": [],
    })
}
