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
    /// Whether the last day of a boleto moves to a business day, as its due date does; Efí's page counts days alone.
    pub kind_write_off: bool,
    /// How many days ahead a boleto may be due: about three years and five months.
    pub latest_due_days: Option<u64>,
    /// So many equal boletos are made, and no more (Efí: two); none: any number.
    pub identical_charges: Option<usize>,
    /// So many boletos of an account are made in a day; none: any number.
    pub daily_charges: Option<usize>,
    /// Whose the account is: nobody charges himself.
    pub receiver_document: Option<String>,
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
            kind_write_off: false,
            latest_due_days: Some(1_250),
            identical_charges: None,
            daily_charges: None,
            receiver_document: None,
            list_lag_ms: 0,
        }
    }
}
