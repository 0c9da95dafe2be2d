//! Asaas's errors in our classes. `GATEWAYS.md` §4.5.

use schemas::attempt::ErrorClass;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// The customer of a payment is not there.
pub(super) const NO_CUSTOMER: &str = "invalid_customer";
/// Nothing is there: often with an empty body, so that the status counts and not a code.
const ABSENT: &str = "http_404";

/// An answer that is no success. Descriptions are Asaas's own texts and repeat no value; a body may also be HTML or empty.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let first = &body["errors"][0];
    let code = first["code"].as_str().filter(|_| answer.status != 404);
    answer.error(effect, code, first["description"].as_str())
}

/// Nothing is there.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    error.code == ABSENT
}

/// Asaas answered, and will not do it: absent, or in another state.
pub(super) fn is_definite(error: &GatewayError) -> bool {
    error.class == ErrorClass::Refused
}

/// Whether it is about the payer's CPF or CNPJ. One code serves many objects: only the text tells which.
pub(super) fn is_of_document(error: &GatewayError) -> bool {
    let names_it = || {
        let text = error.message.to_uppercase();
        text.contains("CPF") || text.contains("CNPJ")
    };
    error.class == ErrorClass::Refused
        && (error.code == "invalid_cpfCnpj" || (error.code == "invalid_object" && names_it()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> GatewayError {
        GatewayError::new(ErrorClass::Refused, code, message)
    }

    #[test]
    fn only_a_refusal_of_the_document_is_about_it() {
        let text = "O CPF/CNPJ informado é inválido.";
        assert!(is_of_document(&refused("invalid_object", text)));
        assert!(is_of_document(&refused("invalid_cpfCnpj", "")));
        assert!(!is_of_document(&refused(
            "invalid_object",
            "O campo callback é inválido."
        )));
        assert!(!is_of_document(&refused("invalid_value", text)));
        let lost = GatewayError::new(ErrorClass::Unknown, "invalid_object", text);
        assert!(!is_of_document(&lost));
    }
}
