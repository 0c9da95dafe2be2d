//! How a payer pays.

use chrono::{Days, Months, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{Instant, calendar, problem::FieldError};

/// An address that a browser opens as a page.
const HTTP_URL: &str = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]+";
/// How far ahead a due date may be: gateways refuse what is later, and a boleto's due factor repeats.
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

/// How the payer will pay, with the method's own parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PaymentMethod {
    /// Pix: an instant transfer started with a QR code or its text.
    Pix {
        /// Seconds until the code can no longer be paid; one hour unless told. Not looked at where `due` is given.
        #[serde(default = "default_pix_expiry_s")]
        #[schemars(range(min = 60, max = 1_209_600))]
        expires_in: i64,
        /// A due date with fine, interest or discount, instead of a short life.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<DueDate>,
    },
    /// Boleto: a bank slip, paid at any bank until its last day.
    Boleto {
        /// The last day on which it costs its amount, in Brazil (`America/Sao_Paulo`); at most five years ahead.
        due_date: NaiveDate,
        /// For how many days after it the boleto can still be paid; none unless told.
        #[serde(default)]
        #[schemars(range(min = 0, max = 120))]
        days_after_due: u16,
        /// Fine after the due date, in basis points of the amount: `200` is 2%.
        #[serde(default)]
        #[schemars(range(min = 0, max = 2_000))]
        fine_bps: u16,
        /// Interest after the due date, in basis points of the amount per month: `100` is 1%.
        #[serde(default)]
        #[schemars(range(min = 0, max = 2_000))]
        monthly_interest_bps: u16,
        /// What is taken off for whoever pays early.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        discount: Option<Discount>,
    },
    /// Card: a link to a page of the gateway. Card numbers never reach us.
    Card {
        /// In how many monthly installments the payer may choose to pay, at most; one unless told. Asaas takes only one here.
        /// Stripe's page offers none for one, and for more what the account has switched on; Efí's page always offers what the
        /// account has. The number that was chosen is told with the payment.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 12))]
        max_installments: u16,
        /// Where the gateway's page sends the payer afterwards: `http` or `https`.
        #[schemars(url, regex(pattern = HTTP_URL), length(max = 500))]
        success_url: String,
        /// Where it sends a payer who gave up: `http` or `https`.
        #[schemars(url, regex(pattern = HTTP_URL), length(max = 500))]
        cancel_url: String,
        /// Seconds until the link can no longer be paid, from half an hour to a day; a day unless told.
        #[serde(default = "a_day_s")]
        #[schemars(range(min = 1_800, max = 86_400))]
        expires_in: i64,
    },
}

/// When something must be paid, and what it costs before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DueDate {
    /// The last day on which it costs its amount, in Brazil (`America/Sao_Paulo`); at most five years ahead.
    pub due_date: NaiveDate,
    /// For how many days after it can still be paid; none unless told.
    #[serde(default)]
    #[schemars(range(min = 0, max = 120))]
    pub days_after_due: u16,
    /// Fine after the due date, in basis points of the amount: `200` is 2%.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_000))]
    pub fine_bps: u16,
    /// Interest after the due date, in basis points of the amount per month: `100` is 1%.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_000))]
    pub monthly_interest_bps: u16,
    /// What is taken off for whoever pays early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
}

/// A discount for whoever pays early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Discount {
    /// What is taken off, in centavos; less than the charge's amount.
    #[schemars(range(min = 1))]
    pub amount: i64,
    /// The last day on which it is taken off; not after the due date.
    pub until: NaiveDate,
}

/// How long a charge can be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// So many seconds from its creation.
    Seconds(i64),
    /// Until then, whenever it was created.
    Until(Instant),
}

impl Lifetime {
    /// The last payable instant of a charge created at `now`.
    pub fn end(self, now: Instant) -> Instant {
        match self {
            Self::Seconds(s) => chrono::TimeDelta::try_seconds(s)
                .and_then(|life| now.checked_add_signed(life))
                .unwrap_or(Instant::MAX_UTC),
            Self::Until(end) => end,
        }
    }
}

/// One hour.
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
    /// The method without its parameters.
    pub fn kind(&self) -> PaymentMethodKind {
        match self {
            Self::Pix { .. } => PaymentMethodKind::Pix,
            Self::Boleto { .. } => PaymentMethodKind::Boleto,
            Self::Card { .. } => PaymentMethodKind::Card,
        }
    }

    /// Its due date with what belongs to it, if it has one.
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

    /// How long a charge by it can be paid.
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

    /// What is wrong although each field by itself is right. `amount`: the charge's, in centavos.
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
    /// The last day on which it can be paid: banks settle on business days, so a day off moves to the next one.
    pub fn last_day(&self) -> NaiveDate {
        let last = self
            .due_date
            .checked_add_days(Days::new(u64::from(self.days_after_due)))
            .unwrap_or(NaiveDate::MAX);
        calendar::business_day_from(last)
    }

    /// Returns whether the due date is further ahead of `now` than it may be.
    pub fn is_too_far(&self, now: Instant) -> bool {
        let last = calendar::today(now).checked_add_months(DUE_WITHIN);
        last.is_some_and(|last| self.due_date > last)
    }

    /// The last instant of that day in Brazil.
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
