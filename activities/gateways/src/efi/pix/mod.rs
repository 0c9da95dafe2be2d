//! Efí's API Pix: charges under our own `txid`, immediate (`cob`) or with a due date (`cobv`). `docs/gateways/efi.md`.

use reqwest::{Client, Method};
use schemas::{Instant, attempt::ErrorClass};
use serde_json::json;
use url::Url;

use super::{
    credentials::EfiCredentials,
    errors, now,
    requests::{Call, Session},
};
use crate::{
    ChargeLookup, ChargeRequest, GatewayCharge, GatewayError, GatewayStatus,
    http::{Answer, Deadline, Effect},
};

mod changes;
mod disputes;
mod notifications;
mod refunds;
mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod webhooks;

use disputes::Infraction;
pub(super) use notifications::parse;
pub(super) use requests::unmet;
use responses::Cob;

/// Both kinds of charges, the more frequent first.
const FAMILIES: [&str; 2] = ["cob", "cobv"];

/// Charge as Efí reported it.
struct ReportedCharge {
    cob: Cob,
    /// Time of the answer by Efí's clock. It decides if an active charge has expired; our clock never does.
    at: Option<Instant>,
}

impl ReportedCharge {
    fn read(answer: &Answer, effect: Effect) -> Result<Self, GatewayError> {
        Ok(Self {
            cob: answer.read(effect)?,
            at: answer.date().map(Into::into),
        })
    }

    fn to_charge(&self, claims: &[Infraction]) -> Result<GatewayCharge, GatewayError> {
        self.cob.to_charge(self.at, claims)
    }
}

/// Client of an account's API Pix, with one Pix key.
pub(super) struct Pix {
    session: Session,
    pix_key: String,
}

impl Pix {
    pub(super) fn new(client: Client, base: Url, credentials: &EfiCredentials) -> Self {
        Self {
            session: Session::new(client, base, &["oauth", "token"], credentials),
            pix_key: credentials.pix_key.clone(),
        }
    }

    pub(super) async fn charge(
        &self,
        order: &ChargeRequest,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let body = requests::body(order, &self.pix_key);
        let path = [
            "v2",
            requests::family(&order.method),
            order.reference.as_str(),
        ];
        let call = Call::create(Method::PUT, &path, &body);
        let made = match self.session.send(&call, deadline).await {
            Ok(answer) => ReportedCharge::read(&answer, Effect::Creates)
                .and_then(|reported| reported.to_charge(&[]))
                .map_err(GatewayError::after_an_effect)?,
            Err(error) if errors::is_taken(&error) => self.adopt(order, error, deadline).await?,
            Err(error) => return Err(error),
        };
        if made.status.is_payable() && made.next_action.is_none() {
            let what = "the charge came without its Pix code";
            return Err(GatewayError::new(ErrorClass::Unknown, "unreadable", what));
        }
        Ok(made)
    }

    /// Returns the charge that has our `txid` after its creation was refused. It is ours if the amount is the same.
    async fn adopt(
        &self,
        order: &ChargeRequest,
        refusal: GatewayError,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let found = self
            .read(
                (requests::family(&order.method), &order.reference),
                deadline,
            )
            .await
            .map_err(GatewayError::after_an_effect)?;
        match found.map(|reported| reported.to_charge(&[])) {
            Some(Ok(charge)) if charge.amount == order.amount => Ok(charge),
            Some(Ok(_)) => Err(GatewayError::new(
                ErrorClass::Rejected,
                "txid_duplicado",
                "another charge has our txid",
            )),
            Some(Err(error)) => Err(error.after_an_effect()),
            // not found: the refusal's own class is right, unknown if it means that the `txid` is taken
            None => Err(refusal),
        }
    }

    pub(super) async fn find(
        &self,
        order: &ChargeLookup,
        deadline: Deadline,
    ) -> Result<Vec<GatewayCharge>, GatewayError> {
        let named = (requests::family(&order.method), order.reference.as_str());
        match self.read(named, deadline).await? {
            Some(reported) => Ok(vec![self.complete(&reported, deadline).await?]),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the charge with its disputes, which only a paid charge can have.
    async fn complete(
        &self,
        reported: &ReportedCharge,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let Some(first) = reported.cob.pix.iter().map(|pix| pix.horario).min() else {
            return reported.to_charge(&[]);
        };
        let until = reported.at.unwrap_or_else(now).max(first);
        let mut claims = self.infractions((first, until), deadline).await?;
        claims.retain(|claim| {
            let mut received = reported.cob.pix.iter();
            received.any(|pix| pix.end_to_end_id == claim.end_to_end_id)
        });
        reported.to_charge(&claims)
    }

    async fn read(
        &self,
        (family, txid): (&str, &str),
        deadline: Deadline,
    ) -> Result<Option<ReportedCharge>, GatewayError> {
        let path = ["v2", family, txid];
        match self.session.send(&Call::read(&path), deadline).await {
            Ok(answer) => ReportedCharge::read(&answer, Effect::Reads).map(Some),
            Err(error) if errors::is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the charge even after its expiry: Efí keeps an expired charge active, and a payment could still arrive.
    pub(super) async fn cancel(
        &self,
        charge: &GatewayCharge,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let body = json!({ "status": "REMOVIDA_PELO_USUARIO_RECEBEDOR" });
        for family in FAMILIES {
            let path = ["v2", family, charge.id.as_str()];
            let call = Call::change(Method::PATCH, &path, &body);
            let refusal = match self.session.send(&call, deadline).await {
                Ok(_) => None,
                Err(error) if errors::is_absent(&error) || errors::is_refusal(&error) => {
                    Some(error)
                }
                Err(error) => return Err(error),
            };
            let Some(reported) = self.read((family, &charge.id), deadline).await? else {
                continue;
            };
            if reported.cob.is_active() {
                let kept = "Efí accepted the removal and still shows the charge as active";
                return Err(refusal.unwrap_or_else(|| {
                    GatewayError::new(ErrorClass::Unknown, "still_payable", kept)
                }));
            }
            return self.complete(&reported, deadline).await;
        }
        Ok(GatewayCharge {
            status: GatewayStatus::Canceled,
            next_action: None,
            ..charge.clone()
        })
    }

    /// Sends the cheapest authenticated read.
    pub(super) async fn probe(&self, deadline: Deadline) -> Result<(), GatewayError> {
        let call = Call::read(&["v2", "gn", "saldo"]);
        self.session.send(&call, deadline).await.map(drop)
    }
}
