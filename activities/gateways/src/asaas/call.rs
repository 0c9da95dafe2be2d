//! Requests to Asaas: the key in a header, JSON bodies, lists in pages. `docs/gateways/asaas.md#endpoints`.

use reqwest::{Method, RequestBuilder};
use schemas::attempt::ErrorClass;
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Asaas, error};
use crate::{
    GatewayError,
    http::{self, Answer, Deadline, Effect},
};

/// Most entries of one page.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    #[serde(default)]
    has_more: bool,
    data: Vec<T>,
}

impl Asaas {
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::GET, path, query);
        ask(request, deadline, Effect::Reads).await
    }

    pub(super) async fn post(
        &self,
        path: &[&str],
        body: &Value,
        (deadline, effect): (Deadline, Effect),
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::POST, path, &[]).json(body);
        ask(request, deadline, effect).await
    }

    pub(super) async fn put(
        &self,
        path: &[&str],
        body: &Value,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::PUT, path, &[]).json(body);
        ask(request, deadline, Effect::Reads).await
    }

    pub(super) async fn delete(
        &self,
        path: &[&str],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::DELETE, path, &[]);
        ask(request, deadline, Effect::Reads).await
    }

    /// Fetches a page of a list from `offset` on. True: there are more pages.
    pub(super) async fn list_from<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, String)],
        (offset, deadline): (usize, Deadline),
    ) -> Result<(Vec<T>, bool), GatewayError> {
        let mut query = filter.to_vec();
        query.push(("limit", PAGE.to_string()));
        query.push(("offset", offset.to_string()));
        let list: List<T> = self
            .get(path, &query, deadline)
            .await?
            .read(Effect::Reads)?;
        Ok((list.data, list.has_more))
    }

    /// Fetches all entries of a list. Fails if there are more than `most_pages`, because a partial list would be taken for the whole.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, String)],
        (most_pages, deadline): (usize, Deadline),
    ) -> Result<Vec<T>, GatewayError> {
        let mut all = Vec::new();
        for page in 0..most_pages {
            let from = (page * PAGE, deadline);
            let (listed, has_more) = self.list_from(path, filter, from).await?;
            all.extend(listed);
            if !has_more {
                return Ok(all);
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many",
            "the list is longer than is read at once",
        ))
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v3").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client
            .request(method, url)
            .header("access_token", self.key.expose_secret())
    }
}

async fn ask(
    request: RequestBuilder,
    deadline: Deadline,
    effect: Effect,
) -> Result<Answer, GatewayError> {
    let answer = http::send(request, deadline, effect).await?;
    tracing::debug!(status = answer.status, "asaas");
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(error::of(&answer, effect))
    }
}
