//! Keys under which a request happens once. `GATEWAYS.md` §3.7.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode},
};

use super::{Stripe, account::Account, wrong};
use crate::sim::lock;

const MAX_KEY: usize = 255;
const MAX_BODY: usize = 1 << 20;

/// What happened under a key.
#[derive(Clone)]
pub(crate) enum Stored {
    UnderWay(Bytes),
    Done {
        request: Bytes,
        status: StatusCode,
        body: Bytes,
    },
}

/// The answer of an earlier request under the same key; or nothing, and the key is taken.
pub(super) fn begin(
    stripe: &Stripe,
    account: &Account,
    headers: &HeaderMap,
    request: &Bytes,
) -> Option<Response<Body>> {
    let key = key_of(headers)?;
    if key.len() > MAX_KEY {
        return Some(wrong(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            Some("idempotency_key_too_long"),
            None,
        ));
    }
    let mut state = lock(&stripe.state);
    let place = (owner(account), key);
    match state.keys.get(&place) {
        None => {
            state.keys.insert(place, Stored::UnderWay(request.clone()));
            None
        }
        Some(Stored::UnderWay(first) | Stored::Done { request: first, .. }) if first != request => {
            Some(wrong(
                StatusCode::BAD_REQUEST,
                "idempotency_error",
                None,
                None,
            ))
        }
        Some(Stored::UnderWay(_)) => Some(wrong(
            StatusCode::CONFLICT,
            "idempotency_error",
            Some("idempotency_key_in_use"),
            None,
        )),
        Some(Stored::Done { status, body, .. }) => {
            let mut replayed = Response::new(Body::from(body.clone()));
            *replayed.status_mut() = *status;
            replayed
                .headers_mut()
                .insert("idempotent-replayed", HeaderValue::from_static("true"));
            replayed
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/json"));
            Some(replayed)
        }
    }
}

/// Keeps the answer, unless the request was refused before anything happened.
pub(super) async fn end(
    stripe: &Stripe,
    account: &Account,
    headers: &HeaderMap,
    request: Bytes,
    response: Response<Body>,
) -> Response<Body> {
    let Some(key) = key_of(headers) else {
        return response;
    };
    let place = (owner(account), key);
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let executed = parts.status.is_success() || parts.status.is_server_error();
    let mut state = lock(&stripe.state);
    if executed {
        state.keys.insert(
            place,
            Stored::Done {
                request,
                status: parts.status,
                body: body.clone(),
            },
        );
    } else {
        state.keys.remove(&place);
    }
    Response::from_parts(parts, Body::from(body))
}

fn owner(account: &Account) -> String {
    format!("{} {}", account.id, account.live)
}

fn key_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get("idempotency-key")?
        .to_str()
        .ok()
        .map(ToOwned::to_owned)
}
