//! Calls that no document in `OpenAPI` describes, as `docs/gateways/` lists them.

use serde_json::Value;
use url::form_urlencoded;

use super::{document::matches, recorder::Request};

/// A call that may be made.
pub(crate) struct Call {
    pub method: &'static str,
    pub path: &'static str,
    /// The names that must be in its query.
    pub required: &'static [&'static str],
    /// The names that may be there besides.
    pub optional: &'static [&'static str],
}

/// A call without a query.
pub(crate) const fn call(method: &'static str, path: &'static str) -> Call {
    Call {
        method,
        path,
        required: &[],
        optional: &[],
    }
}

/// Says of which of the calls the request is, or what is wrong with it.
pub(crate) fn check(calls: &[Call], request: &Request) -> Result<String, Vec<String>> {
    let known =
        |call: &&Call| call.method == request.method && matches(call.path, &request.path).is_some();
    let fewest_gaps = |call: &&Call| call.path.matches('{').count();
    let call = calls
        .iter()
        .filter(known)
        .min_by_key(fewest_gaps)
        .ok_or_else(|| vec!["no such call".to_owned()])?;
    let mut wrong = Vec::new();
    let query = form_urlencoded::parse(request.query.as_bytes());
    let names: Vec<String> = query.map(|(name, _)| name.into_owned()).collect();
    for name in &names {
        if !call.required.contains(&name.as_str()) && !call.optional.contains(&name.as_str()) {
            wrong.push(format!("query: {name} is not known"));
        }
    }
    for name in call.required {
        if !names.iter().any(|there| there == name) {
            wrong.push(format!("query: {name} is missing"));
        }
    }
    wrong.extend(against_body(request));
    if wrong.is_empty() {
        Ok(format!("{} {}", call.method, call.path))
    } else {
        Err(wrong)
    }
}

/// JSON, and none where only something is read.
fn against_body(request: &Request) -> Option<String> {
    let kind = request.header("content-type");
    let is_json = serde_json::from_slice::<Value>(&request.body).is_ok();
    match request.method.as_str() {
        "GET" if !request.body.is_empty() => Some("body: a GET has none".to_owned()),
        "POST" | "PUT" if kind != Some("application/json") || !is_json => {
            Some(format!("body: is no JSON, or not called so: {kind:?}"))
        }
        _ => None,
    }
}
