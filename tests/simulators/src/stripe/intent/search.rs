//! Search `GET /v1/payment_intents/search`: a small query language over an index that lags.

use std::sync::Arc;

use axum::extract::State as Shared;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::Intent;
use crate::stripe::{
    Stripe,
    call::{Answer, Call},
    errors::ApiError,
    list,
};

/// Operators, in an order in which `>=` is not parsed as `>`.
const OPERATORS: [&str; 6] = [">=", "<=", ">", "<", "~", ":"];

pub(in crate::stripe) async fn search(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&["query", "limit", "page"]])?;
    let query = Query::read(call.form.need("query")?)?;
    let limit = list::limit(&call.form)?;
    let tx = stripe.begin(call.cause.clone());
    let indexed = tx.now - TimeDelta::seconds(tx.state.behavior.search_lag_s);
    let all = tx.state.intents.of(&call.account);
    let mut found: Vec<&Intent> = all
        .filter(|intent| intent.created_at <= indexed && query.fits(intent))
        .collect();
    if let Some(page) = call.form.get("page") {
        let place = found.iter().position(|intent| intent.id == page);
        found.drain(..=place.ok_or_else(|| ApiError::invalid(None, "page", "Invalid page."))?);
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|intent| intent.id.clone());
    let data: Vec<_> = found.iter().map(|intent| intent.json(&tx.state)).collect();
    let page = json!({ "object": "search_result", "data": data, "has_more": more, "next_page": next, "url": "/v1/payment_intents/search" });
    call.answer(&tx, page)
}

/// Clauses joined by `AND` or by `OR`, never by both.
struct Query {
    clauses: Vec<Clause>,
    any: bool,
}

struct Clause {
    not: bool,
    field: String,
    operator: &'static str,
    value: String,
}

impl Query {
    fn read(text: &str) -> Result<Self, ApiError> {
        let any = text.contains(" OR ");
        if any && text.contains(" AND ") {
            return Err(unreadable("AND and OR cannot be combined"));
        }
        let clauses = text.split(if any { " OR " } else { " AND " });
        Ok(Self {
            clauses: clauses.map(Clause::read).collect::<Result<_, _>>()?,
            any,
        })
    }

    fn fits(&self, intent: &Intent) -> bool {
        let mut clauses = self.clauses.iter();
        if self.any {
            clauses.any(|clause| clause.fits(intent))
        } else {
            clauses.all(|clause| clause.fits(intent))
        }
    }
}

impl Clause {
    fn read(text: &str) -> Result<Self, ApiError> {
        let text = text.trim();
        let (not, text) = text
            .strip_prefix('-')
            .map_or((false, text), |rest| (true, rest));
        // the key of a metadata field may contain an operator
        let start = text.find(']').unwrap_or(0);
        let at = |operator: &&str| text[start..].find(*operator).map(|at| at + start);
        let operator = OPERATORS.iter().find(|operator| at(operator).is_some());
        let Some((operator, at)) = operator.and_then(|operator| Some((*operator, at(operator)?)))
        else {
            return Err(unreadable("a clause is a field, an operator and a value"));
        };
        let value = &text[at + operator.len()..];
        let clause = Self {
            not,
            field: text[..at].replace('"', "'"),
            operator,
            value: value.trim_matches(['\'', '"']).to_owned(),
        };
        let known = ["amount", "created", "currency", "customer", "status"];
        if known.contains(&clause.field.as_str()) || clause.key().is_some() {
            Ok(clause)
        } else {
            Err(unreadable(&format!(
                "Field `{}` is an unsupported search field for resource `payment_intents`.",
                clause.field
            )))
        }
    }

    fn key(&self) -> Option<&str> {
        self.field.strip_prefix("metadata['")?.strip_suffix("']")
    }

    fn fits(&self, intent: &Intent) -> bool {
        let number = |has: i64| {
            let wanted: i64 = self.value.parse().unwrap_or(i64::MIN);
            match self.operator {
                ">" => has > wanted,
                ">=" => has >= wanted,
                "<" => has < wanted,
                "<=" => has <= wanted,
                _ => has == wanted,
            }
        };
        let text = |has: &str| {
            if self.operator == "~" {
                has.to_lowercase().contains(&self.value.to_lowercase())
            } else {
                has == self.value
            }
        };
        let fits = match (self.key(), self.field.as_str()) {
            (Some(key), _) => intent
                .metadata
                .get(key)
                .and_then(Value::as_str)
                .is_some_and(text),
            (None, "amount") => number(intent.amount),
            (None, "created") => number(intent.created_at.timestamp()),
            (None, "currency") => text("brl"),
            (None, "status") => text(intent.status),
            (None, _) => false,
        };
        fits != self.not
    }
}

fn unreadable(why: &str) -> ApiError {
    ApiError::invalid(
        None,
        "query",
        format!("We were unable to parse your search query: {why}"),
    )
}
