//! Errors in Efí's format or in BACEN's.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};
use serde_json::json;

use super::{Efi, settings::Family};
use crate::sim::lock;

const TYPES: &str = "https://pix.bcb.gov.br/api/v2/error/";

/// Error of a request. Handlers return it, and `dress` formats it.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// Efí's `nome`.
    name: &'static str,
    message: String,
    /// Last part of BACEN's `type`.
    kind: &'static str,
    cause: Cause,
}

#[derive(Clone, Debug)]
enum Cause {
    Plain,
    /// Missing field, by its path after `.body`.
    Missing(String),
    /// Invalid field, by its path after `.body`.
    Invalid(String),
    Absent,
    /// Duplicate object: 409 at Efí, 400 at BACEN.
    Duplicate,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        (name, kind): (&'static str, &'static str),
        message: &str,
    ) -> Self {
        Self {
            status,
            name,
            message: message.to_owned(),
            kind,
            cause: Cause::Plain,
        }
    }

    pub(crate) fn bad(name: &'static str, kind: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, (name, kind), message)
    }

    pub(crate) fn missing(kind: &'static str, field: &str) -> Self {
        let message = format!("O campo {field} é obrigatório");
        Self {
            cause: Cause::Missing(field.to_owned()),
            ..Self::bad("json_invalido", kind, &message)
        }
    }

    pub(crate) fn invalid(kind: &'static str, field: &str) -> Self {
        Self {
            cause: Cause::Invalid(field.to_owned()),
            ..Self::bad("valor_invalido", kind, &format!("Campo {field} inválido"))
        }
    }

    pub(crate) fn absent(name: &'static str, message: &str) -> Self {
        let kind = if name == "cobranca_nao_encontrada" {
            "CobNaoEncontrado"
        } else {
            "NaoEncontrado"
        };
        Self {
            cause: Cause::Absent,
            ..Self::new(StatusCode::NOT_FOUND, (name, kind), message)
        }
    }

    pub(crate) fn duplicate(name: &'static str, kind: &'static str, message: &str) -> Self {
        Self {
            cause: Cause::Duplicate,
            ..Self::new(StatusCode::CONFLICT, (name, kind), message)
        }
    }

    fn in_shape(&self, family: Family, not_found: StatusCode) -> Response<Body> {
        let status = match (&self.cause, family) {
            (Cause::Absent, _) => not_found,
            (Cause::Duplicate, Family::Bacen) => StatusCode::BAD_REQUEST,
            _ => self.status,
        };
        match family {
            Family::Efi => self.efi(status),
            Family::Bacen => self.bacen(status),
        }
    }

    fn efi(&self, status: StatusCode) -> Response<Body> {
        let mut body = json!({ "nome": self.name, "mensagem": self.message });
        if let Cause::Missing(field) = &self.cause {
            let path = format!(".body.{field}");
            body["erros"] =
                json!([{ "chave": "required", "caminho": path, "mensagem": "é obrigatório" }]);
        }
        (status, Json(body)).into_response()
    }

    fn bacen(&self, status: StatusCode) -> Response<Body> {
        let mut body = json!({
            "type": format!("{TYPES}{}", self.kind),
            "title": title(self.kind),
            "status": status.as_u16(),
            "detail": self.message,
        });
        if let Cause::Missing(field) | Cause::Invalid(field) = &self.cause {
            body["violacoes"] = json!([{ "razao": self.message, "propriedade": field }]);
        }
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

fn title(kind: &str) -> &'static str {
    match kind {
        "CobOperacaoInvalida" | "CobVOperacaoInvalida" => "Cobrança inválida.",
        "CobConsultaInvalida" | "CobVConsultaInvalida" | "PixConsultaInvalida" => {
            "Consulta inválida."
        }
        "PixDevolucaoInvalida" => "Devolução inválida.",
        "WebhookOperacaoInvalida" => "Webhook inválido.",
        "PayloadLocationOperacaoInvalida" => "Location inválida.",
        "AcessoNegado" => "Acesso negado.",
        "CobNaoEncontrado" | "NaoEncontrado" => "Não encontrado.",
        "ServicoIndisponivel" => "Serviço indisponível.",
        "ErroInternoDoServidor" => "Erro interno do servidor.",
        _ => "Requisição inválida.",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Formats errors as the settings require.
pub(super) async fn dress(
    State(efi): State<Arc<Efi>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<ApiError>() {
        Some(wrong) => {
            let mut dressed = shaped(&efi, &wrong);
            *dressed.extensions_mut() = response.extensions().clone();
            dressed
        }
        None => response,
    }
}

pub(super) fn shaped(efi: &Efi, wrong: &ApiError) -> Response<Body> {
    let settings = lock(&efi.settings);
    let not_found =
        StatusCode::from_u16(settings.not_found_status).unwrap_or(StatusCode::NOT_FOUND);
    wrong.in_shape(settings.errors, not_found)
}
