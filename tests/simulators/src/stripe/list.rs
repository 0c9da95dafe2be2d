//! Pages of lists, newest first.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    call::Call,
    collection::{Collection, Resource},
    errors::ApiError,
    form::Form,
};

/// Parameters of every list.
pub(super) const KNOWN: [&str; 8] = [
    "limit",
    "starting_after",
    "ending_before",
    "created",
    "created[gt]",
    "created[gte]",
    "created[lt]",
    "created[lte]",
];
const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;

/// Returns a page of the objects that `wanted` accepts.
pub(super) fn page<T: Resource>(
    call: &Call,
    collection: &Collection<T>,
    url: &str,
    wanted: impl Fn(&T) -> bool,
    json: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    let form = &call.form;
    let limit = limit(form)?;
    let period = Period::read(form)?;
    let (after, before) = (form.get("starting_after"), form.get("ending_before"));
    for (name, cursor) in [("starting_after", after), ("ending_before", before)] {
        if let Some(id) = cursor.filter(|id| collection.find(&call.account, id).is_none()) {
            return Err(ApiError::no_such(T::NAME, name, id));
        }
    }
    // a cursor may be an object that `wanted` rejects, so positions count in the whole list
    let place = |id: &str| {
        collection
            .of(&call.account)
            .position(|item| item.id() == id)
    };
    let all = collection.of(&call.account).enumerate();
    let found = all.filter(|(_, item)| wanted(item) && period.has(item.created_at()));
    let mut found: Vec<(usize, &T)> = found.collect();
    let more = |left: &[(usize, &T)]| left.len() > limit;
    let more = match (after, before) {
        (Some(_), Some(_)) => {
            let message = "You can only use one of `starting_after` and `ending_before`.";
            return Err(ApiError::invalid(None, "ending_before", message));
        }
        (None, Some(cursor)) => {
            let cursor = place(cursor);
            found.retain(|(place, _)| Some(*place) < cursor);
            let more = more(&found);
            found.drain(..found.len().saturating_sub(limit));
            more
        }
        (after, None) => {
            let cursor = after.and_then(place);
            found.retain(|(place, _)| Some(*place) > cursor);
            let more = more(&found);
            found.truncate(limit);
            more
        }
    };
    let data: Vec<_> = found.into_iter().map(|(_, item)| json(item)).collect();
    Ok(json!({ "object": "list", "data": data, "has_more": more, "url": url }))
}

pub(super) fn limit(form: &Form) -> Result<usize, ApiError> {
    let limit = form.number("limit")?.unwrap_or(DEFAULT_LIMIT);
    let fits = (1..=MAX_LIMIT).contains(&limit);
    usize::try_from(limit).ok().filter(|_| fits).ok_or_else(|| {
        let message = format!("This value must be between 1 and {MAX_LIMIT} (inclusive).");
        ApiError::invalid(Some("parameter_invalid_integer"), "limit", message)
    })
}

/// Range of the `created` parameter, in Unix seconds.
struct Period {
    from: i64,
    to: i64,
}

impl Period {
    fn read(form: &Form) -> Result<Self, ApiError> {
        let number = |name: &str| form.number(name);
        if let Some(exactly) = number("created")? {
            return Ok(Self {
                from: exactly,
                to: exactly,
            });
        }
        let from = number("created[gte]")?.max(number("created[gt]")?.map(|after| after + 1));
        let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        let to = least(
            number("created[lte]")?,
            number("created[lt]")?.map(|before| before - 1),
        );
        Ok(Self {
            from: from.unwrap_or(i64::MIN),
            to: to.unwrap_or(i64::MAX),
        })
    }

    fn has(&self, at: DateTime<Utc>) -> bool {
        (self.from..=self.to).contains(&at.timestamp())
    }
}
