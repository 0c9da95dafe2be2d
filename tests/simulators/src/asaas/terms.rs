//! Discount, fine and interest.

use serde_json::{Map, Value, json};

use super::answer::{Refusal, centavos, reais, text};

/// 100 % in hundredths of a percent.
const WHOLE: i64 = 10_000;

/// Terms of a payment as responses return them.
#[derive(Clone)]
pub(super) struct Terms {
    pub discount: Value,
    pub fine: Value,
    pub interest: Value,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            discount: json!({ "value": 0, "limitDate": null, "dueDateLimitDays": 0, "type": "FIXED" }),
            fine: json!({ "value": 0, "type": "FIXED" }),
            interest: json!({ "value": 0, "type": "PERCENTAGE" }),
        }
    }
}

impl Terms {
    /// Replaces the terms that the request names. `amount` limits a discount.
    pub(super) fn change(&mut self, sent: &Map<String, Value>, amount: i64) -> Result<(), Refusal> {
        if let Some(discount) = object(sent, "discount") {
            let wrong = || Refusal::of("invalid_discount", "O desconto informado é inválido.");
            let (value, kind) = value_of(discount, "FIXED").ok_or_else(wrong)?;
            let most = if kind == "FIXED" { amount } else { WHOLE };
            if value >= most {
                return Err(wrong());
            }
            let days = discount.get("dueDateLimitDays");
            let days = days.filter(|days| !days.is_null()).cloned();
            self.discount = json!({
                "value": reais(value), "limitDate": null, "dueDateLimitDays": days.unwrap_or(json!(0)), "type": kind,
            });
        }
        if let Some(fine) = object(sent, "fine") {
            let wrong = || Refusal::of("invalid_fine", "A multa informada é inválida.");
            let (value, kind) = value_of(fine, "PERCENTAGE").ok_or_else(wrong)?;
            self.fine = json!({ "value": reais(value), "type": kind });
        }
        if let Some(interest) = object(sent, "interest") {
            let wrong = || Refusal::of("invalid_interest", "Os juros informados são inválidos.");
            let (value, _) = value_of(interest, "PERCENTAGE").ok_or_else(wrong)?;
            self.interest = json!({ "value": reais(value), "type": "PERCENTAGE" });
        }
        Ok(())
    }
}

fn object<'a>(sent: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    sent.get(name).and_then(Value::as_object)
}

/// Returns the value in hundredths and its type.
fn value_of(term: &Map<String, Value>, default: &str) -> Option<(i64, String)> {
    let value = centavos(term.get("value")?).filter(|value| *value >= 0)?;
    let kind = text(term, "type").unwrap_or_else(|| default.to_owned());
    matches!(kind.as_str(), "FIXED" | "PERCENTAGE").then_some((value, kind))
}
