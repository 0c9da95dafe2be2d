//! Lists that are too long for one call: what was read of them is kept for the next.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

/// The most lists of an account whose entries are kept; one that is forgotten is read from its beginning.
const MAX_LISTINGS: usize = 16;

type Unfinished = (String, Vec<Value>);

/// Lists that the next call goes on with, the oldest first.
#[derive(Default)]
pub(super) struct Listings(Mutex<VecDeque<Unfinished>>);

impl Listings {
    /// Takes what was read of a list.
    pub(super) fn resume(&self, path: &[&str], query: &[(&str, String)]) -> Reading<'_> {
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

/// A list that one call reads, newest first. Dropped before its end, it leaves what was read for the next call.
pub(super) struct Reading<'a> {
    listings: &'a Listings,
    list: String,
    read: Vec<Value>,
}

fn id(entry: Option<&Value>) -> Option<String> {
    Some(entry?["id"].as_str()?.to_owned())
}

impl Reading<'_> {
    /// The newest entry that an earlier call read.
    pub(super) fn newest(&self) -> Option<String> {
        id(self.read.first())
    }

    /// Where the next page begins.
    pub(super) fn oldest(&self) -> Option<String> {
        id(self.read.last())
    }

    pub(super) fn add_newer(&mut self, page: Vec<Value>) {
        self.read.splice(0..0, page);
    }

    pub(super) fn add_older(&mut self, page: Vec<Value>) {
        self.read.extend(page);
    }

    /// Forgets what earlier calls read.
    pub(super) fn restart(&mut self) {
        self.read.clear();
    }

    /// All that was read: the list is at its end.
    pub(super) fn end(mut self) -> Vec<Value> {
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
