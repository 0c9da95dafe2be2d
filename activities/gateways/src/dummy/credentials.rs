//! Name of an account: there is nothing to prove.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Dummy;
use crate::{
    Account, Endpoints, Gateway, GatewayError,
    credentials::{FieldFormat, GatewayCredentials},
};

/// Credentials of the dummy gateway.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct DummyCredentials {
    /// Name that distinguishes accounts of one merchant. Defaults to the account of a new merchant.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    account: Option<String>,
}

impl GatewayCredentials for DummyCredentials {
    const FORMATS: &'static [FieldFormat] = &[];

    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError> {
        Ok(Arc::new(Dummy {
            storage: endpoints.storage()?,
            account: self.account.clone().unwrap_or_default(),
        }))
    }
}

impl Dummy {
    pub(super) fn account(&self) -> Account {
        Account {
            fingerprint: format!("{}{}", super::DEFAULT.fingerprint, self.account),
            live: Some(false),
        }
    }
}
