//! Efí's two families of errors (its own and BACEN's), in our classes. `GATEWAYS.md` §2.5.

use schemas::attempt::ErrorClass;
use serde_json::Value;

use crate::{
    ChargeOrder, GatewayError,
    http::{Answer, Effect},
};

/// The charge, or the return, exists already under our own id.
const TAKEN: [&str; 2] = ["txid_duplicado", "devolucao_id_duplicado"];

/// An answer that is no success. Decided by the name where there is one, since Efí documents some absences as 400.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let (code, message) = words(&body);
    let generic = answer.error(effect, code.as_deref(), message.as_deref());
    let class = match (answer.status, code.as_deref()) {
        // what we are configured with, not what was asked
        (400, Some("chave_invalida")) | (_, Some("AcessoNegado")) => ErrorClass::Denied,
        (409, Some(name)) if TAKEN.contains(&name) => ErrorClass::Unknown,
        _ => generic.class,
    };
    GatewayError { class, ..generic }
}

/// The API Pix: Efí's `nome` and `mensagem`, or BACEN's `type` (its last part) and `title`. The API Cobranças: `error` and
/// `error_description`, or `title` and `extras`. OAuth: `error` too. None of them repeats the payer.
fn words(body: &Value) -> (Option<String>, Option<String>) {
    let text = |field: &str| body[field].as_str().map(ToOwned::to_owned);
    if let Some(name) = text("nome").or_else(|| text("error")) {
        let message = text("mensagem").or_else(|| described(&body["error_description"]));
        return (Some(name), message);
    }
    let kind = text("type").and_then(|kind| kind.rsplit('/').next().map(ToOwned::to_owned));
    let message = match body["extras"][0]["path"].as_array() {
        Some(path) => {
            let parts: Vec<_> = path.iter().map(plain).collect();
            Some(format!(
                "{}: {}",
                parts.join("."),
                plain(&body["extras"][0]["message"])
            ))
        }
        None => text("title").map(|title| with_property(&title, body)),
    };
    (kind, message)
}

/// BACEN's title with the field that is wrong, and never its value.
fn with_property(title: &str, body: &Value) -> String {
    match body["violacoes"][0]["propriedade"].as_str() {
        Some(property) => format!("{title} ({property})"),
        None => title.to_owned(),
    }
}

/// The failure to create a charge. A CNPJ with letters may be unknown here alone.
pub(super) fn of_order(error: GatewayError, order: &ChargeOrder) -> GatewayError {
    let words = error.message.to_lowercase();
    if words.contains("cnpj") || words.contains("devedor") {
        error.about_document(&order.payer.document)
    } else {
        error
    }
}

/// Text, or what is wrong with which property.
fn described(description: &Value) -> Option<String> {
    match description {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => Some(format!(
            "{}: {}",
            plain(&description["property"]),
            plain(&description["message"])
        )),
        _ => None,
    }
}

/// A text without its quotes; anything else as it is written.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Something has our id already, or may have: BACEN's word for a repeated id is that for any wrong request.
pub(super) fn is_taken(error: &GatewayError) -> bool {
    let name = error.code.as_str();
    TAKEN.contains(&name)
        || matches!(
            name,
            "CobOperacaoInvalida" | "CobVOperacaoInvalida" | "PixDevolucaoInvalida"
        )
}

/// The gateway decided against it: its state may say why.
pub(super) fn is_refusal(error: &GatewayError) -> bool {
    error.class == ErrorClass::Refused
}

/// Nothing stands under that name.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    let name = error.code.as_str();
    name == "http_404"
        || name.ends_with("nao_encontrada")
        || name.ends_with("nao_encontrado")
        || name.ends_with("NaoEncontrado")
        || name.ends_with("NaoEncontrada")
        || name == "PermanentementeRemovido"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_family_of_errors_has_its_words() {
        let told = |name: &str, message: &str| (Some(name.to_owned()), Some(message.to_owned()));
        for (body, expected) in [
            (
                json!({ "nome": "valor_invalido", "mensagem": "Campo valor.original inválido" }),
                told("valor_invalido", "Campo valor.original inválido"),
            ),
            (
                json!({ "type": "https://pix.bcb.gov.br/api/v2/error/CobOperacaoInvalida", "title": "Cobrança inválida.",
                    "status": 400, "detail": "…", "violacoes": [{ "propriedade": "cob.valor.original", "valor": "12,00" }] }),
                told(
                    "CobOperacaoInvalida",
                    "Cobrança inválida. (cob.valor.original)",
                ),
            ),
            (
                json!({ "error": "invalid_client", "error_description": "Invalid or inactive credentials" }),
                told("invalid_client", "Invalid or inactive credentials"),
            ),
            (
                json!({ "code": 3_500_034, "error": "validation_error",
                    "error_description": { "property": "/payment/banking_billet/expire_at", "message": "no passado" } }),
                told(
                    "validation_error",
                    "/payment/banking_billet/expire_at: no passado",
                ),
            ),
            (
                json!({ "status": 400, "title": "Bad Request", "detail": "…",
                    "extras": [{ "path": ["items", 0, "value"], "message": "Expected number", "code": "invalid_type" }] }),
                (None, Some("items.0.value: Expected number".to_owned())),
            ),
            (json!("<html>"), (None, None)),
        ] {
            assert_eq!(words(&body), expected);
        }
    }
}
