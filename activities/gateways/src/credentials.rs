//! Credentials with which we act on a merchant's behalf. Sealed at rest, redacted when printed.

use schemas::{gateway::GatewayKind, problem::FieldError};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::efi;

/// Credentials of one connection.
#[derive(Clone, Debug)]
pub enum Credentials {
    Efi(EfiCredentials),
    Stripe(StripeCredentials),
    Asaas(AsaasCredentials),
}

/// Credentials of Efí: an application of the account, its client certificate, and the Pix key that receives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfiCredentials {
    pub client_id: String,
    pub client_secret: SecretString,
    /// Certificate and private key in PEM, one after the other; or the `.p12` file (empty password) in base64.
    pub certificate: SecretString,
    /// Pix key that receives.
    pub pix_key: String,
}

/// Credentials of Stripe: a secret (or restricted) key, and the secrets of the notification endpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeCredentials {
    pub secret_key: SecretString,
    /// Secrets (`whsec_…`) of endpoints that the merchant registered; those of our registrations are `Registration`s.
    #[serde(default)]
    pub webhook_secrets: Vec<SecretString>,
}

/// Credentials of Asaas: an API key, and the token that its notifications carry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsaasCredentials {
    pub api_key: SecretString,
    /// Tokens (`asaas-access-token`) of webhooks that the merchant registered; those of our registrations are `Registration`s.
    #[serde(default)]
    pub webhook_tokens: Vec<SecretString>,
}

/// Field of a gateway's credentials in JSON: name, true if required, and a check of its format.
type Field = (&'static str, bool, fn(&Value) -> Result<(), &'static str>);

fn fields(kind: GatewayKind) -> &'static [Field] {
    match kind {
        GatewayKind::Efi => &[
            ("client_id", true, text),
            ("client_secret", true, text),
            ("certificate", true, certificate),
            ("pix_key", true, text),
        ],
        GatewayKind::Stripe => &[
            ("secret_key", true, stripe_key),
            ("webhook_secrets", false, texts),
        ],
        GatewayKind::Asaas => &[
            ("api_key", true, asaas_key),
            ("webhook_tokens", false, texts),
        ],
    }
}

/// Returns `json` without the fields that this version does not know.
pub(crate) fn known(kind: GatewayKind, mut json: Value) -> Value {
    if let Some(given) = json.as_object_mut() {
        given.retain(|name, _| fields(kind).iter().any(|(known, ..)| known == name));
    }
    json
}

/// Parses credentials of `kind`. Errors name every missing, unknown or malformed field and repeat no value.
pub(crate) fn read(kind: GatewayKind, json: Value) -> Result<Credentials, Vec<FieldError>> {
    let Some(given) = json.as_object() else {
        return Err(vec![FieldError::new(
            "credentials",
            "type",
            "must be a JSON object",
        )]);
    };
    let param = |name: &str| format!("credentials.{name}");
    let mut wrong = Vec::new();
    for (name, required, check) in fields(kind) {
        match given.get(*name) {
            Some(value) => {
                wrong.extend(
                    check(value)
                        .err()
                        .map(|why| FieldError::new(param(name), "invalid", why)),
                );
            }
            None if *required => {
                wrong.push(FieldError::new(param(name), "required", "is required"));
            }
            None => {}
        }
    }
    for name in given
        .keys()
        .filter(|name| !fields(kind).iter().any(|(known, ..)| known == name))
    {
        wrong.push(FieldError::new(
            param(name),
            "unknown",
            format!("is not a field of {kind}'s credentials"),
        ));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let read = match kind {
        GatewayKind::Efi => serde_json::from_value(json).map(Credentials::Efi),
        GatewayKind::Stripe => serde_json::from_value(json).map(Credentials::Stripe),
        GatewayKind::Asaas => serde_json::from_value(json).map(Credentials::Asaas),
    };
    read.map_err(|_| {
        vec![FieldError::new(
            "credentials",
            "invalid",
            "do not have the documented shape",
        )]
    })
}

fn text(value: &Value) -> Result<(), &'static str> {
    match value.as_str().map(str::trim) {
        Some("") | None => Err("must be text, and not empty"),
        Some(_) => Ok(()),
    }
}

fn texts(value: &Value) -> Result<(), &'static str> {
    let all = value
        .as_array()
        .is_some_and(|values| values.iter().all(|value| text(value).is_ok()));
    if all {
        Ok(())
    } else {
        Err("must be a list of texts")
    }
}

fn certificate(value: &Value) -> Result<(), &'static str> {
    text(value)?;
    efi::identity(&value.as_str().unwrap_or_default().into()).map(drop)
}

fn stripe_key(value: &Value) -> Result<(), &'static str> {
    let known = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];
    let right = value
        .as_str()
        .is_some_and(|key| known.iter().any(|prefix| key.starts_with(prefix)));
    if right {
        Ok(())
    } else {
        Err("must be a secret or restricted key: sk_test_…, sk_live_…, rk_test_… or rk_live_…")
    }
}

fn asaas_key(value: &Value) -> Result<(), &'static str> {
    let right = value
        .as_str()
        .is_some_and(|key| key.starts_with("$aact_") && !key.contains(char::is_whitespace));
    if right {
        Ok(())
    } else {
        Err("must be an API key: $aact_prod_… or $aact_hmlg_… (the shell may have eaten its `$`)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(kind: GatewayKind, json: Value) -> Vec<String> {
        read(kind, json)
            .expect_err("wrong")
            .into_iter()
            .map(|error| format!("{} {}", error.param, error.code))
            .collect()
    }

    #[test]
    fn a_field_of_a_newer_version_does_not_hide_stored_credentials() {
        let json = json!({ "secret_key": "sk_test_1", "account": "acct_1" });
        assert!(read(GatewayKind::Stripe, json.clone()).is_err());
        let stored = known(GatewayKind::Stripe, json);
        assert!(read(GatewayKind::Stripe, stored).is_ok());
    }

    #[test]
    fn every_wrong_field_is_named_and_no_value_repeated() {
        let json =
            json!({ "client_id": "", "certificate": "s3cret", "pix_key": "k", "password": "p4ss" });
        assert_eq!(
            wrong(GatewayKind::Efi, json.clone()),
            [
                "credentials.client_id invalid",
                "credentials.client_secret required",
                "credentials.certificate invalid",
                "credentials.password unknown",
            ]
        );
        let errors = read(GatewayKind::Efi, json).expect_err("wrong");
        assert!(
            errors
                .iter()
                .all(|error| !error.message.contains("s3cret") && !error.message.contains("p4ss"))
        );
        assert_eq!(
            wrong(GatewayKind::Stripe, json!({ "secret_key": "pk_test_1" })),
            ["credentials.secret_key invalid"]
        );
        assert_eq!(
            wrong(GatewayKind::Asaas, json!({ "api_key": "aact_1" })),
            ["credentials.api_key invalid"]
        );
        assert_eq!(wrong(GatewayKind::Asaas, json!("x")), ["credentials type"]);
    }
}
