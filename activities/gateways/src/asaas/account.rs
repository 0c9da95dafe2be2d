//! Account that the API key opens.

use schemas::attempt::ErrorClass;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{Asaas, error};
use crate::{
    Account, GatewayError,
    http::{CALL_TIMEOUT, Deadline},
};

const LIVE_KEY: &str = "$aact_prod_";

impl Asaas {
    pub(super) async fn account(&self) -> Result<Account, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.get(&["finance", "balance"], &[], deadline).await?;
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
            match self.get(path, &[], deadline).await {
                Ok(answer) => {
                    if let Some(id) = answer.json()["id"].as_str() {
                        return Ok(Some(id.to_owned()));
                    }
                }
                Err(error) if error::is_definite(&error) || error.class == ErrorClass::Denied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
