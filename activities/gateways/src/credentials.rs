//! Credentials with which we act on a merchant's behalf. Sealed at rest, redacted when printed.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use schemas::{gateway::GatewayKind, problem::FieldError, validate::Checker};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Endpoints, Gateway, GatewayError, descriptor};

/// Name of the field that holds the credentials, in errors.
const PARAM: &str = "credentials";

/// Check of a text's format: the field's name, and the check, whose error is a message for people without the value.
pub type FieldFormat = (&'static str, fn(&str) -> Result<(), &'static str>);

/// Credentials of one gateway, as a merchant sends them.
pub trait GatewayCredentials: JsonSchema + DeserializeOwned + Send + Sync + 'static {
    /// Formats that need more than a schema.
    const FORMATS: &'static [FieldFormat];

    /// Opens a client of the account.
    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError>;
}

/// Credentials of one connection, of any gateway.
#[derive(Clone)]
pub struct Credentials(Arc<dyn Open>);

trait Open: Send + Sync {
    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError>;
}

impl<T: GatewayCredentials> Open for T {
    fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError> {
        GatewayCredentials::open(self, endpoints)
    }
}

impl Credentials {
    /// Opens a client of the account.
    pub fn open(&self, endpoints: &Endpoints) -> Result<Arc<dyn Gateway>, GatewayError> {
        self.0.open(endpoints)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([redacted])")
    }
}

/// Schema of a gateway's credentials.
pub struct CredentialSchema {
    check: fn(Value) -> Result<Credentials, Vec<FieldError>>,
    parse: fn(Value) -> Result<Credentials, Vec<FieldError>>,
}

impl CredentialSchema {
    /// Returns the schema of credentials of type `T`.
    pub const fn of<T: GatewayCredentials>() -> Self {
        Self {
            check: check::<T>,
            parse: parse::<T>,
        }
    }
}

/// Parses the credentials of a merchant for `kind`. Errors name every missing, unknown or malformed field and repeat no value.
pub fn read_credentials(kind: GatewayKind, json: Value) -> Result<Credentials, Vec<FieldError>> {
    (descriptor(kind).credentials.check)(json)
}

/// Parses stored credentials. Fields that a newer version added are ignored.
pub fn stored_credentials(kind: GatewayKind, json: Value) -> Result<Credentials, Vec<FieldError>> {
    (descriptor(kind).credentials.parse)(json)
}

/// Checks credentials as a request is checked. The texts themselves are parsed as they were sent: a certificate has line ends, which a
/// request's text may not have.
fn check<T: GatewayCredentials>(json: Value) -> Result<Credentials, Vec<FieldError>> {
    let mut errors = Checker::<T>::new()
        .check(with_plain_lines(&json))
        .err()
        .unwrap_or_default();
    for (name, has_format) in T::FORMATS {
        let text = json.get(name).and_then(Value::as_str).map(str::trim);
        // the schema reports a field that is missing or blank
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            continue;
        };
        if let Err(why) = has_format(text) {
            errors.push(FieldError::new(*name, "invalid", why));
        }
    }
    if errors.is_empty() {
        return parse::<T>(json);
    }
    for error in &mut errors {
        error.param = match error.param.as_str() {
            "" => PARAM.to_owned(),
            param => format!("{PARAM}.{param}"),
        };
    }
    errors.sort_by(|a, b| a.param.cmp(&b.param));
    errors.dedup_by(|a, b| a.param == b.param);
    Err(errors)
}

/// Returns `json` with spaces in place of the line ends in its members.
fn with_plain_lines(json: &Value) -> Value {
    let plain = |value: &Value| match value {
        Value::String(text) => Value::String(text.replace(['\r', '\n', '\t'], " ")),
        other => other.clone(),
    };
    match json {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Returns `json` without members that are null, which means that they are absent.
fn without_nulls(mut json: Value) -> Value {
    if let Some(members) = json.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    json
}

fn parse<T: GatewayCredentials>(json: Value) -> Result<Credentials, Vec<FieldError>> {
    match serde_json::from_value::<T>(without_nulls(json)) {
        Ok(read) => Ok(Credentials(Arc::new(read))),
        Err(_) => Err(vec![FieldError::new(
            PARAM,
            "invalid",
            "do not have the documented shape",
        )]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(kind: GatewayKind, json: Value) -> Vec<String> {
        read_credentials(kind, json)
            .expect_err("wrong")
            .into_iter()
            .map(|error| format!("{} {}", error.param, error.code))
            .collect()
    }

    #[test]
    fn a_field_of_a_newer_version_does_not_hide_stored_credentials() {
        let json = json!({ "secret_key": "sk_test_1", "account": "acct_1" });
        assert!(read_credentials(GatewayKind::Stripe, json.clone()).is_err());
        assert!(stored_credentials(GatewayKind::Stripe, json).is_ok());
    }

    #[test]
    fn credentials_that_are_accepted_can_be_read_again() {
        for (kind, json) in [
            (
                GatewayKind::Stripe,
                json!({ "secret_key": "sk_test_1", "webhook_secrets": null }),
            ),
            (
                GatewayKind::Asaas,
                json!({ "api_key": "$aact_hmlg_1", "webhook_tokens": null }),
            ),
        ] {
            assert!(read_credentials(kind, json.clone()).is_ok(), "{json}");
            assert!(stored_credentials(kind, json.clone()).is_ok(), "{json}");
        }
    }

    #[test]
    fn every_wrong_field_is_named_and_no_value_repeated() {
        let json =
            json!({ "client_id": "", "certificate": "s3cret", "pix_key": "k", "password": "p4ss" });
        assert_eq!(
            wrong(GatewayKind::Efi, json.clone()),
            [
                "credentials.certificate invalid",
                "credentials.client_id required",
                "credentials.client_secret required",
                "credentials.password unknown",
            ]
        );
        let errors = read_credentials(GatewayKind::Efi, json).expect_err("wrong");
        assert!(
            errors
                .iter()
                .all(|error| !error.message.contains("s3cret") && !error.message.contains("p4ss"))
        );
        assert_eq!(
            wrong(
                GatewayKind::Stripe,
                json!({ "secret_key": "pk_test_1", "webhook_secrets": ["whsec_1", 2] })
            ),
            [
                "credentials.secret_key invalid",
                "credentials.webhook_secrets.1 type"
            ]
        );
        assert_eq!(
            wrong(GatewayKind::Asaas, json!({ "api_key": "aact_1" })),
            ["credentials.api_key invalid"]
        );
        assert_eq!(wrong(GatewayKind::Asaas, json!("x")), ["credentials type"]);
        assert_eq!(
            wrong(GatewayKind::Stripe, json!({ "secret_key": null })),
            ["credentials.secret_key required"]
        );
    }

    #[test]
    fn credentials_print_no_secret() {
        let json = json!({ "secret_key": "sk_test_s3cret" });
        let read = read_credentials(GatewayKind::Stripe, json).expect("credentials");
        assert!(!format!("{read:?}").contains("s3cret"));
    }
}
