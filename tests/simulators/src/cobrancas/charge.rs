//! Charge: a boleto, a link, or one without a payment method yet.

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc, Weekday};
use chrono_tz::America::Sao_Paulo;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{boleto, order::Order};
use crate::qr_code;

/// 100 % in hundredths of a percent (fine), and in thousandths (interest).
const FINE_WHOLE: i64 = 10_000;
const INTEREST_WHOLE: i64 = 100_000;
const DAYS_A_MONTH: i64 = 30;

#[derive(Clone)]
pub(crate) struct Charge {
    pub account: String,
    pub id: u64,
    pub order: Order,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub way: Way,
    /// All status changes, oldest first.
    pub changes: Vec<Change>,
    pub paid: Option<Paid>,
    pub refunded: i64,
    /// Token under which the history is fetched.
    pub token: String,
    /// Stops the posts of the token after the history was fetched.
    pub received: CancellationToken,
    pub service_us: u64,
}

/// Payment method of a charge.
#[derive(Clone)]
pub(crate) enum Way {
    None,
    Billet(Billet),
    Link(Link),
}

#[derive(Clone)]
pub(crate) struct Billet {
    pub customer: Value,
    pub due: NaiveDate,
    pub terms: Terms,
    pub message: Option<String>,
    /// The bank's own 25 digits of the barcode.
    pub free: String,
    /// Token in the boleto's URLs.
    pub token: String,
    /// Pix code of a boleto with Pix ("bolix").
    pub pix: Option<String>,
    /// True if the last payable day moves to a business day.
    pub kind_write_off: bool,
}

/// Fine and interest of a late payment, and the time in which it is possible.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// Fine in hundredths of a percent.
    pub fine: i64,
    /// Interest in thousandths of a percent.
    pub interest: i64,
    pub monthly: bool,
    pub days_to_write_off: u64,
}

#[derive(Clone)]
pub(crate) struct Link {
    pub method: &'static str,
    pub due: NaiveDate,
    pub message: Option<String>,
    pub delivery: bool,
    pub token: String,
}

#[derive(Clone)]
pub(crate) struct Change {
    pub current: &'static str,
    pub previous: Option<&'static str>,
    pub at: DateTime<Utc>,
    /// Amount paid in centavos.
    pub value: Option<i64>,
}

#[derive(Clone)]
pub(crate) struct Paid {
    pub at: DateTime<Utc>,
    pub amount: i64,
    /// `banking_billet` or `credit_card`.
    pub method: &'static str,
}

/// Formats a time as this API does: local time in São Paulo without a time zone.
pub(crate) fn local(at: DateTime<Utc>) -> String {
    let at = at.with_timezone(&Sao_Paulo);
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

pub(crate) fn day(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&Sao_Paulo).date_naive()
}

/// Returns the day, or the Monday after a weekend.
pub(crate) fn next_business_day(day: NaiveDate) -> NaiveDate {
    let to_monday = match day.weekday() {
        Weekday::Sat => 2,
        Weekday::Sun => 1,
        _ => 0,
    };
    day + Days::new(to_monday)
}

impl Billet {
    pub(crate) fn barcode(&self, total: i64) -> String {
        boleto::barcode(self.due, total, &self.free)
    }

    /// Returns the last payable day: the number of days after the due date, business days or not, after which Efí writes the boleto off.
    fn last_day(&self) -> NaiveDate {
        let more = Days::new(self.terms.days_to_write_off);
        if self.kind_write_off {
            next_business_day(self.due) + more
        } else {
            self.due + more
        }
    }

    /// Returns true if both boletos have the same due date and payer.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.due == other.due && self.document() == other.document()
    }

    /// Returns the payer's CPF or CNPJ.
    pub(crate) fn document(&self) -> Option<&str> {
        let company = &self.customer["juridical_person"]["cnpj"];
        self.customer["cpf"].as_str().or(company.as_str())
    }

    /// Returns the amount due on a day in centavos. Fractions of a centavo are dropped.
    fn amount_due(&self, total: i64, on: NaiveDate) -> i64 {
        if on <= next_business_day(self.due) {
            return total;
        }
        let days = (on - self.due).num_days();
        let fine = total.saturating_mul(self.terms.fine) / FINE_WHOLE;
        let per = if self.terms.monthly {
            INTEREST_WHOLE * DAYS_A_MONTH
        } else {
            INTEREST_WHOLE
        };
        let interest = total
            .saturating_mul(self.terms.interest)
            .saturating_mul(days)
            / per;
        total + fine + interest
    }
}

impl Charge {
    pub(crate) fn become_status(&mut self, status: &'static str, at: DateTime<Utc>) {
        let previous = (!self.changes.is_empty()).then_some(self.status);
        self.changes.push(Change {
            current: status,
            previous,
            at,
            value: (status == "paid")
                .then(|| self.paid.as_ref().map(|paid| paid.amount))
                .flatten(),
        });
        self.status = status;
    }

    /// Returns the day after which the charge becomes `unpaid` or `expired`.
    pub(crate) fn due(&self) -> Option<NaiveDate> {
        match &self.way {
            Way::None => None,
            Way::Billet(billet) => Some(next_business_day(billet.due)),
            Way::Link(link) => Some(link.due),
        }
    }

    pub(crate) fn is_payable(&self, now: DateTime<Utc>) -> bool {
        match &self.way {
            Way::None => false,
            Way::Billet(billet) => {
                matches!(self.status, "waiting" | "unpaid") && day(now) <= billet.last_day()
            }
            Way::Link(link) => self.status == "link" && day(now) <= link.due,
        }
    }

    pub(crate) fn amount_due(&self, now: DateTime<Utc>) -> i64 {
        match &self.way {
            Way::Billet(billet) => billet.amount_due(self.order.total, day(now)),
            _ => self.order.total,
        }
    }

    /// Returns `banking_billet`, `credit_card`, or `all`.
    pub(crate) fn method(&self) -> Option<&'static str> {
        match (&self.paid, &self.way) {
            (Some(paid), _) => Some(paid.method),
            (None, Way::None) => None,
            (None, Way::Billet(_)) => Some("banking_billet"),
            (None, Way::Link(link)) => Some(link.method),
        }
    }

    /// Returns the JSON of the creation response.
    pub(crate) fn made(&self) -> Value {
        let mut data =
            json!({ "charge_id": self.id, "status": self.status, "total": self.order.total });
        match &self.way {
            Way::None => {
                data["custom_id"] = self.order.custom_id.clone().into();
                data["created_at"] = local(self.created_at).into();
            }
            Way::Billet(billet) => {
                extend(&mut data, self.billet_json(billet));
                data["payment"] = "banking_billet".into();
            }
            Way::Link(link) => {
                data["custom_id"] = self.order.custom_id.clone().into();
                extend(&mut data, link.json());
                data["created_at"] = local(self.created_at).into();
            }
        }
        data
    }

    fn billet_json(&self, billet: &Billet) -> Value {
        let token = &billet.token;
        let mut json = json!({
            "barcode": boleto::line(&billet.barcode(self.order.total)),
            "link": format!("https://visualizacao.gerencianet.com.br/emissao/{token}"),
            "billet_link": format!("https://visualizacao.gerencianet.com.br/emissao/{token}/boleto"),
            "pdf": { "charge": format!("https://download.gerencianet.com.br/{token}.pdf") },
            "expire_at": billet.due.to_string(),
        });
        let picture = billet.pix.as_deref().map(|code| (code, qr_code::svg(code)));
        if let Some((code, Ok(picture))) = picture {
            json["pix"] = json!({ "qrcode": code, "qrcode_image": picture });
        }
        json
    }

    /// Returns the JSON of the read response.
    pub(crate) fn json(&self) -> Value {
        let history = self.changes.iter().map(
            |change| json!({ "message": message(change.current), "created_at": local(change.at) }),
        );
        let mut json = json!({
            "charge_id": self.id, "total": self.order.total, "status": self.status,
            "custom_id": self.order.custom_id, "created_at": local(self.created_at),
            "notification_url": self.order.notification_url, "items": self.order.items,
            "history": history.collect::<Vec<_>>(),
        });
        match &self.way {
            Way::None => {}
            Way::Billet(billet) => {
                json["customer"] = billet.customer.clone();
                json["payment"] = json!({
                    "method": "banking_billet", "created_at": local(self.created_at), "message": billet.message,
                    "banking_billet": self.billet_json(billet),
                });
            }
            Way::Link(link) => json["link"] = link.json(),
        }
        if let (Some(paid), Way::Link(_)) = (&self.paid, &self.way) {
            json["payment"] = json!({ "method": paid.method, "created_at": local(paid.at) });
        }
        json
    }

    /// Returns the JSON of the charge in a list.
    pub(crate) fn listed(&self) -> Value {
        let customer = match &self.way {
            Way::Billet(billet) => billet.customer.clone(),
            _ => Value::Null,
        };
        let paid = self.paid.as_ref();
        json!({
            "id": self.id, "total": self.order.total, "status": self.status, "custom_id": self.order.custom_id,
            "created_at": local(self.created_at), "customer": customer,
            "payment": {
                "payment_method": self.method(),
                "paid_at": paid.map(|paid| local(paid.at)),
                "paid_value": paid.map(|paid| paid.amount),
                "received_by_bank_at": paid.map(|paid| day(paid.at).to_string()),
            },
        })
    }

    /// Returns the whole history that the token gives access to.
    pub(crate) fn reported(&self) -> Vec<Value> {
        let entry = |(at, change): (usize, &Change)| {
            let mut json = json!({
                "id": at + 1, "type": "charge", "custom_id": self.order.custom_id,
                "status": { "current": change.current, "previous": change.previous },
                "identifiers": { "charge_id": self.id }, "created_at": local(change.at),
            });
            if let Some(value) = change.value {
                json["value"] = value.into();
                json["received_by_bank_at"] = day(change.at).to_string().into();
            }
            json
        };
        self.changes.iter().enumerate().map(entry).collect()
    }
}

impl Link {
    fn json(&self) -> Value {
        json!({
            "payment_url": format!("https://pagamento.gerencianet.com.br/{}", self.token),
            "payment_method": self.method, "conditional_discount_value": null, "conditional_discount_type": null,
            "conditional_discount_date": null, "request_delivery_address": self.delivery, "message": self.message,
            "expire_at": self.due.to_string(),
        })
    }
}

fn extend(json: &mut Value, more: Value) {
    if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
    }
}

fn message(status: &str) -> &'static str {
    match status {
        "new" => "Cobrança criada",
        "waiting" => "Cobrança aguardando pagamento",
        "link" => "Link de pagamento criado",
        "identified" => "Pagamento identificado",
        "approved" => "Pagamento aprovado",
        "paid" => "Pagamento confirmado",
        "unpaid" => "Não foi possível confirmar o pagamento",
        "refunded" => "Pagamento devolvido",
        "contested" => "Pagamento contestado",
        "canceled" => "Cobrança cancelada",
        "settled" => "Cobrança confirmada manualmente",
        "expired" => "Link de pagamento expirado",
        _ => "Cobrança alterada",
    }
}
