//! Secret key, and the account that it opens.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName};
use schemars::JsonSchema;
use schemas::{attempt::ErrorClass, gateway::GatewayApi};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Stripe, errors, requests::calls::VERSION};
use crate::{
    Account, Endpoints, Gateway, GatewayError,
    credentials::{FieldFormat, GatewayCredentials},
    http::{ApiClient, CALL_TIMEOUT, Deadline, Effect},
};

/// Beginnings of secret and restricted keys.
const KEYS: [&str; 4] = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];

/// Credentials of Stripe: a secret (or restricted) key, and the secrets of the notification endpoints.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct StripeCredentials {
    #[schemars(with = "String", length(min = 1))]
    secret_key: SecretString,
    /// Secrets (`whsec_…`) of endpoints that the merchant registered; those of our registrations are `Registration`s.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    webhook_secrets: Vec<SecretString>,
}

impl GatewayCredentials for StripeCredentials {
    const FORMATS: &'static [FieldFormat] = &[("secret_key", key)];

    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError> {
        let bearer = format!("Bearer {}", self.secret_key.expose_secret()).into();
        let version = SecretString::from(VERSION);
        let base = endpoints.url(GatewayApi::Stripe)?;
        Ok(Arc::new(Stripe {
            api: ApiClient::new(base, "v1", errors::of)?
                .header(AUTHORIZATION, &bearer)?
                .header(HeaderName::from_static("stripe-version"), &version)?,
            key: self.secret_key.clone(),
            webhook_secrets: self.webhook_secrets.clone(),
            searches: super::Searches::default(),
            listings: super::Listings::default(),
        }))
    }
}

/// Checks the format of a key.
fn key(text: &str) -> Result<(), &'static str> {
    if KEYS.iter().any(|prefix| text.starts_with(prefix)) {
        Ok(())
    } else {
        Err("must be a secret or restricted key: sk_test_…, sk_live_…, rk_test_… or rk_live_…")
    }
}

#[derive(Deserialize)]
struct Balance {
    livemode: bool,
}

impl Stripe {
    /// Returns true if the key moves real money.
    pub(super) fn is_live(&self) -> bool {
        self.key.expose_secret().contains("_live_")
    }

    pub(super) async fn account(&self) -> Result<Account, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let balance: Balance = self
            .api
            .get(&["balance"], &[], deadline)
            .await?
            .read(Effect::Reads)?;
        let account = match self.api.get(&["account"], &[], deadline).await {
            Ok(answer) => answer.json()["id"].as_str().map(ToOwned::to_owned),
            // a restricted key may not read its account: the key identifies it instead
            Err(error) if error.class == ErrorClass::Denied => None,
            Err(error) => return Err(error),
        };
        let account = account.unwrap_or_else(|| {
            hex::encode(&Sha256::digest(self.key.expose_secret().as_bytes())[..8])
        });
        Ok(Account {
            fingerprint: format!("stripe:{account}"),
            live: Some(balance.livemode),
        })
    }
}
