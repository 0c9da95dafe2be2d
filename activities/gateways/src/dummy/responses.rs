//! Objects, mapped to our types, and their instruments.

use schemas::{
    Instant,
    boleto_line::BoletoLine,
    br_code::{self, BrCode},
    next_action::NextAction,
    payment_method::PaymentMethodKind,
};
use url::Url;

use super::{
    notifications,
    requests::{Object, ObjectStatus},
};
use crate::{GatewayCharge, GatewayPayment, GatewayStatus};

/// Host of the codes. It cannot exist (RFC 2606).
const HOST: &str = "dummy.invalid";

impl Object {
    pub(super) fn to_charge(&self, now: Instant) -> GatewayCharge {
        let status = match self.status {
            ObjectStatus::Pending if now > self.expires_at => GatewayStatus::Expired,
            ObjectStatus::Pending => GatewayStatus::Pending,
            ObjectStatus::Canceled => GatewayStatus::Canceled,
            ObjectStatus::Paid if self.left() == 0 => GatewayStatus::Refunded,
            ObjectStatus::Paid => GatewayStatus::Paid,
        };
        GatewayCharge {
            status,
            next_action: self.instrument().filter(|_| status.is_payable()),
            payments: self.payment().into_iter().collect(),
            refunds: self.refunds.iter().map(|one| self.to_refund(one)).collect(),
            ..GatewayCharge::known(&self.reference, &self.reference, self.amount)
        }
    }

    /// Returns the amount that is not refunded.
    pub(super) fn left(&self) -> i64 {
        self.amount - self.refunds.iter().map(|one| one.amount).sum::<i64>()
    }

    fn payment(&self) -> Option<GatewayPayment> {
        Some(GatewayPayment {
            id: self.payment_id(),
            end_to_end_id: None,
            amount: self.amount,
            method: self.method,
            fee: Some(0),
            net: Some(self.amount),
            installments: (self.method == PaymentMethodKind::Card).then_some(1),
            settles_on: None,
            settled_on: None,
            paid_at: self.paid_at?,
        })
    }

    pub(super) fn payment_id(&self) -> String {
        format!("{}/payment", self.reference)
    }

    fn instrument(&self) -> Option<NextAction> {
        let pay_url = self.notification_url.as_ref().map(|url| {
            let mut url = url.clone();
            url.set_query(Some(&notifications::payment(&self.reference)));
            url
        });
        let expires_at = self.expires_at;
        Some(match self.method {
            PaymentMethodKind::Pix => NextAction::Pix {
                copy_paste: self.code()?,
                qr_code_url: pay_url.map(Into::into),
                expires_at,
            },
            PaymentMethodKind::Boleto => {
                let line = line(self.amount)?;
                NextAction::Boleto {
                    line: line.line(),
                    barcode: line.barcode().to_owned(),
                    pdf_url: pay_url.map(Into::into),
                    copy_paste: None,
                    expires_at,
                }
            }
            PaymentMethodKind::Card => NextAction::Redirect {
                url: pay_url
                    .or_else(|| Url::parse(&format!("https://{HOST}/{}", self.reference)).ok())?
                    .into(),
                expires_at,
            },
        })
    }

    fn code(&self) -> Option<String> {
        let code = BrCode {
            account: br_code::Account::Location(format!("{HOST}/{}", self.reference)),
            amount: Some(self.amount).filter(|amount| *amount <= MAX_CODE_AMOUNT),
            name: "DUMMY".to_owned(),
            city: "SAO PAULO".to_owned(),
            postal_code: None,
            single_use: true,
        };
        code.build().ok()
    }
}

/// Largest amount that a Pix code can hold, in centavos.
const MAX_CODE_AMOUNT: i64 = 999_999_999_999;
/// Largest amount that a boleto's line can hold, in centavos.
const MAX_LINE_AMOUNT: i64 = 9_999_999_999;

/// Returns the line of a bank that does not exist (000), with correct check digits.
fn line(amount: i64) -> Option<BoletoLine> {
    let amount = amount.min(MAX_LINE_AMOUNT);
    let rest = "0".repeat(25);
    (1..=9).find_map(|digit| {
        BoletoLine::from_barcode(&format!("0009{digit}0000{amount:010}{rest}")).ok()
    })
}
