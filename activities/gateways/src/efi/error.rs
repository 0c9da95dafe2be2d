//! Efí's two families of errors (its own and BACEN's), in our classes. `GATEWAYS.md` §2.5.

use schemas::attempt::ErrorClass;
use serde_json::Value;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// The charge exists already, under our own `txid`.
pub(super) const TAKEN: &str = "txid_duplicado";

/// An answer that is no success. Decided by the name where there is one, since Efí documents some absences as 400.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let (code, message) = words(&body);
    let generic = answer.error(effect, code.as_deref(), message);
    let class = match (answer.status, code.as_deref()) {
        // what we are configured with, not what was asked
        (400, Some("chave_invalida")) => ErrorClass::Denied,
        (_, Some("AcessoNegado")) => ErrorClass::Denied,
        (409, Some(TAKEN)) => ErrorClass::Unknown,
        _ => generic.class,
    };
    GatewayError { class, ..generic }
}

/// Efí's `nome` and `mensagem`, OAuth's `error`, or BACEN's `type` (its last part) and `detail`. None of them repeats the payer.
fn words(body: &Value) -> (Option<String>, Option<&str>) {
    let text = |field: &str| body[field].as_str();
    if let Some(name) = text("nome").or_else(|| text("error")) {
        return (
            Some(name.to_owned()),
            text("mensagem").or_else(|| text("error_description")),
        );
    }
    let kind = text("type").and_then(|kind| kind.rsplit('/').next());
    (kind.map(ToOwned::to_owned), text("title"))
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

/// The charge is not `ATIVA` any more: whoever changes it lost a race.
pub(super) fn is_state(error: &GatewayError) -> bool {
    matches!(
        error.code.as_str(),
        "status_cobranca_invalido" | "CobOperacaoInvalida"
    )
}
