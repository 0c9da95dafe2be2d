//! Payers and their addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{contact, document::Document};

/// The person or company that pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payer {
    /// Full name of a person, or name of a company. From 1 to 100 characters, with at least one letter.
    #[schemars(length(min = 1, max = 100), extend("format" = contact::NAME_FORMAT))]
    pub name: String,
    /// CPF or CNPJ (also alphanumeric). Sent with or without punctuation; returned without.
    pub document: Document,
    /// Email address, up to 254 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(email, length(max = 254))]
    pub email: Option<String>,
    /// Brazilian mobile (11 digits) or landline (10 digits) with its area code. Sent with or without punctuation and `+55`;
    /// returned as digits.
    #[serde(
        default,
        deserialize_with = "contact::read_phone",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(extend("format" = contact::PHONE_FORMAT))]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// A Brazilian address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    #[schemars(length(min = 1, max = 100), extend("format" = contact::ADDRESS_FORMAT))]
    pub street: String,
    /// House number; `S/N` if there is none.
    #[schemars(length(min = 1, max = 20), extend("format" = contact::ADDRESS_FORMAT))]
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 60), extend("format" = contact::ADDRESS_FORMAT))]
    pub complement: Option<String>,
    #[schemars(length(min = 1, max = 60), extend("format" = contact::ADDRESS_FORMAT))]
    pub district: String,
    #[schemars(length(min = 1, max = 60), extend("format" = contact::NAME_FORMAT))]
    pub city: String,
    /// Code of the state or of the Federal District, for example `SP`.
    #[schemars(extend("enum" = contact::STATES))]
    pub state: String,
    /// CEP. Sent with or without punctuation; returned as eight digits.
    #[serde(deserialize_with = "contact::read_postal_code")]
    #[schemars(extend("format" = contact::POSTAL_CODE_FORMAT))]
    pub postal_code: String,
}
