//! Customers: Asaas charges only existing ones. A document may have several; one with notifications disabled is used.

use schemas::payer::Payer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asaas::Asaas;
use crate::{
    GatewayError,
    contact::{self, Phone},
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

impl Asaas {
    /// Returns the payer's id at Asaas. Customers are created without e-mail and SMS notices, because an instrument that we do not
    /// show must not reach the payer.
    pub(in crate::asaas) async fn customer(
        &self,
        payer: &Payer,
        deadline: Deadline,
    ) -> Result<String, GatewayError> {
        let query = [("cpfCnpj", payer.document.as_str().to_owned())];
        // the newest customers of the document are enough: a new one is created if none of them fits
        let (known, _): (Vec<Customer>, bool) = self
            .list_from(&["customers"], &query, (0, deadline))
            .await?;
        let quiet = known
            .into_iter()
            .find(|customer| !customer.deleted && customer.notification_disabled);
        if let Some(customer) = quiet {
            return Ok(customer.id);
        }
        let body = body(payer);
        // a customer that is created twice does no harm
        let made = self
            .post(&["customers"], &body, (deadline, Effect::Reads))
            .await?;
        Ok(made.read::<Customer>(Effect::Reads)?.id)
    }
}

/// Returns the body of the create request. Contact data that do not fit are omitted: Asaas needs neither, and refuses a landline as
/// a mobile.
fn body(payer: &Payer) -> Value {
    let mut body = json!({
        "name": payer.name,
        "cpfCnpj": payer.document.as_str(),
        "notificationDisabled": true,
    });
    if let Some(email) = contact::email(payer) {
        body["email"] = email.into();
    }
    match contact::phone(payer) {
        Some(Phone::Mobile(digits)) => body["mobilePhone"] = digits.into(),
        Some(Phone::Landline(digits)) => body["phone"] = digits.into(),
        None => {}
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_goes_only_where_it_fits() {
        let mut payer = Payer {
            name: "Maria".to_owned(),
            document: "52998224725".parse().expect("a CPF"),
            email: Some("maria@localhost".to_owned()),
            phone: None,
            address: None,
        };
        for (phone, mobile, landline) in [
            ("11987654321", true, false),
            ("1133334444", false, true),
            ("00123456789", false, false),
        ] {
            payer.phone = Some(phone.to_owned());
            let body = body(&payer);
            assert_eq!(body.get("mobilePhone").is_some(), mobile, "{phone}");
            assert_eq!(body.get("phone").is_some(), landline, "{phone}");
            assert!(body.get("email").is_none());
        }
    }
}
