//! Calls of the API: forms in, JSON out, lists page by page. `GATEWAYS.md` §3.1.

use reqwest::{Method, RequestBuilder, header};
use schemas::attempt::ErrorClass;
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use url::form_urlencoded;

use super::{Stripe, error};
use crate::{
    GatewayError,
    http::{self, Answer, Deadline, Effect},
};

/// The version that our requests and answers are written for.
pub(super) const VERSION: &str = "2026-10-28.endive";
/// The longest page that Stripe gives.
const PAGE: &str = "100";

/// A form's fields, in brackets where they are nested.
pub(super) type Form = Vec<(&'static str, String)>;

/// What a list holds: anything with an id, which is where its next page begins.
pub(super) trait Listed: DeserializeOwned {
    fn id(&self) -> &str;
}

#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(default)]
    pub has_more: bool,
    pub data: Vec<T>,
}

impl Stripe {
    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client
            .request(method, url)
            .bearer_auth(self.key.expose_secret())
            .header("stripe-version", VERSION)
    }

    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::GET, path, query);
        checked(
            http::send(request, deadline, Effect::Reads).await?,
            Effect::Reads,
        )
    }

    pub(super) async fn post(
        &self,
        path: &[&str],
        form: &Form,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.form(path, form);
        checked(
            http::send(request, deadline, Effect::Reads).await?,
            Effect::Reads,
        )
    }

    /// A `POST` that creates something, once under its key.
    pub(super) async fn create(
        &self,
        path: &[&str],
        form: &Form,
        key: &str,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.form(path, form).header("idempotency-key", key);
        checked(
            http::send(request, deadline, Effect::Creates).await?,
            Effect::Creates,
        )
    }

    pub(super) async fn delete(
        &self,
        path: &[&str],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::DELETE, path, &[]);
        checked(
            http::send(request, deadline, Effect::Reads).await?,
            Effect::Reads,
        )
    }

    fn form(&self, path: &[&str], form: &Form) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.request(Method::POST, path, &[])
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    }

    /// One page of a list, newest first.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Page<T>, GatewayError> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_owned()));
        self.get(path, &query, deadline).await?.read(Effect::Reads)
    }

    /// All of a list, newest first, in at most so many pages.
    pub(super) async fn list<T: Listed>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        (max_pages, deadline): (usize, Deadline),
    ) -> Result<Vec<T>, GatewayError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..max_pages {
            let mut query = query.to_vec();
            query.extend(
                all.last()
                    .map(|last| ("starting_after", last.id().to_owned())),
            );
            let page: Page<T> = self.page(path, &query, deadline).await?;
            let more = page.has_more && !page.data.is_empty();
            all.extend(page.data);
            if !more {
                return Ok(all);
            }
        }
        Err(GatewayError::new(
            ErrorClass::Unknown,
            "too_many",
            "the account has too much of it to be searched",
        ))
    }
}

fn checked(answer: Answer, effect: Effect) -> Result<Answer, GatewayError> {
    tracing::debug!(status = answer.status, "stripe");
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(error::of(&answer, effect))
    }
}

/// Whether it is the answer of an earlier request under the same key: it shows the first state.
pub(super) fn is_replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true")
}

/// An answer that came, and does not say what it must.
pub(super) fn unreadable(what: &'static str) -> GatewayError {
    GatewayError::new(ErrorClass::Unknown, "unreadable", what)
}
