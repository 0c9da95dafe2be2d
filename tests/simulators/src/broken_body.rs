//! Faults that break the body of a response.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderValue, Response, header, response::Parts},
};
use futures::{StreamExt, stream};

use crate::listener::Cut;

/// Largest response body in bytes.
const MAX_BODY: usize = 1 << 20;
/// Delay that lets the first half reach the client before the connection ends.
const FLUSH: Duration = Duration::from_millis(20);
/// Id and length of the CRC field of a Pix code; the checksum follows.
const CHECKSUM: &str = "6304";
/// Default delay between bytes in milliseconds.
const BYTE_MS: u64 = 20;
/// Time limit of a trickling body; afterwards the rest is sent at once.
const MAX_TRICKLE: Duration = Duration::from_secs(30);

async fn taken_apart(response: Response<Body>) -> (Parts, Bytes) {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts, bytes)
}

/// Returns half of the body with a matching length.
pub(crate) async fn halved(response: Response<Body>) -> Response<Body> {
    let (parts, bytes) = taken_apart(response).await;
    Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)))
}

/// Sends half of the body under the length of the whole, then ends the connection.
pub(crate) async fn truncated(response: Response<Body>) -> Response<Body> {
    let (mut parts, bytes) = taken_apart(response).await;
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = stream::iter([Ok(bytes.slice(..bytes.len() / 2))]);
    let end = stream::once(async {
        tokio::time::sleep(FLUSH).await;
        Err(Cut)
    });
    Response::from_parts(parts, Body::from_stream(half.chain(end)))
}

/// Replaces the checksum of each Pix code in the body: the last four characters of its text.
pub(crate) async fn odd_codes(response: Response<Body>) -> Response<Body> {
    let (parts, bytes) = taken_apart(response).await;
    let text = String::from_utf8_lossy(&bytes);
    let mut odd = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find(CHECKSUM) {
        let value = at + CHECKSUM.len();
        let end = rest.len().min(value + 4);
        let is_code = rest[end..].starts_with('"');
        odd += &rest[..value];
        odd += if is_code { "ZZZZ" } else { &rest[value..end] };
        rest = &rest[end..];
    }
    odd += rest;
    Response::from_parts(parts, Body::from(odd))
}

/// Sends the body byte by byte.
pub(crate) async fn trickling(response: Response<Body>, byte_ms: u64) -> Response<Body> {
    let (mut parts, bytes) = taken_apart(response).await;
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let wait = Duration::from_millis(if byte_ms == 0 { BYTE_MS } else { byte_ms });
    let started = tokio::time::Instant::now();
    let rest = stream::unfold(bytes, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        let next = if started.elapsed() < MAX_TRICKLE {
            tokio::time::sleep(wait).await;
            left.split_to(1)
        } else {
            left.split_to(left.len())
        };
        Some((Ok::<_, Cut>(next), left))
    });
    Response::from_parts(parts, Body::from_stream(rest))
}
