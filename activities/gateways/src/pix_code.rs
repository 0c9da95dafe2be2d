//! Text of a Pix code, shown as the gateway issued it.

use schemas::br_code::BrCode;

/// Returns the code as issued; `None` if there is none. A code that our parser rejects may still be payable: the payer's bank decides,
/// and refusing the code would lose the sale.
pub(crate) fn as_issued(gateway: &'static str, code: Option<&str>) -> Option<String> {
    let code = code.filter(|code| !code.trim().is_empty())?;
    if let Err(why) = BrCode::parse(code) {
        tracing::warn!(gateway, %why, "a pix code is not readable, and shown as issued");
        metrics::counter!("unreadable_pix_codes_total", "gateway" => gateway).increment(1);
    }
    Some(code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_as_issued_whatever_we_think_of_it() {
        for code in ["00020101021226", "não é um código"] {
            assert_eq!(as_issued("efi", Some(code)).as_deref(), Some(code));
        }
        for none in [None, Some(""), Some(" ")] {
            assert_eq!(as_issued("efi", none), None);
        }
    }
}
