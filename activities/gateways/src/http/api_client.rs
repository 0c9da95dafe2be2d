//! Client of a gateway API whose requests all carry the same headers, such as the account's key.

use reqwest::{
    Client, Method, RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use schemas::attempt::ErrorClass;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Answer, Deadline, Effect, send, shared};
use crate::GatewayError;

/// Client of one gateway API for one account. Accounts share its connections.
pub(crate) struct ApiClient {
    client: Client,
    base: Url,
    /// First part of every path.
    version: &'static str,
    headers: HeaderMap,
    /// Classifies an unsuccessful answer.
    errors: fn(&Answer, Effect) -> GatewayError,
}

impl ApiClient {
    /// Creates a client of the API at `base`.
    pub(crate) fn new(
        base: Url,
        version: &'static str,
        errors: fn(&Answer, Effect) -> GatewayError,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            client: shared()?,
            base,
            version,
            headers: HeaderMap::new(),
            errors,
        })
    }

    /// Adds a header to every request.
    pub(crate) fn header(
        mut self,
        name: HeaderName,
        value: &SecretString,
    ) -> Result<Self, GatewayError> {
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            let why = "the key holds characters that no request can carry";
            GatewayError::new(ErrorClass::Denied, "credentials", why)
        })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(crate) fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(self.version).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client
            .request(method, url)
            .headers(self.headers.clone())
    }

    /// Sends a request. An unsuccessful status is an error.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        deadline: Deadline,
        effect: Effect,
    ) -> Result<Answer, GatewayError> {
        let answer = send(request, deadline, effect).await?;
        tracing::debug!(
            status = answer.status,
            host = self.base.host_str(),
            "gateway"
        );
        if answer.is_success() {
            Ok(answer)
        } else {
            Err((self.errors)(&answer, effect))
        }
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::GET, path, query);
        self.send(request, deadline, Effect::Reads).await
    }

    pub(crate) async fn delete(
        &self,
        path: &[&str],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let request = self.request(Method::DELETE, path, &[]);
        self.send(request, deadline, Effect::Reads).await
    }
}
