//! Requests to Asaas: JSON bodies, lists in pages. `docs/gateways/asaas.md#endpoints`.

use reqwest::Method;
use schemas::attempt::ErrorClass;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::asaas::Asaas;
use crate::{
    GatewayError,
    http::{Answer, Deadline, Effect},
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
    pub(in crate::asaas) async fn post(
        &self,
        path: &[&str],
        body: &Value,
        (deadline, effect): (Deadline, Effect),
    ) -> Result<Answer, GatewayError> {
        let request = self.api.request(Method::POST, path, &[]).json(body);
        self.api.send(request, deadline, effect).await
    }

    pub(in crate::asaas) async fn put(
        &self,
        path: &[&str],
        body: &Value,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.api.request(Method::PUT, path, &[]).json(body);
        self.api.send(request, deadline, Effect::Reads).await
    }

    /// Fetches a page of a list from `offset` on. True: there are more pages.
    pub(in crate::asaas) async fn list_from<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, String)],
        (offset, deadline): (usize, Deadline),
    ) -> Result<(Vec<T>, bool), GatewayError> {
        let mut query = filter.to_vec();
        query.push(("limit", PAGE.to_string()));
        query.push(("offset", offset.to_string()));
        let list: List<T> = self
            .api
            .get(path, &query, deadline)
            .await?
            .read(Effect::Reads)?;
        Ok((list.data, list.has_more))
    }

    /// Fetches all entries of a list. Fails if there are more than `most_pages`, because a partial list would be taken for the whole.
    pub(in crate::asaas) async fn list<T: DeserializeOwned>(
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
}
