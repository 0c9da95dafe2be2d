//! Feeds: the gateways' lists that are polled in case notifications were lost, each page by page with its own watermark.
//!
//! A page reports the time up to which its list is read. A run that stops early resumes at its cursor, so a list of any length is
//! read.

use std::time::Duration;

use chrono::TimeDelta;
use schemas::{
    Instant,
    gateway::{GatewayApi, GatewayKind},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{GATEWAYS, notification::Entries};

/// Pause between requests of a list that is read completely each time.
pub(crate) const SCAN_PACE: Duration = Duration::from_secs(1);

/// List of a gateway that is polled in case its notifications were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Name under which its watermark is stored, unique among all gateways.
    pub name: &'static str,
    pub gateway: GatewayKind,
    /// Part of the gateway's API that lists it.
    pub api: GatewayApi,
    /// Time to reserve for each of its requests, so that the account's quota lasts.
    pub pace: Duration,
}

impl Feed {
    /// Returns the feeds of all gateways.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        GATEWAYS.iter().flat_map(|gateway| gateway.feeds)
    }

    /// Returns the feed of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|feed| feed.name == name)
    }
}

/// Position at which reading a feed resumes.
#[derive(Clone, Copy, Debug)]
pub struct ReadFrom<'a> {
    /// Watermark, minus the time by which the gateway may list an entry late.
    pub since: Instant,
    /// PostgreSQL's clock.
    pub now: Instant,
    /// Cursor of the run that was stopped.
    pub cursor: Option<&'a str>,
}

/// Page of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub entries: Entries,
    /// Time up to which the feed is read, if known.
    pub read_until: Option<Instant>,
    /// Cursor of the next page. `None`: everything is read.
    pub cursor: Option<String>,
    /// Number of requests made.
    pub requests: u32,
}

impl Page {
    /// Returns the end of a feed that is read up to `until`.
    pub(crate) fn end(until: Instant) -> Self {
        Self {
            read_until: Some(until),
            requests: 1,
            ..Self::default()
        }
    }
}

/// Position in a numbered list of a fixed time span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub from: Instant,
    pub to: Instant,
    /// Page number, from zero.
    pub page: u64,
}

impl Window {
    /// Returns the window of the interrupted run, or a new one. `most`: length of the longest window.
    pub(crate) fn of(read: &ReadFrom<'_>, most: Option<TimeDelta>) -> Self {
        read_cursor(read.cursor).unwrap_or_else(|| Self::begin(read.since, read.now, most))
    }

    fn begin(from: Instant, now: Instant, most: Option<TimeDelta>) -> Self {
        let now = now.max(from);
        Self {
            from,
            to: most.map_or(now, |most| now.min(from + most)),
            page: 0,
        }
    }

    /// Returns the page that was read, with the cursor of the next one.
    pub(crate) fn page(
        self,
        entries: Entries,
        is_last: bool,
        (now, most): (Instant, Option<TimeDelta>),
    ) -> Page {
        let next = if !is_last {
            Some(Self {
                page: self.page + 1,
                ..self
            })
        } else if most.is_some() && self.to < now {
            Some(Self::begin(self.to, now, most))
        } else {
            None
        };
        Page {
            entries,
            read_until: is_last.then_some(self.to),
            cursor: next.as_ref().and_then(write_cursor),
            requests: 1,
        }
    }
}

/// Parses a cursor. One of an earlier version that cannot be parsed restarts the run.
pub(crate) fn read_cursor<T: DeserializeOwned>(cursor: Option<&str>) -> Option<T> {
    serde_json::from_str(cursor?).ok()
}

pub(crate) fn write_cursor<T: Serialize>(place: &T) -> Option<String> {
    serde_json::to_string(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Instant {
        Instant::from_timestamp(s, 0).expect("a time")
    }

    #[test]
    fn every_feed_is_found_by_its_name() {
        for feed in Feed::all() {
            assert_eq!(Feed::named(feed.name), Some(feed));
        }
    }

    #[test]
    fn a_long_time_is_read_slice_by_slice_and_each_end_is_a_watermark() {
        let most = Some(TimeDelta::seconds(10));
        let (mut cursor, mut watermarks) = (None::<String>, Vec::new());
        for _ in 0..9 {
            let read = ReadFrom {
                since: at(0),
                now: at(25),
                cursor: cursor.as_deref(),
            };
            let window = Window::of(&read, most);
            // each slice has two pages
            let page = window.page(Entries::default(), window.page == 1, (read.now, most));
            watermarks.extend(page.read_until.map(|at| at.timestamp()));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((cursor, watermarks), (None, vec![10, 20, 25]));
    }
}
