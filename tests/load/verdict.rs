//! Comparison of measured values with their limits.

use serde::{Deserialize, Serialize};

/// One measured value and its limit.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Verdict {
    pub name: String,
    /// `None` if it could not be measured: the limit is not met.
    pub value: Option<f64>,
    pub limit: f64,
    /// True if the value must not be lower than the limit; otherwise it must not be higher.
    pub at_least: bool,
}

impl Verdict {
    pub(crate) fn at_most(name: impl Into<String>, value: f64, limit: f64) -> Self {
        Self::new(name, value, limit, false)
    }

    pub(crate) fn at_least(name: impl Into<String>, value: f64, limit: f64) -> Self {
        Self::new(name, value, limit, true)
    }

    /// Compares the number of failures with zero.
    pub(crate) fn none(name: impl Into<String>, failures: usize) -> Self {
        Self::at_most(name, crate::run::count(failures), 0.0)
    }

    fn new(name: impl Into<String>, value: f64, limit: f64, at_least: bool) -> Self {
        Self {
            name: name.into(),
            value: value.is_finite().then_some(value),
            limit,
            at_least,
        }
    }

    pub(crate) fn met(&self) -> bool {
        let within = |value: f64| {
            if self.at_least {
                value >= self.limit
            } else {
                value <= self.limit
            }
        };
        self.value.is_some_and(within)
    }

    /// Returns the verdict as an item of a list.
    pub(crate) fn line(&self) -> String {
        let met = if self.met() { "met" } else { "**not met**" };
        let bound = if self.at_least { "at least" } else { "at most" };
        let value = self.value.map_or_else(|| "not measured".to_owned(), shown);
        format!(
            "- {met}: {}: {value} ({bound} {})\n",
            self.name,
            shown(self.limit)
        )
    }
}

/// Returns the verdicts as a list.
pub(crate) fn list(verdicts: &[Verdict]) -> String {
    verdicts.iter().map(Verdict::line).collect()
}

fn shown(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_not_measured_meets_no_limit() {
        assert!(Verdict::at_most("p99", 1.5, 1.5).met());
        assert!(!Verdict::at_most("p99", 1.51, 1.5).met());
        assert!(Verdict::at_least("rate", 0.5, 0.5).met());
        assert!(!Verdict::at_least("rate", f64::NAN, 0.5).met());
        assert!(!Verdict::at_most("rate", f64::INFINITY, 0.5).met());
    }

    #[test]
    fn a_line_states_the_value_and_the_limit() {
        let line = Verdict::at_most("refused sales", 3.0, 0.0).line();
        assert_eq!(line, "- **not met**: refused sales: 3 (at most 0)\n");
    }
}
