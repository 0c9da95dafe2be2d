//! Maps Efí's two families of errors (its own and BACEN's) to our classes. `docs/gateways/efi.md#errors`.

use schemas::attempt::ErrorClass;
use serde_json::Value;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// Names of errors for a charge or a refund that already exists under our id.
const TAKEN: [&str; 2] = ["txid_duplicado", "devolucao_id_duplicado"];

/// Errors of the account, its limits and its configuration: any other order would be refused too.
const ACCOUNTS: [&str; 13] = [
    // API Pix: the key is not this account's; its owner's document may not issue; a missing permission
    "chave_invalida",
    "documento_bloqueado",
    "AcessoNegado",
    // API Cobranças: no permission, this method is not available, not authorized, no such account, for approved clients alone
    "3500001",
    "3500007",
    "3500008",
    "3500050",
    "3500087",
    // service not available to the account, above its operational limit, daily and monthly limits, its application's authorization
    "4600035",
    "4600037",
    "4600209",
    "4600211",
    "4600224",
];

/// Errors of an endpoint whose quota is used up.
const QUOTAS: [&str; 2] = ["3500049", "3500055"];

/// Failures of the API Cobranças: an internal error, a timeout, an unexpected failure. The charge may have been created.
const FAILURES: [&str; 3] = ["3500000", "4600100", "4699999"];

/// Errors of the API Cobranças for a read of an id that does not exist.
const NO_CHARGE: [&str; 2] = ["3500010", "4600001"];

/// Smallest error number. Smaller numbers are HTTP statuses, which the API Cobranças repeats in its bodies.
const FIRST_NUMBER: u64 = 1_000;

/// Returns the error of an unsuccessful answer. Its name decides, if it has one, because Efí documents some absences as 400.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let (code, message) = code_and_message(&body);
    let generic = answer.error(effect, code.as_deref(), message.as_deref());
    // a name is meaningless in the answer of a failure or of a proxy
    if answer.status >= 500 || answer.is_foreign() {
        return generic;
    }
    let class = class(
        answer.status,
        (generic.code.as_str(), effect),
        generic.class,
    );
    GatewayError { class, ..generic }
}

/// Returns the class of a refusal; `otherwise`, the class of its status, if its name determines none.
fn class(status: u16, (name, effect): (&str, Effect), otherwise: ErrorClass) -> ErrorClass {
    if ACCOUNTS.contains(&name) {
        ErrorClass::Denied
    } else if QUOTAS.contains(&name) {
        ErrorClass::Throttled
    } else if FAILURES.contains(&name) {
        effect.lost()
    } else if status == 409 && TAKEN.contains(&name) {
        ErrorClass::Unknown
    } else {
        otherwise
    }
}

/// Returns the error's name and message. API Cobranças: its number `code` and `error_description`, or `title` and `extras`. API Pix:
/// Efí's `nome` and `mensagem`, or BACEN's `type` (its last part) and `title`. OAuth: `error`. None of them repeats the payer's data.
fn code_and_message(body: &Value) -> (Option<String>, Option<String>) {
    let text = |field: &str| body[field].as_str().map(ToOwned::to_owned);
    if let Some(name) = number(body)
        .or_else(|| text("nome"))
        .or_else(|| text("error"))
    {
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

/// Returns the number of a refusal of the API Cobranças, as listed in Efí's documentation.
fn number(body: &Value) -> Option<String> {
    let code = &body["code"];
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    (number >= FIRST_NUMBER).then(|| number.to_string())
}

/// Returns BACEN's title with the invalid field, without its value.
fn with_property(title: &str, body: &Value) -> String {
    match body["violacoes"][0]["propriedade"].as_str() {
        Some(property) => format!("{title} ({property})"),
        None => title.to_owned(),
    }
}

/// Returns the description as text, or the invalid property with its problem.
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

/// Returns a text without its quotes, and any other value as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Returns true if our id is taken, or may be. BACEN's error name of a repeated id is also that of any invalid request.
pub(super) fn is_taken(error: &GatewayError) -> bool {
    let name = error.code.as_str();
    TAKEN.contains(&name)
        || matches!(
            name,
            "CobOperacaoInvalida" | "CobVOperacaoInvalida" | "PixDevolucaoInvalida"
        )
}

/// Returns true if the gateway refused the request; the resource's state may give the reason.
pub(super) fn is_refusal(error: &GatewayError) -> bool {
    error.class == ErrorClass::Rejected
}

/// Returns true if the resource does not exist.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    let name = error.code.as_str();
    name == "http_404"
        || NO_CHARGE.contains(&name)
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
    fn each_family_of_errors_has_its_code_and_message() {
        let reported =
            |name: &str, message: &str| (Some(name.to_owned()), Some(message.to_owned()));
        for (body, expected) in [
            (
                json!({ "nome": "valor_invalido", "mensagem": "Campo valor.original inválido" }),
                reported("valor_invalido", "Campo valor.original inválido"),
            ),
            (
                json!({ "type": "https://pix.bcb.gov.br/api/v2/error/CobOperacaoInvalida", "title": "Cobrança inválida.",
                    "status": 400, "detail": "…", "violacoes": [{ "propriedade": "cob.valor.original", "valor": "12,00" }] }),
                reported(
                    "CobOperacaoInvalida",
                    "Cobrança inválida. (cob.valor.original)",
                ),
            ),
            (
                json!({ "error": "invalid_client", "error_description": "Invalid or inactive credentials" }),
                reported("invalid_client", "Invalid or inactive credentials"),
            ),
            (
                json!({ "code": 3_500_034, "error": "validation_error",
                    "error_description": { "property": "/payment/banking_billet/expire_at", "message": "no passado" } }),
                reported("3500034", "/payment/banking_billet/expire_at: no passado"),
            ),
            (
                json!({ "status": 400, "title": "Bad Request", "detail": "…",
                    "extras": [{ "path": ["items", 0, "value"], "message": "Expected number", "code": "invalid_type" }] }),
                (None, Some("items.0.value: Expected number".to_owned())),
            ),
            (
                json!({ "code": "4600209", "error": "validation_error", "error_description": "Limite de emissões diárias excedido." }),
                reported("4600209", "Limite de emissões diárias excedido."),
            ),
            (
                json!({ "code": 401, "error": "unauthorized", "error_description": "Token inválido" }),
                reported("unauthorized", "Token inválido"),
            ),
            (json!("<html>"), (None, None)),
        ] {
            assert_eq!(code_and_message(&body), expected);
        }
    }

    /// Covers the errors of Efí's own lists that a create request can return.
    #[test]
    fn what_is_of_the_account_is_denied_and_what_is_of_the_order_refused() {
        use ErrorClass::{Denied, NotCreated, Rejected, Throttled, Unknown};
        for (name, creating, reading) in [
            ("chave_invalida", Denied, Denied),
            ("documento_bloqueado", Denied, Denied),
            ("AcessoNegado", Denied, Denied),
            ("3500001", Denied, Denied),
            ("3500007", Denied, Denied),
            ("3500008", Denied, Denied),
            ("3500050", Denied, Denied),
            ("3500087", Denied, Denied),
            ("4600035", Denied, Denied),
            ("4600037", Denied, Denied),
            ("4600209", Denied, Denied),
            ("4600211", Denied, Denied),
            ("4600224", Denied, Denied),
            ("3500049", Throttled, Throttled),
            ("3500055", Throttled, Throttled),
            ("3500000", Unknown, NotCreated),
            ("4600100", Unknown, NotCreated),
            ("4699999", Unknown, NotCreated),
            // a property, a third equal charge, the receiver as payer, too late a due date, too small an amount, the payer's data
            ("3500010", Rejected, Rejected),
            ("3500034", Rejected, Rejected),
            ("3500006", Rejected, Rejected),
            ("4600002", Rejected, Rejected),
            ("4600007", Rejected, Rejected),
            ("4600036", Rejected, Rejected),
            ("4600060", Rejected, Rejected),
            ("4600142", Rejected, Rejected),
            ("4600210", Rejected, Rejected),
            ("4600222", Rejected, Rejected),
            ("4600414", Rejected, Rejected),
            ("4600523", Rejected, Rejected),
            ("json_invalido", Rejected, Rejected),
            ("valor_invalido", Rejected, Rejected),
            ("CobOperacaoInvalida", Rejected, Rejected),
            // not a conflict by its status
            ("txid_duplicado", Rejected, Rejected),
        ] {
            assert_eq!(
                class(400, (name, Effect::Creates), Rejected),
                creating,
                "{name}"
            );
            assert_eq!(
                class(400, (name, Effect::Reads), Rejected),
                reading,
                "{name}"
            );
        }
        let taken = class(409, ("txid_duplicado", Effect::Creates), Unknown);
        assert_eq!(taken, Unknown);
    }
}
