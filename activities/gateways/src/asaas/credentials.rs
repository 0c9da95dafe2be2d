//! API key, and the account that it opens.

use std::sync::Arc;

use reqwest::header::HeaderName;
use schemars::JsonSchema;
use schemas::{attempt::ErrorClass, gateway::GatewayApi};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Asaas, errors};
use crate::{
    Account, Endpoints, Gateway, GatewayError,
    credentials::{FieldFormat, GatewayCredentials},
    http::{ApiClient, CALL_TIMEOUT, Deadline},
};

/// Beginning of a production key.
const LIVE_KEY: &str = "$aact_prod_";

/// Credentials of Asaas: an API key, and the tokens that its notifications carry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct AsaasCredentials {
    #[schemars(with = "String", length(min = 1))]
    api_key: SecretString,
    /// Tokens (`asaas-access-token`) of webhooks that the merchant registered; those of our registrations are `Registration`s.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    webhook_tokens: Vec<SecretString>,
}

impl GatewayCredentials for AsaasCredentials {
    const FORMATS: &'static [FieldFormat] = &[("api_key", key)];

    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError> {
        let base = endpoints.url(GatewayApi::Asaas)?;
        let api = ApiClient::new(base, "v3", errors::of)?;
        Ok(Arc::new(Asaas {
            api: api.header(HeaderName::from_static("access_token"), &self.api_key)?,
            key: self.api_key.clone(),
            webhook_tokens: self.webhook_tokens.clone(),
        }))
    }
}

/// Checks the format of an API key.
fn key(text: &str) -> Result<(), &'static str> {
    if text.starts_with("$aact_") && !text.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err("must be an API key: $aact_prod_… or $aact_hmlg_… (the shell may have eaten its `$`)")
    }
}

impl Asaas {
    pub(super) async fn account(&self) -> Result<Account, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.api.get(&["finance", "balance"], &[], deadline).await?;
        let key = self.key.expose_secret();
        let account = match self.account_id(deadline).await? {
            Some(id) => id,
            // the key may not read the account: the fingerprint is made of the key, and changes with it
            None => hex::encode(&Sha256::digest(key.as_bytes())[..8]),
        };
        Ok(Account {
            fingerprint: format!("asaas:{account}"),
            live: Some(key.starts_with(LIVE_KEY)),
        })
    }

    /// Fetches the account's id. `None`: the key may not read it. An outage is an error; otherwise one account would have two fingerprints.
    async fn account_id(&self, deadline: Deadline) -> Result<Option<String>, GatewayError> {
        for path in [&["myAccount"][..], &["myAccount", "status"]] {
            match self.api.get(path, &[], deadline).await {
                Ok(answer) => {
                    if let Some(id) = answer.json()["id"].as_str() {
                        return Ok(Some(id.to_owned()));
                    }
                }
                Err(error) if errors::is_definite(&error) || error.class == ErrorClass::Denied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
