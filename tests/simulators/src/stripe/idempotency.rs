//! Idempotency keys, under which a request takes effect once. `docs/gateways/stripe.md#references-and-idempotency`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, Response, StatusCode, header},
    middleware::Next,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Stripe,
    account::Account,
    call::MAX_BODY,
    conversation::{Executed, id_of},
    errors::ApiError,
    form::Form,
};
use crate::sim::lock;

const MAX_KEY: usize = 255;
/// Largest response in bytes.
const MAX_ANSWER: usize = 1 << 24;

/// Account and idempotency key.
type Place = (Account, String);

/// Request and response stored under a key.
#[derive(Clone)]
pub(super) struct Stored {
    path: String,
    fields: Vec<(String, String)>,
    since: DateTime<Utc>,
    /// Response. Absent while the first request runs.
    done: Option<Done>,
}

#[derive(Clone)]
struct Done {
    status: StatusCode,
    body: Bytes,
    request: String,
}

/// Runs a `POST` with an idempotency key only once.
pub(super) async fn once(
    State(stripe): State<Arc<Stripe>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let key = request.headers().get("idempotency-key");
    let key = key
        .and_then(|key| key.to_str().ok())
        .filter(|key| !key.is_empty());
    let (Some(key), Ok(account)) = (key, Account::of(request.headers())) else {
        return execute(&stripe, request, next).await;
    };
    let (place, id) = ((account, key.to_owned()), id_of(&request));
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let stored = Stored {
        path: parts.uri.path().to_owned(),
        fields: Form::read(&body).sorted(),
        since: stripe.sim.now(),
        done: None,
    };
    if let Some(answer) = begin(&stripe, &place, &stored, &id) {
        return answer;
    }
    // the call runs to its end even if the client disconnects
    let request = Request::from_parts(parts, Body::from(body));
    let inner = stripe.clone();
    let running = stripe.sim.tracker.spawn(async move {
        let response = execute(&inner, request, next).await;
        end(&inner, place, (stored, id), response).await
    });
    running.await.unwrap_or_else(|_| internal(None))
}

/// Returns the response for a key that is invalid or was used before. Otherwise reserves the key and returns nothing.
fn begin(stripe: &Stripe, place: &Place, new: &Stored, id: &str) -> Option<Response<Body>> {
    let (account, key) = place;
    let refuse = |status, message: String| ApiError::new(status, "idempotency_error", message);
    let answer = |wrong: ApiError| Some(wrong.answer(Some((id, account.live))));
    if key.chars().count() > MAX_KEY {
        let message = format!("Idempotency keys are limited to {MAX_KEY} characters.");
        return answer(ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            message,
        ));
    }
    let mut state = lock(&stripe.state);
    let kept = TimeDelta::seconds(state.behavior.key_kept_s);
    let earlier = state
        .keys
        .get(place)
        .filter(|stored| new.since < stored.since + kept);
    let Some(earlier) = earlier else {
        state.keys.insert(place.clone(), new.clone());
        return None;
    };
    if earlier.path != new.path || earlier.fields != new.fields {
        let what = if earlier.path == new.path {
            "with the same parameters they were first used with"
        } else {
            "for the same endpoint they were first used for"
        };
        return answer(refuse(
            StatusCode::BAD_REQUEST,
            format!(
                "Keys for idempotent requests can only be used {what}. Try using a key other than '{key}' if you meant to execute a different request."
            ),
        ));
    }
    match &earlier.done {
        Some(done) => Some(replay(done)),
        None => answer(refuse(StatusCode::CONFLICT, format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): {key}. Please try again later."
        )).code("idempotency_key_in_use")),
    }
}

fn replay(done: &Done) -> Response<Body> {
    let mut replayed = Response::new(Body::from(done.body.clone()));
    *replayed.status_mut() = done.status;
    let headers = replayed.headers_mut();
    headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(first) = HeaderValue::from_str(&done.request) {
        headers.insert("original-request", first);
    }
    if !done.status.is_success() {
        headers.insert("stripe-should-retry", HeaderValue::from_static("false"));
    }
    replayed
}

/// Stores the response, unless the request was refused before it had any effect.
async fn end(
    stripe: &Stripe,
    place: Place,
    (mut stored, id): (Stored, String),
    response: Response<Body>,
) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
    let executed = parts.status.is_success()
        || parts.status.is_server_error()
        || parts.extensions.get::<Executed>().is_some();
    let mut state = lock(&stripe.state);
    if executed {
        stored.done = Some(Done {
            status: parts.status,
            body: body.clone(),
            request: id,
        });
        state.keys.insert(place, stored);
    } else {
        state.keys.remove(&place);
    }
    drop(state);
    Response::from_parts(parts, Body::from(body))
}

/// Runs the call, or fails instead of it or after it if the behavior requires it.
async fn execute(stripe: &Stripe, request: Request, next: Next) -> Response<Body> {
    let (wait_ms, crash) = {
        let behavior = &mut lock(&stripe.state).behavior;
        let crash = behavior.internal_errors > 0;
        behavior.internal_errors = behavior.internal_errors.saturating_sub(1);
        (
            behavior.execution_ms,
            crash.then_some(behavior.internal_errors_after_effect),
        )
    };
    if wait_ms > 0 {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    let id = id_of(&request);
    match crash {
        None => next.run(request).await,
        Some(after_effect) => {
            if after_effect {
                next.run(request).await;
            }
            internal(Some(&id))
        }
    }
}

fn internal(id: Option<&str>) -> Response<Body> {
    let message = "An unknown error occurred";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", message)
        .answer(id.map(|id| (id, false)))
}
