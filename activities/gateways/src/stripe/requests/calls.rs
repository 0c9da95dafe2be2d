//! Calls of the API: forms in, JSON out, lists page by page. `docs/gateways/stripe.md#endpoints`.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, header};
use schemas::attempt::ErrorClass;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::form_urlencoded;

use crate::{
    GatewayError,
    http::{Answer, Deadline, Effect},
    outside,
    stripe::{Stripe, errors},
};

/// API version of our requests and answers.
pub(in crate::stripe) const VERSION: &str = "2026-10-28.endive";
/// Longest page that Stripe returns.
pub(in crate::stripe) const PAGE: &str = "100";

/// Fields of a form, with brackets in nested names.
pub(in crate::stripe) type Form = Vec<(&'static str, String)>;

/// Most pages of a list that one call reads.
const MAX_LIST_PAGES: usize = 100;
/// Least remaining time for which a page is still requested.
pub(in crate::stripe) const PAGE_TAKES: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
pub(in crate::stripe) struct Page<T> {
    #[serde(default)]
    pub has_more: bool,
    pub data: Vec<T>,
}

impl Stripe {
    pub(in crate::stripe) async fn post(
        &self,
        path: &[&str],
        form: &Form,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.form(path, form);
        self.api.send(request, deadline, Effect::Reads).await
    }

    /// Sends a `POST` that creates something, once under its key.
    pub(in crate::stripe) async fn create(
        &self,
        path: &[&str],
        form: &Form,
        key: &str,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.form(path, form).header("idempotency-key", key);
        self.api.send(request, deadline, Effect::Creates).await
    }

    fn form(&self, path: &[&str], form: &Form) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.api
            .request(Method::POST, path, &[])
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Fetches one page of a list, newest first.
    pub(in crate::stripe) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Page<T>, GatewayError> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_owned()));
        self.api
            .get(path, &query, deadline)
            .await?
            .read(Effect::Reads)
    }

    /// Fetches a complete list, newest first. The next call resumes with the pages that one call could not read.
    pub(in crate::stripe) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Vec<T>, GatewayError> {
        let mut reading = self.listings.resume(path, query, outside::instant());
        if let Some(newest) = reading.newest() {
            // entries that were added since the earlier call
            let mut query = query.to_vec();
            query.push(("ending_before", newest));
            match self.page::<Value>(path, &query, deadline).await {
                Ok(page) if !page.has_more => reading.add_newer(page.data),
                // there are too many new ones, or the newest that was read is gone
                Ok(_) => reading.restart(outside::instant()),
                Err(error) if error.code == errors::ABSENT => reading.restart(outside::instant()),
                Err(error) => return Err(error),
            }
        }
        for _ in 0..MAX_LIST_PAGES {
            if !deadline.allows(PAGE_TAKES) {
                break;
            }
            let mut query = query.to_vec();
            query.extend(reading.oldest().map(|id| ("starting_after", id)));
            let page: Page<Value> = self.page(path, &query, deadline).await?;
            let more = page.has_more && !page.data.is_empty();
            reading.add_older(page.data);
            if !more {
                return read_all(reading.end());
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "list_unfinished",
            "the list is too long to be read at once: the next call goes on with it",
        ))
    }
}

fn read_all<T: DeserializeOwned>(listed: Vec<Value>) -> Result<Vec<T>, GatewayError> {
    let read: Result<_, _> = listed.into_iter().map(serde_json::from_value).collect();
    read.map_err(|_| unreadable("an entry of a list has another shape"))
}

/// Returns true if it is the answer to an earlier request under the same key, which contains the first state.
pub(in crate::stripe) fn is_replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true")
}

/// Returns the error of an answer without required data.
pub(in crate::stripe) fn unreadable(what: &'static str) -> GatewayError {
    GatewayError::new(ErrorClass::Unknown, "unreadable", what)
}
