//! Calls of the API: forms in, JSON out, lists page by page. `docs/gateways/stripe.md#endpoints`.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, header};
use schemas::{Instant, attempt::ErrorClass};
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::form_urlencoded;

use super::{Stripe, error};
use crate::{
    GatewayError, ReadFrom,
    http::{self, Answer, CALL_TIMEOUT, Deadline, Effect},
};

/// API version of our requests and answers.
pub(super) const VERSION: &str = "2026-10-28.endive";
/// Longest page that Stripe returns.
const PAGE: &str = "100";

/// Fields of a form, with brackets in nested names.
pub(super) type Form = Vec<(&'static str, String)>;

/// Part of a list that was read in order of creation.
pub(super) struct Forward {
    /// Entries, oldest first.
    pub items: Vec<Value>,
    /// Id of the newest entry, if there are more.
    pub cursor: Option<String>,
    /// Time up to which the list is read.
    pub read_until: Instant,
    pub requests: u32,
}

impl Forward {
    fn of(newest_first: Vec<Value>, has_more: bool, (now, requests): (Instant, u32)) -> Self {
        let newest = newest_first.first();
        let id = newest.and_then(|item| item["id"].as_str());
        let made = newest.and_then(|item| item["created"].as_i64());
        let made = made.and_then(|s| Instant::from_timestamp(s, 0));
        let (cursor, read_until) = match (has_more, id, made) {
            (true, Some(id), Some(made)) => (Some(id.to_owned()), made),
            _ => (None, now),
        };
        Self {
            items: newest_first.into_iter().rev().collect(),
            cursor,
            read_until,
            requests,
        }
    }
}

/// Most requests that search a list's oldest entry by halving the time span.
const MAX_HALVINGS: u32 = 40;
/// Most pages of a single second.
const MAX_SECOND_PAGES: usize = 100;
/// Most pages of a list that one call reads.
const MAX_LIST_PAGES: usize = 100;
/// Least remaining time for which a page is still requested.
pub(super) const PAGE_TAKES: Duration = Duration::from_millis(500);

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

    /// Sends a `POST` that creates something, once under its key.
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

    /// Fetches a page of a list from `from` on, oldest first. Stripe lists newest first, so the page before an older entry is requested.
    pub(super) async fn forward(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        from: &ReadFrom<'_>,
    ) -> Result<Forward, GatewayError> {
        if let Some(cursor) = from.cursor {
            match self.after(path, query, cursor).await {
                // Stripe no longer has the entry: the run restarts at the watermark
                Err(error) if error.code == error::ABSENT => {}
                read => {
                    let page = read?;
                    return Ok(Forward::of(page.data, page.has_more, (from.now, 1)));
                }
            }
        }
        let before = [
            ("created[lt]", from.since.timestamp().to_string()),
            ("limit", "1".to_owned()),
        ];
        let before: Page<Value> = self.listed(path, &before).await?;
        let anchor = before.data.first().and_then(|item| item["id"].as_str());
        let Some(anchor) = anchor else {
            return self.oldest(path, query, from).await;
        };
        let page = self.after(path, query, anchor).await?;
        Ok(Forward::of(page.data, page.has_more, (from.now, 2)))
    }

    /// Fetches the page of the entries created next after the one with that id.
    async fn after(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        id: &str,
    ) -> Result<Page<Value>, GatewayError> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_owned()));
        query.push(("ending_before", id.to_owned()));
        self.listed(path, &query).await
    }

    async fn listed(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
    ) -> Result<Page<Value>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.get(path, query, deadline).await?.read(Effect::Reads)
    }

    /// Fetches the oldest page of a list without entries before `from`. The time span is halved until a page holds all of its older part.
    async fn oldest(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        from: &ReadFrom<'_>,
    ) -> Result<Forward, GatewayError> {
        let end = from.now.timestamp().max(from.since.timestamp()) + 1;
        let (mut begin, mut until) = (from.since.timestamp(), end);
        for n in 0..MAX_HALVINGS {
            let mut part = query.to_vec();
            part.push(("limit", PAGE.to_owned()));
            part.push(("created[gte]", begin.to_string()));
            // Stripe's clock may be ahead of ours: the last part has no end
            if until < end {
                part.push(("created[lt]", until.to_string()));
            }
            let mut page = self.listed(path, &part).await?;
            let middle = begin + (until - begin) / 2;
            match (page.data.is_empty(), page.has_more) {
                (true, _) if until < end => {
                    begin = until;
                    until = end;
                }
                (false, true) if until - begin > 1 => until = middle,
                (_, has_more) => {
                    if has_more {
                        self.whole_second(path, &part, &mut page.data).await?;
                    }
                    let more = until < end;
                    return Ok(Forward::of(page.data, more, (from.now, n + 2)));
                }
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many",
            "the list's oldest entries were not found",
        ))
    }

    /// Fetches the remaining entries of a second that has more of them than a page holds.
    async fn whole_second(
        &self,
        path: &[&str],
        part: &[(&'static str, String)],
        found: &mut Vec<Value>,
    ) -> Result<(), GatewayError> {
        for _ in 0..MAX_SECOND_PAGES {
            let last = found.last().and_then(|item| item["id"].as_str());
            let mut query = part.to_vec();
            query.extend(last.map(|id| ("starting_after", id.to_owned())));
            let page = self.listed(path, &query).await?;
            found.extend(page.data);
            if !page.has_more {
                break;
            }
        }
        Ok(())
    }

    /// Fetches one page of a list, newest first.
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

    /// Fetches a complete list, newest first. The next call resumes with the pages that one call could not read.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Vec<T>, GatewayError> {
        let mut reading = self.listings.resume(path, query);
        if let Some(newest) = reading.newest() {
            // entries that were added since the earlier call
            let mut query = query.to_vec();
            query.push(("ending_before", newest));
            let page: Page<Value> = self.page(path, &query, deadline).await?;
            if page.has_more {
                reading.restart();
            } else {
                reading.add_newer(page.data);
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

fn checked(answer: Answer, effect: Effect) -> Result<Answer, GatewayError> {
    tracing::debug!(status = answer.status, "stripe");
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(error::of(&answer, effect))
    }
}

/// Returns true if it is the answer to an earlier request under the same key, which contains the first state.
pub(super) fn is_replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true")
}

/// Returns the error of an answer without required data.
pub(super) fn unreadable(what: &'static str) -> GatewayError {
    GatewayError::new(ErrorClass::Unknown, "unreadable", what)
}
