//! Payment methods with their parameters, and due dates.

use chrono::{Days, Months, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{Instant, calendar, problem::FieldError};

/// Pattern of a URL that a browser opens as a page.
const HTTP_URL: &str = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]+";
/// Maximum time from today to a due date. Gateways refuse later dates, and a boleto's due factor repeats.
const DUE_WITHIN: Months = Months::new(60);

/// A payment method without its parameters.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PaymentMethodKind {
    Pix,
    Boleto,
    Card,
}

/// Payment method of a charge, with the method's own parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PaymentMethod {
    /// Pix: an instant transfer started with a QR code or its text.
    Pix {
        /// Lifetime of the code in seconds, from 60 to 1209600 (14 days). Defaults to 3600 (one hour); ignored if `due` is set.
        #[serde(default = "default_pix_expiry_s")]
        #[schemars(range(min = 60, max = 1_209_600))]
        expires_in: i64,
        /// Due date with fine, interest or discount. Replaces `expires_in`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<DueDate>,
    },
    /// Boleto: a bank slip that can be paid at any bank until its last day.
    Boleto {
        /// Last day, in Brazil (`America/Sao_Paulo`), on which the boleto costs its amount. At most five years ahead.
        due_date: NaiveDate,
        /// Number of days after `due_date` on which the boleto can still be paid, from 0 to 120. Defaults to 0.
        /// If the last of them is not a business day, the boleto can be paid until the next business day.
        #[serde(default)]
        #[schemars(range(min = 0, max = 120))]
        days_after_due: u16,
        /// Fine after the due date, in basis points of the amount, from 0 to 2000: `200` is 2%. Defaults to 0.
        #[serde(default)]
        #[schemars(range(min = 0, max = 2_000))]
        fine_bps: u16,
        /// Interest after the due date, in basis points of the amount per month, from 0 to 2000: `100` is 1%. Defaults to 0.
        #[serde(default)]
        #[schemars(range(min = 0, max = 2_000))]
        monthly_interest_bps: u16,
        /// Discount for early payment. Defaults to none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        discount: Option<Discount>,
    },
    /// Card: a link to a payment page of the gateway. Card numbers never reach this service.
    Card {
        /// Maximum number of monthly installments that the payer may choose, from 1 to 12. Defaults to 1. Asaas accepts only 1.
        /// Stripe's page offers no installments if it is 1, else those that are enabled in the Stripe account. Efí's page always
        /// offers those of the Efí account. The payment reports the number that the payer chose.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 12))]
        max_installments: u16,
        /// URL to which the gateway's page sends the payer afterwards: `http` or `https`, up to 500 characters.
        #[schemars(url, regex(pattern = HTTP_URL), length(max = 500))]
        success_url: String,
        /// URL to which the gateway's page sends a payer who gives up: `http` or `https`, up to 500 characters.
        #[schemars(url, regex(pattern = HTTP_URL), length(max = 500))]
        cancel_url: String,
        /// Lifetime of the link in seconds, from 1800 (30 minutes) to 86400 (one day). Defaults to 86400.
        #[serde(default = "a_day_s")]
        #[schemars(range(min = 1_800, max = 86_400))]
        expires_in: i64,
    },
}

/// Due date of a charge, with the terms of payment before and after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DueDate {
    /// Last day, in Brazil (`America/Sao_Paulo`), on which the charge costs its amount. At most five years ahead.
    pub due_date: NaiveDate,
    /// Number of days after `due_date` on which the charge can still be paid, from 0 to 120. Defaults to 0.
    /// If the last of them is not a business day, the charge can be paid until the next business day.
    #[serde(default)]
    #[schemars(range(min = 0, max = 120))]
    pub days_after_due: u16,
    /// Fine after the due date, in basis points of the amount, from 0 to 2000: `200` is 2%. Defaults to 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_000))]
    pub fine_bps: u16,
    /// Interest after the due date, in basis points of the amount per month, from 0 to 2000: `100` is 1%. Defaults to 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_000))]
    pub monthly_interest_bps: u16,
    /// Discount for early payment. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
}

/// Discount for early payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Discount {
    /// Discount in centavos. At least 1, and less than the charge's amount.
    #[schemars(range(min = 1))]
    pub amount: i64,
    /// Last day, in Brazil, on which the discount applies. Not after the due date.
    pub until: NaiveDate,
}

/// Time during which a charge can be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Number of seconds from the charge's creation.
    Seconds(i64),
    /// Fixed end, independent of the charge's creation.
    Until(Instant),
}

impl Lifetime {
    /// Returns the last payable instant of a charge created at `now`.
    pub fn end(self, now: Instant) -> Instant {
        match self {
            Self::Seconds(s) => chrono::TimeDelta::try_seconds(s)
                .and_then(|life| now.checked_add_signed(life))
                .unwrap_or(Instant::MAX_UTC),
            Self::Until(end) => end,
        }
    }
}

/// Returns one hour.
fn default_pix_expiry_s() -> i64 {
    3600
}

fn a_day_s() -> i64 {
    86_400
}

fn one() -> u16 {
    1
}

impl PaymentMethod {
    /// Returns the method without its parameters.
    pub fn kind(&self) -> PaymentMethodKind {
        match self {
            Self::Pix { .. } => PaymentMethodKind::Pix,
            Self::Boleto { .. } => PaymentMethodKind::Boleto,
            Self::Card { .. } => PaymentMethodKind::Card,
        }
    }

    /// Returns the due date with its terms, if the method has one.
    pub fn due(&self) -> Option<DueDate> {
        match self {
            Self::Pix { due, .. } => due.clone(),
            Self::Boleto {
                due_date,
                days_after_due,
                fine_bps,
                monthly_interest_bps,
                discount,
            } => Some(DueDate {
                due_date: *due_date,
                days_after_due: *days_after_due,
                fine_bps: *fine_bps,
                monthly_interest_bps: *monthly_interest_bps,
                discount: discount.clone(),
            }),
            Self::Card { .. } => None,
        }
    }

    /// Returns the time during which a charge by this method can be paid.
    pub fn life(&self) -> Lifetime {
        match (self.due(), self) {
            (Some(due), _) => Lifetime::Until(due.payable_until()),
            (None, Self::Pix { expires_in, .. } | Self::Card { expires_in, .. }) => {
                Lifetime::Seconds(*expires_in)
            }
            // a boleto always has a due date
            (None, Self::Boleto { .. }) => Lifetime::Seconds(0),
        }
    }

    /// Returns the errors of fields that are valid by themselves but not together. `amount` is the charge's, in centavos.
    pub fn check(&self, amount: i64) -> Vec<FieldError> {
        let field = match self {
            Self::Pix { .. } => "payment_method.due.discount",
            Self::Boleto { .. } | Self::Card { .. } => "payment_method.discount",
        };
        let Some(due) = self.due() else {
            return Vec::new();
        };
        let Some(discount) = due.discount else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        if discount.amount >= amount {
            let message = "must be less than the charge's amount";
            wrong.push(FieldError::new(
                format!("{field}.amount"),
                "maximum",
                message,
            ));
        }
        if discount.until > due.due_date {
            let message = "must not be after the due date";
            wrong.push(FieldError::new(
                format!("{field}.until"),
                "maximum",
                message,
            ));
        }
        wrong
    }
}

impl DueDate {
    /// Returns the last day on which the charge can be paid. Banks settle on business days, so a day off moves to the next one.
    pub fn last_day(&self) -> NaiveDate {
        let last = self
            .due_date
            .checked_add_days(Days::new(u64::from(self.days_after_due)))
            .unwrap_or(NaiveDate::MAX);
        calendar::business_day_from(last)
    }

    /// Returns true if the due date is too far ahead of `now` (more than `DUE_WITHIN`).
    pub fn is_too_far(&self, now: Instant) -> bool {
        let last = calendar::today(now).checked_add_months(DUE_WITHIN);
        last.is_some_and(|last| self.due_date > last)
    }

    /// Returns the last instant, in Brazil, of the last day on which the charge can be paid.
    pub fn payable_until(&self) -> Instant {
        calendar::end_of(self.last_day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn boleto(due_date: &str, days_after_due: u16, discount: Option<Discount>) -> PaymentMethod {
        PaymentMethod::Boleto {
            due_date: day(due_date),
            days_after_due,
            fine_bps: 0,
            monthly_interest_bps: 0,
            discount,
        }
    }

    #[test]
    fn a_boleto_can_be_paid_until_the_end_of_the_last_business_day() {
        // a Saturday, and the Monday after it is a holiday
        let Lifetime::Until(end) = boleto("2026-09-05", 0, None).life() else {
            panic!("a boleto ends on a day")
        };
        assert_eq!(end.to_rfc3339(), "2026-09-09T02:59:59+00:00");
        let Lifetime::Until(end) = boleto("2026-11-25", 3, None).life() else {
            panic!("a boleto ends on a day")
        };
        assert_eq!(end.to_rfc3339(), "2026-12-01T02:59:59+00:00");
    }

    #[test]
    fn a_due_date_is_at_most_five_years_ahead() {
        // still the 25th in Brazil
        let now = "2026-11-26T02:30:00Z".parse().expect("an instant");
        for (due_date, too_far) in [
            ("2031-11-25", false),
            ("2031-11-26", true),
            ("2060-01-05", true),
            ("9999-12-31", true),
        ] {
            let due = boleto(due_date, 120, None).due().expect("a due date");
            assert_eq!(due.is_too_far(now), too_far, "{due_date}");
        }
    }

    #[test]
    fn a_discount_that_is_not_one_is_named() {
        let discount = Discount {
            amount: 100,
            until: day("2026-12-02"),
        };
        let wrong = boleto("2026-12-01", 0, Some(discount)).check(100);
        let names: Vec<_> = wrong.iter().map(|e| e.param.as_str()).collect();
        assert_eq!(
            names,
            [
                "payment_method.discount.amount",
                "payment_method.discount.until"
            ]
        );
    }
}
