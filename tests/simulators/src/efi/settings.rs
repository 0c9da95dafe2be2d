//! How this Efí behaves where its documents leave room.

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
    /// The shape of refusals.
    pub errors: Family,
    /// What answers "not found": 404, or 400 as some of Efí's pages say.
    pub not_found_status: u16,
    /// What answers a wrong pair of client id and secret.
    pub bad_pair_status: u16,
    /// What new tokens may do.
    pub scopes: Vec<String>,
    /// The account's Pix keys; empty: every key.
    pub keys: Vec<String>,
    /// How returns end, if there is enough money.
    pub refund_end: RefundEnd,
    pub refund_settles_ms: u64,
    /// Whether a return that the merchant asked for is told when it ends.
    pub refund_notifies: bool,
    /// Whether `gnExtras` is told where `/v2/gn/config` does not say.
    pub gn_extras: bool,
    /// What each account has before any Pix, in centavos.
    pub opening_balance: i64,
    /// Whether CNPJs with letters are known here.
    pub alphanumeric_cnpj: bool,
    /// How the payer's CPF is masked.
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
