//! One POST, signed as Standard Webhooks specify.

use std::time::Duration;

use gateways::outside;
use reqwest::{Response, StatusCode, header};
use standardwebhooks::Webhook;
use store::{StoreError, deliveries::DeliveryJob};
use url::Url;

use crate::retry::delivery::ANSWER_TIMEOUT;
use crate::{Activities, delta};

/// Maximum size of an answer that is read so that its connection can be reused, in bytes. A longer answer closes the connection.
const MAX_ANSWER: usize = 64 << 10;

/// Answer of the merchant's server.
pub(super) struct Answer {
    pub status: Option<StatusCode>,
    /// Error of the connection, if no answer arrived.
    pub error: Option<&'static str>,
    pub retry_after_s: Option<i64>,
    pub took: Duration,
}

impl Answer {
    fn of(
        status: Option<StatusCode>,
        headers: &header::HeaderMap,
        (work, took): (&DeliveryJob, Duration),
    ) -> Self {
        let answered_at = work.now + delta(took);
        let retry_after = gateways::http::retry_after(headers, Some(answered_at));
        Self {
            status,
            error: None,
            retry_after_s: retry_after
                .map(|wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)),
            took,
        }
    }

    fn lost(error: &'static str, took: Duration) -> Self {
        Self {
            status: None,
            error: Some(error),
            retry_after_s: None,
            took,
        }
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }
}

impl Activities {
    /// Posts an event. Holds no database connection meanwhile.
    pub(super) async fn post(
        &self,
        work: &DeliveryJob,
        secret: &str,
    ) -> Result<Answer, StoreError> {
        let body =
            serde_json::to_vec(&work.event).map_err(|why| StoreError::corrupt("events", why))?;
        let id = work.event.id.to_string();
        let at = work.now.timestamp();
        let signature = Webhook::new(secret)
            .and_then(|key| key.sign(&id, at, &body))
            .map_err(|why| StoreError::corrupt("webhook_endpoints.secret_sealed", why))?;
        let allowed = Url::parse(&work.url).ok().filter(|url| {
            gateways::http::check_webhook_url(url, self.webhook_sender.allow_private).is_ok()
        });
        let Some(url) = allowed else {
            return Ok(Answer::lost("address_not_allowed", Duration::ZERO));
        };
        let started = outside::instant();
        let request = self
            .webhook_sender
            .client
            .post(url)
            .timeout(self.timing.delivery_call)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(body);
        if let Some(replaced) = request.try_clone()
            && let Some(exchanged) = outside::exchange(replaced, self.timing.delivery_call).await
        {
            let took = outside::instant() - started;
            return Ok(match exchanged {
                Ok((status, headers, _)) => {
                    Answer::of(StatusCode::from_u16(status).ok(), &headers, (work, took))
                }
                Err(_) => Answer::lost("broken", took),
            });
        }
        let sent = request.send().await;
        let took = outside::instant() - started;
        Ok(match sent {
            Ok(answer) => {
                let read = Answer::of(Some(answer.status()), answer.headers(), (work, took));
                discard(answer).await;
                read
            }
            Err(error) => Answer::lost(what_happened(&error), took),
        })
    }
}

/// Reads the body to its end: only then can the connection be reused.
async fn discard(mut answer: Response) {
    let reading = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = answer.chunk().await {
            read += chunk.len();
            if read > MAX_ANSWER {
                return;
            }
        }
    };
    let _ = outside::timeout(ANSWER_TIMEOUT, reading).await;
}

fn what_happened(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "broken"
    }
}

#[cfg(test)]
mod tests;
