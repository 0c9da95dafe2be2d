//! Who pays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Document;

/// The person or company that pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    /// Full name or company name.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// CPF or CNPJ (alphanumeric too), with or without punctuation; returned without.
    pub document: Document,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(email, length(max = 254))]
    pub email: Option<String>,
    /// Brazilian mobile or land line with area code: 10 or 11 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{10,11}$"))]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// A Brazilian address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    #[schemars(length(min = 1, max = 100))]
    pub street: String,
    /// `S/N` where there is none.
    #[schemars(length(min = 1, max = 20))]
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 60))]
    pub complement: Option<String>,
    #[schemars(length(min = 1, max = 60))]
    pub district: String,
    #[schemars(length(min = 1, max = 60))]
    pub city: String,
    /// Two letters, e.g. `SP`.
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub state: String,
    /// CEP: eight digits.
    #[schemars(regex(pattern = r"^[0-9]{8}$"))]
    pub postal_code: String,
}
