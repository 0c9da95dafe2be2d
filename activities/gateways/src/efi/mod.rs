//! Efí's API Pix: OAuth over mutual TLS, charges (`cob`) under our own `txid`. `GATEWAYS.md` §2.

use std::{fs, time::Duration};

use async_trait::async_trait;
use reqwest::{Certificate, Method};
use schemas::{
    attempt::ErrorClass,
    document::DocumentKind,
    payment_method::{Kind, PaymentMethod},
    route::Unmet,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    Account, ChargeOrder, Endpoints, Gateway, GatewayCharge, GatewayError, GatewayNotice,
    NotificationError, Received, Subscription,
    credentials::EfiCredentials,
    http::{self, CALL_TIMEOUT, Deadline, Effect},
    money,
};

mod answer;
mod certificate;
mod error;
mod notification;
mod session;
#[cfg(test)]
mod tests;

use answer::Cob;
use session::{Call, Session};

pub(crate) use certificate::identity;

/// A `txid` stays taken for ever.
const IDEMPOTENT_FOR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const MAX_NAME: usize = 200;
const MAX_MESSAGE: usize = 140;
/// `valor.original` has ten digits before its point.
const MAX_AMOUNT: i64 = 999_999_999_999;
/// What registering an address without mutual TLS on our side needs: Efí then does not test that we refuse strangers.
const SKIP_MTLS: &str = "x-skip-mtls-checking";

/// An account at Efí, with one Pix key.
pub struct Efi {
    session: Session,
    pix_key: String,
    client_id: String,
}

impl Efi {
    pub(crate) fn open(
        credentials: &EfiCredentials,
        endpoints: &Endpoints,
    ) -> Result<Self, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Denied, "certificate", what);
        let identity = identity(&credentials.certificate).map_err(unreadable)?;
        let authority = match &endpoints.efi_ca_file {
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
        let client = http::client(Some(identity), authority)?;
        Ok(Self {
            session: Session::new(client, endpoints.efi_pix.clone(), credentials),
            pix_key: credentials.pix_key.clone(),
            client_id: credentials.client_id.clone(),
        })
    }

    async fn read(&self, txid: &str, deadline: Deadline) -> Result<Option<Cob>, GatewayError> {
        let call = Call {
            method: Method::GET,
            path: &["v2", "cob", txid],
            effect: Effect::Reads,
            body: None,
            skip_mtls: false,
        };
        match self.session.send(&call, deadline).await {
            Ok(answer) => answer.read(Effect::Reads).map(Some),
            Err(error) if error::is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What stands under our `txid` after it was refused as taken: ours, unless it asks for something else.
    async fn adopt(
        &self,
        order: &ChargeOrder,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let found = self
            .read(&order.reference, deadline)
            .await
            .map_err(GatewayError::after_an_effect)?;
        match found.map(|cob| cob.to_charge(now())) {
            Some(Ok(charge)) if charge.amount == order.amount => Ok(charge),
            Some(Ok(_)) => Err(GatewayError::new(
                ErrorClass::Refused,
                "txid_duplicado",
                "another charge has our txid",
            )),
            Some(Err(error)) => Err(error.after_an_effect()),
            None => Err(GatewayError::new(
                ErrorClass::Unknown,
                "txid_duplicado",
                "the txid is taken, and shows no charge",
            )),
        }
    }

    fn body(&self, order: &ChargeOrder) -> Value {
        let PaymentMethod::Pix { expires_in, .. } = order.method else {
            return Value::Null;
        };
        let document = match order.payer.document.kind() {
            DocumentKind::Cpf => "cpf",
            DocumentKind::Cnpj => "cnpj",
        };
        let mut body = json!({
            "calendario": { "expiracao": expires_in },
            "devedor": { document: order.payer.document.as_str(), "nome": order.payer.name },
            "valor": { "original": money::decimal(order.amount) },
            "chave": self.pix_key,
        });
        if let Some(text) = &order.description {
            body["solicitacaoPagador"] = text.chars().take(MAX_MESSAGE).collect::<String>().into();
        }
        body
    }
}

/// Only for what Efí leaves to our clock: whether a charge that it still calls active has expired.
fn now() -> schemas::Instant {
    std::time::SystemTime::now().into()
}

#[async_trait]
impl Gateway for Efi {
    fn accepts(&self, order: &ChargeOrder) -> Result<(), Vec<Unmet>> {
        if order.method.kind() != Kind::Pix || order.method.due().is_some() {
            return Err(vec![Unmet {
                field: "payment_method.type".to_owned(),
                reason: "is not there yet".to_owned(),
            }]);
        }
        let mut unmet = Vec::new();
        if order.payer.name.chars().count() > MAX_NAME {
            unmet.push(Unmet {
                field: "payer.name".to_owned(),
                reason: "has at most 200 characters".to_owned(),
            });
        }
        if order.amount > MAX_AMOUNT {
            unmet.push(Unmet {
                field: "amount".to_owned(),
                reason: "is at most R$ 9.999.999.999,99".to_owned(),
            });
        }
        if unmet.is_empty() { Ok(()) } else { Err(unmet) }
    }

    fn idempotent_for(&self, _method: Kind) -> Option<Duration> {
        Some(IDEMPOTENT_FOR)
    }

    fn visibility_lag(&self, _method: Kind) -> Duration {
        Duration::ZERO
    }

    async fn charge(
        &self,
        order: &ChargeOrder,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(within);
        let body = self.body(order);
        let path = ["v2", "cob", order.reference.as_str()];
        let call = Call {
            method: Method::PUT,
            path: &path,
            effect: Effect::Creates,
            body: Some(&body),
            skip_mtls: false,
        };
        match self.session.send(&call, deadline).await {
            Ok(answer) => answer
                .read::<Cob>(Effect::Creates)?
                .to_charge(now())
                .map_err(GatewayError::after_an_effect),
            Err(error) if error.code == error::TAKEN => self.adopt(order, deadline).await,
            Err(error) => Err(error),
        }
    }

    async fn find(&self, order: &ChargeOrder) -> Result<Vec<GatewayCharge>, GatewayError> {
        let found = self
            .read(&order.reference, Deadline::after(CALL_TIMEOUT))
            .await?;
        found.into_iter().map(|cob| cob.to_charge(now())).collect()
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let body = json!({ "status": "REMOVIDA_PELO_USUARIO_RECEBEDOR" });
        let path = ["v2", "cob", charge.id.as_str()];
        let call = Call {
            method: Method::PATCH,
            path: &path,
            effect: Effect::Reads,
            body: Some(&body),
            skip_mtls: false,
        };
        match self.session.send(&call, deadline).await {
            Ok(_) => {}
            Err(error) if error::is_state(&error) || error::is_absent(&error) => {}
            Err(error) => return Err(error),
        }
        match self.read(&charge.id, deadline).await? {
            Some(cob) => cob.to_charge(now()),
            None => Ok(GatewayCharge {
                status: crate::GatewayStatus::Canceled,
                next_action: None,
                ..charge.clone()
            }),
        }
    }

    fn notification(&self, received: &Received) -> Result<Vec<GatewayNotice>, NotificationError> {
        notification::read(received)
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        let call = Call {
            method: Method::GET,
            path: &["v2", "gn", "saldo"],
            effect: Effect::Reads,
            body: None,
            skip_mtls: false,
        };
        self.session
            .send(&call, Deadline::after(CALL_TIMEOUT))
            .await?;
        // Efí tells no account: the application stands for it
        let digest = Sha256::digest(self.client_id.as_bytes());
        Ok(Account {
            fingerprint: format!("efi:{}", hex::encode(&digest[..8])),
            live: None,
        })
    }

    async fn subscribe(&self, url: &Url, replace: bool) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let path = ["v2", "webhook", self.pix_key.as_str()];
        let get = Call {
            method: Method::GET,
            path: &path,
            effect: Effect::Reads,
            body: None,
            skip_mtls: false,
        };
        let registered = match self.session.send(&get, deadline).await {
            Ok(answer) => answer.json()["webhookUrl"].as_str().map(ToOwned::to_owned),
            Err(error) if error::is_absent(&error) => None,
            Err(error) => return Err(error),
        };
        match registered {
            Some(found) if found == url.as_str() => return Ok(Subscription::Done),
            Some(found) if !replace => {
                return Ok(Subscription::Taken {
                    by: host_of(&found),
                });
            }
            _ => {}
        }
        let body = json!({ "webhookUrl": url.as_str() });
        let put = Call {
            method: Method::PUT,
            path: &path,
            effect: Effect::Reads,
            body: Some(&body),
            skip_mtls: true,
        };
        self.session.send(&put, deadline).await?;
        Ok(Subscription::Done)
    }
}

/// Enough to recognize a stranger's address; the rest may hold its secret.
fn host_of(url: &str) -> String {
    Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| "an unreadable address".to_owned())
}
