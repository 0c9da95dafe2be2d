//! Parts shared by all responses: refusals, pages, amounts and dates.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::America::Sao_Paulo;
use serde_json::{Map, Number, Value, json};

use crate::{listener::About, sim::decimal};

/// Largest page size of a list.
const MAX_LIMIT: usize = 100;
const DEFAULT_LIMIT: usize = 10;

pub(super) type Answer = Result<Response<Body>, Refusal>;

/// Response other than 200.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Status, code and description, in Asaas's error format.
    Error(StatusCode, &'static str, &'static str),
    /// 404 with an empty body.
    Absent,
}

impl Refusal {
    pub(super) fn of(code: &'static str, description: &'static str) -> Self {
        Self::Error(StatusCode::BAD_REQUEST, code, description)
    }

    /// Creates a refusal because the object's state forbids the action.
    pub(super) fn action(description: &'static str) -> Self {
        Self::of("invalid_action", description)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Error(status, code, description) => {
                let errors = json!({ "errors": [{ "code": code, "description": description }] });
                (status, Json(errors)).into_response()
            }
            Self::Absent => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// JSON object of a request body. An empty body counts as an empty object.
pub(super) struct Sent(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::of(
                "invalid_object",
                "O corpo da requisição não é um JSON válido.",
            )
        };
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| wrong())?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|_| wrong())
    }
}

/// Returns a non-empty text field of a request.
pub(super) fn text(sent: &Map<String, Value>, name: &str) -> Option<String> {
    let text = sent.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// Returns a 200 response with this JSON.
pub(super) fn ok(json: Value) -> Response<Body> {
    Json(json).into_response()
}

/// Returns a 200 response about the charge with this reference.
pub(super) fn about(reference: Option<&String>, json: Value) -> Response<Body> {
    let mut response = ok(json);
    if let Some(reference) = reference {
        response.extensions_mut().insert(About(reference.clone()));
    }
    response
}

/// Returns one page of `found`, which is sorted newest first.
pub(super) fn page<T>(
    query: &[(String, String)],
    found: &[T],
    json_of: impl Fn(&T) -> Value,
) -> Value {
    let number = |name: &str, default: usize| {
        let sent = query.iter().find(|(key, _)| key == name);
        sent.and_then(|(_, text)| text.parse().ok())
            .unwrap_or(default)
    };
    let limit = number("limit", DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let offset = number("offset", 0);
    let data: Vec<_> = found.iter().skip(offset).take(limit).map(json_of).collect();
    let more = offset.saturating_add(data.len()) < found.len();
    json!({
        "object": "list", "hasMore": more, "totalCount": found.len(), "limit": limit, "offset": offset, "data": data,
    })
}

/// Parses a JSON number with at most two decimals as centavos (or hundredths of a percent).
pub(super) fn centavos(value: &Value) -> Option<i64> {
    let text = value.as_number()?.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| format!("{whole}{part:0<2}").parse().ok())
        .flatten()
}

/// Formats centavos as a JSON number of reais; whole reais have no decimal point.
pub(super) fn reais(amount: i64) -> Value {
    if amount % 100 == 0 {
        return (amount / 100).into();
    }
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{}", decimal(amount.abs()))
        .parse::<Number>()
        .map_or(Value::Null, Value::Number)
}

/// Returns the date in São Paulo.
pub(super) fn day_of(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&Sao_Paulo).date_naive()
}

pub(super) fn day(at: DateTime<Utc>) -> String {
    day_of(at).to_string()
}

/// Formats the local time in São Paulo without a time zone.
pub(super) fn local(at: DateTime<Utc>) -> String {
    at.with_timezone(&Sao_Paulo)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// Returns the start of the day in São Paulo.
pub(super) fn beginning(day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    Sao_Paulo
        .from_local_datetime(&midnight)
        .earliest()
        .map_or(midnight.and_utc(), |at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reais_are_numbers_without_needless_digits() {
        for (amount, text) in [
            (10_000, "100"),
            (9801, "98.01"),
            (9810, "98.1"),
            (-199, "-1.99"),
        ] {
            assert_eq!(reais(amount).to_string(), text);
            assert_eq!(
                centavos(&serde_json::from_str(text).unwrap()),
                Some(amount),
                "{text}"
            );
        }
    }

    #[test]
    fn a_third_decimal_and_a_text_are_no_amount() {
        assert_eq!(centavos(&json!(1.005)), None);
        assert_eq!(centavos(&json!("100.00")), None);
    }
}
