//! Reading and validation of a client's requests, field by field.

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::{
    boleto,
    charge::{Terms, day},
    error::{ApiError, TOO_SMALL},
};
use crate::{
    document::{is_cnpj, is_cpf},
    sim::Sim,
};

const MAX_TEXT: usize = 255;
const MAX_ITEMS: usize = 100;
const MAX_LINES: usize = 4;
const MAX_LINE: usize = 100;
const MAX_LINK_MESSAGE: usize = 80;
const MAX_DAYS_TO_WRITE_OFF: i64 = 120;
const STATES: [&str; 27] = [
    "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA", "PB", "PE",
    "PI", "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO",
];

/// Items and metadata of a charge, independent of its payment method.
#[derive(Clone)]
pub(crate) struct Order {
    pub items: Value,
    pub total: i64,
    pub custom_id: Option<String>,
    pub notification_url: Option<String>,
}

/// Request for a boleto.
pub(super) struct BilletOrder {
    pub customer: Value,
    pub due: NaiveDate,
    pub terms: Terms,
    pub message: Option<String>,
}

/// Request for a payment link.
pub(super) struct LinkOrder {
    pub method: &'static str,
    pub due: NaiveDate,
    pub message: Option<String>,
    pub delivery: bool,
}

/// Returns a text of at most `most` characters. `path` is the field's path with slashes, as in errors.
fn text<'a>(value: &'a Value, path: &str, most: usize) -> Result<&'a str, ApiError> {
    let Some(text) = value.as_str() else {
        return Err(ApiError::kind(&steps(path), "string", value));
    };
    let length = text.chars().count();
    if (1..=most).contains(&length) {
        Ok(text)
    } else {
        Err(ApiError::property(
            path,
            &format!("deve ter de 1 a {most} caracteres"),
        ))
    }
}

fn optional_text(value: &Value, path: &str, most: usize) -> Result<Option<String>, ApiError> {
    match value {
        Value::Null => Ok(None),
        value => text(value, path, most).map(|text| Some(text.to_owned())),
    }
}

fn integer(value: &Value, path: &str, least: i64) -> Result<i64, ApiError> {
    let Some(number) = value.as_i64() else {
        return Err(ApiError::kind(&steps(path), "number", value));
    };
    if number >= least {
        Ok(number)
    } else {
        Err(ApiError::property(
            path,
            &format!("deve ser no mínimo {least}"),
        ))
    }
}

/// Converts `/items/0/value` to `["items", 0, "value"]`.
fn steps(path: &str) -> Vec<Value> {
    let steps = path.split('/').filter(|step| !step.is_empty());
    steps
        .map(|step| {
            step.parse::<u64>()
                .map_or_else(|_| step.into(), Value::from)
        })
        .collect()
}

impl Order {
    pub(super) fn read(body: &Value) -> Result<Self, ApiError> {
        let items = &body["items"];
        let Some(all) = items.as_array() else {
            return Err(ApiError::kind(&["items".into()], "array", items));
        };
        if !(1..=MAX_ITEMS).contains(&all.len()) {
            let message = format!("deve ter de 1 a {MAX_ITEMS} itens");
            return Err(ApiError::property("/items", &message));
        }
        let (mut total, mut read) = (0_i64, Vec::new());
        for (at, item) in all.iter().enumerate() {
            let path = |name: &str| format!("/items/{at}/{name}");
            let name = text(&item["name"], &path("name"), MAX_TEXT)?;
            let value = integer(&item["value"], &path("value"), 1)?;
            let amount = match item.get("amount") {
                None => 1,
                Some(amount) => integer(amount, &path("amount"), 1)?,
            };
            total = total.saturating_add(value.saturating_mul(amount));
            read.push(json!({ "name": name, "value": value, "amount": amount }));
        }
        if total > boleto::MAX_AMOUNT {
            return Err(ApiError::property("/items", "o valor total é alto demais"));
        }
        let (custom_id, notification_url) = metadata(&body["metadata"], "/metadata")?;
        Ok(Self {
            items: read.into(),
            total,
            custom_id,
            notification_url,
        })
    }
}

/// Reads `custom_id` and `notification_url`.
pub(super) fn metadata(
    metadata: &Value,
    path: &str,
) -> Result<(Option<String>, Option<String>), ApiError> {
    let at = |name: &str| format!("{path}/{name}");
    let id = optional_text(&metadata["custom_id"], &at("custom_id"), MAX_TEXT)?;
    let url = optional_text(
        &metadata["notification_url"],
        &at("notification_url"),
        MAX_TEXT,
    )?;
    let is_url = |text: &String| text.starts_with("http") && text.parse::<url::Url>().is_ok();
    if url.as_ref().is_some_and(|url| !is_url(url)) {
        return Err(ApiError::property(
            &at("notification_url"),
            "deve ser uma URL",
        ));
    }
    Ok((id, url))
}

/// Reads a date that is not in the past.
pub(super) fn date(sim: &Sim, value: &Value, path: &str) -> Result<NaiveDate, ApiError> {
    let parsed = text(value, path, MAX_TEXT)?.parse::<NaiveDate>();
    let date = parsed.map_err(|_| ApiError::property(path, "deve ser uma data AAAA-MM-DD"))?;
    if date < day(sim.now()) {
        let message = "deve ser maior ou igual à data atual";
        return Err(ApiError::property(path, message));
    }
    Ok(date)
}

impl BilletOrder {
    pub(super) fn read(
        sim: &Sim,
        payment: &Value,
        (total, minimum): (i64, i64),
    ) -> Result<Self, ApiError> {
        let path = "/payment/banking_billet";
        let billet = &payment["banking_billet"];
        if !billet.is_object() {
            return Err(ApiError::property(path, "é obrigatório"));
        }
        if total < minimum {
            let message =
                format!("valor da emissão {total} é inferior ao limite mínimo ({minimum})");
            return Err(ApiError::limit(TOO_SMALL, &message));
        }
        customer(&billet["customer"])?;
        let due = date(sim, &billet["expire_at"], &format!("{path}/expire_at"))?;
        let terms = terms(&billet["configurations"])?;
        let most = MAX_LINES * (MAX_LINE + 1);
        let message = optional_text(&billet["message"], &format!("{path}/message"), most)?;
        let fits = |text: &String| {
            text.lines().count() <= MAX_LINES
                && text.lines().all(|line| line.chars().count() <= MAX_LINE)
        };
        if message.as_ref().is_some_and(|text| !fits(text)) {
            let why = format!("deve ter até {MAX_LINES} linhas de {MAX_LINE} caracteres");
            return Err(ApiError::property(&format!("{path}/message"), &why));
        }
        Ok(Self {
            customer: billet["customer"].clone(),
            due,
            terms,
            message,
        })
    }
}

fn terms(configurations: &Value) -> Result<Terms, ApiError> {
    let path = "/payment/banking_billet/configurations";
    let field = |name: &str| configurations.get(name).filter(|value| !value.is_null());
    let mut terms = Terms::default();
    if let Some(fine) = field("fine") {
        terms.fine = integer(fine, &format!("{path}/fine"), 0)?;
    }
    if let Some(interest) = field("interest") {
        let path = format!("{path}/interest");
        let value = if interest.is_object() {
            terms.monthly = match interest["type"].as_str() {
                Some("monthly") => true,
                Some("daily") => false,
                _ => {
                    return Err(ApiError::property(
                        &format!("{path}/type"),
                        "deve ser monthly ou daily",
                    ));
                }
            };
            &interest["value"]
        } else {
            interest
        };
        terms.interest = integer(value, &path, 0)?;
    }
    if let Some(days) = field("days_to_write_off") {
        let path = format!("{path}/days_to_write_off");
        let days = integer(days, &path, 0)?;
        if days > MAX_DAYS_TO_WRITE_OFF {
            let message = format!("deve ser no máximo {MAX_DAYS_TO_WRITE_OFF}");
            return Err(ApiError::property(&path, &message));
        }
        terms.days_to_write_off = u64::try_from(days).unwrap_or_default();
    }
    Ok(terms)
}

/// Validates a customer: a person or a company.
fn customer(customer: &Value) -> Result<(), ApiError> {
    let path = |name: &str| format!("/payment/banking_billet/customer/{name}");
    if !customer.is_object() {
        return Err(ApiError::property(
            "/payment/banking_billet/customer",
            "é obrigatório",
        ));
    }
    let company = &customer["juridical_person"];
    if company.is_object() {
        text(
            &company["corporate_name"],
            &path("juridical_person/corporate_name"),
            MAX_TEXT,
        )?;
        let at = path("juridical_person/cnpj");
        if !is_cnpj(text(&company["cnpj"], &at, MAX_TEXT)?) {
            return Err(ApiError::property(&at, "CNPJ inválido"));
        }
    } else {
        // `^[ ]*(.+[ ]+)+.+[ ]*$`: at least a first and a last name
        let name = text(&customer["name"], &path("name"), MAX_TEXT)?;
        if name.split(' ').filter(|word| !word.is_empty()).count() < 2 {
            return Err(ApiError::property(
                &path("name"),
                "deve ter nome e sobrenome",
            ));
        }
        if !is_cpf(text(&customer["cpf"], &path("cpf"), MAX_TEXT)?) {
            return Err(ApiError::property(&path("cpf"), "CPF inválido"));
        }
    }
    let email = optional_text(&customer["email"], &path("email"), MAX_TEXT)?;
    if email.is_some_and(|email| !is_email(&email)) {
        return Err(ApiError::property(&path("email"), "e-mail inválido"));
    }
    let phone = optional_text(&customer["phone_number"], &path("phone_number"), MAX_TEXT)?;
    if phone.is_some_and(|phone| !is_phone(&phone)) {
        return Err(ApiError::property(
            &path("phone_number"),
            "telefone inválido",
        ));
    }
    address(&customer["address"])
}

fn address(address: &Value) -> Result<(), ApiError> {
    if address.is_null() {
        return Ok(());
    }
    let path = |name: &str| format!("/payment/banking_billet/customer/address/{name}");
    for name in ["street", "number", "neighborhood", "city"] {
        text(&address[name], &path(name), MAX_TEXT)?;
    }
    if !STATES.contains(&text(&address["state"], &path("state"), MAX_TEXT)?) {
        return Err(ApiError::property(&path("state"), "deve ser uma UF"));
    }
    if !is_digits(text(&address["zipcode"], &path("zipcode"), MAX_TEXT)?, &[8]) {
        return Err(ApiError::property(&path("zipcode"), "deve ter 8 dígitos"));
    }
    Ok(())
}

/// Returns true for `^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$`.
fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else {
        return false;
    };
    let of = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let end = host.rsplit_once('.').filter(|(labels, _)| of(labels, ".-"));
    let ends = end.is_some_and(|(_, end)| {
        end.len() >= 2 && end.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    of(name, "._%+-") && ends
}

/// Returns true for `^[1-9]{2}9?[0-9]{8}$`.
fn is_phone(text: &str) -> bool {
    let area = text.bytes().take(2).all(|byte| byte != b'0');
    let nine = text.len() == 10 || text.as_bytes().get(2) == Some(&b'9');
    is_digits(text, &[10, 11]) && area && nine
}

fn is_digits(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl LinkOrder {
    pub(super) fn read(
        sim: &Sim,
        settings: &Value,
        (total, minimum): (i64, i64),
    ) -> Result<Self, ApiError> {
        let method = match text(
            &settings["payment_method"],
            "/settings/payment_method",
            MAX_TEXT,
        )? {
            "credit_card" => "credit_card",
            "banking_billet" => "banking_billet",
            "all" => "all",
            _ => {
                let message = "deve ser banking_billet, credit_card ou all";
                return Err(ApiError::property("/settings/payment_method", message));
            }
        };
        if method == "banking_billet" && total < minimum {
            let message =
                format!("valor da emissão {total} é inferior ao limite mínimo ({minimum})");
            return Err(ApiError::limit(TOO_SMALL, &message));
        }
        let delivery = &settings["request_delivery_address"];
        let Some(delivery) = delivery.as_bool() else {
            let path = steps("/settings/request_delivery_address");
            return Err(ApiError::kind(&path, "boolean", delivery));
        };
        Ok(Self {
            method,
            due: date(sim, &settings["expire_at"], "/settings/expire_at")?,
            message: optional_text(&settings["message"], "/settings/message", MAX_LINK_MESSAGE)?,
            delivery,
        })
    }
}
