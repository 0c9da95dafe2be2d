//! Application, client certificate and Pix key of an account.

use std::{fs, sync::Arc};

use reqwest::Certificate;
use schemars::JsonSchema;
use schemas::{attempt::ErrorClass, gateway::GatewayApi};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Efi, cobrancas::Cobrancas, pix::Pix};
use crate::{
    Account, Endpoints, Gateway, GatewayError,
    credentials::{FieldFormat, GatewayCredentials},
    http::{self, CALL_TIMEOUT, Deadline},
};

mod certificate;

/// Credentials of Efí: an application of the account, its client certificate, and the Pix key that receives.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct EfiCredentials {
    #[schemars(length(min = 1))]
    pub client_id: String,
    #[schemars(with = "String", length(min = 1))]
    pub client_secret: SecretString,
    /// Certificate and private key in PEM, one after the other; or the `.p12` file (empty password) in base64.
    #[schemars(with = "String", length(min = 1))]
    certificate: SecretString,
    /// Pix key that receives.
    #[schemars(length(min = 1))]
    pub pix_key: String,
}

impl GatewayCredentials for EfiCredentials {
    const FORMATS: &'static [FieldFormat] = &[("certificate", |text| {
        certificate::identity(&text.into()).map(drop)
    })];

    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Denied, "certificate", what);
        let identity = certificate::identity(&self.certificate).map_err(unreadable)?;
        let ends_at = certificate::ends_at(&self.certificate).map_err(unreadable)?;
        let authority = match &endpoints.ca_file {
            Some(path) => {
                let pem = fs::read(path)
                    .map_err(|_| unreadable("the further authority's file cannot be read"))?;
                Some(
                    Certificate::from_pem(&pem)
                        .map_err(|_| unreadable("the further authority's file is not PEM"))?,
                )
            }
            None => None,
        };
        let (pix, cobrancas) = (
            endpoints.url(GatewayApi::EfiPix)?,
            endpoints.url(GatewayApi::EfiCobrancas)?,
        );
        // only a simulator has its own authority, and it needs none where it serves without TLS
        let plain = match &authority {
            Some(authority) if cobrancas.scheme() == "https" => {
                http::client(None, Some(authority.clone()))?
            }
            _ => http::shared()?,
        };
        // the client certificate belongs to this connection, so the client cannot be shared
        let mutual = http::client(Some(identity), authority)?;
        Ok(Arc::new(Efi {
            pix: Pix::new(mutual, pix, self),
            cobrancas: Cobrancas::new(plain, cobrancas, self),
            client_id: self.client_id.clone(),
            certificate_ends_at: ends_at,
        }))
    }
}

impl Efi {
    pub(super) async fn account(&self) -> Result<Account, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.pix.probe(deadline).await?;
        // Pix works without the API Cobranças, so its failure is only logged
        if let Err(error) = self.cobrancas.probe(deadline).await {
            tracing::info!(class = %error.class, code = error.code, "efi: no boletos and card links for now");
        }
        // Efí exposes no account id; the client id is used instead
        let digest = Sha256::digest(self.client_id.as_bytes());
        Ok(Account {
            fingerprint: format!("efi:{}", hex::encode(&digest[..8])),
            live: None,
        })
    }
}
