//! Reading and validation of payment requests, field by field. The first invalid field is reported.

use chrono::{Months, NaiveDate};
use serde_json::{Map, Value};

use super::{
    answer::{Refusal, centavos, text},
    payment::{Asked, Billing},
    terms::Terms,
};

const MAX_DESCRIPTION: usize = 500;
const MAX_CARD_INSTALLMENTS: i64 = 21;
const MAX_INSTALLMENTS: i64 = 60;

/// Request for one payment, or for a plan of several.
pub(super) struct Order {
    pub customer: String,
    /// Payments in the order of their due dates.
    pub asked: Vec<Asked>,
    pub is_plan: bool,
}

type Fields = Map<String, Value>;

/// Reads a creation request. `knows` returns true if a customer exists.
pub(super) fn read(
    sent: &Fields,
    today: NaiveDate,
    knows: impl Fn(&str) -> bool,
) -> Result<Order, Refusal> {
    let customer = text(sent, "customer").filter(|customer| knows(customer));
    let customer = customer.ok_or(Refusal::of(
        "invalid_customer",
        "Customer inválido ou não informado.",
    ))?;
    let billing = billing(sent)?.ok_or(Refusal::of(
        "invalid_billingType",
        "O campo billingType deve ser informado.",
    ))?;
    let count = installments(sent, billing)?;
    let amounts = amounts(sent, count)?;
    let due = due(sent, today)?.ok_or(Refusal::of(
        "invalid_dueDate",
        "O campo dueDate deve ser informado.",
    ))?;
    let mut asked = Vec::new();
    for (n, amount) in (0..).zip(&amounts) {
        let mut one = Asked {
            billing,
            amount: *amount,
            due: due.checked_add_months(Months::new(n)).unwrap_or(due),
            description: None,
            reference: None,
            terms: Terms::default(),
            slip_days: None,
        };
        rest(&mut one, sent)?;
        if count.is_some() {
            let part = format!("Parcela {} de {}.", n + 1, amounts.len());
            let description = one.description.take();
            one.description =
                Some(description.map_or_else(|| part.clone(), |text| format!("{part} {text}")));
        }
        asked.push(one);
    }
    Ok(Order {
        customer,
        asked,
        is_plan: count.is_some(),
    })
}

/// Applies a change request. Fields that it does not name remain.
pub(super) fn change(asked: &mut Asked, sent: &Fields, today: NaiveDate) -> Result<(), Refusal> {
    if let Some(billing) = billing(sent)? {
        asked.billing = billing;
    }
    if sent.contains_key("value") {
        asked.amount = amount(sent, "value")?;
    }
    if let Some(due) = due(sent, today)? {
        asked.due = due;
    }
    rest(asked, sent)
}

fn billing(sent: &Fields) -> Result<Option<Billing>, Refusal> {
    let wrong = Refusal::of("invalid_billingType", "O campo billingType é inválido.");
    match sent.get("billingType") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => Billing::read(word).map(Some).ok_or(wrong),
        Some(_) => Err(wrong),
    }
}

fn amount(sent: &Fields, name: &str) -> Result<i64, Refusal> {
    let value = sent.get(name).filter(|value| !value.is_null());
    let value = value.ok_or(Refusal::of(
        "invalid_value",
        "O campo value deve ser informado.",
    ))?;
    centavos(value)
        .filter(|amount| *amount > 0)
        .ok_or(Refusal::of(
            "invalid_value",
            "O valor informado é inválido.",
        ))
}

fn installments(sent: &Fields, billing: Billing) -> Result<Option<i64>, Refusal> {
    let most = if billing == Billing::CreditCard {
        MAX_CARD_INSTALLMENTS
    } else {
        MAX_INSTALLMENTS
    };
    match sent
        .get("installmentCount")
        .filter(|count| !count.is_null())
    {
        None => Ok(None),
        Some(count) => match count.as_i64().filter(|count| (1..=most).contains(count)) {
            // a plan of one installment is an ordinary payment
            Some(1) => Ok(None),
            Some(count) => Ok(Some(count)),
            None => Err(Refusal::of(
                "invalid_installmentCount",
                "O número de parcelas informado é inválido.",
            )),
        },
    }
}

/// Returns the amount of the payment or of each installment in centavos. The last installment gets the remainder.
fn amounts(sent: &Fields, count: Option<i64>) -> Result<Vec<i64>, Refusal> {
    let total = |name| sent.contains_key(name).then_some(name);
    let Some(count) = count else {
        let name = total("value").or(total("totalValue")).unwrap_or("value");
        return Ok(vec![amount(sent, name)?]);
    };
    if let Some(name) = total("installmentValue") {
        let each = amount(sent, name)?;
        return Ok((0..count).map(|_| each).collect());
    }
    let total = amount(sent, "totalValue")?;
    let each = total / count;
    if each == 0 {
        return Err(Refusal::of(
            "invalid_value",
            "O valor informado é inválido.",
        ));
    }
    let last = total - each * (count - 1);
    Ok((1..count).map(|_| each).chain([last]).collect())
}

fn due(sent: &Fields, today: NaiveDate) -> Result<Option<NaiveDate>, Refusal> {
    let Some(text) = sent.get("dueDate").filter(|due| !due.is_null()) else {
        return Ok(None);
    };
    let due = text.as_str().and_then(|text| text.parse().ok());
    let due: NaiveDate = due.ok_or(Refusal::of(
        "invalid_dueDate",
        "A data de vencimento informada é inválida.",
    ))?;
    if due < today {
        return Err(Refusal::of(
            "invalid_dueDate",
            "Não é permitido data de vencimento inferior a hoje.",
        ));
    }
    Ok(Some(due))
}

/// Reads the optional fields.
fn rest(asked: &mut Asked, sent: &Fields) -> Result<(), Refusal> {
    if sent.contains_key("description") {
        asked.description = text(sent, "description");
    }
    if sent.contains_key("externalReference") {
        asked.reference = text(sent, "externalReference");
    }
    let length = asked.description.as_ref().map(|text| text.chars().count());
    if length.is_some_and(|length| length > MAX_DESCRIPTION) {
        return Err(Refusal::of(
            "invalid_description",
            "A descrição deve ter no máximo 500 caracteres.",
        ));
    }
    asked.terms.change(sent, asked.amount)?;
    let days = "daysAfterDueDateToRegistrationCancellation";
    if let Some(days) = sent.get(days).filter(|days| !days.is_null()) {
        let days = days.as_i64().filter(|days| *days >= 0);
        asked.slip_days = Some(days.ok_or(Refusal::of(
            "invalid_daysAfterDueDateToRegistrationCancellation",
            "O número de dias para cancelamento do registro é inválido.",
        ))?);
    }
    callback(sent)
}

/// Validates the URL to which the payer is redirected after payment.
fn callback(sent: &Fields) -> Result<(), Refusal> {
    let Some(callback) = sent.get("callback").filter(|callback| !callback.is_null()) else {
        return Ok(());
    };
    let success = callback["successUrl"].as_str();
    if success.is_some_and(super::is_url) {
        return Ok(());
    }
    Err(Refusal::of(
        "invalid_callback",
        "A URL de callback informada é inválida.",
    ))
}
