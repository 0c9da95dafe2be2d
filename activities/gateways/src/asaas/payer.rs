//! Asaas charges customers, who must exist there. The same document may be there several times: any of them will do.

use schemas::payer::Payer;
use serde::Deserialize;
use serde_json::json;

use super::{Asaas, error};
use crate::{
    GatewayError,
    http::{Deadline, Effect},
};

#[derive(Deserialize)]
struct Customer {
    id: String,
    #[serde(default)]
    deleted: bool,
    #[serde(default, rename = "notificationDisabled")]
    notification_disabled: bool,
}

/// More than a page of customers under one document is not looked through.
const PAGES: usize = 1;

impl Asaas {
    /// The payer's id at Asaas. It never e-mails or texts the payer: an instrument that we do not show must not be seen.
    pub(super) async fn customer(
        &self,
        payer: &Payer,
        deadline: Deadline,
    ) -> Result<String, GatewayError> {
        let customer = self.customer_of(payer, deadline).await;
        customer.map_err(|error| {
            if error::is_of_document(&error) {
                error.about_document(&payer.document)
            } else {
                error
            }
        })
    }

    async fn customer_of(&self, payer: &Payer, deadline: Deadline) -> Result<String, GatewayError> {
        let query = [("cpfCnpj", payer.document.as_str().to_owned())];
        let known: Vec<Customer> = self.list(&["customers"], &query, (PAGES, deadline)).await?;
        let quiet = known
            .into_iter()
            .find(|customer| !customer.deleted && customer.notification_disabled);
        if let Some(customer) = quiet {
            return Ok(customer.id);
        }
        let mut body = json!({
            "name": payer.name,
            "cpfCnpj": payer.document.as_str(),
            "notificationDisabled": true,
        });
        if let Some(email) = &payer.email {
            body["email"] = email.clone().into();
        }
        if let Some(phone) = &payer.phone {
            body["mobilePhone"] = phone.clone().into();
        }
        // a customer that is created twice does no harm
        let made = self
            .post(&["customers"], &body, (deadline, Effect::Reads))
            .await?;
        Ok(made.read::<Customer>(Effect::Reads)?.id)
    }
}
