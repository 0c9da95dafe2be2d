//! How this Efí Cobranças behaves where accounts differ or the documents leave room.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whether the account's boletos carry a Pix code ("bolix").
    pub bolix: bool,
    /// The least that a boleto can be, in centavos.
    pub minimum_billet: i64,
    /// Whether CNPJs with letters are known here.
    pub alphanumeric_cnpj: bool,
    /// What answers "not found".
    pub not_found_status: u16,
    /// A new charge is not listed before this.
    pub list_lag_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bolix: true,
            minimum_billet: 500,
            alphanumeric_cnpj: true,
            not_found_status: 404,
            list_lag_ms: 0,
        }
    }
}
