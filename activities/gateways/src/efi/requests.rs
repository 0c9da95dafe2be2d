//! Calls with an access token, which is fetched once, stored, and renewed before it expires.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, header};
use schemas::attempt::ErrorClass;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::{SKIP_MTLS, credentials::EfiCredentials, errors};
use crate::{
    GatewayError,
    http::{self, Answer, Deadline, Effect},
    outside,
};

/// Time before its expiry at which a token is renewed.
const MARGIN: Duration = Duration::from_secs(30);

/// Request of an API.
pub(super) struct Call<'a> {
    pub method: Method,
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub effect: Effect,
    pub body: Option<&'a Value>,
    pub skip_mtls: bool,
}

impl<'a> Call<'a> {
    /// Returns a read of `path`.
    pub(super) fn read(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            path,
            query: &[],
            effect: Effect::Reads,
            body: None,
            skip_mtls: false,
        }
    }

    /// Returns a call that creates something, so that a lost answer is an unknown outcome.
    pub(super) fn create(method: Method, path: &'a [&'a str], body: &'a Value) -> Self {
        Self {
            effect: Effect::Creates,
            ..Self::change(method, path, body)
        }
    }

    /// Returns a call that can be repeated without harm.
    pub(super) fn change(method: Method, path: &'a [&'a str], body: &'a Value) -> Self {
        Self {
            method,
            body: Some(body),
            ..Self::read(path)
        }
    }
}

pub(super) struct Session {
    client: Client,
    base: Url,
    /// Path of the token endpoint: each of the two APIs has its own.
    token_path: &'static [&'static str],
    client_id: String,
    client_secret: SecretString,
    /// Locked while a token is fetched, so that one fetch serves all waiting calls.
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: SecretString,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default = "an_hour")]
    expires_in: u64,
}

fn an_hour() -> u64 {
    3600
}

impl Session {
    pub(super) fn new(
        client: Client,
        base: Url,
        token_path: &'static [&'static str],
        credentials: &EfiCredentials,
    ) -> Self {
        Self {
            client,
            base,
            token_path,
            client_id: credentials.client_id.clone(),
            client_secret: credentials.client_secret.clone(),
            token: Mutex::default(),
        }
    }

    /// Sends a call. A 401 with a stored token renews the token once. An unsuccessful status is an error.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        let (token, kept) = self.token(deadline, None).await?;
        let mut answer = http::send(self.request(call, &token), deadline, call.effect).await?;
        if answer.status == 401 && kept && !answer.is_foreign() {
            let (token, _) = self.token(deadline, Some(&token)).await?;
            answer = http::send(self.request(call, &token), deadline, call.effect).await?;
        }
        tracing::debug!(method = %call.method, route = call.path.get(1), status = answer.status, "efi");
        if answer.is_success() {
            Ok(answer)
        } else {
            Err(errors::of(&answer, call.effect))
        }
    }

    fn request(&self, call: &Call<'_>, token: &SecretString) -> RequestBuilder {
        let mut request = self
            .client
            .request(call.method.clone(), self.url(call.path, call.query))
            .bearer_auth(token.expose_secret());
        if call.skip_mtls {
            request = request.header(SKIP_MTLS, "true");
        }
        match call.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Checks that the credentials open the API, which is proved by a token.
    pub(super) async fn opens(&self, deadline: Deadline) -> Result<(), GatewayError> {
        self.token(deadline, None).await.map(drop)
    }

    /// Returns a token, and true if it was stored before. `refused` is never returned.
    async fn token(
        &self,
        deadline: Deadline,
        refused: Option<&SecretString>,
    ) -> Result<(SecretString, bool), GatewayError> {
        let mut kept = self.token.lock().await;
        let good = kept.as_ref().filter(|token| {
            let is_refused = refused
                .is_some_and(|refused| refused.expose_secret() == token.text.expose_secret());
            token.until > outside::instant() && !is_refused
        });
        if let Some(token) = good {
            return Ok((token.text.clone(), true));
        }
        *kept = None;
        let fetched = self.fetch(deadline).await?;
        *kept = Some(fetched.clone());
        Ok((fetched.text, false))
    }

    async fn fetch(&self, deadline: Deadline) -> Result<Token, GatewayError> {
        let request = self
            .client
            .post(self.url(self.token_path, &[]))
            .basic_auth(&self.client_id, Some(self.client_secret.expose_secret()))
            .header(header::ACCEPT, "application/json")
            .json(&json!({ "grant_type": "client_credentials" }));
        let asked = outside::instant();
        let answer = http::send(request, deadline, Effect::Reads).await?;
        if !answer.is_success() {
            let refused = GatewayError {
                class: refusal(&answer),
                ..errors::of(&answer, Effect::Reads)
            };
            return Err(refused);
        }
        let granted: Granted = answer.read(Effect::Reads)?;
        let lives = Duration::from_secs(granted.expires_in).saturating_sub(MARGIN);
        Ok(Token {
            text: granted.access_token,
            until: asked + lives,
        })
    }
}

/// Returns the class of a refused token request. Nothing was created: the credentials are wrong or the gateway is unhealthy.
fn refusal(answer: &Answer) -> ErrorClass {
    match answer.status {
        500.. => ErrorClass::NotCreated,
        _ if answer.is_foreign() => ErrorClass::NotCreated,
        408 => ErrorClass::NotCreated,
        429 => ErrorClass::Throttled,
        _ => ErrorClass::Denied,
    }
}
