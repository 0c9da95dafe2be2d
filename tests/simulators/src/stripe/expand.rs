//! Expansion by `expand[]`: replaces ids with their objects.

use serde_json::{Value, json};

use super::{account::Account, errors::ApiError, transaction::Transaction};

/// Maximum depth of an expansion.
const MAX_LEVELS: usize = 4;

type Known<'a> = (&'a Transaction<'a>, &'a Account);

/// Replaces the ids at the paths with their objects.
pub(super) fn all(body: &mut Value, paths: &[&str], known: Known) -> Result<(), ApiError> {
    for path in paths {
        let names: Vec<&str> = path.split('.').collect();
        if names.len() > MAX_LEVELS {
            let message = format!(
                "You cannot expand more than {MAX_LEVELS} levels of a property. Property: {path}"
            );
            return Err(ApiError::invalid(None, "expand", message));
        }
        if !inline(body, &names, known) {
            let message = format!("This property cannot be expanded ({path}).");
            return Err(ApiError::invalid(None, "expand", message));
        }
    }
    Ok(())
}

/// Replaces the ids at one path. Returns true if the path exists.
fn inline(body: &mut Value, names: &[&str], known: Known) -> bool {
    let Some((name, deeper)) = names.split_first() else {
        return true;
    };
    if let Value::Array(items) = body {
        return items.iter_mut().all(|item| inline(item, names, known));
    }
    include(body, name, known);
    let Some(place) = body.get_mut(name) else {
        return false;
    };
    if let Some(object) = place.as_str().and_then(|id| object(known, id)) {
        *place = object;
    }
    match place {
        Value::Null => true,
        Value::Object(_) | Value::Array(_) => inline(place, deeper, known),
        _ => false,
    }
}

/// Adds a list that an object contains only on request.
fn include(body: &mut Value, name: &str, (tx, account): Known) {
    let state = &tx.state;
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    if name == "line_items"
        && let Some(session) = state.sessions.find(account, &id)
    {
        body[name] = session.lines_json();
    }
    if name == "refunds" && state.charges.find(account, &id).is_some() {
        let refunds = state
            .refunds
            .of(account)
            .filter(|refund| refund.charge == id);
        let data: Vec<_> = refunds.map(super::refund::Refund::json).collect();
        let url = format!("/v1/charges/{id}/refunds");
        body[name] = json!({ "object": "list", "data": data, "has_more": false, "url": url });
    }
}

fn object((tx, account): Known, id: &str) -> Option<Value> {
    let state = &tx.state;
    let (prefix, _) = id.split_once('_')?;
    Some(match prefix {
        "pi" => state.intents.find(account, id)?.json(state),
        "pm" => state.methods.find(account, id)?.json(),
        "ch" | "py" => state.charges.find(account, id)?.json(),
        "txn" => state.bookings.find(account, id)?.json(tx.now),
        "re" | "pyr" => state.refunds.find(account, id)?.json(),
        "dp" => state.disputes.find(account, id)?.json(state, tx.now),
        _ => return None,
    })
}
