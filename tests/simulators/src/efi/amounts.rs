//! Amount due of a charge with a due date: fine, interest, rebate, discount.

use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde_json::{Value, json};

use super::{error::ApiError, request::hundredths};
use crate::sim::decimal;

const KIND: &str = "CobVOperacaoInvalida";
const DAYS_A_MONTH: i64 = 30;
const DAYS_A_YEAR: i64 = 365;
const BUSINESS_DAYS_A_MONTH: i64 = 21;
const BUSINESS_DAYS_A_YEAR: i64 = 252;
/// 100 % in hundredths of a percent.
const WHOLE: i64 = 10_000;

/// Value of a `modalidade`, in centavos or hundredths of a percent.
#[derive(Clone, Copy)]
struct Rule {
    mode: i64,
    value: i64,
}

#[derive(Clone, Default)]
pub(crate) struct Rules {
    fine: Option<Rule>,
    interest: Option<Rule>,
    rebate: Option<Rule>,
    discount: Option<Rule>,
    /// Last day and value of each discount with a fixed date, in order.
    until: Vec<(NaiveDate, i64)>,
}

/// Amount due and its parts, in centavos.
pub(crate) struct AmountDue {
    original: i64,
    fine: i64,
    interest: i64,
    rebate: i64,
    discount: i64,
}

impl AmountDue {
    /// Returns the sum of the parts, at least one centavo, the smallest amount that can be paid.
    pub(crate) fn total(&self) -> i64 {
        let more = self.fine.saturating_add(self.interest);
        let less = self.rebate.saturating_add(self.discount);
        let total = self.original.saturating_add(more).saturating_sub(less);
        total.max(1)
    }

    /// Returns `componentesValor`, or nothing if only the original amount is due.
    pub(crate) fn json(&self) -> Option<Value> {
        let parts = [
            ("juros", self.interest),
            ("multa", self.fine),
            ("abatimento", self.rebate),
            ("desconto", self.discount),
        ];
        let mut json = json!({ "original": { "valor": decimal(self.original) } });
        for (name, amount) in parts.into_iter().filter(|(_, amount)| *amount > 0) {
            json[name] = json!({ "valor": decimal(amount) });
        }
        (self.total() != self.original).then_some(json)
    }
}

impl Rules {
    /// Reads the rules of a request's `valor`.
    pub(crate) fn read(value: &Value) -> Result<Self, ApiError> {
        let discount = rule(value, "desconto", 6)?;
        Ok(Self {
            fine: rule(value, "multa", 2)?,
            interest: rule(value, "juros", 8)?,
            rebate: rule(value, "abatimento", 2)?,
            until: match discount {
                Some(Rule { mode: 1 | 2, .. }) => fixed_dates(&value["desconto"])?,
                _ => Vec::new(),
            },
            discount,
        })
    }

    /// Returns the amount due on a day. Business days are Monday to Friday; holidays are not considered.
    pub(crate) fn amount_due(&self, original: i64, due: NaiveDate, on: NaiveDate) -> AmountDue {
        let late = if on > next_business_day(due) {
            (on - due).num_days()
        } else {
            0
        };
        let early = (due - on).num_days().max(0);
        let fine = self.fine.filter(|_| late > 0);
        AmountDue {
            original,
            fine: fine.map_or(0, |rule| rule.flat(original)),
            interest: self.interest.filter(|_| late > 0).map_or(0, |rule| {
                rule.interest(original, (late, business_days(due, on)))
            }),
            rebate: self.rebate.map_or(0, |rule| rule.flat(original)),
            discount: self.discount.map_or(0, |rule| match rule.mode {
                1 | 2 => self.fixed_discount(rule.mode, original, on),
                _ => rule.daily_discount(original, (early, business_days(on, due))),
            }),
        }
    }

    fn fixed_discount(&self, mode: i64, original: i64, on: NaiveDate) -> i64 {
        let holds = self.until.iter().find(|(until, _)| on <= *until);
        holds.map_or(0, |(_, value)| {
            Rule {
                mode,
                value: *value,
            }
            .flat(original)
        })
    }
}

impl Rule {
    /// Returns the value in centavos. `mode` 1 is an amount, 2 a percentage.
    fn flat(self, original: i64) -> i64 {
        if self.mode == 1 {
            self.value
        } else {
            share(&[original, self.value], WHOLE)
        }
    }

    fn interest(self, original: i64, (days, business): (i64, i64)) -> i64 {
        let (all, business) = (
            [original, self.value, days],
            [original, self.value, business],
        );
        match self.mode {
            1 => share(&all[1..], 1),
            2 => share(&all, WHOLE),
            3 => share(&all, WHOLE * DAYS_A_MONTH),
            4 => share(&all, WHOLE * DAYS_A_YEAR),
            5 => share(&business[1..], 1),
            6 => share(&business, WHOLE),
            7 => share(&business, WHOLE * BUSINESS_DAYS_A_MONTH),
            _ => share(&business, WHOLE * BUSINESS_DAYS_A_YEAR),
        }
    }

    /// Returns the discount for each day of early payment.
    fn daily_discount(self, original: i64, (days, business): (i64, i64)) -> i64 {
        match self.mode {
            3 => share(&[self.value, days], 1),
            4 => share(&[self.value, business], 1),
            5 => share(&[original, self.value, days], WHOLE),
            _ => share(&[original, self.value, business], WHOLE),
        }
    }
}

/// Returns the product of the factors divided by `of`, rounded half up. The largest allowed factors need more than 64 bits.
fn share(factors: &[i64], of: i64) -> i64 {
    let product: i128 = factors.iter().map(|factor| i128::from(*factor)).product();
    let of = i128::from(of);
    i64::try_from((product + of / 2) / of).unwrap_or(i64::MAX)
}

fn is_business_day(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
}

pub(crate) fn next_business_day(day: NaiveDate) -> NaiveDate {
    let mut day = day;
    while !is_business_day(day) {
        day = day + Days::new(1);
    }
    day
}

/// Returns the number of business days after `from`, up to and including `to`.
fn business_days(from: NaiveDate, to: NaiveDate) -> i64 {
    let days = from.iter_days().skip(1).take_while(|day| *day <= to);
    i64::try_from(days.filter(|day| is_business_day(*day)).count()).unwrap_or(i64::MAX)
}

fn rule(value: &Value, name: &str, modes: i64) -> Result<Option<Rule>, ApiError> {
    let Some(rule) = value.get(name) else {
        return Ok(None);
    };
    let field = format!("valor.{name}");
    let mode = rule["modalidade"].as_i64();
    let mode = mode.filter(|mode| (1..=modes).contains(mode));
    let mode = mode.ok_or_else(|| ApiError::invalid(KIND, &format!("{field}.modalidade")))?;
    if name == "desconto" && mode <= 2 {
        return Ok(Some(Rule { mode, value: 0 }));
    }
    let value = rule["valorPerc"].as_str().and_then(hundredths);
    let value = value.ok_or_else(|| ApiError::invalid(KIND, &format!("{field}.valorPerc")))?;
    Ok(Some(Rule { mode, value }))
}

/// Reads one to three discounts with fixed dates.
fn fixed_dates(discount: &Value) -> Result<Vec<(NaiveDate, i64)>, ApiError> {
    let field = "valor.desconto.descontoDataFixa";
    let read = |entry: &Value| {
        let until = entry["data"].as_str()?.parse().ok()?;
        Some((until, hundredths(entry["valorPerc"].as_str()?)?))
    };
    let all = discount["descontoDataFixa"].as_array();
    let all = all.filter(|all| (1..=3).contains(&all.len()));
    let all = all.and_then(|all| all.iter().map(read).collect::<Option<Vec<_>>>());
    let mut all = all.ok_or_else(|| ApiError::invalid(KIND, field))?;
    all.sort_unstable();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(valor: &Value, on: &str) -> i64 {
        let rules = Rules::read(valor).unwrap();
        // a Friday
        let due = "2026-07-31".parse().unwrap();
        rules.amount_due(10_000, due, on.parse().unwrap()).total()
    }

    #[test]
    fn fine_and_interest_begin_after_the_due_date() {
        let valor = json!({
            "multa": { "modalidade": 2, "valorPerc": "2.00" }, "juros": { "modalidade": 3, "valorPerc": "1.00" },
        });
        assert_eq!(total(&valor, "2026-07-31"), 10_000);
        assert_eq!(total(&valor, "2026-08-30"), 10_000 + 200 + 100);
        let daily = json!({ "juros": { "modalidade": 1, "valorPerc": "0.33" } });
        assert_eq!(total(&daily, "2026-08-10"), 10_000 + 330);
        let business = json!({ "juros": { "modalidade": 5, "valorPerc": "1.00" } });
        assert_eq!(total(&business, "2026-08-10"), 10_000 + 600);
    }

    #[test]
    fn a_due_date_on_a_weekend_moves_to_monday() {
        let fine = json!({ "multa": { "modalidade": 1, "valorPerc": "5.00" } });
        let rules = Rules::read(&fine).unwrap();
        let saturday: NaiveDate = "2026-08-01".parse().unwrap();
        let on = |day: &str| {
            rules
                .amount_due(10_000, saturday, day.parse().unwrap())
                .total()
        };
        assert_eq!((on("2026-08-03"), on("2026-08-04")), (10_000, 10_500));
    }

    #[test]
    fn discounts_hold_until_their_day_or_by_each_day_before() {
        let fixed = json!({ "desconto": { "modalidade": 2, "descontoDataFixa": [
            { "data": "2026-07-20", "valorPerc": "10.00" }, { "data": "2026-07-25", "valorPerc": "5.00" },
        ] } });
        assert_eq!(total(&fixed, "2026-07-20"), 9_000);
        assert_eq!(total(&fixed, "2026-07-21"), 9_500);
        assert_eq!(total(&fixed, "2026-07-26"), 10_000);
        let daily = json!({ "desconto": { "modalidade": 3, "valorPerc": "0.50" } });
        assert_eq!(total(&daily, "2026-07-21"), 9_500);
        let rebate = json!({ "abatimento": { "modalidade": 1, "valorPerc": "1.23" } });
        assert_eq!(total(&rebate, "2026-07-31"), 9_877);
    }
}
