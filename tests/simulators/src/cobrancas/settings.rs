//! Settings of API Cobranças where accounts differ or the documents are unclear.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// True if the account's boletos contain a Pix code ("bolix").
    pub bolix: bool,
    /// Minimum amount of a boleto in centavos.
    pub minimum_billet: i64,
    /// True if CNPJs with letters are accepted.
    pub alphanumeric_cnpj: bool,
    /// Status of "not found" responses.
    pub not_found_status: u16,
    /// True if the last day of a boleto moves to a business day, as its due date does. Efí's page counts calendar days.
    pub kind_write_off: bool,
    /// Maximum number of days until the due date of a boleto: about three years and five months. Without it, there is no limit.
    pub latest_due_days: Option<u64>,
    /// Maximum number of identical boletos (Efí: two). Without it, there is no limit.
    pub identical_charges: Option<usize>,
    /// Maximum number of boletos of an account in a day. Without it, there is no limit.
    pub daily_charges: Option<usize>,
    /// CPF or CNPJ of the account's owner, whom the account cannot charge.
    pub receiver_document: Option<String>,
    /// Time in milliseconds before a new charge appears in lists.
    pub list_lag_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bolix: true,
            minimum_billet: 500,
            alphanumeric_cnpj: true,
            not_found_status: 404,
            kind_write_off: false,
            latest_due_days: Some(1_250),
            identical_charges: None,
            daily_charges: None,
            receiver_document: None,
            list_lag_ms: 0,
        }
    }
}
