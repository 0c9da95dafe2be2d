//! Search by an order's reference. Stripe's search is delayed, its lists are not: they are read by creation time, page by page, on
//! accounts of any size. The next call resumes with the pages that one call could not read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use schemas::{attempt::ErrorClass, payment_method::PaymentMethodKind};
use serde::Deserialize;

use super::{
    Stripe, errors,
    requests::calls::{Form, PAGE_TAKES, Page},
    responses::read::within,
};
use crate::{
    ChargeLookup, GatewayCharge, GatewayError,
    http::{CALL_TIMEOUT, Deadline},
};

/// Seconds before an order's creation at which a search begins, for clock differences.
const MARGIN_S: i64 = 60;
/// Seconds after their creation within which nearly all orders are sent: this time is searched first.
const FIRST_S: i64 = 120;
/// Longest delay, in seconds, until a created object is listed. A search without a result is repeated from that long before the newest
/// entry.
const LISTED_AFTER_S: i64 = 60;
/// Most pages of one call.
const MAX_PAGES: usize = 100;
/// Most searches of an account that are stored. A search that was dropped starts again.
const MAX_SEARCHES: usize = 256;

/// Intent or session, with the fields that a search needs.
#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    created: i64,
    client_reference_id: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

impl Entry {
    fn has(&self, reference: &str) -> bool {
        let metadata = self.metadata.as_ref().and_then(|it| it.get("reference"));
        [self.client_reference_id.as_ref(), metadata].contains(&Some(&reference.to_owned()))
    }
}

/// Progress of a search. Lists begin with the newest entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Progress {
    /// Start of the time span, in seconds.
    from: i64,
    /// End of the time span, in seconds. `None`: now.
    until: Option<i64>,
    /// Last entry of the pages that were read.
    after: Option<String>,
    /// Creation time of the newest entry of these pages.
    newest: Option<i64>,
}

impl Progress {
    fn begin(order: &ChargeLookup) -> Self {
        let made = order.created_at.timestamp();
        Self {
            from: made - MARGIN_S,
            until: Some(made + FIRST_S),
            after: None,
            newest: None,
        }
    }

    fn query(&self) -> Form {
        let mut query = vec![("created[gte]", self.from.to_string())];
        query.extend(self.until.map(|until| ("created[lte]", until.to_string())));
        query.extend(self.after.as_ref().map(|id| ("starting_after", id.clone())));
        query
    }

    /// Advances over a page without a match. Returns true if everything up to now was read.
    fn step(&mut self, page: &Page<Entry>) -> bool {
        let newest = page.data.iter().map(|entry| entry.created).max();
        self.newest = self.newest.max(newest);
        if let (true, Some(last)) = (page.has_more, page.data.last()) {
            self.after = Some(last.id.clone());
            return false;
        }
        let ended = self.until.is_none();
        *self = match self.until {
            // the first window is complete: the search continues from its end until now
            Some(until) => Self {
                from: until,
                until: None,
                after: None,
                newest: None,
            },
            None => Self {
                from: self
                    .newest
                    .map_or(self.from, |newest| self.from.max(newest - LISTED_AFTER_S)),
                after: None,
                newest: None,
                until: None,
            },
        };
        ended
    }
}

/// Searches that the next call resumes, by reference, oldest first.
#[derive(Default)]
pub(super) struct Searches(Mutex<VecDeque<(String, Progress)>>);

impl Searches {
    fn progress(&self, order: &ChargeLookup) -> Progress {
        let searches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = searches.iter().find(|(of, _)| *of == order.reference);
        kept.map_or_else(|| Progress::begin(order), |(_, progress)| progress.clone())
    }

    fn keep(&self, reference: &str, progress: &Progress) {
        let mut searches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        searches.retain(|(of, _)| of != reference);
        if searches.len() >= MAX_SEARCHES {
            searches.pop_front();
        }
        searches.push_back((reference.to_owned(), progress.clone()));
    }
}

impl Stripe {
    /// Returns all charges that carry the order's reference. If the id is known, it fetches only that one: a key creates one charge.
    pub(super) async fn search(
        &self,
        order: &ChargeLookup,
    ) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let ids = match &order.gateway_id {
            Some(id) => vec![id.clone()],
            None => self.named(order, deadline).await?,
        };
        let mut found = Vec::new();
        for id in ids {
            match self.read(&id, deadline).await {
                Ok(charge) => found.push(within(order.expires_at, charge)),
                Err(error) if errors::is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Returns the ids of the objects with the order's reference. The progress is stored after each page, so that a canceled call reads
    /// no page twice. A page with a match is read again by the next call.
    async fn named(
        &self,
        order: &ChargeLookup,
        deadline: Deadline,
    ) -> Result<Vec<String>, GatewayError> {
        let path: &[&str] = match order.method.kind() {
            PaymentMethodKind::Card => &["checkout", "sessions"],
            PaymentMethodKind::Pix | PaymentMethodKind::Boleto => &["payment_intents"],
        };
        let mut progress = self.searches.progress(order);
        for _ in 0..MAX_PAGES {
            if !deadline.allows(PAGE_TAKES) {
                break;
            }
            let page: Page<Entry> = self.page(path, &progress.query(), deadline).await?;
            let ours = page.data.iter().filter(|entry| entry.has(&order.reference));
            let ours: Vec<_> = ours.map(|entry| entry.id.clone()).collect();
            if !ours.is_empty() {
                return Ok(ours);
            }
            let all_was_read = progress.step(&page);
            self.searches.keep(&order.reference, &progress);
            if all_was_read {
                return Ok(ours);
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "search_unfinished",
            "the account lists too much to be read at once: the search goes on with the next call",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(has_more: bool, entries: &[(&str, i64)]) -> Page<Entry> {
        let entry = |(id, created): &(&str, i64)| json!({ "id": id, "created": created });
        let data: Vec<_> = entries.iter().map(entry).collect();
        serde_json::from_value(json!({ "has_more": has_more, "data": data })).expect("a page")
    }

    fn query(progress: &Progress) -> String {
        let fields = progress.query();
        let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
        fields.join("&")
    }

    #[test]
    fn a_search_goes_on_where_it_stopped_and_later_only_over_what_is_new() {
        let order =
            super::super::tests::order(json!({ "type": "pix", "expires_in": 3600 })).lookup();
        let made = order.created_at.timestamp();
        let mut search = Progress::begin(&order);
        let window = format!("created[gte]={}&created[lte]={}", made - 60, made + 120);
        assert_eq!(query(&search), window);
        assert!(!search.step(&page(true, &[("pi_2", made + 9), ("pi_1", made + 8)])));
        assert_eq!(query(&search), format!("{window}&starting_after=pi_1"));
        assert!(!search.step(&page(false, &[("pi_0", made)])));
        assert_eq!(query(&search), format!("created[gte]={}", made + 120));
        assert!(!search.step(&page(true, &[("pi_9", made + 900), ("pi_8", made + 800)])));
        assert!(search.step(&page(false, &[("pi_7", made + 700)])));
        // everything is read: the next search begins shortly before the newest entry
        assert_eq!(query(&search), format!("created[gte]={}", made + 840));
        assert!(search.step(&page(false, &[])));
        assert_eq!(query(&search), format!("created[gte]={}", made + 840));
    }

    #[test]
    fn the_oldest_search_is_forgotten_first() {
        let searches = Searches::default();
        let mut order =
            super::super::tests::order(json!({ "type": "pix", "expires_in": 3600 })).lookup();
        let moved = |n| Progress {
            from: n,
            ..Progress::begin(&order)
        };
        for n in 0..=MAX_SEARCHES {
            let n = i64::try_from(n).expect("a number");
            searches.keep(&format!("at{n}"), &moved(n));
        }
        let started = Progress::begin(&order);
        for (n, kept) in [(0, false), (1, true), (256, true)] {
            order.reference = format!("at{n}");
            let progress = searches.progress(&order);
            assert_eq!(progress != started, kept, "{n}");
        }
    }
}
