//! What a merchant gives us so that we can act in its name. Sealed at rest, redacted in every print.

use schemas::{gateway::GatewayKind, problem::FieldError};
use secrecy::SecretString;
use serde::Deserialize;

/// One connection's credentials.
#[derive(Clone, Debug)]
pub enum Credentials {
    Efi(EfiCredentials),
    Stripe(StripeCredentials),
    Asaas(AsaasCredentials),
}

/// Efí: an application of the account, its client certificate, and the Pix key that receives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfiCredentials {
    pub client_id: String,
    pub client_secret: SecretString,
    /// Certificate and private key in PEM, one after the other; or the `.p12` file (empty password) in base64.
    pub certificate: SecretString,
    /// The Pix key that receives.
    pub pix_key: String,
}

/// Stripe: a secret (or restricted) key, and the secrets of the notification endpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeCredentials {
    pub secret_key: SecretString,
    /// `whsec_…`; several while one is being rotated. Filled by `subscribe`.
    #[serde(default)]
    pub webhook_secrets: Vec<SecretString>,
}

/// Asaas: an API key, and the token that its notifications carry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsaasCredentials {
    pub api_key: SecretString,
    /// Sent by Asaas as `asaas-access-token`; several while one is being rotated. Filled by `subscribe`.
    #[serde(default)]
    pub webhook_tokens: Vec<SecretString>,
}

/// Reads credentials of `kind`, naming every missing or unknown field.
pub(crate) fn read(kind: GatewayKind, json: serde_json::Value) -> Result<Credentials, Vec<FieldError>> {
    let read = match kind {
        GatewayKind::Efi => serde_json::from_value(json).map(Credentials::Efi),
        GatewayKind::Stripe => serde_json::from_value(json).map(Credentials::Stripe),
        GatewayKind::Asaas => serde_json::from_value(json).map(Credentials::Asaas),
    };
    read.map_err(|error| vec![FieldError::new("credentials", "invalid", error.to_string())])
}
