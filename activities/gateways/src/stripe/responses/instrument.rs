//! Next actions of the payer in an intent: a Pix code or a boleto's voucher. `docs/gateways/stripe.md#create-a-charge`.

use schemas::{
    boleto_line::BoletoLine, next_action::NextAction, payment_method::PaymentMethodKind,
};
use serde::Deserialize;

use crate::pix_code;
use crate::stripe::responses::payment::{instant, kind};

#[derive(Debug, Deserialize)]
pub(in crate::stripe) struct Action {
    pix_display_qr_code: Option<QrCode>,
    boleto_display_details: Option<Voucher>,
}

#[derive(Debug, Deserialize)]
struct QrCode {
    data: Option<String>,
    expires_at: Option<i64>,
    image_url_png: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Voucher {
    number: Option<String>,
    expires_at: Option<i64>,
    pdf: Option<String>,
    hosted_voucher_url: Option<String>,
}

impl Action {
    /// Returns the next action; `None` for actions of methods that are not ours, and for an instrument that cannot be parsed, because
    /// the charge's status must not depend on its instrument.
    pub(in crate::stripe) fn to_next_action(&self, real_money: bool) -> Option<NextAction> {
        let shown = match (&self.pix_display_qr_code, &self.boleto_display_details) {
            (Some(code), _) => code.read(),
            (None, Some(voucher)) => voucher.read(real_money),
            (None, None) => return None,
        };
        if shown.is_none() {
            tracing::warn!("stripe's intent came with nothing readable to show to the payer");
        }
        shown
    }
}

impl QrCode {
    fn read(&self) -> Option<NextAction> {
        Some(NextAction::Pix {
            copy_paste: pix_code::as_issued("stripe", self.data.as_deref())?,
            qr_code_url: self.image_url_png.clone(),
            expires_at: instant(self.expires_at?)?,
        })
    }
}

impl Voucher {
    fn read(&self, real_money: bool) -> Option<NextAction> {
        let number = self.number.as_deref().unwrap_or_default();
        let (line, barcode) = match BoletoLine::from_line(number) {
            Ok(read) => (read.line(), read.barcode().to_owned()),
            Err(_) if !real_money => sandbox(number)?,
            Err(_) => return None,
        };
        Some(NextAction::Boleto {
            line,
            barcode,
            pdf_url: self.pdf.clone().or_else(|| self.hosted_voucher_url.clone()),
            copy_paste: None,
            expires_at: instant(self.expires_at?)?,
        })
    }
}

/// Returns the line and bar code that the sandbox invents: 47 digits whose check digits are wrong (`0101…010`).
fn sandbox(number: &str) -> Option<(String, String)> {
    let part = |from, to| number.get(from..to);
    if number.len() != 47 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let parts = [
        part(0, 4)?,
        part(32, 47)?,
        part(4, 9)?,
        part(10, 20)?,
        part(21, 31)?,
    ];
    Some((number.to_owned(), parts.concat()))
}

/// Returns the first of the named methods that is ours.
pub(in crate::stripe) fn method(types: &[String]) -> Option<PaymentMethodKind> {
    types.iter().find_map(|theirs| kind(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn boleto(number: &str, real_money: bool) -> Option<NextAction> {
        let action = json!({ "type": "boleto_display_details", "boleto_display_details": {
            "number": number, "expires_at": 1_784_257_199, "pdf": "https://pdf", "novelty": 1 } });
        let action: Action = serde_json::from_value(action).expect("an action");
        action.to_next_action(real_money)
    }

    #[test]
    fn a_boletos_line_gives_its_bar_code() {
        let Some(NextAction::Boleto {
            line,
            barcode,
            pdf_url,
            ..
        }) = boleto("00190500954014481606906809350314337370000000100", true)
        else {
            panic!("a boleto")
        };
        assert_eq!(line, "00190500954014481606906809350314337370000000100");
        assert_eq!(barcode, "00193373700000001000500940144816060680935031");
        assert_eq!(pdf_url.as_deref(), Some("https://pdf"));
    }

    #[test]
    fn the_sandboxs_line_is_shown_there_and_not_where_money_moves() {
        let made_up = "01010101010101010101010101010101010101010101010";
        assert!(matches!(
            boleto(made_up, false),
            Some(NextAction::Boleto { line, barcode, .. }) if line == made_up && barcode.len() == 44
        ));
        assert_eq!(boleto(made_up, true), None);
        assert_eq!(boleto("123", false), None);
    }

    #[test]
    fn a_pix_code_is_shown_as_issued() {
        let action = json!({ "pix_display_qr_code": { "data": "not readable", "expires_at": 1_784_257_199 } });
        let action: Action = serde_json::from_value(action).expect("an action");
        assert!(matches!(
            action.to_next_action(true),
            Some(NextAction::Pix { copy_paste, .. }) if copy_paste == "not readable"
        ));
    }

    #[test]
    fn an_action_that_is_not_ours_shows_nothing() {
        let action: Action =
            serde_json::from_value(json!({ "type": "redirect_to_url" })).expect("an action");
        assert_eq!(action.to_next_action(true), None);
    }
}
