//! Pages of lists filtered by time.

use std::collections::HashMap;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::error::ApiError;

const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Query of a list.
pub(super) struct Listing {
    query: HashMap<String, String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query) = query.map_err(|_| ApiError::invalid("RequisicaoInvalida", "query"))?;
        Ok(Self { query })
    }
}

/// Time range and page of a list.
pub(super) struct Window<'a> {
    listing: &'a Listing,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    page: usize,
    size: usize,
}

impl Listing {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Returns true if the query has no such filter, or one with this value.
    pub(super) fn admits(&self, name: &str, value: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted == value)
    }

    /// Returns true if the query has no such filter, or one with this boolean.
    pub(super) fn admits_flag(&self, name: &str, value: bool) -> bool {
        self.admits(name, if value { "true" } else { "false" })
    }

    /// Reads the time range and the page. `kind` is BACEN's name of the error for an invalid list.
    pub(super) fn window(&self, kind: &'static str) -> Result<Window<'_>, ApiError> {
        let instant = |name: &str| {
            let text = self
                .get(name)
                .ok_or_else(|| ApiError::missing(kind, name))?;
            let at = DateTime::parse_from_rfc3339(text).ok();
            at.map(|at| at.with_timezone(&Utc))
                .ok_or_else(|| ApiError::invalid(kind, name))
        };
        let number = |name: &'static str, default: usize| match self.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| ApiError::invalid(kind, name)),
        };
        let window = Window {
            listing: self,
            from: instant("inicio")?,
            to: instant("fim")?,
            page: number("paginacao.paginaAtual", 0)?,
            size: number("paginacao.itensPorPagina", PAGE)?,
        };
        if window.to < window.from {
            return Err(ApiError::invalid(kind, "fim"));
        }
        if !(1..=MAX_PAGE).contains(&window.size) {
            return Err(ApiError::invalid(kind, "paginacao.itensPorPagina"));
        }
        if self.get("cpf").is_some() && self.get("cnpj").is_some() {
            return Err(ApiError::invalid(kind, "cpf"));
        }
        Ok(window)
    }
}

impl Window<'_> {
    pub(super) fn contains(&self, at: DateTime<Utc>) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Returns one page of the found items under `name`.
    pub(super) fn page(&self, name: &str, found: &[Value]) -> Value {
        let shown: Vec<_> = found
            .iter()
            .skip(self.page.saturating_mul(self.size))
            .take(self.size)
            .collect();
        let mut parameters = Map::new();
        for filter in ["inicio", "fim", "cpf", "cnpj", "status", "tipoCob"] {
            if let Some(value) = self.listing.get(filter) {
                parameters.insert(filter.to_owned(), value.into());
            }
        }
        let pagination = json!({
            "paginaAtual": self.page,
            "itensPorPagina": self.size,
            "quantidadeDePaginas": found.len().div_ceil(self.size).max(1),
            "quantidadeTotalDeItens": found.len(),
        });
        parameters.insert("paginacao".to_owned(), pagination);
        json!({ "parametros": parameters, name: shown })
    }
}
