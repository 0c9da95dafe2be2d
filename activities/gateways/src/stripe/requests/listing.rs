//! Progress of lists that are too long for one call: the entries read so far are stored for the next call.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

/// Most lists of an account whose entries are stored. A list that was dropped is read again from its beginning.
const MAX_LISTINGS: usize = 16;

/// Time from the first page of a list after which its entries are dropped, because they may have changed meanwhile. It is longer than
/// the longest pause between two calls that read the same list, so that a list of any length is still read to its end.
const LASTS: Duration = Duration::from_hours(2);

/// Entries of a list that was not read to its end.
struct Unfinished {
    list: String,
    /// Time of the first page.
    begun: Instant,
    read: Vec<Value>,
}

/// Lists that the next call resumes, oldest first.
#[derive(Default)]
pub(in crate::stripe) struct Listings(Mutex<VecDeque<Unfinished>>);

impl Listings {
    /// Removes and returns the stored entries of a list. Entries that are too old are dropped: the list is read again from its beginning.
    pub(in crate::stripe) fn resume(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        now: Instant,
    ) -> Reading<'_> {
        let fields = query.iter().map(|(name, value)| format!("{name}={value}"));
        let list = format!(
            "{}?{}",
            path.join("/"),
            fields.collect::<Vec<_>>().join("&")
        );
        let mut kept = self.lock();
        kept.retain(|one| now.saturating_duration_since(one.begun) < LASTS);
        let at = kept.iter().position(|one| one.list == list);
        let found = at.and_then(|at| kept.remove(at));
        drop(kept);
        let unfinished = found.unwrap_or(Unfinished {
            list,
            begun: now,
            read: Vec::new(),
        });
        Reading {
            listings: self,
            unfinished,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Unfinished>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// List that one call reads, newest first. If it is dropped before its end, its entries are stored for the next call.
pub(in crate::stripe) struct Reading<'a> {
    listings: &'a Listings,
    unfinished: Unfinished,
}

fn id(entry: Option<&Value>) -> Option<String> {
    Some(entry?["id"].as_str()?.to_owned())
}

impl Reading<'_> {
    /// Returns the id of the newest entry that was read.
    pub(in crate::stripe) fn newest(&self) -> Option<String> {
        id(self.unfinished.read.first())
    }

    /// Returns the id of the oldest entry that was read: the next page begins after it.
    pub(in crate::stripe) fn oldest(&self) -> Option<String> {
        id(self.unfinished.read.last())
    }

    pub(in crate::stripe) fn add_newer(&mut self, page: Vec<Value>) {
        self.unfinished.read.splice(0..0, page);
    }

    pub(in crate::stripe) fn add_older(&mut self, page: Vec<Value>) {
        self.unfinished.read.extend(page);
    }

    /// Drops the entries that earlier calls read.
    pub(in crate::stripe) fn restart(&mut self, now: Instant) {
        self.unfinished.begun = now;
        self.unfinished.read.clear();
    }

    /// Returns all entries: the list is complete.
    pub(in crate::stripe) fn end(mut self) -> Vec<Value> {
        std::mem::take(&mut self.unfinished.read)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.unfinished.read.is_empty() {
            return;
        }
        let mut kept = self.listings.lock();
        let unfinished = Unfinished {
            list: std::mem::take(&mut self.unfinished.list),
            begun: self.unfinished.begun,
            read: std::mem::take(&mut self.unfinished.read),
        };
        // another call may have read the same list meanwhile
        kept.retain(|one| one.list != unfinished.list);
        if kept.len() >= MAX_LISTINGS {
            kept.pop_front();
        }
        kept.push_back(unfinished);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_is_not_finished_expires_however_often_it_is_resumed() {
        let (listings, begun) = (Listings::default(), Instant::now());
        let resume = |after| listings.resume(&["refunds"], &[], begun + after);
        resume(Duration::ZERO).add_older(vec![json!({ "id": "re_1" })]);
        for minutes in [30, 60, 90, 119] {
            let reading = resume(Duration::from_mins(minutes));
            assert_eq!(reading.newest().as_deref(), Some("re_1"), "{minutes}");
        }
        assert_eq!(resume(LASTS).newest(), None);
        assert_eq!(resume(Duration::ZERO).newest(), None, "it is dropped");
    }
}
