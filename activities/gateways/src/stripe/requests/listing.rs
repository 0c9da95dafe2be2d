//! Progress of lists that are too long for one call: the entries read so far are stored for the next call.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

/// Most lists of an account whose entries are stored. A list that was dropped is read again from its beginning.
const MAX_LISTINGS: usize = 16;

type Unfinished = (String, Vec<Value>);

/// Lists that the next call resumes, oldest first.
#[derive(Default)]
pub(in crate::stripe) struct Listings(Mutex<VecDeque<Unfinished>>);

impl Listings {
    /// Removes and returns the stored entries of a list.
    pub(in crate::stripe) fn resume(&self, path: &[&str], query: &[(&str, String)]) -> Reading<'_> {
        let fields = query.iter().map(|(name, value)| format!("{name}={value}"));
        let list = format!(
            "{}?{}",
            path.join("/"),
            fields.collect::<Vec<_>>().join("&")
        );
        let mut kept = self.lock();
        let at = kept.iter().position(|(of, _)| *of == list);
        let read = at.and_then(|at| kept.remove(at)).map(|(_, read)| read);
        drop(kept);
        Reading {
            listings: self,
            list,
            read: read.unwrap_or_default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Unfinished>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// List that one call reads, newest first. If it is dropped before its end, its entries are stored for the next call.
pub(in crate::stripe) struct Reading<'a> {
    listings: &'a Listings,
    list: String,
    read: Vec<Value>,
}

fn id(entry: Option<&Value>) -> Option<String> {
    Some(entry?["id"].as_str()?.to_owned())
}

impl Reading<'_> {
    /// Returns the id of the newest entry that was read.
    pub(in crate::stripe) fn newest(&self) -> Option<String> {
        id(self.read.first())
    }

    /// Returns the id of the oldest entry that was read: the next page begins after it.
    pub(in crate::stripe) fn oldest(&self) -> Option<String> {
        id(self.read.last())
    }

    pub(in crate::stripe) fn add_newer(&mut self, page: Vec<Value>) {
        self.read.splice(0..0, page);
    }

    pub(in crate::stripe) fn add_older(&mut self, page: Vec<Value>) {
        self.read.extend(page);
    }

    /// Drops the entries that earlier calls read.
    pub(in crate::stripe) fn restart(&mut self) {
        self.read.clear();
    }

    /// Returns all entries: the list is complete.
    pub(in crate::stripe) fn end(mut self) -> Vec<Value> {
        std::mem::take(&mut self.read)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.read.is_empty() {
            return;
        }
        let mut kept = self.listings.lock();
        // another call may have read the same list meanwhile
        kept.retain(|(of, _)| *of != self.list);
        if kept.len() >= MAX_LISTINGS {
            kept.pop_front();
        }
        let (list, read) = (
            std::mem::take(&mut self.list),
            std::mem::take(&mut self.read),
        );
        kept.push_back((list, read));
    }
}
