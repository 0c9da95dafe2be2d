//! Settings of Efí's API Pix where its documents are unclear.

use serde::{Deserialize, Serialize};

use super::auth::SCOPES;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Family {
    /// `nome` and `mensagem`.
    Efi,
    /// `application/problem+json`.
    Bacen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum RefundEnd {
    Devolvido,
    NaoRealizado,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Format of errors.
    pub errors: Family,
    /// Status of "not found" responses: 404, or 400 as on some of Efí's pages.
    pub not_found_status: u16,
    /// Status of the response to a wrong pair of client id and secret.
    pub bad_pair_status: u16,
    /// Scopes of new tokens.
    pub scopes: Vec<String>,
    /// Pix keys of the account. If empty, every key is accepted.
    pub keys: Vec<String>,
    /// Result of refunds if the balance is sufficient.
    pub refund_end: RefundEnd,
    pub refund_settles_ms: u64,
    /// True if a refund by the merchant is notified when it ends.
    pub refund_notifies: bool,
    /// True if notifications contain `gnExtras` where `/v2/gn/config` does not decide.
    pub gn_extras: bool,
    /// Opening balance of each account in centavos.
    pub opening_balance: i64,
    /// True if CNPJs with letters are accepted.
    pub alphanumeric_cnpj: bool,
    /// Masked CPF of the payer.
    pub payer_cpf: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            errors: Family::Efi,
            not_found_status: 404,
            bad_pair_status: 401,
            scopes: SCOPES.split(' ').map(ToOwned::to_owned).collect(),
            keys: Vec::new(),
            refund_end: RefundEnd::Devolvido,
            refund_settles_ms: 500,
            refund_notifies: true,
            gn_extras: true,
            opening_balance: 0,
            alphanumeric_cnpj: true,
            payer_cpf: "***.456.789-**".to_owned(),
        }
    }
}
